/* comparison_report.c: writes compare.json, compare.md, compare.png and sweep.png, and prints the
 * summary. */
#include "compare/comparison_report.h"

#include "base/folder.h"
#include "base/output.h"
#include "base/text.h"
#include "base/version.h"
#include "compare/comparison_text.h"
#include "memory.h"
#include "run/caption.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char json_name[] = "compare.json";
static const char text_name[] = "compare.md";
static const char picture_name[] = "compare.png";
static const char sweep_name[] = "sweep.png";

/* ---- pictures -------------------------------------------------------------------------------- */

/* "bn: 1 2 3; gn: 1 2 3", cut if it is too long. */
static void list_seeds(char *out, size_t capacity, const struct run_set *set) {
    size_t length = 0;
    out[0] = '\0';
    for (int i = 0; i < set->count && length < capacity; i++) {
        bool first = i == 0 || set->runs[i].norm != set->runs[i - 1].norm;
        length += (size_t)snprintf(
            out + length, capacity - length, "%s%s%s %" PRIu64, first && i > 0 ? "; " : "",
            first ? norm_option(set->runs[i].norm) : "", first ? ":" : "", set->runs[i].seed);
    }
}

static void make_caption(struct caption *out, const struct comparison *comparison) {
    const struct compared_run *any = &comparison->main.runs[0];
    char seeds[512];
    list_seeds(seeds, sizeof seeds, &comparison->main);
    caption_begin(out, any->dataset, comparison->folder, "recipe %s, %d epoch%s",
                  recipe_option(any->recipe), any->epoch_count, any->epoch_count == 1 ? "" : "s");
    out->picture.validation = any->validation > 0;
    caption_add(out, "version", "%s", PROGRAM_VERSION);
    caption_add(out, "recipe", "%s", recipe_option(any->recipe));
    caption_add(out, "data", "%s", any->dataset);
    if (any->validation > 0)
        caption_add(out, "validation", "%d", any->validation);
    caption_add(out, "epochs", "%d", any->epoch_count);
    caption_add(out, "batch-size", "%d", any->batch_size);
    caption_add(out, "seeds", "%s", seeds);
}

enum quantity { ACCURACY, LOSS, QUANTITIES };
enum { END_CAPACITY = SPREAD_CAPACITY + 2 };

/* The curve of a group. Writes its last value for the legend, "84.96 +- 0.18 %", to `end`. */
static struct norm_curve curve_of(char end[END_CAPACITY], const struct run_group *group,
                                  const struct band *bands, const struct sample *last, int digits,
                                  const char *unit) {
    char spread[SPREAD_CAPACITY];
    snprintf(end, END_CAPACITY, "%s%s", spread_text(spread, last, digits), unit);
    return (struct norm_curve){group->norm, group->count, bands, end};
}

/* The test figures of a group in an epoch (from 0). */
static struct band band_of(const struct run_group *group, int epoch, enum quantity quantity) {
    struct band band = {0};
    for (int i = 0; i < group->count; i++) {
        const struct score *test = &group->runs[i].epochs[epoch].test;
        double value = quantity == ACCURACY ? test->accuracy : test->loss;
        band.mean += value / group->count;
        band.low = i == 0 || value < band.low ? value : band.low;
        band.high = i == 0 || value > band.high ? value : band.high;
    }
    return band;
}

static enum status draw_curves(struct error *error, const char *path,
                               const struct picture_caption *caption, const struct run_set *set) {
    struct norm_curve curves[QUANTITIES][NORM_COUNT];
    char ends[QUANTITIES][NORM_COUNT][END_CAPACITY];
    struct band *bands;
    int epochs = set->runs[0].epoch_count;
    if (memory_alloc(error, &bands, (size_t)epochs, QUANTITIES * NORM_COUNT * sizeof *bands,
                     "the curves of the norms") != STATUS_OK)
        return error->status;
    struct band *next = bands;
    for (enum quantity q = ACCURACY; q < QUANTITIES; q++)
        for (int g = 0; g < set->group_count; g++) {
            const struct run_group *group = &set->groups[g];
            curves[q][g] = q == ACCURACY
                               ? curve_of(ends[q][g], group, next, &group->test, 2, " %")
                               : curve_of(ends[q][g], group, next, &group->test_loss, 3, "");
            for (int epoch = 0; epoch < epochs; epoch++)
                *next++ = band_of(group, epoch, q);
        }
    enum status status = compare_draw(error, path, caption, curves[ACCURACY], curves[LOSS],
                                      set->group_count, epochs);
    memory_free(bands);
    return status;
}

static enum status draw_sweep(struct error *error, const char *path,
                              const struct picture_caption *caption,
                              const struct comparison *comparison) {
    struct norm_curve curves[NORM_COUNT];
    struct band bands[NORM_COUNT][MAX_INTS];
    char ends[NORM_COUNT][END_CAPACITY];
    int sizes[MAX_INTS], count = comparison->sweep_count;
    int groups = comparison->sweep[0].group_count;
    for (int g = 0; g < groups; g++) {
        struct sample errors = {0};
        for (int i = 0; i < count; i++) {
            const struct run_set *set = &comparison->sweep[i];
            sizes[i] = set->runs[0].batch_size;
            errors = error_sample(&set->groups[g].test);
            bands[g][i] = (struct band){errors.mean, errors.low, errors.high};
        }
        curves[g] = curve_of(ends[g], &comparison->sweep[0].groups[g], bands[g], &errors, 2, " %");
    }
    return sweep_draw(error, path, caption, curves, groups, sizes, count);
}

/* Draws the pictures, if the program can draw; *drawn says whether it can. */
static enum status draw_pictures(struct error *error, bool *drawn,
                                 const struct comparison *comparison, bool quiet) {
    struct caption caption = {0};
    char curves[PATH_CAPACITY], sweep[PATH_CAPACITY];
    *drawn = caption_can_draw(quiet);
    if (!*drawn)
        return STATUS_OK;
    make_caption(&caption, comparison);
    if (path_join(error, curves, comparison->folder, picture_name) != STATUS_OK ||
        path_join(error, sweep, comparison->folder, sweep_name) != STATUS_OK ||
        draw_curves(error, curves, &caption.picture, &comparison->main) != STATUS_OK)
        return error->status;
    return comparison->sweep_count == 0 ? STATUS_OK
                                        : draw_sweep(error, sweep, &caption.picture, comparison);
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum status write_file(struct error *error, const char *folder, const char *name,
                              const char *text, size_t bytes) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder, name) != STATUS_OK)
        return error->status;
    const struct file_piece piece = {text, bytes};
    return file_write(error, path, &piece, 1);
}

static enum status write_json(struct error *error, const char *folder, const json_t *object) {
    char *text = text_of_json(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for %s", json_name);
    size_t length = strlen(text);
    text[length] = '\n'; /* replaces the terminator */
    enum status status = write_file(error, folder, json_name, text, length + 1);
    free(text);
    return status;
}

static enum status write_text(struct error *error, const struct comparison *comparison,
                              bool pictures) {
    char *text;
    size_t bytes;
    if (comparison_text_make(error, &text, &bytes, comparison, pictures) != STATUS_OK)
        return error->status;
    enum status status = write_file(error, comparison->folder, text_name, text, bytes);
    free(text);
    return status;
}

/* Removes the files of an older comparison, so that they are not mistaken for part of this one. */
static enum status remove_old(struct error *error, const char *folder) {
    static const char *const names[] = {json_name, text_name, picture_name, sweep_name};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_CAPACITY];
        if (path_join(error, path, folder, names[i]) != STATUS_OK ||
            file_remove(error, path) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

/* ---- the printed summary --------------------------------------------------------------------- */

static enum status print_group(struct error *error, const struct run_group *group) {
    char test[SPREAD_CAPACITY], train[SPREAD_CAPACITY], seconds[SPREAD_CAPACITY];
    return output_print(error, "%s:%*s%s %s %%, training %s %%, best %.2f %%, %s s an epoch\n",
                        norm_option(group->norm), 6, "",
                        evaluated_word(group->runs[0].validation > 0),
                        spread_text(test, &group->test, 2), spread_text(train, &group->train, 2),
                        group->best.high, spread_text(seconds, &group->seconds, 1));
}

static enum status print_summary(struct error *error, const struct comparison *comparison,
                                 bool pictures) {
    const struct run_set *set = &comparison->main;
    struct norm_difference differences[MAX_DIFFERENCES];
    char text[512];
    int count = norm_differences(differences, set);
    for (int i = 0; i < set->group_count; i++)
        if (print_group(error, &set->groups[i]) != STATUS_OK)
            return error->status;
    for (int i = 0; i < count; i++)
        if (output_print(error, "%s\n", difference_text(text, sizeof text, &differences[i])) !=
            STATUS_OK)
            return error->status;
    return output_print(error, "results: %s: %s, %s%s%s%s%s\n", comparison->folder, text_name,
                        json_name, pictures ? ", " : "", pictures ? picture_name : "",
                        pictures && comparison->sweep_count > 0 ? ", " : "",
                        pictures && comparison->sweep_count > 0 ? sweep_name : "");
}

enum status comparison_report(struct error *error, const struct comparison *comparison,
                              const struct options *options) {
    const char *folder = comparison->folder;
    bool pictures = false;
    json_t *object = comparison_json(comparison);
    if (object == NULL) /* checked before an older report is removed */
        return error_set(error, STATUS_FAILED, "out of memory for %s", json_name);
    enum status status = folder_make(error, folder);
    if (status == STATUS_OK)
        status = remove_old(error, folder);
    if (status == STATUS_OK)
        status = draw_pictures(error, &pictures, comparison, options->quiet || options->json);
    if (status == STATUS_OK)
        status = write_json(error, folder, object);
    if (status == STATUS_OK)
        status = write_text(error, comparison, pictures);
    if (status == STATUS_OK && options->json)
        status = output_json(error, json_incref(object));
    else if (status == STATUS_OK && !options->quiet)
        status = print_summary(error, comparison, pictures);
    json_decref(object);
    return status == STATUS_OK ? output_flush(error) : status;
}
