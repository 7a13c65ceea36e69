/*
 * Operations on the reference engine.
 */
#ifndef HARNESS_REFERENCE_H
#define HARNESS_REFERENCE_H

#include "addcow_ref.h"
#include "workload/operation.h"

/*
 * Performs a request on a disk in memory with the function of addcow_ref.h of the same name. A flush does nothing. A
 * stream sets "all allocated" if `has_flag`, which is true for layout r20 and false for r9.
 */
enum addcow_status reference_perform(struct addcow_ref *disk, bool has_flag, struct operation_request *request);

#endif
