/* caption.c: builds the caption of a picture. */
#include "run/caption.h"

#include "base/output.h"

#include <stdarg.h>
#include <stdio.h>

void caption_begin(struct caption *out, const char *dataset, const char *run, const char *format,
                   ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->title, sizeof out->title, format, arguments);
    va_end(arguments);
    out->picture = (struct picture_caption){
        .title = out->title, .dataset = dataset, .run = run, .settings = out->settings};
}

void caption_add(struct caption *caption, const char *key, const char *format, ...) {
    int i = caption->picture.setting_count++;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(caption->values[i], sizeof caption->values[i], format, arguments);
    va_end(arguments);
    caption->settings[i] = (struct picture_setting){key, caption->values[i]};
}

bool caption_can_draw(bool quiet) {
    struct error reason;
    if (pictures_ready(&reason) == STATUS_OK)
        return true;
    if (!quiet)
        output_progress("note:    pictures are left out: %s\n", reason.text);
    return false;
}
