/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping a running machine's memory. What takes time is done while it runs: what is written is flushed, all of its memory is
 * copied once. Then it stands still for its devices' state, for what changed of its memory meanwhile, and for its disk to be switched; the
 * copy is a memory file, so no disk is waited for. After it went on the copy becomes the file on disk, and, sealed, the memory of the
 * first clone. The disk comes last: whatever fails before it, the machine goes on as if nothing had been.
 *
 * Filesystems are not frozen meanwhile: the state of a frozen one would be in the memory, and each clone would have to thaw.
 */
#include "engine/qemu/live_capture.h"

#include "base/mem.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/life.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void capture_free(struct capture *capture)
{
        live_mirror_free(&capture->mirror);
        qmp_free(&capture->qmp);
        strv_free(&capture->argv);
        close_at(&capture->memory);
        close_at(&capture->copy);
}
define_owned(struct capture, capture_free)

static void phase_ends(struct capture *capture, const char *name)
{
        double now = clock_ms();

        engine_phase(&capture->ret->phases, name, now - capture->since);
        capture->since = now;
}

/* ---- While it stands still ---- */

/* A clone's copy is its base's memory, which nobody changes, and then what it has of its own. */
static int finish_copy(struct capture *capture, struct cowherd_error *err)
{
        uint64_t own = 0;

        if (capture->shared)
                return live_mirror_catch_up(&capture->mirror, err);
        return live_memory_copy_private(capture->pid, capture->memory, capture->copy, &own, err);
}

static int take_disk(struct capture *capture, struct cowherd_error *err)
{
        const struct engine_capture *how = capture->how;

        if (how->next != NULL) {
                if (qemu_switch_disk_by(&capture->qmp, capture->instance, how->next, err) < 0)
                        return -1;
                capture->ret->switched = true;
        }
        return how->disk == NULL ? 0 : how->disk(how->context, err);
}

static int stand_still(struct capture *capture, struct cowherd_error *err)
{
        const struct engine_capture *how = capture->how;
        struct cowherd_error second;

        if (capture->agent)
                inside_prepare(capture->instance);
        double began = clock_ms();
        int done = qmp_command(&capture->qmp, "stop", err);
        if (done == 0)
                done = live_state_save(&capture->qmp, capture->instance->folder, how->state, err);
        phase_ends(capture, "state");
        if (done == 0)
                done = finish_copy(capture, err);
        phase_ends(capture, "memory");
        if (done == 0)
                done = take_disk(capture, err);
        phase_ends(capture, "disk");
        if (qmp_command(&capture->qmp, "cont", done < 0 ? &second : err) < 0)
                done = -1;
        capture->ret->pause_ms = clock_ms() - began;
        return done;
}

/* ---- Its files ---- */

static int make_file(int folder, const char *path, struct cowherd_error *err)
{
        owned_fd int fd = openat(folder, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        return fd < 0 ? fail_errno(err, "cannot make '%s'", path) : 0;
}

static int finish_file(int folder, const char *path, uint64_t *ret_bytes, struct cowherd_error *err)
{
        struct stat found;

        owned_fd int fd = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fchmod(fd, 0400) < 0 || fstat(fd, &found) < 0)
                return fail_errno(err, "cannot close '%s' to writers", path);
        *ret_bytes = (uint64_t)found.st_blocks * 512;
        return 0;
}

static int write_memory(struct capture *capture, struct cowherd_error *err)
{
        const struct engine_capture *how = capture->how;
        int folder = capture->instance->folder;
        struct cowherd_error ignored;

        live_mirror_free(&capture->mirror); /* the kernel seals no file that is mapped for writing; nor is it looked at any more */
        if (live_memory_seal(capture->copy, err) < 0)
                return -1;
        owned_fd int file = openat(folder, how->ram, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (file < 0 || ftruncate(file, (off_t)capture->bytes) < 0)
                return fail_errno(err, "cannot write '%s'", how->ram);
        if (live_memory_copy(capture->copy, file, capture->bytes, err) < 0)
                return fail_while(err, "writing '%s'", how->ram);
        if (finish_file(folder, how->ram, &capture->ret->ram_bytes, err) < 0 ||
            finish_file(folder, how->state, &capture->ret->state_bytes, err) < 0)
                return -1;
        if (how->runtime != NULL)
                ignore_result(live_keeper_leave(how->runtime, folder, how->ram, capture->copy, &ignored)); /* the first clone reads it in */
        phase_ends(capture, "write");
        return 0;
}

static int capture_machine(struct capture *capture, struct cowherd_error *err)
{
        int folder = capture->instance->folder;

        if (live_source_find(capture, err) < 0)
                return -1;
        if (capture->how->bring) {
                live_bring_guest(capture);
                phase_ends(capture, "guest");
        }
        if (live_source_describe(capture, err) < 0 || make_file(folder, capture->how->state, err) < 0)
                return -1;
        phase_ends(capture, "facts");
        if (live_memory_make(capture->bytes, &capture->copy, err) < 0 || 
            live_mirror_begin(&capture->mirror, capture->memory, capture->copy, capture->bytes, err) < 0)
                return -1;
        phase_ends(capture, "first_copy");
        return stand_still(capture, err) < 0 || write_memory(capture, err) < 0 ? -1 : 0;
}

int qemu_capture(const struct engine_instance *instance, const struct engine_capture *how, struct engine_captured *ret,
                 struct cowherd_error *err)
{
        struct engine_captured captured = {0};
        struct capture capture owned_by(capture_free) = {.instance = instance, .how = how, .ret = &captured, .qmp = {.fd = -1},
                                                         .memory = -1, .copy = -1, .since = clock_ms()};

        *ret = (struct engine_captured){0};
        if (make_file(instance->folder, how->ram, err) < 0)
                return -1;
        if (capture_machine(&capture, err) < 0) {
                (void)unlinkat(instance->folder, how->ram, 0);
                (void)unlinkat(instance->folder, how->state, 0);
                ret->switched = captured.switched;
                engine_captured_free(&captured);
                return fail_while(err, "keeping the memory of '%s'", instance->name);
        }
        *ret = captured;
        return 0;
}
