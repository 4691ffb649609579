/* test_md5.c: MD5 against the test suite of RFC 1321 (section A.5), and in pieces of every size. */
#include "support.h"

#include "data/md5.h"

#include <string.h>

static const char *sum_in_pieces(const char *text, size_t bytes, size_t piece) {
    static char out[MD5_TEXT];
    struct md5 md5;
    md5_begin(&md5);
    for (size_t done = 0; done < bytes; done += piece)
        md5_add(&md5, text + done, bytes - done < piece ? bytes - done : piece);
    md5_finish(out, &md5);
    return out;
}

static void test_suite(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t piece = 1; piece <= 90; piece++)
            assert_string_equal(sum_in_pieces(cases[i][0], strlen(cases[i][0]), piece),
                                cases[i][1]);
}

/* Lengths around a block, where the padding may or may not need another: md5sum's results. */
static void lengths_around_a_block(void **state) {
    (void)state;
    static const struct {
        size_t bytes;
        const char *sum;
    } cases[] = {
        {55, "04364420e25c512fd958a70738aa8f72"},  {56, "668a72d5ba17f08e62dabcafad6db14b"},
        {57, "693037871c4a9d3d8685018905cb530a"},  {63, "7dc2ca208106a2f703567bdff99d8981"},
        {64, "c1bb4f81d892b2d57947682aeb252456"},  {65, "1bc932052302d074bdec39795fe00cf6"},
        {119, "ab347a5f68c8a443cfcddc633f12c24f"}, {120, "fb98667f98096de92620b64f46e1c5b5"},
        {128, "d69cb61a6ee87200676eb0d4b90edbcb"}};
    char text[200];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(sum_in_pieces(text, cases[i].bytes, 7), cases[i].sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),
        cmocka_unit_test(lengths_around_a_block),
    };
    return cmocka_run_group_tests_name("md5", tests, NULL, NULL);
}
