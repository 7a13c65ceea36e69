/*
 * Which clauses a step observes: if it fails, these are broken, and no others.
 *
 * A case may say it (the member "observes" of a step). Otherwise it follows from the step and from the clauses of the
 * case:
 *
 *   - a refusal observes the clause that it must name, or else the clauses of the case;
 *   - what is found in files, by the gate or by the reference engine, observes the clauses of the case;
 *   - in a case for readers every step does, as opening and reading are all there is to see;
 *   - so do requests that run at once, as each of them sees what the others do;
 *   - so does opening a disk again, as the files are then what the case has made of them;
 *   - any other request observes the clauses of the case that are about this kind of request, see `families`.
 *
 * A step that observes none of its case's clauses is a precondition. It breaks the clause of its kind, see `families`,
 * and the clauses of the case are then not judged by this case.
 */
#include "corpus/corpus_parse.h"

#include "base/report.h"

#include <string.h>

/* What a failing request of a kind says about an implementation. */
struct family {
    const char *home;  /* the clause that it breaks at least */
    const char *about; /* the families of clauses that it observes in any case */
};

#define REQUEST " REQ ERR CON LCK SEC "

static const struct family families[PROTOCOL_REQUESTS] = {
    [OPERATION_READ] = {"RD-01", REQUEST "RD VRT MAP "}, [OPERATION_WRITE] = {"WR-01", REQUEST "WR "},
    [OPERATION_ZERO] = {"ZR-01", REQUEST "ZR "},         [OPERATION_DISCARD] = {"DC-01", REQUEST "DC "},
    [OPERATION_MAP] = {"MAP-01", REQUEST "MAP "},        [OPERATION_FLUSH] = {"ERR-01", REQUEST "DUR "},
    [OPERATION_RESIZE] = {"RSZ-01", REQUEST "RSZ "},     [OPERATION_STREAM] = {"STR-01", REQUEST "STR "},
    [OPERATION_COMMIT] = {"CMT-01", REQUEST "CMT "},     [PROTOCOL_OPEN] = {"LNK-11", REQUEST "HDR HR9 BMP LNK VRT "},
    [PROTOCOL_CLOSE] = {"ERR-01", REQUEST "DUR "},       [PROTOCOL_SIZE] = {"VRT-01", REQUEST "VRT RSZ "},
    [PROTOCOL_CREATE] = {"CRE-02", REQUEST "CRE "},
};

static bool is_about(uint32_t op, const char *clause)
{
    char word[CLAUSES_ID_SIZE + 2];
    snprintf(word, sizeof word, " %.*s ", (int)strcspn(clause, "-"), clause);
    return strstr(families[op].about, word) != NULL;
}

/* Whether a step observes all clauses of its case. `first_open` is the index of the step that opens the first disk. */
static bool observes_all(const struct corpus_case *c, size_t index, size_t first_open)
{
    const struct corpus_step *step = &c->steps[index];
    bool in_flight = step->beside || (index + 1 < c->step_count && c->steps[index + 1].beside);
    return step->op >= PROTOCOL_REQUESTS || step->on_reference || in_flight || !strcmp(c->level, "reader") ||
           !(step->outcomes & 1u << ADDCOW_OK) || (step->op == PROTOCOL_OPEN && index > first_open);
}

static void add(struct corpus_step *step, const char *clause)
{
    step->observes[step->observe_count++] = clause;
}

/* Fills `observes` of one step that does not say it. */
static void derive(const struct corpus_case *c, size_t index, size_t first_open)
{
    struct corpus_step *step = &c->steps[index];
    bool all = observes_all(c, index, first_open);
    step->observes = report_allocate(c->clause_count + 1, sizeof *step->observes);
    if (step->clause) {
        add(step, step->clause);
        return;
    }
    for (size_t i = 0; i < c->clause_count; i++) {
        if (all || is_about(step->op, c->clauses[i])) {
            add(step, c->clauses[i]);
        }
    }
    if (step->observe_count == 0) {
        add(step, families[step->op].home);
    }
}

/* Which steps the reference engine does: those on a disk that it has opened. */
static void mark_references(struct corpus_case *c)
{
    bool by_reference[CORPUS_DISKS_MAX] = {false};
    for (size_t i = 0; i < c->step_count; i++) {
        struct corpus_step *step = &c->steps[i];
        if (step->op == PROTOCOL_OPEN) {
            by_reference[step->disk] = step->by_reference;
        }
        step->on_reference = step->op < PROTOCOL_REQUESTS && by_reference[step->disk];
    }
}

bool derive_observed(struct where *where, struct corpus_case *c)
{
    size_t first_open = 0;
    mark_references(c);
    while (first_open < c->step_count && c->steps[first_open].op != PROTOCOL_OPEN) {
        first_open++;
    }
    for (size_t i = 0; i < c->step_count; i++) {
        if (!c->steps[i].observes) {
            derive(c, i, first_open);
        }
    }
    for (size_t i = 0; i < c->clause_count; i++) {
        bool found = false;
        for (size_t j = 0; j < c->step_count && !found; j++) {
            found = corpus_observes(&c->steps[j], c->clauses[i]);
        }
        if (!found) {
            return refuse(where, "clauses[%zu]: no step observes %s", i, c->clauses[i]);
        }
    }
    return true;
}

bool corpus_observes(const struct corpus_step *step, const char *clause)
{
    for (size_t i = 0; i < step->observe_count; i++) {
        if (!strcmp(step->observes[i], clause)) {
            return true;
        }
    }
    return false;
}
