/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which store an engine's bases go to. It is never guessed from a table of filesystems: the store itself is asked about
 * the very folder, by doing there what a clone will do. A store that setup made a place for is asked about that place;
 * all others about the herd's root.
 */
#include "herd/herd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum store_kind kind_of_target(enum cowherd_target target)
{
        return target == COWHERD_QEMU ? STORE_DISK : target == COWHERD_LXD ? STORE_INSTANCE : STORE_TREE;
}

void choice_free(struct choice *choice)
{
        place_close(&choice->place);
}

/* The place of a store: the one setup made for it (it bears the store's name), else the root. */
static int place_of_store(struct cowherd_herd *herd, const char *store, bool durable, struct place *ret, struct cowherd_error *err)
{
        struct catalogue_place made owned_by(catalogue_place_free) = {0};
        int got = herd->catalogue == NULL ? 1 : catalogue_get_place(herd->catalogue, store, &made, err);

        if (got < 0)
                return -1;
        return place_open(herd, got == 0 && !place_is_unfinished(&made) ? store : "", durable, ret, err);
}

int choice_probe(struct cowherd_herd *herd, const char *store, enum store_kind kind, bool durable, struct choice *ret,
                 struct cowherd_error *err)
{
        struct choice choice owned_by(choice_free) = {.place.fd = -1};

        if (store_find(store, &choice.driver, err) < 0)
                return -1;
        if (place_of_store(herd, store, durable, &choice.place, err) < 0)
                return -1;
        if ((choice.driver->kinds & (unsigned)kind) == 0) {
                choice.probe = (struct store_probe){.usable = false};
                (void)snprintf(choice.probe.reason, sizeof choice.probe.reason, "it does not keep %s",
                               kind == STORE_DISK ? "disks" : kind == STORE_TREE ? "trees" : "LXD instances");
        } else if (choice.driver->probe(&choice.place.place, kind, &choice.probe, err) < 0) {
                return fail_while(err, "probing store '%s'", store);
        }
        *ret = choice;
        choice = (struct choice){.place.fd = -1};
        return 0;
}

/* One store, asked for by name: what it can't is an error with the reason. */
static int choose_asked(struct cowherd_herd *herd, enum store_kind kind, const char *asked, bool durable, struct choice *ret,
                        struct cowherd_error *err)
{
        struct choice choice owned_by(choice_free) = {.place.fd = -1};

        if (choice_probe(herd, asked, kind, durable, &choice, err) < 0)
                return -1;
        if (!choice.probe.usable) {
                (void)fail(err, COWHERD_UNAVAILABLE, "store '%s' can't be used here: %s", asked, choice.probe.reason);
                return fail_hint(err, "'status' tells which stores can");
        }
        *ret = choice;
        choice = (struct choice){.place.fd = -1};
        return 0;
}

/* The first of an engine's stores that works here. */
static int choose_first(struct cowherd_herd *herd, enum cowherd_target target, enum store_kind kind, bool durable,
                        struct choice *ret, struct cowherd_error *err)
{
        const struct engine_driver *engine = NULL;
        owned_string struct str reasons = {0};

        if (engine_find(target, &engine, err) < 0)
                return -1;
        for (const char *at = engine->default_stores; *at != '\0';) {
                size_t length = strcspn(at, " ");
                owned_str char *name = x_strndup(at, length);
                struct choice choice owned_by(choice_free) = {.place.fd = -1};

                at += length + strspn(at + length, " ");
                if (choice_probe(herd, name, kind, durable, &choice, err) < 0)
                        return -1;
                if (choice.probe.usable && !choice.driver->on_request) {
                        *ret = choice;
                        choice = (struct choice){.place.fd = -1};
                        return 0;
                }
                if (!choice.probe.usable)
                        str_addf(&reasons, "%s%s: %s", reasons.length > 0 ? "; " : "", name, choice.probe.reason);
        }
        if (target == COWHERD_NSPAWN && geteuid() != 0) {
                (void)fail(err, COWHERD_DENIED, "nspawn needs root (%s)", str_text(&reasons));
                return fail_hint(err, "run cowherd as root: sudo cowherd …");
        }
        (void)fail(err, COWHERD_UNAVAILABLE, "no store for %s works here (%s)", cowherd_target_name(target), str_text(&reasons));
        if (target == COWHERD_QEMU)
                return fail_hint(err, "qcow2 works wherever the root folder can be written to: say --root DIR, or set COWHERD_ROOT");
        return target == COWHERD_LXD ? fail_hint(err, "run 'cowherd lxd setup' to make a storage pool")
                                     : fail_hint(err, "run 'cowherd nspawn setup store=btrfs' to make an embedded pool, or say store=copy");
}

int choice_make(struct cowherd_herd *herd, enum cowherd_target target, enum store_kind kind, const char *asked, bool durable,
                struct choice *ret, struct cowherd_error *err)
{
        owned_str char *key = x_asprintf("%s.store", cowherd_target_name(target)), *chosen = NULL;

        if (asked != NULL)
                return choose_asked(herd, kind, asked, durable, ret, err);
        if (herd->catalogue != NULL && catalogue_get_setting(herd->catalogue, key, &chosen, err) < 0)
                return -1;
        if (chosen != NULL)
                return choose_asked(herd, kind, chosen, durable, ret, err);
        return choose_first(herd, target, kind, durable, ret, err);
}
