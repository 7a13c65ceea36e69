/*
 * nbd: serves the disk over NBD, by nbdkit and our plugin for it.
 *
 * The command opens the disk once, so that a disk that cannot be served is reported like everywhere else, and then
 * becomes nbdkit. The plugin is looked for beside this program, where it is built, then where it is installed, and at
 * last left for nbdkit to find. With COMMAND, nbdkit runs that by a shell and ends with it; the script below hands the
 * variables of that shell on.
 */
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLUGIN_NAME "nbdkit-addcow-plugin.so"

/* Where it is installed, relative to this program: mk/nbdkit.mk says so when it is. */
#ifndef PLUGIN_INSTALLED
#define PLUGIN_INSTALLED PLUGIN_NAME
#endif

#define DEFAULT_PORT "10809"
#define ARGUMENTS_MAX 16

static struct {
    const char *socket;
    const char *port;
    bool read_only;
    bool stream;
} nbd_options;

static const struct command_option nbd_table[] = {
    {0, "socket", OPTION_PATH, &nbd_options.socket},
    {0, "port", OPTION_TEXT, &nbd_options.port},
    {'r', "read-only", OPTION_SWITCH, &nbd_options.read_only},
    {0, "stream", OPTION_SWITCH, &nbd_options.stream},
    {0, "direct", OPTION_SWITCH, &direct},
    OPTIONS_END,
};

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long number = digits > 0 && digits <= 5 && text[digits] == '\0' ? strtoul(text, NULL, 10) : 0;
    return number >= 1 && number <= 65535;
}

/* EXIT_OK, or what is wrong with the options. */
static int check_options(void)
{
    struct stat status;
    const char *socket = nbd_options.socket;
    if (socket && nbd_options.port) {
        return complain_usage("nbd", "--socket and --port exclude each other");
    }
    if (nbd_options.port && !is_port(nbd_options.port)) {
        return complain_usage("nbd", "invalid value '%s' for option '--port'", nbd_options.port);
    }
    if (nbd_options.read_only && nbd_options.stream) {
        return complain_usage("nbd", "--read-only and --stream exclude each other");
    }
    if (socket && lstat(socket, &status) == 0) {
        return complain("%s: exists; remove it if no server uses it", socket);
    }
    return EXIT_OK;
}

/* Reports what is wrong with the disk. */
static int try_disk(const char *path)
{
    struct addcow *disk;
    int code = open_disk(path, nbd_options.read_only ? ADDCOW_OPEN_READONLY : ADDCOW_OPEN_READWRITE, &disk);
    return code == EXIT_OK ? close_disk(disk, code) : code;
}

/* `directory`/`name` if there is such a file; else null. The caller frees it. */
static char *existing(const char *directory, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        return NULL;
    }
    if (access(path, R_OK) != 0) {
        free(path);
        return NULL;
    }
    return path;
}

/* What nbdkit is to load. */
static const char *find_plugin(void)
{
    char directory[4096];
    ssize_t length = readlink("/proc/self/exe", directory, sizeof directory - 1);
    char *slash = NULL;
    if (length > 0) {
        directory[length] = '\0';
        slash = strrchr(directory, '/');
    }
    if (!slash) {
        return "addcow";
    }
    *slash = '\0';
    const char *plugin = existing(directory, PLUGIN_NAME);
    plugin = plugin ? plugin : existing(directory, PLUGIN_INSTALLED);
    return plugin ? plugin : "addcow";
}

static void put_quoted(FILE *to, const char *word)
{
    fputc('\'', to);
    for (const char *c = word; *c; c++) {
        fputs(*c == '\'' ? "'\\''" : (const char[]){*c, '\0'}, to);
    }
    fputc('\'', to);
}

/* The script that runs the command with the variables that nbdkit sets before it. Null: no memory. */
static char *script_of(char *const *command)
{
    char *script = NULL;
    size_t size;
    FILE *to = open_memstream(&script, &size);
    if (!to) {
        return NULL;
    }
    fputs("export uri nbd port unixsocket; exec", to);
    for (; *command; command++) {
        fputc(' ', to);
        put_quoted(to, *command);
    }
    bool complete = !ferror(to);
    complete = fclose(to) == 0 && complete;
    return complete ? script : NULL;
}

/* The arguments of nbdkit, after its name. False: no memory. */
static bool list_arguments(const struct operands *operands, const char **arguments)
{
    char *file;
    const char **next = arguments;
    *next++ = "nbdkit";
    *next++ = "--foreground";
    if (nbd_options.socket || (operands->command && !nbd_options.port)) {
        *next++ = "--unix";
        *next++ = nbd_options.socket ? nbd_options.socket : "-";
    } else {
        *next++ = "--ipaddr=localhost";
        *next++ = "--port";
        *next++ = nbd_options.port ? nbd_options.port : DEFAULT_PORT;
    }
    if (nbd_options.read_only) {
        *next++ = "--read-only";
    }
    if (operands->command) {
        *next++ = "--run";
        *next = script_of(operands->command);
        if (!*next++) {
            return false;
        }
    }
    *next++ = find_plugin();
    if (asprintf(&file, "file=%s", operands->item[0]) < 0) {
        return false;
    }
    *next++ = file;
    if (nbd_options.stream) {
        *next++ = "stream=background";
    }
    if (direct) {
        *next++ = "direct=true";
    }
    if (locking.optional) {
        *next++ = "without-locks=true";
    }
    *next = NULL;
    return true;
}

static int run_nbd(const struct operands *operands)
{
    const char *arguments[ARGUMENTS_MAX];
    int code = check_options();
    if (code == EXIT_OK) {
        code = try_disk(operands->item[0]);
    }
    if (code != EXIT_OK) {
        return code;
    }
    if (!list_arguments(operands, arguments)) {
        return complain("%s: %s", operands->item[0], strerror(ENOMEM));
    }
    signals_default();
    execvp(arguments[0], (char *const *)arguments);
    return complain(errno == ENOENT ? "nbdkit is not installed" : "nbdkit: %s", strerror(errno));
}

const struct command command_nbd = {
    .name = "nbd",
    .options = nbd_table,
    .least_operands = 1,
    .most_operands = 1,
    .takes_command = true,
    .run = run_nbd,
    .help =
        "nbd [--socket=SOCKET | --port=PORT] [-r] [--stream] [--direct] FILE [-- COMMAND...]\n"
        "Serves the disk over NBD, by nbdkit, until a signal ends that. With COMMAND, runs it, and serves as long as\n"
        "it runs; the exit status is that of COMMAND, which finds the address in the variable `uri`.\n\n"
        "      --socket=SOCKET  listen on a Unix socket, which must not exist; the default with COMMAND is a private "
        "one\n"
        "      --port=PORT      listen on a TCP port of this machine (localhost); 10809 is the default without "
        "COMMAND\n"
        "  -r, --read-only      let clients only read; others can read the disk, too\n"
        "      --stream         copy the backing file into the image meanwhile\n"
        "      --direct         read and write the image and the backing files without the cache of the system\n"
        "  -h, --help           print this and exit\n",
};
