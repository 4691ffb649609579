/* test_curve_pictures.c: curves.png, compare.png and sweep.png, read back from the files: every
 * line, band, marker and legend has its colour where it belongs and nowhere else. */
#include "picture_fixture.h"

#include <math.h>
#include <string.h>

/* ---- curves ---------------------------------------------------------------------------------- */

enum { MOST_EPOCHS = 200 };

enum panel { LOSS, ACCURACY, RATE };

static struct area panel_area(enum panel panel) {
    static const int tops[] = {CURVES_LOSS_TOP, CURVES_ACCURACY_TOP, CURVES_RATE_TOP};
    static const int heights[] = {CURVES_LOSS_HEIGHT, CURVES_ACCURACY_HEIGHT, CURVES_RATE_HEIGHT};
    return in_points(CURVES_LEFT, tops[panel] - 1, CURVES_PLOT_WIDTH, heights[panel] + 2);
}

/* Where the legend of a panel is. */
static struct area legend_area(enum panel panel) {
    struct area area = panel_area(panel);
    int right = area.x + area.width + 10 * SCALE;
    return (struct area){right, area.y, CURVES_WIDTH * SCALE - right, area.height};
}

/* A run that learns, with the best test accuracy after epoch `best`. */
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

/* Every curve is in its panel and no other, its legend beside it; a line has hundreds of pixels. */
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
    /* The labels are to the left of each panel, those of the epochs below the last one. */
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
            if (epoch >= 10) /* further left is the title of the panel */
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

/* Markers of so many epochs would hide the lines: only a point without neighbours gets one. */
static void many_epochs_are_lines(void **state) {
    static struct epoch_metrics epochs[MOST_EPOCHS];
    make_epochs(epochs, MOST_EPOCHS, 150);
    for (int i = 0; i < MOST_EPOCHS; i++)
        if (i != 40)
            epochs[i].train.loss = NAN;
    struct png_file file = draw_curves(*state, epochs, MOST_EPOCHS);
    struct area right = panel_area(LOSS); /* flat curves: at most 4 pixels per column */
    right.x += right.width / 2;
    right.width /= 2;
    assert_true(png_file_count(&file, right, VERMILLION) > 2 * right.width);
    assert_true(png_file_count(&file, right, VERMILLION) < 5 * right.width);
    assert_in_range(png_file_count(&file, panel_area(LOSS), BLUE), 50, 400);
    png_file_free(&file);
}

/* Both curves stay at 10 % in every epoch, and both are visible throughout. */
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

/* Whether a line of this ink joins `epoch` to the next one. */
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
    struct area lone = panel_area(LOSS); /* epoch 11 has no neighbours and is a point */
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

/* From the smallest to the largest double, the picture has its size and its curves. */
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

/* A rate that falls in steps is drawn as level lines at the heights of its powers of ten. */
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
        /* the rate falls at the end of the epoch before */
        int from = area.x + (int)(area.width * (first[level] - (level > 0 ? 1.5 : 0.5)) / 20);
        int to = area.x + (int)(area.width * (last[level] - 0.5) / 20);
        struct area line = {from, y - 1, to - from, 2};
        assert_true(png_file_count(&file, line, GREEN) > line.width * 2 * 8 / 10);
    }
    png_file_free(&file);
}
static void same_metrics_same_bytes(void **state) {
    struct error error;
    struct epoch_metrics epochs[20];
    make_epochs(epochs, 20, 9);
    const char *first = in_folder(*state, "1.png"), *second = in_folder(*state, "2.png");
    assert_succeeded(curves_draw(&error, first, &caption, epochs, 20), &error);
    pictures_release();    /* fonts are looked up again */
    epochs[3].seconds = 5; /* not in the picture */
    assert_succeeded(curves_draw(&error, second, &caption, epochs, 20), &error);
    assert_same_bytes(first, second);
}

/* ---- norms compared -------------------------------------------------------------------------- */

enum { NORM_EPOCHS = 60, MEAN_INKS = 3 };

static const unsigned norm_inks[MEAN_INKS] = {BLUE, VERMILLION, GREEN};

/* A fifth of the ink on white, within rounding. */
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

/* Curves 20 apart, of three seeds with bands of `spread` to each side, or of one seed. */
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

/* The right end of the line of facts below the heading. */
static int facts_end(const struct png_file *file) {
    int x = file->width;
    struct area column = {0, 75 * SCALE, 1, 14 * SCALE};
    do
        column.x = --x;
    while (x > 0 && png_file_count(file, column, WHITE) == column.height);
    return x;
}

/* One seed is a line without a band, and the picture does not mention bands. A missing norm leaves
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
        /* the edges of a slanted line are as pale, but a band has over 20,000 such pixels */
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

/* Each batch size has a marker at its logarithm. */
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
        IN_FOLDER(same_metrics_same_bytes),
    };
    return run_with_pictures("curve pictures", tests, sizeof tests / sizeof tests[0]);
}
