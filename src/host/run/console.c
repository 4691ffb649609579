/* console.c: what a training run prints on standard output. */
#include "run/console.h"

#include "base/output.h"
#include "base/text.h"
#include "base/version.h"

#include <inttypes.h>
#include <stdio.h>

/* "lr 0.1, x0.1 after epochs 8 and 16" or "lr up to 0.2 over the first 10 % of the steps, then down
 * to 0". */
static void describe_schedule(char *out, size_t capacity, const struct recipe *recipe) {
    const int *after = recipe->milestones;
    double rate = text_decimal(recipe->learning_rate);
    switch (recipe->schedule) {
    case SCHEDULE_STEPS:
        if (after[0] == 0)
            snprintf(out, capacity, "lr %g", rate);
        else
            snprintf(out, capacity, "lr %g, x0.1 after epochs %d and %d", rate, after[0], after[1]);
        return;
    case SCHEDULE_LINEAR:
        snprintf(out, capacity, "lr up to %g in the first %g %% of the steps, then down to 0", rate,
                 100.0 * text_decimal(recipe->warmup));
        return;
    }
}

/* A line about Muon, with the line break before it; "" without Muon. */
static void describe_muon(char *out, size_t capacity, const struct recipe *recipe) {
    out[0] = '\0';
    if (recipe->optimizer == OPTIMIZER_MUON)
        snprintf(out, capacity, "\n         Muon for the 3x3 filters, momentum %g, lr up to %g",
                 text_decimal(recipe->muon_momentum), text_decimal(recipe->muon_rate));
}

/* Prints how the network is trained, in two or three lines. */
static void print_recipe(const struct run_description *run) {
    const struct recipe *recipe = &run->options->recipe;
    char schedule[128], muon[128], steps[TEXT_CAPACITY];
    describe_schedule(schedule, sizeof schedule, recipe);
    describe_muon(muon, sizeof muon, recipe);
    output_progress("recipe:  %s, %d epoch%s of %s steps, batch %d, seed %" PRIu64
                    ", augment %s, dropout %g%s\n"
                    "         SGD, momentum %g%s, weight decay %g, %s%s\n",
                    recipe_option(recipe->kind), recipe->epochs, recipe->epochs == 1 ? "" : "s",
                    text_count(steps, run->steps_per_epoch), recipe->batch_size, run->options->seed,
                    augment_option(recipe->augment), text_decimal(recipe->dropout),
                    run->options->no_shuffle ? ", not shuffled" : "",
                    text_decimal(recipe->momentum), recipe->nesterov ? " (Nesterov)" : "",
                    text_decimal(recipe->weight_decay), schedule, muon);
}

/* Prints what happens to a run that is in the folder already. */
static void print_folder(const struct run_description *run, const struct run_state *resumed,
                         bool unfinished) {
    char steps[TEXT_CAPACITY];
    if (resumed != NULL && run_ended(resumed, run->options))
        output_progress("resumed: all of its steps are done\n");
    else if (resumed != NULL)
        output_progress("resumed: after step %s, in epoch %d\n", text_count(steps, resumed->step),
                        resumed->epoch);
    else if (unfinished)
        output_progress("note:    overwriting the unfinished run in %s\n", run->options->out);
}

void console_header(const struct run_description *run, const struct run_state *resumed,
                    bool unfinished) {
    if (run->options->quiet)
        return;
    char parameters[TEXT_CAPACITY], train[TEXT_CAPACITY], test[TEXT_CAPACITY];
    output_progress("%s %s\n"
                    "network: %s, %s parameters\n"
                    "data:    %s, %s images to train on, %s to %s with\n"
                    "device:  %s\n",
                    PROGRAM_NAME, PROGRAM_VERSION, norm_title(run->network->norm),
                    text_count(parameters, network_parameters(run->network)), run->dataset->name,
                    text_count(train, run->dataset->train.count),
                    text_count(test, run->dataset->test.count),
                    run->dataset->validation > 0 ? "validate" : "test", run->device->text);
    print_recipe(run);
    if (run->options->weights[0] != '\0')
        output_progress("weights: %s\n", run->options->weights);
    print_folder(run, resumed, unfinished);
}

/* The number of digits, to align the lines of the epochs. */
static int digits(int number) {
    return snprintf(NULL, 0, "%d", number);
}

/* "0.1000"; "2.0e-05" for rates too small for four decimals. */
static const char *rate_text(char out[TEXT_CAPACITY], double rate) {
    snprintf(out, TEXT_CAPACITY, rate < 0.0005 ? "%.1e" : "%.4f", rate);
    return out;
}

void console_epoch(const struct run_description *run, const struct epoch_metrics *metrics) {
    if (run->options->quiet)
        return;
    int epochs = run->options->recipe.epochs;
    char rate[TEXT_CAPACITY];
    output_progress("epoch %*d/%d  loss %.4f  train %5.2f %%  %s %5.2f %%  lr %s  %5.1f s  "
                    "%5.0f images/s\n",
                    digits(epochs), metrics->epoch, epochs, metrics->train.loss,
                    metrics->train.accuracy, evaluated_word(metrics->validation),
                    metrics->test.accuracy, rate_text(rate, (double)metrics->learning_rate),
                    metrics->seconds, metrics->images_per_second);
}

void console_closing(const struct run_description *run, const struct run_state *state) {
    if (run->options->quiet)
        return;
    char steps[TEXT_CAPACITY], time[TEXT_CAPACITY];
    output_progress("done:    %s step%s in %s\n"
                    "%s accuracy on %s: best %.2f %% (epoch %d), final %.2f %%\n"
                    "results: %s: %smodel.safetensors, best.safetensors, metrics.jsonl, "
                    "config.json\n",
                    text_count(steps, state->step), state->step == 1 ? "" : "s",
                    text_duration(time, state->elapsed),
                    evaluated_word(run->dataset->validation > 0), run->dataset->name,
                    state->best_accuracy, state->best_epoch, state->last_accuracy,
                    run->options->out, run->options->no_report ? "" : "report.md, ");
}
