/* fault_reports.c: folders of finished runs, and the reports on them. */
#include "fault_reports.h"

#include "fault_world.h"
#include "pictures/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ----------------------------------------------------------------------------------- */

enum { MAX_FILES = 4 };

/* The runs of each report. */
static const char *const file_names[REPORTS][MAX_FILES + 1] = {
    [REPORT_OF_RUN] = {"report.md", "curves.png", "confusion.png", "misclassified.png"},
    [REPORT_OF_RUNS] = {"compare.json", "compare.md", "compare.png"},
    [REPORT_TRAINED] = {"compare.json", "compare.md", "compare.png", "sweep.png"},
};

/* The folder of a run within that of a report. Returns `out`. */
static const char *run_path(char out[PATH_CAPACITY], const char *folder, int norm) {
    static const char *const names[NORM_COUNT] = {"bn-tuned-3", "gn-tuned-3", "ln-tuned-3"};
    return strcpy(out, in_folder(folder, names[norm]));
}

static void remove_file(const char *folder, const char *name) {
    char temporary[64];
    snprintf(temporary, sizeof temporary, "%s.tmp", name);
    unlink(in_folder(folder, name));
    unlink(in_folder(folder, temporary));
}

/* Removes the folder of a report with the runs in it. */
static void remove_report(const char *folder) {
    char run[PATH_CAPACITY];
    if (!is_there(folder, "."))
        return;
    for (int report = 0; report < REPORTS; report++)
        for (const char *const *name = file_names[report]; *name != NULL; name++)
            remove_file(folder, *name);
    for (int norm = 0; norm < NORM_COUNT; norm++)
        remove_run(run_path(run, folder, norm));
    remove_run(folder);
}

static void copy_report(const char *to, const char *from, enum fault_report report) {
    make_folder(to);
    for (const char *const *name = file_names[report]; *name != NULL; name++)
        if (is_there(from, *name))
            copy_file(in_folder(to, *name), in_folder(from, *name));
}

/* ---- the runs to report on ------------------------------------------------------------------- */

static struct options comparison(const struct world *world) {
    struct options options = fault_settings(world, LENGTH_SHORT);
    options.command = COMMAND_COMPARE;
    options.seeds = 1;
    options.batch_sizes = (struct int_list){1, {options.recipe.batch_size}}; /* the same runs */
    for (int norm = 0; norm < NORM_COUNT; norm++) {
        options.recipes[norm] = *recipe_find(RECIPE_TUNED, (enum norm_kind)norm);
        memcpy(options.recipes[norm].channels, options.recipe.channels,
               sizeof options.recipe.channels);
        options.recipes[norm].groups = 1;
        options.recipes[norm].epochs = options.recipe.epochs;
        options.recipes[norm].batch_size = options.recipe.batch_size;
    }
    snprintf(options.out, sizeof options.out, "%s/report", (const char *)world->folder);
    return options;
}

/* `words` has room for NORM_COUNT. */
static struct options report_options(const struct world *world, const struct trial *trial,
                                     const char **words) {
    struct options options = comparison(world);
    options.json = trial->json;
    switch (trial->report) {
    case REPORT_NONE:
        break;
    case REPORT_OF_RUN:
        options = fault_settings(world, LENGTH_SHORT);
        options.resume = true;
        options.no_report = false;
        break;
    case REPORT_OF_RUNS:
        for (int norm = 0; norm < NORM_COUNT; norm++)
            words[norm] = world->runs[norm];
        options.runs = true;
        options.words = words;
        options.word_count = NORM_COUNT;
        break;
    case REPORT_TRAINED:
        options.force = trial->start == START_FORCED;
        break;
    }
    return options;
}

/* Fills the folder with what the trial finds there. */
static void prepare(const struct world *world, const struct trial *trial,
                    const struct options *options) {
    bool old = trial->start == START_FORCED;
    char run[PATH_CAPACITY];
    remove_report(options->out);
    if (trial->report == REPORT_OF_RUN)
        copy_run(options->out, world->undisturbed[LENGTH_SHORT]);
    else if (trial->report == REPORT_TRAINED || old)
        make_folder(options->out);
    for (int norm = 0; norm < NORM_COUNT && trial->report == REPORT_TRAINED; norm++)
        if (old || norm != NORM_GROUP)
            copy_run(run_path(run, options->out, norm), world->runs[norm]);
    for (const char *const *name = file_names[trial->report]; *name != NULL && old; name++)
        file_put(in_folder(options->out, *name), *name, strlen(*name));
}

/* ---- what is left ---------------------------------------------------------------------------- */

/* The seconds of a trained epoch depend on a clock that other code reads too. */
static void drop_seconds(json_t *value) {
    const char *key;
    json_t *member;
    size_t index;
    json_object_del(value, "seconds_per_epoch");
    json_object_foreach(value, key, member) drop_seconds(member);
    json_array_foreach(value, index, member) drop_seconds(member);
}

static bool same_json(const char *a, const char *b) {
    json_t *first = json_load_file(a, 0, NULL), *second = json_load_file(b, 0, NULL);
    drop_seconds(first);
    drop_seconds(second);
    bool same = first != NULL && json_equal(first, second) == 1;
    json_decref(first);
    json_decref(second);
    return same;
}

static bool same_part(const char *folder, const char *expected, const char *name) {
    const char *a = in_folder(folder, name), *b = in_folder(expected, name);
    return strcmp(name, "compare.json") == 0 ? same_json(a, b) : same_files(a, b);
}

/* Whether the file is what prepare put there. */
static bool is_old(const char *folder, const char *name) {
    size_t size;
    unsigned char *bytes = slurp(&size, in_folder(folder, name));
    bool same = size == strlen(name) && memcmp(bytes, name, size) == 0;
    free(bytes);
    return same;
}

/* "" or the file that differs from the undisturbed report's. */
static const char *difference(const struct world *world, const struct trial *trial,
                              const char *folder) {
    for (const char *const *name = file_names[trial->report]; *name != NULL; name++)
        if (is_there(folder, *name) != is_there(world->reported[trial->report], *name) ||
            (is_there(folder, *name) && !same_part(folder, world->reported[trial->report], *name)))
            return *name;
    return "";
}

/* Each file is complete, old or new, or absent; a temporary file remains only if it could not be
 * removed. */
static void check_wholeness(struct world *world, const struct trial *trial, const char *folder) {
    const struct fault_log *log = &world->shared->log;
    bool removes = log->struck == 0 || log->first[0].class != FAULT_REMOVE;
    for (const char *const *name = file_names[trial->report]; *name != NULL; name++) {
        char temporary[64];
        snprintf(temporary, sizeof temporary, "%s.tmp", *name);
        if (removes && is_there(folder, temporary))
            complain(world, trial, "%s is left", temporary);
        if (is_there(folder, *name) && !is_old(folder, *name) &&
            !same_part(folder, world->reported[trial->report], *name))
            complain(world, trial, "%s is not a complete file", *name);
    }
}

/* Which files exist, and how large they are: the same files are resumed in the same way. */
static uint64_t hash_state(const struct trial *trial, const char *folder) {
    enum { RUN_FILES = 5 };
    static const char *const in_runs[RUN_FILES] = {"config.json", "metrics.jsonl",
                                                   "checkpoint.safetensors", "best.safetensors",
                                                   "model.safetensors"};
    int64_t sizes[3 + 2 * MAX_FILES + NORM_COUNT * RUN_FILES] = {trial->report, trial->start,
                                                                 trial->json};
    int count = 3;
    struct stat found;
    for (const char *const *name = file_names[trial->report]; *name != NULL; name++) {
        char temporary[64];
        snprintf(temporary, sizeof temporary, "%s.tmp", *name);
        sizes[count++] = stat(in_folder(folder, *name), &found) == 0 ? found.st_size : -1;
        sizes[count++] = is_there(folder, temporary);
    }
    for (int norm = 0; norm < NORM_COUNT; norm++)
        for (int i = 0; i < RUN_FILES; i++) {
            char run[PATH_CAPACITY];
            const char *path = in_folder(run_path(run, folder, norm), in_runs[i]);
            sizes[count++] = stat(path, &found) == 0 ? found.st_size : -1;
        }
    return hash_bytes(sizes, sizeof sizes);
}

/* The same command, with nothing failing. */
static void check_again(struct world *world, const struct trial *trial,
                        const struct options *options) {
    const struct trial calm = {.report = trial->report, .start = trial->start};
    struct outcome disturbed = *world->shared; /* for complaints */
    int status = in_child(world, &calm, options);
    struct outcome calmly = *world->shared;
    *world->shared = disturbed;
    if (status != 0 || calmly.error.status != STATUS_OK)
        complain(world, trial, "the same command then fails: wait status %#x, %s", (unsigned)status,
                 calmly.error.text);
    else if (difference(world, trial, options->out)[0] != '\0')
        complain(world, trial, "repeated, it differs from an undisturbed one: %s",
                 difference(world, trial, options->out));
}

/* Each state once. */
static void check_folder(struct world *world, const struct trial *trial,
                         const struct options *options) {
    uint64_t hash = hash_state(trial, options->out);
    int complaints = world->complaints;
    for (int i = 0; i < world->known_count; i++)
        if (world->known[i] == hash)
            return;
    check_again(world, trial, options);
    if (world->complaints == complaints && world->known_count < MAX_KNOWN)
        world->known[world->known_count++] = hash;
}

/* ---- trials ---------------------------------------------------------------------------------- */

bool run_report_trial(void *state, struct outcome *out, const struct trial *trial) {
    struct world *world = state;
    const char *words[NORM_COUNT];
    struct options options = report_options(world, trial, words);
    prepare(world, trial, &options);
    int status = in_child(world, trial, &options);
    check_end(world, trial, status);
    *out = *world->shared;
    bool ended_well = out->returned && out->error.status == STATUS_OK;
    if (ended_well && difference(world, trial, options.out)[0] != '\0')
        complain(world, trial, "ended well, but differs from an undisturbed one: %s",
                 difference(world, trial, options.out));
    check_wholeness(world, trial, options.out);
    check_folder(world, trial, &options);
    return ended_well;
}

/* ---- undisturbed ----------------------------------------------------------------------------- */

static void name_folder(char out[PATH_CAPACITY], const struct world *world, const char *name) {
    snprintf(out, PATH_CAPACITY, "%s/%s", (const char *)world->folder, name);
}

/* The runs of a comparison, trained by a comparison. */
static void make_runs(struct world *world) {
    const struct trial calm = {.report = REPORT_TRAINED};
    const struct options options = comparison(world);
    char run[PATH_CAPACITY];
    run_calmly(world, &calm, &options);
    for (int norm = 0; norm < NORM_COUNT; norm++) {
        run_path(world->runs[norm], world->folder, norm);
        copy_run(world->runs[norm], run_path(run, options.out, norm));
    }
    remove_report(options.out);
}

static void make_report(struct world *world, enum fault_report report, const char *name) {
    const struct trial calm = {.report = report};
    const char *words[NORM_COUNT];
    const struct options options = report_options(world, &calm, words);
    prepare(world, &calm, &options);
    run_calmly(world, &calm, &options);
    name_folder(world->reported[report], world, name);
    copy_report(world->reported[report], options.out, report);
    remove_report(options.out);
}

/* The children inherit what fontconfig has read. */
int fault_reports_make(void **state) {
    struct error error;
    if (fault_runs_make(state) != 0)
        return -1;
    (void)pictures_ready(&error); /* without cairo there are no pictures */
    make_runs(*state);
    make_report(*state, REPORT_OF_RUN, "report-of-run");
    make_report(*state, REPORT_OF_RUNS, "report-of-runs");
    make_report(*state, REPORT_TRAINED, "report-trained");
    return 0;
}

int fault_reports_remove(void **state) {
    pictures_release();
    return fault_runs_remove(state);
}
