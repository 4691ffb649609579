/* test_answer_pictures.c: misclassified.png and confusion.png, read back from the files. */
#include "picture_fixture.h"

#include <math.h>
#include <string.h>

/* ---- answers --------------------------------------------------------------------------------- */

enum { IMAGES = 40 };

static const char *const short_names[CLASS_COUNT] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};

/* Answers for images of one colour each. The first `mistakes` are wrong, each with more confidence
 * than the one before. */
struct exam {
    struct answers answers;
    uint8_t pixels[IMAGES][IMAGE_BYTES], labels[IMAGES];
    const uint8_t *images[IMAGES];
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
        paint(exam.pixels[i], image_ink(i));
        exam.images[i] = exam.pixels[i];
    }
    exam.answers = (struct answers){
        .count = IMAGES,
        .images = exam.images,
        .labels = exam.labels,
        .probabilities = exam.probabilities[0],
        .class_names = short_names,
    };
    return &exam;
}

/* ---- misclassified --------------------------------------------------------------------------- */

/* Where image `i` of a page is. */
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

/* The image fills its place, and each pixel is a square with sharp edges; the bars are as long as
 * the probabilities. */
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
    double bar = area.width * 4 * SCALE; /* the pixels of a full bar */
    double wrong = png_file_count(file, text, VERMILLION) / bar;
    double right = png_file_count(file, text, BLUE) / bar;
    assert_true(fabs(wrong - (double)exam->probabilities[image][predicted]) < 0.01);
    assert_true(fabs(right - (double)exam->probabilities[image][label]) < 0.01);
}

static void most_confident_mistakes_come_first(void **state) {
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

static void many_mistakes_take_several_pages(void **state) {
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
    /* A picture with fewer pages removes the later ones. */
    assert_succeeded(misclassified_draw(&error, &pages, path, &caption, &exam->answers, 11),
                     &error);
    assert_int_equal(pages, 2);
    assert_int_equal(folder_entries(*state), 2);
    struct png_file file = read_page(in_folder(*state, "misclassified-2.png"), 1);
    png_file_free(&file);
}

static void without_mistakes_a_page_says_so(void **state) {
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

static void probabilities_can_be_nan(void **state) {
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
    struct area last = image_area(2); /* probability NaN: no bar */
    last.y += last.height;
    last.height = 100 * SCALE;
    assert_int_equal(png_file_count(&file, last, VERMILLION), 0);
    assert_int_equal(png_file_count(&file, last, BLUE), 0);
    png_file_free(&file);
}

/* ---- confusion ------------------------------------------------------------------------------- */

/* The colour of a cell, in a corner that its number does not reach. */
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

/* Each class has four images: first all are right, then one is mistaken for the next class. */
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
                assert_int_equal(ink, VERMILLION); /* the largest share */
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

/* The ink of a class in the column of accuracies. */
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

/* Long names are slanted, and the picture grows for them; no two names touch. A class without
 * images has no accuracy. */
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
    /* The names lie between the cells and the title above. */
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
    for (int i = 0; i < 4; i++) { /* nothing between the columns */
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

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(most_confident_mistakes_come_first),
        IN_FOLDER(many_mistakes_take_several_pages),
        IN_FOLDER(without_mistakes_a_page_says_so),
        IN_FOLDER(probabilities_can_be_nan),
        IN_FOLDER(confusion_shows_shares_as_colours),
        IN_FOLDER(confusion_has_names_accuracies_and_legend),
        IN_FOLDER(long_names_are_slanted),
        IN_FOLDER(confusion_of_nothing_is_empty),
        IN_FOLDER(same_answers_same_bytes),
    };
    return run_with_pictures("answer pictures", tests, sizeof tests / sizeof tests[0]);
}
