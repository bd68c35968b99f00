/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping a running machine's memory. What takes time is done while it runs: what is written is flushed, all of its memory is
 * copied once. Then it stands still for its devices' state, for what changed of its memory meanwhile, and for its disk to be switched; the
 * copy is a memory file, so no disk is waited for. After it went on the copy becomes the file on disk, and, sealed, the memory of the
 * first clone. The disk comes last: whatever fails before it, the machine goes on as if nothing had been.
 *
 * Filesystems are not frozen meanwhile: the state of a frozen one would be in the memory, and each clone would have to thaw.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/life.h"
#include "engine/qemu/process.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES (1u << 20)
#define SYNC_TIMEOUT_MS 60000
#define MEMORY_OPTION "memory-backend-file,id=ram,"

struct capture {
        const struct engine_instance *instance;
        const struct engine_capture *how;
        struct engine_captured *ret;
        struct qmp qmp;
        pid_t pid;
        struct strv argv;   /* its own command line */
        int memory, copy;   /* its RAM's file; ours */
        uint64_t bytes;
        struct live_mirror mirror;
        bool shared, agent;
        double since;
};

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

/* ---- What it is ---- */

static int read_line(struct capture *capture, struct cowherd_error *err)
{
        owned_str char *text = NULL;
        char path[48];
        size_t length = 0;

        (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)capture->pid);
        if (file_read(AT_FDCWD, path, LINE_BYTES, &text, &length, err) < 0)
                return -1;
        for (size_t at = 0; at < length; at += strlen(text + at) + 1)
                strv_add(&capture->argv, text + at);
        return 0;
}

/* The value of an option that begins so, borrowed, or NULL. */
static const char *find_option(const struct capture *capture, const char *option, const char *beginning)
{
        for (size_t i = 0; i + 1 < capture->argv.count; i++)
                if (strcmp(capture->argv.items[i], option) == 0 && str_starts(capture->argv.items[i + 1], beginning))
                        return capture->argv.items[i + 1];
        return NULL;
}

static int open_memory(struct capture *capture, struct cowherd_error *err)
{
        const char *option = find_option(capture, "-object", MEMORY_OPTION);
        char path[64], share[4] = "";
        int number = -1;

        if (option == NULL || sscanf(option, MEMORY_OPTION "size=%" SCNu64 "B,mem-path=/proc/self/fd/%d,share=%3s", &capture->bytes, &number,
                                     share) != 3)
                return fail(err, COWHERD_UNAVAILABLE, "the memory of '%s' can't be kept: its qemu was not started by this version of cowherd",
                            capture->instance->name);
        capture->shared = str_equal(share, "on");
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)capture->pid, number);
        capture->memory = open(path, O_RDONLY | O_CLOEXEC);
        struct stat found;
        if (capture->memory < 0 || fstat(capture->memory, &found) < 0)
                return fail_errno(err, "cannot open the memory of '%s'", capture->instance->name);
        if (!S_ISREG(found.st_mode) || (uint64_t)found.st_size != capture->bytes || (fcntl(capture->memory, F_GET_SEALS) & F_SEAL_SHRINK) == 0)
                return fail(err, COWHERD_SYSTEM, "the memory of '%s' is not what its qemu was started with", capture->instance->name);
        return 0;
}

static int find_machine(struct capture *capture, struct cowherd_error *err)
{
        const struct engine_instance *instance = capture->instance;
        owned_fd int runtime = -1, pidfd = -1;
        char status[64] = "";

        /*
         * Kept until the machine goes on, come what may. By the socket for commands: who lets it go on should we be killed is heard there
         * only after all that we have said was done.
         */
        if (qemu_control(instance, &capture->qmp, err) < 0 || qemu_runtime_open(instance, &runtime, err) < 0 ||
            qmp_status(&capture->qmp, status, sizeof status, QMP_TIMEOUT_MS, err) < 0)
                return -1;
        if (!str_equal(status, "running")) {
                (void)fail(err, COWHERD_BUSY, "'%s' is not running but '%s'", instance->name, status);
                return fail_hint(err, "resume it first");
        }
        int found = qemu_process_open(runtime, &pidfd, &capture->pid, err);
        if (found <= 0)
                return found < 0 ? -1 : fail(err, COWHERD_SYSTEM, "it can't be told which process '%s' is", instance->name);
        if (read_line(capture, err) < 0 || open_memory(capture, err) < 0)
                return -1;
        if (find_option(capture, "-fsdev", "") == NULL)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "the memory of '%s' can't be kept: folders of the host are shared with it", instance->name);
        return fail_hint(err, "promote it with live=false, or start it without mount=");
}

/* ---- Its facts ---- */

/* What it has written is on its disk, and whether its kernel makes its random pool anew by the generation id. Nobody inside: so be it. */
static int ask_inside(struct capture *capture, struct cowherd_error *err)
{
        const char *const script[] = {"/bin/sh", "-c",
                                      "sync; for id in /sys/bus/acpi/drivers/vmgenid/*:*; do [ ! -e \"$id\" ] || echo vmgenid; done", NULL};
        const struct engine_command command = {.argv = script, .timeout_ms = SYNC_TIMEOUT_MS};
        struct engine_output output = {0};
        struct cowherd_error why;

        if (inside_execute(capture->instance, &command, &output, &why) == 0) {
                capture->agent = true;
                capture->ret->fresh_random = str_starts(output.out, "vmgenid");
                engine_output_free(&output);
                return 0;
        }
        if (why.code == COWHERD_UNAVAILABLE)
                return 0;
        *err = why;
        return -1;
}

/* The address of its card, as the guest has it now. */
static char *find_mac(struct capture *capture)
{
        struct cowherd_error ignored;
        json_t *filters = NULL;

        if (qmp_execute(&capture->qmp, "query-rx-filter", json_pack("{s:s}", "name", "nic"), -1, QMP_TIMEOUT_MS, &filters, &ignored) < 0)
                return NULL;
        char *mac = x_strdup(json_string_value(json_object_get(json_array_get(filters, 0), "main-mac")));
        json_decref(filters);
        return mac;
}

/* "pc-q35-7.2", to be freed. */
static int find_type(struct capture *capture, char **ret, struct cowherd_error *err)
{
        json_t *value = NULL;

        if (qmp_execute(&capture->qmp, "qom-get", json_pack("{s:s, s:s}", "path", "/machine", "property", "type"), -1, QMP_TIMEOUT_MS, &value, err) < 0)
                return -1;
        const char *type = json_string_value(value);
        *ret = type == NULL ? x_strdup("") : x_strndup(type, strlen(type) - (str_ends(type, "-machine") ? strlen("-machine") : 0));
        json_decref(value);
        return 0;
}

static uint64_t processors(const struct capture *capture)
{
        const char *option = find_option(capture, "-smp", "cpus=");

        return option == NULL ? 1 : strtoull(option + strlen("cpus="), NULL, 10);
}

static int tell_facts(struct capture *capture, struct cowherd_error *err)
{
        const char *network = find_option(capture, "-netdev", "");
        const char *acceleration = find_option(capture, "-accel", "kvm") != NULL ? "kvm" : "tcg";
        owned_str char *processor = live_processor(acceleration), *type = NULL, *mac = NULL;
        char version[64];

        if (live_version(&capture->qmp, version, sizeof version, err) < 0 || find_type(capture, &type, err) < 0)
                return -1;
        mac = find_mac(capture);
        bool generation = find_option(capture, "-device", "vmgenid") != NULL;
        capture->ret->fresh_random = capture->ret->fresh_random && generation;
        json_t *facts = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:b, s:o}", "qemu", version, "machine", type, "accel",
                                  acceleration, "processor", processor, "network",
                                  network == NULL ? "none" : str_starts(network, "tap,") ? "bridge" : "user", "state",
                                  "devices", "memory_bytes", (json_int_t)capture->bytes, "cpus",
                                  (json_int_t)processors(capture), "generation_id", generation, "seed",
                                  find_option(capture, "-blockdev", "{\"driver\":\"raw\",\"node-name\":\"seed\"") != NULL, "agent",
                                  capture->agent, "fresh_random", capture->ret->fresh_random, "devices", live_shape(&capture->argv));
        if (facts == NULL)
                return fail(err, COWHERD_SYSTEM, "qemu's own line is no text");
        if (mac != NULL)
                (void)json_object_set_new(facts, "mac", json_string(mac));
        capture->ret->facts = json_dumps(facts, JSON_COMPACT);
        json_decref(facts);
        capture->ret->memory_bytes = capture->bytes;
        return 0;
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

        if (find_machine(capture, err) < 0 || ask_inside(capture, err) < 0 || tell_facts(capture, err) < 0 || make_file(folder, capture->how->state, err) < 0)
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
