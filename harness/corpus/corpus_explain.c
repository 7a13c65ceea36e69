/*
 * Describes cases in text without running them.
 *
 * The text is made from the same structures that the runner uses, so it says what the runner does.
 */
#include "corpus/corpus_explain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_SHOWN 64u /* of a span that lists its bytes */

/* ---- Content ---- */

static uint64_t number_at(const uint8_t *bytes, unsigned width)
{
    uint64_t number = 0;
    for (unsigned i = width; i-- > 0;) {
        number = number << 8 | bytes[i];
    }
    return number;
}

static void print_bytes(FILE *out, const struct corpus_span *span)
{
    size_t shown = span->length < BYTES_SHOWN ? (size_t)span->length : BYTES_SHOWN;
    if (span->width == 0) {
        fprintf(out, "the text \"%.*s\"", (int)shown, (const char *)span->bytes);
    } else if (span->width == 1) {
        fputs(span->length == 1 ? "the byte" : "the bytes", out);
        for (size_t i = 0; i < shown; i++) {
            fprintf(out, " %02x", span->bytes[i]);
        }
    } else {
        fprintf(out, "the %u-bit %s", 8 * span->width, span->length == span->width ? "number" : "numbers");
        for (size_t i = 0; i < shown; i += span->width) {
            fprintf(out, " %" PRIu64, number_at(span->bytes + i, span->width));
        }
    }
    if (shown < span->length) {
        fprintf(out, "... (%" PRIu64 " bytes)", span->length);
    }
}

static void print_choices(FILE *out, const struct corpus_span *span)
{
    fputs("in each sector one of", out);
    for (size_t i = 0; i < span->choice_count; i++) {
        fputs(i ? ", " : " ", out);
        if (span->choices[i].zero) {
            fputs("zeros", out);
        } else {
            fprintf(out, "pattern %" PRIu64, span->choices[i].seed);
        }
    }
}

/* One line for each span: its position and its content. */
static void print_spans(FILE *out, const struct corpus_spans *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        const struct corpus_span *span = &spans->items[i];
        fprintf(out, "         at %" PRIu64 ": ", span->at);
        switch (span->fill) {
        case CORPUS_ZERO:
            fprintf(out, "%" PRIu64 " zeros", span->length);
            break;
        case CORPUS_PATTERN:
            fprintf(out, "%" PRIu64 " bytes of pattern %" PRIu64, span->length, span->seed);
            break;
        case CORPUS_ANY:
            fprintf(out, "%" PRIu64 " bytes, ", span->length);
            print_choices(out, span);
            break;
        case CORPUS_BYTES:
            print_bytes(out, span);
            break;
        }
        fputc('\n', out);
    }
}

static void print_file(FILE *out, const struct corpus_file *file)
{
    fprintf(out, "    %s: ", file->path);
    switch (file->kind) {
    case CORPUS_REGULAR:
        fprintf(out, "%s%" PRIu64 " bytes%s\n",
                !file->has_mode ? ""
                : file->mode    ? "read-only, "
                                : "unreadable, ",
                file->length, file->content.count ? ", zeros (a hole) except" : ", all zeros (a hole)");
        break;
    case CORPUS_DIRECTORY:
        fputs("a directory\n", out);
        break;
    case CORPUS_FIFO:
        fputs("a FIFO\n", out);
        break;
    case CORPUS_SYMLINK:
        fprintf(out, "a symbolic link to %s\n", file->target);
        break;
    case CORPUS_HARDLINK:
        fprintf(out, "another name of %s\n", file->target);
        break;
    }
    print_spans(out, &file->content);
}

/* ---- Steps ---- */

static void print_create(FILE *out, const struct corpus_step *step)
{
    const struct addcow_create_options *create = &step->create;
    fprintf(out, "create the disk %s of layout %s with clusters of 2^%" PRIu32 " bytes, image file %s", step->path,
            create->layout == ADDCOW_R9 ? "r9" : "r20", create->cluster_bits, create->image_name);
    if (create->backing_name) {
        fprintf(out, ", backing file %s of format \"%s\"", create->backing_name, create->backing_format);
    } else {
        fputs(", no backing file", out);
    }
}

static void print_expected_file(FILE *out, const struct corpus_step *step)
{
    fprintf(out, "the file %s ", step->path);
    if (step->absent) {
        fputs("must not exist", out);
    } else if (step->has_length) {
        fprintf(out, "must have %" PRIu64 " bytes%s", step->length, step->data.count ? ", and" : "");
    } else {
        fputs("must have", out);
    }
}

static void print_request(FILE *out, const struct corpus_step *step)
{
    fputs(corpus_op_name(step->op), out);
    if (operation_has_range(step->op)) {
        fprintf(out, " %" PRIu64 " bytes at offset %" PRIu64, step->length, step->offset);
    } else if (operation_properties(step->op)->operands == OPERANDS_SIZE) {
        fprintf(out, " to %" PRIu64 " bytes", step->size);
    }
}

static void print_action(FILE *out, const struct corpus_step *step)
{
    switch (step->op) {
    case PROTOCOL_OPEN:
        fprintf(out, "%sopen %s for %s", step->by_reference ? "let the reference engine " : "", step->path,
                step->writable ? "reading and writing" : "reading");
        break;
    case PROTOCOL_SIZE:
        fprintf(out, "the virtual size must be %" PRIu64, step->size);
        break;
    case PROTOCOL_CREATE:
        print_create(out, step);
        break;
    case CORPUS_FILE:
        print_expected_file(out, step);
        break;
    case CORPUS_REMOVE:
        fprintf(out, "the file %s is removed", step->path);
        break;
    case CORPUS_CUT:
        fprintf(out, "the file %s is truncated to %" PRIu64 " bytes", step->path, step->size);
        break;
    case CORPUS_KILL:
        fputs("the implementation's process is killed", out);
        break;
    default:
        print_request(out, step);
        break;
    }
}

/* The expected result of a request. */
static void print_outcome(FILE *out, const struct corpus_step *step)
{
    if (step->op == PROTOCOL_SIZE || step->op >= CORPUS_FILE) {
        return;
    }
    if (step->outcomes == 1u << ADDCOW_OK) {
        fputs(": must succeed", out);
    } else {
        fputs(": must end with ", out);
        corpus_print_outcomes(out, step->outcomes);
        if (step->clause) {
            fprintf(out, ", for %s", step->clause);
        }
        return;
    }
    if (operation_properties(step->op)->answers_map) {
        const char *status = step->either ? "either status" : step->allocated ? "allocated" : "unallocated";
        fprintf(out, " and report %s for %" PRIu64 " bytes", status, step->run);
    } else if (operation_properties(step->op)->data == DATA_FROM_DISK) {
        fputs(" and give", out);
    }
}

static void print_step(FILE *out, const struct corpus_case *c, size_t index)
{
    const struct corpus_step *step = &c->steps[index];
    fprintf(out, "%5zu. ", index + 1);
    if (step->beside) {
        fprintf(out,
                "concurrently%s: ", step->repeated ? ", again and again until the first of these is answered" : "");
    }
    if (c->disk_count > 1 && step->op < PROTOCOL_CREATE) {
        fprintf(out, "disk \"%s\": ", c->disks[step->disk]);
    }
    print_action(out, step);
    print_outcome(out, step);
    if (operation_properties(step->op)->data == DATA_TO_DISK && step->data.count) {
        fputs("; the data", out);
    }
    fputc('\n', out);
    print_spans(out, &step->data);
}

/* ---- Cases ---- */

static void print_head(FILE *out, const struct corpus_results *results, const struct corpus *corpus,
                       const struct corpus_case *c)
{
    fprintf(out, "%s: %s\n", c->id, c->title);
    if (c->notes[0]) {
        fprintf(out, "    %s\n", c->notes);
    }
    fputs("\nClauses that it witnesses:\n", out);
    for (size_t i = 0; i < c->clause_count; i++) {
        char *sentence = corpus_clause_sentence(results->spec, c->clauses[i]);
        fprintf(out, "    %s: %s\n", c->clauses[i], sentence ? sentence : "");
        free(sentence);
    }
    fprintf(out, "\nFor an implementation of level: %s\n", c->level);
    for (unsigned need = 1; corpus_need_name(need); need <<= 1) {
        if (c->needs & need) {
            fprintf(out, "It needs: %s\n", corpus_need_name(need));
        }
    }
    for (size_t i = 0; i < c->flag_count; i++) {
        fprintf(out, "%s: %s\n", c->flags[i],
                json_string_value(json_object_get(json_object_get(corpus->document, "flags"), c->flags[i])));
    }
}

void corpus_explain_files(FILE *out, const struct corpus_case *c)
{
    for (size_t i = 0; i < c->file_count; i++) {
        print_file(out, &c->files[i]);
    }
}

void corpus_explain_steps(FILE *out, const struct corpus_case *c)
{
    for (size_t i = 0; i < c->step_count; i++) {
        print_step(out, c, i);
    }
}

void corpus_explain(FILE *out, const struct corpus_results *results, const struct corpus *corpus)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct corpus_case *c = results->items[i].c;
        print_head(out, results, corpus, c);
        if (c->file_count) {
            fputs("\nFiles, made in this order:\n", out);
        }
        corpus_explain_files(out, c);
        fputs("\nSteps:\n", out);
        corpus_explain_steps(out, c);
        fprintf(out, "\nRun it: %s --case %s\n", results->repeat, c->id);
    }
}

void corpus_list(FILE *out, const struct corpus_results *results)
{
    int width = 0;
    for (size_t i = 0; i < results->count; i++) {
        int length = (int)strlen(results->items[i].c->id);
        width = length > width ? length : width;
    }
    for (size_t i = 0; i < results->count; i++) {
        const struct corpus_case *c = results->items[i].c;
        char clauses[64] = "";
        for (size_t j = 0; j < c->clause_count && strlen(clauses) + CLAUSES_ID_SIZE < sizeof clauses; j++) {
            strcat(clauses, j ? "," : "");
            strcat(clauses, c->clauses[j]);
        }
        fprintf(out, "%-*s  %-17s  %-13s  %s\n", width, c->id, c->level, clauses, c->title);
    }
}
