/* SPDX-License-Identifier: Apache-2.0 */
/* The host: what it is, what runs on it, which versions. What can't be found out is left out. */
#include "compare/machine.h"

#include "sys/file.h"
#include "sys/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TEXT_BYTES (1u << 20)

static char *text_of(const char *path)
{
        owned_str char *text = NULL;
        struct cowherd_error ignored;

        return file_read(AT_FDCWD, path, TEXT_BYTES, &text, NULL, &ignored) < 0 ? NULL : take(text);
}

/* What follows a key on its line, without quotes, to be freed; NULL where there is none. */
static char *value_in(const char *text, const char *key, const char *separators)
{
        for (const char *line = text; line != NULL && *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
                if (!str_starts(line, key))
                        continue;
                const char *at = line + strlen(key);
                at += strspn(at, separators);
                return x_strndup(at, strcspn(at, "\"\n"));
        }
        return NULL;
}

static void set(json_t *object, const char *name, const char *value)
{
        if (!str_is_empty(value))
                json_object_set_new(object, name, json_stringn_nocheck(value, strlen(value)));
}

double machine_load(void)
{
        double load = 0;

        return getloadavg(&load, 1) == 1 ? load : 0;
}

static uint64_t memory_line(const char *key)
{
        owned_str char *text = text_of("/proc/meminfo"), *value = value_in(text, key, ": \t");

        return value == NULL ? 0 : strtoull(value, NULL, 10) * 1024;
}

uint64_t machine_available_bytes(void)
{
        return memory_line("MemAvailable");
}

static void set_virtualization(json_t *machine)
{
        owned_str char *said = NULL;
        struct cowherd_error ignored;

        if (!process_exists("systemd-detect-virt") || tool_output(&said, &ignored, "systemd-detect-virt", NULL) < 0)
                return;
        said[strcspn(said, "\n")] = '\0';
        set(machine, "virtualization", said);
}

/* The nearest folder that is there already. */
static const char *filesystem_of(const char *root)
{
        owned_str char *path = x_strdup(root);

        for (;;) {
                owned_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd >= 0)
                        return file_system_name(fd);
                char *slash = strrchr(path, '/');
                if (slash == NULL || slash == path)
                        return NULL;
                *slash = '\0';
        }
}

json_t *machine_describe(const char *root)
{
        owned_str char *release = text_of("/etc/os-release"), *processors = text_of("/proc/cpuinfo"), *os = value_in(release, "PRETTY_NAME=", "\""),
                       *processor = value_in(processors, "model name", ": \t");
        json_t *machine = json_object();
        struct utsname names;

        if (uname(&names) == 0)
                set(machine, "kernel", word("%s %s", names.sysname, names.release));
        set(machine, "os", os);
        set(machine, "processor", processor);
        json_object_set_new(machine, "cores", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
        json_object_set_new(machine, "memory_bytes", json_integer((json_int_t)memory_line("MemTotal")));
        set_virtualization(machine);
        set(machine, "root", root);
        set(machine, "filesystem", filesystem_of(root));
        json_object_set_new(machine, "load_before", number_of(machine_load()));
        return machine;
}

/* The first number with a point in what a program says of itself. */
static char *version_in(const char *said)
{
        for (const char *at = said; *at != '\0'; at++)
                if (*at >= '0' && *at <= '9') {
                        size_t length = strspn(at, "0123456789.");
                        if (memchr(at, '.', length) != NULL)
                                return x_strndup(at, length);
                        at += length - 1;
                }
        return x_strndup(said, strcspn(said, "\n"));
}

json_t *machine_tools(void)
{
        static const char *const tools[][3] = {{"qemu", "qemu-system-x86_64", "--version"}, {"qemu-img", "qemu-img", "--version"}, {"lxd", "lxc", "--version"},
                                               {"incus", "incus", "--version"}, {"systemd-nspawn", "systemd-nspawn", "--version"}, {"btrfs-progs", "btrfs", "--version"},
                                               {"zfs", "zfs", "--version"}, {"coreutils", "cp", "--version"}};
        json_t *list = json_array();

        for (size_t i = 0; i < array_length(tools); i++) {
                owned_str char *said = NULL;
                struct cowherd_error ignored;
                if (!process_exists(tools[i][1]) || tool_output(&said, &ignored, tools[i][1], tools[i][2], NULL) < 0 || said[0] == '\0')
                        continue;
                owned_str char *found = version_in(said), *version = str_equal(tools[i][0], "systemd-nspawn") ? x_strdup(said) : take(found);
                if (str_equal(tools[i][0], "systemd-nspawn")) /* "systemd 252 (252.39-1~deb12u1)" */
                        version[strcspn(version, "\n")] = '\0';
                json_array_append_new(list, json_pack("{s:s, s:o}", "name", tools[i][0], "version", json_stringn_nocheck(version, strlen(version))));
        }
        return list;
}
