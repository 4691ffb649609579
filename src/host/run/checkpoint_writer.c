/* checkpoint_writer.c: a thread for each checkpoint. It lives for a few milliseconds, so starting
 * one, which takes some 50 us, costs less than code that keeps one alive. */
#include "run/checkpoint_writer.h"

#include "base/thread.h"

#include <stdlib.h>

static void *work(void *argument) {
    struct checkpoint_writer *writer = argument;
    (void)checkpoint_put(&writer->error, writer->path, &writer->checkpoint);
    checkpoint_free(&writer->checkpoint);
    return NULL;
}

static enum status start(struct error *error, struct checkpoint_writer *writer) {
    int result = thread_start(&writer->thread, work, writer);
    if (result != 0)
        return error_set_errno(error, STATUS_FAILED, result,
                               "cannot start the thread that writes '%s' (`ulimit -u` limits "
                               "their number)",
                               writer->path);
    writer->busy = true;
    return STATUS_OK;
}

enum status checkpoint_writer_start(struct error *error, struct checkpoint_writer *writer,
                                    const char *path, struct model *model,
                                    const struct run_state *state,
                                    const struct run_description *run) {
    if (checkpoint_writer_wait(error, writer) != STATUS_OK ||
        checkpoint_take(error, &writer->checkpoint, model, state, run) != STATUS_OK)
        return error->status;
    writer->path = path;
    writer->error = (struct error){.status = STATUS_OK};
    if (start(error, writer) != STATUS_OK)
        checkpoint_free(&writer->checkpoint);
    return writer->busy ? STATUS_OK : error->status;
}

enum status checkpoint_writer_wait(struct error *error, struct checkpoint_writer *writer) {
    if (!writer->busy)
        return STATUS_OK;
    if (pthread_join(writer->thread, NULL) != 0)
        abort(); /* it fails only if misused */
    writer->busy = false;
    if (writer->error.status != STATUS_OK)
        *error = writer->error;
    return writer->error.status;
}
