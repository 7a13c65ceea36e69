/*
 * Compares contestants on a noisy machine: many short slices of the contestants in turn, a ratio for each round, and
 * the median of the ratios. Disturbances only slow a slice down, so the quicker of its two slices in a round counts.
 */
#include "bench.h"

#include "base/random.h"

#include <math.h>
#include <stdlib.h>

uint64_t random_of(uint64_t seed, uint64_t index)
{
    return random_hash(random_hash(seed) + index);
}

static double run_slice(const struct contestant *contestant, uint64_t seed)
{
    if (contestant->prepare) {
        contestant->prepare(contestant->context);
    }
    double time = team_run(contestant->team, contestant->run, contestant->context, seed);
    if (contestant->finish) {
        contestant->finish(contestant->context);
    }
    return time;
}

static void run_round(struct race *race, const struct contestant *contestants, unsigned count, unsigned round)
{
    uint64_t seed = (uint64_t)round * count;
    for (unsigned i = 0; i < count; i++) {
        race->times[i][round] = INFINITY;
    }
    for (unsigned turn = 0; turn < 2 * count; turn++) {
        unsigned position = turn < count ? turn : 2 * count - 1 - turn;
        unsigned i = round % 2 == 0 ? position : count - 1 - position;
        double time = run_slice(&contestants[i], seed + turn % count);
        if (time < race->times[i][round]) {
            race->times[i][round] = time;
        }
    }
}

struct race race_run(const struct contestant *contestants, unsigned count, unsigned rounds)
{
    struct race race = {.rounds = rounds};
    for (unsigned i = 0; i < count; i++) {
        race.times[i] = calloc(rounds, sizeof *race.times[i]);
        if (!race.times[i]) {
            fail("out of memory");
        }
        run_slice(&contestants[i], i); /* warms up */
    }
    for (unsigned round = 0; round < rounds; round++) {
        run_round(&race, contestants, count, round);
    }
    return race;
}

void race_free(struct race *race)
{
    for (unsigned i = 0; i < CONTESTANTS_MAX; i++) {
        free(race->times[i]);
    }
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

struct spread spread_of(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (struct spread){
        .median = (values[(count - 1) / 2] + values[count / 2]) / 2,
        .low = values[count / 4],
        .high = values[count - 1 - count / 4],
    };
}

struct spread race_ratio(const struct race *race, unsigned numerator, unsigned denominator)
{
    double *ratios = calloc(race->rounds, sizeof *ratios);
    if (!ratios) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < race->rounds; i++) {
        ratios[i] = race->times[numerator][i] / race->times[denominator][i];
    }
    struct spread spread = spread_of(ratios, race->rounds);
    free(ratios);
    return spread;
}

double race_median(const struct race *race, unsigned contestant)
{
    double *times = calloc(race->rounds, sizeof *times);
    if (!times) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < race->rounds; i++) {
        times[i] = race->times[contestant][i];
    }
    double median = spread_of(times, race->rounds).median;
    free(times);
    return median;
}
