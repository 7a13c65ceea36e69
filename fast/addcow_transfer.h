/*
 * How a transfer of many bytes is made of calls that each move some of them, so that no other request comes between two
 * halves of a sector.
 */
#ifndef ADDCOW_TRANSFER_H
#define ADDCOW_TRANSFER_H

#include "addcow_internal.h"

/*
 * The new position of a transfer up to `end`, after a call moved `count` bytes at `position`: past them, or at the
 * start of the sector in which the call was cut, if that is progress too.
 */
/*@ requires position < end && 0 < count <= end - position;
    terminates \true;
    assigns \nothing;
    ensures progress: position < \result <= position + count;
    ensures end: position + count == end ==> \result == end;
    ensures sector: \result < position + count ==> \result % ADDCOW_SECTOR == 0;
*/
static inline uint64_t advance(uint64_t position, uint64_t count, uint64_t end)
{
    uint64_t reached = position + count;
    uint64_t sector = reached - reached % ADDCOW_SECTOR;
    return reached < end && sector > position ? sector : reached;
}

/* How much one call moves. It ends with a sector: another request could come between two halves of one (CON-02). */
/*@ requires position < end;
    terminates \true;
    assigns \nothing;
    ensures progress: 0 < \result <= end - position;
    ensures sector: position + \result == end || (position + \result) % ADDCOW_SECTOR == 0;
*/
static inline size_t chunk(uint64_t position, uint64_t end)
{
    uint64_t most = TRANSFER_MAX - position % ADDCOW_SECTOR;
    return (size_t)(end - position < most ? end - position : most);
}

#endif
