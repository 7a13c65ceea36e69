/*
 * Reports a run as one web page.
 */
#ifndef HARNESS_CORPUS_HTML_H
#define HARNESS_CORPUS_HTML_H

#include "corpus/corpus_report.h"

/* Writes the page to a file. On failure returns false and sets errno. */
bool corpus_write_html(const char *path, const struct corpus_results *results);

#endif
