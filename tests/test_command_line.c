/* test_command_line.c: what the command line accepts, and every value that it rejects, with the
 * message. */
#include "support.h"

#include "command_line.h"
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 32 };

/* Parses words separated by single spaces; '~' stands for an empty word. */
static enum status parse(struct error *error, struct options *out, const char *line) {
    static char text[4096];
    static char name[] = "train_gpu";
    char *argv[MAX_WORDS] = {name};
    int argc = 1;
    assert_true((size_t)snprintf(text, sizeof text, "%s", line) < sizeof text);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < MAX_WORDS - 1);
        if (strcmp(word, "~") == 0)
            word[0] = '\0';
        argv[argc++] = word;
    }
    return command_line_parse(error, out, argc, argv);
}

static struct options parse_ok(const char *line) {
    struct error error;
    struct options options;
    assert_succeeded(parse(&error, &options, line), &error);
    return options;
}

#define REJECTS(line, ...)                                                                         \
    do {                                                                                           \
        struct error error_;                                                                       \
        struct options options_;                                                                   \
        FAILED(parse(&error_, &options_, line), STATUS_USAGE, &error_, __VA_ARGS__);               \
    } while (0)

static void defaults(void **state) {
    (void)state;
    unsetenv("CIFAR10_DIR");
    struct options options = parse_ok("");
    assert_int_equal(options.command, COMMAND_TRAIN);
    assert_int_equal(options.recipe.norm, NORM_GROUP);
    assert_int_equal(options.recipe.kind, RECIPE_TUNED);
    assert_int_equal(options.device.kind, DEVICE_AUTO);
    assert_int_equal(options.device.threads, 0); /* OpenMP's default */
    assert_true(options.seed == 1);
    assert_true(options.max_steps == 0);
    assert_int_equal(options.validation, 0);
    assert_string_equal(options.data, "data/cifar-10-batches-bin");
    assert_string_equal(options.out, "runs/gn-tuned-1");
    assert_string_equal(options.weights, "");
    assert_false(options.no_shuffle || options.force || options.tensorboard || options.json ||
                 options.quiet || options.no_progress || options.help || options.version);
    const struct recipe *row = recipe_find(RECIPE_TUNED, NORM_GROUP);
    assert_memory_equal(&options.recipe, row, sizeof *row);
}

static void data_folder_of_the_environment(void **state) {
    (void)state;
    setenv("CIFAR10_DIR", "/some/where", 1);
    assert_string_equal(parse_ok("").data, "/some/where");
    setenv("CIFAR10_DIR", "", 1);
    assert_string_equal(parse_ok("").data, "data/cifar-10-batches-bin");
    char *path = malloc(2000);
    memset(path, 'a', 1999);
    path[1999] = '\0';
    setenv("CIFAR10_DIR", path, 1);
    REJECTS("", "CIFAR10_DIR", "1999", "1023");
    unsetenv("CIFAR10_DIR");
    free(path);
}

static void the_synthetic_set_has_a_seed(void **state) {
    (void)state;
    assert_string_equal(parse_ok("--data synthetic").data, "synthetic:1");
    assert_string_equal(parse_ok("--seed 7 --data synthetic").data, "synthetic:7");
    assert_string_equal(parse_ok("compare --data synthetic --seed 7 --seeds 2").data,
                        "synthetic:7");
    assert_string_equal(parse_ok("--data synthetic:18446744073709551615 --seed 7").data,
                        "synthetic:18446744073709551615");
    assert_string_equal(parse_ok("--data ./synthetic:x").data, "./synthetic:x");
    assert_string_equal(parse_ok("--data synthetics").data, "synthetics");
    assert_string_equal(parse_ok("--data synthetic:007").data, "synthetic:7");
    setenv("CIFAR10_DIR", "synthetic", 1);
    assert_string_equal(parse_ok("--seed 2").data, "synthetic:2");
    assert_string_equal(parse_ok("--data d").data, "d");
    setenv("CIFAR10_DIR", "synthetic:2x", 1);
    REJECTS("", "'synthetic:2x'", "a number");
    unsetenv("CIFAR10_DIR");
    REJECTS("--data synthetic:", "'synthetic:'", "18446744073709551615", "./synthetic:");
    REJECTS("--data synthetic:18446744073709551616", "from 0 to 18446744073709551615");
    REJECTS("--data synthetic:-1", "'synthetic:-1'", "a number");
    REJECTS("--data synthetic:1x", "a number");
}

static void every_option(void **state) {
    (void)state;
    struct options options =
        parse_ok("train --norm bn --recipe reference --data d --device cpu --epochs 3 "
                 "--batch-size 50 --lr 0.25");
    assert_int_equal(options.recipe.norm, NORM_BATCH);
    assert_int_equal(options.recipe.kind, RECIPE_REFERENCE);
    assert_string_equal(options.data, "d");
    assert_int_equal(options.device.kind, DEVICE_CPU);
    assert_int_equal(options.recipe.epochs, 3);
    assert_int_equal(options.recipe.batch_size, 50);
    assert_true(options.recipe.learning_rate == 0.25f);
    assert_int_equal(options.recipe.milestones[0], 8); /* the schedule stays */
    options = parse_ok("--momentum=0 --weight-decay=1e-3 --dropout=.5 --groups=2 --seed=9 "
                       "--augment=none --max-steps=7 --threads=3 --out=o --validation=5000");
    assert_true(options.recipe.momentum == 0.0f);
    assert_true(options.recipe.weight_decay == 1e-3f);
    assert_true(options.recipe.dropout == 0.5f);
    assert_int_equal(options.recipe.groups, 2);
    assert_true(options.seed == 9);
    assert_int_equal(options.recipe.augment, AUGMENT_NONE);
    assert_true(options.max_steps == 7);
    assert_int_equal(options.validation, 5000);
    assert_int_equal(options.device.threads, 3);
    assert_string_equal(options.out, "o");
    options = parse_ok("--no-shuffle --force --tensorboard --quiet --no-progress");
    assert_true(options.no_shuffle && options.force && options.tensorboard && options.quiet &&
                options.no_progress);
    options = parse_ok("--precision tf32 --fast-algorithms --no-graph --device cuda "
                       "--batch-norm own");
    assert_int_equal(options.device.batch_norm, BATCH_NORM_OWN);
    assert_int_equal(options.device.precision, PRECISION_TF32);
    assert_true(options.device.fast_algorithms && options.no_graph);
    assert_int_equal(parse_ok("info --norm bn --recipe reference --batch-size 9 --precision fp32")
                         .device.precision,
                     PRECISION_FP32);
    assert_string_equal(parse_ok("--weights w.safetensors").weights, "w.safetensors");
    options =
        parse_ok("eval --norm bn --recipe reference --data d --device cuda:1 --batch-size 7 "
                 "--precision tf32 --fast-algorithms --threads 2 --seed 4 --json --weights w");
    assert_int_equal(options.command, COMMAND_EVAL);
    assert_string_equal(options.weights, "w");
    assert_string_equal(options.data, "d");
    assert_int_equal(options.recipe.kind, RECIPE_REFERENCE);
    assert_int_equal(options.recipe.batch_size, 7);
    assert_int_equal(options.device.index, 1);
    assert_int_equal(options.device.precision, PRECISION_TF32);
    assert_true(options.device.fast_algorithms && options.json && options.seed == 4);
    assert_int_equal(parse_ok("eval --weights w --groups 2").recipe.groups, 2);
    assert_true(parse_ok("summary --json").json);
    assert_string_equal(parse_ok("summary --png a/b.png").png, "a/b.png");
    assert_string_equal(parse_ok("summary").png, "");
    assert_true(parse_ok("info --json").json);
    assert_true(parse_ok("--help").help);
    assert_true(parse_ok("-h").help);
    assert_true(parse_ok("info --help").help);
    assert_true(parse_ok("eval --help").help); /* without --weights */
    assert_true(parse_ok("eval --version").version);
    assert_true(parse_ok("--version").version);
}

/* The words of the table have the order of the enums, whose own words are in recipe.c. */
static void words_of_the_enums(void **state) {
    (void)state;
    const enum norm_kind norms[] = {NORM_BATCH, NORM_GROUP, NORM_LAYER};
    const enum recipe_kind recipes[] = {RECIPE_TUNED, RECIPE_REFERENCE};
    const enum augment_kind augments[] = {AUGMENT_NONE, AUGMENT_FLIP_CROP};
    char line[64];
    for (int n = 0; n < 3; n++) {
        for (int r = 0; r < 2; r++) {
            snprintf(line, sizeof line, "--norm %s --recipe %s", norm_option(norms[n]),
                     recipe_option(recipes[r]));
            struct recipe recipe = parse_ok(line).recipe;
            assert_memory_equal(&recipe, recipe_find(recipes[r], norms[n]), sizeof recipe);
        }
    }
    for (int p = 0; p < 2; p++) {
        snprintf(line, sizeof line, "--precision %s", precision_option((enum precision)p));
        assert_int_equal(parse_ok(line).device.precision, p);
    }
    for (int b = 0; b < 2; b++) {
        snprintf(line, sizeof line, "--batch-norm %s", batch_norm_option((enum batch_norm)b));
        assert_int_equal(parse_ok(line).device.batch_norm, b);
    }
    for (int a = 0; a < 2; a++) {
        snprintf(line, sizeof line, "--augment %s", augment_option(augments[a]));
        assert_int_equal(parse_ok(line).recipe.augment, augments[a]);
    }
}

static void devices(void **state) {
    (void)state;
    assert_int_equal(parse_ok("--device auto").device.kind, DEVICE_AUTO);
    struct options options = parse_ok("--device cuda");
    assert_int_equal(options.device.kind, DEVICE_CUDA);
    assert_int_equal(options.device.index, 0);
    options = parse_ok("--device cuda:12 --threads 2");
    assert_int_equal(options.device.kind, DEVICE_CUDA);
    assert_int_equal(options.device.index, 12);
    assert_int_equal(options.device.threads, 2);
    REJECTS("--precision fp16", "--precision", "'fp16'", "fp32 or tf32");
    REJECTS("--batch-norm mine", "--batch-norm", "'mine'", "cudnn or own");
    REJECTS("eval --batch-norm own", "eval", "does not take --batch-norm");
    REJECTS("--device gpu", "--device", "'gpu'", "auto, cpu, cuda or cuda:N");
    REJECTS("--device cuda:", "--device", "'cuda:'");
    REJECTS("--device cuda:x", "--device", "'cuda:x'");
    REJECTS("--device cuda:-1", "--device", "'cuda:-1'");
    REJECTS("--device cuda:256", "--device", "'cuda:256'", "255");
    REJECTS("--device cuda:99999999999999999999", "--device");
    REJECTS("--device cudax", "--device");
    REJECTS("--device ~", "--device", "''");
}

/* The order of options does not matter, except that of repeated ones the last counts. */
static void order(void **state) {
    (void)state;
    struct options first = parse_ok("--lr 0.5 --epochs 4 --norm ln --recipe reference");
    struct options last = parse_ok("--recipe reference --norm ln --epochs 4 --lr 0.5");
    assert_memory_equal(&first.recipe, &last.recipe, sizeof first.recipe);
    assert_true(first.recipe.learning_rate == 0.5f);
    assert_int_equal(first.recipe.milestones[0], 10);
    assert_int_equal(parse_ok("--epochs 4 --epochs 6").recipe.epochs, 6);
    struct recipe recipe = parse_ok("--norm bn --epochs 2 --norm gn").recipe;
    assert_int_equal(recipe.norm, NORM_GROUP);
    assert_int_equal(recipe.groups, recipe_find(RECIPE_TUNED, NORM_GROUP)->groups);
    REJECTS("--epochs x --epochs 6", "--epochs", "'x'"); /* a wrong one is wrong anywhere */
    assert_string_equal(parse_ok("--seed 7 --norm bn --recipe reference").out,
                        "runs/bn-reference-7");
}

static void channels(void **state) {
    (void)state;
    static const char *const bad[] = {"8",
                                      "8,8,8,8,8,8,8,8,8",
                                      "8,8,8,8,8,8,8,8,8,8,8",
                                      "8,8,8,8,8,8,8,8,8,",
                                      "8,8,8,,8,8,8,8,8,8",
                                      "8,8,0,8,8,8,8,8,8,8",
                                      "8,8,513,8,8,8,8,8,8,8",
                                      "8,8,8,8,8,8,8,8,8,8x"};
    static const int due[BLOCK_COUNT] = {9, 512, 1, 7, 7, 6, 8, 2, 3, 44};
    char line[128];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "--channels %s", bad[i]);
        REJECTS(line, "--channels", bad[i], "10 whole numbers from 1 to 512");
    }
    struct options options = parse_ok("summary --channels 9,512,1,7,7,6,8,2,3,44");
    assert_memory_equal(options.recipe.channels, due, sizeof due);
    options = parse_ok("compare --channels 9,512,1,7,7,6,8,2,3,44");
    for (int norm = 0; norm < NORM_COUNT; norm++)
        assert_memory_equal(options.recipes[norm].channels, due, sizeof due);
}

static void whole_numbers(void **state) {
    (void)state;
    static const char *const bad[] = {"~",   "0",   "-1",  "+1",  "1x",
                                      "x",   "1.5", "1e3", "0x1", "nan",
                                      "NaN", "inf", " 1",  "1,",  "99999999999999999999999"};
    static const struct {
        const char *name, *allowed, *over;
    } options[] = {
        {"epochs", "from 1 to 100000", "100001"},
        {"batch-size", "from 1 to 50000", "50001"},
        {"groups", "from 1 to 512", "513"},
        {"threads", "from 1 to 1024", "1025"},
        {"max-steps", "from 1 to 1000000000000", "1000000000001"},
    };
    char line[128], name[64], value[64];
    for (size_t o = 0; o < sizeof options / sizeof options[0]; o++) {
        snprintf(name, sizeof name, "--%s", options[o].name);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            if (strchr(bad[i], ' ') != NULL)
                continue; /* cannot be written in a line of words; see spaces() */
            snprintf(line, sizeof line, "--%s %s", options[o].name, bad[i]);
            snprintf(value, sizeof value, "'%s'", strcmp(bad[i], "~") == 0 ? "" : bad[i]);
            REJECTS(line, name, value, options[o].allowed);
        }
        snprintf(line, sizeof line, "--%s=%s", options[o].name, options[o].over);
        REJECTS(line, name, options[o].over, options[o].allowed);
    }
    assert_int_equal(parse_ok("--epochs 100000").recipe.epochs, 100000);
    assert_int_equal(parse_ok("--batch-size 50000").recipe.batch_size, 50000);
    assert_int_equal(parse_ok("--groups 512").recipe.groups, 512);
    assert_int_equal(parse_ok("--threads 1024").device.threads, 1024);
    assert_true(parse_ok("--max-steps 1000000000000").max_steps == 1000000000000);
}

static void seeds(void **state) {
    (void)state;
    assert_true(parse_ok("--seed 0").seed == 0);
    struct options options = parse_ok("--seed 18446744073709551615");
    assert_true(options.seed == UINT64_MAX);
    assert_string_equal(options.out, "runs/gn-tuned-18446744073709551615");
    REJECTS("--seed 18446744073709551616", "--seed", "'18446744073709551616'",
            "from 0 to 18446744073709551615");
    REJECTS("--seed -1", "--seed", "'-1'");
    REJECTS("--seed 1a", "--seed", "'1a'");
    REJECTS("--seed ~", "--seed", "''");
}

static void real_numbers(void **state) {
    (void)state;
    static const char *const bad[] = {"~",      "x",   "0.1x", "1e",   "-0.1", "-0",
                                      "+0.1",   "nan", "-nan", "inf",  "1e39", "1e999",
                                      "0x1p-3", ".",   "e5",   "1..2", "1e-60"};
    static const char *const names[] = {"lr", "momentum", "weight-decay", "dropout"};
    char line[128], name[64], value[64];
    for (size_t o = 0; o < sizeof names / sizeof names[0]; o++) {
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            snprintf(line, sizeof line, "--%s %s", names[o], bad[i]);
            snprintf(name, sizeof name, "--%s", names[o]);
            snprintf(value, sizeof value, "'%s'", strcmp(bad[i], "~") == 0 ? "" : bad[i]);
            REJECTS(line, name, value);
        }
    }
    REJECTS("--lr 0", "--lr", "'0'", "above 0");
    REJECTS("--lr 0.0", "--lr", "'0.0'", "above 0");
    REJECTS("--lr 0e5", "--lr", "'0e5'", "above 0");
    REJECTS("--momentum 1", "--momentum", "'1'", "from 0 to below 1");
    REJECTS("--dropout 1", "--dropout", "'1'", "from 0 to below 1");
    REJECTS("--dropout 0.99999999999", "--dropout"); /* 1 as a float */
    assert_true(parse_ok("--weight-decay 0").recipe.weight_decay == 0);
    assert_true(parse_ok("--weight-decay 0e9").recipe.weight_decay == 0);
    assert_true(parse_ok("--lr 1e30").recipe.learning_rate == 1e30f);
    assert_true(parse_ok("--lr 1E-5").recipe.learning_rate == 1e-5f);
}

static void activation(void **state) {
    (void)state;
    assert_int_equal(parse_ok("--recipe reference").recipe.activation, RELU_BEFORE);
    assert_int_equal(parse_ok("--activation silu").recipe.activation, SILU_AFTER);
    assert_int_equal(parse_ok("--activation relu-first").recipe.activation, RELU_BEFORE);
    struct options options = parse_ok("compare --activation silu --recipe reference");
    for (int i = 0; i < NORM_COUNT; i++)
        assert_int_equal(options.recipes[i].activation, SILU_AFTER);
    REJECTS("--activation gelu", "--activation", "'gelu'", "relu-first", "silu");
}

static void crop(void **state) {
    (void)state;
    assert_int_equal(parse_ok("").recipe.crop, 4);
    assert_int_equal(parse_ok("--crop 0").recipe.crop, 0);
    assert_int_equal(parse_ok("compare --crop 2").recipes[NORM_BATCH].crop, 2);
    assert_int_equal(parse_ok("--recipe reference --augment flip-crop --crop 31").recipe.crop, 31);
    REJECTS("--crop 32", "--crop", "'32'", "from 0 to 31");
    REJECTS("--augment none --crop 2", "--crop", "--augment flip-crop", "none");
}

static void muon(void **state) {
    (void)state;
    struct options options = parse_ok("--optimizer muon");
    assert_int_equal(options.recipe.optimizer, OPTIMIZER_MUON);
    assert_true(options.recipe.muon_rate == 0.1f && options.recipe.muon_momentum == 0.6f);
    options = parse_ok("--muon-lr 0.05 --optimizer muon --muon-momentum 0.9 --recipe reference");
    assert_true(options.recipe.muon_rate == 0.05f && options.recipe.muon_momentum == 0.9f);
    options = parse_ok("compare --optimizer muon --muon-lr 0.2");
    for (int i = 0; i < NORM_COUNT; i++) {
        assert_int_equal(options.recipes[i].optimizer, OPTIMIZER_MUON);
        assert_true(options.recipes[i].muon_rate == 0.2f);
    }
    REJECTS("--optimizer sgd --muon-lr 0.2", "--muon-lr", "--optimizer muon", "sgd");
    REJECTS("--optimizer sgd --muon-momentum 0.2", "--muon-momentum", "--optimizer muon");
    REJECTS("--optimizer adam", "--optimizer", "'adam'", "sgd", "muon");
    REJECTS("--optimizer muon --muon-lr 0", "--muon-lr", "above 0");
    REJECTS("--optimizer muon --muon-momentum 1", "--muon-momentum", "from 0 to below 1");
}

static void words(void **state) {
    (void)state;
    REJECTS("--norm xn", "--norm", "'xn'", "bn, gn or ln");
    REJECTS("--norm ~", "--norm", "''", "bn, gn or ln");
    REJECTS("--norm BN", "--norm", "'BN'", "bn, gn or ln");
    REJECTS("--recipe mine", "--recipe", "'mine'", "tuned or reference");
    REJECTS("--augment flip", "--augment", "'flip'", "none or flip-crop");
}

static void paths(void **state) {
    (void)state;
    char line[1200] = "--out=";
    memset(line + 6, 'p', 1023);
    line[6 + 1023] = '\0';
    assert_int_equal(strlen(parse_ok(line).out), 1023);
    memset(line + 6, 'p', 1024);
    line[6 + 1024] = '\0';
    REJECTS(line, "--out", "1 to 1023 bytes");
    REJECTS("--out ~", "--out", "''");
    REJECTS("--data=", "--data", "''");
    assert_string_equal(parse_ok("--data=--odd").data, "--odd");
}

/* Values with blanks and control bytes; main prints the latter. */
static void spaces(void **state) {
    (void)state;
    char name[] = "train_gpu", option[] = "--epochs";
    char *values[] = {(char[]){" 3"}, (char[]){"3 "}, (char[]){"3\n"}, (char[]){"\t3"}};
    for (int i = 0; i < 4; i++) {
        struct error error;
        struct options options;
        char *argv[] = {name, option, values[i], NULL};
        assert_int_equal(command_line_parse(&error, &options, 3, argv), STATUS_USAGE);
        assert_non_null(strstr(error.text, "from 1 to 100000"));
    }
}

static void missing_and_extra_values(void **state) {
    (void)state;
    REJECTS("--epochs", "--epochs", "needs a value", "from 1 to 100000");
    REJECTS("--norm", "--norm", "needs a value", "bn, gn or ln");
    REJECTS("--out --force", "--out", "needs a value", "'--force' is an option");
    REJECTS("--force=1", "--force", "takes no value", "'1'");
    REJECTS("--force=", "--force", "takes no value", "''");
    REJECTS("--force 1", "unexpected argument '1'");
    REJECTS("--epochs 2 summary", "unexpected argument 'summary'", "a command comes first");
    REJECTS("--", "unexpected argument '--'");
    REJECTS("-x", "unexpected argument '-x'");
    REJECTS("-epochs 3", "unexpected argument '-epochs'");
}

static void unknown_names(void **state) {
    (void)state;
    REJECTS("--epoch 3", "--epoch", "did you mean --epochs?");
    REJECTS("--batchsize 3", "--batchsize", "did you mean --batch-size?");
    REJECTS("--batch=3", "--batch;", "did you mean --batch-size?");
    REJECTS("--sede 3", "--sede", "did you mean --seed?");
    REJECTS("--nrom bn", "--nrom", "did you mean --norm?");
    REJECTS("--no_shuffle", "did you mean --no-shuffle?");
    REJECTS("--Lr 3", "did you mean --lr?");
    REJECTS("--learning-rate-of-the-optimizer 3", "unknown option", "--help");
    REJECTS("--zzzzzzzz", "unknown option --zzzzzzzz", "--help");
    REJECTS("--=3", "is not an option");
    REJECTS("---", "unknown option");
    REJECTS("sumary", "unknown command 'sumary'", "did you mean summary?");
    REJECTS("dance", "unknown command 'dance'", "--help");
    REJECTS("~", "unknown command ''");
    char line[600] = "--";
    memset(line + 2, 'q', 500);
    line[502] = '\0';
    REJECTS(line, "unknown option --qqq");
    memset(line, 'q', 500);
    REJECTS(line, "unknown command 'qqq");
}

static void options_of_other_commands(void **state) {
    (void)state;
    REJECTS("--json", "train", "does not take --json");
    REJECTS("train --json", "train", "does not take --json");
    REJECTS("summary --epochs 3", "summary", "does not take --epochs");
    REJECTS("eval --epochs 3", "eval", "does not take --epochs");
    REJECTS("eval --out d", "eval", "does not take --out");
    REJECTS("train --png x.png", "train", "does not take --png");
    REJECTS("summary --weights w", "summary", "does not take --weights");
    REJECTS("info --epochs 3", "info", "does not take --epochs");
    REJECTS("summary --precision fp32", "summary", "does not take --precision");
    REJECTS("info --no-graph", "info", "does not take --no-graph");
}

static void eval_without_weights(void **state) {
    (void)state;
    REJECTS("eval", "eval needs --weights FILE", "model.safetensors");
    REJECTS("eval --norm bn --json", "eval needs --weights FILE");
    REJECTS("eval --weights", "--weights", "needs a value");
    REJECTS("eval --weights ~", "--weights", "''");
}

/* Images may stand anywhere among the options, and after -- they may have any name. */
static void images(void **state) {
    (void)state;
    struct options options =
        parse_ok("predict a.png --norm bn b.png --weights=w --threads 1 -- --norm -- -h");
    static const char *const expected[] = {"a.png", "b.png", "--norm", "--", "-h"};
    assert_int_equal(options.command, COMMAND_PREDICT);
    assert_int_equal(options.recipe.norm, NORM_BATCH);
    assert_false(options.help);
    assert_int_equal(options.word_count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(options.words[i], expected[i]);
    command_line_free(&options);
    assert_null(options.words);
    options = parse_ok("predict --recipe reference --groups 2 --device cpu --precision tf32 "
                       "--fast-algorithms --batch-size 3 --json --weights w x");
    assert_true(options.json && options.device.fast_algorithms);
    assert_int_equal(options.recipe.groups, 2);
    assert_int_equal(options.recipe.batch_size, 3);
    assert_int_equal(options.word_count, 1);
    command_line_free(&options);
    assert_true(parse_ok("predict --help").help); /* without images and --weights */
    assert_true(parse_ok("predict --version").version);
    REJECTS("predict --weights w", "predict needs at least one image");
    REJECTS("predict --weights w --", "predict needs at least one image");
    REJECTS("predict a.png", "predict needs --weights FILE");
    REJECTS("predict --weights w ~", "'' is not the path of an image", "1 to 1023 bytes");
    REJECTS("predict --weights w a.png -x", "unexpected argument '-x'", "after --");
    REJECTS("predict --weights w a.png -", "unexpected argument '-'");
    REJECTS("predict --weights w a.png --batch-size 0", "--batch-size"); /* and frees the list */
    REJECTS("predict a.png --norm bn --groups 2 --weights w", "--groups");
    REJECTS("predict --data d", "predict", "does not take --data");
    REJECTS("predict --seed 1", "predict", "does not take --seed");
    REJECTS("eval --weights w a.png", "unexpected argument 'a.png'");
    REJECTS("eval --weights w -- a.png", "unexpected argument '--'");
    REJECTS("a.png", "unknown command 'a.png'");
}

/* As many as the command line holds, with paths of up to the usual length. */
static void many_images(void **state) {
    (void)state;
    enum { COUNT = 5000, WORDS = COUNT + 4 };
    static char name[] = "train_gpu", command[] = "predict", weights[] = "--weights=w";
    static char *argv[WORDS];
    char longest[1024] = "", longer[1025] = "";
    memset(longest, 'p', sizeof longest - 1);
    memset(longer, 'p', sizeof longer - 1);
    argv[0] = name, argv[1] = command, argv[2] = weights;
    for (int i = 3; i < WORDS; i++)
        argv[i] = longest;
    struct error error;
    struct options options;
    assert_succeeded(command_line_parse(&error, &options, WORDS, argv), &error);
    assert_int_equal(options.word_count, COUNT + 1);
    assert_ptr_equal(options.words[COUNT], longest);
    command_line_free(&options);
    argv[WORDS - 1] = longer;
    FAILED(command_line_parse(&error, &options, WORDS, argv), STATUS_USAGE, &error,
           "1 to 1023 bytes");
}

/* Writes a weights file without tensors; returns a command with it. */
static const char *with_weights(const char *folder, const char *command,
                                const struct recipe *recipe, const struct dataset *dataset,
                                const char *more) {
    static char line[2048];
    struct error error;
    const struct tensor_list none = {.count = 0};
    const struct weights_origin origin = {recipe, dataset};
    const char *path = in_folder(folder, "w.safetensors");
    assert_succeeded(weights_write(&error, path, &none, &origin, NULL), &error);
    snprintf(line, sizeof line, "%s --weights %s %s", command, path, more);
    return line;
}

/* Options not given come from the weights file; those given stay, for the command to compare. */
static void settings_of_the_weights(void **state) {
    static const char *const commands[] = {"eval", "train", "predict a.png"};
    struct recipe recipe = *recipe_find(RECIPE_REFERENCE, NORM_GROUP);
    struct dataset dataset = dataset_named("synthetic");
    struct options options;
    recipe.groups = 2;
    recipe.channels[9] = 44;
    dataset.seed = 9;
    for (size_t i = 0; i < 3; i++) {
        options = parse_ok(with_weights(*state, commands[i], &recipe, &dataset, "--batch-size 5"));
        struct recipe due = recipe;
        due.batch_size = 5;
        assert_memory_equal(&options.recipe, &due, sizeof due);
        command_line_free(&options);
    }
    options = parse_ok(with_weights(*state, "train", &recipe, &dataset, "--seed 3 --epochs 7"));
    assert_string_equal(options.data, "synthetic:9");
    assert_string_equal(options.out, "runs/gn-reference-3");
    assert_int_equal(options.recipe.epochs, 7);
    options = parse_ok(
        with_weights(*state, "eval", &recipe, &dataset, "--groups 4 --data synthetic --seed 3"));
    assert_int_equal(options.recipe.groups, 4);
    assert_string_equal(options.data, "synthetic:3");
    options = parse_ok(with_weights(*state, "eval", &recipe, &dataset, "--recipe tuned"));
    assert_int_equal(options.recipe.kind, RECIPE_TUNED);
    assert_int_equal(options.recipe.groups, 4); /* the file's 2 is for another network */
    assert_int_equal(options.recipe.channels[9], 28);
    options =
        parse_ok(with_weights(*state, "eval", recipe_find(RECIPE_TUNED, NORM_LAYER), NULL, ""));
    assert_int_equal(options.recipe.norm, NORM_LAYER);
    assert_string_equal(options.data, "data/cifar-10-batches-bin");
    REJECTS(with_weights(*state, "eval", recipe_find(RECIPE_TUNED, NORM_LAYER), NULL, "--groups 2"),
            "--groups", "not --norm ln");
}

static void groups(void **state) {
    (void)state;
    REJECTS("--norm bn --groups 4", "--groups", "only --norm gn", "not --norm bn");
    REJECTS("--groups 4 --norm ln", "--groups", "only --norm gn", "not --norm ln");
    REJECTS("summary --groups 4 --norm ln", "--groups");
    assert_int_equal(parse_ok("--groups 8").recipe.groups, 8);
}

/* The recipes of all norms, each changed by the options given. */
static void comparison(void **state) {
    (void)state;
    struct options options = parse_ok("compare");
    assert_int_equal(options.command, COMMAND_COMPARE);
    assert_int_equal(options.seeds, 3);
    assert_int_equal(options.batch_sizes.count, 0);
    assert_string_equal(options.out, "runs/compare-tuned");
    for (int norm = 0; norm < NORM_COUNT; norm++)
        assert_memory_equal(&options.recipes[norm], recipe_find(RECIPE_TUNED, (enum norm_kind)norm),
                            sizeof *options.recipes);
    options = parse_ok("compare --epochs 7 --groups 2 --recipe reference --batch-sizes 2,16,50000 "
                       "--seeds 5 --seed 18446744073709551611");
    for (int norm = 0; norm < NORM_COUNT; norm++) {
        struct recipe due = *recipe_find(RECIPE_REFERENCE, (enum norm_kind)norm);
        due.epochs = 7;
        due.groups = norm == NORM_GROUP ? 2 : 1;
        assert_memory_equal(&options.recipes[norm], &due, sizeof due);
    }
    assert_int_equal(options.batch_sizes.count, 3);
    assert_int_equal(options.batch_sizes.values[1], 16);
    assert_int_equal(options.batch_sizes.values[2], 50000);
    assert_string_equal(options.out, "runs/compare-reference");
    REJECTS("compare --seeds 6 --seed 18446744073709551611", "--seeds 6", "above");
    REJECTS("compare --norm gn", "compare", "does not take --norm");
    REJECTS("compare a", "'a'", "--runs");
    static const char *const lists[] = {"~",
                                        ",",
                                        "2,",
                                        "2,,4",
                                        "4,2",
                                        "2,2",
                                        "0,2",
                                        "2,50001",
                                        "2;4",
                                        "+2",
                                        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
                                        "2,000000000000000000000000000004"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char line[100];
        snprintf(line, sizeof line, "compare --batch-sizes %s", lists[i]);
        REJECTS(line, "--batch-sizes", "whole numbers from 1 to 50000");
    }
    assert_int_equal(
        parse_ok("compare --batch-sizes 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16").batch_sizes.count,
        16);
}

static void comparison_of_runs(void **state) {
    (void)state;
    struct options options = parse_ok("compare a --runs b --quiet c");
    assert_true(options.runs && options.quiet);
    assert_int_equal(options.word_count, 3);
    assert_string_equal(options.out, ""); /* the runs' recipe decides */
    command_line_free(&options);
    REJECTS("compare --runs", "--runs", "folder");
    REJECTS("compare --runs a --epochs 3", "--epochs", "--runs");
    REJECTS("compare --runs ~", "is not the path of a folder");
    REJECTS("train --runs a", "train", "does not take --runs");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(data_folder_of_the_environment),
        cmocka_unit_test(the_synthetic_set_has_a_seed),
        cmocka_unit_test(every_option),
        cmocka_unit_test(words_of_the_enums),
        cmocka_unit_test(devices),
        cmocka_unit_test(order),
        cmocka_unit_test(channels),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(seeds),
        cmocka_unit_test(real_numbers),
        cmocka_unit_test(activation),
        cmocka_unit_test(crop),
        cmocka_unit_test(muon),
        cmocka_unit_test(words),
        cmocka_unit_test(paths),
        cmocka_unit_test(spaces),
        cmocka_unit_test(missing_and_extra_values),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(options_of_other_commands),
        cmocka_unit_test(eval_without_weights),
        cmocka_unit_test_setup_teardown(settings_of_the_weights, temporary_folder_make,
                                        temporary_folder_remove),
        cmocka_unit_test(images),
        cmocka_unit_test(many_images),
        cmocka_unit_test(groups),
        cmocka_unit_test(comparison),
        cmocka_unit_test(comparison_of_runs),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
