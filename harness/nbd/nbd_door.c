/*
 * gate-nbd: the adapter of `gate --impl nbd:COMMAND`, a program of its own, as only it needs libnbd.
 *
 * The gate starts it for every case, as it starts any adapter. Before that, once, it has the program find out what the
 * server can do, with a small disk in a directory that the gate removes (--probe), and passes that on (--known).
 */
#include "nbd/adapter_nbd.h"

#include "adapters/serve.h"
#include "base/options.h"
#include "base/report.h"
#include "nbd/nbd_server.h"
#include "workload/disk_files.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CONCURRENCY 16u

struct door {
    struct nbd_commands commands;
    const char *probe; /* a directory */
    const char *known; /* abilities */
};

/* ---- Abilities ---- */

/* Opens a small disk of this layout. False, with the reason in *error, if the server refuses it. */
static bool try_layout(const struct door *door, enum addcow_layout layout, struct nbd_offer *offer,
                       struct addcow_error *error)
{
    const struct trace_disk disk = {.layout = layout,
                                    .cluster_bits = 16,
                                    .size = 1u << 20,
                                    .has_backing = true,
                                    .backing_size = 1u << 20,
                                    .seed = 1};
    struct disk_files files;
    char path[PATH_MAX];
    disk_files_make(&disk, &files);
    disk_files_store(&files, door->probe);
    disk_files_free(&files);
    snprintf(path, sizeof path, "%s/" DISK_METADATA, door->probe);
    struct adapter *adapter = adapter_make_nbd(&door->commands);
    bool good = adapter->ops->open(adapter, path, ADDCOW_OPEN_READWRITE, error) == ADDCOW_OK;
    if (!good) {
        good = adapter->ops->open(adapter, path, ADDCOW_OPEN_READONLY, error) == ADDCOW_OK;
    }
    *offer = good ? *adapter_nbd_offer(adapter) : *offer;
    adapter->ops->destroy(adapter);
    return good;
}

static bool names(const char *command, const char *variable)
{
    return strstr(command, variable) != NULL;
}

/* Finds out what the implementation can do. False if it opens no disk, or serves blocks that are too large. */
static bool find_abilities(const struct door *door, struct protocol_abilities *abilities)
{
    const struct nbd_commands *commands = &door->commands;
    struct addcow_error error = ADDCOW_ERROR_INIT, ignored = ADDCOW_ERROR_INIT;
    struct nbd_offer offer = {.read_only = true};
    *abilities = (struct protocol_abilities){.concurrency = CONCURRENCY};
    abilities->r9 = try_layout(door, ADDCOW_R9, &offer, &ignored);
    abilities->r20 = try_layout(door, ADDCOW_R20, &offer, &error);
    if (!abilities->r9 && !abilities->r20) {
        fprintf(stderr, "no disk could be opened: %s\n", error.message);
        return false;
    }
    if (offer.least > 512) {
        fprintf(stderr, "the server wants requests in blocks of %u bytes; 512 are the most\n", offer.least);
        return false;
    }
    bool writes = !offer.read_only;
    abilities->granularity = offer.least == 1 ? 1 : 512;
    abilities->level = !writes ? PROTOCOL_READER : offer.flush ? PROTOCOL_DURABLE : PROTOCOL_CONCURRENT;
    abilities->lacks = 1u << PROTOCOL_LENGTHS | 1u << PROTOCOL_CLOSE_ERRORS |
                       (names(commands->serve, "readonly") ? 0 : 1u << PROTOCOL_READONLY);
    if (commands->resize || commands->stream || commands->commit) {
        abilities->lacks |= 1u << PROTOCOL_CUT; /* the disk is closed and opened again between */
    }
    abilities->requests =
        (writes ? 1u << OPERATION_WRITE : 0) | (writes && offer.zero ? 1u << OPERATION_ZERO : 0) |
        (writes && offer.flush ? 1u << OPERATION_FLUSH : 0) | (commands->resize ? 1u << OPERATION_RESIZE : 0) |
        (commands->stream ? 1u << OPERATION_STREAM : 0) | (commands->commit ? 1u << OPERATION_COMMIT : 0) |
        (commands->create ? 1u << PROTOCOL_CREATE : 0);
    return true;
}

static bool parse_known(const char *text, struct protocol_abilities *abilities)
{
    unsigned r20, r9, level;
    *abilities = (struct protocol_abilities){.concurrency = CONCURRENCY};
    bool good = sscanf(text, "%u,%u,%u,%u,%u,%u", &r20, &r9, &abilities->requests, &abilities->granularity, &level,
                       &abilities->lacks) == 6;
    abilities->r20 = r20 != 0;
    abilities->r9 = r9 != 0;
    abilities->level = (enum protocol_level)level;
    return good && level < PROTOCOL_LEVELS;
}

int main(int argc, char **argv)
{
    struct door door = {.probe = NULL};
    struct protocol_abilities abilities;
    const struct option_row rows[] = {
        {"serve", "COMMAND", "serves the disk {file} on the Unix socket {socket}", .text = &door.commands.serve},
        {"create", "COMMAND", "creates the disk {file}", .text = &door.commands.create},
        {"resize", "COMMAND", "resizes the disk {file} to {size} bytes", .text = &door.commands.resize},
        {"stream", "COMMAND", "makes the disk {file} independent", .text = &door.commands.stream},
        {"commit", "COMMAND", "commits the disk {file}", .text = &door.commands.commit},
        {"probe", "DIR", "find out what the server can do, with a disk in this empty directory", .text = &door.probe},
        {"known", "NUMBERS", "what it can do", .text = &door.known},
    };
    const struct options_command command = {
        .program = "gate-nbd",
        .call = "gate-nbd",
        .synopsis = "--serve COMMAND --probe DIR|--known NUMBERS   be the adapter of a server of NBD (gate starts it)",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .notes = "",
    };
    int first = options_parse(&command, argc, argv, NULL);
    options_refuse_operands(&command, argc, argv, first);
    if (door.commands.serve == NULL || (door.probe == NULL && door.known == NULL)) {
        options_refuse(&command, "--serve, and --probe or --known, are needed");
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    nbd_server_prepare();
    if (door.known != NULL ? !parse_known(door.known, &abilities) : !find_abilities(&door, &abilities)) {
        return REPORT_CRASHED;
    }
    struct adapter *adapter = adapter_make_nbd(&door.commands);
    int code = serve(adapter, &abilities);
    adapter->ops->destroy(adapter);
    return code;
}
