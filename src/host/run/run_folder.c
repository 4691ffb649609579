/* run_folder.c: the files of a run. */
#include "run/run_folder.h"

#include "base/clock.h"
#include "model/weights.h"
#include "run/run_config.h"
#include "run/run_events.h"

static const char config_name[] = "config.json";
static const char metrics_name[] = "metrics.jsonl";

static const char *weights_name(enum run_weights which) {
    switch (which) {
    case WEIGHTS_FINAL:
        return "model.safetensors";
    case WEIGHTS_BEST:
        return "best.safetensors";
    case WEIGHTS_CHECKPOINT:
        return "checkpoint.safetensors";
    }
    return NULL;
}

/* ---- the folder ------------------------------------------------------------------------------ */

enum status run_folder_weights_path(struct error *error, char out[PATH_CAPACITY], const char *path,
                                    enum run_weights which) {
    return path_join(error, out, path, weights_name(which));
}

enum status run_folder_metrics_path(struct error *error, char out[PATH_CAPACITY],
                                    const char *path) {
    return path_join(error, out, path, metrics_name);
}

enum status run_folder_config_path(struct error *error, char out[PATH_CAPACITY], const char *path) {
    return path_join(error, out, path, config_name);
}

/* Whether the folder holds a file of that name. */
static enum status holds(struct error *error, bool *out, const char *folder, const char *name) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder, name) != STATUS_OK)
        return error->status;
    *out = file_exists(path);
    return STATUS_OK;
}

enum status run_folder_check(struct error *error, bool *unfinished, const char *path, bool force) {
    bool finished = false, best = false, checkpoint = false, config = false, metrics = false;
    *unfinished = false;
    if (holds(error, &finished, path, weights_name(WEIGHTS_FINAL)) != STATUS_OK ||
        holds(error, &best, path, weights_name(WEIGHTS_BEST)) != STATUS_OK ||
        holds(error, &checkpoint, path, weights_name(WEIGHTS_CHECKPOINT)) != STATUS_OK ||
        holds(error, &config, path, config_name) != STATUS_OK ||
        holds(error, &metrics, path, metrics_name) != STATUS_OK)
        return error->status;
    if ((finished || best || checkpoint) && !force)
        return error_set(error, STATUS_USAGE,
                         "'%s' holds %s; %schoose another folder with --out, or overwrite it with "
                         "--force",
                         path,
                         finished     ? "a finished run"
                         : checkpoint ? "an unfinished run"
                                      : "the weights of an unfinished run",
                         !finished && checkpoint ? "resume it with --resume, " : "");
    *unfinished = !finished && (best || checkpoint || config || metrics);
    return STATUS_OK;
}

enum status run_folder_make(struct error *error, struct run_folder *out, const char *path) {
    static const char *const written_whole[] = {"model.safetensors", "best.safetensors",
                                                "checkpoint.safetensors", config_name};
    *out = (struct run_folder)RUN_FOLDER_CLOSED;
    if (path_join(error, out->path, "", path) != STATUS_OK ||
        folder_make(error, path) != STATUS_OK || folder_lock(error, &out->lock, path) != STATUS_OK)
        return error->status;
    for (size_t i = 0; i < sizeof written_whole / sizeof written_whole[0]; i++) {
        char file[PATH_CAPACITY];
        if (path_join(error, file, path, written_whole[i]) != STATUS_OK ||
            file_tidy(error, file) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

static enum status remove_weights(struct error *error, const struct run_folder *folder,
                                  enum run_weights which) {
    char path[PATH_CAPACITY];
    if (run_folder_weights_path(error, path, folder->path, which) != STATUS_OK)
        return error->status;
    return file_remove(error, path);
}

/* Checks that the best weights exist if the state counts on them: they cannot be computed again. */
static enum status check_best(struct error *error, const struct run_folder *folder,
                              const struct run_state *state) {
    bool there = false;
    if (state->best_epoch == 0)
        return STATUS_OK;
    if (holds(error, &there, folder->path, weights_name(WEIGHTS_BEST)) != STATUS_OK)
        return error->status;
    if (there)
        return STATUS_OK;
    return error_set(error, STATUS_BAD_DATA,
                     "'%s/%s' is missing, but the checkpoint beside it expects it, from epoch "
                     "%d; restore the file, or start over with --force",
                     folder->path, weights_name(WEIGHTS_BEST), state->best_epoch);
}

enum status run_folder_clear(struct error *error, const char *path) {
    static const enum run_weights all[] = {WEIGHTS_FINAL, WEIGHTS_BEST, WEIGHTS_CHECKPOINT};
    struct run_folder folder;
    struct error ignored; /* only the lock is open, and releasing it does not fail */
    enum status status = run_folder_make(error, &folder, path);
    for (size_t i = 0; i < sizeof all / sizeof all[0] && status == STATUS_OK; i++)
        status = remove_weights(error, &folder, all[i]);
    (void)run_folder_close(&ignored, &folder);
    return status;
}

/* A new run removes the event files of the previous run. A resumed run keeps its own and, with
 * --tensorboard, adds another (run_events.c). */
static enum status open_events(struct error *error, struct run_folder *folder,
                               const struct run_description *run, const struct run_state *state) {
    char metrics[PATH_CAPACITY];
    if (!run->options->resume && event_files_remove(error, folder->path) != STATUS_OK)
        return error->status;
    if (!run->options->tensorboard)
        return STATUS_OK;
    if (run_folder_metrics_path(error, metrics, folder->path) != STATUS_OK)
        return error->status;
    return run_events_open(error, &folder->events, folder->path, metrics, state);
}

enum status run_folder_open(struct error *error, struct run_folder *folder,
                            const struct run_description *run, const struct run_state *state) {
    char metrics[PATH_CAPACITY], config[PATH_CAPACITY];
    if (check_best(error, folder, state) != STATUS_OK ||
        run_folder_config_path(error, config, folder->path) != STATUS_OK ||
        run_folder_metrics_path(error, metrics, folder->path) != STATUS_OK ||
        metrics_open(error, &folder->metrics, metrics, state->epoch - 1) != STATUS_OK ||
        run_config_write(error, config, run, state) != STATUS_OK)
        return error->status;
    if (!run_ended(state, run->options) &&
        remove_weights(error, folder, WEIGHTS_FINAL) != STATUS_OK)
        return error->status;
    if (state->best_epoch == 0 && remove_weights(error, folder, WEIGHTS_BEST) != STATUS_OK)
        return error->status;
    return open_events(error, folder, run, state);
}

enum status run_folder_add(struct error *error, struct run_folder *folder,
                           const struct epoch_metrics *epoch) {
    if (metrics_add(error, &folder->metrics, epoch) != STATUS_OK)
        return error->status;
    return run_events_add(error, &folder->events, epoch, clock_wall());
}

enum status run_folder_show_mistakes(struct error *error, struct run_folder *folder, int64_t step) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder->path, "misclassified.png") != STATUS_OK)
        return error->status;
    if (folder->events.file < 0 || !file_exists(path))
        return STATUS_OK;
    return event_file_add_image_file(error, &folder->events, "misclassified", step, path);
}

/* ---- weights --------------------------------------------------------------------------------- */

enum status run_folder_save(struct error *error, struct run_folder *folder, enum run_weights which,
                            const struct tensor_list *tensors, const struct run_description *run) {
    char path[PATH_CAPACITY];
    if (run_folder_weights_path(error, path, folder->path, which) != STATUS_OK)
        return error->status;
    const struct weights_origin origin = {&run->options->recipe, run->dataset};
    return weights_write(error, path, tensors, &origin, NULL);
}

enum status run_folder_close(struct error *error, struct run_folder *folder) {
    struct error other; /* the first error is reported */
    enum status status = event_file_close(error, &folder->events);
    enum status closed = metrics_close(status == STATUS_OK ? error : &other, &folder->metrics);
    folder_unlock(&folder->lock);
    return status == STATUS_OK ? closed : status;
}
