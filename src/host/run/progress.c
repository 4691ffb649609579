/* progress.c: the progress bar. A run must not stop because the bar cannot be drawn, so these
 * writes are not checked. */
#include "run/progress.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double interval = 0.5; /* seconds between drawings */

static bool environment_says(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

void progress_open(struct progress *out, bool wanted) {
    const char *terminal = getenv("TERM");
    memset(out, 0, sizeof *out);
    out->drawn_on =
        wanted && isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    out->color = !environment_says("NO_COLOR");
}

void progress_begin(struct progress *progress, int epoch, int epochs, int steps, double seconds) {
    progress->epoch = epoch;
    progress->epochs = epochs;
    progress->steps = steps;
    progress->last = clock_seconds();
    progress->start = progress->last - seconds;
}

bool progress_due(const struct progress *progress) {
    return progress->drawn_on && clock_seconds() - progress->last >= interval;
}

static int terminal_width(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

/* Draws `done` of `width` cells as a bar, ANSI green unless color is off. */
static void draw_bar(const struct progress *progress, int done, int width) {
    const char *begin = progress->color ? "\033[32m" : "", *end = progress->color ? "\033[0m" : "";
    fprintf(stderr, "[%s", begin);
    for (int i = 0; i < width; i++)
        fputc(i < done ? '#' : '.', stderr);
    fprintf(stderr, "%s]", end);
}

/* Overwrites the current line with "epoch, bar, text", cut to the width of the terminal. */
static void draw_line(struct progress *progress, double share, const char *text) {
    char head[48];
    int used = snprintf(head, sizeof head, "epoch %d/%d ", progress->epoch, progress->epochs);
    int room = terminal_width() - 1 - used; /* some terminals wrap after the last column */
    int bar = room - 2 - (int)strlen(text) < 30 ? room - 2 - (int)strlen(text) : 30;
    fprintf(stderr, "\r\033[K");
    if (room > 0)
        fputs(head, stderr);
    if (bar >= 4)
        draw_bar(progress, (int)(share * bar), bar);
    if (room > 0)
        fprintf(stderr, "%.*s", room, text);
    fflush(stderr);
    progress->visible = true;
    progress->last = clock_seconds();
}

void progress_draw(struct progress *progress, int step, const struct score *score) {
    if (!progress->drawn_on)
        return;
    double seconds = clock_seconds() - progress->start;
    double share = (double)step / progress->steps;
    char text[128], left[TEXT_CAPACITY];
    snprintf(text, sizeof text, " %3.0f %%  loss %.4f  train %.2f %%  %.0f images/s  %s left",
             100 * share, score->loss, score->accuracy,
             seconds > 0 ? (double)score->images / seconds : 0.0,
             text_duration(left, share > 0 ? seconds / share - seconds : 0.0));
    draw_line(progress, share, text);
}

void progress_evaluating(struct progress *progress) {
    if (progress->drawn_on)
        draw_line(progress, 1.0, " evaluating");
}

void progress_clear(struct progress *progress) {
    if (!progress->visible)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->visible = false;
}
