/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds an instance, read from the kernel while it runs: nothing here is known beforehand. Of a virtual machine it is what holds its
 * QEMU: the guest's kernel is apart anyway.
 */
#include "compare/pair.h"

#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define WORDS_BYTES (64u << 10)

static void add(json_t *facts, const char *name, const char *from, const char *format, ...) format_like(4, 5);

static void add(json_t *facts, const char *name, const char *from, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        owned_str char *value = x_vasprintf(format, args);
        va_end(args);
        value[strcspn(value, "\n")] = '\0';
        json_array_append_new(facts, json_pack("{s:s, s:o, s:s}", "name", name, "value", json_stringn_nocheck(value, strlen(value)), "from", from));
}

static void add_kernel(struct pair *pair, const char *name, json_t *facts)
{
        owned_answer struct cowherd_answer *answer = NULL;
        struct cowherd_error ignored;
        struct utsname host;

        if (uname(&host) < 0 || say(pair->session->herd, pair->target, NULL, &answer, &ignored, "execute", word("name=%s", name), "command=uname -r", NULL) < 0 ||
            cowherd_answer_get(answer, "stdout") == NULL)
                return;
        owned_str char *said = x_strdup(cowherd_answer_get(answer, "stdout"));
        said[strcspn(said, "\n")] = '\0';
        add(facts, "kernel", "uname in the guest", "%s%s", pair->target == COWHERD_QEMU ? "its own, " : str_equal(said, host.release) ? "the host's, " : "", said);
}

/* Those that are not ours. */
static void add_namespaces(pid_t pid, json_t *facts)
{
        static const char *const types[] = {"user", "pid", "mnt", "net", "uts", "ipc", "cgroup"};
        owned_string struct str apart = {0}, shared = {0};

        for (size_t i = 0; i < array_length(types); i++) {
                char its[64], ours[64];
                if (!process_namespace(pid, types[i], its, sizeof its) || !process_namespace(getpid(), types[i], ours, sizeof ours))
                        continue;
                struct str *list = str_equal(its, ours) ? &shared : &apart;
                str_addf(list, "%s%s", list->length > 0 ? " " : "", types[i]);
        }
        add(facts, "namespaces", "/proc/PID/ns", "%s of its own%s%s", apart.length > 0 ? str_text(&apart) : "none", shared.length > 0 ? "; the host's: " : "", str_text(&shared));
}

/* The first line of its map: inside, outside, how many. */
static void add_user(pid_t pid, json_t *facts)
{
        owned_str char *path = x_asprintf("/proc/%d/uid_map", (int)pid), *map = NULL;
        unsigned long inside = 0, outside = 0, count = 0;
        struct cowherd_error ignored;

        if (file_read(AT_FDCWD, path, WORDS_BYTES, &map, NULL, &ignored) < 0 || sscanf(map, "%lu %lu %lu", &inside, &outside, &count) != 3)
                return;
        if (inside == 0 && outside == 0)
                add(facts, "user namespace", "/proc/PID/uid_map", "none: root inside is root outside");
        else
                add(facts, "user namespace", "/proc/PID/uid_map", "root inside is user %lu outside", outside);
}

/* How many there are, or 0 where the kernel does not say. */
static int capabilities_of_kernel(void)
{
        owned_str char *last = NULL;
        struct cowherd_error ignored;

        return file_read(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", WORDS_BYTES, &last, NULL, &ignored) < 0 ? 0 : (int)strtol(last, NULL, 10) + 1;
}

static void add_confinement(pid_t pid, json_t *facts)
{
        owned_str char *seccomp = process_status_line(pid, "Seccomp"), *filters = process_status_line(pid, "Seccomp_filters"),
                       *held = process_status_line(pid, "CapEff"), *privileges = process_status_line(pid, "NoNewPrivs"), *path = x_asprintf("/proc/%d/attr/current", (int)pid),
                       *profile = NULL;
        struct cowherd_error ignored;

        if (seccomp != NULL)
                add(facts, "seccomp", "/proc/PID/status", str_equal(seccomp, "2") ? "filtered by %s" : "none",
                    filters == NULL ? "a filter" : word("%s filter%s", filters, str_equal(filters, "1") ? "" : "s"));
        if (held != NULL)
                add(facts, "capabilities", "/proc/PID/status", "%d of %d", __builtin_popcountll(strtoull(held, NULL, 16)), capabilities_of_kernel());
        if (privileges != NULL)
                add(facts, "no new privileges", "/proc/PID/status", "%s", str_equal(privileges, "1") ? "yes" : "no");
        if (file_read(AT_FDCWD, path, WORDS_BYTES, &profile, NULL, &ignored) == 0 && profile[0] != '\0')
                add(facts, "AppArmor", "/proc/PID/attr/current", "%s", profile);
}

/* What follows a word in a command line, or NULL. Borrowed. */
static const char *after(const char *words, size_t length, const char *option)
{
        for (size_t at = 0; at < length; at += strlen(words + at) + 1)
                if (str_equal(words + at, option) && at + strlen(option) + 1 < length)
                        return words + at + strlen(option) + 1;
        return NULL;
}

static void add_machine(pid_t pid, json_t *facts)
{
        owned_str char *path = x_asprintf("/proc/%d/cmdline", (int)pid), *words = NULL, *ids = process_status_line(pid, "Uid");
        struct cowherd_error ignored;
        size_t length = 0;

        if (file_read(AT_FDCWD, path, WORDS_BYTES, &words, &length, &ignored) < 0)
                return;
        const char *acceleration = after(words, length, "-accel"), *sandbox = after(words, length, "-sandbox");
        add(facts, "hardware acceleration", "QEMU's command line", "%s", acceleration == NULL ? "none is named" : str_starts(acceleration, "kvm") ? "yes, kvm" : "no, tcg");
        add(facts, "sandbox", "QEMU's command line", "%s", sandbox == NULL ? "none" : sandbox);
        if (ids != NULL)
                add(facts, "user", "/proc/PID/status", strtoul(ids, NULL, 10) == 0 ? "root" : "%lu, unprivileged", strtoul(ids, NULL, 10));
}

void isolation_add(struct pair *pair, const char *name)
{
        char namespace[64];
        pid_t pid = instance_process(pair, name, namespace, sizeof namespace);

        if (pid == 0) {
                note_left_out(pair, "isolation", "its process is not found");
                return;
        }
        json_t *facts = json_array();
        add_kernel(pair, name, facts);
        if (pair->target == COWHERD_QEMU)
                add_machine(pid, facts);
        add_namespaces(pid, facts);
        if (pair->target != COWHERD_QEMU)
                add_user(pid, facts);
        add_confinement(pid, facts);
        json_array_append_new(json_object_get(pair->session->document, "isolation"),
                              json_pack("{s:s, s:s, s:o}", "engine", pair->engine, "store", pair->store, "facts", facts));
}
