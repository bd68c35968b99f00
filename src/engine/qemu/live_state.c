/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices' state, out of a machine and into one. QEMU's own migration to a file, with "x-ignore-shared": RAM is not in it, as it
 * is kept apart, but all the small blocks are (ROMs, video memory). Its end is an event (capability "events").
 *
 * RAM that is not shared would be streamed whole, so a clone, whose mapping is private, is asked for its devices alone
 * (xen-save-devices-state, which needs no Xen). That stream has neither header nor description, which the one that takes it
 * is told (qemu_wake.devices_only); what is in the small blocks, QEMU makes anew.
 *
 * Files go in and out as descriptors: the confined QEMU can open none.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIGRATION_TIMEOUT_MS 60000
#define DESCRIPTOR "live-state"

static json_t *capability(const char *name, bool on)
{
        return json_pack("{s:s, s:b}", "capability", name, "state", on);
}

static int set_capabilities(struct qmp *qmp, bool ignore_shared, struct cowherd_error *err)
{
        return qmp_execute(qmp, "migrate-set-capabilities",
                           json_pack("{s:[o, o]}", "capabilities", capability("events", true), capability("x-ignore-shared", ignore_shared)),
                           -1, QMP_TIMEOUT_MS, NULL, err);
}

/* 1 where the event is the end; -1 where that is a failure. */
static int read_event(const json_t *event, struct cowherd_error *err)
{
        const char *what = json_string_value(json_object_get(event, "event"));
        const char *status = json_string_value(json_object_get(json_object_get(event, "data"), "status"));

        if (!str_equal(what, "MIGRATION") || status == NULL)
                return 0;
        if (str_equal(status, "failed") || str_equal(status, "cancelled"))
                return fail(err, COWHERD_SYSTEM, "qemu's migration %s", status);
        return str_equal(status, "completed");
}

static int await_migration(struct qmp *qmp, struct cowherd_error *err)
{
        double deadline = clock_ms() + MIGRATION_TIMEOUT_MS;

        for (;;) {
                double left = deadline - clock_ms();
                json_t *event = NULL;
                if (qmp_event(qmp, left < 0 ? 0 : (uint64_t)left, &event, err) < 0)
                        return -1;
                int ended = read_event(event, err);
                json_decref(event);
                if (ended != 0)
                        return ended < 0 ? -1 : 0;
        }
}

/* What QEMU says of a migration that failed, if it says anything. */
static int explain(struct qmp *qmp, struct cowherd_error *err)
{
        struct cowherd_error ignored;
        json_t *value = NULL;

        if (qmp_execute(qmp, "query-migrate", NULL, -1, QMP_TIMEOUT_MS, &value, &ignored) < 0)
                return -1;
        const char *why = json_string_value(json_object_get(value, "error-desc"));
        if (why != NULL)
                (void)fail(err, COWHERD_SYSTEM, "qemu can't tell the state of its devices: %s", why);
        json_decref(value);
        return -1;
}

static int migrate(struct qmp *qmp, int state, struct cowherd_error *err)
{
        if (set_capabilities(qmp, true, err) < 0 ||
            qmp_execute(qmp, "getfd", json_pack("{s:s}", "fdname", DESCRIPTOR), state, QMP_TIMEOUT_MS, NULL, err) < 0 ||
            qmp_execute(qmp, "migrate", json_pack("{s:s}", "uri", "fd:" DESCRIPTOR), -1, QMP_TIMEOUT_MS, NULL, err) < 0)
                return -1;
        return await_migration(qmp, err) < 0 ? explain(qmp, err) : 0;
}

static int save_devices(struct qmp *qmp, int state, struct cowherd_error *err)
{
        json_t *value = NULL;
        char name[48];

        if (qmp_execute(qmp, "add-fd", NULL, state, QMP_TIMEOUT_MS, &value, err) < 0)
                return -1;
        json_int_t set = json_integer_value(json_object_get(value, "fdset-id"));
        json_decref(value);
        (void)snprintf(name, sizeof name, "/dev/fdset/%d", (int)set);
        /* live=false: the disks stay in use, the machine goes on with them. */
        int done = qmp_execute(qmp, "xen-save-devices-state", json_pack("{s:s, s:b}", "filename", name, "live", 0), -1,
                               MIGRATION_TIMEOUT_MS, NULL, err);
        struct cowherd_error ignored;
        ignore_result(qmp_execute(qmp, "remove-fd", json_pack("{s:I}", "fdset-id", set), -1, QMP_TIMEOUT_MS, NULL, &ignored));
        return done;
}

int live_state_save(struct qmp *qmp, int folder, const char *path, bool devices_only, struct cowherd_error *err)
{
        owned_fd int state = openat(folder, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC); /* an fdset wants it for writing alone */

        if (state < 0)
                return fail_errno(err, "cannot open '%s'", path);
        return devices_only ? save_devices(qmp, state, err) : migrate(qmp, state, err);
}

int live_state_load(struct qmp *qmp, int state, bool devices_only, struct cowherd_error *err)
{
        if (set_capabilities(qmp, !devices_only, err) < 0 ||
            qmp_execute(qmp, "getfd", json_pack("{s:s}", "fdname", DESCRIPTOR), state, QMP_TIMEOUT_MS, NULL, err) < 0 ||
            qmp_execute(qmp, "migrate-incoming", json_pack("{s:s}", "uri", "fd:" DESCRIPTOR), -1, QMP_TIMEOUT_MS, NULL, err) < 0)
                return -1;
        return await_migration(qmp, err);
}
