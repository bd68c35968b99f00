/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cowherd-guest is put into a disk by the system that is on it: there is no filesystem of a guest that we write from outside. So the disk
 * is booted once, as a machine without a network, its agent takes the program and has its init start it, and it is shut down. What that
 * one boot has made of an identity is taken out again at its end. The machine bears the base's id, so recovery finds it.
 */
#include "herd/inject.h"

#include "herd/live.h"
#include "store/folder.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READY_MS 300000u
#define INSTALL_MS 60000u
#define PROGRAM "cowherd-guest"
#define UNIT "cowherd-guest.service"
#define INSIDE "/usr/sbin/" PROGRAM

static const char install[] =
        "no() { echo \"$2\" >&2; exit $1; }\n"
        "program=/usr/sbin/cowherd-guest unit=/etc/cowherd-guest.service\n"
        "chmod 755 $program || no 74 'the program cannot be made executable'\n"
        "if [ -d /run/systemd/system ]; then\n"
        "  mv -f $unit /etc/systemd/system/ && systemctl -q enable cowherd-guest.service || no 71 'systemctl fails'\n"
        "elif command -v rc-update >/dev/null 2>&1; then\n"
        "  rm -f $unit\n"
        "  printf '%s\\n' '#!/sbin/openrc-run' 'supervisor=supervise-daemon' \"command=$program\" >/etc/init.d/cowherd-guest &&\n"
        "    chmod 755 /etc/init.d/cowherd-guest && rc-update -q add cowherd-guest boot || no 71 'rc-update fails'\n"
        "elif [ -f /etc/inittab ]; then\n"
        "  rm -f $unit\n"
        "  grep -q cowherd-guest /etc/inittab || echo \"::respawn:$program\" >>/etc/inittab || no 74 '/etc/inittab cannot be written'\n"
        "else\n"
        "  rm -f $unit $program\n"
        "  no 69 'its init is none of systemd, OpenRC and busybox'\n"
        "fi\n"
        "command -v cloud-init >/dev/null 2>&1 && cloud-init clean >/dev/null 2>&1\n"
        "[ ! -f /etc/machine-id ] || : >/etc/machine-id\n"
        "rm -f /var/lib/systemd/random-seed /var/lib/dhcp/*.lease* /var/lib/cowherd/instance-id\n"
        "sync\n"
        "exit 0\n";

int inject_check(const struct call *call, struct cowherd_error *err)
{
        const struct request *request = call->request;

        if (request->target != COWHERD_QEMU) {
                (void)fail(err, COWHERD_UNAVAILABLE, "%s has no use for guest=inject: it reaches into its instances by itself",
                           cowherd_target_name(request->target));
                return fail_hint(err, "leave guest= out");
        }
        if (request_flag(request, KEY_ADOPT)) {
                (void)fail(err, COWHERD_USAGE, "parameters 'guest' and 'adopt' exclude each other: the disk is written to");
                return fail_hint(err, "leave adopt= out: then the base is a copy");
        }
        if (request_has(request, KEY_OS) && !str_equal(request_text(request, KEY_OS), "linux"))
                return fail(err, COWHERD_UNAVAILABLE, "cowherd-guest is for Linux guests, and os=%s", request_text(request, KEY_OS));
        return 0;
}

static int copy_in(const struct live *live, const char *name, const char *remote, struct cowherd_error *err)
{
        owned_str char *file = module_program(name), *folder_path = x_strndup(file, strlen(file) - strlen(name) - 1);
        owned_fd int folder = -1;

        if (file_open_folder(AT_FDCWD, folder_path, &folder, err) < 0 || faccessat(folder, name, R_OK, 0) < 0)
                return fail(err, COWHERD_UNAVAILABLE, "'%s' is not installed", file);
        const struct engine_copy copy = {.folder = folder, .name = name, .remote = remote};
        return live->machine.engine->copy_in(&live->machine.instance, &copy, err);
}

static int run_install(const struct live *live, struct cowherd_error *err)
{
        static const char *const words[] = {"/bin/sh", "-c", install, NULL};
        const struct engine_command command = {.argv = words, .timeout_ms = INSTALL_MS};
        struct engine_output output = {0};

        if (live->machine.engine->execute(&live->machine.instance, &command, &output, err) < 0)
                return -1;
        int code = output.exit_code;
        if (code != 0)
                (void)fail(err, code == COWHERD_UNAVAILABLE || code == COWHERD_IO ? (enum cowherd_code)code : COWHERD_SYSTEM,
                           "cowherd-guest can't be put into the guest: %.*s", (int)strcspn(output.errors, "\n"), output.errors);
        engine_output_free(&output);
        return code == 0 ? 0 : -1;
}

static int put_in(struct live *live, struct cowherd_error *err)
{
        const struct engine_instance *instance = &live->machine.instance;
        struct engine_waited waited;

        if (live->machine.engine->wait(instance, ENGINE_EVENT_READY, READY_MS, &waited, err) < 0) {
                (void)fail_while(err, "putting cowherd-guest into the disk, for which its guest agent is needed");
                return fail_hint(err, "install qemu-guest-agent in the image first; or install '%s' and its unit in it by hand, and leave "
                                      "guest= out", INSIDE);
        }
        return copy_in(live, PROGRAM, INSIDE, err) < 0 || copy_in(live, UNIT, "/etc/" UNIT, err) < 0 ? -1 : run_install(live, err);
}

/* What the machine has left in the base's folder. */
static void remove_traces(const struct thing *base)
{
        static const char *const names[] = {"console.log", "uefi-variables.fd"};
        char folder[STORE_PATH_BYTES];

        for (size_t i = 0; i < array_length(names); i++) {
                owned_str char *path = x_asprintf("%s/%s", store_object_folder(&base->object, folder), names[i]);
                (void)unlinkat(base->place.fd, path, 0);
        }
}

static int open_machine(struct cowherd_herd *herd, uint64_t id, struct live *live, struct cowherd_error *err)
{
        int got = catalogue_get(herd->catalogue, id, &live->thing.row, err);

        if (got != 0)
                return got < 0 ? -1 : fail(err, COWHERD_INTERNAL, "a base in the making is not in the catalogue");
        if (live_open(herd, false, live, err) < 0)
                return -1;
        live->machine.identity = (struct engine_identity){0};
        live->machine.machine.network = ENGINE_NETWORK_NONE;
        return 0;
}

int inject_guest(const struct call *call, const struct thing *base, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};
        struct cowherd_error ignored;
        struct engine_started started;
        bool forced;

        if (open_machine(call->herd, base->row.id, &live, err) < 0)
                return -1;
        const struct engine_driver *engine = live.machine.engine;
        const struct engine_instance *instance = &live.machine.instance;
        if (engine->check(instance, err) < 0 || engine->start(instance, &started, err) < 0)
                return -1;
        int result = put_in(&live, err);
        int stopped = engine->stop(instance, LIVE_STOP_MS, result < 0, &forced, result < 0 ? &ignored : err);
        remove_traces(base);
        if (result < 0 || stopped < 0)
                return -1;
        return forced ? fail(err, COWHERD_BUSY, "the guest on the disk did not shut down within %d s", LIVE_STOP_MS / 1000) : 0;
}

int inject_end(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};
        owned_str char *runtime = machine_runtime(herd, id);

        if (access(runtime, F_OK) < 0)
                return 0;
        return open_machine(herd, id, &live, err) < 0 ? -1 : live_tidy(&live, true, err);
}
