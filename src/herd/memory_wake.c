/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of clones that wake from a live base's memory. Such a machine goes on with the devices it had: what would be another
 * machine (more memory, another card, a bigger disk) is refused before anything is made, with what to do instead. What belongs to
 * the host (which ports lead where) may differ.
 */
#include "herd/memory.h"

#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 64 where a size or a count is said that the base's machine does not have. */
static int check_number(const struct request *request, enum key key, const char *word, uint64_t of_base, const struct catalogue_row *base,
                        struct cowherd_error *err)
{
        if (!request_has(request, key) || request_number(request, key) == of_base)
                return 0;
        (void)fail(err, COWHERD_USAGE, "%s='%s' is not what live base '%s' has: a clone goes on with the machine that it wakes in", word,
                   request_text(request, key), base->name);
        return fail_hint(err, "leave %s= out; or say start=false for a clone of its disk, which boots with what you say", word);
}

/* Words that build another machine: fine where they say what the base has. */
static int check_text(const struct request *request, enum key key, const char *word, const json_t *extra, const struct catalogue_row *base,
                      struct cowherd_error *err)
{
        if (!request_has(request, key) || str_equal(request_text(request, key), json_string_value(json_object_get(extra, word))))
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "%s='%s' would be another machine than the one that live base '%s' keeps", word, request_text(request, key),
                   base->name);
        return fail_hint(err, "leave %s= out; or say start=false for a clone of its disk, which boots with what you say", word);
}

static int check_absent(const struct request *request, enum key key, const char *word, const char *why, const struct catalogue_row *base,
                        struct cowherd_error *err)
{
        if (!request_has(request, key))
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "%s= can't be had with live base '%s': %s", word, base->name, why);
        return fail_hint(err, "leave %s= out; or say start=false for a clone of its disk, which boots", word);
}

int memory_check_words(const struct request *request, const struct catalogue_row *base, struct cowherd_error *err)
{
        static const struct {
                enum key key;
                const char *word;
        } texts[] = {{KEY_NETWORK, "network"}, {KEY_OS, "os"}, {KEY_FIRMWARE, "firmware"}, {KEY_ACCEL, "accel"}};
        json_t *extra = base->extra == NULL ? NULL : json_loads(base->extra, 0, NULL);
        int got = check_number(request, KEY_MEMORY, "memory", base->memory_bytes, base, err);

        if (got == 0)
                got = check_number(request, KEY_CPUS, "cpus", base->cpus, base, err);
        if (got == 0)
                got = check_number(request, KEY_DISK_SIZE, "disk_size", base->virtual_bytes, base, err);
        for (size_t i = 0; got == 0 && i < array_length(texts); i++)
                got = check_text(request, texts[i].key, texts[i].word, extra, base, err);
        json_decref(extra);
        if (got == 0)
                got = check_absent(request, KEY_MOUNT, "mount", "a folder of the host would be a device that its machine has not", base, err);
        if (got == 0)
                got = check_absent(request, KEY_USER_DATA, "user_data", "cloud-init reads it when a machine boots, and its clones do not boot", base, err);
        return got;
}

#define MEMORY_INFO_LINE_BYTES 128
/*
 * Of a guest of 256 MiB that woke and ran a command, 46 to 53 MiB were its own, all but 5 of it QEMU's (translated code 20 to 30, heap and
 * tables the rest), and what the host had available fell by 68 to 72; at the peak of a start by 83.
 */
#define CLONE_OVERHEAD_BYTES (56u << 20)
#define CLONE_SHARE 8 /* a clone that does little writes to less than an eighth of its memory */

/* What the kernel could give without swapping; false where it does not tell. */
static bool read_available(uint64_t *ret_bytes)
{
        FILE *file = fopen("/proc/meminfo", "re");
        char line[MEMORY_INFO_LINE_BYTES];
        bool found = false;

        while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
                found = str_starts(line, "MemAvailable:");
                if (found)
                        *ret_bytes = strtoull(line + strcspn(line, "0123456789"), NULL, 10) * 1024;
        }
        if (file != NULL)
                (void)fclose(file);
        return found;
}

int memory_check_room(const struct catalogue_row *base, size_t count, struct cowherd_error *err)
{
        uint64_t available = 0, each = CLONE_OVERHEAD_BYTES + base->memory_bytes / CLONE_SHARE;
        char needed[NUMBER_TEXT_BYTES], there[NUMBER_TEXT_BYTES];

        if (!read_available(&available) || each <= available / count)
                return 0;
        (void)fail(err, COWHERD_BUSY, "%zu clone%s of live base '%s' need%s %s of memory at least, and %s is free", count, count == 1 ? "" : "s", base->name,
                   count == 1 ? "s" : "", number_format_size(each * count, needed), number_format_size(available, there));
        return fail_hint(err, "stop or delete others, take fewer, or say start=false for clones of its disk that are stopped");
}
