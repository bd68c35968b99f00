/* SPDX-License-Identifier: Apache-2.0 */
/* Standing still and going on; around a snapshot of the disk with the guest's filesystems frozen, where its agent can
 * do that. */
#include "engine/qemu/life.h"

#include "base/str.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/runtime.h"
#include "sys/file.h"

#include <string.h>

/* Lets it go on, and whoever waits for that know. */
static int go_on(struct qmp *qmp, const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_fd int runtime = -1;

        if (qmp_command(qmp, "cont", err) < 0 || qemu_runtime_open(instance, &runtime, err) < 0)
                return -1;
        return file_replace(runtime, QEMU_RESUMED, "", 0600, false, err);
}

int qemu_pause(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};

        if (qemu_control(instance, &qmp, err) < 0)
                return -1;
        return qmp_command(&qmp, "stop", err);
}

int qemu_resume(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};

        if (qemu_control(instance, &qmp, err) < 0)
                return -1;
        return go_on(&qmp, instance, err);
}

static bool stands_still(struct qmp *qmp)
{
        struct cowherd_error ignored;
        char status[64] = "";

        return qmp_status(qmp, status, sizeof status, QMP_TIMEOUT_MS, &ignored) == 0 && !str_equal(status, "running");
}

/*
 * Whether anything inside may have the agent's port open, or the helper's. QEMU knows of a virtio port, so that a guest without an agent is
 * not waited for; of a serial port it always says yes.
 */
static bool port_is_open(struct qmp *qmp)
{
        json_t *devices = NULL, *device;
        struct cowherd_error ignored;
        bool open = false;
        size_t i;

        if (qmp_execute(qmp, "query-chardev", NULL, -1, QMP_TIMEOUT_MS, &devices, &ignored) < 0)
                return true;
        json_array_foreach(devices, i, device)
        {
                const char *label = json_string_value(json_object_get(device, "label"));
                if (label != NULL && (str_equal(label, "agent") || str_starts(label, "guest")))
                        open |= json_is_true(json_object_get(device, "frontend-open"));
        }
        json_decref(devices);
        return open;
}

/* A machine that was paused before is neither frozen (its agent can't answer) nor let go on afterwards by us: see
 * resume. */
static int make_quiet(const struct engine_instance *instance, bool *ret_frozen, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct cowherd_error ignored;
        uint64_t frozen = 0;

        if (qemu_control(instance, &qmp, err) < 0)
                return -1;
        bool asked = !stands_still(&qmp) && port_is_open(&qmp) && inside_freeze(instance, &frozen, &ignored) == 0;
        if (qmp_command(&qmp, "stop", err) < 0) {
                if (asked)
                        ignore_result(inside_thaw(instance, &ignored));
                return -1;
        }
        *ret_frozen = frozen > 0;
        return 0;
}

/* Thawing is safe to repeat, and an absent agent froze nothing. */
static int let_go_on(const struct engine_instance *instance, bool *ret_frozen, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct cowherd_error ignored;

        if (qemu_control(instance, &qmp, err) < 0 || go_on(&qmp, instance, err) < 0)
                return -1;
        if (*ret_frozen)
                if (inside_thaw(instance, err) < 0)
                        return fail_while(err, "thawing the filesystems of '%s'", instance->name);
        if (!*ret_frozen && port_is_open(&qmp))
                ignore_result(inside_thaw(instance, &ignored));
        *ret_frozen = false;
        return 0;
}

int qemu_quiesce(const struct engine_instance *instance, bool quiet, bool *ret_frozen, struct cowherd_error *err)
{
        int done = quiet ? make_quiet(instance, ret_frozen, err) : let_go_on(instance, ret_frozen, err);

        return done < 0 ? fail_while(err, quiet ? "making '%s' quiet" : "letting '%s' go on", instance->name) : 0;
}
