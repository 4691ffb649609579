/* test_report.c: the report of a finished run: report.md, whose figures are those of metrics.jsonl
 * and of the final weights, and its pictures; and metrics.jsonl read back. */
#include "event_records.h"
#include "png_file.h"
#include "run_fixture.h"

#include "memory.h"
#include "pictures/layout.h"
#include "pictures/pictures.h"
#include "run/metrics.h"
#include "run/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct options reported_run(const char *folder, enum norm_kind norm) {
    struct options options = small_run(folder, RECIPE_REFERENCE, norm);
    options.no_report = false;
    options.misclassified = TEST_IMAGES;
    return options;
}

static bool can_draw(void) {
    struct error error;
    return pictures_ready(&error) == STATUS_OK;
}

static void need_pictures(void) {
    struct error error;
    if (pictures_ready(&error) != STATUS_OK)
        skip_because(error.text);
}

/* A text file as a string; release with free. */
static char *text_of(const char *path) {
    size_t size;
    unsigned char *bytes = slurp(&size, path);
    char *text = malloc(size + 1);
    assert_non_null(text);
    memcpy(text, bytes, size);
    text[size] = '\0';
    free(bytes);
    return text;
}

static void assert_holds(const char *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void assert_holds(const char *text, const char *format, ...) {
    char part[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in the report:\n%s", part, text);
}

/* ---- report.md ------------------------------------------------------------------------------- */

/* Sums the column "right" of the table of classes, and the one before it. */
static void count_classes(int *images, int *right, const char *text) {
    const char *line = strstr(text, "| class |");
    assert_non_null(line);
    *images = *right = 0;
    for (int i = 0; i < 2; i++)
        line = strchr(line, '\n') + 1;
    for (int i = 0; i < CLASS_COUNT; i++) {
        int all, good;
        assert_int_equal(sscanf(line, "| %*[^|]| %d | %d |", &all, &good), 2);
        *images += all;
        *right += good;
        line = strchr(line, '\n') + 1;
    }
}

static void figures(void **state) {
    const struct options options = reported_run(*state, NORM_GROUP);
    run_ok(&options);
    char *text = text_of(in_folder(options.out, "report.md"));
    struct metrics_file metrics = read_metrics(options.out);
    double best = 0;
    for (int i = 0; i < metrics.count; i++) {
        const json_t *line = metrics.lines[i];
        assert_holds(text, "| %d | %d | 0.01 | %.4f | %.2f %% | %.4f | %.2f %% | %.1f | %.0f |",
                     i + 1, (i + 1) * STEPS, number(line, "train_loss"),
                     number(line, "train_accuracy"), number(line, "test_loss"),
                     number(line, "test_accuracy"), number(line, "seconds"),
                     number(line, "images_per_second"));
        best = fmax(best, number(line, "test_accuracy"));
    }
    const json_t *last = metrics.lines[metrics.count - 1];
    double final = number(last, "test_accuracy");
    assert_holds(text, "# group norm, recipe reference: %.2f %% on synthetic\n", final);
    assert_holds(text, "| final | %d | %.2f %% | %.4f |", EPOCHS, final, number(last, "test_loss"));
    assert_holds(text, "| best | ");
    assert_holds(strstr(text, "| best |"), "| %.2f %% |", best);
    assert_holds(text, "40,360 parameters, trained for %d steps", EPOCHS * STEPS);
    int images, right;
    count_classes(&images, &right, text);
    assert_int_equal(images, TEST_IMAGES);
    assert_true(fabs(100.0 * right / TEST_IMAGES - final) < 1e-9);
    assert_int_equal(strstr(text, "](curves.png)") != NULL, can_draw());
    free_metrics(&metrics);
    free(text);
}

/* Images held out are called validation images everywhere, and the test set is not named. */
static void validation(void **state) {
    struct options options = reported_run(*state, NORM_GROUP);
    options.validation = TEST_IMAGES;
    options.tensorboard = true;
    run_ok(&options);
    char *text = text_of(in_folder(options.out, "report.md"));
    char *config = text_of(in_folder(options.out, "config.json")), events[1024];
    struct metrics_file metrics = read_metrics(options.out);
    const json_t *last = metrics.lines[metrics.count - 1];
    assert_holds(text, "# group norm, recipe reference: %.2f %% on synthetic (validation)\n",
                 number(last, "validation_accuracy"));
    assert_holds(text, "| final | %d | %.2f %% | %.4f |", EPOCHS,
                 number(last, "validation_accuracy"), number(last, "validation_loss"));
    assert_holds(text, "| | epoch | validation accuracy | validation loss |");
    assert_holds(text, "| class | validation images |");
    assert_holds(text, "| validation loss | validation accuracy | seconds |");
    assert_holds(text, "12 of the training images were held out");
    assert_holds(text, "--validation 12 ");
    assert_null(strstr(text, "test accuracy"));
    assert_null(strstr(text, "test images"));
    assert_null(json_object_get(last, "test_accuracy"));
    assert_holds(config, "\"validation\": 12,");
    assert_holds(config, "\"test_images\": 0,");
    assert_int_equal(find_event_files(events, options.out), 1);
    struct event_list list = read_events(events);
    assert_string_equal(list.events[1].tags[1], "loss/validation");
    assert_string_equal(list.events[1].tags[3], "accuracy/validation");
    free_events(&list);
    free_metrics(&metrics);
    free(config);
    free(text);
}

/* The command in it names every setting that differs from the defaults of its norm and recipe. */
static void command(void **state) {
    struct options options = reported_run(*state, NORM_GROUP);
    options.recipe.groups = 2;
    options.no_shuffle = true;
    options.max_steps = 2;
    strcpy(options.data, "a place/with 'quotes'");
    run_ok(&options);
    char *text = text_of(in_folder(options.out, "report.md"));
    assert_holds(
        text,
        "./train_gpu train \\\n    --norm gn \\\n    --recipe reference \\\n    "
        "--groups 2 \\\n    %s \\\n    --activation relu-first \\\n    --dropout 0 \\\n    "
        "--epochs 3 \\\n",
        "--channels 16,32,16,24,28,32,16,20,28,32");
    assert_holds(text, "    --data 'a place/with '\\''quotes'\\''' \\\n    --seed 3 \\\n    "
                       "--no-shuffle \\\n    --max-steps 2 \\\n");
    assert_null(strstr(text, "--weights"));
    assert_null(strstr(text, "--fast-algorithms"));
    free(text);
}

static void none_wanted(void **state) {
    const struct options options = small_run(*state, RECIPE_REFERENCE, NORM_GROUP);
    run_ok(&options);
    assert_false(is_there(options.out, "report.md"));
    assert_false(is_there(options.out, "curves.png"));
}

/* ---- pictures -------------------------------------------------------------------------------- */

static void check_picture(const char *folder, const char *name, int width, int height) {
    struct png_file file = png_file_read(in_folder(folder, name));
    assert_int_equal(file.width, 2 * width); /* drawn at twice its size */
    if (height > 0)
        assert_int_equal(file.height, 2 * height);
    assert_string_equal(png_file_text(&file, "norm"), "bn");
    assert_string_equal(png_file_text(&file, "lr"), "0.1");
    assert_string_equal(png_file_text(&file, "seed"), "3");
    assert_true(png_file_inked(&file, (struct area){0, 0, file.width, file.height}) > 1000);
    png_file_free(&file);
}

static void pictures(void **state) {
    need_pictures();
    const struct options options = reported_run(*state, NORM_BATCH);
    run_ok(&options);
    check_picture(options.out, "curves.png", CURVES_WIDTH, CURVES_HEIGHT);
    check_picture(options.out, "confusion.png", CONFUSION_WIDTH, 0);
    check_picture(options.out, "misclassified.png", MISTAKES_WIDTH, 0);
    struct metrics_file metrics = read_metrics(options.out);
    double accuracy = number(metrics.lines[EPOCHS - 1], "test_accuracy");
    int wrong = TEST_IMAGES - (int)lround(accuracy * TEST_IMAGES / 100);
    free_metrics(&metrics);
    assert_int_equal(is_there(options.out, "misclassified-2.png"), wrong > MISTAKES_A_PAGE);
}

/* TensorBoard gets the sheet of mistakes, after the last step. */
static void shown_in_tensorboard(void **state) {
    need_pictures();
    char path[1024];
    struct options options = reported_run(*state, NORM_LAYER);
    options.tensorboard = true;
    run_ok(&options);
    assert_int_equal(find_event_files(path, options.out), 1);
    struct event_list list = read_events(path);
    assert_int_equal(list.count, 1 + EPOCHS + 1); /* the version, the epochs, the image */
    const struct event *event = &list.events[list.count - 1];
    assert_int_equal(event->images, 1);
    assert_string_equal(event->tags[0], "misclassified");
    assert_int_equal(event->step, EPOCHS * STEPS);
    assert_int_equal(event->width, 2 * MISTAKES_WIDTH);
    assert_file_holds(in_folder(options.out, "misclassified.png"), event->png, event->png_bytes);
    free_events(&list);
}

/* The same weights and epochs give the same files after the report was lost; a new run in the
 * folder first removes the old run's report. */
static void again(void **state) {
    static const char *const names[] = {"report.md", "curves.png", "confusion.png",
                                        "misclassified.png"};
    enum { NAMES = sizeof names / sizeof names[0] };
    struct options options = reported_run(*state, NORM_LAYER);
    unsigned char *before[NAMES];
    size_t sizes[NAMES];
    int count = can_draw() ? NAMES : 1;
    run_ok(&options);
    for (int i = 0; i < count; i++) {
        before[i] = slurp(&sizes[i], in_folder(options.out, names[i]));
        assert_int_equal(unlink(in_folder(options.out, names[i])), 0);
    }
    options.resume = true;
    run_ok(&options);
    for (int i = 0; i < count; i++) {
        assert_file_holds(in_folder(options.out, names[i]), before[i], sizes[i]);
        free(before[i]);
    }
    struct error error;
    file_put(in_folder(options.out, "misclassified-2.png"), "old", 3);
    options.resume = false;
    options.force = true;
    options.recipe.learning_rate = 3e38f;
    assert_int_equal(run(&error, &options), STATUS_DIVERGED);
    for (int i = 0; i < NAMES; i++)
        assert_false(is_there(options.out, names[i]));
    assert_false(is_there(options.out, "misclassified-2.png"));
}

/* A picture that cannot be written fails the run, which has saved its weights by then. */
static void cannot_be_written(void **state) {
    need_pictures();
    struct error error;
    const struct options options = reported_run(*state, NORM_GROUP);
    run_ok(&options);
    assert_int_equal(unlink(in_folder(options.out, "confusion.png")), 0);
    assert_int_equal(mkdir(in_folder(options.out, "confusion.png"), 0700), 0);
    struct options resumed = options;
    resumed.resume = true;
    FAILED(run(&error, &resumed), STATUS_FAILED, &error, "confusion.png");
    assert_true(is_there(options.out, "model.safetensors"));
}

/* ---- metrics.jsonl --------------------------------------------------------------------------- */

static void read_back(void **state) {
    struct error error;
    struct epoch_metrics *epochs;
    int count;
    const struct options options = small_run(*state, RECIPE_REFERENCE, NORM_GROUP);
    run_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    assert_succeeded(metrics_read(&error, &epochs, &count, in_folder(options.out, "metrics.jsonl")),
                     &error);
    assert_int_equal(count, EPOCHS);
    for (int i = 0; i < count; i++) {
        const json_t *line = metrics.lines[i];
        assert_int_equal(epochs[i].epoch, i + 1);
        assert_int_equal(epochs[i].step, (i + 1) * STEPS);
        assert_true((double)epochs[i].learning_rate == (double)0.01f);
        assert_true(epochs[i].train.loss == number(line, "train_loss"));
        assert_true(epochs[i].train.accuracy == number(line, "train_accuracy"));
        assert_true(epochs[i].test.loss == number(line, "test_loss"));
        assert_true(epochs[i].test.accuracy == number(line, "test_accuracy"));
        assert_true(epochs[i].seconds == number(line, "seconds"));
        assert_true(epochs[i].images_per_second == number(line, "images_per_second"));
        assert_true(epochs[i].eval_seconds == number(line, "eval_seconds"));
    }
    memory_free(epochs);
    free_metrics(&metrics);
}

#define NUMBERS(epoch, step, loss)                                                                 \
    "{\"epoch\": " epoch ", \"step\": " step ", \"lr\": 0.1, \"train_loss\": " loss                \
    ", \"train_accuracy\": 10, \"test_loss\": 2, \"test_accuracy\": 10, \"seconds\": 1, "          \
    "\"images_per_second\": 9, \"eval_seconds\": 1, \"other\": []}\n"

static void odd_lines(void **state) {
    static const char good[] = NUMBERS("1", "9", "null") NUMBERS("2", "18", "1e300");
    static const char *const bad[] = {"\n",
                                      "x\n",
                                      "{}\n",
                                      "[]\n",
                                      NUMBERS("0", "1", "2"),
                                      NUMBERS("1e99", "1", "2"),
                                      NUMBERS("1", "-1", "2"),
                                      NUMBERS("1", "1", "\"2\""),
                                      "{\"epoch\": 1"};
    struct error error;
    struct epoch_metrics *epochs;
    int count;
    char *path = strdup(in_folder(*state, "metrics.jsonl"));
    assert_non_null(path);
    file_put(path, good, strlen(good));
    assert_succeeded(metrics_read(&error, &epochs, &count, path), &error);
    assert_int_equal(count, 2);
    assert_true(isnan(epochs[0].train.loss) && epochs[1].train.loss == 1e300);
    memory_free(epochs);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[1024];
        int length = snprintf(text, sizeof text, "%s%s", good, bad[i]);
        file_put(path, text, (size_t)length);
        FAILED(metrics_read(&error, &epochs, &count, path), STATUS_BAD_DATA, &error, path,
               "line 3");
        assert_null(epochs);
        assert_int_equal(count, 0);
    }
    file_put(path, "", 0);
    assert_succeeded(metrics_read(&error, &epochs, &count, path), &error);
    assert_int_equal(count, 0);
    memory_free(epochs);
    FAILED(metrics_read(&error, &epochs, &count, in_folder(*state, "none")), STATUS_BAD_DATA,
           &error, "none");
    FAILED(metrics_read(&error, &epochs, &count, *state), STATUS_BAD_DATA, &error, *state);
    free(path);
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(figures),     IN_FOLDER(validation),        IN_FOLDER(command),
        IN_FOLDER(none_wanted), IN_FOLDER(pictures),          IN_FOLDER(shown_in_tensorboard),
        IN_FOLDER(again),       IN_FOLDER(cannot_be_written), IN_FOLDER(read_back),
        IN_FOLDER(odd_lines),
    };
    int failed = cmocka_run_group_tests_name("report", tests, NULL, NULL);
    pictures_release(); /* for a leak checker */
    return failed;
}
