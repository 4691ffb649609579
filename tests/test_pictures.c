/* test_pictures.c: what all pictures share, and network.png, read back from the files: size, texts,
 * and every colour where it belongs and nowhere else. People judge how pictures look. */
#include "picture_fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

/* ---- what all pictures share ----------------------------------------------------------------- */

static void texts_hold_the_settings(void **state) {
    struct error error;
    const char *path = in_folder(*state, "curves.png");
    assert_succeeded(curves_draw(&error, path, &caption, NULL, 0), &error);
    struct png_file file = read_picture(path, CURVES_WIDTH, CURVES_HEIGHT,
                                        "Training curves: group norm, recipe tuned");
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

/* Every kind of invalid UTF-8 becomes question marks, in the texts and in the picture, where cairo
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
        const struct picture_caption broken = {rows[i].text, rows[i].text, rows[i].text,
                                               false,        &setting,     1};
        const char *path = in_folder(*state, "x.png");
        assert_succeeded(curves_draw(&error, path, &broken, NULL, 0), &error);
        struct png_file file = png_file_read(path);
        assert_string_equal(png_file_text(&file, "text"), rows[i].expected);
        assert_string_equal(png_file_text(&file, "Dataset"), rows[i].expected);
        png_file_free(&file);
    }
}

/* A key that PNG forbids is a bug in the program and must be noticed. */
static void bad_key_is_an_error(void **state) {
    struct error error;
    const struct picture_setting setting = {" blank", "value"};
    const struct picture_caption bad = {"t", "d", "r", false, &setting, 1};
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
    const struct picture_caption wordy = {words, words, words, false, &setting, 1};
    const char *path = in_folder(*state, "x.png");
    assert_succeeded(curves_draw(&error, path, &wordy, NULL, 0), &error);
    struct png_file file = png_file_read(path);
    assert_margin_is_white(&file);
    assert_int_equal(strlen(png_file_text(&file, "words")), 2047);
    png_file_free(&file);
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

/* ---- network --------------------------------------------------------------------------------- */

/* All six networks have the boxes of each kind, and the skips, of their layer tables. */
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
        /* a skip leaves and comes back on the left of the boxes */
        assert_int_equal(
            runs_down(&file, (NETWORK_BOX_LEFT - 4) * SCALE, 0, file.height, VERMILLION),
            2 * skips);
        png_file_free(&file);
    }
}

/* Every box has its shape beside it, and the number of its parameters if it has any. */
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

/* Without cairo, every picture function says what to do and writes nothing. */
static void pictures_are_refused(void **state) {
    struct error error;
    const struct answers answers = {0};
    struct network network;
    int pages = 7;
    const char *path = in_folder(*state, "x.png");
    assert_succeeded(network_build(&error, &network, recipe_find(RECIPE_TUNED, NORM_GROUP)),
                     &error);
    FAILED(pictures_ready(&error), STATUS_FAILED, &error, "cairo", "tools/setup");
    FAILED(curves_draw(&error, path, &caption, NULL, 0), STATUS_FAILED, &error, "cairo");
    FAILED(compare_draw(&error, path, &caption, NULL, NULL, 0, 0), STATUS_FAILED, &error, "cairo");
    FAILED(sweep_draw(&error, path, &caption, NULL, 0, NULL, 0), STATUS_FAILED, &error, "cairo");
    FAILED(confusion_draw(&error, path, &caption, &answers), STATUS_FAILED, &error, "cairo");
    FAILED(misclassified_draw(&error, &pages, path, &caption, &answers, 10), STATUS_FAILED, &error,
           "cairo");
    FAILED(network_draw(&error, path, &caption, &network), STATUS_FAILED, &error, "cairo");
    assert_int_equal(pages, 0);
    assert_int_equal(folder_entries(*state), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(texts_hold_the_settings),
        IN_FOLDER(broken_text_does_no_harm),
        IN_FOLDER(bad_key_is_an_error),
        IN_FOLDER(long_texts_stay_inside),
        IN_FOLDER(missing_folder_is_an_error),
        IN_FOLDER(full_disk_leaves_nothing),
        IN_FOLDER(networks_have_their_boxes_and_skips),
        IN_FOLDER(boxes_have_their_numbers),
    };
    const struct CMUnitTest without_cairo[] = {
        IN_FOLDER(pictures_are_refused),
    };
    return pictures_cairo() == NULL
               ? cmocka_run_group_tests_name("pictures", without_cairo, NULL, NULL)
               : run_with_pictures("pictures", tests, sizeof tests / sizeof tests[0]);
}
