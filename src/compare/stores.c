/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pairs of engine and store there are, which of them work in this folder, and why not the others, with the one command that would
 * change that. A pool that has to be set up first is set up in the comparison's own herd.
 */
#include "compare/stores.h"

#include "sys/process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POOL_OVERHEAD (1ull << 30) /* of a pool, besides what is put in */

static const struct kind kinds[] = {
        {COWHERD_QEMU, "qcow2", "qcow2 overlay on a backing file", "64 KiB clusters"},
        {COWHERD_QEMU, "reflink", "shared extents (FICLONE)", "filesystem blocks"},
        {COWHERD_QEMU, "copy", "a full copy", "nothing is shared"},
        {COWHERD_LXD, "lxd_pool", "LXD's copy of a snapshot in its pool", "as its driver has it"},
        {COWHERD_NSPAWN, "btrfs", "btrfs snapshot of a subvolume", "4 KiB blocks"},
        {COWHERD_NSPAWN, "zfs", "ZFS clone of a snapshot", "records of up to 128 KiB"},
        {COWHERD_NSPAWN, "overlay", "overlayfs: layers, mounted when used", "whole files"},
        {COWHERD_NSPAWN, "reflink", "shared extents of every file (FICLONE)", "filesystem blocks"},
        {COWHERD_NSPAWN, "hardlink", "a farm of hard links below an overlay", "whole files"},
        {COWHERD_NSPAWN, "copy", "a full copy", "nothing is shared"},
};

const struct kind *kind_at(size_t index)
{
        return index < array_length(kinds) ? &kinds[index] : NULL;
}

void found_free(struct found *found)
{
        free(found->reason);
        free(found->detail);
        free(found->command);
        free(found->pool);
        *found = (struct found){0};
}

/* ---- why not, and what to do ---- */

/* The reason that status gives for a store: "name: reason; name: reason". To be freed, or NULL. */
static char *reason_in(const char *refused, const char *store)
{
        owned_str char *wanted = x_asprintf("%s: ", store);

        for (const char *at = refused; at != NULL && (at = strstr(at, wanted)) != NULL; at++) {
                if (at != refused && !str_starts(at - 2, "; "))
                        continue;
                const char *begin = at + strlen(wanted), *end = begin + strlen(begin);
                for (size_t i = 0; i < array_length(kinds); i++) {
                        owned_str char *next = x_asprintf("; %s: ", kinds[i].store);
                        const char *other = strstr(begin, next);
                        end = other != NULL && other < end ? other : end;
                }
                return x_strndup(begin, (size_t)(end - begin));
        }
        return NULL;
}

/* The one command that would make a store work. */
static const char *command_for(const struct kind *kind)
{
        if (geteuid() != 0 && kind->target == COWHERD_NSPAWN)
                return "sudo cowherd compare";
        if (str_equal(kind->store, "btrfs"))
                return process_exists("mkfs.btrfs") ? "cowherd nspawn setup store=btrfs size=20G" : "apt install btrfs-progs";
        if (str_equal(kind->store, "zfs"))
                return process_exists("zpool") ? "zpool create tank DISK" : "apt install zfsutils-linux";
        if (str_equal(kind->store, "reflink"))
                return "cowherd --root DIR compare, DIR being on XFS or btrfs";
        return NULL;
}

/* ---- finding out ---- */

/* The first ZFS pool there is, to be freed, or NULL. */
static char *find_zpool(void)
{
        owned_str char *names = NULL;
        struct cowherd_error ignored;

        if (!process_exists("zpool") || tool(NULL, &names, &ignored, "zpool", "list", "-H", "-o", "name", NULL) < 0 || names[0] == '\0')
                return NULL;
        return x_strndup(names, strcspn(names, "\n"));
}

/* A pool that is to be set up first. */
static void try_setup(struct session *session, const struct kind *kind, const struct image *image, struct found *found)
{
        struct cowherd_error err = {0};
        unsigned long long bytes = (image->bytes * 4 + POOL_OVERHEAD) >> 20;
        const char *pool = NULL;

        if (str_equal(kind->store, "zfs")) {
                found->pool = find_zpool();
                if (found->pool == NULL) {
                        found->reason = x_strdup(process_exists("zpool") ? "there is no ZFS pool, or nobody answers for it" : "ZFS is not installed");
                        return;
                }
                pool = word("pool=%s", found->pool);
        } else {
                pool = word("size=%lluM", bytes);
        }
        found->works = say(session->herd, kind->target, NULL, NULL, &err, "setup", word("store=%s", kind->store), pool, NULL) == 0;
        if (!found->works)
                found->reason = x_strdup(err.text);
}

void store_find_out(struct session *session, const struct kind *kind, const struct cowherd_answer *status, const struct image *image, bool wanted,
                    struct found *found)
{
        bool available = answer_value(status, "available") != 0, pool = str_equal(kind->store, "btrfs") || str_equal(kind->store, "zfs");
        const char *reason = cowherd_answer_get(status, "reason"), *advice = cowherd_answer_get(status, "advice");

        found->works = available && str_in_words(cowherd_answer_get(status, "stores"), kind->store);
        if (!available) {
                found->reason = x_strdup(str_is_empty(reason) ? "the engine can't be used here" : reason);
                found->command = x_strdup(advice);
                return;
        }
        if (str_equal(kind->store, cowherd_answer_get(status, "store")))
                found->detail = x_strdup(cowherd_answer_get(status, "store_detail"));
        if (!found->works && pool && wanted)
                try_setup(session, kind, image, found);
        if (found->works)
                return;
        if (found->reason == NULL)
                found->reason = reason_in(cowherd_answer_get(status, "stores_refused"), kind->store);
        if (found->reason == NULL)
                found->reason = x_strdup("it does not work here");
        found->command = x_strdup(command_for(kind));
}

/* What is said of the folder that is measured in is meant of the caller's: that one is gone soon. */
static void name_root(const struct session *session, char **text)
{
        char *at = *text == NULL ? NULL : strstr(*text, session->site->folder);

        if (at == NULL)
                return;
        char *named = x_asprintf("%.*s%s%s", (int)(at - *text), *text, session->site->root, at + strlen(session->site->folder));
        free(*text);
        *text = named;
}

void store_add_row(struct session *session, const struct kind *kind, struct found *found)
{
        name_root(session, &found->reason);
        name_root(session, &found->detail);
        json_t *row = json_pack("{s:s, s:s, s:b, s:s, s:s}", "engine", cowherd_target_name(kind->target), "store", kind->store, "works", found->works, "technology",
                                kind->technology, "granularity", kind->granularity);
        const char *texts[][2] = {{"detail", found->detail}, {"reason", found->reason}, {"command", found->command}};

        for (size_t i = 0; i < array_length(texts); i++)
                if (texts[i][1] != NULL)
                        json_object_set_new(row, texts[i][0], json_stringn_nocheck(texts[i][1], strlen(texts[i][1])));
        json_array_append_new(json_object_get(session->document, "rows"), row);
}

void setup_add(struct session *session, const char *engine, const char *what, const char *state, const char *detail, const char *command)
{
        json_t *entry = json_pack("{s:s, s:s, s:s, s:s}", "engine", engine, "what", what, "state", state, "detail", detail == NULL ? "" : detail);

        json_object_set_new(entry, "command", command == NULL ? json_null() : json_stringn_nocheck(command, strlen(command)));
        json_array_append_new(json_object_get(session->document, "setup"), entry);
}

