/* run_folder.c: the files of a run. */
#include "run_folder.h"

#include "run_config.h"
#include "text.h"
#include "weights.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- opening metrics.jsonl ------------------------------------------------------------------- */

static enum status cannot_write(struct error *error, const struct run_folder *folder, int reason) {
    return error_set_errno(error, STATUS_FAILED, reason, "cannot write '%s/%s'", folder->path,
                           metrics_name);
}

/* Where the first `lines` lines end. */
static enum status find_end(struct error *error, off_t *end, const struct run_folder *folder,
                            int lines) {
    char chunk[4096];
    int found = 0;
    ssize_t got = 0;
    for (off_t place = 0; found < lines; place += got) {
        got = pread(folder->metrics, chunk, sizeof chunk, place);
        if (got < 0)
            return cannot_write(error, folder, errno);
        if (got == 0)
            return error_set(error, STATUS_BAD_DATA,
                             "'%s/%s' has %d whole lines, but the checkpoint beside it counts %d "
                             "epochs; bring the file back, or begin anew with --force",
                             folder->path, metrics_name, found, lines);
        for (ssize_t i = 0; i < got && found < lines; i++) {
            if (chunk[i] != '\n')
                continue;
            found++;
            *end = place + i + 1;
        }
    }
    return STATUS_OK;
}

/* Opens metrics.jsonl and cuts it off after its first `lines` lines. */
static enum status open_metrics(struct error *error, struct run_folder *folder, int lines) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder->path, metrics_name) != STATUS_OK)
        return error->status;
    folder->metrics = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (folder->metrics < 0)
        return cannot_write(error, folder, errno);
    if (find_end(error, &folder->metrics_bytes, folder, lines) != STATUS_OK)
        return error->status;
    if (ftruncate(folder->metrics, folder->metrics_bytes) != 0)
        return cannot_write(error, folder, errno);
    return file_sync(error, folder->metrics, path);
}

/* ---- the folder ------------------------------------------------------------------------------ */

enum status run_folder_weights_path(struct error *error, char out[PATH_CAPACITY], const char *path,
                                    enum run_weights which) {
    return path_join(error, out, path, weights_name(which));
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
                         !finished && checkpoint ? "go on with --resume, " : "");
    *unfinished = !finished && (best || checkpoint || config || metrics);
    return STATUS_OK;
}

enum status run_folder_make(struct error *error, const char *path) {
    static const char *const written_whole[] = {"model.safetensors", "best.safetensors",
                                                "checkpoint.safetensors", config_name};
    if (folder_make(error, path) != STATUS_OK)
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

enum status run_folder_open(struct error *error, struct run_folder *out,
                            const struct run_description *run, const struct run_state *state) {
    *out = (struct run_folder)RUN_FOLDER_CLOSED;
    if (path_join(error, out->path, "", run->options->out) != STATUS_OK ||
        run_config_write(error, out->path, config_name, run) != STATUS_OK ||
        open_metrics(error, out, state->epoch - 1) != STATUS_OK)
        return error->status;
    if (!run_ended(state, run->options) && remove_weights(error, out, WEIGHTS_FINAL) != STATUS_OK)
        return error->status;
    return state->best_epoch > 0 ? STATUS_OK : remove_weights(error, out, WEIGHTS_BEST);
}

/* ---- metrics.jsonl --------------------------------------------------------------------------- */

static json_t *metrics_json(const struct epoch_metrics *metrics) {
    return json_pack("{s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "epoch", metrics->epoch,
                     "step", (json_int_t)metrics->step, "lr", text_decimal(metrics->learning_rate),
                     "train_loss", metrics->train.loss, "train_accuracy", metrics->train.accuracy,
                     "test_loss", metrics->test.loss, "test_accuracy", metrics->test.accuracy,
                     "seconds", metrics->seconds, "images_per_second", metrics->images_per_second,
                     "eval_seconds", metrics->eval_seconds);
}

/* Writes a line in one call, so that a reader sees it whole, and takes back the start of one that
 * did not fit. */
static enum status append(struct error *error, struct run_folder *folder, const char *line,
                          size_t length) {
    char path[PATH_CAPACITY];
    ssize_t written;
    if (path_join(error, path, folder->path, metrics_name) != STATUS_OK)
        return error->status;
    do
        written = write(folder->metrics, line, length);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)length) {
        folder->metrics_bytes += written;
        return file_sync(error, folder->metrics, path);
    }
    int reason = written < 0 ? errno : ENOSPC; /* what ends a write to a file early */
    if (written > 0 && ftruncate(folder->metrics, folder->metrics_bytes) != 0)
        reason = errno;
    return error_set_errno(error, STATUS_FAILED, reason, "cannot write '%s/%s', %zu bytes needed",
                           folder->path, metrics_name, length);
}

enum status run_folder_add(struct error *error, struct run_folder *folder,
                           const struct epoch_metrics *metrics) {
    json_t *object = metrics_json(metrics);
    char *text = text_of_json(object, JSON_REAL_PRECISION(9));
    json_decref(object);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for a line of %s", metrics_name);
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of the terminator */
    enum status status = append(error, folder, text, length + 1);
    free(text);
    return status;
}

/* ---- weights --------------------------------------------------------------------------------- */

enum status run_folder_save(struct error *error, struct run_folder *folder, enum run_weights which,
                            const struct tensor_list *tensors, const struct run_description *run) {
    char path[PATH_CAPACITY];
    if (run_folder_weights_path(error, path, folder->path, which) != STATUS_OK)
        return error->status;
    const struct weights_origin origin = {
        .norm = run->network->norm,
        .recipe = run->network->recipe,
        .dataset = run->dataset->name,
    };
    return weights_write(error, path, tensors, &origin, NULL);
}

enum status run_folder_close(struct error *error, struct run_folder *folder) {
    int metrics = folder->metrics;
    folder->metrics = -1;
    if (metrics >= 0 && close(metrics) != 0 && errno != EINTR)
        return cannot_write(error, folder, errno);
    return STATUS_OK;
}
