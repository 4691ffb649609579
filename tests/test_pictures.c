/* test_pictures.c: the pictures as a reader of the files finds them: size, texts, and ink of the
 * right colour where it must be and nowhere else. How they look is for people to judge. */
#include "support.h"

#include "pictures.h"
#include "png_file.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    SCALE = 2,
    /* Okabe and Ito's colours, as they published them */
    BLUE = 0x0072B2,
    VERMILLION = 0xD55E00,
    GREEN = 0x009E73,
    WHITE = 0xFFFFFF,
    BEST_LINE = 0x595959,
};

static const struct picture_setting settings[] = {{"norm", "gn"},
                                                  {"seed", "1"},
                                                  {"out", "runs/gr\xC3\xBC\xC3\x9F"},
                                                  {"bad", "a\xFFz\n\x80"},
                                                  {"absent", ""}};

static const struct picture_caption caption = {
    .title = "group norm, recipe tuned",
    .dataset = "CIFAR-10",
    .run = "runs/gn-tuned-1",
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

/* A rectangle in points of the picture. */
static struct area in_points(int x, int y, int width, int height) {
    return (struct area){x * SCALE, y * SCALE, width * SCALE, height * SCALE};
}

/* Nothing runs into the edge of the picture: that would be cut off. */
static void assert_margin_is_white(const struct png_file *file) {
    enum { MARGIN = 6 };
    int width = file->width, height = file->height;
    assert_int_equal(png_file_inked(file, (struct area){0, 0, width, MARGIN}), 0);
    assert_int_equal(png_file_inked(file, (struct area){0, height - MARGIN, width, MARGIN}), 0);
    assert_int_equal(png_file_inked(file, (struct area){0, 0, MARGIN, height}), 0);
    assert_int_equal(png_file_inked(file, (struct area){width - MARGIN, 0, MARGIN, height}), 0);
}

/* Reads a picture and checks what all have: size, margin, heading, texts. */
static struct png_file read_picture(const char *path, int width, int height, const char *title) {
    struct png_file file = png_file_read(path);
    assert_int_equal(file.width, width * SCALE);
    assert_int_equal(file.height, height * SCALE);
    assert_in_range(file.pixels_per_metre, 5668, 5671); /* 144 an inch */
    assert_false(file.has_time);
    assert_margin_is_white(&file);
    assert_true(png_file_inked(&file, in_points(32, 20, 400, 30)) > 1000);
    assert_string_equal(png_file_text(&file, "Title"), title);
    assert_string_equal(png_file_text(&file, "Dataset"), "CIFAR-10");
    assert_true(strncmp(png_file_text(&file, "Software"), "train_gpu ", 10) == 0);
    return file;
}

/* How often a column of pixels enters the ink, from `top` to before `bottom`. */
static int runs_down(const struct png_file *file, int x, int top, int bottom, unsigned ink) {
    int runs = 0;
    for (int y = top + 1; y < bottom; y++)
        runs += png_file_pixel(file, x, y) == ink && png_file_pixel(file, x, y - 1) != ink;
    return runs;
}

static void assert_same_bytes(const char *a, const char *b) {
    FILE *file = fopen(a, "rb");
    assert_non_null(file);
    enum { CAPACITY = 4 << 20 };
    char *bytes = malloc(CAPACITY);
    assert_non_null(bytes);
    size_t size = fread(bytes, 1, CAPACITY, file);
    assert_in_range(size, 1, CAPACITY - 1);
    assert_file_holds(b, bytes, size);
    free(bytes);
    assert_int_equal(fclose(file), 0);
}

/* ---- curves ---------------------------------------------------------------------------------- */

enum { MOST_EPOCHS = 200 };

enum panel { LOSS, ACCURACY, RATE };

static struct area panel_area(enum panel panel) {
    static const int tops[] = {CURVES_LOSS_TOP, CURVES_ACCURACY_TOP, CURVES_RATE_TOP};
    static const int heights[] = {CURVES_LOSS_HEIGHT, CURVES_ACCURACY_HEIGHT, CURVES_RATE_HEIGHT};
    return in_points(CURVES_LEFT, tops[panel] - 1, CURVES_PLOT_WIDTH, heights[panel] + 2);
}

/* The place of its legend. */
static struct area legend_area(enum panel panel) {
    struct area area = panel_area(panel);
    int right = area.x + area.width + 10 * SCALE;
    return (struct area){right, area.y, CURVES_WIDTH * SCALE - right, area.height};
}

/* A run that learns: best test accuracy after epoch `best`. */
static void make_epochs(struct epoch_metrics *out, int count, int best) {
    memset(out, 0, (size_t)count * sizeof *out);
    for (int i = 0; i < count; i++) {
        double share = (double)i / count;
        out[i].epoch = i + 1;
        out[i].learning_rate = 0.2f * (float)(1 - share);
        out[i].train.loss = 2 * exp(-3 * share) + 0.1;
        out[i].test.loss = 2 * exp(-2 * share) + 0.3;
        out[i].train.accuracy = 40 + 50 * share;
        out[i].test.accuracy = i + 1 == best ? 85 : 35 + 40 * share;
    }
}

static struct png_file draw_curves(const char *folder, const struct epoch_metrics *epochs,
                                   int count) {
    struct error error;
    const char *path = in_folder(folder, "curves.png");
    assert_succeeded(curves_draw(&error, path, &caption, epochs, count), &error);
    assert_int_equal(folder_entries(folder), 1);
    return read_picture(path, CURVES_WIDTH, CURVES_HEIGHT,
                        "Training curves: group norm, recipe tuned");
}

/* Every curve in its panel and no other, every legend beside it; lines have some hundred pixels. */
static void curves_have_ink_in_every_panel(void **state) {
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 13);
    struct png_file file = draw_curves(*state, epochs, 20);
    static const struct {
        enum panel panel;
        unsigned ink;
        bool there;
    } rows[] = {{LOSS, BLUE, true},     {LOSS, VERMILLION, true},     {LOSS, GREEN, false},
                {ACCURACY, BLUE, true}, {ACCURACY, VERMILLION, true}, {ACCURACY, GREEN, false},
                {RATE, BLUE, false},    {RATE, VERMILLION, false},    {RATE, GREEN, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int plot = png_file_count(&file, panel_area(rows[i].panel), rows[i].ink);
        int legend = png_file_count(&file, legend_area(rows[i].panel), rows[i].ink);
        assert_true(rows[i].there ? plot > 1000 && legend > 60 : plot == 0 && legend == 0);
    }
    /* Ticks to the left of each panel, those of the epochs below the last one. */
    for (enum panel panel = LOSS; panel <= RATE; panel++) {
        struct area area = panel_area(panel);
        area.x = 8;
        area.width = CURVES_LEFT * SCALE - 16;
        assert_true(png_file_inked(&file, area) > 100);
    }
    int bottom = CURVES_RATE_TOP + CURVES_RATE_HEIGHT;
    assert_true(png_file_inked(&file, in_points(CURVES_LEFT, bottom + 5, CURVES_PLOT_WIDTH, 16)) >
                100);
    png_file_free(&file);
}

static void curves_mark_the_best_epoch(void **state) {
    static const int bests[] = {1, 7, 20};
    for (size_t i = 0; i < 3; i++) {
        struct epoch_metrics epochs[20];
        make_epochs(epochs, 20, bests[i]);
        for (int k = 0; k < 20; k++)
            epochs[k].train.accuracy = 5; /* out of the way */
        struct png_file file = draw_curves(*state, epochs, 20);
        for (int epoch = 1; epoch <= 20; epoch++) {
            int x = (int)(CURVES_LEFT + CURVES_PLOT_WIDTH * (epoch - 0.5) / 20);
            struct area column = in_points(x - 3, CURVES_RATE_TOP - 34, 6, 30);
            int ink = png_file_count(&file, column, BEST_LINE);
            if (epoch >= 10) /* further left the title of the panel stands there */
                assert_true((ink > 10) == (epoch == bests[i]));
            column = in_points(x - 3, CURVES_LOSS_TOP + 5, 6, 200);
            ink = png_file_count(&file, column, BEST_LINE);
            assert_true((ink > 50) == (epoch == bests[i]));
            struct area panel = panel_area(ACCURACY); /* the ring, above and below the marker */
            int centre = panel.x + (int)(panel.width * (epoch - 0.5) / 20);
            int runs = runs_down(&file, centre, panel.y, panel.y + panel.height, VERMILLION);
            assert_int_equal(runs, epoch == bests[i] ? 3 : 1);
        }
        png_file_free(&file);
    }
}

static void one_epoch_shows_points(void **state) {
    struct epoch_metrics epochs[1];
    make_epochs(epochs, 1, 1);
    epochs[0].train.accuracy = 30;
    struct png_file file = draw_curves(*state, epochs, 1);
    assert_true(png_file_count(&file, panel_area(LOSS), BLUE) > 50);
    assert_true(png_file_count(&file, panel_area(LOSS), VERMILLION) > 50);
    assert_true(png_file_count(&file, panel_area(ACCURACY), BLUE) > 50);
    assert_true(png_file_count(&file, panel_area(ACCURACY), VERMILLION) > 50);
    assert_true(png_file_count(&file, panel_area(RATE), GREEN) > 20);
    png_file_free(&file);
}

static void no_epoch_leaves_empty_panels(void **state) {
    struct png_file file = draw_curves(*state, NULL, 0);
    assert_int_equal(png_file_count(&file, panel_area(LOSS), BLUE), 0);
    assert_int_equal(png_file_count(&file, panel_area(ACCURACY), VERMILLION), 0);
    assert_true(png_file_inked(&file, panel_area(LOSS)) > 1000); /* the grid */
    assert_true(png_file_count(&file, legend_area(LOSS), BLUE) > 60);
    png_file_free(&file);
}

/* Points of so many epochs would hide the lines: only lines are drawn, but for a point that stands
 * alone. */
static void many_epochs_are_lines(void **state) {
    static struct epoch_metrics epochs[MOST_EPOCHS];
    make_epochs(epochs, MOST_EPOCHS, 150);
    for (int i = 0; i < MOST_EPOCHS; i++)
        if (i != 40)
            epochs[i].train.loss = NAN;
    struct png_file file = draw_curves(*state, epochs, MOST_EPOCHS);
    struct area right = panel_area(LOSS); /* curves are flat there: 4 pixels a column at most */
    right.x += right.width / 2;
    right.width /= 2;
    assert_true(png_file_count(&file, right, VERMILLION) > 2 * right.width);
    assert_true(png_file_count(&file, right, VERMILLION) < 5 * right.width);
    assert_in_range(png_file_count(&file, panel_area(LOSS), BLUE), 50, 400);
    png_file_free(&file);
}

/* 10 % from the first epoch to the last, both curves the same: both are seen all the way. */
static void stuck_curves_are_seen(void **state) {
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 1);
    for (int i = 0; i < 20; i++) {
        epochs[i].train = (struct score){.loss = 2.3026, .accuracy = 10};
        epochs[i].test = epochs[i].train;
    }
    struct png_file file = draw_curves(*state, epochs, 20);
    for (enum panel panel = LOSS; panel <= ACCURACY; panel++)
        for (int part = 0; part < 4; part++) {
            struct area area = panel_area(panel);
            area.width /= 4;
            area.x += part * area.width;
            assert_true(png_file_count(&file, area, BLUE) > 100);
            assert_true(png_file_count(&file, area, VERMILLION) > 20);
        }
    png_file_free(&file);
}

/* Columns of the panel between two epochs that hold the ink. */
static bool joined(const struct png_file *file, enum panel panel, unsigned ink, int epoch) {
    struct area area = panel_area(panel);
    double pitch = (double)area.width / 20;
    area.x += (int)(pitch * (epoch - 0.5 + 0.3)); /* beyond the marker of `epoch` */
    area.width = (int)(pitch * 0.4);
    return png_file_count(file, area, ink) > 0;
}

static void what_is_not_finite_is_a_gap(void **state) {
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 3);
    epochs[4].test.loss = NAN;
    epochs[9].test.loss = INFINITY;
    epochs[11].test.loss = -INFINITY;
    struct png_file file = draw_curves(*state, epochs, 20);
    for (int epoch = 1; epoch < 20; epoch++) {
        bool gap = epoch == 4 || epoch == 5 || (epoch >= 9 && epoch <= 12);
        assert_true(joined(&file, LOSS, VERMILLION, epoch) != gap);
        assert_true(joined(&file, ACCURACY, VERMILLION, epoch));
    }
    struct area lone = panel_area(LOSS); /* epoch 11, without neighbours, is a point */
    lone.x += (int)(lone.width / 20.0 * 10.3);
    lone.width = (int)(lone.width / 20.0 * 0.4);
    assert_true(png_file_count(&file, lone, VERMILLION) > 50);
    png_file_free(&file);
}

static void nothing_finite_leaves_no_curve(void **state) {
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 3);
    for (int i = 0; i < 20; i++)
        epochs[i].test = (struct score){.loss = NAN, .accuracy = NAN};
    struct png_file file = draw_curves(*state, epochs, 20);
    assert_int_equal(png_file_count(&file, panel_area(LOSS), VERMILLION), 0);
    assert_int_equal(png_file_count(&file, panel_area(ACCURACY), VERMILLION), 0);
    assert_int_equal(png_file_count(&file, panel_area(ACCURACY), BEST_LINE), 0);
    assert_true(png_file_count(&file, legend_area(LOSS), VERMILLION) > 60);
    assert_true(png_file_count(&file, panel_area(LOSS), BLUE) > 1000);
    png_file_free(&file);
}

/* Numbers from the smallest to the largest there are: the picture is the same size and has curves.
 */
static void any_number_can_be_drawn(void **state) {
    static const double losses[] = {0, 5e-324, 1e-30, 1, 1e30, 1.7e308, -1.7e308};
    enum { COUNT = sizeof losses / sizeof losses[0] };
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 3);
    for (int shift = 0; shift < COUNT; shift++) {
        for (int i = 0; i < 20; i++) {
            epochs[i].train.loss = losses[(i + shift) % COUNT];
            epochs[i].learning_rate = (float)losses[(i + shift) % (COUNT - 2)];
        }
        struct png_file file = draw_curves(*state, epochs, 20);
        assert_true(png_file_count(&file, panel_area(LOSS), BLUE) > 500);
        png_file_free(&file);
    }
}

/* A rate that falls in steps has level lines at the heights of its powers of ten. */
static void rate_in_steps_is_drawn_in_steps(void **state) {
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 3);
    for (int i = 0; i < 20; i++)
        epochs[i].learning_rate = i < 8 ? 0.1f : i < 16 ? 0.01f : 0.001f;
    struct png_file file = draw_curves(*state, epochs, 20);
    static const int first[] = {1, 9, 17}, last[] = {8, 16, 20};
    for (int level = 0; level < 3; level++) {
        struct area area = panel_area(RATE);
        int y = (CURVES_RATE_TOP + CURVES_RATE_HEIGHT * level / 2) * SCALE;
        /* from the end of the epoch before on, where the rate falls */
        int from = area.x + (int)(area.width * (first[level] - (level > 0 ? 1.5 : 0.5)) / 20);
        int to = area.x + (int)(area.width * (last[level] - 0.5) / 20);
        struct area line = {from, y - 1, to - from, 2};
        assert_true(png_file_count(&file, line, GREEN) > line.width * 2 * 8 / 10);
    }
    png_file_free(&file);
}

/* ---- norms held against each other ----------------------------------------------------------- */

enum { NORM_EPOCHS = 60, MEAN_INKS = 3 };

static const unsigned norm_inks[MEAN_INKS] = {BLUE, VERMILLION, GREEN};

/* A fifth of the ink on white, within the rounding of the blend. */
static bool is_band(unsigned pixel, unsigned ink) {
    for (int shift = 0; shift <= 16; shift += 8) {
        double due = 255 - 0.2 * (255 - (int)(ink >> shift & 0xFF));
        if (fabs((int)(pixel >> shift & 0xFF) - due) > 2)
            return false;
    }
    return true;
}

static int count_band(const struct png_file *file, struct area area, unsigned ink) {
    int count = 0;
    for (int y = area.y; y < area.y + area.height; y++)
        for (int x = area.x; x < area.x + area.width; x++)
            count += is_band(png_file_pixel(file, x, y), ink);
    return count;
}

/* Curves that lie 20 apart, of three seeds with bands of `spread` to each side, or of one seed. */
static void make_norms(struct norm_curve out[MEAN_INKS], struct band bands[][NORM_EPOCHS],
                       int count, double spread) {
    for (int n = 0; n < MEAN_INKS; n++) {
        for (int i = 0; i < count; i++) {
            double mean = 20 + 20 * n + 5.0 * i / count;
            bands[n][i] = (struct band){mean, mean - spread, mean + spread};
        }
        out[n] = (struct norm_curve){(enum norm_kind)n, spread > 0 ? 3 : 1, bands[n],
                                     "84.96 \xC2\xB1 0.18 %"};
    }
}

static struct area compare_area(bool loss) {
    int top = loss ? COMPARE_LOSS_TOP : COMPARE_ACCURACY_TOP;
    int height = loss ? COMPARE_LOSS_HEIGHT : COMPARE_ACCURACY_HEIGHT;
    return in_points(COMPARE_LEFT, top, COMPARE_PLOT_WIDTH, height);
}

static struct area right_of(struct area area) {
    int x = area.x + area.width + 10 * SCALE;
    return (struct area){x, area.y, COMPARE_WIDTH * SCALE - x, area.height};
}

static void norms_have_lines_bands_and_legends(void **state) {
    struct band bands[MEAN_INKS][NORM_EPOCHS];
    struct norm_curve norms[MEAN_INKS];
    struct error error;
    const char *path = in_folder(*state, "compare.png");
    static const int counts[] = {1, 20, NORM_EPOCHS};
    for (size_t c = 0; c < 3; c++) {
        make_norms(norms, bands, counts[c], 5);
        assert_succeeded(compare_draw(&error, path, &caption, norms, norms, MEAN_INKS, counts[c]),
                         &error);
        struct png_file file = read_picture(path, COMPARE_WIDTH, COMPARE_HEIGHT,
                                            "Comparison of the norms: group norm, recipe tuned");
        for (int panel = 0; panel < 2; panel++)
            for (int n = 0; n < MEAN_INKS; n++) {
                struct area area = compare_area(panel == 1);
                int ink = png_file_count(&file, area, norm_inks[n]);
                assert_true(counts[c] == 1 ? ink > 50 : ink > 600);
                assert_true(count_band(&file, area, norm_inks[n]) > (counts[c] == 1 ? 300 : 20000));
                assert_true(png_file_count(&file, right_of(area), norm_inks[n]) > 60);
            }
        png_file_free(&file);
    }
}

/* Where the line of facts below the heading ends. */
static int facts_end(const struct png_file *file) {
    int x = file->width;
    struct area column = {0, 75 * SCALE, 1, 14 * SCALE};
    do
        column.x = --x;
    while (x > 0 && png_file_count(file, column, WHITE) == column.height);
    return x;
}

/* One seed is a line without a band, and nothing is said of bands; a norm that is not there leaves
 * no ink. */
static void one_seed_has_no_band(void **state) {
    struct band bands[MEAN_INKS][NORM_EPOCHS];
    struct norm_curve norms[MEAN_INKS];
    struct error error;
    const char *path = in_folder(*state, "compare.png");
    make_norms(norms, bands, 20, 0);
    assert_succeeded(compare_draw(&error, path, &caption, norms + 1, norms + 1, 2, 20), &error);
    struct png_file file = read_picture(path, COMPARE_WIDTH, COMPARE_HEIGHT,
                                        "Comparison of the norms: group norm, recipe tuned");
    struct area all = {0, 0, file.width, file.height};
    assert_int_equal(png_file_count(&file, all, BLUE), 0);
    for (int n = 1; n < MEAN_INKS; n++) {
        assert_true(png_file_count(&file, compare_area(false), norm_inks[n]) > 600);
        /* the edges of a slanted line are as pale; a band has over 20,000 such pixels */
        assert_in_range(count_band(&file, compare_area(false), norm_inks[n]), 0, 5000);
    }
    int end = facts_end(&file);
    png_file_free(&file);
    make_norms(norms, bands, 20, 5);
    assert_succeeded(compare_draw(&error, path, &caption, norms + 1, norms + 1, 2, 20), &error);
    file = read_picture(path, COMPARE_WIDTH, COMPARE_HEIGHT,
                        "Comparison of the norms: group norm, recipe tuned");
    assert_in_range(facts_end(&file), 2 * end, COMPARE_WIDTH * SCALE);
    png_file_free(&file);
}

/* Each batch size has a marker where its logarithm lies. */
static void sweep_is_logarithmic(void **state) {
    static const int sizes[] = {2, 8, 128};
    struct band bands[MEAN_INKS][NORM_EPOCHS];
    struct norm_curve norms[MEAN_INKS];
    struct error error;
    const char *path = in_folder(*state, "sweep.png");
    make_norms(norms, bands, 3, 5);
    assert_succeeded(sweep_draw(&error, path, &caption, norms, MEAN_INKS, sizes, 3), &error);
    struct png_file file = read_picture(path, SWEEP_WIDTH, SWEEP_HEIGHT,
                                        "Test error over the batch size: group norm, recipe tuned");
    for (int n = 0; n < MEAN_INKS; n++)
        for (int exponent = 1; exponent <= 7; exponent++) {
            double x = COMPARE_LEFT + COMPARE_PLOT_WIDTH * (exponent - 0.5) / 7;
            struct area column = in_points((int)round(x) - 4, SWEEP_TOP, 8, SWEEP_PLOT_HEIGHT);
            bool marked = exponent == 1 || exponent == 3 || exponent == 7;
            assert_true((png_file_count(&file, column, norm_inks[n]) > 75) == marked);
        }
    int end = facts_end(&file);
    png_file_free(&file);
    make_norms(norms, bands, 1, 0);
    assert_succeeded(sweep_draw(&error, path, &caption, norms, MEAN_INKS, sizes + 1, 1), &error);
    file = read_picture(path, SWEEP_WIDTH, SWEEP_HEIGHT,
                        "Test error over the batch size: group norm, recipe tuned");
    assert_in_range(facts_end(&file), 100 * SCALE, end - 300);
    png_file_free(&file);
}

/* ---- what all pictures share ----------------------------------------------------------------- */

static void texts_hold_the_settings(void **state) {
    struct epoch_metrics epochs[2];
    make_epochs(epochs, 2, 1);
    struct png_file file = draw_curves(*state, epochs, 2);
    assert_int_equal(file.text_count, 8);
    assert_string_equal(png_file_text(&file, "Run"), "runs/gn-tuned-1");
    assert_string_equal(png_file_text(&file, "norm"), "gn");
    assert_string_equal(png_file_text(&file, "seed"), "1");
    assert_string_equal(png_file_text(&file, "out"), "runs/gr\xC3\xBC\xC3\x9F");
    assert_string_equal(png_file_text(&file, "bad"), "a?z??");
    assert_null(png_file_text(&file, "absent"));
    for (int i = 0; i < file.text_count; i++)
        assert_true(file.texts[i].international == (strcmp(file.texts[i].key, "out") == 0));
    png_file_free(&file);
}

/* Every kind of broken UTF-8 becomes question marks, in the texts and on the picture, where cairo
 * would refuse it. */
static void broken_text_does_no_harm(void **state) {
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"\xC3", "?"},
        {"\xC3(", "?("},
        {"\xC0\xAF", "??"}, /* a longer form of '/' */
        {"\xE0\x80\xAF", "???"},
        {"\xE0\x82\xA9", "???"},      /* a longer form of the copyright sign */
        {"\xED\xA0\x80", "???"},      /* a surrogate */
        {"\xF4\x90\x80\x80", "????"}, /* beyond the last character */
        {"\xFF\xFE", "??"},
        {"\xE2\x82", "??"},
        {"a\x01\x7F", "a??"},
        {"\xC2\x85", "??"}, /* a control character */
        {"\xE2\x82\xAC\xF0\x9F\x90\xB8", "\xE2\x82\xAC\xF0\x9F\x90\xB8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error error;
        const struct picture_setting setting = {"text", rows[i].text};
        const struct picture_caption broken = {rows[i].text, rows[i].text, rows[i].text, &setting,
                                               1};
        const char *path = in_folder(*state, "x.png");
        assert_succeeded(curves_draw(&error, path, &broken, NULL, 0), &error);
        struct png_file file = png_file_read(path);
        assert_string_equal(png_file_text(&file, "text"), rows[i].expected);
        assert_string_equal(png_file_text(&file, "Dataset"), rows[i].expected);
        png_file_free(&file);
    }
}

/* A key that PNG forbids is a mistake in the program and must be seen. */
static void bad_key_is_an_error(void **state) {
    struct error error;
    const struct picture_setting setting = {" blank", "value"};
    const struct picture_caption bad = {"t", "d", "r", &setting, 1};
    FAILED(curves_draw(&error, in_folder(*state, "x.png"), &bad, NULL, 0), STATUS_FAILED, &error,
           "x.png", "libpng");
    assert_int_equal(folder_entries(*state), 0);
}

static void long_texts_stay_inside(void **state) {
    enum { LENGTH = 5000 };
    struct error error;
    static char words[LENGTH + 1];
    memset(words, 'W', LENGTH);
    const struct picture_setting setting = {"words", words};
    const struct picture_caption wordy = {words, words, words, &setting, 1};
    const char *path = in_folder(*state, "x.png");
    assert_succeeded(curves_draw(&error, path, &wordy, NULL, 0), &error);
    struct png_file file = png_file_read(path);
    assert_margin_is_white(&file);
    assert_int_equal(strlen(png_file_text(&file, "words")), 2047);
    png_file_free(&file);
}

static void same_metrics_same_bytes(void **state) {
    struct error error;
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 9);
    const char *first = in_folder(*state, "1.png"), *second = in_folder(*state, "2.png");
    assert_succeeded(curves_draw(&error, first, &caption, epochs, 20), &error);
    pictures_release();    /* fonts are looked up anew */
    epochs[3].seconds = 5; /* not in the picture */
    assert_succeeded(curves_draw(&error, second, &caption, epochs, 20), &error);
    assert_same_bytes(first, second);
}

static void missing_folder_is_an_error(void **state) {
    struct error error;
    const char *path = in_folder(*state, "absent/curves.png");
    FAILED(curves_draw(&error, path, &caption, NULL, 0), STATUS_FAILED, &error, path,
           "make the folder");
    assert_int_equal(folder_entries(*state), 0);
}

static void full_disk_leaves_nothing(void **state) {
    struct error error;
    struct rlimit before, limited;
    const char *path = in_folder(*state, "curves.png");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limited = before;
    limited.rlim_cur = 1000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
    enum status status = curves_draw(&error, path, &caption, NULL, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    FAILED(status, STATUS_FAILED, &error, path, "make room");
    assert_int_equal(folder_entries(*state), 0);
}

/* ---- answers --------------------------------------------------------------------------------- */

enum { IMAGES = 40 };

static const char *const short_names[CLASS_COUNT] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};

/* Answers to images that are one colour each; the first `mistakes` are wrong, the surer the later
 * they come. */
struct exam {
    struct answers answers;
    uint8_t images[IMAGES][IMAGE_BYTES], labels[IMAGES];
    float probabilities[IMAGES][CLASS_COUNT];
};

static unsigned image_ink(int image) {
    return (unsigned)(20 + image) << 16 | (unsigned)(200 - image) << 8 | (unsigned)(3 * image);
}

/* The same with a black top left pixel and a white one to its right. */
static void paint(uint8_t *out, unsigned ink) {
    for (int i = 0; i < IMAGE_CHANNELS; i++) {
        memset(out + i * IMAGE_PIXELS, (int)(ink >> (16 - 8 * i) & 0xFF), IMAGE_PIXELS);
        out[i * IMAGE_PIXELS] = 0;
        out[i * IMAGE_PIXELS + 1] = 255;
    }
}

static struct exam *make_exam(int mistakes) {
    static struct exam exam;
    memset(&exam, 0, sizeof exam);
    for (int i = 0; i < IMAGES; i++) {
        int label = i % CLASS_COUNT, predicted = i < mistakes ? (label + 1) % CLASS_COUNT : label;
        float confidence = 0.55f + 0.01f * (float)i;
        exam.labels[i] = (uint8_t)label;
        exam.probabilities[i][label] = 1 - confidence;
        exam.probabilities[i][predicted] = confidence;
        paint(exam.images[i], image_ink(i));
    }
    exam.answers = (struct answers){
        .count = IMAGES,
        .images = exam.images[0],
        .labels = exam.labels,
        .probabilities = exam.probabilities[0],
        .class_names = short_names,
    };
    return &exam;
}

/* ---- misclassified --------------------------------------------------------------------------- */

/* Where the image in place `i` of its page is. */
static struct area image_area(int i) {
    const int gap =
        (MISTAKES_WIDTH - 64 - MISTAKES_COLUMNS * MISTAKES_IMAGE) / (MISTAKES_COLUMNS - 1);
    return in_points(32 + i % MISTAKES_COLUMNS * (MISTAKES_IMAGE + gap),
                     MISTAKES_TOP + i / MISTAKES_COLUMNS * MISTAKES_ROW, MISTAKES_IMAGE,
                     MISTAKES_IMAGE);
}

static struct png_file read_page(const char *path, int images) {
    int rows = (images + MISTAKES_COLUMNS - 1) / MISTAKES_COLUMNS;
    struct png_file file = read_picture(path, MISTAKES_WIDTH, MISTAKES_TOP + rows * MISTAKES_ROW,
                                        "Most confident mistakes: group norm, recipe tuned");
    for (int i = images; i < rows * MISTAKES_COLUMNS; i++)
        assert_int_equal(png_file_inked(&file, image_area(i)), 0);
    return file;
}

/* The image fills its place, each pixel a square with sharp edges; its bars are as long as its
 * probabilities. */
static void assert_shows(const struct png_file *file, int place, const struct exam *exam,
                         int image) {
    enum { SIDE = MISTAKES_IMAGE / IMAGE_SIDE * SCALE };
    struct area area = image_area(place), pixel = {area.x, area.y, SIDE, SIDE};
    assert_int_equal(png_file_count(file, pixel, 0), SIDE * SIDE);
    pixel.x += SIDE;
    assert_int_equal(png_file_count(file, pixel, WHITE), SIDE * SIDE);
    assert_int_equal(png_file_count(file, area, image_ink(image)),
                     area.width * area.height - 2 * SIDE * SIDE);
    struct area text = {area.x, area.y + area.height, area.width, 100 * SCALE};
    int label = exam->labels[image], predicted = answers_predicted(&exam->answers, image);
    double bar = area.width * 4 * SCALE; /* all pixels of one that is full */
    double wrong = png_file_count(file, text, VERMILLION) / bar;
    double right = png_file_count(file, text, BLUE) / bar;
    assert_true(fabs(wrong - (double)exam->probabilities[image][predicted]) < 0.01);
    assert_true(fabs(right - (double)exam->probabilities[image][label]) < 0.01);
}

static void mistakes_are_shown_surest_first(void **state) {
    struct error error;
    struct exam *exam = make_exam(17);
    const char *path = in_folder(*state, "misclassified.png");
    int pages = 0;
    assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 10),
                     &error);
    assert_int_equal(pages, 1);
    assert_int_equal(folder_entries(*state), 1);
    struct png_file file = read_page(path, 10);
    for (int i = 0; i < 10; i++)
        assert_shows(&file, i, exam, 16 - i);
    png_file_free(&file);
}

static void more_mistakes_take_more_pages(void **state) {
    struct error error;
    struct exam *exam = make_exam(23);
    const char *path = in_folder(*state, "misclassified.png");
    int pages = 0;
    assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 1000),
                     &error);
    assert_int_equal(pages, 3);
    for (int page = 0; page < 3; page++) {
        static const char *const names[] = {"misclassified.png", "misclassified-2.png",
                                            "misclassified-3.png"};
        int images = page < 2 ? 10 : 3;
        struct png_file file = read_page(in_folder(*state, names[page]), images);
        for (int i = 0; i < images; i++)
            assert_shows(&file, i, exam, 22 - 10 * page - i);
        png_file_free(&file);
    }
    /* A picture with fewer pages takes the others away. */
    assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 11),
                     &error);
    assert_int_equal(pages, 2);
    assert_int_equal(folder_entries(*state), 2);
    struct png_file file = read_page(in_folder(*state, "misclassified-2.png"), 1);
    png_file_free(&file);
}

static void no_mistakes_are_a_page_that_says_so(void **state) {
    struct error error;
    struct exam *exam = make_exam(0);
    const char *path = in_folder(*state, "misclassified.png");
    int pages = 0;
    assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 10),
                     &error);
    assert_int_equal(pages, 1);
    struct png_file file = read_page(path, 0);
    assert_true(png_file_inked(&file, in_points(32, 76, 300, 14)) > 300);
    png_file_free(&file);
}

static void probabilities_that_are_none_do_no_harm(void **state) {
    struct error error;
    struct exam *exam = make_exam(3);
    for (int i = 0; i < CLASS_COUNT; i++)
        exam->probabilities[1][i] = NAN;
    exam->probabilities[2][3] = INFINITY;
    const char *path = in_folder(*state, "misclassified.png");
    int pages = 0;
    assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 10),
                     &error);
    struct png_file file = read_page(path, 3);
    struct area last = image_area(2); /* the one of NaN: no bar */
    last.y += last.height;
    last.height = 100 * SCALE;
    assert_int_equal(png_file_count(&file, last, VERMILLION), 0);
    assert_int_equal(png_file_count(&file, last, BLUE), 0);
    png_file_free(&file);
}

/* ---- confusion ------------------------------------------------------------------------------- */

/* The ink of a cell, in a corner that no number reaches. */
static unsigned cell_ink(const struct png_file *file, int down, int label, int predicted) {
    int x = CONFUSION_LEFT + predicted * CONFUSION_CELL_WIDTH + 4;
    int y = CONFUSION_TOP + down + label * CONFUSION_CELL_HEIGHT + 4;
    return png_file_pixel(file, x * SCALE, y * SCALE);
}

static struct png_file draw_confusion(const char *folder, const struct answers *answers, int down) {
    struct error error;
    const char *path = in_folder(folder, "confusion.png");
    assert_succeeded(confusion_draw(&error, path, &caption, answers), &error);
    return read_picture(path, CONFUSION_WIDTH, CONFUSION_HEIGHT + down,
                        "Confusion matrix: group norm, recipe tuned");
}

/* Of the four images of each class: none, then one is taken for the next class. */
static void confusion_shows_shares_as_colours(void **state) {
    struct exam *exam = make_exam(5);
    struct png_file file = draw_confusion(*state, &exam->answers, 0);
    for (int label = 0; label < CLASS_COUNT; label++)
        for (int predicted = 0; predicted < CLASS_COUNT; predicted++) {
            unsigned ink = cell_ink(&file, 0, label, predicted);
            if (predicted == label && label >= 5)
                assert_int_equal(ink, BLUE);
            else if (predicted == label)
                assert_int_equal(ink, 0x4095C5); /* three quarters of blue, one of white */
            else if (label < 5 && predicted == label + 1)
                assert_int_equal(ink, VERMILLION); /* the most that there is */
            else
                assert_int_equal(ink, WHITE);
            int x = CONFUSION_LEFT + predicted * CONFUSION_CELL_WIDTH + 10;
            int y = CONFUSION_TOP + label * CONFUSION_CELL_HEIGHT + 10;
            struct area inside =
                in_points(x, y, CONFUSION_CELL_WIDTH - 20, CONFUSION_CELL_HEIGHT - 20);
            int number = inside.width * inside.height - png_file_count(&file, inside, ink);
            assert_in_range(number, 60, inside.width * inside.height / 4);
        }
    png_file_free(&file);
}

/* Ink in the column of accuracies, in the row of a class. */
static int accuracy_ink(const struct png_file *file, int down, int label) {
    int left = CONFUSION_LEFT + CLASS_COUNT * CONFUSION_CELL_WIDTH + 6;
    return png_file_inked(file,
                          in_points(left, CONFUSION_TOP + down + label * CONFUSION_CELL_HEIGHT,
                                    CONFUSION_WIDTH - left, CONFUSION_CELL_HEIGHT));
}

static void confusion_has_names_accuracies_and_legend(void **state) {
    struct exam *exam = make_exam(5);
    struct png_file file = draw_confusion(*state, &exam->answers, 0);
    for (int label = 0; label < CLASS_COUNT; label++) {
        int x = CONFUSION_LEFT + label * CONFUSION_CELL_WIDTH;
        int y = CONFUSION_TOP + label * CONFUSION_CELL_HEIGHT;
        assert_true(png_file_inked(
                        &file, in_points(8, y, CONFUSION_LEFT - 8, CONFUSION_CELL_HEIGHT)) > 100);
        assert_true(png_file_inked(
                        &file, in_points(x, CONFUSION_TOP - 24, CONFUSION_CELL_WIDTH, 20)) > 100);
        assert_true(accuracy_ink(&file, 0, label) > 200);
    }
    struct area legend = in_points(0, CONFUSION_HEIGHT - 60, CONFUSION_WIDTH, 50);
    assert_true(png_file_inked(&file, legend) > 2 * 120 * 14 * SCALE * SCALE / 2);
    png_file_free(&file);
}

/* Long names are slanted, and the picture grows; no two names touch, and no image is no accuracy.
 */
static void long_names_are_slanted(void **state) {
    static const char *const long_names[CLASS_COUNT] = {
        "horizontal stripes",
        "extraordinarily long class name",
        "a",
        "vertical stripes",
        "diagonal stripes",
        "checks",
        "Donaudampfschifffahrtsgesellschaft",
        "\xFF\xFF",
        "internationalization",
        "an even longer name, of a class that nobody will ever have"};
    struct exam *exam = make_exam(5);
    exam->answers.class_names = long_names;
    struct png_file file = draw_confusion(*state, &exam->answers, CONFUSION_SLANT);
    assert_int_equal(cell_ink(&file, CONFUSION_SLANT, 9, 9), BLUE);
    /* Names end above the cells and below the words over them. */
    assert_int_equal(png_file_inked(&file, in_points(CONFUSION_LEFT, CONFUSION_TOP - 28, 700, 4)),
                     0);
    assert_int_equal(png_file_inked(&file, in_points(0, CONFUSION_TOP + CONFUSION_SLANT - 4,
                                                     CONFUSION_WIDTH, 4)),
                     0);
    png_file_free(&file);
    int pages;
    struct error error;
    const char *path = in_folder(*state, "misclassified.png");
    assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 10),
                     &error);
    file = read_page(path, 5);
    for (int i = 0; i < 4; i++) { /* between the columns nothing */
        struct area area = image_area(i);
        area = (struct area){area.x + area.width + 1, area.y, 20 * SCALE, MISTAKES_ROW * SCALE};
        assert_int_equal(png_file_inked(&file, area), 0);
    }
    png_file_free(&file);
}

static void confusion_of_nothing_is_empty(void **state) {
    struct exam *exam = make_exam(0);
    exam->answers.count = 0;
    struct png_file file = draw_confusion(*state, &exam->answers, 0);
    for (int i = 0; i < CLASS_COUNT; i++) {
        assert_int_equal(cell_ink(&file, 0, i, i), WHITE);
        assert_true(accuracy_ink(&file, 0, i) > 200); /* "no image" */
    }
    png_file_free(&file);
}

static void same_answers_same_bytes(void **state) {
    struct error error;
    struct exam *exam = make_exam(12);
    int pages;
    for (int i = 0; i < 2; i++) {
        const char *path = in_folder(*state, i == 0 ? "c1.png" : "c2.png");
        assert_succeeded(confusion_draw(&error, path, &caption, &exam->answers), &error);
        path = in_folder(*state, i == 0 ? "m1.png" : "m2.png");
        assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 10),
                         &error);
    }
    assert_same_bytes(in_folder(*state, "c1.png"), in_folder(*state, "c2.png"));
    assert_same_bytes(in_folder(*state, "m1.png"), in_folder(*state, "m2.png"));
}

/* ---- network --------------------------------------------------------------------------------- */

/* Boxes of each kind and skips as in the table, for all six networks. */
static void networks_have_their_boxes_and_skips(void **state) {
    /* the tints: 19 % of the colour and the rest white, 56, 46 and 34 % */
    enum { SKY = 0xDFF1FB, ORANGE = 0xF1C970, TEAL = 0x8AD2BF, PURPLE = 0xEED1E1 };
    for (int kind = 0; kind < 6; kind++) {
        struct error error;
        struct network network;
        enum recipe_kind recipe = kind < 3 ? RECIPE_TUNED : RECIPE_REFERENCE;
        enum norm_kind norm = (enum norm_kind)(kind % 3);
        const char *path = in_folder(*state, "network.png");
        assert_succeeded(network_build(&error, &network, recipe_find(recipe, norm)), &error);
        assert_succeeded(network_draw(&error, path, &caption, &network), &error);
        struct png_file file = png_file_read(path);
        assert_int_equal(file.width, NETWORK_WIDTH * SCALE);
        assert_margin_is_white(&file);
        assert_string_equal(png_file_text(&file, "Title"), "Network: group norm, recipe tuned");
        int skips = recipe == RECIPE_REFERENCE && norm == NORM_LAYER ? 1 : 2;
        int inside = (NETWORK_BOX_LEFT + 4) * SCALE;
        assert_int_equal(runs_down(&file, inside, 0, file.height, SKY), 8);
        assert_int_equal(runs_down(&file, inside, 0, file.height, TEAL), 8);
        assert_int_equal(runs_down(&file, inside, 0, file.height, ORANGE), 3);
        assert_int_equal(runs_down(&file, inside, 0, file.height, PURPLE), 3);
        /* to the left of the boxes a skip leaves and comes back */
        assert_int_equal(
            runs_down(&file, (NETWORK_BOX_LEFT - 4) * SCALE, 0, file.height, VERMILLION),
            2 * skips);
        png_file_free(&file);
    }
}

/* Beside every box its shape; beside those with parameters their number. */
static void boxes_have_their_numbers(void **state) {
    enum { SHAPES = 600, COUNTS = 720, TINT = NETWORK_BOX_LEFT + 4 };
    struct error error;
    struct network network;
    const char *path = in_folder(*state, "network.png");
    assert_succeeded(network_build(&error, &network, recipe_find(RECIPE_TUNED, NORM_GROUP)),
                     &error);
    assert_succeeded(network_draw(&error, path, &caption, &network), &error);
    struct png_file file = png_file_read(path);
    int boxes = 0, y = 130 * SCALE;
    while (boxes < network.layer_count) {
        unsigned ink = png_file_pixel(&file, TINT * SCALE, y);
        bool box = ink == 0xDFF1FB || ink == 0xF1C970 || ink == 0x8AD2BF || ink == 0xEED1E1;
        if (!box || png_file_pixel(&file, TINT * SCALE, y - 1) == ink) {
            y++;
            continue;
        }
        const struct layer *layer = &network.layers[boxes++];
        struct area shape = {SHAPES * SCALE, y, 56 * SCALE, 24 * SCALE};
        struct area count = {COUNTS * SCALE, y, 42 * SCALE, 24 * SCALE};
        assert_true(png_file_inked(&file, shape) > 100);
        assert_true((png_file_inked(&file, count) > 50) == (layer_parameters(layer) > 0));
        y++;
    }
    png_file_free(&file);
}

/* ---- without cairo --------------------------------------------------------------------------- */

/* This build has none: every picture says what to do, and writes nothing. */
static void pictures_are_refused(void **state) {
    struct error error;
    struct exam *exam = make_exam(1);
    struct network network;
    int pages = 7;
    const char *path = in_folder(*state, "x.png");
    assert_succeeded(network_build(&error, &network, recipe_find(RECIPE_TUNED, NORM_GROUP)),
                     &error);
    FAILED(pictures_ready(&error), STATUS_FAILED, &error, "cairo", "tools/setup");
    FAILED(curves_draw(&error, path, &caption, NULL, 0), STATUS_FAILED, &error, "cairo");
    FAILED(confusion_draw(&error, path, &caption, &exam->answers), STATUS_FAILED, &error, "cairo");
    FAILED(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 10), STATUS_FAILED,
           &error, "cairo");
    FAILED(network_draw(&error, path, &caption, &network), STATUS_FAILED, &error, "cairo");
    assert_int_equal(pages, 0);
    assert_int_equal(folder_entries(*state), 0);
}

static int release(void **state) {
    (void)state;
    pictures_release();
    return 0;
}

#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(curves_have_ink_in_every_panel),
        IN_FOLDER(curves_mark_the_best_epoch),
        IN_FOLDER(one_epoch_shows_points),
        IN_FOLDER(no_epoch_leaves_empty_panels),
        IN_FOLDER(many_epochs_are_lines),
        IN_FOLDER(stuck_curves_are_seen),
        IN_FOLDER(what_is_not_finite_is_a_gap),
        IN_FOLDER(nothing_finite_leaves_no_curve),
        IN_FOLDER(any_number_can_be_drawn),
        IN_FOLDER(rate_in_steps_is_drawn_in_steps),
        IN_FOLDER(norms_have_lines_bands_and_legends),
        IN_FOLDER(one_seed_has_no_band),
        IN_FOLDER(sweep_is_logarithmic),
        IN_FOLDER(texts_hold_the_settings),
        IN_FOLDER(broken_text_does_no_harm),
        IN_FOLDER(bad_key_is_an_error),
        IN_FOLDER(long_texts_stay_inside),
        IN_FOLDER(same_metrics_same_bytes),
        IN_FOLDER(missing_folder_is_an_error),
        IN_FOLDER(full_disk_leaves_nothing),
        IN_FOLDER(mistakes_are_shown_surest_first),
        IN_FOLDER(more_mistakes_take_more_pages),
        IN_FOLDER(no_mistakes_are_a_page_that_says_so),
        IN_FOLDER(probabilities_that_are_none_do_no_harm),
        IN_FOLDER(confusion_shows_shares_as_colours),
        IN_FOLDER(confusion_has_names_accuracies_and_legend),
        IN_FOLDER(long_names_are_slanted),
        IN_FOLDER(confusion_of_nothing_is_empty),
        IN_FOLDER(same_answers_same_bytes),
        IN_FOLDER(networks_have_their_boxes_and_skips),
        IN_FOLDER(boxes_have_their_numbers),
    };
    const struct CMUnitTest without_cairo[] = {
        IN_FOLDER(pictures_are_refused),
    };
    struct error error;
    if (pictures_ready(&error) == STATUS_OK)
        return cmocka_run_group_tests_name("pictures", tests, NULL, release);
    if (strstr(error.text, "built without") == NULL) { /* there should be pictures */
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    return cmocka_run_group_tests_name("pictures", without_cairo, NULL, NULL);
}
