/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a running machine's chain. A new overlay is opened by us and handed over (add-fd), described with explicit
 * format and without a backing file, and put on top: QEMU gives it the disk so far as its backing, whatever its header
 * says, and both files may be renamed afterwards, as no name is ever looked at again. Flattening copies into the
 * topmost file all that it reads through others, and ends with a header that names none.
 */
#include "engine/qemu/life.h"

#include "base/mem.h"
#include "engine/qemu/line.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOB "flatten"
#define JOB_QUESTION_MS 500 /* how often progress is asked; its end is an event */

/* The node on top of the disk, "disk3", to be freed. */
static int find_top(struct qmp *qmp, char **ret, struct cowherd_error *err)
{
        json_t *blocks = NULL, *block;
        const char *name = NULL;
        size_t i;

        if (qmp_execute(qmp, "query-block", NULL, -1, QMP_TIMEOUT_MS, &blocks, err) < 0)
                return -1;
        json_array_foreach(blocks, i, block)
        {
                const char *device = json_string_value(json_object_get(block, "qdev"));
                /* "disk", or for some devices the path of what is behind it */
                if (device != NULL && (strcmp(device, "disk") == 0 || str_starts(device, "/machine/peripheral/disk/")))
                        name = json_string_value(json_object_get(json_object_get(block, "inserted"), "node-name"));
        }
        owned_str char *found = x_strdup(name);
        json_decref(blocks);
        if (found == NULL || !str_starts(found, "disk"))
                return fail(err, COWHERD_SYSTEM, "qemu tells no disk of the machine");
        *ret = take(found);
        return 0;
}

/* Hands a descriptor over; *ret_set is the fdset it is in. */
static int add_descriptor(struct qmp *qmp, int fd, int *ret_set, struct cowherd_error *err)
{
        json_t *value = NULL;

        if (qmp_execute(qmp, "add-fd", NULL, fd, QMP_TIMEOUT_MS, &value, err) < 0)
                return -1;
        *ret_set = (int)json_integer_value(json_object_get(value, "fdset-id"));
        json_decref(value);
        return 0;
}

static int put_on_top(struct qmp *qmp, const char *top, int fd, struct cowherd_error *err)
{
        struct cowherd_error ignored;
        int set = -1;

        owned_str char *next = x_asprintf("disk%lu", strtoul(top + strlen("disk"), NULL, 10) + 1);
        /* Whoever was killed between its two commands has left a node of this name that nothing uses; mostly there is none. */
        ignore_result(qmp_execute(qmp, "blockdev-del", json_pack("{s:s}", "node-name", next), -1, QMP_TIMEOUT_MS, NULL, &ignored));
        if (add_descriptor(qmp, fd, &set, err) < 0)
                return -1;
        if (qmp_execute(qmp, "blockdev-add", qemu_layer_node(next, "qcow2", set, true, NULL), -1, QMP_TIMEOUT_MS, NULL,
                        err) < 0)
                return -1;
        if (qmp_execute(qmp, "blockdev-snapshot", json_pack("{s:s, s:s}", "node", top, "overlay", next), -1,
                        QMP_TIMEOUT_MS, NULL, err) == 0)
                return 0;
        ignore_result(qmp_execute(qmp, "blockdev-del", json_pack("{s:s}", "node-name", next), -1, QMP_TIMEOUT_MS, NULL,
                                  &ignored));
        return -1;
}

int qemu_switch_disk_by(struct qmp *qmp, const struct engine_instance *instance, const char *next, struct cowherd_error *err)
{
        owned_str char *top = NULL;

        owned_fd int fd = openat(instance->folder, next, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, "cannot open the overlay '%s'", next);
        if (find_top(qmp, &top, err) < 0 || put_on_top(qmp, top, fd, err) < 0)
                return fail_while(err, "putting '%s' on the disk of '%s'", next, instance->name);
        return 0;
}

int qemu_switch_disk(const struct engine_instance *instance, const char *next, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};

        return qemu_control(instance, &qmp, err) < 0 ? -1 : qemu_switch_disk_by(&qmp, instance, next, err);
}

/* 1 where the event is the job's end; -1 where that was a failure. */
static int read_event(const json_t *event, struct cowherd_error *err)
{
        const char *what = json_string_value(json_object_get(event, "event"));
        const json_t *data = json_object_get(event, "data");
        const char *device = json_string_value(json_object_get(data, "device"));
        const char *why = json_string_value(json_object_get(data, "error"));

        if (what == NULL || device == NULL || strcmp(device, JOB) != 0)
                return 0;
        if (str_equal(what, "BLOCK_JOB_CANCELLED"))
                return fail(err, COWHERD_BUSY, "it was cancelled");
        if (!str_equal(what, "BLOCK_JOB_COMPLETED"))
                return 0;
        return why == NULL ? 1 : fail(err, strstr(why, "No space") != NULL ? COWHERD_IO : COWHERD_SYSTEM, "%s", why);
}

static int report_progress(struct qmp *qmp, void (*report)(void *context, uint64_t done, uint64_t total), void *context,
                           struct cowherd_error *err)
{
        json_t *jobs = NULL, *job;
        size_t i;

        if (qmp_execute(qmp, "query-block-jobs", NULL, -1, QMP_TIMEOUT_MS, &jobs, err) < 0)
                return -1;
        json_array_foreach(jobs, i, job)
        {
                const char *device = json_string_value(json_object_get(job, "device"));
                if (report != NULL && device != NULL && strcmp(device, JOB) == 0)
                        report(context, (uint64_t)json_integer_value(json_object_get(job, "offset")),
                               (uint64_t)json_integer_value(json_object_get(job, "len")));
        }
        json_decref(jobs);
        return 0;
}

static int await_job(struct qmp *qmp, void (*report)(void *context, uint64_t done, uint64_t total), void *context,
                     struct cowherd_error *err)
{
        for (;;) {
                struct cowherd_error none;
                json_t *event = NULL;
                if (qmp_event(qmp, JOB_QUESTION_MS, &event, &none) <
                    0) { /* none yet, or QEMU is gone: the next question tells */
                        if (report_progress(qmp, report, context, err) < 0)
                                return -1;
                        continue;
                }
                int ended = read_event(event, err);
                json_decref(event);
                if (ended != 0)
                        return ended < 0 ? -1 : 0;
        }
}

int qemu_flatten(const struct engine_instance *instance, void (*report)(void *context, uint64_t done, uint64_t total),
                 void *context, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        owned_str char *top = NULL;

        if (qemu_speak(instance, QEMU_JOBS, &qmp, err) < 0)
                return -1;
        if (find_top(&qmp, &top, err) < 0 ||
            qmp_execute(&qmp, "block-stream", json_pack("{s:s, s:s}", "job-id", JOB, "device", top), -1, QMP_TIMEOUT_MS,
                        NULL, err) < 0 ||
            await_job(&qmp, report, context, err) < 0)
                return fail_while(err, "flattening the disk of '%s'", instance->name);
        return 0;
}
