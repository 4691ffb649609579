/* comparison_text.c: makes the text of compare.md: results, differences, sweep, runs. */
#include "compare/comparison_text.h"

#include "base/text.h"
#include "base/version.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PLUS_MINUS "\xC2\xB1"

const char *spread_text(char out[SPREAD_CAPACITY], const struct sample *sample, int digits) {
    if (sample->count > 1)
        snprintf(out, SPREAD_CAPACITY, "%.*f " PLUS_MINUS " %.*f", digits, sample->mean, digits,
                 sample->deviation);
    else
        snprintf(out, SPREAD_CAPACITY, "%.*f", digits, sample->mean);
    return out;
}

/* ---- differences ----------------------------------------------------------------------------- */

/* "3 seeds each", "3 and 2 seeds". */
static void describe_seeds(char out[SPREAD_CAPACITY], const struct norm_difference *difference) {
    int first = difference->higher->count, second = difference->lower->count;
    if (first == second)
        snprintf(out, SPREAD_CAPACITY, "%d seeds each", first);
    else
        snprintf(out, SPREAD_CAPACITY, "%d and %d seeds", first, second);
}

static void describe_noise(char *out, size_t capacity, const struct norm_difference *difference) {
    const struct welch *welch = &difference->welch;
    char seeds[SPREAD_CAPACITY];
    describe_seeds(seeds, difference);
    switch (welch->kind) {
    case WELCH_KNOWN:
        snprintf(out, capacity,
                 "with %s, this difference %s the noise (Welch's t = %.2f, %.1f degrees of "
                 "freedom, p = %.2g)",
                 seeds, welch_exceeds_noise(welch) ? "exceeds" : "does not exceed", welch->t,
                 welch->freedom, welch->p);
        return;
    case WELCH_ONE_VALUE:
        snprintf(out, capacity, "one seed cannot tell whether this difference exceeds the noise");
        return;
    case WELCH_NO_SPREAD:
        snprintf(out, capacity,
                 "all seeds of each norm gave the same result, so there is no noise to compare "
                 "this difference with");
        return;
    }
}

const char *difference_text(char *out, size_t capacity, const struct norm_difference *difference) {
    char noise[256];
    describe_noise(noise, sizeof noise, difference);
    if (fabs(difference->welch.difference) < 0.005) /* two digits are shown */
        snprintf(out, capacity, "%s and %s are level; %s", norm_title(difference->higher->norm),
                 norm_title(difference->lower->norm), noise);
    else
        snprintf(out, capacity, "%s is %.2f points above %s; %s",
                 norm_title(difference->higher->norm), difference->welch.difference,
                 norm_title(difference->lower->norm), noise);
    return out;
}

/* "test" or "validation": what the figures of the runs are measured on. */
static const char *word_of(const struct run_set *set) {
    return evaluated_word(set->runs[0].validation > 0);
}

static void print_differences(FILE *out, const struct run_set *set) {
    struct norm_difference differences[MAX_DIFFERENCES];
    char text[512];
    int count = norm_differences(differences, set);
    if (count == 0)
        return;
    fprintf(out, "## Differences\n\n");
    for (int i = 0; i < count; i++) {
        difference_text(text, sizeof text, &differences[i]);
        fprintf(out, "- %s.\n", text);
    }
    fprintf(out,
            "\nThese are differences of the mean %s accuracy after the last epoch. A difference "
            "exceeds the noise if Welch's t-test gives p < 0.05%s.\n\n",
            word_of(set), count > 1 ? "; there is no correction for the number of pairs" : "");
}

/* ---- the other parts ------------------------------------------------------------------------- */

/* The number of runs in the sweep that are not among the main runs. */
static int count_other_sizes(const struct comparison *comparison) {
    int count = 0;
    for (int i = 0; i < comparison->sweep_count; i++)
        if (comparison->sweep[i].runs[0].batch_size != comparison->main.runs[0].batch_size)
            count += comparison->sweep[i].count;
    return count;
}

static void print_head(FILE *out, const struct comparison *comparison) {
    const struct run_set *set = &comparison->main;
    const struct compared_run *any = &set->runs[0];
    char images[TEXT_CAPACITY];
    fprintf(out, "# ");
    for (int i = 0; i < set->group_count; i++)
        fprintf(out, "%s%s",
                i == 0                     ? ""
                : i + 1 < set->group_count ? ", "
                                           : " and ",
                norm_title(set->groups[i].norm));
    fprintf(out, ", recipe %s, on %s\n\n%d run%s of %d epoch%s, batches of %d images",
            recipe_option(any->recipe), any->dataset, set->count, set->count == 1 ? "" : "s",
            any->epoch_count, any->epoch_count == 1 ? "" : "s", any->batch_size);
    int others = count_other_sizes(comparison);
    if (others > 0)
        fprintf(out, "; %d more with other batch sizes", others);
    fprintf(out, ".\n\n");
    if (any->validation > 0)
        fprintf(out,
                "For validation, %s of the training images were held out: they were evaluated and "
                "not trained on. The test set was not used.\n\n",
                text_count(images, any->validation));
}

static void print_group(FILE *out, const struct run_group *group) {
    char parameters[TEXT_CAPACITY], test[SPREAD_CAPACITY], train[SPREAD_CAPACITY],
        loss[SPREAD_CAPACITY], best[SPREAD_CAPACITY], seconds[SPREAD_CAPACITY];
    fprintf(out, "| %s | %s | %d | %s | %s | %s | %.2f | %s | %s |\n", norm_title(group->norm),
            text_count(parameters, group->runs[0].parameters), group->count,
            spread_text(test, &group->test, 2), spread_text(loss, &group->test_loss, 4),
            spread_text(best, &group->best, 2), group->best.high,
            spread_text(train, &group->train, 2), spread_text(seconds, &group->seconds, 1));
}

static void print_results(FILE *out, const struct run_set *set) {
    const char *word = word_of(set);
    fprintf(out,
            "## Results\n\n"
            "| | parameters | seeds | %s accuracy | %s loss | %s accuracy, best epoch | "
            "best of all seeds | training accuracy | seconds per epoch |\n"
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
            word, word, word);
    for (int i = 0; i < set->group_count; i++)
        print_group(out, &set->groups[i]);
    fprintf(out,
            "\nMean " PLUS_MINUS
            " standard deviation over the seeds, after the last epoch unless the "
            "column says otherwise; accuracies in percent. Training accuracy is measured while the "
            "weights change. Seconds are those of training alone.\n\n");
}

static const char *title_of(const struct run_set *set) {
    return evaluated_title(set->runs[0].validation > 0);
}

static void print_sweep(FILE *out, const struct comparison *comparison, bool pictures) {
    if (comparison->sweep_count == 0)
        return;
    fprintf(out,
            "## Batch sizes\n\n%s error in percent after the last epoch. The learning rate is "
            "proportional to the batch size.\n\n| batch size |",
            title_of(&comparison->main));
    const struct run_set *first = &comparison->sweep[0];
    for (int i = 0; i < first->group_count; i++)
        fprintf(out, " %s | learning rate |", norm_title(first->groups[i].norm));
    fprintf(out, "\n|---:|");
    for (int i = 0; i < first->group_count; i++)
        fprintf(out, "---:|---:|");
    for (int i = 0; i < comparison->sweep_count; i++) {
        const struct run_set *set = &comparison->sweep[i];
        fprintf(out, "\n| %d |", set->runs[0].batch_size);
        for (int g = 0; g < set->group_count; g++) {
            struct sample errors = error_sample(&set->groups[g].test);
            char text[SPREAD_CAPACITY];
            fprintf(out, " %s | %.4g |", spread_text(text, &errors, 2),
                    set->groups[g].runs[0].learning_rate);
        }
    }
    fprintf(out, "\n\n");
    if (pictures)
        fprintf(out, "![%s error over the batch size](sweep.png)\n\n", title_of(&comparison->main));
}

/* Prints a folder as code in a table; '?' replaces a bar, which would end the cell, and a back
 * quote, which would end the code. */
static void print_folder(FILE *out, const char *folder) {
    fputc('`', out);
    for (; *folder != '\0'; folder++)
        fputc(strchr("|`", *folder) != NULL || (unsigned char)*folder < 0x20 ? '?' : *folder, out);
    fputc('`', out);
}

static void print_runs(FILE *out, const struct run_set *set) {
    for (int i = 0; i < set->count; i++) {
        const struct compared_run *run = &set->runs[i];
        const struct epoch_metrics *last = &run->epochs[run->epoch_count - 1];
        fprintf(out, "| %s | %d | %llu | %.2f | %.2f (%d) | %.2f | ", norm_title(run->norm),
                run->batch_size, (unsigned long long)run->seed, last->test.accuracy,
                run->epochs[run->best].test.accuracy, run->epochs[run->best].epoch,
                last->train.accuracy);
        print_folder(out, run->folder);
        fprintf(out, " |\n");
    }
}

/* The sweep shares the runs with the recipe's batch size, so these are listed once. */
static void print_all_runs(FILE *out, const struct comparison *comparison) {
    fprintf(out,
            "## Runs\n\n"
            "| norm | batch size | seed | %s accuracy | best (epoch) | training accuracy | "
            "folder |\n|---|---:|---:|---:|---:|---:|---|\n",
            word_of(&comparison->main));
    print_runs(out, &comparison->main);
    for (int i = 0; i < comparison->sweep_count; i++)
        if (comparison->sweep[i].runs[0].batch_size != comparison->main.runs[0].batch_size)
            print_runs(out, &comparison->sweep[i]);
    fprintf(out, "\nWritten by %s %s.\n", PROGRAM_NAME, PROGRAM_VERSION);
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum status comparison_text_make(struct error *error, char **out, size_t *bytes,
                                 const struct comparison *comparison, bool pictures) {
    *out = NULL;
    FILE *stream = open_memstream(out, bytes);
    if (stream == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the comparison");
    print_head(stream, comparison);
    print_results(stream, &comparison->main);
    print_differences(stream, &comparison->main);
    if (pictures)
        fprintf(stream, "![%s accuracy and loss over the epochs](compare.png)\n\n",
                title_of(&comparison->main));
    print_sweep(stream, comparison, pictures);
    print_all_runs(stream, comparison);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) == 0 && !failed)
        return STATUS_OK;
    free(*out);
    *out = NULL;
    return error_set(error, STATUS_FAILED, "out of memory for the comparison");
}
