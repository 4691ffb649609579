/* fault_runs.c: child processes, their folders, and the complaints about them. */
#include "fault_world.h"

#include "compare/comparison.h"
#include "eval.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_LIMIT = 60 };
enum { MAX_SHOWN = 20, FILES_OF_A_RUN = 5 };

static const char *const file_names[FILES_OF_A_RUN] = {"config.json", "metrics.jsonl",
                                                       "checkpoint.safetensors", "best.safetensors",
                                                       "model.safetensors"};

/* Left behind by a killed run; it does no harm. */
static const char lock_name[] = ".lock";

/* ---- settings -------------------------------------------------------------------------------- */

struct options fault_settings(const struct world *world, enum fault_length length) {
    struct options options = small_run(world->folder, RECIPE_TUNED, NORM_GROUP);
    for (int i = 0; i < BLOCK_COUNT; i++)
        options.recipe.channels[i] = 1;
    options.recipe.groups = 1;
    options.recipe.batch_size = length == LENGTH_SHORT ? 1 : 2;
    options.recipe.epochs = length == LENGTH_SHORT ? 1 : 2;
    options.checkpoint_seconds = length == LENGTH_SHORT ? 0 : 1e-6f;
    return options;
}

/* ---- children -------------------------------------------------------------------------------- */

/* A crash ends the child: cmocka's handlers would continue the tests in it. */
static void crash_plainly(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], SIG_DFL);
}

static void be_silent(void) {
    if (freopen("/dev/null", "w", stdout) == NULL)
        abort();
}

static enum status do_work(struct error *error, const struct world *world,
                           const struct trial *trial, const struct options *options) {
    switch (trial->report) {
    case REPORT_NONE:
    case REPORT_OF_RUN:
        return trial->evaluate ? eval_on(error, options, &world->dataset)
                               : train_on(error, options, &world->dataset);
    case REPORT_OF_RUNS:
        return compare(error, options);
    case REPORT_TRAINED:
        return compare_on(error, options, &world->dataset);
    }
    return STATUS_FAILED;
}

static void run_child(struct outcome *out, const struct world *world, const struct trial *trial,
                      const struct options *options) {
    alarm(SECONDS_LIMIT);
    crash_plainly();
    be_silent();
    long blocks = faults_live_blocks();
    int descriptor = lowest_free_descriptor();
    faults_begin(&trial->plan);
    if (trial->arm != NULL)
        trial->arm(trial->plan.call);
    out->error.status = do_work(&out->error, world, trial, options);
    out->log = *faults_end();
    if (trial->struck != NULL && trial->struck() != NULL)
        snprintf(out->call, sizeof out->call, "%s", trial->struck());
    out->blocks = faults_live_blocks() - blocks;
    out->descriptors = lowest_free_descriptor() - descriptor;
    out->returned = true;
    if (on_cuda())
        exit(0); /* at exit the stand-in reports what is left on its device */
    _exit(0);
}

int in_child(const struct world *world, const struct trial *trial, const struct options *options) {
    int status = 0;
    memset(world->shared, 0, sizeof *world->shared);
    fflush(NULL); /* or the child would print it again */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(world->shared, world, trial, options);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* ---- folders --------------------------------------------------------------------------------- */

void make_folder(const char *path) {
    if (mkdir(path, 0777) != 0)
        fail_msg("cannot make %s: %s", path, strerror(errno));
}

void copy_file(const char *to, const char *from) {
    size_t size;
    unsigned char *bytes = slurp(&size, from);
    file_put(to, bytes, size);
    free(bytes);
}

void copy_run(const char *to, const char *from) {
    make_folder(to);
    for (int i = 0; i < FILES_OF_A_RUN; i++)
        if (is_there(from, file_names[i]))
            copy_file(in_folder(to, file_names[i]), in_folder(from, file_names[i]));
}

void remove_run(const char *path) {
    for (int i = 0; i < FILES_OF_A_RUN; i++) {
        char temporary[64];
        snprintf(temporary, sizeof temporary, "%s.tmp", file_names[i]);
        unlink(in_folder(path, file_names[i]));
        unlink(in_folder(path, temporary));
    }
    unlink(in_folder(path, lock_name));
    if (rmdir(path) != 0 && errno != ENOENT)
        fail_msg("cannot remove %s: %s", path, strerror(errno));
}

/* One number for the whole contents of the folder. */
static uint64_t hash_run(const char *path, const struct trial *trial) {
    uint64_t hashes[FILES_OF_A_RUN + 2] = {(uint64_t)trial->start, (uint64_t)trial->length};
    for (int i = 0; i < FILES_OF_A_RUN; i++) {
        size_t size;
        if (!is_there(path, file_names[i]))
            continue;
        unsigned char *bytes = slurp(&size, in_folder(path, file_names[i]));
        hashes[2 + i] = hash_bytes(bytes, size);
        free(bytes);
    }
    return hash_bytes(hashes, sizeof hashes);
}

/* ---- comparing two runs ---------------------------------------------------------------------- */

static void drop_timings(json_t *line) {
    json_object_del(line, "seconds");
    json_object_del(line, "images_per_second");
    json_object_del(line, "eval_seconds");
}

static bool same_rows(const char *a, const char *b) {
    struct metrics_file first = read_metrics(a), second = read_metrics(b);
    bool same = first.count == second.count;
    for (int i = 0; i < first.count && same; i++) {
        drop_timings(first.lines[i]);
        drop_timings(second.lines[i]);
        same = json_equal(first.lines[i], second.lines[i]);
    }
    free_metrics(&first);
    free_metrics(&second);
    return same;
}

/* "" or what differs from the expected run. */
static const char *difference(const char *run, const char *expected) {
    for (int i = 0; i < FILES_OF_A_RUN; i++)
        if (!is_there(run, file_names[i]))
            return file_names[i];
    if (folder_entries(run) - is_there(run, lock_name) != FILES_OF_A_RUN)
        return "something left over";
    if (!same_rows(run, expected))
        return "the rows of metrics.jsonl";
    if (!same_files(in_folder(run, "best.safetensors"), in_folder(expected, "best.safetensors")))
        return "best.safetensors";
    if (!same_files(in_folder(run, "model.safetensors"), in_folder(expected, "model.safetensors")))
        return "model.safetensors";
    return "";
}

/* ---- complaints ------------------------------------------------------------------------------ */

/* "long forced train, classes 0x8, effect 2, call 17: ..." */
void complain(struct world *world, const struct trial *trial, const char *format, ...) {
    static const char *const starts[] = {"fresh", "forced", "resumed"};
    static const char *const works[] = {"train", "report", "compare --runs", "compare"};
    static const char *const effects[] = {"fails", "fails from there on", "is the last",
                                          "is the last, without power"};
    char text[4096];
    va_list arguments;
    if (world->complaints++ >= MAX_SHOWN)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_message("%s %s %s, call %ld of the classes %#x %s%s%s: %s\n",
                  trial->length == LENGTH_SHORT ? "short" : "long", starts[trial->start],
                  trial->evaluate ? "eval" : works[trial->report], trial->plan.call,
                  trial->plan.classes, effects[trial->plan.effect],
                  world->shared->call[0] == '\0' ? "" : ": ", world->shared->call, text);
}

void assert_no_complaint(void *state) {
    struct world *world = state;
    int complaints = world->complaints;
    world->complaints = 0;
    if (complaints > 0)
        fail_msg("%d complaints; the first %d are above", complaints,
                 complaints < MAX_SHOWN ? complaints : MAX_SHOWN);
}

/* ---- how a run ended ------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The folder of a run, or of the report on several. */
static bool is_own_folder(const char *path) {
    return ends_with(path, "/run") || ends_with(path, "/report") || ends_with(path, "-tuned-3");
}

/* The lock file; removed, and still open, it is ".lock (deleted)". */
static bool is_lock(const char *path) {
    return strstr(path, "/.lock") != NULL;
}

/* Whether a failed call changes nothing: closing a file that was only read, closing or removing a
 * lock, or making a folder that exists. */
static bool harmless(const struct trial *trial, const struct fault_entry *fault) {
    switch (fault->class) {
    case FAULT_REMOVE:
        return is_lock(fault->path);
    case FAULT_CLOSE:
        return is_lock(fault->path) || fault->read_only;
    case FAULT_FOLDER:
        return trial->start != START_FRESH || !is_own_folder(fault->path) ||
               (trial->report == REPORT_TRAINED && ends_with(fault->path, "/report"));
    case FAULT_MEMORY:
    case FAULT_OPEN:
    case FAULT_READ:
    case FAULT_WRITE:
    case FAULT_SYNC:
    case FAULT_TRUNCATE:
    case FAULT_RENAME:
    case FAULT_THREAD:
        return false;
    }
    return false;
}

/* What the message must mention: a path without ".tmp", or a word. */
static const char *subject(char out[PATH_CAPACITY], enum fault_class class, const char *path) {
    snprintf(out, PATH_CAPACITY, "%s", path);
    if (ends_with(out, ".tmp"))
        out[strlen(out) - strlen(".tmp")] = '\0';
    return class == FAULT_MEMORY ? "memory" : class == FAULT_THREAD ? "thread" : out;
}

/* The message must be about the first failure that was not harmless. */
static void check_message(struct world *world, const struct trial *trial) {
    const struct outcome *out = world->shared;
    const char *text = out->error.text;
    char path[PATH_CAPACITY];
    for (int i = 0; i < out->log.struck && i < FAULTS_LOGGED; i++) {
        enum fault_class class = out->log.first[i].class;
        if (harmless(trial, &out->log.first[i]))
            continue;
        const char *due = subject(path, class, out->log.first[i].path);
        if (strstr(text, due) == NULL)
            complain(world, trial, "the message does not mention '%s': %s", due, text);
        return;
    }
    if (out->log.struck > 0 && out->log.struck <= FAULTS_LOGGED)
        complain(world, trial, "ended although only harmless calls failed: %s", text);
}

static void check_failure(struct world *world, const struct trial *trial) {
    const struct error *error = &world->shared->error;
    switch (error->status) {
    case STATUS_FAILED:
    case STATUS_NO_DEVICE:
        break;
    case STATUS_BAD_DATA: /* cannot be read */
        if ((trial->plan.classes & (FAULT_SET(FAULT_OPEN) | FAULT_SET(FAULT_READ))) == 0)
            complain(world, trial, "blames the data: %s", error->text);
        break;
    case STATUS_OK:
    case STATUS_USAGE:
    case STATUS_DIVERGED:
    case STATUS_HANGUP:
    case STATUS_INTERRUPTED:
    case STATUS_USER_SIGNAL:
    case STATUS_TERMINATED:
        complain(world, trial, "status %d: %s", (int)error->status, error->text);
    }
    if (error->text[0] == '\0' || strchr(error->text, '\n') != NULL)
        complain(world, trial, "not one line: '%s'", error->text);
    check_message(world, trial);
}

/* The run reported no failure, so none may matter. */
static void check_success(struct world *world, const struct trial *trial) {
    const struct outcome *out = world->shared;
    for (int i = 0; i < out->log.struck && i < FAULTS_LOGGED; i++)
        if (!harmless(trial, &out->log.first[i]))
            complain(world, trial, "a failure was not noticed: class %d, '%s'",
                     (int)out->log.first[i].class, out->log.first[i].path);
    if (out->log.unsynced > 0)
        complain(world, trial, "%d files or renames are not synced", out->log.unsynced);
}

/* A child that returned from its run. */
static void check_return(struct world *world, const struct trial *trial) {
    const struct outcome *out = world->shared;
    if (trial->plan.call > 0 && out->log.struck == 0 && trial->arm == NULL)
        complain(world, trial, "nothing failed");
    if (out->error.status == STATUS_OK)
        check_success(world, trial);
    else
        check_failure(world, trial);
    if (out->blocks != 0)
        complain(world, trial, "%ld blocks of memory leaked", out->blocks);
    if (out->descriptors != 0)
        complain(world, trial, "descriptors leaked");
}

void check_end(struct world *world, const struct trial *trial, int status) {
    bool dies = trial->plan.call > 0 && trial->arm == NULL &&
                (trial->plan.effect == EFFECT_KILL || trial->plan.effect == EFFECT_POWER);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        complain(world, trial, "still ran after %d s", SECONDS_LIMIT);
    else if (WIFSIGNALED(status) ? !dies || WTERMSIG(status) != SIGKILL : dies)
        complain(world, trial, "wait status %#x", (unsigned)status);
    else if (!dies && (!world->shared->returned || WEXITSTATUS(status) != 0))
        complain(world, trial, "exit status %d", WEXITSTATUS(status));
    if (world->shared->returned)
        check_return(world, trial);
}

/* ---- what a run left ------------------------------------------------------------------------- */

/* Resumes what is in the folder, or starts over if there is no checkpoint. */
static void resume(struct world *world, const struct trial *trial, const struct options *broken) {
    const struct trial calm = {.length = trial->length};
    struct options options = *broken;
    const char *name = "checkpoint.safetensors", *run = options.out, *expected;
    const char *before = world->earlier[trial->length];
    options.force = false;
    options.resume = is_there(run, name);
    expected = world->undisturbed[trial->length];
    if (!options.resume && trial->start != START_FRESH)
        complain(world, trial, "the checkpoint is lost");
    if (options.resume && trial->start == START_FORCED &&
        same_files(in_folder(run, name), in_folder(before, name))) {
        options.seed++;
        expected = before;
    }
    struct outcome disturbed = *world->shared; /* for complaints */
    int status = in_child(world, &calm, &options);
    struct outcome calmly = *world->shared;
    *world->shared = disturbed;
    if (status != 0 || calmly.error.status != STATUS_OK)
        complain(world, trial, "then %s fails: wait status %#x, %s",
                 options.resume ? "--resume" : "a new run", (unsigned)status, calmly.error.text);
    else if (difference(run, expected)[0] != '\0')
        complain(world, trial, "after %s it differs from an undisturbed run: %s",
                 options.resume ? "--resume" : "a new run", difference(run, expected));
}

/* The same bytes would be resumed in the same way, so each state is tried once. */
static void check_folder(struct world *world, const struct trial *trial,
                         const struct options *options) {
    uint64_t hash = hash_run(options->out, trial);
    int complaints = world->complaints;
    for (int i = 0; i < world->known_count; i++)
        if (world->known[i] == hash)
            return;
    resume(world, trial, options);
    if (world->complaints == complaints && world->known_count < MAX_KNOWN)
        world->known[world->known_count++] = hash;
}

/* ---- trials ---------------------------------------------------------------------------------- */

/* The settings of a trial; fills its folder with what the trial finds there. */
static struct options prepare(const struct world *world, const struct trial *trial) {
    struct options options = fault_settings(world, trial->length);
    remove_run(options.out);
    options.resume = trial->start == START_RESUMED;
    options.force = trial->start == START_FORCED;
    options.json = trial->json;
    if (trial->evaluate)
        snprintf(options.weights, sizeof options.weights, "%s/model.safetensors",
                 world->undisturbed[trial->length]);
    switch (trial->start) {
    case START_FRESH:
        break;
    case START_FORCED:
        copy_run(options.out, world->earlier[trial->length]);
        break;
    case START_RESUMED:
        copy_run(options.out, world->half[trial->length]);
        break;
    }
    return options;
}

bool run_trial(void *state, struct outcome *out, const struct trial *trial) {
    struct world *world = state;
    struct options options = prepare(world, trial);
    int status = in_child(world, trial, &options);
    check_end(world, trial, status);
    *out = *world->shared;
    bool ended_well = out->returned && out->error.status == STATUS_OK;
    if (trial->evaluate)
        return ended_well;
    const char *differs =
        ended_well ? difference(options.out, world->undisturbed[trial->length]) : "";
    if (differs[0] != '\0')
        complain(world, trial, "ended well, but differs from an undisturbed run: %s", differs);
    check_folder(world, trial, &options);
    return ended_well;
}

long count_calls(void *state, struct trial trial, unsigned classes) {
    struct outcome out;
    long count = 0;
    trial.plan = (struct fault_plan){.call = 0};
    trial.arm = NULL;
    trial.struck = NULL;
    assert_true(run_trial(state, &out, &trial));
    for (int i = 0; i < FAULT_CLASSES; i++)
        if ((classes & FAULT_SET(i)) != 0)
            count += out.log.calls[i];
    return count;
}

/* ---- the undisturbed runs -------------------------------------------------------------------- */

void run_calmly(const struct world *world, const struct trial *calm,
                const struct options *options) {
    int status = in_child(world, calm, options);
    if (status != 0 || world->shared->error.status != STATUS_OK)
        fail_msg("wait status %#x: %s", (unsigned)status, world->shared->error.text);
}

/* A run that dies when half of its files are in place. */
static void run_half(const struct world *world, const struct trial *calm,
                     const struct options *options) {
    struct trial dies = *calm;
    remove_run(options->out);
    run_calmly(world, calm, options);
    dies.plan = (struct fault_plan){.classes = FAULT_SET(FAULT_RENAME),
                                    .effect = EFFECT_KILL,
                                    .call = world->shared->log.calls[FAULT_RENAME] / 2};
    remove_run(options->out);
    int status = in_child(world, &dies, options);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    copy_run(world->half[calm->length], options->out);
}

static void name_folder(char out[PATH_CAPACITY], const struct world *world, const char *kind,
                        enum fault_length length) {
    snprintf(out, PATH_CAPACITY, "%s/%s-%s", (const char *)world->folder, kind,
             length == LENGTH_SHORT ? "short" : "long");
}

static void run_undisturbed(struct world *world, enum fault_length length) {
    const struct trial calm = {.length = length};
    struct options options = fault_settings(world, length);
    name_folder(world->undisturbed[length], world, "undisturbed", length);
    name_folder(world->earlier[length], world, "earlier", length);
    name_folder(world->half[length], world, "half", length);
    run_calmly(world, &calm, &options);
    copy_run(world->undisturbed[length], options.out);
    run_half(world, &calm, &options);
    remove_run(options.out);
    options.seed++;
    run_calmly(world, &calm, &options);
    copy_run(world->earlier[length], options.out);
    remove_run(options.out);
}

static void fill_dataset(struct dataset *out) {
    enum { TRAINED = 3, TESTED = 2 };
    struct error error;
    *out = (struct dataset){.name = "synthetic", .class_names = synthetic_class_names};
    assert_succeeded(synthetic_fill(&error, &out->train, 5, 0, TRAINED), &error);
    assert_succeeded(synthetic_fill(&error, &out->test, 5, TRAINED, TESTED), &error);
}

int fault_runs_make(void **state) {
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL || temporary_folder_make(&world->folder) != 0)
        return -1;
    *state = world;
    world->shared = mmap(NULL, sizeof *world->shared, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(world->shared != MAP_FAILED);
    fill_dataset(&world->dataset);
    for (int length = 0; length < LENGTHS; length++)
        run_undisturbed(world, (enum fault_length)length);
    return 0;
}

int fault_runs_remove(void **state) {
    struct world *world = *state;
    dataset_close(&world->dataset);
    munmap(world->shared, sizeof *world->shared);
    int result = temporary_folder_remove(&world->folder);
    free(world);
    return result;
}
