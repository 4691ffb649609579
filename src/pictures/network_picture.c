/* network_picture.c: draws the layers of a network, from the image at the top to the classes at the
 * bottom: a box for each layer, each norm directly below its convolution. Skips run down on the
 * left to a sum. Beside each box are the shape of its output and the number of its parameters. */
#include "base/text.h"
#include "pictures/canvas.h"
#include "pictures/heading.h"
#include "pictures/layout.h"

#include <stdio.h>
#include <string.h>

enum {
    ROW = 28, /* height of a box */
    GAP = 22, /* between boxes joined by an arrow */
    SUM = 26, /* added to GAP for a sum */
    SUM_RADIUS = 11,
    BOX_LEFT = NETWORK_BOX_LEFT,
    BOX_WIDTH = NETWORK_BOX_WIDTH,
    MIDDLE = BOX_LEFT + BOX_WIDTH / 2,
    SKIP_LEFT = 66, /* of the vertical line of a skip */
    SHAPE_RIGHT = 652,
    COUNT_RIGHT = NETWORK_WIDTH - PICTURE_MARGIN,
    TOP = 146,       /* of the image's box */
    BOTTOM = 128,    /* below the last box: classes, total, legend */
    TEXT_ROOM = 256, /* bytes of the text in a box */
};

static const char heading[] = "Network";

static const struct stroke wire = {INK_TEXT, 1, DASH_NONE};
static const struct stroke skip_wire = {INK_VERMILLION, 2, DASH_NONE};

/* The picture being drawn. */
struct drawing {
    struct canvas *canvas;
    const struct network *network;
    double tops[MAX_LAYERS]; /* upper edges of the boxes */
    double bottom;           /* of the last box */
};

/* ---- places ---------------------------------------------------------------------------------- */

/* A norm touches the convolution above it. */
static bool is_joined(const struct layer *layer) {
    return layer->kind == LAYER_NORM;
}

static void place(struct drawing *drawing) {
    double bottom = TOP + ROW;
    for (int i = 0; i < drawing->network->layer_count; i++) {
        const struct layer *layer = &drawing->network->layers[i];
        double gap = is_joined(layer) ? 0 : GAP;
        drawing->tops[i] = bottom + gap + (layer->skip == LAYER_NONE ? 0 : SUM);
        bottom = drawing->tops[i] + ROW;
    }
    drawing->bottom = bottom;
}

/* ---- words ----------------------------------------------------------------------------------- */

static void describe_conv(char out[TEXT_ROOM], const struct layer *layer) {
    snprintf(out, TEXT_ROOM, "%d×%d convolution, %d → %d%s%s", layer->kernel, layer->kernel,
             layer->in.channels, layer->out.channels,
             layer->kernel > 1 && layer->padding == 0 ? ", no padding" : "",
             layer->filter_norm > 0 ? ", standardized" : "");
}

static void describe_norm(char out[TEXT_ROOM], const struct layer *layer) {
    static const char *const after[] = {
        [RELU_BEFORE] = "", [RELU_AFTER] = ", ReLU", [SILU_AFTER] = ", SiLU"};
    char groups[TEXT_CAPACITY] = "", dropout[TEXT_CAPACITY] = "";
    if (layer->norm == NORM_GROUP)
        snprintf(groups, sizeof groups, " of %d groups", layer->groups);
    if (layer->dropout > 0)
        snprintf(dropout, sizeof dropout, ", dropout %g", text_decimal(layer->dropout));
    snprintf(out, TEXT_ROOM, "%s%s%s%s%s%s", layer->activation == RELU_BEFORE ? "ReLU, " : "",
             norm_title(layer->norm), groups, layer->per_element ? " (weights per element)" : "",
             after[layer->activation], dropout);
}

static void describe(char out[TEXT_ROOM], const struct layer *layer) {
    switch (layer->kind) {
    case LAYER_CONV:
        describe_conv(out, layer);
        return;
    case LAYER_NORM:
        describe_norm(out, layer);
        return;
    case LAYER_POOL:
        snprintf(out, TEXT_ROOM, "%s%d×%d max pool", layer->skip == LAYER_NONE ? "" : "ReLU, ",
                 layer->kernel, layer->kernel);
        return;
    case LAYER_AVERAGE:
        snprintf(out, TEXT_ROOM, "average of each %d×%d map", layer->in.height, layer->in.width);
        return;
    case LAYER_LINEAR:
        snprintf(out, TEXT_ROOM, "1×1 convolution, %d → %d", layer->in.channels,
                 layer->out.channels);
        return;
    }
}

/* ---- boxes ----------------------------------------------------------------------------------- */

/* The colours, each with its text in the legend. The shares of ink make them differ in grey,
 * too. */
enum tone { TONE_WIDE, TONE_POINT, TONE_NORM, TONE_POOL };
enum { TONES = 4 };
struct tint {
    unsigned ink;
    double share;
    const char *words;
};
static const struct tint tints[TONES] = {
    [TONE_WIDE] = {INK_SKY, 0.19, "3×3 convolution"},
    [TONE_POINT] = {INK_ORANGE, 0.56, "1×1 convolution"},
    [TONE_NORM] = {INK_GREEN, 0.46, "norm"},
    [TONE_POOL] = {INK_PURPLE, 0.34, "pooling"},
};

static enum tone tone_of(const struct layer *layer) {
    switch (layer->kind) {
    case LAYER_CONV:
        return layer->kernel == 1 ? TONE_POINT : TONE_WIDE;
    case LAYER_LINEAR:
        return TONE_POINT;
    case LAYER_NORM:
        return TONE_NORM;
    case LAYER_POOL:
    case LAYER_AVERAGE:
        return TONE_POOL;
    }
    return TONE_WIDE;
}

static void draw_tinted(struct canvas *canvas, const struct box *box, const struct tint *tint) {
    const struct stroke frame = {ink_mix(tint->ink, INK_BLACK, 0.75), 1, DASH_NONE};
    canvas_box(canvas, box, 3, ink_mix(tint->ink, INK_WHITE, tint->share), &frame);
}

/* Draws the output's shape and the number of parameters to the right of a box. */
static void draw_numbers(const struct drawing *drawing, double top, struct shape shape,
                         int parameters) {
    static const struct type type = {.size = 13, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    char count[TEXT_CAPACITY];
    canvas_text(drawing->canvas, (struct point){SHAPE_RIGHT, top + 18.5}, ANY_WIDTH, &type,
                "%d×%d×%d", shape.channels, shape.height, shape.width);
    if (parameters > 0)
        canvas_text(drawing->canvas, (struct point){COUNT_RIGHT, top + 18.5}, ANY_WIDTH, &type,
                    "%s", text_count(count, parameters));
}

static void draw_box(const struct drawing *drawing, double top, const struct tint *tint,
                     const char *words, const char *name) {
    enum { NAME_WIDTH = 92, INSET = 10 };
    static const struct type type = {.size = 13, .ink = INK_TEXT};
    static const struct type small = {.size = 11, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    const struct box box = {BOX_LEFT, top, BOX_WIDTH, ROW};
    draw_tinted(drawing->canvas, &box, tint);
    canvas_text(drawing->canvas, (struct point){BOX_LEFT + INSET, top + 18.5},
                BOX_WIDTH - NAME_WIDTH - 2 * INSET, &type, "%s", words);
    canvas_text(drawing->canvas, (struct point){BOX_LEFT + BOX_WIDTH - INSET, top + 18}, NAME_WIDTH,
                &small, "%s", name);
}

static void draw_layer(const struct drawing *drawing, int index) {
    const struct layer *layer = &drawing->network->layers[index];
    char words[TEXT_ROOM];
    describe(words, layer);
    draw_box(drawing, drawing->tops[index], &tints[tone_of(layer)], words, layer->name);
    draw_numbers(drawing, drawing->tops[index], layer->out, layer_parameters(layer));
}

/* ---- arrows ---------------------------------------------------------------------------------- */

static double bottom_of(const struct drawing *drawing, int index) {
    return index == LAYER_NONE ? TOP + ROW : drawing->tops[index] + ROW;
}

static void draw_down(const struct drawing *drawing, double from, double to) {
    const struct point points[] = {{MIDDLE, from}, {MIDDLE, to}};
    canvas_arrow(drawing->canvas, points, 2, &wire);
}

/* Draws the sum before a pool, and the skip to it, which starts at the wire below a box. */
static void draw_skip(const struct drawing *drawing, const struct layer *layer, double sum) {
    static const struct type plus = {
        .size = 17, .bold = true, .ink = INK_TEXT, .align = ALIGN_CENTRE};
    static const struct type words = {
        .size = 11, .ink = INK_MUTED, .align = ALIGN_CENTRE, .turn = -90};
    static const struct stroke ring = {INK_TEXT, 1.5, DASH_NONE};
    struct canvas *canvas = drawing->canvas;
    const struct shape shape = drawing->network->layers[layer->skip].out;
    double from = bottom_of(drawing, layer->skip) + GAP / 2.0 - 3;
    const struct point points[] = {
        {MIDDLE, from}, {SKIP_LEFT, from}, {SKIP_LEFT, sum}, {MIDDLE - SUM_RADIUS, sum}};
    canvas_disc(canvas, points[0], 3, INK_VERMILLION, NULL);
    canvas_arrow(canvas, points, 4, &skip_wire);
    canvas_text(canvas, (struct point){SKIP_LEFT - 8, (from + sum) / 2}, ANY_WIDTH, &words,
                "skip: %d×%d×%d", shape.channels, shape.height, shape.width);
    canvas_disc(canvas, (struct point){MIDDLE, sum}, SUM_RADIUS, INK_WHITE, &ring);
    canvas_text(canvas, (struct point){MIDDLE, sum + 6}, ANY_WIDTH, &plus, "+");
}

static void draw_input(const struct drawing *drawing, int index) {
    const struct layer *layer = &drawing->network->layers[index];
    double from = bottom_of(drawing, layer->input), to = drawing->tops[index];
    if (is_joined(layer))
        return;
    if (layer->skip == LAYER_NONE) {
        draw_down(drawing, from, to);
        return;
    }
    double sum = (from + to) / 2;
    draw_down(drawing, from, sum - SUM_RADIUS);
    draw_down(drawing, sum + SUM_RADIUS, to);
    draw_skip(drawing, layer, sum);
}

/* ---- the picture ----------------------------------------------------------------------------- */

static void draw_titles(const struct drawing *drawing) {
    static const struct type left = {.size = 12, .bold = true, .ink = INK_TEXT};
    static const struct type right = {
        .size = 12, .bold = true, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    const double y = TOP - 14;
    canvas_text(drawing->canvas, (struct point){BOX_LEFT, y}, ANY_WIDTH, &left, "layer");
    canvas_text(drawing->canvas, (struct point){SHAPE_RIGHT, y}, ANY_WIDTH, &right, "output C×H×W");
    canvas_text(drawing->canvas, (struct point){COUNT_RIGHT, y}, ANY_WIDTH, &right, "parameters");
}

static void draw_end(const struct drawing *drawing) {
    static const struct type type = {.size = 13, .ink = INK_TEXT, .align = ALIGN_CENTRE};
    static const struct type bold = {
        .size = 13, .bold = true, .ink = INK_TEXT, .align = ALIGN_RIGHT};
    static const struct stroke rule = {INK_FRAME, 1, DASH_NONE};
    double y = drawing->bottom + GAP;
    char count[TEXT_CAPACITY];
    draw_down(drawing, drawing->bottom, y);
    canvas_text(drawing->canvas, (struct point){MIDDLE, y + 15}, BOX_WIDTH, &type,
                "scores of %d classes", CLASS_COUNT);
    canvas_line(drawing->canvas, (struct point){SHAPE_RIGHT - 100, y},
                (struct point){COUNT_RIGHT, y}, &rule);
    canvas_text(drawing->canvas, (struct point){SHAPE_RIGHT, y + 20}, ANY_WIDTH, &bold, "total");
    canvas_text(drawing->canvas, (struct point){COUNT_RIGHT, y + 20}, ANY_WIDTH, &bold, "%s",
                text_count(count, network_parameters(drawing->network)));
}

static void draw_legend(const struct drawing *drawing) {
    enum { SWATCH = 18, STEP = 156 };
    static const struct type type = {.size = 12, .ink = INK_TEXT};
    double y = drawing->bottom + BOTTOM - 48, x = PICTURE_MARGIN;
    for (int i = 0; i < TONES; i++) {
        draw_tinted(drawing->canvas, &(struct box){x, y, SWATCH, SWATCH}, &tints[i]);
        canvas_text(drawing->canvas, (struct point){x + SWATCH + 8, y + 13}, ANY_WIDTH, &type, "%s",
                    tints[i].words);
        x += i < 2 ? STEP : STEP - 62;
    }
    const struct point points[] = {{x, y + 9}, {x + 34, y + 9}};
    canvas_arrow(drawing->canvas, points, 2, &skip_wire);
    canvas_text(drawing->canvas, (struct point){x + 42, y + 13}, ANY_WIDTH, &type,
                "skip, added at +");
}

static void draw(const struct drawing *drawing, const struct picture_caption *caption) {
    const struct network *network = drawing->network;
    char parameters[TEXT_CAPACITY], products[TEXT_CAPACITY], facts[256];
    snprintf(facts, sizeof facts, "%s parameters, %s multiply-adds in the forward pass of an image",
             text_count(parameters, network_parameters(network)),
             text_count(products, network_multiply_adds(network)));
    heading_draw(drawing->canvas, NETWORK_WIDTH, heading, caption, facts);
    draw_titles(drawing);
    draw_box(drawing, TOP, &(struct tint){INK_WHITE, 1, ""}, "image, each channel normalized", "");
    draw_numbers(drawing, TOP, network->layers[0].in, 0);
    for (int i = 0; i < network->layer_count; i++)
        draw_layer(drawing, i);
    for (int i = 0; i < network->layer_count; i++)
        draw_input(drawing, i);
    draw_end(drawing);
    draw_legend(drawing);
}

enum status network_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct network *network) {
    struct drawing drawing = {.network = network};
    place(&drawing);
    if (canvas_open(error, &drawing.canvas, NETWORK_WIDTH, (int)drawing.bottom + BOTTOM) !=
        STATUS_OK)
        return error->status;
    draw(&drawing, caption);
    enum status status = canvas_write(error, drawing.canvas, path, heading, caption);
    canvas_close(drawing.canvas);
    return status;
}
