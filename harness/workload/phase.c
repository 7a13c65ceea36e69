/*
 * Conditions under which a phase with several threads can be judged.
 */
#include "workload/phase.h"

const char *phase_problem(const struct trace *trace, uint32_t begin, uint32_t end)
{
    uint32_t exclusive = 0;
    if (!trace_phase_is_concurrent(trace, begin, end)) {
        return NULL;
    }
    for (uint32_t i = begin; i < end; i++) {
        uint32_t kind = trace->operations[i].kind;
        if (kind == TRACE_REOPEN) {
            return "a phase of several threads has a reopen";
        }
        exclusive += operation_properties(kind)->is_exclusive;
    }
    return exclusive > PHASE_EXCLUSIVES_MAX ? "a phase of several threads has more than three resizes or commits"
           : exclusive > 1 && end - begin > PHASE_OPERATIONS_MAX
               ? "a phase of several threads with several resizes or commits has too many operations"
               : NULL;
}

void phases_make_judgeable(struct trace *trace)
{
    uint32_t begin = 0;
    while (begin < trace->count) {
        uint32_t end = trace_phase_end(trace, begin);
        if (phase_problem(trace, begin, end) != NULL) {
            for (uint32_t i = begin; i < end; i++) {
                trace->operations[i].thread = trace->operations[begin].thread;
            }
        }
        begin = end + 1;
    }
}

const char *phases_problem(const struct trace *trace)
{
    uint32_t concurrent = 0;
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        uint32_t end = trace_phase_end(trace, begin);
        concurrent += trace_phase_is_concurrent(trace, begin, end);
        if (phase_problem(trace, begin, end) != NULL) {
            return phase_problem(trace, begin, end);
        }
    }
    return concurrent > 1 ? "more than one phase has several threads" : NULL;
}
