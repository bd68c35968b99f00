/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `zfs` program, for OpenZFS and for zfs-fuse alike: what both of them have is what is used (zfs-fuse's pool
 * version is 23: no `list -p`, no `zpool sync`, one property a `set`). Its exit status tells success from failure only,
 * so what failed is read from its last line, which LC_ALL=C keeps in one language.
 */
#include "store/zfs.h"

#include "sys/process.h"

#include <string.h>
#include <time.h>

#define RELEASE_TRIES 20
#define RELEASE_MS 100

static const struct {
        const char *text;
        enum cowherd_code code;
} meanings[] = {
        {"does not exist", COWHERD_NOT_FOUND},
        {"no such pool", COWHERD_NOT_FOUND},
        {"already exists", COWHERD_EXISTS},
        {"dependent clones", COWHERD_BUSY},
        {"has children", COWHERD_BUSY},
        {"busy", COWHERD_BUSY},
        {"out of space", COWHERD_IO},
        {"No space left", COWHERD_IO},
        {"I/O error", COWHERD_IO},
        {"I/O is currently suspended", COWHERD_IO},
        {"read-only", COWHERD_IO},
        {"ermission denied", COWHERD_DENIED},
        {"must be root", COWHERD_DENIED},
};

/* The first line that the program wrote to its stderr: what follows are its hints. To be freed. */
static char *first_line(const char *errors)
{
        return x_strndup(errors == NULL ? "" : errors, errors == NULL ? 0 : strcspn(errors, "\n"));
}

static int fail_zfs(const struct process *zfs, const struct process_result *result, struct cowherd_error *err)
{
        owned_str char *line = first_line(result->errors);
        enum cowherd_code code = COWHERD_SYSTEM;

        for (size_t i = 0; code == COWHERD_SYSTEM && i < array_length(meanings); i++)
                if (result->errors != NULL && strstr(result->errors, meanings[i].text) != NULL)
                        code = meanings[i].code;
        return fail(err, code, "'zfs %s' failed with status %d: %s", zfs->argv.items[1], result->status, line);
}

static int run(const struct process *zfs, char **ret_output, struct cowherd_error *err)
{
        owned_process_result struct process_result result = {0};

        if (process_run(zfs, &result, err) < 0)
                return -1;
        if (result.status != 0)
                return fail_zfs(zfs, &result, err);
        if (ret_output != NULL)
                *ret_output = take(result.output);
        return 0;
}

static void add_words(struct process *zfs, const struct store_place *place, va_list words)
{
        if (place->lock > 0)
                zfs->keep[zfs->keep_count++] = place->lock;
        strv_add(&zfs->argv, "zfs");
        for (const char *word; (word = va_arg(words, const char *)) != NULL;)
                strv_add(&zfs->argv, word);
}

int zfs_run(const struct store_place *place, char **ret_output, struct cowherd_error *err, ...)
{
        owned_process struct process zfs = {.timeout_ms = ZFS_TIMEOUT_MS};
        va_list words;

        va_start(words, err);
        add_words(&zfs, place, words);
        va_end(words);
        return run(&zfs, ret_output, err);
}

bool zfs_is_to_be_retried(const struct cowherd_error *why, unsigned *tries)
{
        if (why->code != COWHERD_BUSY || zfs_has_dependents(why) || (*tries)++ == RELEASE_TRIES)
                return false;
        (void)nanosleep(&(struct timespec){.tv_nsec = RELEASE_MS * 1000000L}, NULL);
        return true;
}

int zfs_run_patiently(const struct store_place *place, struct cowherd_error *err, ...)
{
        owned_process struct process zfs = {.timeout_ms = ZFS_TIMEOUT_MS};
        struct cowherd_error why;
        va_list words;

        va_start(words, err);
        add_words(&zfs, place, words);
        va_end(words);
        unsigned tries = 0;
        do {
                if (run(&zfs, NULL, &why) == 0)
                        return 0;
        } while (zfs_is_to_be_retried(&why, &tries));
        *err = why; /* set where it is not there, too: some callers take that as a failure */
        return why.code == COWHERD_NOT_FOUND ? 1 : -1;
}

bool zfs_has_dependents(const struct cowherd_error *why)
{
        return strstr(why->text, "dependent") != NULL || strstr(why->text, "has children") != NULL;
}

int zfs_get(const struct store_place *place, const char *dataset, const char *properties, struct strv *ret,
            struct cowherd_error *err)
{
        owned_str char *output = NULL;

        if (zfs_run(place, &output, err, "get", "-Hp", "-o", "value", properties, dataset, NULL) < 0)
                return -1;
        for (const char *line = output; *line != '\0';) {
                size_t length = strcspn(line, "\n");
                strv_take(ret, x_strndup(line, length));
                line += length + (line[length] == '\n');
        }
        return 0;
}

int zfs_exists(const struct store_place *place, const char *dataset, struct cowherd_error *err)
{
        struct cowherd_error why;

        if (zfs_run(place, NULL, &why, "list", "-H", "-o", "name", dataset, NULL) == 0)
                return 0;
        if (why.code == COWHERD_NOT_FOUND)
                return 1;
        *err = why;
        return -1;
}
