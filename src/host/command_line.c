/* command_line.c: parses the command line and prints the help. One table describes each option: its
 * help, the commands that accept it, its values and where they are stored. A new option is a
 * row. */
#include "command_line.h"

#include "base/output.h"
#include "data/dataset.h"
#include "memory.h"
#include "model/weights.h"
#include "option_values.h"
#include "suggest.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ------------------------------------------------------------------------------ */

static const struct {
    const char *name, *help;
    const char *words; /* arguments besides options, as the help shows them; NULL: none */
} commands[COMMAND_COUNT] = {
    [COMMAND_TRAIN] = {"train", "train one network (the default command)", NULL},
    [COMMAND_EVAL] = {"eval", "print loss and accuracy of saved weights on the test set", NULL},
    [COMMAND_PREDICT] = {"predict", "classify PNG images with saved weights", "IMAGE.png ..."},
    [COMMAND_COMPARE] = {"compare",
                         "train all three norms with several seeds and report how they differ",
                         "[--runs DIR ...]"},
    [COMMAND_SUMMARY] = {"summary", "print the layer table and the parameter count", NULL},
    [COMMAND_INFO] = {"info",
                      "print the version, backends, devices and their algorithms, and libraries",
                      NULL},
};

/* The commands that accept an option. */
enum {
    TRAIN = 1 << COMMAND_TRAIN,
    EVAL = 1 << COMMAND_EVAL,
    PREDICT = 1 << COMMAND_PREDICT,
    COMPARE = 1 << COMMAND_COMPARE,
    SUMMARY = 1 << COMMAND_SUMMARY,
    INFO = 1 << COMMAND_INFO,
    ONE_NORM = TRAIN | EVAL | PREDICT | SUMMARY | INFO,
    ALL = ONE_NORM | COMPARE,
};

static const char *const augment_words[] = {"none", "flip-crop", NULL};
static const char *const precision_words[] = {"fp32", "tf32", NULL};  /* enum precision */
static const char *const batch_norm_words[] = {"cudnn", "own", NULL}; /* enum batch_norm */

#define AT(member) offsetof(struct options, member)

/* clang-format off */
static const struct option table[] = {
    {"norm", NULL, "batch, group or layer norm (gn, or that of --weights)",
     ONE_NORM, VALUE_WORD, AT(recipe.norm), norm_words, 0, 0},
    {"recipe", NULL, "tuned: our network and settings; reference: the published ones "
     "(tuned, or that of --weights)",
     ALL, VALUE_WORD, AT(recipe.kind), recipe_words, 0, 0},
    {"data", "DIR|synthetic[:SEED]", "folder with the six binary files of CIFAR-10; or a data set for "
     "trials, generated from SEED or --seed ($CIFAR10_DIR, or data/cifar-10-batches-bin)",
     TRAIN | EVAL | COMPARE, VALUE_PATH, AT(data), NULL, 0, 0},
    {"device", "auto|cuda|cuda:N|cpu", "where to compute (auto: the GPU if there is one, else the CPU)",
     TRAIN | EVAL | PREDICT | COMPARE, VALUE_DEVICE, AT(device), NULL, 0, 0},
    {"epochs", "N", "passes over the training set (the recipe's)",
     TRAIN | COMPARE, VALUE_INT, AT(recipe.epochs), NULL, 1, 100000},
    {"batch-size", "N", "images per batch; in training, per optimizer step (the recipe's)",
     TRAIN | EVAL | PREDICT | COMPARE | INFO, VALUE_INT, AT(recipe.batch_size), NULL, 1, 50000},
    {"lr", "X", "peak learning rate of the schedule (the recipe's)",
     TRAIN | COMPARE, VALUE_POSITIVE, AT(recipe.learning_rate), NULL, 0, 0},
    {"momentum", "X", "momentum of SGD (the recipe's)",
     TRAIN | COMPARE, VALUE_FRACTION, AT(recipe.momentum), NULL, 0, 0},
    {"weight-decay", "X", "weight decay of the convolutions (the recipe's)",
     TRAIN | COMPARE, VALUE_NOT_NEGATIVE, AT(recipe.weight_decay), NULL, 0, 0},
    {"optimizer", NULL, "muon: Muon for the 3x3 filters and SGD for the rest (the recipe's)",
     TRAIN | COMPARE, VALUE_WORD, AT(recipe.optimizer), optimizer_words, 0, 0},
    {"muon-lr", "X", "Muon's peak learning rate (0.1)",
     TRAIN | COMPARE, VALUE_POSITIVE, AT(recipe.muon_rate), NULL, 0, 0},
    {"muon-momentum", "X", "Muon's momentum (0.6)",
     TRAIN | COMPARE, VALUE_FRACTION, AT(recipe.muon_momentum), NULL, 0, 0},
    {"dropout", "P", "probability that dropout sets an element to 0 (the recipe's)",
     TRAIN | COMPARE | SUMMARY, VALUE_FRACTION, AT(recipe.dropout), NULL, 0, 0},
    {"groups", "G", "number of channel groups; group norm only (the recipe's, or that of --weights)",
     TRAIN | EVAL | PREDICT | COMPARE | SUMMARY, VALUE_INT, AT(recipe.groups), NULL, 1, 512},
    {"channels", "LIST", "output channels of the blocks C1,C2,c3,C3,C4,C5,c6,C7,C8,C9; a pool adds a skip only "
     "where its channels are equal (the recipe's, or those of --weights)",
     TRAIN | EVAL | PREDICT | COMPARE | SUMMARY, VALUE_WIDTHS, AT(recipe.channels), NULL, 1, 512},
    {"activation", NULL, "what stands with each norm: ReLU before it, or ReLU or SiLU after it (the recipe's, or that "
     "of --weights)",
     TRAIN | EVAL | PREDICT | COMPARE | SUMMARY, VALUE_WORD, AT(recipe.activation), activation_words, 0, 0},
    {"seed", "N", "seed of all random numbers (1)",
     TRAIN | EVAL | COMPARE, VALUE_UINT64, AT(seed), NULL, 0, UINT64_MAX},
    {"augment", NULL, "random changes to training images (the recipe's)",
     TRAIN | COMPARE, VALUE_WORD, AT(recipe.augment), augment_words, 0, 0},
    {"crop", "N", "largest shift by --augment flip-crop, in pixels (4)",
     TRAIN | COMPARE, VALUE_INT, AT(recipe.crop), NULL, 0, 31},
    {"no-shuffle", NULL, "use the training images in file order",
     TRAIN | COMPARE, VALUE_NONE, AT(no_shuffle), NULL, 0, 0},
    {"validation", "N", "evaluate N training images, held out by a fixed seed, instead of the test set (0: "
     "none)",
     TRAIN | COMPARE, VALUE_INT, AT(validation), NULL, 0, 1000000000},
    {"max-steps", "N", "stop after N optimizer steps (no limit)",
     TRAIN, VALUE_INT64, AT(max_steps), NULL, 1, 1000000000000},
    {"precision", NULL, "matrix arithmetic on the GPU (fp32)",
     TRAIN | EVAL | PREDICT | COMPARE | INFO, VALUE_WORD, AT(device.precision), precision_words, 0, 0},
    {"batch-norm", NULL, "GPU: train batch norm with cuDNN, or with kernels of our own that apply ReLU and "
     "dropout, too (cudnn)",
     TRAIN | COMPARE, VALUE_WORD, AT(device.batch_norm), batch_norm_words, 0, 0},
    {"fast-algorithms", NULL, "GPU: time all convolution algorithms and use the fastest, even if its "
     "results differ in their last bits from run to run",
     TRAIN | EVAL | PREDICT | COMPARE | INFO, VALUE_NONE, AT(device.fast_algorithms), NULL, 0, 0},
    {"no-graph", NULL, "GPU: launch each operation separately instead of replaying a CUDA graph (for "
     "debugging)",
     TRAIN | COMPARE, VALUE_NONE, AT(no_graph), NULL, 0, 0},
    {"threads", "N", "threads of the CPU backend ($OMP_NUM_THREADS, or what the system allows)",
     TRAIN | EVAL | PREDICT | COMPARE, VALUE_INT, AT(device.threads), NULL, 1, 1024},
    {"out", "DIR", "folder for the results (runs/NORM-RECIPE-SEED; compare: runs/compare-RECIPE, with "
     "--runs runs/compared-RECIPE)",
     TRAIN | COMPARE, VALUE_PATH, AT(out), NULL, 0, 0},
    {"seeds", "K", "compare: runs of each norm, with K seeds starting at --seed (3)",
     COMPARE, VALUE_INT, AT(seeds), NULL, 1, 100},
    {"batch-sizes", "LIST", "compare: also train with these batch sizes, such as 2,4,8,16,32,64,128, and "
     "proportional learning rates (none)",
     COMPARE, VALUE_INTS, AT(batch_sizes), NULL, 1, 50000},
    {"runs", NULL, "compare: train nothing; read finished runs from the given folders",
     COMPARE, VALUE_NONE, AT(runs), NULL, 0, 0},
    {"weights", "FILE", "weights to start from (train) or to use (eval, predict): a safetensors file, "
     "from a run or from PyTorch (none)",
     TRAIN | EVAL | PREDICT, VALUE_PATH, AT(weights), NULL, 0, 0},
    {"force", NULL, "overwrite the run in the --out folder",
     TRAIN | COMPARE, VALUE_NONE, AT(force), NULL, 0, 0},
    {"resume", NULL, "resume the run in --out from its last checkpoint, with the same options that it "
     "was started with",
     TRAIN, VALUE_NONE, AT(resume), NULL, 0, 0},
    {"checkpoint-seconds", "X", "save a checkpoint every X seconds within an epoch; 0: only after each "
     "epoch (60)",
     TRAIN | COMPARE, VALUE_NOT_NEGATIVE, AT(checkpoint_seconds), NULL, 0, 0},
    {"misclassified", "N", "number of misclassified images in the report, ten per page (10)",
     TRAIN | COMPARE, VALUE_INT, AT(misclassified), NULL, 1, 10000},
    {"no-report", NULL, "write no report.md and no pictures at the end of a run",
     TRAIN | COMPARE, VALUE_NONE, AT(no_report), NULL, 0, 0},
    {"tensorboard", NULL, "also write an event file for TensorBoard",
     TRAIN | COMPARE, VALUE_NONE, AT(tensorboard), NULL, 0, 0},
    {"json", NULL, "print one JSON object instead of text",
     EVAL | PREDICT | COMPARE | SUMMARY | INFO, VALUE_NONE, AT(json), NULL, 0, 0},
    {"png", "FILE", "also draw the network into this PNG file (none)",
     SUMMARY, VALUE_PATH, AT(png), NULL, 0, 0},
    {"quiet", NULL, "print errors only",
     TRAIN | COMPARE, VALUE_NONE, AT(quiet), NULL, 0, 0},
    {"no-progress", NULL, "draw no progress bar (drawn only on a terminal)",
     TRAIN | COMPARE, VALUE_NONE, AT(no_progress), NULL, 0, 0},
    {"help", NULL, "print this help; short form -h",
     ALL, VALUE_NONE, AT(help), NULL, 0, 0},
    {"version", NULL, "print the version",
     ALL, VALUE_NONE, AT(version), NULL, 0, 0},
};
/* clang-format on */
enum { OPTION_COUNT = sizeof table / sizeof table[0] };

/* ---- unknown names --------------------------------------------------------------------------- */

enum { SHOWN = 64 }; /* bytes of an unknown name or a wrong value that a message shows */

static enum status unknown_option(struct error *error, const char *name, int length) {
    struct suggestion suggestion = suggestion_for(name, length);
    for (int i = 0; i < OPTION_COUNT; i++)
        suggestion_offer(&suggestion, table[i].name);
    int shown = length < SHOWN ? length : SHOWN;
    if (suggestion.name == NULL)
        return error_set(error, STATUS_USAGE,
                         "unknown option --%.*s; `train_gpu --help` lists them all", shown, name);
    return error_set(error, STATUS_USAGE, "unknown option --%.*s; did you mean --%s?", shown, name,
                     suggestion.name);
}

static enum status unknown_command(struct error *error, const char *name) {
    struct suggestion suggestion = suggestion_for(name, (int)strlen(name));
    for (int i = 0; i < COMMAND_COUNT; i++)
        suggestion_offer(&suggestion, commands[i].name);
    if (suggestion.name == NULL)
        return error_set(error, STATUS_USAGE,
                         "unknown command '%.*s'; `train_gpu --help` lists them all", SHOWN, name);
    return error_set(error, STATUS_USAGE, "unknown command '%.*s'; did you mean %s?", SHOWN, name,
                     suggestion.name);
}

/* ---- parsing --------------------------------------------------------------------------------- */

static enum status find_option(struct error *error, const struct option **out, const char *name,
                               int length, enum command command) {
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (strncmp(table[i].name, name, (size_t)length) != 0 || table[i].name[length] != '\0')
            continue;
        *out = &table[i];
        if ((table[i].takers & 1u << command) == 0)
            return error_set(error, STATUS_USAGE,
                             "the command %s does not take --%s; `train_gpu %s --help` lists its "
                             "options",
                             commands[command].name, table[i].name, commands[command].name);
        return STATUS_OK;
    }
    return unknown_option(error, name, length);
}

/* Reads the option at argv[*place] and its value, and moves *place past them. Sets bit i of *given
 * for table[i]. */
static enum status parse_one(struct error *error, struct options *out, uint64_t *given, int *place,
                             int argc, char *const argv[]) {
    const char *name = argv[*place] + 2, *equals = strchr(name, '=');
    int length = equals != NULL ? (int)(equals - name) : (int)strlen(name);
    const struct option *option = NULL;
    if (length == 0)
        return error_set(error, STATUS_USAGE, "'%.*s' is not an option", SHOWN, argv[*place]);
    if (find_option(error, &option, name, length, out->command) != STATUS_OK)
        return error->status;
    *given |= UINT64_C(1) << (option - table);
    ++*place;
    char allowed[ALLOWED_CAPACITY];
    option_allowed(allowed, option);
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (option->kind == VALUE_NONE && value != NULL)
        return error_set(error, STATUS_USAGE, "--%s takes no value, but was given '%.*s'",
                         option->name, SHOWN, value);
    if (option->kind != VALUE_NONE && value == NULL) {
        if (*place == argc)
            return error_set(error, STATUS_USAGE, "--%s needs a value: %s", option->name, allowed);
        value = argv[(*place)++];
        if (strncmp(value, "--", 2) == 0)
            return error_set(error, STATUS_USAGE, "--%s needs a value: %s; '%.*s' is an option",
                             option->name, allowed, SHOWN, value);
    }
    if (!option_put((char *)out + option->offset, option, value))
        return error_set(error, STATUS_USAGE, "--%s: '%.*s' is not allowed; it takes %s",
                         option->name, SHOWN, value, allowed);
    return STATUS_OK;
}

static enum status unexpected(struct error *error, const char *text, bool takes_words) {
    return error_set(
        error, STATUS_USAGE, "unexpected argument '%.*s'; options begin with two dashes, and %s",
        SHOWN, text,
        takes_words ? "a file whose name begins with one comes after --" : "a command comes first");
}

/* Takes an argument that is not an option: the first pass counts them, later passes store them. */
static enum status take_word(struct error *error, struct options *out, const char *text) {
    size_t length = strlen(text);
    if (length == 0 || length >= PATH_CAPACITY)
        return error_set(
            error, STATUS_USAGE, "'%.*s' is not the path of %s; a path has 1 to %d bytes", SHOWN,
            text, out->command == COMMAND_COMPARE ? "a folder" : "an image", PATH_CAPACITY - 1);
    if (out->words != NULL)
        out->words[out->word_count] = text;
    out->word_count++;
    return STATUS_OK;
}

static bool names_option(const char *text) {
    return strncmp(text, "--", 2) == 0 && text[2] != '\0';
}

/* Reads all arguments from argv[first] on. */
static enum status parse_all(struct error *error, struct options *out, uint64_t *given, int first,
                             int argc, char *const argv[]) {
    bool takes_words = commands[out->command].words != NULL, options_end = false;
    out->word_count = 0;
    for (int place = first; place < argc;) {
        const char *text = argv[place];
        enum status status = STATUS_OK;
        if (takes_words && (options_end || text[0] != '-'))
            status = take_word(error, out, argv[place++]);
        else if (takes_words && strcmp(text, "--") == 0)
            options_end = true, place++;
        else if (strcmp(text, "-h") == 0)
            out->help = true, place++;
        else if (names_option(text))
            status = parse_one(error, out, given, &place, argc, argv);
        else
            status = unexpected(error, text, takes_words);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static bool was_given(uint64_t given, const char *name) {
    for (int i = 0; i < OPTION_COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return (given >> i & 1) != 0;
    return false;
}

static enum status parse_command(struct error *error, struct options *out, int argc,
                                 char *const argv[]) {
    if (argc < 2 || argv[1][0] == '-')
        return STATUS_OK;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            out->command = (enum command)i;
            out->command_named = true;
            return STATUS_OK;
        }
    }
    return unknown_command(error, argv[1]);
}

/* The data set without --data: the synthetic set that the weights were trained on, or the folder
 * $CIFAR10_DIR, or, if that is unset or empty, the folder of `make data`. */
static enum status default_data(struct error *error, struct options *out,
                                const struct weights_settings *file) {
    const char *folder = getenv("CIFAR10_DIR");
    if (file->synthetic) {
        snprintf(out->data, sizeof out->data, "synthetic:%" PRIu64, file->seed);
        return STATUS_OK;
    }
    if (folder == NULL || folder[0] == '\0')
        folder = "data/cifar-10-batches-bin";
    if (strlen(folder) >= sizeof out->data)
        return error_set(error, STATUS_USAGE,
                         "CIFAR10_DIR: its path has %zu bytes; at most %zu are allowed",
                         strlen(folder), sizeof out->data - 1);
    memcpy(out->data, folder, strlen(folder) + 1);
    return STATUS_OK;
}

/* Completes "synthetic" to "synthetic:SEED", where SEED is that of --seed, and checks a given
 * SEED. */
static enum status resolve_data(struct error *error, struct options *out) {
    static const char alone[] = "synthetic", seeded[] = "synthetic:";
    uint64_t seed = out->seed;
    bool has_seed = strncmp(out->data, seeded, sizeof seeded - 1) == 0;
    if (!has_seed && strcmp(out->data, alone) != 0)
        return STATUS_OK;
    if (has_seed && !dataset_is_synthetic(&seed, out->data))
        return error_set(error, STATUS_USAGE,
                         "--data '%.*s': the seed of the synthetic set is a number from 0 to "
                         "%" PRIu64 "; a folder of this name is ./%.*s",
                         SHOWN, out->data, UINT64_MAX, SHOWN, out->data);
    snprintf(out->data, sizeof out->data, "%s%" PRIu64, seeded, seed);
    return STATUS_OK;
}

/* Checks the options of `compare` against each other. */
static enum status check_compare(struct error *error, const struct options *options,
                                 uint64_t given) {
    static const char *const of_reading[] = {"runs",        "out",       "json", "quiet",
                                             "no-progress", "no-report", NULL};
    if (!options->runs && options->word_count > 0)
        return error_set(error, STATUS_USAGE,
                         "unexpected argument '%.*s'; to compare the runs in folders, give --runs",
                         SHOWN, options->words[0]);
    if (!options->runs && options->seed > UINT64_MAX - (uint64_t)(options->seeds - 1))
        return error_set(error, STATUS_USAGE,
                         "--seed %" PRIu64 " with --seeds %d: the last seed would be above "
                         "%" PRIu64 "; give a smaller --seed",
                         options->seed, options->seeds, UINT64_MAX);
    if (!options->runs)
        return STATUS_OK;
    if (options->word_count == 0)
        return error_set(error, STATUS_USAGE,
                         "--runs needs the folder of at least one finished run");
    for (int i = 0; i < OPTION_COUNT; i++) {
        bool allowed = (given >> i & 1) == 0;
        for (int k = 0; of_reading[k] != NULL; k++)
            allowed = allowed || strcmp(table[i].name, of_reading[k]) == 0;
        if (!allowed)
            return error_set(error, STATUS_USAGE,
                             "--%s is for training, but --runs trains nothing; leave out one of "
                             "them",
                             table[i].name);
    }
    return STATUS_OK;
}

/* Checks options against each other. */
static enum status check_together(struct error *error, const struct options *options,
                                  uint64_t given) {
    if (was_given(given, "groups") && options->command != COMMAND_COMPARE &&
        options->recipe.norm != NORM_GROUP)
        return error_set(error, STATUS_USAGE, "--groups: only --norm gn has groups, not --norm %s",
                         norm_option(options->recipe.norm));
    if ((was_given(given, "muon-lr") || was_given(given, "muon-momentum")) &&
        options->recipe.optimizer != OPTIMIZER_MUON)
        return error_set(error, STATUS_USAGE,
                         "--muon-lr and --muon-momentum are for --optimizer muon, not %s",
                         optimizer_option(options->recipe.optimizer));
    if (was_given(given, "crop") && options->command != COMMAND_COMPARE &&
        options->recipe.augment != AUGMENT_FLIP_CROP)
        return error_set(error, STATUS_USAGE, "--crop is for --augment flip-crop, not %s",
                         augment_option(options->recipe.augment));
    if (options->resume && options->force)
        return error_set(error, STATUS_USAGE,
                         "--resume resumes a run and --force starts over; give only one of them");
    if (options->help || options->version)
        return STATUS_OK;
    bool needs_weights = options->command == COMMAND_EVAL || options->command == COMMAND_PREDICT;
    if (needs_weights && !was_given(given, "weights"))
        return error_set(error, STATUS_USAGE,
                         "%s needs --weights FILE: the model.safetensors or best.safetensors of "
                         "a run, or weights saved with PyTorch's safetensors",
                         commands[options->command].name);
    if (options->command == COMMAND_PREDICT && options->word_count == 0)
        return error_set(error, STATUS_USAGE, "%s needs at least one image, a PNG file",
                         commands[options->command].name);
    return options->command == COMMAND_COMPARE ? check_compare(error, options, given) : STATUS_OK;
}

/* The folder for the results without --out; `compare --runs` must read the recipe of a run
 * first. */
static void default_out(struct options *out) {
    const char *recipe = recipe_option(out->recipe.kind);
    if (out->runs)
        out->out[0] = '\0';
    else if (out->command == COMMAND_COMPARE)
        snprintf(out->out, sizeof out->out, "runs/compare-%s", recipe);
    else
        snprintf(out->out, sizeof out->out, "runs/%s-%s-%" PRIu64, norm_option(out->recipe.norm),
                 recipe, out->seed);
}

static void set_defaults(struct options *out) {
    memset(out, 0, sizeof *out);
    out->seed = 1;
    out->seeds = 3;
    out->checkpoint_seconds = 60;
    out->misclassified = 10;
    out->recipe.kind = RECIPE_TUNED;
    out->recipe.norm = NORM_GROUP;
}

/* Reads all arguments once more, with the recipe's row for one norm as defaults. */
static enum status parse_over_row(struct error *error, struct options *out, enum norm_kind norm,
                                  uint64_t *given, int first, int argc, char *const argv[]) {
    const struct recipe *row = recipe_find(out->recipe.kind, norm);
    out->recipe = *row;
    if (parse_all(error, out, given, first, argc, argv) != STATUS_OK)
        return error->status;
    if (out->command == COMMAND_COMPARE && norm != NORM_GROUP)
        out->recipe.groups = row->groups; /* --groups is for group norm only */
    return STATUS_OK;
}

/* Reads the settings in the file of --weights; none if it cannot be read: the command will try
 * again and report the error. */
static enum status read_settings(struct error *error, struct weights_settings *out,
                                 const struct options *options) {
    json_t *metadata;
    *out = (struct weights_settings){.known = false};
    if (options->weights[0] == '\0' || options->help || options->version)
        return STATUS_OK;
    enum status status = weights_read_metadata(error, &metadata, options->weights);
    if (status == STATUS_OK)
        *out = weights_metadata_settings(metadata);
    json_decref(metadata);
    return status == STATUS_BAD_DATA ? STATUS_OK : status;
}

/* Reads all arguments with the row of recipe and norm as defaults; for `compare`, once for each
 * norm. Settings in the weights file override the row. */
static enum status parse_over_rows(struct error *error, struct options *out,
                                   const struct weights_settings *file, uint64_t *given, int first,
                                   int argc, char *const argv[]) {
    if (file->known && !was_given(*given, "norm"))
        out->recipe.norm = file->norm;
    if (file->known && !was_given(*given, "recipe"))
        out->recipe.kind = file->recipe;
    enum norm_kind norm = out->recipe.norm;
    for (int row = 0; row < NORM_COUNT && out->command == COMMAND_COMPARE; row++) {
        if (parse_over_row(error, out, (enum norm_kind)row, given, first, argc, argv) != STATUS_OK)
            return error->status;
        out->recipes[row] = out->recipe;
    }
    if (parse_over_row(error, out, norm, given, first, argc, argv) != STATUS_OK)
        return error->status;
    bool same = file->known && file->norm == norm && file->recipe == out->recipe.kind;
    if (same && file->groups > 0 && !was_given(*given, "groups"))
        out->recipe.groups = file->groups;
    if (same && !was_given(*given, "activation"))
        out->recipe.activation = file->activation;
    if (same && file->channels[0] > 0 && !was_given(*given, "channels"))
        memcpy(out->recipe.channels, file->channels, sizeof file->channels);
    return STATUS_OK;
}

static enum status parse(struct error *error, struct options *out, int argc, char *const argv[]) {
    _Static_assert(OPTION_COUNT <= 64, "one bit of `given` for each option");
    struct weights_settings file;
    set_defaults(out);
    if (parse_command(error, out, argc, argv) != STATUS_OK)
        return error->status;
    int first = out->command_named ? 2 : 1;
    uint64_t given = 0;
    /* The first pass checks everything and finds norm, recipe and weights file, which determine the
     * defaults of the other options. */
    if (parse_all(error, out, &given, first, argc, argv) != STATUS_OK)
        return error->status;
    if (out->word_count > 0 && memory_alloc(error, &out->words, (size_t)out->word_count,
                                            sizeof *out->words, "the paths") != STATUS_OK)
        return error->status;
    if (read_settings(error, &file, out) != STATUS_OK ||
        parse_over_rows(error, out, &file, &given, first, argc, argv) != STATUS_OK ||
        check_together(error, out, given) != STATUS_OK)
        return error->status;
    if (!was_given(given, "data") && default_data(error, out, &file) != STATUS_OK)
        return error->status;
    if (!was_given(given, "out"))
        default_out(out);
    return resolve_data(error, out);
}

enum status command_line_parse(struct error *error, struct options *out, int argc,
                               char *const argv[]) {
    enum status status = parse(error, out, argc, argv);
    if (status != STATUS_OK)
        command_line_free(out);
    return status;
}

void command_line_free(struct options *options) {
    memory_free(options->words);
    options->words = NULL;
    options->word_count = 0;
}

/* ---- help ------------------------------------------------------------------------------------ */

/* Prints `text`, wrapped at spaces to fewer than 100 columns. The first line starts at the cursor,
 * the others after `column` blanks. */
static enum status print_wrapped(struct error *error, int column, const char *text) {
    int room = 99 - column;
    while ((int)strlen(text) > room) {
        int length = room;
        while (text[length] != ' ')
            length--;
        if (output_print(error, "%.*s\n%*s", length, text, column, "") != STATUS_OK)
            return error->status;
        text += length + 1;
    }
    return output_print(error, "%s\n", text);
}

static enum status print_option(struct error *error, const struct option *option) {
    enum { COLUMN = 34 };
    char left[COLUMN * 2], argument[ALLOWED_CAPACITY];
    snprintf(left, sizeof left, "--%s %s", option->name, option_argument(argument, option));
    if (output_print(error, "  %-*s", COLUMN - 2, left) != STATUS_OK)
        return error->status;
    return print_wrapped(error, COLUMN, option->help);
}

static enum status print_commands(struct error *error) {
    if (output_print(error, "usage: train_gpu [COMMAND] [OPTIONS]\n\n"
                            "Trains small networks for CIFAR-10 that differ in their "
                            "normalization.\n\ncommands:\n") != STATUS_OK)
        return error->status;
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (output_print(error, "  %-10s %s\n", commands[i].name, commands[i].help) != STATUS_OK)
            return error->status;
    return output_print(error, "\n`train_gpu COMMAND --help` lists the options of one command.\n");
}

enum status command_line_help(struct error *error, const struct options *options) {
    const char *words = commands[options->command].words;
    enum status status;
    if (options->command_named)
        status = output_print(error, "usage: train_gpu %s [OPTIONS]%s%s: %s\n",
                              commands[options->command].name, words == NULL ? "" : " ",
                              words == NULL ? "" : words, commands[options->command].help);
    else
        status = print_commands(error);
    if (status != STATUS_OK ||
        output_print(error, "\noptions (defaults in parentheses):\n") != STATUS_OK)
        return error->status;
    for (int i = 0; i < OPTION_COUNT; i++) {
        bool taken = (table[i].takers & 1u << options->command) != 0;
        if ((taken || !options->command_named) && print_option(error, &table[i]) != STATUS_OK)
            return error->status;
    }
    if (output_print(
            error, "\nexit status: 0 success; 1 failure while running; 2 wrong usage; 3 no usable "
                   "device;\n4 bad or missing data, weights, images or checkpoint; 5 training "
                   "diverged;\n129, 130, 138, 143 stopped by SIGHUP, SIGINT, SIGUSR1, SIGTERM, "
                   "after saving a checkpoint\n") != STATUS_OK)
        return error->status;
    return output_flush(error);
}
