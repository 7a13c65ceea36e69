/*
 * Reads and prints records.
 */
#include "observe/record.h"

#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>

static void append(struct record_list *list, const struct record *record, uint8_t *data)
{
    if ((list->count & (list->count + 1)) == 0) { /* room for a power of two, less one */
        size_t room = 2 * list->count + 1;
        list->items = realloc(list->items, room * sizeof *list->items);
        list->data = realloc(list->data, room * sizeof *list->data);
        if (list->items == NULL || list->data == NULL) {
            report_fatal("no memory for a record");
        }
    }
    list->items[list->count] = *record;
    list->data[list->count++] = data;
}

bool records_load(const char *path, struct record_list *list)
{
    struct record record;
    FILE *file = fopen(path, "re");
    *list = (struct record_list){.count = 0};
    if (file == NULL) {
        return false;
    }
    while (fread(&record, sizeof record, 1, file) == 1) {
        uint8_t *data = record.data_length > 0 ? report_allocate(record.data_length, 1) : NULL;
        if (data != NULL && fread(data, 1, (size_t)record.data_length, file) != record.data_length) {
            free(data);
            break; /* the observer died while it wrote this */
        }
        append(list, &record, data);
    }
    bool good = ferror(file) == 0;
    fclose(file);
    return good;
}

void records_free(struct record_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->data[i]);
    }
    free(list->data);
    free(list->items);
}

void record_print(FILE *out, const struct record *record)
{
    static const char *const kinds[RECORD_KINDS] = {"writes",      "length",  "syncs",   "fails to sync", "syncs all",
                                                    "syncs names", "creates", "removes", "renames",       "links"};
    fprintf(out, "%s %s", record->call, kinds[record->kind]);
    if (record->name[0] != '\0') {
        fprintf(out, " %s", record->name);
    }
    if (record->other[0] != '\0') {
        fprintf(out, " from %s", record->other);
    }
    if (record->kind == RECORD_WRITE) {
        fprintf(out, " [%" PRIu64 ", %" PRIu64 ")", record->offset, record->offset + record->length);
    } else if (record->kind == RECORD_LENGTH) {
        fprintf(out, " %" PRIu64, record->length);
    }
}
