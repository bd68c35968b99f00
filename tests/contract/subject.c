/* SPDX-License-Identifier: Apache-2.0 */
/* Bases and clones for the cases, made through the driver's callbacks alone, and a list of all that a place holds. */
#include "subject.h"

#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void bail(const char *format, ...)
{
        va_list args;

        (void)fputs("Bail out! ", stdout);
        va_start(args, format);
        (void)vprintf(format, args);
        va_end(args);
        (void)putchar('\n');
        (void)fflush(stdout);
        exit(1);
}

static int run_words(const struct process *tool, char **ret_output, bool may_fail)
{
        struct cowherd_error err;

        if (process_check(tool, ret_output, &err) == 0)
                return 0;
        if (!may_fail)
                bail("%s", err.text);
        return -1;
}

bool run_tool(bool may_fail, const char *first, ...)
{
        owned_process struct process tool = {.timeout_ms = 60000};
        va_list words;

        va_start(words, first);
        for (const char *word = first; word != NULL; word = va_arg(words, const char *))
                strv_add(&tool.argv, word);
        va_end(words);
        return run_words(&tool, NULL, may_fail) == 0;
}

struct store_object object_of(struct subject *subject, enum store_role role, const struct store_object *base)
{
        bool overlays = str_equal(subject->driver->name, "qcow2");

        return (struct store_object){
                .id = subject->next_id++,
                .role = role,
                .kind = subject->kind,
                .format = subject->kind != STORE_DISK       ? NULL
                          : role == STORE_CLONE && overlays ? "qcow2"
                                                            : subject->format,
                .virtual_bytes = subject->kind == STORE_DISK ? DISK_BYTES : 0,
                .base = base,
        };
}

char *open_object(struct subject *subject, const struct store_object *object)
{
        struct cowherd_error err;
        char path[STORE_PATH_BYTES];
        char *at = NULL;

        if (subject->driver->activate == NULL)
                return x_asprintf("%s/%s", subject->place.folder, store_object_path(object, path));
        if (subject->driver->activate(&subject->place, object, &at, &err) < 0)
                bail("%s: activate: %s", subject->label, err.text);
        return at;
}

void close_object(struct subject *subject, const struct store_object *object)
{
        struct cowherd_error err;

        if (subject->driver->deactivate != NULL && subject->driver->deactivate(&subject->place, object, &err) < 0)
                bail("%s: deactivate: %s", subject->label, err.text);
}

struct store_object make_base(struct subject *subject)
{
        struct store_object base = object_of(subject, STORE_BASE, NULL);
        struct cowherd_error err;
        char path[STORE_PATH_BYTES], *fingerprint = NULL;

        if (subject->driver->prepare_base(&subject->place, &base, &err) < 0)
                bail("%s: prepare_base: %s", subject->label, err.text);
        owned_str char *at = x_asprintf("%s/%s", subject->place.folder, store_object_path(&base, path));
        if (subject->kind == STORE_TREE)
                tree_fill(at);
        else
                disk_fill(at, subject->format);
        if (subject->driver->seal_base(&subject->place, &base, &fingerprint, &err) < 0)
                bail("%s: seal_base: %s", subject->label, err.text);
        base.fingerprint = fingerprint;
        return base;
}

void free_base(struct store_object *base)
{
        free((char *)(uintptr_t)base->fingerprint);
        base->fingerprint = NULL;
}

struct store_object make_clone(struct subject *subject, const struct store_object *base)
{
        struct store_object clone = object_of(subject, STORE_CLONE, base);
        struct cowherd_error err;

        if (subject->driver->check_base(&subject->place, base, &err) < 0)
                bail("%s: check_base: %s", subject->label, err.text);
        if (subject->driver->clone(&subject->place, &clone, &err) < 0)
                bail("%s: clone: %s", subject->label, err.text);
        return clone;
}

uint64_t hash_object(struct subject *subject, const struct store_object *object)
{
        owned_str char *path = open_object(subject, object);
        uint64_t hash = subject->kind == STORE_TREE ? tree_hash(path) : disk_hash(path, object->format);

        close_object(subject, object);
        return hash;
}

void change_object(struct subject *subject, const struct store_object *object)
{
        owned_str char *path = open_object(subject, object);

        if (subject->kind == STORE_TREE)
                tree_change(path);
        else
                disk_write(path, object->format);
        close_object(subject, object);
}

void destroy_object(struct subject *subject, const struct store_object *object)
{
        struct cowherd_error err;

        if (subject->driver->destroy(&subject->place, object, &err) < 0)
                bail("%s: destroy: %s", subject->label, err.text);
}

struct store_usage usage_of(struct subject *subject, const struct store_object *object)
{
        struct store_usage usage;
        struct cowherd_error err;

        if (subject->driver->usage(&subject->place, object, &usage, &err) < 0)
                bail("%s: usage: %s", subject->label, err.text);
        return usage;
}

static void add_lines(struct strv *list, const char *text, const char *having)
{
        while (*text != '\0') {
                size_t length = strcspn(text, "\n");
                owned_str char *line = x_strndup(text, length);
                if (strstr(line, having) != NULL)
                        strv_add(list, line);
                text += length + (text[length] == '\n');
        }
}

static void add_output(struct strv *list, struct process *tool)
{
        owned_str char *output = NULL;

        (void)!run_words(tool, &output, false);
        add_lines(list, output, "");
}

static void add_mounts(struct strv *list, const char *folder)
{
        static char table[1 << 20];
        size_t used = 0;

        owned_fd int mounts = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
        for (ssize_t count; (count = read(mounts, table + used, sizeof table - 1 - used)) > 0;)
                used += (size_t)count;
        table[used] = '\0';
        add_lines(list, table, folder);
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

char *list_place(struct subject *subject)
{
        owned_process struct process find = {.timeout_ms = 60000}, zfs = {.timeout_ms = 60000};
        owned_string struct str text = {0};
        owned_strv struct strv list = {0};

        process_add(&find, "find", subject->place.folder, "-mindepth", "2", "-printf", "%P %y %i\\n", NULL);
        add_output(&list, &find);
        if (subject->place.source != NULL) {
                process_add(&zfs, "zfs", "list", "-H", "-r", "-t", "all", "-o", "name", subject->place.source, NULL);
                add_output(&list, &zfs);
        }
        add_mounts(&list, subject->place.folder);
        if (list.count > 0)
                qsort(list.items, list.count, sizeof *list.items, by_text);
        for (size_t i = 0; i < list.count; i++)
                str_addf(&text, "%s\n", list.items[i]);
        return str_take(&text);
}
