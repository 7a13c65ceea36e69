/*
 * Seeds: the inputs from which fuzzing starts, and which every test replays.
 *
 * They are generated when the targets are built, so none stands in the repository that a program can make. A generator
 * gives each seed to seed_store; the same sources and corpus always make the same seeds.
 */
#ifndef FUZZ_SEEDS_H
#define FUZZ_SEEDS_H

#include "corpus/corpus.h"
#include "lib/fuzz.h"

#define SEED_BYTES_MAX 8192u

/* Where seeds are stored: a directory below this one for each target. It must exist; the text is not copied. */
void seed_set_directory(const char *directory);

/* Stores an input of a target under a name, unless an equal one of the target is stored. Errors end the process. */
void seed_store_bytes(const char *target, const char *name, const uint8_t *bytes, size_t count);
void seed_store(const char *target, const char *name, const struct fuzz_input *input);

/* The trace section of an input. Its bytes are overwritten by the next call. */
struct fuzz_part seed_trace(const struct trace *trace);

/* The generators, by what they start from; `directory` is the corpus. */
void generate_case_seeds(const struct corpus *corpus); /* fuzz_header, fuzz_image */
void generate_case_text_seeds(const char *directory);  /* fuzz_json */
void generate_regression_seeds(const char *directory); /* fuzz_schedule, fuzz_crash, fuzz_fault */
void generate_workload_seeds(void);                    /* those, and fuzz_trace */
void generate_header_seeds(void);                      /* fuzz_header, fuzz_encode */
void generate_image_seeds(void);                       /* fuzz_image */
void generate_creation_seeds(void);                    /* fuzz_create */

#endif
