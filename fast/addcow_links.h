/*
 * The files below a disk that is not opened itself. Create checks them before there is a disk; check does it even if
 * the disk cannot be opened.
 */
#ifndef ADDCOW_LINKS_H
#define ADDCOW_LINKS_H

#include "addcow_internal.h"

/*
 * Adds the backing file that `metadata` names, and all files of the levels below it, to the identities, which hold
 * those of the upper files [LNK-04..10]. Opens what addcow_open would open and refuses what it would refuse.
 * metadata->backing_path is not null.
 */
enum addcow_status addcow_links_add_backing(struct addcow_storage *storage, const struct addcow_metadata *metadata,
                                            struct addcow_identities *identities, struct addcow_error *error);

/* The length of the backing file that `metadata` names: the virtual size of a disk [LNK-08]. */
enum addcow_status addcow_links_backing_length(struct addcow_storage *storage, const struct addcow_metadata *metadata,
                                               uint64_t *length, struct addcow_error *error);

#endif
