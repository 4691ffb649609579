/* event_records.h: event files parsed byte by byte, as TensorBoard will read them. Anything
 * unexpected fails the test: a checksum, a length, a field that this program does not write. */
#ifndef EVENT_RECORDS_H
#define EVENT_RECORDS_H

#include "support.h"

enum { EVENT_SCALARS = 8, EVENT_TAG = 256, EVENT_COUNT = 32 };

/* An event has a version, scalars or an image. */
struct event {
    double wall_time;
    int64_t step;
    char version[EVENT_TAG];
    uint64_t session; /* status of a session_log */
    int scalars, images;
    char tags[EVENT_SCALARS][EVENT_TAG]; /* of the scalars; the first one is the image's */
    float values[EVENT_SCALARS];
    uint64_t height, width, colorspace;
    const unsigned char *png; /* in the list's bytes */
    size_t png_bytes;
};

struct event_list {
    int count;
    struct event events[EVENT_COUNT];
    unsigned char *bytes;
};

/* The events of a file of less than 1 MiB, which must consist of whole records: the version first;
 * the second, the start of a session, is checked and left out. Release with free_events. */
struct event_list read_events(const char *path);
void free_events(struct event_list *list);

/* The number of files in `folder` that TensorBoard reads as event files; *path is the last by name,
 * whose session replaces what the others hold. */
int find_event_files(char path[1024], const char *folder);

/* Checks that a run's folder holds `files` event files, and that the last one holds each line of
 * metrics.jsonl once, in order. */
void assert_events_are_metrics(const char *folder, int files);

#endif
