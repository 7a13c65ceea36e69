/*
 * Operations on the reference engine.
 */
#ifndef HARNESS_REFERENCE_H
#define HARNESS_REFERENCE_H

#include "addcow_ref.h"
#include "workload/operation.h"

/*
 * Does a request on a disk in memory, as the function of addcow_ref.h that has the operation's name; a flush does
 * nothing. A stream sets "all allocated" if `has_flag`: layout r20 has it, r9 has not.
 */
enum addcow_status reference_perform(struct addcow_ref *disk, bool has_flag, struct operation_request *request);

#endif
