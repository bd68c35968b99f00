/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine whose memory is to be kept: which process it is, where its RAM is, and all that its clones must have in common with it,
 * read from the process and asked of QEMU and of whoever is inside.
 */
#include "engine/qemu/live_capture.h"

#include "base/mem.h"
#include "engine/qemu/guest_channel.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/process.h"
#include "engine/qemu/runtime.h"
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

int live_source_find(struct capture *capture, struct cowherd_error *err)
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
                capture->helper = guest_is_there(capture->instance) == 1;
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
        json_t *facts = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:b, s:b, s:o}", "qemu", version, "machine", type, "accel",
                                  acceleration, "processor", processor, "network",
                                  network == NULL ? "none" : str_starts(network, "tap,") ? "bridge" : "user", "state",
                                  "devices", "memory_bytes", (json_int_t)capture->bytes, "cpus",
                                  (json_int_t)processors(capture), "generation_id", generation, "seed",
                                  find_option(capture, "-blockdev", "{\"driver\":\"raw\",\"node-name\":\"seed\"") != NULL, "agent",
                                  capture->agent, "helper", capture->helper, "fresh_random", capture->ret->fresh_random, "devices", live_shape(&capture->argv));
        if (facts == NULL)
                return fail(err, COWHERD_SYSTEM, "qemu's own line is no text");
        if (mac != NULL)
                (void)json_object_set_new(facts, "mac", json_string(mac));
        capture->ret->facts = json_dumps(facts, JSON_COMPACT);
        json_decref(facts);
        capture->ret->memory_bytes = capture->bytes;
        return 0;
}

int live_source_describe(struct capture *capture, struct cowherd_error *err)
{
        return ask_inside(capture, err) < 0 ? -1 : tell_facts(capture, err);
}
