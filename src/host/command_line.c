/* command_line.c: the command line. One table says everything about an option: its help, the commands
 * that take it, what it allows and where its value goes. A new option is a row there. */
#include "command_line.h"

#include "base/output.h"
#include "data/dataset.h"
#include "memory.h"
#include "option_values.h"
#include "suggest.h"

#include <inttypes.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ------------------------------------------------------------------------------ */

static const struct {
    const char *name, *help;
    const char *words; /* that it takes anywhere among the options, for the help; NULL: none */
} commands[COMMAND_COUNT] = {
    [COMMAND_TRAIN] = {"train", "train one network (the default command)", NULL},
    [COMMAND_EVAL] = {"eval", "print loss and accuracy of saved weights on the test set", NULL},
    [COMMAND_PREDICT] = {"predict", "print what saved weights see in PNG images", "IMAGE.png ..."},
    [COMMAND_COMPARE] = {"compare",
                         "train all three norms with several seeds and report how they differ",
                         "[--runs DIR ...]"},
    [COMMAND_SUMMARY] = {"summary", "print the layer table and the parameter count", NULL},
    [COMMAND_INFO] = {"info",
                      "print version, backends, devices with the algorithms they choose, libraries",
                      NULL},
};

/* Commands that take an option. */
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

static const char *const norm_words[] = {"bn", "gn", "ln", NULL};
static const char *const recipe_words[] = {"tuned", "reference", NULL};
static const char *const augment_words[] = {"none", "flip-crop", NULL};
static const char *const precision_words[] = {"fp32", "tf32", NULL}; /* enum precision */

#define AT(member) offsetof(struct options, member)

/* clang-format off */
static const struct option table[] = {
    {"norm", "bn|gn|ln", "normalization: batch, group or layer norm (gn)",
     ONE_NORM, VALUE_WORD, AT(recipe.norm), norm_words, 0, 0},
    {"recipe", "tuned|reference", "reference: the published network and hyper-parameters; "
     "tuned: ours (tuned)",
     ALL, VALUE_WORD, AT(recipe.kind), recipe_words, 0, 0},
    {"data", "DIR|synthetic[:SEED]", "folder of the six CIFAR-10 binary files, or a built-in set for "
     "trying things out, made from --seed or SEED ($CIFAR10_DIR, else data/cifar-10-batches-bin)",
     TRAIN | EVAL | COMPARE, VALUE_PATH, AT(data), NULL, 0, 0},
    {"device", "auto|cuda|cuda:N|cpu", "what to compute on (auto: the best that this machine has)",
     TRAIN | EVAL | PREDICT | COMPARE, VALUE_DEVICE, AT(device), NULL, 0, 0},
    {"epochs", "N", "passes over the training set (the recipe's)",
     TRAIN | COMPARE, VALUE_INT, AT(recipe.epochs), NULL, 1, 100000},
    {"batch-size", "N", "images computed at once, in training those of an optimizer step (the recipe's)",
     TRAIN | EVAL | PREDICT | COMPARE | INFO, VALUE_INT, AT(recipe.batch_size), NULL, 1, 50000},
    {"lr", "X", "peak learning rate; the schedule stays the recipe's (the recipe's)",
     TRAIN | COMPARE, VALUE_POSITIVE, AT(recipe.learning_rate), NULL, 0, 0},
    {"momentum", "X", "momentum of SGD (the recipe's)",
     TRAIN | COMPARE, VALUE_FRACTION, AT(recipe.momentum), NULL, 0, 0},
    {"weight-decay", "X", "weight decay of the convolutions (the recipe's)",
     TRAIN | COMPARE, VALUE_NOT_NEGATIVE, AT(recipe.weight_decay), NULL, 0, 0},
    {"dropout", "P", "probability that dropout makes an element zero (the recipe's)",
     TRAIN | COMPARE | SUMMARY, VALUE_FRACTION, AT(recipe.dropout), NULL, 0, 0},
    {"groups", "G", "groups of channels, of group norm only (the recipe's)",
     TRAIN | EVAL | PREDICT | COMPARE | SUMMARY, VALUE_INT, AT(recipe.groups), NULL, 1, 512},
    {"seed", "N", "seed of everything random (1)",
     TRAIN | EVAL | COMPARE, VALUE_UINT64, AT(seed), NULL, 0, UINT64_MAX},
    {"augment", "none|flip-crop", "random changes to the training images (the recipe's)",
     TRAIN | COMPARE, VALUE_WORD, AT(recipe.augment), augment_words, 0, 0},
    {"no-shuffle", NULL, "take the training images in file order",
     TRAIN | COMPARE, VALUE_NONE, AT(no_shuffle), NULL, 0, 0},
    {"max-steps", "N", "stop after N optimizer steps (no limit)",
     TRAIN, VALUE_INT64, AT(max_steps), NULL, 1, 1000000000000},
    {"precision", "fp32|tf32", "matrix arithmetic on the GPU (fp32)",
     TRAIN | EVAL | PREDICT | COMPARE | INFO, VALUE_WORD, AT(device.precision), precision_words, 0, 0},
    {"fast-algorithms", NULL, "GPU: time all convolution algorithms and take the fastest, even where its "
     "last bits differ from run to run",
     TRAIN | EVAL | PREDICT | COMPARE | INFO, VALUE_NONE, AT(device.fast_algorithms), NULL, 0, 0},
    {"no-graph", NULL, "GPU: issue every step call by call instead of replaying a recorded CUDA graph "
     "(for debugging)",
     TRAIN | COMPARE, VALUE_NONE, AT(no_graph), NULL, 0, 0},
    {"threads", "N", "threads of the CPU backend (one a core)",
     TRAIN | EVAL | PREDICT | COMPARE, VALUE_INT, AT(device.threads), NULL, 1, 1024},
    {"out", "DIR", "folder for the results (runs/NORM-RECIPE-SEED; compare: runs/compare-RECIPE, with --runs runs/compared-RECIPE)",
     TRAIN | COMPARE, VALUE_PATH, AT(out), NULL, 0, 0},
    {"seeds", "K", "compare: runs of each norm, with K seeds from --seed on (3)",
     COMPARE, VALUE_INT, AT(seeds), NULL, 1, 100},
    {"batch-sizes", "LIST", "compare: also train with these batch sizes, as 2,4,8,16,32,64,128, the "
     "learning rate in proportion (none)",
     COMPARE, VALUE_INTS, AT(batch_sizes), NULL, 1, 50000},
    {"runs", NULL, "compare: train nothing, read the finished runs in the folders that are named",
     COMPARE, VALUE_NONE, AT(runs), NULL, 0, 0},
    {"weights", "FILE", "train: start from these weights; eval, predict: use them; a safetensors file of "
     "a run or of PyTorch (none)",
     TRAIN | EVAL | PREDICT, VALUE_PATH, AT(weights), NULL, 0, 0},
    {"force", NULL, "overwrite a run in that folder",
     TRAIN | COMPARE, VALUE_NONE, AT(force), NULL, 0, 0},
    {"resume", NULL, "resume the run in --out from its last checkpoint; the other options must be the "
     "same as when it was started",
     TRAIN, VALUE_NONE, AT(resume), NULL, 0, 0},
    {"checkpoint-seconds", "X", "save a checkpoint within an epoch every X seconds; 0: after each epoch "
     "only (60)",
     TRAIN | COMPARE, VALUE_NOT_NEGATIVE, AT(checkpoint_seconds), NULL, 0, 0},
    {"misclassified", "N", "images that the report shows of those misclassified, ten a page (10)",
     TRAIN | COMPARE, VALUE_INT, AT(misclassified), NULL, 1, 10000},
    {"no-report", NULL, "write no report.md and no pictures of a run at its end",
     TRAIN | COMPARE, VALUE_NONE, AT(no_report), NULL, 0, 0},
    {"tensorboard", NULL, "write an event file for TensorBoard into that folder as well",
     TRAIN | COMPARE, VALUE_NONE, AT(tensorboard), NULL, 0, 0},
    {"json", NULL, "print one JSON object instead of text",
     EVAL | PREDICT | COMPARE | SUMMARY | INFO, VALUE_NONE, AT(json), NULL, 0, 0},
    {"png", "FILE", "also draw the network into this PNG file (none)",
     SUMMARY, VALUE_PATH, AT(png), NULL, 0, 0},
    {"quiet", NULL, "print errors only",
     TRAIN | COMPARE, VALUE_NONE, AT(quiet), NULL, 0, 0},
    {"no-progress", NULL, "draw no progress bar (one is drawn on a terminal only)",
     TRAIN | COMPARE, VALUE_NONE, AT(no_progress), NULL, 0, 0},
    {"help", NULL, "print this help; -h for short",
     ALL, VALUE_NONE, AT(help), NULL, 0, 0},
    {"version", NULL, "print the version",
     ALL, VALUE_NONE, AT(version), NULL, 0, 0},
};
/* clang-format on */
enum { OPTION_COUNT = sizeof table / sizeof table[0] };

/* ---- unknown names -----------------------------------------------------------------------------
 */

enum { SHOWN = 64 }; /* bytes of an unknown name or a wrong value that a message repeats */

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
            return error_set(error, STATUS_USAGE, "the command %s does not take --%s",
                             commands[command].name, table[i].name);
        return STATUS_OK;
    }
    return unknown_option(error, name, length);
}

/* Reads the option at argv[*place] and its value, and moves *place past them; *given gets bit i
 * when it is table[i]. */
static enum status parse_one(struct error *error, struct options *out, uint64_t *given, int *place,
                             int argc, char *const argv[]) {
    const char *name = argv[*place] + 2, *equals = strchr(name, '=');
    int length = equals != NULL ? (int)(equals - name) : (int)strlen(name);
    const struct option *option = NULL;
    if (length == 0)
        return error_set(error, STATUS_USAGE, "'%.*s' names no option", SHOWN, argv[*place]);
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

/* Takes one word that is no option. The first walk counts the words, the later ones list them. */
static enum status take_word(struct error *error, struct options *out, const char *text) {
    size_t length = strlen(text);
    if (length == 0 || length >= PATH_CAPACITY)
        return error_set(error, STATUS_USAGE, "'%.*s' names no %s; a path has 1 to %d bytes", SHOWN,
                         text, out->command == COMMAND_COMPARE ? "folder" : "image",
                         PATH_CAPACITY - 1);
    if (out->words != NULL)
        out->words[out->word_count] = text;
    out->word_count++;
    return STATUS_OK;
}

static bool names_option(const char *text) {
    return strncmp(text, "--", 2) == 0 && text[2] != '\0';
}

/* Reads all words from argv[first] on. */
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

/* The folder of the data set where --data is not given: that of CIFAR10_DIR, if it is set and not
 * empty. */
static enum status default_data(struct error *error, struct options *out) {
    const char *folder = getenv("CIFAR10_DIR");
    if (folder == NULL || folder[0] == '\0')
        folder = "data/cifar-10-batches-bin";
    if (strlen(folder) >= sizeof out->data)
        return error_set(error, STATUS_USAGE,
                         "CIFAR10_DIR: the path is %zu bytes long; at most %zu are allowed",
                         strlen(folder), sizeof out->data - 1);
    memcpy(out->data, folder, strlen(folder) + 1);
    return STATUS_OK;
}

/* The synthetic set is named with its seed, which is --seed unless one is given, in one way. */
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

/* What `compare` alone can be wrong about. */
static enum status check_compare(struct error *error, const struct options *options,
                                 uint64_t given) {
    static const char *const of_reading[] = {"runs",        "out",       "json", "quiet",
                                             "no-progress", "no-report", NULL};
    if (!options->runs && options->word_count > 0)
        return error_set(error, STATUS_USAGE,
                         "unexpected argument '%.*s'; folders of runs to compare want --runs",
                         SHOWN, options->words[0]);
    if (!options->runs && options->seed > UINT64_MAX - (uint64_t)(options->seeds - 1))
        return error_set(error, STATUS_USAGE,
                         "--seed %" PRIu64 " with --seeds %d: the last seed would be above "
                         "%" PRIu64 "; give a smaller one",
                         options->seed, options->seeds, UINT64_MAX);
    if (!options->runs)
        return STATUS_OK;
    if (options->word_count == 0)
        return error_set(error, STATUS_USAGE, "--runs needs folders of finished runs, one or more");
    for (int i = 0; i < OPTION_COUNT; i++) {
        bool allowed = (given >> i & 1) == 0;
        for (int k = 0; of_reading[k] != NULL; k++)
            allowed = allowed || strcmp(table[i].name, of_reading[k]) == 0;
        if (!allowed)
            return error_set(error, STATUS_USAGE,
                             "--%s says how to train, but with --runs nothing is trained; leave "
                             "out one of them",
                             table[i].name);
    }
    return STATUS_OK;
}

/* What no option is wrong about alone. */
static enum status check_together(struct error *error, const struct options *options,
                                  uint64_t given) {
    if (was_given(given, "groups") && options->command != COMMAND_COMPARE &&
        options->recipe.norm != NORM_GROUP)
        return error_set(error, STATUS_USAGE, "--groups: only --norm gn has groups, not --norm %s",
                         norm_option(options->recipe.norm));
    if (options->resume && options->force)
        return error_set(error, STATUS_USAGE,
                         "--resume goes on with a run and --force begins anew; give one of them");
    if (options->help || options->version)
        return STATUS_OK;
    bool needs_weights = options->command == COMMAND_EVAL || options->command == COMMAND_PREDICT;
    if (needs_weights && !was_given(given, "weights"))
        return error_set(error, STATUS_USAGE,
                         "%s needs --weights FILE: the model.safetensors or best.safetensors of "
                         "a run, or weights saved with PyTorch's safetensors",
                         commands[options->command].name);
    if (options->command == COMMAND_PREDICT && options->word_count == 0)
        return error_set(error, STATUS_USAGE, "%s needs an image: one PNG file or more",
                         commands[options->command].name);
    return options->command == COMMAND_COMPARE ? check_compare(error, options, given) : STATUS_OK;
}

/* The cores that this process may use. */
static int available_cores(void) {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

/* The folder of the results where --out is not given; `compare --runs` has to read the recipe
 * first.
 */
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
    out->device.threads = available_cores();
    out->recipe.kind = RECIPE_TUNED;
    out->recipe.norm = NORM_GROUP;
}

/* Reads all words once more, over the row of one norm. */
static enum status parse_over_row(struct error *error, struct options *out, enum norm_kind norm,
                                  uint64_t *given, int first, int argc, char *const argv[]) {
    const struct recipe *row = recipe_find(out->recipe.kind, norm);
    out->recipe = *row;
    if (parse_all(error, out, given, first, argc, argv) != STATUS_OK)
        return error->status;
    if (out->command == COMMAND_COMPARE && norm != NORM_GROUP)
        out->recipe.groups = row->groups; /* --groups is for group norm */
    return STATUS_OK;
}

static enum status parse(struct error *error, struct options *out, int argc, char *const argv[]) {
    _Static_assert(OPTION_COUNT <= 64, "one bit of `given` for each option");
    set_defaults(out);
    if (parse_command(error, out, argc, argv) != STATUS_OK)
        return error->status;
    int first = out->command_named ? 2 : 1;
    uint64_t given = 0;
    /* The first walk checks everything and finds recipe and norm; the later ones put the other
     * values over the row that these name: `compare` wants those of all norms. */
    if (parse_all(error, out, &given, first, argc, argv) != STATUS_OK)
        return error->status;
    if (out->word_count > 0 && memory_alloc(error, &out->words, (size_t)out->word_count,
                                            sizeof *out->words, "the paths") != STATUS_OK)
        return error->status;
    enum norm_kind norm = out->recipe.norm;
    for (int row = 0; row < NORM_COUNT && out->command == COMMAND_COMPARE; row++) {
        if (parse_over_row(error, out, (enum norm_kind)row, &given, first, argc, argv) != STATUS_OK)
            return error->status;
        out->recipes[row] = out->recipe;
    }
    if (parse_over_row(error, out, norm, &given, first, argc, argv) != STATUS_OK ||
        check_together(error, out, given) != STATUS_OK ||
        (!was_given(given, "data") && default_data(error, out) != STATUS_OK))
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

/* Prints `text` after `column` blanks, broken at spaces so that lines stay below 100 columns; the
 * first line starts where the cursor is. */
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
    char left[COLUMN * 2];
    snprintf(left, sizeof left, "--%s %s", option->name,
             option->argument == NULL ? "" : option->argument);
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
        output_print(error, "\noptions (and what holds without them):\n") != STATUS_OK)
        return error->status;
    for (int i = 0; i < OPTION_COUNT; i++) {
        bool taken = (table[i].takers & 1u << options->command) != 0;
        if ((taken || !options->command_named) && print_option(error, &table[i]) != STATUS_OK)
            return error->status;
    }
    if (output_print(error,
                     "\nexit status: 0 done; 1 failed while running; 2 wrong usage; 3 no usable "
                     "device;\n4 bad or missing data, weights, images or checkpoint; 5 training "
                     "diverged;\n130/143 "
                     "stopped by SIGINT/SIGTERM, after a checkpoint was saved\n") != STATUS_OK)
        return error->status;
    return output_flush(error);
}
