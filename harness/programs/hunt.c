/*
 * hunt: random workloads, judged against the reference engine.
 */
#include "programs/hunt_explore.h"

int main(int count, char **words)
{
    return hunt_main(count, words);
}
