/* test_text.c: numbers as people read them, texts and errors that stay one line. */
#include "support.h"

#include "base/text.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>

static void counts(void **state) {
    (void)state;
    char out[TEXT_CAPACITY];
    assert_string_equal(text_count(out, 0), "0");
    assert_string_equal(text_count(out, 999), "999");
    assert_string_equal(text_count(out, 1000), "1,000");
    assert_string_equal(text_count(out, 39420), "39,420");
    assert_string_equal(text_count(out, 1234567), "1,234,567");
    assert_string_equal(text_count(out, -1000), "-1,000");
    assert_string_equal(text_count(out, -999), "-999");
    assert_string_equal(text_count(out, INT64_MAX), "9,223,372,036,854,775,807");
    assert_string_equal(text_count(out, INT64_MIN), "-9,223,372,036,854,775,808");
}

static void durations(void **state) {
    (void)state;
    char out[TEXT_CAPACITY];
    assert_string_equal(text_duration(out, 0), "0.0 s");
    assert_string_equal(text_duration(out, 18.24), "18.2 s");
    assert_string_equal(text_duration(out, 59.94), "59.9 s");
    assert_string_equal(text_duration(out, 59.96), "1 min 00 s");
    assert_string_equal(text_duration(out, 372.4), "6 min 12 s");
    assert_string_equal(text_duration(out, 3599.4), "59 min 59 s");
    assert_string_equal(text_duration(out, 3599.6), "1 h 00 min");
    assert_string_equal(text_duration(out, 7380), "2 h 03 min");
}

static void one_line(void **state) {
    (void)state;
    char text[] = "a\nb\r\033[1m\177\tc \xc3\xa9\xff";
    assert_string_equal(text_one_line(text), "a?b??[1m??c \xc3\xa9\xff");
    char empty[] = "";
    assert_string_equal(text_one_line(empty), "");
}

/* An error is one line whatever a path or a file holds. */
static void errors(void **state) {
    (void)state;
    struct error error;
    assert_int_equal(error_set(&error, STATUS_USAGE, "no '%s'", "a\nb"), STATUS_USAGE);
    assert_string_equal(error.text, "no 'a?b'");
    error_set_errno(&error, STATUS_FAILED, ENOENT, "cannot open '%s'", "\033c");
    assert_string_equal(error.text, "cannot open '?c': No such file or directory");
}

/* The short form is the same float, and prints short. */
static void decimals(void **state) {
    (void)state;
    static const struct {
        float value;
        const char *text;
    } rows[] = {{0.0f, "0"},     {0.1f, "0.1"}, {0.01f, "0.01"}, {5e-4f, "0.0005"},
                {0.9f, "0.9"},   {1.4f, "1.4"}, {-0.3f, "-0.3"}, {1.0f / 3, "0.33333334"},
                {1e30f, "1e+30"}};
    char text[TEXT_CAPACITY];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "%.9g", text_decimal(rows[i].value));
        assert_string_equal(text, rows[i].text);
    }
    for (float value = FLT_MIN; value < FLT_MAX / 2; value *= 1.7f)
        assert_true((float)text_decimal(value) == value);
    assert_true(isnan(text_decimal(NAN)));
}

static void json_of_any_bytes(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"plain", "plain"},
                                          {"caf\xc3\xa9", "caf\xc3\xa9"},
                                          {"caf\xe9", "caf?"},
                                          {"\xc3", "?"},
                                          {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *json = text_json(rows[i][0]);
        assert_string_equal(json_string_value(json), rows[i][1]);
        json_decref(json);
    }
}

/* jansson's integers end at 2^63 - 1. */
static void json_of_large_numbers(void **state) {
    (void)state;
    json_t *largest = text_json_uint64(INT64_MAX), *beyond = text_json_uint64(UINT64_MAX);
    assert_true(json_integer_value(largest) == INT64_MAX);
    assert_string_equal(json_string_value(beyond), "18446744073709551615");
    json_t *array = text_json_append(text_json_append(json_array(), largest), beyond);
    assert_int_equal(json_array_size(array), 2);
    assert_null(text_json_append(array, NULL)); /* a leak checker sees whether it is released */
    assert_null(text_json_append(NULL, json_true()));
}

/* A zero byte is not allowed in JSON, and does not end it. */
static void json_is_whole(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t length;
        bool good;
    } rows[] = {{"{\"a\": 1}", 8, true}, {"[1]\n", 4, true},
                {"{\"a\": 1", 7, false}, {"{\"a\":1,\"a\":1}", 13, false},
                {"", 0, false},          {"{} x", 4, false},
                {"[1\0]", 4, false},     {"[1]\0\n", 5, false}};
    bool no_memory;
    json_error_t fault;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *json = text_parse_json(&no_memory, &fault, rows[i].text, rows[i].length);
        assert_false(no_memory);
        assert_true(rows[i].good ? json != NULL : json == NULL && fault.text[0] != '\0');
        json_decref(json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(durations),
        cmocka_unit_test(one_line),
        cmocka_unit_test(errors),
        cmocka_unit_test(decimals),
        cmocka_unit_test(json_of_any_bytes),
        cmocka_unit_test(json_of_large_numbers),
        cmocka_unit_test(json_is_whole),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
