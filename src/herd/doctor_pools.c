/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: the pools. Each place that setup made, and each that an engine's bases would go to now, is asked once, by its store:
 * devices that count errors, a pool that is not whole, room that runs out.
 */
#include "herd/doctor.h"

static void tell(struct findings *findings, const struct store_driver *driver, const struct place *place)
{
        struct store_health health = {0};
        struct cowherd_error why = {0};
        const char *name = str_is_empty(place->name) ? "the root folder" : place->name;
        owned_str char *check = x_asprintf("pool of %s in %s", driver->name, name);

        if (driver->health == NULL)
                return;
        if (driver->health(&place->place, &health, &why) < 0)
                doctor_add(findings, check, LEVEL_PROBLEM, why.text, why.hint);
        else
                doctor_add(findings, check, health.ok ? LEVEL_OK : LEVEL_PROBLEM, health.detail, health.advice);
}

/* Tells of a place unless that was done. */
static void tell_once(struct findings *findings, struct strv *told, const struct store_driver *driver, const struct place *place)
{
        owned_str char *which = x_asprintf("%s:%s", driver->name, place->name == NULL ? "" : place->name);

        if (strv_has(told, which))
                return;
        strv_add(told, which);
        tell(findings, driver, place);
}

static void tell_chosen(struct findings *findings, enum cowherd_target target, struct strv *told)
{
        struct choice choice owned_by(choice_free) = {.place.fd = -1};
        const struct engine_driver *engine = NULL;
        struct engine_probe probe = {0};
        struct cowherd_error ignored;

        if (engine_find(target, &engine, &ignored) == 0 && engine->probe(&probe, &ignored) == 0 && probe.available &&
            choice_make(findings->call->herd, target, kind_of_target(target), NULL, false, &choice, &ignored) == 0)
                tell_once(findings, told, choice.driver, &choice.place);
}

static void tell_made(struct findings *findings, const char *name, struct strv *told)
{
        struct cowherd_herd *herd = findings->call->herd;
        struct catalogue_place made owned_by(catalogue_place_free) = {0};
        struct place place owned_by(place_close) = {.fd = -1};
        const struct store_driver *driver = NULL;
        struct cowherd_error why = {0};
        owned_str char *check = x_asprintf("pool '%s'", name);

        if (catalogue_get_place(herd->catalogue, name, &made, &why) != 0)
                return;
        bool is_lxd = str_equal(made.store, "lxd_pool");
        if (findings->asked != COWHERD_ANY && is_lxd != (findings->asked == COWHERD_LXD))
                return;
        if (place_is_unfinished(&made)) {
                doctor_add(findings, check, LEVEL_PROBLEM, "its setup or teardown was interrupted, or is under way", "cowherd cleanup");
                return;
        }
        if (store_find(made.store, &driver, &why) < 0 || place_open(herd, name, false, &place, &why) < 0)
                doctor_add(findings, check, LEVEL_PROBLEM, why.text, why.hint);
        else
                tell_once(findings, told, driver, &place);
}

int doctor_pools(struct findings *findings, struct cowherd_error *err)
{
        struct strv places owned_by(strv_free) = {0}, told owned_by(strv_free) = {0};
        struct catalogue *catalogue = findings->call->herd->catalogue;

        if (catalogue != NULL && catalogue_list_places(catalogue, &places, err) < 0)
                return -1;
        for (int target = 0; target < COWHERD_ENGINES; target++)
                if (doctor_wants(findings, (enum cowherd_target)target))
                        tell_chosen(findings, (enum cowherd_target)target, &told);
        for (size_t i = 0; i < places.count; i++)
                tell_made(findings, places.items[i], &told);
        return 0;
}
