/*
 * CON-09: requests beside whole-disk operations, on the real 64 stripes.
 *
 * What a whole-disk operation changes is plain memory: any request that is not kept out races with it. A wake-up that
 * gets lost is a deadlock.
 */
#include "programs.h"
#include "rig.h"

struct quiescing {
    struct addcow_quiesce quiesce;
    uint64_t shape; /* as the disk's cluster count or the length of the backing file */
};

static struct quiescing *quiescing;

static void setup(void)
{
    quiescing = calloc(1, sizeof *quiescing);
    addcow_quiesce_init(&quiescing->quiesce);
    weak_name_items(quiescing->quiesce.stripes, sizeof quiescing->quiesce.stripes, sizeof quiescing->quiesce.stripes[0],
                    "requests");
    weak_name(&quiescing->quiesce.quiesced, sizeof quiescing->quiesce.quiesced, "quiesced");
    weak_name(&quiescing->quiesce.lock, sizeof quiescing->quiesce.lock, "lock");
    weak_name(&quiescing->quiesce.changed, sizeof quiescing->quiesce.changed, "changed");
    weak_name(&quiescing->shape, sizeof quiescing->shape, "the disk's shape");
}

static void request(void)
{
    unsigned stripe = addcow_request_begin(&quiescing->quiesce);
    uint64_t shape = quiescing->shape;
    if (shape % 2 != 0) {
        weak_fail("CON-09: a request sees half of a whole-disk operation");
    }
    addcow_request_end(&quiescing->quiesce, stripe);
}

static void whole_disk_operation(void)
{
    addcow_quiesce_begin(&quiescing->quiesce);
    quiescing->shape++;
    quiescing->shape++;
    addcow_quiesce_end(&quiescing->quiesce);
}

static void two_requests(unsigned self)
{
    if (self < 2) {
        request();
    } else {
        whole_disk_operation();
    }
}

static void two_operations(unsigned self)
{
    if (self < 1) {
        request();
    } else {
        whole_disk_operation();
    }
}

static void two_of_each(unsigned self)
{
    two_requests(self < 2 ? self : 2);
}

static void again_and_again(unsigned self)
{
    for (unsigned i = 0; i < 2; i++) {
        if (self < 1) {
            request();
        } else {
            whole_disk_operation();
        }
    }
}

const struct weak_program weak_quiesce_requests = {
    "quiesce-requests", "two requests beside a whole-disk operation", 3, setup, two_requests, NULL};
const struct weak_program weak_quiesce_operations = {
    "quiesce-operations", "a request beside two whole-disk operations", 3, setup, two_operations, NULL};
const struct weak_program weak_quiesce_again = {
    "quiesce-again",
    "two requests of one thread beside two whole-disk operations of another",
    2,
    setup,
    again_and_again,
    NULL};
const struct weak_program weak_quiesce_four = {
    "quiesce-four", "two requests beside two whole-disk operations", 4, setup, two_of_each, NULL};
