/*
 * Export names: which disk a client means.
 *
 * With dir=, a name is that of a file in this directory that ends in .addcow. The content of a file decides nothing:
 * otherwise a guest could write a header into its raw image, which may be in the same directory, and have any file of
 * the host served as its disk (SEC-01). Without dir=, there is one disk, which has the empty name and that of its file.
 */
#include "plugin.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char suffix[] = ".addcow";
#define SUFFIX_LENGTH (sizeof suffix - 1)
#define NAME_MAX_BYTES 4096 /* of an export, by the protocol */

/* A name that leads out of no directory, and is not hidden. */
static bool is_disk_name(const char *name)
{
    size_t length = strlen(name);
    return name[0] != '.' && !strchr(name, '/') && length > SUFFIX_LENGTH && length <= NAME_MAX_BYTES &&
           strcmp(name + length - SUFFIX_LENGTH, suffix) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static char *refuse(const char *name, const char *reason)
{
    /* The name is the client's. */
    char harmless[64];
    snprintf(harmless, sizeof harmless, "%s", name);
    make_harmless(harmless);
    nbdkit_error("export '%s': %s", harmless, reason);
    nbdkit_set_error(ENOENT);
    return NULL;
}

static char *join(const char *directory, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        nbdkit_error("no memory");
        nbdkit_set_error(ENOMEM);
        return NULL;
    }
    return path;
}

static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

char *export_path(const char *name)
{
    if (!parameters.directory) {
        if (name[0] != '\0' && strcmp(name, base_name(parameters.file)) != 0) {
            return refuse(name, "there is no disk of this name; the one that is served has the empty name");
        }
        char *file = strdup(parameters.file);
        if (!file) {
            return refuse(name, "no memory");
        }
        return file;
    }
    if (!is_disk_name(name)) {
        return refuse(name, "is not the name of a file that ends in .addcow");
    }
    char *path = join(parameters.directory, name);
    if (path && !is_file(path)) {
        free(path);
        return refuse(name, "there is no disk of this name");
    }
    return path;
}

static int is_listed(const struct dirent *entry)
{
    return is_disk_name(entry->d_name);
}

/* -1: reported. Otherwise the caller frees the entries and the list. */
static int scan(struct dirent ***entries)
{
    int count = scandir(parameters.directory, entries, is_listed, alphasort);
    if (count < 0) {
        nbdkit_error("%s: %m", parameters.directory);
    }
    return count;
}

int export_check_directory(void)
{
    struct dirent **entries;
    int count = scan(&entries);
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    if (count >= 0) {
        free((void *)entries);
    }
    return count < 0 ? -1 : 0;
}

int export_list(int read_only, int is_tls, struct nbdkit_exports *exports)
{
    (void)read_only;
    (void)is_tls;
    if (!parameters.directory) {
        return nbdkit_add_export(exports, "", "add-cow disk");
    }
    struct dirent **entries;
    int count = scan(&entries);
    int result = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        char *path = join(parameters.directory, entries[i]->d_name);
        /* A name that cannot be listed, as it is no UTF-8, hides no other. */
        if (path && is_file(path) && nbdkit_add_export(exports, entries[i]->d_name, "add-cow disk") != 0) {
            nbdkit_debug("an export is not listed");
        }
        free(path);
        free(entries[i]);
    }
    if (count >= 0) {
        free((void *)entries);
    }
    return result;
}

const char *export_default(int read_only, int is_tls)
{
    (void)read_only;
    (void)is_tls;
    return parameters.directory ? NULL : "";
}
