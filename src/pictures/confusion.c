/* confusion.c: draws the confusion matrix: a row for each true class, a column for each predicted
 * class, and the accuracy of each class at the end of its row. */
#include "base/text.h"
#include "pictures/canvas.h"
#include "pictures/heading.h"
#include "pictures/layout.h"

#include <math.h>
#include <stdio.h>

enum {
    CELL_WIDTH = CONFUSION_CELL_WIDTH,
    CELL_HEIGHT = CONFUSION_CELL_HEIGHT,
    LEFT = CONFUSION_LEFT,
    RIGHT = LEFT + CLASS_COUNT * CELL_WIDTH,
    ACCURACY_RIGHT = CONFUSION_WIDTH - PICTURE_MARGIN,
};

static const char heading[] = "Confusion matrix";

struct matrix {
    struct canvas *canvas;
    const struct answers *answers;
    int counts[CLASS_COUNT][CLASS_COUNT]; /* by true class, then by predicted class */
    int totals[CLASS_COUNT];              /* images of each true class */
    int right;                            /* correctly classified images */
    double most;  /* the largest share of a class that is mistaken for another */
    int worst[2]; /* these two classes, true and predicted */
    bool slanted; /* the names of the columns are too long to be level */
    double top;   /* of the cells */
};

/* ---- numbers --------------------------------------------------------------------------------- */

/* The share of the class `label` that is classified as `predicted`; 0 for a class without
 * images. */
static double share_of(const struct matrix *matrix, int label, int predicted) {
    int total = matrix->totals[label];
    return total == 0 ? 0 : (double)matrix->counts[label][predicted] / total;
}

static void count(struct matrix *matrix) {
    answers_confusion(matrix->counts, matrix->answers);
    for (int label = 0; label < CLASS_COUNT; label++) {
        matrix->right += matrix->counts[label][label];
        for (int i = 0; i < CLASS_COUNT; i++)
            matrix->totals[label] += matrix->counts[label][i];
    }
    for (int label = 0; label < CLASS_COUNT; label++)
        for (int i = 0; i < CLASS_COUNT; i++)
            if (i != label && share_of(matrix, label, i) > matrix->most) {
                matrix->most = share_of(matrix, label, i);
                matrix->worst[0] = label;
                matrix->worst[1] = i;
            }
}

static void describe(char *out, size_t capacity, const struct matrix *matrix, bool validation) {
    char right[TEXT_CAPACITY], all[TEXT_CAPACITY], times[TEXT_CAPACITY];
    int images = matrix->answers->count;
    const char *const *names = matrix->answers->class_names;
    int length =
        snprintf(out, capacity, "%s of %s %s images right (%.2f %%)",
                 text_count(right, matrix->right), text_count(all, images),
                 evaluated_word(validation), images == 0 ? 0 : 100.0 * matrix->right / images);
    int most = matrix->counts[matrix->worst[0]][matrix->worst[1]];
    if (matrix->most > 0 && length >= 0 && (size_t)length < capacity)
        snprintf(out + length, capacity - (size_t)length, "; %s taken for %s most often: %s time%s",
                 names[matrix->worst[0]], names[matrix->worst[1]], text_count(times, most),
                 most == 1 ? "" : "s");
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* Correct answers are blue, by their share of the class; mistakes are vermillion, by their share
 * relative to the largest. */
static unsigned right_ink(double share) {
    return ink_mix(INK_BLUE, INK_WHITE, share);
}

static unsigned wrong_ink(double share_of_most) {
    return ink_mix(INK_VERMILLION, INK_WHITE, share_of_most);
}

/* An ink that is easy to read on a colour, chosen by its luma (ITU-R BT.601, 0 to 255): white on
 * the darker blues, black on everything else. */
static unsigned ink_on(unsigned paper) {
    double luma =
        0.299 * (paper >> 16 & 0xFF) + 0.587 * (paper >> 8 & 0xFF) + 0.114 * (paper & 0xFF);
    return luma < 118 ? INK_WHITE : INK_TEXT;
}

static void draw_cell(const struct matrix *matrix, int label, int predicted) {
    static const struct stroke rim = {INK_WHITE, 2, DASH_NONE};
    double share = share_of(matrix, label, predicted);
    unsigned paper = label == predicted ? right_ink(share)
                     : matrix->most > 0 ? wrong_ink(share / matrix->most)
                                        : INK_WHITE;
    const struct box box = {LEFT + predicted * CELL_WIDTH, matrix->top + label * CELL_HEIGHT,
                            CELL_WIDTH, CELL_HEIGHT};
    struct type type = {.size = 14, .ink = ink_on(paper), .align = ALIGN_CENTRE};
    char text[TEXT_CAPACITY];
    type.bold = label == predicted;
    if (matrix->counts[label][predicted] == 0)
        type.ink = INK_MUTED;
    canvas_box(matrix->canvas, &box, 0, paper, &rim);
    canvas_text(matrix->canvas,
                (struct point){box.x + CELL_WIDTH / 2.0, box.y + CELL_HEIGHT / 2.0 + 5},
                CELL_WIDTH - 8, &type, "%s", text_count(text, matrix->counts[label][predicted]));
}

/* A row: name, cells, accuracy. */
static void draw_row(const struct matrix *matrix, int label) {
    static const struct type name = {.size = 13, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    static const struct type number = {
        .size = 13, .bold = true, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    double y = matrix->top + label * CELL_HEIGHT + CELL_HEIGHT / 2.0 + 4.5;
    canvas_text(matrix->canvas, (struct point){LEFT - 10, y}, LEFT - 10 - PICTURE_MARGIN, &name,
                "%s", matrix->answers->class_names[label]);
    for (int i = 0; i < CLASS_COUNT; i++)
        draw_cell(matrix, label, i);
    canvas_text(matrix->canvas, (struct point){ACCURACY_RIGHT, y}, ACCURACY_RIGHT - RIGHT - 8,
                &number, matrix->totals[label] == 0 ? "no image" : "%.1f %%",
                100 * share_of(matrix, label, label));
}

/* ---- around the cells ------------------------------------------------------------------------ */

static const struct type column_type = {.size = 11, .ink = INK_TEXT, .align = ALIGN_CENTRE};

static bool too_wide(struct canvas *canvas, const struct answers *answers) {
    for (int i = 0; i < CLASS_COUNT; i++)
        if (canvas_text_width(canvas, &column_type, answers->class_names[i]) > CELL_WIDTH - 2)
            return true;
    return false;
}

static void draw_columns(const struct matrix *matrix) {
    static const struct type title = {.size = 13, .bold = true, .ink = INK_TEXT};
    static const struct type right = {
        .size = 13, .bold = true, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    struct type type = column_type;
    double room = CELL_WIDTH - 2, y = matrix->top - 9;
    if (matrix->slanted) {
        type.align = ALIGN_LEFT;
        type.turn = -45;
        type.size = 12;
        room = CONFUSION_SLANT * sqrt(2);
    }
    for (int i = 0; i < CLASS_COUNT; i++)
        canvas_text(matrix->canvas, (struct point){LEFT + (i + 0.5) * CELL_WIDTH, y}, room, &type,
                    "%s", matrix->answers->class_names[i]);
    canvas_text(matrix->canvas, (struct point){LEFT, CONFUSION_TOP - 34}, ANY_WIDTH, &title,
                "predicted class");
    canvas_text(matrix->canvas, (struct point){LEFT - 10, y}, ANY_WIDTH, &right, "true class");
    canvas_text(matrix->canvas, (struct point){ACCURACY_RIGHT, y}, ANY_WIDTH, &right, "accuracy");
}

/* A scale of colours from 0 to `high` percent. */
static void draw_scale(struct canvas *canvas, struct point corner, unsigned (*ink)(double),
                       double high, const char *words) {
    enum { STEPS = 60, STEP = 2 };
    static const struct type type = {.size = 12, .ink = INK_TEXT};
    static const struct type end = {.size = 12, .ink = INK_MUTED, .align = ALIGN_RIGHT};
    static const struct stroke frame = {INK_FRAME, 1, DASH_NONE};
    const struct box whole = {corner.x + 34, corner.y, STEPS * STEP, 14};
    for (int i = 0; i < STEPS; i++)
        canvas_box(canvas, &(struct box){whole.x + i * STEP, whole.y, STEP, whole.height}, 0,
                   ink((i + 0.5) / STEPS), NULL);
    canvas_box(canvas, &whole, 0, INK_NONE, &frame);
    canvas_text(canvas, (struct point){whole.x - 6, corner.y + 11.5}, ANY_WIDTH, &end, "0 %%");
    canvas_text(canvas, (struct point){whole.x + whole.width + 6, corner.y + 11.5}, 230, &type,
                "%.3g %% %s", high, words);
}

static void draw_legend(const struct matrix *matrix) {
    double y = matrix->top + CLASS_COUNT * CELL_HEIGHT + 24;
    draw_scale(matrix->canvas, (struct point){LEFT - 34, y}, right_ink, 100,
               "of the true class, right");
    if (matrix->most > 0)
        draw_scale(matrix->canvas, (struct point){LEFT + 350, y}, wrong_ink, 100 * matrix->most,
                   "of the true class, wrong");
}

static void draw(struct matrix *matrix, const struct picture_caption *caption) {
    char facts[512];
    describe(facts, sizeof facts, matrix, caption->validation);
    heading_draw(matrix->canvas, CONFUSION_WIDTH, heading, caption, facts);
    draw_columns(matrix);
    for (int label = 0; label < CLASS_COUNT; label++)
        draw_row(matrix, label);
    draw_legend(matrix);
}

/* Measures on a separate sheet, because the size of the picture depends on the result. */
static enum status choose_slant(struct error *error, struct matrix *matrix) {
    struct canvas *sheet;
    if (canvas_open(error, &sheet, 1, 1) != STATUS_OK)
        return error->status;
    matrix->slanted = too_wide(sheet, matrix->answers);
    matrix->top = CONFUSION_TOP + (matrix->slanted ? CONFUSION_SLANT : 0);
    canvas_close(sheet);
    return STATUS_OK;
}

enum status confusion_draw(struct error *error, const char *path,
                           const struct picture_caption *caption, const struct answers *answers) {
    struct matrix matrix = {.answers = answers};
    count(&matrix);
    if (choose_slant(error, &matrix) != STATUS_OK ||
        canvas_open(error, &matrix.canvas, CONFUSION_WIDTH,
                    CONFUSION_HEIGHT + (matrix.slanted ? CONFUSION_SLANT : 0)) != STATUS_OK)
        return error->status;
    draw(&matrix, caption);
    enum status status = canvas_write(error, matrix.canvas, path, heading, caption);
    canvas_close(matrix.canvas);
    return status;
}
