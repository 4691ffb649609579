/* checkpoint.c: saves a run between two steps to a file, and restores it. The metadata holds the
 * numbers of the state as decimal text with enough digits to restore the same bits. */
#include "run/checkpoint.h"

#include "base/files.h"
#include "base/version.h"
#include "model/weights.h"
#include "run/run_settings.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_CAPACITY = 40, MAX_SECONDS = 1000000000 /* thirty years */ };

/* The members of struct run_state by name. */
enum kind { KIND_INT, KIND_INT64, KIND_UINT64, KIND_FLOAT, KIND_DOUBLE };

#define FIELD(kind, member, most)                                                                  \
    { "state." #member, kind, offsetof(struct run_state, member), most }

static const struct field {
    const char *key;
    enum kind kind;
    size_t offset;
    double most; /* KIND_FLOAT, KIND_DOUBLE: the largest valid value; the smallest is 0 */
} fields[] = {
    FIELD(KIND_INT64, step, 0),
    FIELD(KIND_INT, epoch, 0),
    FIELD(KIND_INT, batch, 0),
    FIELD(KIND_DOUBLE, sum.loss, DBL_MAX),
    FIELD(KIND_UINT64, sum.correct, 0),
    FIELD(KIND_UINT64, sum.images, 0),
    FIELD(KIND_DOUBLE, seconds, MAX_SECONDS),
    FIELD(KIND_FLOAT, learning_rate, FLT_MAX),
    FIELD(KIND_INT, best_epoch, 0),
    FIELD(KIND_DOUBLE, best_accuracy, 100),
    FIELD(KIND_DOUBLE, last_accuracy, 100),
    FIELD(KIND_DOUBLE, elapsed, MAX_SECONDS),
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static const char version_key[] = "version";

/* ---- writing --------------------------------------------------------------------------------- */

static void print_number(char out[NUMBER_CAPACITY], enum kind kind, const void *member) {
    switch (kind) {
    case KIND_INT:
        snprintf(out, NUMBER_CAPACITY, "%d", *(const int *)member);
        return;
    case KIND_INT64:
        snprintf(out, NUMBER_CAPACITY, "%" PRId64, *(const int64_t *)member);
        return;
    case KIND_UINT64:
        snprintf(out, NUMBER_CAPACITY, "%" PRIu64, *(const uint64_t *)member);
        return;
    case KIND_FLOAT:
        snprintf(out, NUMBER_CAPACITY, "%.9g", (double)*(const float *)member);
        return;
    case KIND_DOUBLE:
        snprintf(out, NUMBER_CAPACITY, "%.17g", *(const double *)member);
        return;
    }
}

/* The metadata of the state and the settings; NULL: no memory. */
static json_t *describe(const struct run_state *state, const struct run_description *run) {
    json_t *object = json_object();
    for (int i = 0; i < FIELD_COUNT && object != NULL; i++) {
        char text[NUMBER_CAPACITY];
        print_number(text, fields[i].kind, (const char *)state + fields[i].offset);
        if (json_object_set_new(object, fields[i].key, json_string(text)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    if (object != NULL &&
        (json_object_set_new(object, version_key, json_string(PROGRAM_VERSION)) != 0 ||
         !run_settings_put(object, run))) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

static enum status check_finite(struct error *error, const struct checkpoint *checkpoint) {
    const struct tensor *bad = tensor_list_not_finite(&checkpoint->tensors);
    if (bad == NULL)
        return STATUS_OK;
    const struct run_state *state = &checkpoint->state;
    if (state->step == 0) /* from a file: initial weights are finite */
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s': tensor '%s' holds a value that is not finite; "
                         "training cannot start from it, use other weights",
                         checkpoint->run->options->weights, bad->name);
    return error_set(error, STATUS_DIVERGED,
                     "training diverged: after step %" PRId64 ", at learning rate %g, '%s' "
                     "holds a value that is not finite; try a smaller --lr",
                     state->step, (double)state->learning_rate, bad->name);
}

enum status checkpoint_take(struct error *error, struct checkpoint *out, struct model *model,
                            const struct run_state *state, const struct run_description *run) {
    *out = (struct checkpoint){.state = *state, .run = run};
    enum status status = model_save_state(error, model, &out->tensors);
    if (status == STATUS_OK)
        status = check_finite(error, out);
    if (status != STATUS_OK)
        checkpoint_free(out);
    return status;
}

enum status checkpoint_put(struct error *error, const char *path,
                           const struct checkpoint *checkpoint) {
    const struct run_description *run = checkpoint->run;
    const struct weights_origin origin = {&run->options->recipe, run->dataset};
    json_t *more = describe(&checkpoint->state, run);
    if (more == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the header of '%s'", path);
    enum status status = weights_write(error, path, &checkpoint->tensors, &origin, more);
    json_decref(more);
    return status;
}

void checkpoint_free(struct checkpoint *checkpoint) {
    tensor_list_free(&checkpoint->tensors);
}

/* ---- reading --------------------------------------------------------------------------------- */

enum status checkpoint_find(struct error *error, const char *path) {
    if (file_exists(path))
        return STATUS_OK;
    return error_set(error, STATUS_BAD_DATA,
                     "no checkpoint '%s': there is no run to resume in that folder; leave out "
                     "--resume to start one",
                     path);
}

/* Reads a number that print_number wrote; false: not a number, or out of range. */
static bool parse_number(void *member, const struct field *field, const char *text) {
    char *end;
    double value;
    errno = 0;
    switch (field->kind) {
    case KIND_INT: {
        long whole = strtol(text, &end, 10);
        *(int *)member = (int)whole;
        return end != text && *end == '\0' && errno == 0 && whole == (int)whole;
    }
    case KIND_INT64:
        *(int64_t *)member = strtoll(text, &end, 10);
        return end != text && *end == '\0' && errno == 0;
    case KIND_UINT64:
        *(uint64_t *)member = strtoull(text, &end, 10);
        return end != text && *end == '\0' && errno == 0;
    case KIND_FLOAT:
        *(float *)member = strtof(text, &end);
        value = (double)*(float *)member;
        return end != text && *end == '\0' && value >= 0 && value <= field->most;
    case KIND_DOUBLE:
        value = *(double *)member = strtod(text, &end);
        return end != text && *end == '\0' && value >= 0 && value <= field->most;
    }
    return false;
}

static enum status parse_state(struct error *error, struct run_state *out, const json_t *metadata,
                               const char *path) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *text = json_string_value(json_object_get(metadata, fields[i].key));
        if (text == NULL)
            return error_set(error, STATUS_BAD_DATA,
                             "checkpoint '%s' lacks '%s': it was not written by this program", path,
                             fields[i].key);
        if (!parse_number((char *)out + fields[i].offset, &fields[i], text))
            return error_set(error, STATUS_BAD_DATA,
                             "checkpoint '%s' is damaged: '%s' is '%.40s', which is not a valid "
                             "value",
                             path, fields[i].key, text);
    }
    return STATUS_OK;
}

/* Another version may use other random numbers or another schedule. */
static enum status check_version(struct error *error, const json_t *metadata, const char *path) {
    const char *version = json_string_value(json_object_get(metadata, version_key));
    if (version == NULL)
        return error_set(error, STATUS_BAD_DATA,
                         "checkpoint '%s' lacks '%s': it was not written by this program", path,
                         version_key);
    if (strcmp(version, PROGRAM_VERSION) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "'%s' was started by version %.20s of this program, and this is %s; resume "
                     "it with that version, or choose another folder with --out",
                     path, version, PROGRAM_VERSION);
}

/* Checks that a run with these settings can be in this state. */
static enum status check_state(struct error *error, const struct run_state *state,
                               const struct run_description *run, const char *path) {
    const struct options *options = run->options;
    int64_t limit = options->max_steps > 0 ? options->max_steps : INT64_MAX;
    int epochs = options->recipe.epochs, per_epoch = run->steps_per_epoch;
    int64_t images = (int64_t)state->batch * options->recipe.batch_size;
    if (images > run->dataset->train.count)
        images = run->dataset->train.count;
    bool possible = state->epoch >= 1 && state->epoch <= epochs + 1 && state->batch >= 0 &&
                    state->batch <= per_epoch && state->step >= 0 && state->step <= limit;
    /* an epoch has fewer steps only if --max-steps ended the run in it */
    int64_t expected = ((int64_t)state->epoch - 1) * per_epoch + state->batch;
    possible =
        possible && (state->step == expected || (state->step == limit && state->step < expected));
    possible = possible && state->sum.images == (uint64_t)images &&
               state->sum.correct <= state->sum.images && state->best_epoch >= 0 &&
               state->best_epoch < state->epoch && (state->best_epoch > 0 || state->epoch == 1);
    if (possible)
        return STATUS_OK;
    return error_set(error, STATUS_BAD_DATA,
                     "checkpoint '%s' is damaged: step %" PRId64 ", epoch %d, batch %d, best epoch "
                     "%d do not fit together in a run of %d epochs of %d steps",
                     path, state->step, state->epoch, state->batch, state->best_epoch, epochs,
                     per_epoch);
}

/* Reads the file and checks everything that needs no model. The caller releases *tensors. */
static enum status read_file(struct error *error, struct run_state *state,
                             struct tensor_list *tensors, const char *path,
                             const struct run_description *run) {
    json_t *metadata;
    *tensors = (struct tensor_list){0};
    *state = (struct run_state)RUN_STATE_NEW;
    if (checkpoint_find(error, path) != STATUS_OK ||
        weights_read(error, tensors, &metadata, path) != STATUS_OK)
        return error->status;
    enum status status = check_version(error, metadata, path);
    if (status == STATUS_OK)
        status = parse_state(error, state, metadata, path);
    if (status == STATUS_OK)
        status = run_settings_check(error, metadata, run, path);
    if (status == STATUS_OK)
        status = check_state(error, state, run, path);
    json_decref(metadata);
    return status;
}

enum status checkpoint_read(struct error *error, struct run_state *state, struct model *model,
                            const char *path, const struct run_description *run) {
    struct tensor_list tensors;
    struct run_state found;
    enum status status = read_file(error, &found, &tensors, path, run);
    if (status == STATUS_OK)
        status = model_restore_state(error, model, &tensors, path);
    if (status == STATUS_OK)
        *state = found;
    tensor_list_free(&tensors);
    return status;
}

enum status checkpoint_look(struct error *error, struct run_state *state, const char *path,
                            const struct run_description *run) {
    struct tensor_list tensors;
    enum status status = read_file(error, state, &tensors, path, run);
    tensor_list_free(&tensors);
    return status;
}
