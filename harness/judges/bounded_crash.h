/*
 * The bounded crash check: every crash of every short sequence of operations from a small alphabet.
 */
#ifndef HARNESS_BOUNDED_CRASH_H
#define HARNESS_BOUNDED_CRASH_H

#include "judges/crash_sequence.h"

/* crash_sequence for every sequence of 1..length operations from a fixed alphabet. Prints the failing trace too. */
bool bounded_crash_check(const struct trace_disk *disk, uint32_t length, const struct crash_options *options,
                         struct crash_counts *counts, FILE *out);

/*
 * Makes sequence number `number`, counted from 0, of `length` operations from that alphabet; false if there are fewer.
 * After a shrink some requests are out of range, and are refused.
 */
bool bounded_crash_check_trace(const struct trace_disk *disk, uint32_t length, uint32_t number, struct trace *trace);

/* Prints the alphabet for a disk, one operation a line, behind "# ". */
void crash_print_alphabet(const struct trace_disk *disk, FILE *out);

#endif
