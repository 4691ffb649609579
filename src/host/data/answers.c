/* answers.c: mistakes and the confusion matrix. */
#include "data/answers.h"

#include <math.h>
#include <string.h>

float answers_probability(const struct answers *answers, int image, int class_index) {
    return answers->probabilities[(size_t)image * CLASS_COUNT + (size_t)class_index];
}

/* Maps NaN to -1, so that all values can be ordered. */
static float rank(const struct answers *answers, int image, int class_index) {
    float probability = answers_probability(answers, image, class_index);
    return isnan(probability) ? -1 : probability;
}

int answers_predicted(const struct answers *answers, int image) {
    int best = 0;
    for (int i = 1; i < CLASS_COUNT; i++)
        if (rank(answers, image, i) > rank(answers, image, best))
            best = i;
    return best;
}

/* Inserts `image` in order among the `count` images in `out`, which has room for `limit`; a full
 * list drops its last. Returns the new count. */
static int insert(int *out, int count, int limit, const struct answers *answers, int image) {
    float confidence = rank(answers, image, answers_predicted(answers, image));
    int place = count;
    while (place > 0 &&
           rank(answers, out[place - 1], answers_predicted(answers, out[place - 1])) < confidence)
        place--;
    if (place == limit)
        return count;
    int kept = count < limit ? count : limit - 1;
    memmove(out + place + 1, out + place, (size_t)(kept - place) * sizeof *out);
    out[place] = image;
    return kept + 1;
}

int answers_mistakes(int *out, int limit, const struct answers *answers) {
    int mistakes = 0, kept = 0;
    for (int i = 0; i < answers->count; i++) {
        if (answers_predicted(answers, i) == answers->labels[i])
            continue;
        mistakes++;
        kept = insert(out, kept, limit, answers, i);
    }
    return mistakes;
}

void answers_confusion(int out[CLASS_COUNT][CLASS_COUNT], const struct answers *answers) {
    memset(out, 0, sizeof(int[CLASS_COUNT][CLASS_COUNT]));
    for (int i = 0; i < answers->count; i++)
        out[answers->labels[i]][answers_predicted(answers, i)]++;
}
