/* event_records.c: event files taken apart: TFRecord frames, protocol buffers. The numbers of the
 * fields are those of event.proto and summary.proto, written out here a second time. */
#include "event_records.h"

#include "run_fixture.h"

#include <dirent.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is left to read. */
struct span {
    const unsigned char *at;
    size_t left;
};

/* ---- frames ---------------------------------------------------------------------------------- */

static struct span take(struct span *from, size_t bytes) {
    if (bytes > from->left)
        fail_msg("%zu bytes expected, %zu are left", bytes, from->left);
    struct span taken = {from->at, bytes};
    from->at += bytes;
    from->left -= bytes;
    return taken;
}

static uint64_t take_little_endian(struct span *from, size_t bytes) {
    struct span taken = take(from, bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)taken.at[i] << 8 * i;
    return value;
}

/* The masked CRC-32C, bit by bit. */
static uint32_t masked_crc(struct span data) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < data.left; i++) {
        crc ^= data.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static struct span take_record(struct span *from) {
    struct span length = {from->at, 8};
    size_t bytes = take_little_endian(from, 8);
    assert_int_equal(take_little_endian(from, 4), masked_crc(length));
    struct span data = take(from, bytes);
    assert_int_equal(take_little_endian(from, 4), masked_crc(data));
    return data;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* In the shortest form, which the format does not require but every writer uses. */
static uint64_t take_varint(struct span *from) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = take_little_endian(from, 1);
        assert_true(shift < 63 || byte <= 1);
        assert_true(byte != 0 || shift == 0);
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fail_msg("a number of more than ten bytes");
    return 0;
}

/* The number of the next field, whose wire type has to be the one in `types`[number]. */
static int take_tag(struct span *from, const char *types) {
    uint64_t tag = take_varint(from), field = tag >> 3;
    if (field >= strlen(types) || types[field] != (char)('0' + (tag & 7)))
        fail_msg("field %d of wire type %d", (int)field, (int)(tag & 7));
    return (int)field;
}

static struct span take_message(struct span *from) {
    return take(from, take_varint(from));
}

static void take_text(char out[EVENT_TAG], struct span *from) {
    struct span text = take_message(from);
    assert_in_range(text.left, 1, EVENT_TAG - 1);
    memcpy(out, text.at, text.left);
    out[text.left] = '\0';
}

static double take_double(struct span *from) {
    uint64_t bits = take_little_endian(from, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float take_float(struct span *from) {
    uint32_t bits = (uint32_t)take_little_endian(from, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- messages -------------------------------------------------------------------------------- */

static void read_image(struct event *out, struct span from) {
    out->images++;
    while (from.left > 0) {
        int field = take_tag(&from, "-0002");
        if (field == 1)
            out->height = take_varint(&from);
        else if (field == 2)
            out->width = take_varint(&from);
        else if (field == 3)
            out->colorspace = take_varint(&from);
        else {
            struct span png = take_message(&from);
            out->png = png.at;
            out->png_bytes = png.left;
        }
    }
}

static void read_value(struct event *out, struct span from) {
    assert_in_range(out->scalars, 0, EVENT_SCALARS - 1);
    char *tag = out->tags[out->scalars];
    while (from.left > 0) {
        int field = take_tag(&from, "-25-2");
        if (field == 1)
            take_text(tag, &from);
        else if (field == 2)
            out->values[out->scalars++] = take_float(&from);
        else
            read_image(out, take_message(&from));
    }
    assert_true(tag[0] != '\0');
}

static void read_summary(struct event *out, struct span from) {
    while (from.left > 0) {
        take_tag(&from, "-2");
        read_value(out, take_message(&from));
    }
}

static void read_session(struct event *out, struct span from) {
    take_tag(&from, "-0");
    out->session = take_varint(&from);
    assert_int_equal(from.left, 0);
}

static struct event read_event(struct span from) {
    struct event event = {.wall_time = NAN};
    while (from.left > 0) {
        int field = take_tag(&from, "-102-2-2");
        if (field == 1)
            event.wall_time = take_double(&from);
        else if (field == 2)
            event.step = (int64_t)take_varint(&from);
        else if (field == 3)
            take_text(event.version, &from);
        else if (field == 5)
            read_summary(&event, take_message(&from));
        else
            read_session(&event, take_message(&from));
    }
    assert_true(event.wall_time > 0);
    return event;
}

/* ---- files ----------------------------------------------------------------------------------- */

struct event_list read_events(const char *path) {
    struct event_list list = {0};
    struct span from = {0};
    list.bytes = slurp(&from.left, path);
    from.at = list.bytes;
    while (from.left > 0) {
        assert_in_range(list.count, 0, EVENT_COUNT - 1);
        list.events[list.count++] = read_event(take_record(&from));
    }
    assert_in_range(list.count, 2, EVENT_COUNT);
    assert_string_equal(list.events[0].version, "brain.Event:2");
    assert_true(list.events[0].step == 0);
    assert_true(list.events[1].session == 1 && list.events[1].step == 0); /* START */
    assert_true(list.events[1].wall_time == list.events[0].wall_time);
    list.count--;
    memmove(&list.events[1], &list.events[2], (size_t)(list.count - 1) * sizeof list.events[0]);
    return list;
}

void free_events(struct event_list *list) {
    free(list->bytes);
}

int find_event_files(char path[1024], const char *folder) {
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    int found = 0;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (strstr(entry->d_name, "tfevents") == NULL)
            continue;
        const char *next = in_folder(folder, entry->d_name);
        if (found++ == 0 || strcmp(next, path) > 0)
            strcpy(path, next);
    }
    closedir(stream);
    return found;
}

/* The event holds, as a float, the number in metrics.jsonl, which has nine digits. */
static void assert_scalar(const struct event *event, int i, const char *tag, const json_t *line,
                          const char *key) {
    double due = number(line, key);
    assert_string_equal(event->tags[i], tag);
    if (!(fabs((double)event->values[i] - due) <= (double)FLT_EPSILON * fabs(due)))
        fail_msg("%s at step %lld is %.9g, not %.9g", tag, (long long)event->step,
                 (double)event->values[i], due);
}

void assert_events_are_metrics(const char *folder, int files) {
    char path[1024];
    assert_int_equal(find_event_files(path, folder), files);
    struct event_list list = read_events(path);
    struct metrics_file metrics = read_metrics(folder);
    assert_int_equal(list.count, metrics.count + 1);
    for (int i = 0; i < metrics.count; i++) {
        const struct event *event = &list.events[i + 1];
        const json_t *line = metrics.lines[i];
        assert_true(event->step == (int64_t)number(line, "step"));
        assert_int_equal(event->scalars, 6);
        assert_int_equal(event->images, 0);
        assert_scalar(event, 0, "loss/train", line, "train_loss");
        assert_scalar(event, 1, "loss/test", line, "test_loss");
        assert_scalar(event, 2, "accuracy/train", line, "train_accuracy");
        assert_scalar(event, 3, "accuracy/test", line, "test_accuracy");
        assert_scalar(event, 4, "learning_rate", line, "lr");
        assert_scalar(event, 5, "images_per_second", line, "images_per_second");
        assert_true(i == 0 || event->wall_time >= list.events[i].wall_time);
    }
    free_metrics(&metrics);
    free_events(&list);
}
