/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of an instance's life, each with its way back. Around the engine's own work lies the store's: a tree is activated
 * (mounted) before its engine starts it and put away after it stopped, and the identity that waits in the row is written into the
 * tree in between. Disks and LXD's instances get theirs from their engine.
 */
#include "herd/live.h"

#include "sys/clock.h"

#include <stdio.h>

void live_free(struct live *live)
{
        machine_free(&live->machine);
        thing_free(&live->thing);
        free(live->root);
        live->root = NULL;
}

int live_open(struct cowherd_herd *herd, bool durable, struct live *live, struct cowherd_error *err)
{
        if (thing_open(herd, durable, &live->thing, err) < 0 || machine_open(herd, &live->thing, &live->machine, err) < 0)
                return -1;
        if (live->thing.row.kind == STORE_TREE) {
                live->root = thing_path(&live->thing.place, &live->thing.row);
                live->machine.instance.root = live->root;
        }
        return 0;
}

int live_open_new(struct cowherd_herd *herd, const struct catalogue_row *row, int lock, struct live *live, struct cowherd_error *err)
{
        struct catalogue_row *own = &live->thing.row;
        int got = catalogue_get(herd->catalogue, row->id, own, err);

        if (got != 0)
                return got < 0 ? -1 : fail(err, COWHERD_INTERNAL, "'%s' is not in the catalogue", row->name);
        /* One that was kept warm is there with what it was made with. */
        x_replace(&own->extra, row->extra);
        own->memory_bytes = row->memory_bytes;
        own->cpus = row->cpus;
        x_replace(&own->hostname, row->hostname);
        x_replace(&own->machine_id, row->machine_id);
        x_replace(&own->mac, row->mac);
        x_replace(&own->uuid, row->uuid);
        x_replace(&own->generation_id, row->generation_id);
        x_replace(&own->instance_id, row->instance_id);
        x_replace(&own->random_seed, row->random_seed);
        if (live_open(herd, false, live, err) < 0)
                return -1;
        live->thing.place.place.lock = lock;
        return 0;
}

int live_fail_unable(const struct live *live, const char *what, struct cowherd_error *err)
{
        const struct catalogue_row *row = &live->thing.row;

        return fail(err, COWHERD_UNAVAILABLE, "%s can't %s '%s': that is not available in this version", cowherd_target_name(row->target), what, row->name);
}

static int activate(struct live *live, uint32_t id_shift, struct cowherd_error *err)
{
        struct thing *thing = &live->thing;
        char *root = NULL;

        if (thing->driver->activate == NULL)
                return 0;
        thing->object.id_shift = id_shift;
        if (thing->driver->activate(&thing->place.place, &thing->object, &root, err) < 0)
                return -1;
        free(live->root);
        live->root = root;
        live->machine.instance.root = root;
        return 0;
}

static int deactivate(const struct live *live, struct cowherd_error *err)
{
        const struct thing *thing = &live->thing;

        return thing->driver->deactivate == NULL ? 0 : thing->driver->deactivate(&thing->place.place, &thing->object, err);
}

/* Its tree where its engine can start it, the identity inside. Nobody but its own users can write where owners are shown shifted. */
static int make_ready(struct live *live, struct cowherd_error *err)
{
        const struct engine_driver *engine = live->machine.engine;
        uint32_t id_shift = engine->id_shift == NULL ? 0 : engine->id_shift(&live->machine.instance);
        bool apart = live_has_to_personalise(live);
        struct cowherd_error ignored;

        if (activate(live, apart ? 0 : id_shift, err) < 0)
                return -1;
        if (apart && live_personalise(live, err) < 0) {
                ignore_result(deactivate(live, &ignored));
                return -1;
        }
        if (!apart || id_shift == 0)
                return 0;
        return deactivate(live, err) < 0 || activate(live, id_shift, err) < 0 ? -1 : 0;
}

int live_start(struct live *live, struct cowherd_error *err)
{
        const struct engine_driver *engine = live->machine.engine;
        const char *name = live->thing.row.name;
        double began = clock_ms();
        struct cowherd_error ignored;

        if (engine->start == NULL)
                return live_fail_unable(live, "start", err);
        if ((engine->check != NULL && engine->check(&live->machine.instance, err) < 0) || make_ready(live, err) < 0)
                return fail_while(err, "starting '%s'", name);
        int started = engine->start(&live->machine.instance, &live->start, err);
        if (started > 0)
                return 1;
        if (started < 0) {
                ignore_result(deactivate(live, &ignored));
                return fail_while(err, "starting '%s'", name);
        }
        live->start_ms = clock_ms() - began;
        live->started = true;
        if (live->user_data_unread && live->start.note[0] == '\0')
                (void)snprintf(live->start.note, sizeof live->start.note, "nothing inside reads user_data: its tree has no cloud-init");
        if (live->thing.row.kind == STORE_TREE && !live->thing.row.keep_identity)
                live->start.identity_applied = true;
        return 0;
}

int live_stop(struct live *live, uint64_t timeout_ms, bool force, struct cowherd_error *err)
{
        const struct engine_driver *engine = live->machine.engine;
        double began = clock_ms();

        if (engine->stop == NULL)
                return live_fail_unable(live, "stop", err);
        if (engine->stop(&live->machine.instance, timeout_ms, force, &live->forced, err) < 0)
                return fail_while(err, "stopping '%s'", live->thing.row.name);
        live->stuck = deactivate(live, err) < 0;
        if (live->stuck)
                return fail_while(err, "stopping '%s'", live->thing.row.name);
        live->stop_ms = clock_ms() - began;
        live->stopped = true;
        return 0;
}

int live_pause(struct live *live, struct cowherd_error *err)
{
        const struct engine_driver *engine = live->machine.engine;

        if (engine->pause == NULL)
                return live_fail_unable(live, "pause", err);
        return engine->pause(&live->machine.instance, err) < 0 ? fail_while(err, "pausing '%s'", live->thing.row.name) : 0;
}

int live_resume(struct live *live, struct cowherd_error *err)
{
        const struct engine_driver *engine = live->machine.engine;

        if (engine->resume == NULL)
                return live_fail_unable(live, "resume", err);
        return engine->resume(&live->machine.instance, err) < 0 ? fail_while(err, "resuming '%s'", live->thing.row.name) : 0;
}

int live_wait(struct live *live, enum engine_event what, double deadline_ms, struct cowherd_error *err)
{
        const struct engine_driver *engine = live->machine.engine;
        double began = clock_ms(), left = deadline_ms - began;

        if (engine->wait == NULL)
                return live_fail_unable(live, "wait for", err);
        int got = engine->wait(&live->machine.instance, what, left > 0 ? (uint64_t)left : 0, &live->wait, err);
        live->wait_ms = clock_ms() - began;
        return got < 0 ? fail_while(err, "waiting for '%s'", live->thing.row.name) : 0;
}

int live_end(struct live *live, struct cowherd_error *err)
{
        const struct engine_driver *engine = live->machine.engine;
        const struct engine_instance *instance = &live->machine.instance;

        if (live->state == ENGINE_RUNNING || live->state == ENGINE_PAUSED) {
                if (engine->stop == NULL)
                        return live_fail_unable(live, "stop", err);
                if (engine->stop(instance, 0, true, &live->forced, err) < 0)
                        return fail_while(err, "ending '%s'", instance->name);
                live->stopped = true;
        }
        if (engine->tidy != NULL && engine->tidy(instance, err) < 0)
                return fail_while(err, "tidying up after '%s'", instance->name);
        return deactivate(live, err);
}

int live_tidy(struct live *live, bool end, struct cowherd_error *err)
{
        if (live->machine.engine->states(&live->machine.instance, 1, &live->state, err) < 0)
                return -1;
        if (!end && (live->state == ENGINE_RUNNING || live->state == ENGINE_PAUSED))
                return live->machine.engine->trim_log == NULL ? 0 : live->machine.engine->trim_log(&live->machine.instance, err);
        return live_end(live, err);
}

int live_note_identity(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row row owned_by(catalogue_row_free) = {0};

        if (ownership_take(&owned, id, true, err) < 0)
                return -1;
        int got = catalogue_get(herd->catalogue, id, &row, err);
        if (got < 0)
                return -1;
        if (got > 0)
                return 0;
        if (row.phase != CATALOGUE_READY || row.identity_applied)
                return 0;
        live_identity_is_inside(&row);
        return catalogue_settle(herd->catalogue, &row, 1, err);
}

void fields_of_phases(struct cowherd_answer *answer, const struct engine_phases *phases)
{
        for (size_t i = 0; i < phases->count; i++) {
                char name[48];
                (void)snprintf(name, sizeof name, "%.40s_ms", phases->items[i].name);
                answer_ms(answer, name, phases->items[i].ms);
        }
}

void fields_of_start(struct cowherd_answer *answer, const struct live *live)
{
        answer_ms(answer, "start_ms", live->start_ms);
        fields_of_phases(answer, &live->start.phases);
        if (live->machine.machine.live != NULL) {
                answer_flag(answer, "live", true);
                answer_number(answer, "private_bytes", live->start.private_bytes);
                answer_number(answer, "shared_bytes", live->start.shared_bytes);
        }
        if (live->start.pending[0] != '\0' && !live->wait.identity_applied)
                answer_text(answer, "identity_pending", live->start.pending);
        if (live->start.note[0] != '\0')
                answer_text(answer, "note", live->start.note);
}

void fields_of_wait(struct cowherd_answer *answer, const struct live *live)
{
        answer_ms(answer, "wait_ms", live->wait_ms);
        fields_of_phases(answer, &live->wait.phases);
        if (live->wait.address[0] != '\0')
                answer_text(answer, "address", live->wait.address);
}
