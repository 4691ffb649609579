/* event_file.c: writes an event file: TensorFlow's protocol-buffer messages in TFRecord frames,
 * both encoded by hand, since five small messages need no library.
 *
 * A frame (tensorflow/core/lib/io/record_writer.h): the length of the message (8 bytes), the masked
 * CRC-32C of these 8 bytes, the message, its masked CRC-32C; all little-endian.
 *
 * The messages, as far as they are used here (tensorflow/core/util/event.proto and
 * tensorflow/core/framework/summary.proto, the same in tensorboard/compat/proto):
 *
 *     Event:         double wall_time = 1; int64 step = 2; string file_version = 3;
 *                    Summary summary = 5; SessionLog session_log = 7
 *     SessionLog:    enum status = 1 {START = 1}
 *     Summary:       repeated Value value = 1
 *     Summary.Value: string tag = 1; float simple_value = 2; Image image = 4
 *     Summary.Image: int32 height = 1, width = 2, colorspace = 3;
 *                    bytes encoded_image_string = 4
 *
 * A field is a byte with its number and wire type, then its value
 * (https://protobuf.dev/programming-guides/encoding/). The length of a nested message precedes it,
 * so sizes are computed first, from the inside out; then everything is written in order. */
#include "run/event_file.h"

#include "base/clock.h"
#include "base/file_read.h"
#include "base/version.h"
#include "memory.h"
#include "run/crc32c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name_start[] = "events.out.tfevents.", name_end[] = "." PROGRAM_NAME;
static const char file_version[] = "brain.Event:2";

/* ---- protocol buffers: sizes ----------------------------------------------------------------- */

enum wire_type { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_BYTES = 2, WIRE_32_BITS = 5 };
enum { TAG_BYTES = 1 }; /* for field numbers below 16, as all are here */

enum {
    EVENT_WALL_TIME = 1,
    EVENT_STEP = 2,
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    EVENT_SESSION_LOG = 7,
};
enum { SESSION_STATUS = 1, SESSION_START = 1 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_IMAGE = 4 };
enum { IMAGE_HEIGHT = 1, IMAGE_WIDTH = 2, IMAGE_COLORSPACE = 3, IMAGE_ENCODED = 4 };

/* Seven bits per byte. */
static size_t varint_size(uint64_t value) {
    size_t size = 1;
    while ((value >>= 7) != 0)
        size++;
    return size;
}

static size_t number_field_size(uint64_t value) {
    return TAG_BYTES + varint_size(value);
}

/* A string, bytes or a message. */
static size_t bytes_field_size(size_t size) {
    return TAG_BYTES + varint_size(size) + size;
}

/* ---- protocol buffers: writing --------------------------------------------------------------- */

/* A record being built in a buffer of exactly its size. */
struct record {
    uint8_t *bytes;
    size_t size; /* so far */
};

static void put_bytes(struct record *out, const void *data, size_t size) {
    memcpy(out->bytes + out->size, data, size);
    out->size += size;
}

static void put_little_endian(struct record *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        out->bytes[out->size++] = (uint8_t)(value >> 8 * i);
}

static void put_varint(struct record *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        out->bytes[out->size++] = (uint8_t)(value | 0x80);
    out->bytes[out->size++] = (uint8_t)value;
}

static void put_tag(struct record *out, int field, enum wire_type type) {
    out->bytes[out->size++] = (uint8_t)(field << 3 | (int)type);
}

static void put_number_field(struct record *out, int field, uint64_t value) {
    put_tag(out, field, WIRE_VARINT);
    put_varint(out, value);
}

static void put_double_field(struct record *out, int field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(out, field, WIRE_64_BITS);
    put_little_endian(out, bits, sizeof bits);
}

static void put_float_field(struct record *out, int field, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(out, field, WIRE_32_BITS);
    put_little_endian(out, bits, sizeof bits);
}

/* Begins a message of `size` bytes, which the caller puts next. */
static void begin_message_field(struct record *out, int field, size_t size) {
    put_tag(out, field, WIRE_BYTES);
    put_varint(out, size);
}

static void put_bytes_field(struct record *out, int field, const void *data, size_t size) {
    begin_message_field(out, field, size);
    put_bytes(out, data, size);
}

/* ---- records --------------------------------------------------------------------------------- */

enum { LENGTH_BYTES = 8, CRC_BYTES = 4, FRAME_BYTES = LENGTH_BYTES + 2 * CRC_BYTES };

/* Masked, because a CRC of data that contains CRCs is weak (tensorflow/core/lib/hash/crc32c.h). */
static void put_masked_crc(struct record *out, const void *data, size_t size) {
    uint32_t crc = crc32c(data, size);
    put_little_endian(out, (crc >> 15 | crc << 17) + 0xa282ead8u, CRC_BYTES);
}

/* Begins a record of an event whose `field` is a string or message of `size` bytes, which the
 * caller puts next; write_record writes and releases the record. */
static enum status begin_record(struct error *error, struct record *out, int64_t step,
                                double wall_time, int field, size_t size) {
    size_t event =
        TAG_BYTES + sizeof wall_time + number_field_size((uint64_t)step) + bytes_field_size(size);
    *out = (struct record){0};
    if (memory_alloc(error, &out->bytes, event + FRAME_BYTES, 1, "a record of an event file") !=
        STATUS_OK)
        return error->status;
    put_little_endian(out, event, LENGTH_BYTES);
    put_masked_crc(out, out->bytes, LENGTH_BYTES);
    put_double_field(out, EVENT_WALL_TIME, wall_time);
    put_number_field(out, EVENT_STEP, (uint64_t)step);
    begin_message_field(out, field, size);
    return STATUS_OK;
}

static enum status write_record(struct error *error, struct event_file *out,
                                struct record *record) {
    const size_t before = LENGTH_BYTES + CRC_BYTES;
    put_masked_crc(record, record->bytes + before, record->size - before);
    enum status status =
        file_append(error, out->file, &out->bytes, record->bytes, record->size, out->path);
    memory_free(record->bytes);
    return status;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The seconds in the name of an event file of this program; -1: it is another file. */
static int64_t seconds_of(const char *name) {
    size_t length = strlen(name_start);
    if (strncmp(name, name_start, length) != 0)
        return -1;
    size_t digits = strspn(name + length, "0123456789");
    bool ours = digits > 0 && strcmp(name + length + digits, name_end) == 0;
    return ours ? strtoll(name + length, NULL, 10) : -1;
}

/* The name of this program's next event file in an open folder; NULL: no more, or an error in
 * errno. */
static const char *next_name(DIR *stream) {
    const struct dirent *entry;
    do
        errno = 0, entry = readdir(stream);
    while (entry != NULL && seconds_of(entry->d_name) < 0);
    return entry == NULL ? NULL : entry->d_name;
}

static enum status cannot_list(struct error *error, const char *folder) {
    return error_set_errno(error, STATUS_FAILED, errno, "cannot read folder '%s'", folder);
}

enum status event_files_remove(struct error *error, const char *folder) {
    DIR *stream = opendir(folder);
    if (stream == NULL)
        return cannot_list(error, folder);
    const char *name;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (name = next_name(stream)) != NULL) {
        char path[PATH_CAPACITY];
        status = path_join(error, path, folder, name);
        if (status == STATUS_OK)
            status = file_remove(error, path);
    }
    if (status == STATUS_OK && errno != 0)
        status = cannot_list(error, folder);
    closedir(stream); /* nothing was written: nothing to check */
    return status;
}

/* Chooses the seconds in the name of a new file: the current time, but later than in all existing
 * names, because TensorBoard reads the files in the order of their names and never goes back. */
static enum status choose_seconds(struct error *error, int64_t *out, const char *folder,
                                  double now) {
    DIR *stream = opendir(folder);
    if (stream == NULL)
        return cannot_list(error, folder);
    const char *name;
    *out = (int64_t)now;
    while ((name = next_name(stream)) != NULL)
        if (seconds_of(name) >= *out && seconds_of(name) < INT64_MAX)
            *out = seconds_of(name) + 1;
    enum status status = errno == 0 ? STATUS_OK : cannot_list(error, folder);
    closedir(stream); /* nothing was written: nothing to check */
    return status;
}

/* The first record is the version of the format. */
static enum status add_version(struct error *error, struct event_file *out, double wall_time) {
    struct record record;
    size_t size = strlen(file_version);
    if (begin_record(error, &record, 0, wall_time, EVENT_FILE_VERSION, size) != STATUS_OK)
        return error->status;
    put_bytes(&record, file_version, size);
    return write_record(error, out, &record);
}

/* The second record makes TensorBoard drop the steps from 0 on, which it has read from earlier
 * files. */
static enum status add_start(struct error *error, struct event_file *out, double wall_time) {
    struct record record;
    if (begin_record(error, &record, 0, wall_time, EVENT_SESSION_LOG,
                     number_field_size(SESSION_START)) != STATUS_OK)
        return error->status;
    put_number_field(&record, SESSION_STATUS, SESSION_START);
    return write_record(error, out, &record);
}

enum status event_file_create(struct error *error, struct event_file *out, const char *folder) {
    char name[sizeof name_start + sizeof name_end + 20]; /* digits of a 64-bit number */
    double now = clock_wall();
    int64_t seconds = 0;
    *out = (struct event_file)EVENT_FILE_NONE;
    if (choose_seconds(error, &seconds, folder, now) != STATUS_OK)
        return error->status;
    snprintf(name, sizeof name, "%s%010" PRId64 "%s", name_start, seconds, name_end);
    if (path_join(error, out->path, folder, name) != STATUS_OK)
        return error->status;
    out->file = file_open_retrying(out->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
    if (out->file < 0)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot make event file '%s'",
                               out->path);
    if (add_version(error, out, now) != STATUS_OK)
        return error->status;
    return add_start(error, out, now);
}

enum status event_file_close(struct error *error, struct event_file *file) {
    int handle = file->file;
    file->file = -1;
    if (handle < 0)
        return STATUS_OK;
    enum status status = file_sync(error, handle, file->path);
    if (close(handle) != 0 && errno != EINTR && status == STATUS_OK)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot write '%s'", file->path);
    return status;
}

/* ---- scalars --------------------------------------------------------------------------------- */

static size_t scalar_size(const struct event_scalar *scalar) {
    return bytes_field_size(strlen(scalar->tag)) + TAG_BYTES + sizeof scalar->value;
}

static void put_scalar(struct record *out, const struct event_scalar *scalar) {
    begin_message_field(out, SUMMARY_VALUE, scalar_size(scalar));
    put_bytes_field(out, VALUE_TAG, scalar->tag, strlen(scalar->tag));
    put_float_field(out, VALUE_SIMPLE, scalar->value);
}

enum status event_file_add_scalars(struct error *error, struct event_file *out, int64_t step,
                                   double wall_time, const struct event_scalar *scalars,
                                   int count) {
    struct record record;
    size_t summary = 0;
    if (out->file < 0)
        return STATUS_OK;
    for (int i = 0; i < count; i++)
        summary += bytes_field_size(scalar_size(&scalars[i]));
    if (begin_record(error, &record, step, wall_time, EVENT_SUMMARY, summary) != STATUS_OK)
        return error->status;
    for (int i = 0; i < count; i++)
        put_scalar(&record, &scalars[i]);
    return write_record(error, out, &record);
}

/* ---- images ---------------------------------------------------------------------------------- */

enum { MAX_PNG = 64 << 20 }; /* bytes; TensorBoard reads them all into memory */

struct picture {
    uint32_t height, width;
    uint32_t colorspace; /* summary.proto: 1 gray, 2 with alpha, 3 RGB, 4 RGBA */
    const void *png;
    size_t bytes;
};

static uint32_t get_big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The colorspace for a PNG's colour type (https://www.w3.org/TR/png-3/#6Colour-values); 0: there is
 * no such type. Palettes are RGB. */
static uint32_t colorspace_of(uint8_t type) {
    static const uint32_t colorspaces[] = {[0] = 1, [2] = 3, [3] = 3, [4] = 2, [6] = 4};
    return type < sizeof colorspaces / sizeof colorspaces[0] ? colorspaces[type] : 0;
}

/* Reads the size and colour type from the first chunk, IHDR (https://www.w3.org/TR/png-3/#11IHDR),
 * whose data follows the signature, its length and its name. */
static enum status describe(struct error *error, struct picture *out, const void *png, size_t bytes,
                            const char *what) {
    enum { WIDTH = 16, HEIGHT = 20, COLOUR_TYPE = 25, HEADER = 33 };
    static const char start[WIDTH + 1] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const uint8_t *header = png;
    *out = (struct picture){.png = png, .bytes = bytes};
    if (bytes >= HEADER && memcmp(header, start, WIDTH) == 0) {
        out->width = get_big_endian(header + WIDTH);
        out->height = get_big_endian(header + HEIGHT);
        out->colorspace = colorspace_of(header[COLOUR_TYPE]);
    }
    if (out->colorspace == 0 || out->width - 1 >= INT32_MAX || out->height - 1 >= INT32_MAX)
        return error_set(
            error, STATUS_BAD_DATA,
            "'%s' is not a PNG: its first %d bytes are not a PNG header; an event file "
            "takes only PNGs",
            what, HEADER);
    return STATUS_OK;
}

static size_t image_size(const struct picture *picture) {
    return number_field_size(picture->height) + number_field_size(picture->width) +
           number_field_size(picture->colorspace) + bytes_field_size(picture->bytes);
}

static void put_image(struct record *out, const struct picture *picture) {
    begin_message_field(out, VALUE_IMAGE, image_size(picture));
    put_number_field(out, IMAGE_HEIGHT, picture->height);
    put_number_field(out, IMAGE_WIDTH, picture->width);
    put_number_field(out, IMAGE_COLORSPACE, picture->colorspace);
    put_bytes_field(out, IMAGE_ENCODED, picture->png, picture->bytes);
}

static enum status add_picture(struct error *error, struct event_file *out, const char *tag,
                               int64_t step, double wall_time, const struct picture *picture) {
    struct record record;
    size_t value = bytes_field_size(strlen(tag)) + bytes_field_size(image_size(picture));
    if (begin_record(error, &record, step, wall_time, EVENT_SUMMARY, bytes_field_size(value)) !=
        STATUS_OK)
        return error->status;
    begin_message_field(&record, SUMMARY_VALUE, value);
    put_bytes_field(&record, VALUE_TAG, tag, strlen(tag));
    put_image(&record, picture);
    return write_record(error, out, &record);
}

enum status event_file_add_image(struct error *error, struct event_file *out, const char *tag,
                                 int64_t step, double wall_time, const void *png, size_t bytes) {
    struct picture picture;
    if (out->file < 0)
        return STATUS_OK;
    if (describe(error, &picture, png, bytes, tag) != STATUS_OK)
        return error->status;
    return add_picture(error, out, tag, step, wall_time, &picture);
}

enum status event_file_add_image_file(struct error *error, struct event_file *out, const char *tag,
                                      int64_t step, const char *path) {
    struct picture picture;
    char *png;
    size_t bytes;
    if (out->file < 0)
        return STATUS_OK;
    if (file_read_whole(error, &png, &bytes, path, "picture", MAX_PNG) != STATUS_OK)
        return error->status;
    enum status status = describe(error, &picture, png, bytes, path);
    if (status == STATUS_OK)
        status = add_picture(error, out, tag, step, clock_wall(), &picture);
    memory_free(png);
    return status;
}
