/*
 * Makes the seeds of all targets: `make_seeds CORPUS DIRECTORY`. DIRECTORY must exist, and gets a directory for each
 * target.
 */
#include "generators/seeds.h"
#include "base/report.h"

#include <stdio.h>

int main(int count, char **arguments)
{
    struct corpus *corpus;
    char error[1024];
    if (count != 3) {
        fprintf(stderr, "usage: %s CORPUS DIRECTORY\n", arguments[0]);
        return REPORT_USAGE;
    }
    if (!corpus_load(arguments[1], &corpus, error, sizeof error)) {
        fprintf(stderr, "make_seeds: %s\n", error);
        return REPORT_USAGE;
    }
    seed_set_directory(arguments[2]);
    generate_case_seeds(corpus);
    generate_case_text_seeds(arguments[1]);
    generate_regression_seeds(arguments[1]);
    generate_workload_seeds();
    generate_header_seeds();
    generate_image_seeds();
    generate_creation_seeds();
    corpus_free(corpus);
    return 0;
}
