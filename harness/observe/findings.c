/*
 * Findings by clause.
 *
 * A clause is broken if one scenario breaks it, else kept if one has judged it, else not judged.
 */
#include "observe/findings.h"

#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct finding *find(struct findings *findings, const char *clause, size_t length)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding *finding = &findings->list[i];
        if (strlen(finding->clause) == length && memcmp(finding->clause, clause, length) == 0) {
            return finding;
        }
    }
    if (findings->count == FINDINGS_MAX || length >= FINDING_CLAUSE_BYTES) {
        report_fatal("findings: too many clauses, or a long one: %.*s", (int)length, clause);
    }
    struct finding *finding = &findings->list[findings->count++];
    *finding = (struct finding){.kept = 0};
    memcpy(finding->clause, clause, length);
    return finding;
}

static void keep_first(char **text, const char *value)
{
    if (*text == NULL && value != NULL && (*text = strdup(value)) == NULL) {
        report_fatal("no memory");
    }
}

/* Calls for each word of `clauses`; only one of kept and broken is 1. */
static void note(struct findings *findings, const char *clauses, uint64_t kept, uint64_t broken, const char *story,
                 const char *reason)
{
    while (*clauses != '\0') {
        size_t length = strcspn(clauses, " ");
        if (length > 0) {
            struct finding *finding = find(findings, clauses, length);
            finding->kept += kept;
            finding->broken += broken;
            keep_first(&finding->story, story);
            keep_first(&finding->not_judged, reason);
        }
        clauses += length + (clauses[length] == ' ');
    }
}

void findings_keep(struct findings *findings, const char *clauses)
{
    note(findings, clauses, 1, 0, NULL, NULL);
}

void findings_break(struct findings *findings, const char *clauses, const char *story)
{
    note(findings, clauses, 0, 1, story, NULL);
}

void findings_pass_over(struct findings *findings, const char *clauses, const char *reason)
{
    note(findings, clauses, 0, 0, NULL, reason);
}

void findings_locate(struct findings *findings, const char *where)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding *finding = &findings->list[i];
        if (finding->broken > 0 && finding->where[0] == '\0') {
            snprintf(finding->where, sizeof finding->where, "%s", where);
        }
    }
}

void findings_merge(struct findings *to, const struct findings *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct finding *finding = &from->list[i];
        note(to, finding->clause, finding->kept, finding->broken, finding->story, finding->not_judged);
        findings_locate(to, finding->where);
    }
    to->crashed = to->crashed || from->crashed;
}

void findings_free(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->list[i].story);
        free(findings->list[i].not_judged);
    }
    findings->count = 0;
}

/* ---- Between processes ---- */

static void write_text(FILE *out, const char *text)
{
    size_t length = text != NULL ? strlen(text) + 1 : 0;
    fwrite(&length, sizeof length, 1, out);
    fwrite(text != NULL ? text : "", 1, length, out);
}

static bool read_text(FILE *in, char **text)
{
    size_t length = 0;
    *text = NULL;
    if (fread(&length, sizeof length, 1, in) != 1) {
        return false;
    }
    if (length > 0) {
        *text = report_allocate(length, 1);
    }
    return fread(*text, 1, length, in) == length;
}

void findings_write(FILE *out, const struct findings *findings)
{
    fwrite(&findings->count, sizeof findings->count, 1, out);
    fwrite(&findings->crashed, sizeof findings->crashed, 1, out);
    for (size_t i = 0; i < findings->count; i++) {
        fwrite(&findings->list[i], sizeof findings->list[i], 1, out);
        write_text(out, findings->list[i].story);
        write_text(out, findings->list[i].not_judged);
    }
}

bool findings_read(FILE *in, struct findings *findings)
{
    size_t count = 0;
    findings->count = 0;
    if (fread(&count, sizeof count, 1, in) != 1 || count > FINDINGS_MAX ||
        fread(&findings->crashed, sizeof findings->crashed, 1, in) != 1) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct finding *finding = &findings->list[i];
        if (fread(finding, sizeof *finding, 1, in) != 1 || !read_text(in, &finding->story) ||
            !read_text(in, &finding->not_judged)) {
            return false;
        }
        findings->count++;
    }
    return true;
}

/* ---- For people ---- */

static void print_lines(FILE *out, const char *prefix, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        fprintf(out, "%s    %.*s\n", prefix, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

void findings_print(FILE *out, const char *prefix, const char *repeat, bool unjudged, const struct findings *findings)
{
    size_t kept = 0, broken = 0, not_judged = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        if (finding->broken > 0) {
            fprintf(out, "%s%s: broken in %" PRIu64 " observed scenario%s\n", prefix, finding->clause, finding->broken,
                    finding->broken == 1 ? "" : "s");
            print_lines(out, prefix, finding->story);
            if (finding->where[0] != '\0') {
                fprintf(out, "%s    Repeat: %s --scenario %s\n", prefix, repeat, finding->where);
            }
            broken++;
        } else if (finding->kept > 0) {
            kept++;
        } else {
            not_judged++;
        }
        if (unjudged && finding->broken == 0 && finding->kept == 0) {
            fprintf(out, "%s%s: not judged: %s\n", prefix, finding->clause, finding->not_judged);
        }
    }
    fprintf(out, "%sobserved: %zu clauses kept, %zu broken, %zu not judged\n", prefix, kept, broken, not_judged);
}
