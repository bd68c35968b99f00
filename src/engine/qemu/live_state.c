/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices' state, out of a machine and into one. It is asked for by xen-save-devices-state, which needs no Xen and takes what a
 * migration does but RAM. A migration with "x-ignore-shared" leaves out shared RAM too, but a clone's mapping is private and would be
 * streamed whole; and after a migration the disks are given up, so that for a while the machine looks stopped to everybody and its
 * disk can't be switched. What a migration has besides, the small blocks of ROMs and video memory, QEMU makes anew; a screen is redrawn.
 *
 * That stream has neither header nor description, which the machine that takes it is told in its line. There it is a migration, whose
 * end is an event (capability "events"). Files go in and out as descriptors: the confined QEMU can open none.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STATE_TIMEOUT_MS 60000
#define STATE_BYTES (64u << 20) /* more than the devices of any machine here have */
#define DESCRIPTOR "live-state"

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
        double deadline = clock_ms() + STATE_TIMEOUT_MS;

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

static int save(struct qmp *qmp, int state, struct cowherd_error *err)
{
        struct cowherd_error ignored;
        json_t *value = NULL;
        char name[48];

        if (qmp_execute(qmp, "add-fd", NULL, state, QMP_TIMEOUT_MS, &value, err) < 0)
                return -1;
        json_int_t set = json_integer_value(json_object_get(value, "fdset-id"));
        json_decref(value);
        (void)snprintf(name, sizeof name, "/dev/fdset/%d", (int)set);
        /* live=false: the disks stay in use, the machine goes on with them. */
        int done = qmp_execute(qmp, "xen-save-devices-state", json_pack("{s:s, s:b}", "filename", name, "live", 0), -1,
                               STATE_TIMEOUT_MS, NULL, err);
        ignore_result(qmp_execute(qmp, "remove-fd", json_pack("{s:I}", "fdset-id", set), -1, QMP_TIMEOUT_MS, NULL, &ignored));
        return done;
}

int live_state_save(struct qmp *qmp, int folder, const char *path, struct cowherd_error *err)
{
        owned_fd int state = openat(folder, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC); /* an fdset wants it for writing alone */

        return state < 0 ? fail_errno(err, "cannot open '%s'", path) : save(qmp, state, err);
}

/* ---- Into one ---- */

#define MAC_BYTES 6
/* An entry of libslirp's table of leases, as it is kept (vmstate_bootp_client): a true one of two bytes, and the card. */
struct lease {
        unsigned char bytes[2 + MAC_BYTES];
};

static bool read_lease(const char *mac, struct lease *ret)
{
        unsigned char *to = ret->bytes + 2;

        ret->bytes[0] = 0;
        ret->bytes[1] = 1;
        return mac != NULL && sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &to[0], &to[1], &to[2], &to[3], &to[4], &to[5]) == MAC_BYTES;
}

static void hand_on_lease(char *state, size_t length, const struct lease *from, const struct lease *to)
{
        char *at = state;

        while ((at = memmem(at, length - (size_t)(at - state), from->bytes, sizeof from->bytes)) != NULL) {
                memcpy(at, to->bytes, sizeof to->bytes);
                at += sizeof to->bytes;
        }
}

int live_state_open(int folder, const char *path, const char *old_mac, const char *new_mac, struct cowherd_error *err)
{
        struct lease from, to;
        owned_str char *state = NULL;
        size_t length = 0;

        if (!read_lease(old_mac, &from) || !read_lease(new_mac, &to)) {
                int fd = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
                return fd < 0 ? fail_errno(err, "cannot open '%s'", path) : fd;
        }
        if (file_read(folder, path, STATE_BYTES, &state, &length, err) < 0)
                return -1;
        hand_on_lease(state, length, &from, &to);
        owned_fd int fd = memfd_create("cowherd-state", MFD_CLOEXEC);
        if (fd < 0 || write(fd, state, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0)
                return fail_errno(err, "cannot prepare the state of a machine");
        return take_fd(fd);
}

int live_state_load(struct qmp *qmp, int state, struct cowherd_error *err)
{
        json_t *events = json_pack("{s:[{s:s, s:b}]}", "capabilities", "capability", "events", "state", 1);

        if (qmp_execute(qmp, "migrate-set-capabilities", events, -1, QMP_TIMEOUT_MS, NULL, err) < 0 ||
            qmp_execute(qmp, "getfd", json_pack("{s:s}", "fdname", DESCRIPTOR), state, QMP_TIMEOUT_MS, NULL, err) < 0 ||
            qmp_execute(qmp, "migrate-incoming", json_pack("{s:s}", "uri", "fd:" DESCRIPTOR), -1, QMP_TIMEOUT_MS, NULL, err) < 0)
                return -1;
        return await_migration(qmp, err);
}
