/*
 * The contents of simulated files, and the log of everything that changed them.
 *
 * The log keeps every changed sector with its new content, in one pool of bytes. A moment is a number of events.
 */
#include "storage/sim_parts.h"

#include "base/report.h"

#include <stdlib.h>
#include <string.h>

void sim_content_set_length(struct sim_content *content, uint64_t length)
{
    if (length >= content->room) {
        uint64_t room = length < 4096 ? 4096 : 2 * length;
        content->bytes = realloc(content->bytes, (size_t)room);
        if (content->bytes == NULL) {
            report_fatal("no memory for a simulated file");
        }
        memset(content->bytes + content->room, 0, (size_t)(room - content->room));
        content->room = room;
    }
    if (length < content->length) {
        memset(content->bytes + length, 0, (size_t)(content->length - length));
    }
    content->length = length;
}

void sim_content_copy(struct sim_content *to, const struct sim_content *from)
{
    sim_content_set_length(to, from->length);
    if (from->length > 0) {
        memcpy(to->bytes, from->bytes, (size_t)from->length);
    }
}

uint64_t sim_content_sector_bytes(const struct sim_content *content, uint64_t sector)
{
    uint64_t begin = sector * SIM_SECTOR;
    uint64_t left = begin < content->length ? content->length - begin : 0;
    return left < SIM_SECTOR ? left : SIM_SECTOR;
}

struct sim_event *sim_log_event(struct sim *sim, enum sim_event_kind kind, uint32_t inode)
{
    if (sim->event_count == sim->event_room) {
        sim->event_room = sim->event_room == 0 ? 256 : 2 * sim->event_room;
        sim->events = realloc(sim->events, (size_t)(sim->event_room * sizeof *sim->events));
        if (sim->events == NULL) {
            report_fatal("no memory for the log of a simulated storage");
        }
    }
    struct sim_event *event = &sim->events[sim->event_count++];
    event->kind = kind;
    event->inode = inode;
    event->number = event->sectors = 0;
    return event;
}

void sim_log_sector(struct sim *sim, uint32_t inode, uint64_t sector)
{
    if (sim->pool_used + SIM_SECTOR > sim->pool_room) {
        sim->pool_room = sim->pool_room == 0 ? 1u << 16 : 2 * sim->pool_room;
        sim->pool = realloc(sim->pool, sim->pool_room);
        if (sim->pool == NULL) {
            report_fatal("no memory for the log of a simulated storage");
        }
    }
    const struct sim_content *now = &sim->list[inode].now;
    uint8_t *data = sim->pool + sim->pool_used;
    uint64_t count = sim_content_sector_bytes(now, sector);
    memset(data, 0, SIM_SECTOR);
    memcpy(data, now->bytes + sector * SIM_SECTOR, (size_t)count);
    struct sim_event *event = sim_log_event(sim, SIM_EVENT_SECTOR, inode);
    event->number = sector;
    event->data = sim->pool_used;
    sim->pool_used += SIM_SECTOR;
}

uint64_t sim_moment(const struct sim *sim)
{
    return sim->event_count;
}

bool sim_is_barrier(const struct sim *sim, uint64_t moment)
{
    enum sim_event_kind kind = sim->events[moment].kind;
    return kind == SIM_EVENT_SYNC || kind == SIM_EVENT_RENAME || kind == SIM_EVENT_SYNC_NAMES;
}

bool sim_is_changed(const struct sim *sim, uint64_t moment)
{
    for (; moment < sim->event_count; moment++) {
        enum sim_event_kind kind = sim->events[moment].kind;
        if (kind != SIM_EVENT_SYNC && kind != SIM_EVENT_SYNC_FAILED && kind != SIM_EVENT_SYNC_NAMES) {
            return true;
        }
    }
    return false;
}

void sim_log_clear(struct sim *sim)
{
    sim->event_count = 0;
    sim->pool_used = 0;
}
