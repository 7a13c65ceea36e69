/*
 * What a create has left in the directory of a case (CRE-04): the names before it and after it, below the current
 * directory. Names are kept as lines of a text, so that one is found by a search.
 */
#include "corpus/corpus.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void list_directory(const char *path, FILE *out)
{
    DIR *list = opendir(path);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        char name[PATH_MAX];
        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && length < (int)sizeof name) {
            fprintf(out, "%s\n", name);
            if (entry->d_type == DT_DIR) {
                list_directory(name, out);
            }
        }
    }
    if (list) {
        closedir(list);
    }
}

char *corpus_names(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        abort();
    }
    fputc('\n', out);
    list_directory(".", out);
    fclose(out);
    return text;
}

bool corpus_check_names(const char *before, bool created, FILE *out)
{
    char *after = corpus_names();
    unsigned allowed = created ? 1 : 0;
    bool good = true;
    for (char *name = after + 1; good && *name;) {
        char line[PATH_MAX + 2];
        size_t length = strcspn(name, "\n");
        snprintf(line, sizeof line, "\n%.*s\n", (int)length, name);
        bool is_new = !strstr(before, line);
        if (is_new && allowed == 0) {
            fprintf(out, "a create that %s leaves %.*s behind\n", created ? "succeeds" : "fails", (int)length - 2,
                    name + 2);
            good = false;
        }
        allowed -= is_new && allowed > 0;
        name += length + 1;
    }
    free(after);
    return good;
}
