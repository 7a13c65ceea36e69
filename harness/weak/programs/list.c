/*
 * All programs, by the time that they take.
 */
#include "programs.h"

const struct weak_program *const weak_programs[] = {
    &weak_quiesce_requests, &weak_quiesce_operations,
    &weak_quiesce_again,    &weak_buffers,
    &weak_allocate_same,    &weak_allocate_different,
    &weak_allocate_ranges,  &weak_load_block,
    &weak_reserve,          &weak_set_flag,
    &weak_flush_write,      &weak_write_flush,
    &weak_features,         &weak_write_read,
    &weak_read_twice,       &weak_resize,
    &weak_shrink,           &weak_write_read_unloaded,
    &weak_three_requests,   NULL,
};

const struct weak_large_program weak_large_programs[] = {
    {&weak_buffers_three, UINT32_MAX}, {&weak_load_block_three, UINT32_MAX}, {&weak_quiesce_four, 1},
    {&weak_write_flush_three, 2},      {&weak_three_with_resize, 2},         {NULL, 0},
};
