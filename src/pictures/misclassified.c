/* misclassified.c: draws the network's most confident mistakes: two rows of five images per page,
 * each image with the predicted and the true class and their probabilities. */
#include "base/files.h"
#include "base/text.h"
#include "memory.h"
#include "pictures/canvas.h"
#include "pictures/heading.h"
#include "pictures/layout.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    COLUMNS = MISTAKES_COLUMNS,
    PIXEL = MISTAKES_IMAGE / IMAGE_SIDE,
    GAP = 24, /* between columns */
};

_Static_assert(MISTAKES_IMAGE % IMAGE_SIDE == 0, "pixels of the images are whole squares");
_Static_assert(COLUMNS *(MISTAKES_IMAGE + GAP) - GAP == MISTAKES_WIDTH - 2 * PICTURE_MARGIN,
               "columns fill the width");

static const char heading[] = "Most confident mistakes";

/* A page of the list. */
struct page {
    const struct answers *answers;
    const int *images; /* [shown], the mistakes on all pages, the most confident first */
    int shown;         /* mistakes on all pages */
    int mistakes;      /* mistakes in the whole set */
    int first, count;  /* the part of `images` on this page */
    const char *word;  /* "test" or "validation": what the images are */
};

/* ---- one mistake ----------------------------------------------------------------------------- */

/* A class with its probability, as a number and as a bar below it. */
static void draw_class(struct canvas *canvas, struct point corner, const char *word,
                       const char *class_name, double probability, unsigned ink) {
    static const struct type small = {.size = 11, .ink = INK_MUTED};
    static const struct type name = {.size = 13, .bold = true, .ink = INK_TEXT};
    static const struct type number = {.size = 13, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    const double width = MISTAKES_IMAGE, number_width = 62;
    double share = isfinite(probability) ? fmin(fmax(probability, 0), 1) : 0;
    struct box bar = {corner.x, corner.y + 34, width, 4};
    canvas_text(canvas, (struct point){corner.x, corner.y + 12}, width, &small, "%s", word);
    canvas_text(canvas, (struct point){corner.x, corner.y + 28}, width - number_width, &name, "%s",
                class_name);
    canvas_text(canvas, (struct point){corner.x + width, corner.y + 28}, number_width, &number,
                isfinite(probability) ? "%.2f %%" : "not finite", 100 * probability);
    canvas_box(canvas, &bar, 0, INK_GRID, NULL);
    bar.width *= share;
    canvas_box(canvas, &bar, 0, ink, NULL);
}

static void draw_mistake(struct canvas *canvas, struct point corner, const struct answers *answers,
                         int image) {
    static const struct type number = {.size = 11, .ink = INK_MUTED, .align = ALIGN_RIGHT};
    const double side = MISTAKES_IMAGE, below = corner.y + side;
    int predicted = answers_predicted(answers, image), label = answers->labels[image];
    char count[TEXT_CAPACITY];
    canvas_image(canvas, corner, PIXEL, answers->images[image]);
    canvas_text(canvas, (struct point){corner.x + side, below + 16}, side - 70, &number, "no. %s",
                text_count(count, image));
    draw_class(canvas, (struct point){corner.x, below + 4}, "predicted",
               answers->class_names[predicted], answers_probability(answers, image, predicted),
               INK_VERMILLION);
    draw_class(canvas, (struct point){corner.x, below + 46}, "true", answers->class_names[label],
               answers_probability(answers, image, label), INK_BLUE);
}

/* ---- a page ---------------------------------------------------------------------------------- */

static void describe(char *out, size_t capacity, const struct page *page) {
    char mistakes[TEXT_CAPACITY], images[TEXT_CAPACITY];
    text_count(mistakes, page->mistakes);
    text_count(images, page->answers->count);
    if (page->mistakes == 0)
        snprintf(out, capacity, "no mistake among %s %s images", images, page->word);
    else if (page->shown <= MISTAKES_A_PAGE)
        snprintf(out, capacity, "%d of %s mistakes among %s %s images, in order of confidence",
                 page->shown, mistakes, images, page->word);
    else
        snprintf(out, capacity,
                 "%d to %d of %s mistakes among %s %s images, in order of confidence; page %d of "
                 "%d",
                 page->first + 1, page->first + page->count, mistakes, images, page->word,
                 page->first / MISTAKES_A_PAGE + 1,
                 (page->shown + MISTAKES_A_PAGE - 1) / MISTAKES_A_PAGE);
}

static enum status draw_page(struct error *error, const char *path,
                             const struct picture_caption *caption, const struct page *page) {
    int rows = (page->count + COLUMNS - 1) / COLUMNS;
    struct canvas *canvas;
    char facts[256];
    if (canvas_open(error, &canvas, MISTAKES_WIDTH, MISTAKES_TOP + rows * MISTAKES_ROW) !=
        STATUS_OK)
        return error->status;
    describe(facts, sizeof facts, page);
    heading_draw(canvas, MISTAKES_WIDTH, heading, caption, facts);
    for (int i = 0; i < page->count; i++) {
        int row = i / COLUMNS, column = i % COLUMNS;
        struct point corner = {PICTURE_MARGIN + column * (MISTAKES_IMAGE + GAP),
                               MISTAKES_TOP + row * MISTAKES_ROW};
        draw_mistake(canvas, corner, page->answers, page->images[page->first + i]);
    }
    enum status status = canvas_write(error, canvas, path, heading, caption);
    canvas_close(canvas);
    return status;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* Page 1 is `path` itself, "x/misclassified.png"; page 2 is "x/misclassified-2.png", and so on. */
static enum status page_path(struct error *error, char out[PATH_CAPACITY], const char *path,
                             int page) {
    char suffix[TEXT_CAPACITY] = "", name[PATH_CAPACITY + TEXT_CAPACITY];
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash == NULL ? path : slash, '.');
    size_t stem = dot == NULL ? strlen(path) : (size_t)(dot - path);
    if (page > 1)
        snprintf(suffix, sizeof suffix, "-%d", page);
    snprintf(name, sizeof name, "%.*s%s%s", (int)stem, path, suffix, path + stem);
    return path_join(error, out, "", name);
}

/* Removes the pages after this one, which an older picture has left. */
static enum status remove_others(struct error *error, const char *path, int page) {
    for (bool there = true; there;) {
        char other[PATH_CAPACITY];
        if (page_path(error, other, path, ++page) != STATUS_OK)
            return error->status;
        there = file_exists(other);
        if (file_remove(error, other) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

static enum status draw_pages(struct error *error, int *pages, const char *path,
                              const struct picture_caption *caption, struct page *page) {
    do {
        char name[PATH_CAPACITY];
        int left = page->shown - page->first;
        page->count = left < MISTAKES_A_PAGE ? left : MISTAKES_A_PAGE;
        if (page_path(error, name, path, *pages + 1) != STATUS_OK ||
            draw_page(error, name, caption, page) != STATUS_OK)
            return error->status;
        ++*pages;
        page->first += page->count;
    } while (page->first < page->shown);
    return remove_others(error, path, *pages);
}

enum status misclassified_draw(struct error *error, int *pages, const char *path,
                               const struct picture_caption *caption, const struct answers *answers,
                               int wanted) {
    int *images;
    *pages = 0;
    int limit = wanted < answers->count ? wanted : answers->count;
    if (memory_alloc(error, &images, (size_t)limit, sizeof *images, "a list of mistakes") !=
        STATUS_OK)
        return error->status;
    struct page page = {
        .answers = answers,
        .images = images,
        .mistakes = answers_mistakes(images, limit, answers),
        .word = evaluated_word(caption->validation),
    };
    page.shown = page.mistakes < limit ? page.mistakes : limit;
    enum status status = draw_pages(error, pages, path, caption, &page);
    memory_free(images);
    return status;
}
