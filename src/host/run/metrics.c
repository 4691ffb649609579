/* metrics.c: metrics.jsonl: the epochs of a run, a line of JSON for each. */
#include "run/metrics.h"

#include "base/file_read.h"
#include "base/text.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- opening --------------------------------------------------------------------------------- */

static enum status cannot_write(struct error *error, const struct metrics *metrics, int reason) {
    return error_set_errno(error, STATUS_FAILED, reason, "cannot write '%s'", metrics->path);
}

/* Sets `bytes` to the end of the first `lines` lines. */
static enum status find_end(struct error *error, struct metrics *metrics, int lines) {
    char chunk[4096];
    int found = 0;
    ssize_t got = 0;
    for (off_t place = 0; found < lines; place += got) {
        got = pread(metrics->handle, chunk, sizeof chunk, place);
        if (got < 0)
            return error_set_errno(error, STATUS_FAILED, errno, "cannot read '%s'", metrics->path);
        if (got == 0)
            return error_set(error, STATUS_BAD_DATA,
                             "'%s' has %d whole lines, but the checkpoint beside it counts %d "
                             "epochs; restore the file, or start over with --force",
                             metrics->path, found, lines);
        for (ssize_t i = 0; i < got && found < lines; i++) {
            if (chunk[i] != '\n')
                continue;
            found++;
            metrics->bytes = place + i + 1;
        }
    }
    return STATUS_OK;
}

enum status metrics_open(struct error *error, struct metrics *out, const char *path, int lines) {
    struct stat found;
    *out = (struct metrics)METRICS_CLOSED;
    if (path_join(error, out->path, "", path) != STATUS_OK)
        return error->status;
    out->handle = file_open_retrying(path, O_RDWR | O_CREAT | O_APPEND);
    if (out->handle < 0 || fstat(out->handle, &found) != 0)
        return cannot_write(error, out, errno);
    if (!S_ISREG(found.st_mode))
        return error_set(error, STATUS_FAILED,
                         "cannot write '%s': it is a device or pipe, not a file; move it away",
                         path);
    if (find_end(error, out, lines) != STATUS_OK)
        return error->status;
    if (ftruncate(out->handle, out->bytes) != 0)
        return cannot_write(error, out, errno);
    return file_sync(error, out->handle, path);
}

enum status metrics_close(struct error *error, struct metrics *metrics) {
    int handle = metrics->handle;
    metrics->handle = -1;
    if (handle >= 0 && close(handle) != 0 && errno != EINTR)
        return cannot_write(error, metrics, errno);
    return STATUS_OK;
}

/* ---- adding ---------------------------------------------------------------------------------- */

/* The names of the figures on the images that are not trained on. */
static const char *loss_key(bool validation) {
    return validation ? "validation_loss" : "test_loss";
}

static const char *accuracy_key(bool validation) {
    return validation ? "validation_accuracy" : "test_accuracy";
}

static json_t *epoch_json(const struct epoch_metrics *epoch) {
    return json_pack("{s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "epoch", epoch->epoch,
                     "step", (json_int_t)epoch->step, "lr", text_decimal(epoch->learning_rate),
                     "train_loss", epoch->train.loss, "train_accuracy", epoch->train.accuracy,
                     loss_key(epoch->validation), epoch->test.loss, accuracy_key(epoch->validation),
                     epoch->test.accuracy, "seconds", epoch->seconds, "images_per_second",
                     epoch->images_per_second, "eval_seconds", epoch->eval_seconds);
}

enum status metrics_add(struct error *error, struct metrics *metrics,
                        const struct epoch_metrics *epoch) {
    json_t *object = epoch_json(epoch);
    char *text = text_of_json(object, JSON_REAL_PRECISION(9));
    json_decref(object);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for a line of '%s'", metrics->path);
    size_t length = strlen(text);
    text[length] = '\n'; /* replaces the terminator */
    enum status status =
        file_append(error, metrics->handle, &metrics->bytes, text, length + 1, metrics->path);
    free(text);
    return status == STATUS_OK ? file_sync(error, metrics->handle, metrics->path) : status;
}

/* ---- reading --------------------------------------------------------------------------------- */

enum { MAX_METRICS = 1 << 26 }; /* bytes of a file: some 200,000 epochs */

/* A file being read. */
struct reading {
    const char *path;
    struct epoch_metrics *epochs;
    int count, room; /* epochs read; epochs that fit */
};

/* Gets the number called `key`, NaN for null; false: missing, or not a number. */
static bool get(double *out, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    *out = json_is_null(value) ? (double)NAN : json_number_value(value);
    return json_is_null(value) || json_is_number(value);
}

static bool is_whole(double value, double least, double most) {
    return value >= least && value <= most && value == floor(value);
}

static bool parse_epoch(struct epoch_metrics *out, const json_t *object) {
    double epoch, step, rate;
    memset(out, 0, sizeof *out);
    out->validation = json_object_get(object, loss_key(true)) != NULL;
    if (!get(&epoch, object, "epoch") || !get(&step, object, "step") || !get(&rate, object, "lr") ||
        !get(&out->train.loss, object, "train_loss") ||
        !get(&out->train.accuracy, object, "train_accuracy") ||
        !get(&out->test.loss, object, loss_key(out->validation)) ||
        !get(&out->test.accuracy, object, accuracy_key(out->validation)) ||
        !get(&out->seconds, object, "seconds") ||
        !get(&out->images_per_second, object, "images_per_second") ||
        !get(&out->eval_seconds, object, "eval_seconds") || !is_whole(epoch, 1, INT32_MAX) ||
        !is_whole(step, 0, 9e15))
        return false;
    out->epoch = (int)epoch;
    out->step = (int64_t)step;
    out->learning_rate = (float)rate;
    return true;
}

/* Makes room for one more epoch. */
static enum status make_room(struct error *error, struct reading *reading) {
    if (reading->count < reading->room)
        return STATUS_OK;
    struct epoch_metrics *more;
    int room = reading->room == 0 ? 32 : 2 * reading->room;
    enum status status =
        memory_alloc(error, &more, (size_t)room, sizeof *more, "the epochs of a run");
    if (status != STATUS_OK)
        return status;
    if (reading->count > 0)
        memcpy(more, reading->epochs, (size_t)reading->count * sizeof *more);
    memory_free(reading->epochs);
    reading->epochs = more;
    reading->room = room;
    return STATUS_OK;
}

static enum status take_line(struct error *error, struct reading *reading, const char *line,
                             size_t length) {
    bool no_memory;
    json_error_t fault;
    if (make_room(error, reading) != STATUS_OK)
        return error->status;
    json_t *object = text_parse_json(&no_memory, &fault, line, length);
    if (no_memory)
        return error_set(error, STATUS_FAILED, "out of memory for a line of '%s'", reading->path);
    bool good = parse_epoch(&reading->epochs[reading->count], object);
    json_decref(object);
    if (!good)
        return error_set(error, STATUS_BAD_DATA,
                         "'%s', line %d: not a line that this program writes; restore the file",
                         reading->path, reading->count + 1);
    reading->count++;
    return STATUS_OK;
}

static enum status take_lines(struct error *error, struct reading *reading, const char *text,
                              size_t bytes) {
    for (size_t done = 0, length; done < bytes; done += length) {
        const char *line = text + done, *end = memchr(line, '\n', bytes - done);
        length = end == NULL ? bytes - done : (size_t)(end - line) + 1;
        if (take_line(error, reading, line, length) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

enum status metrics_read(struct error *error, struct epoch_metrics **out, int *count,
                         const char *path) {
    struct reading reading = {.path = path};
    char *text;
    size_t bytes;
    *out = NULL;
    *count = 0;
    if (file_read_whole(error, &text, &bytes, path, "metrics file", MAX_METRICS) != STATUS_OK)
        return error->status;
    enum status status = take_lines(error, &reading, text, bytes);
    memory_free(text);
    if (status != STATUS_OK) {
        memory_free(reading.epochs);
        return status;
    }
    *out = reading.epochs;
    *count = reading.count;
    return STATUS_OK;
}
