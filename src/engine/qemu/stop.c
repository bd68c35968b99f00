/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending a machine. It is asked through its agent and by the power button, and again at growing intervals, for a guest
 * that is still booting loses the first press; that it ended is told by its process (a pidfd). After the time it is
 * made to: QEMU quits by itself first, which writes its caches back, and is killed where it doesn't.
 */
#include "engine/qemu/life.h"

#include "base/mem.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/process.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define FIRST_PRESS_MS 500.0
#define LAST_PRESS_MS 8000.0
#define QUIT_TIMEOUT_MS 5000
#define KILL_TIMEOUT_MS 10000

/* The process to be ended, which is proved to be the machine; -1 where it ended just now. */
static int open_process(const struct engine_instance *instance, int *ret_pidfd, struct cowherd_error *err)
{
        struct cowherd_error ignored;
        owned_fd int runtime = -1;

        int found = qemu_runtime_open(instance, &runtime, &ignored) < 0
                            ? 0
                            : qemu_process_open(runtime, ret_pidfd, NULL, err);
        if (found != 0 || qemu_is_running(instance) == 0)
                return found < 0 ? -1 : 0; /* it may have ended meanwhile: no process then */
        (void)fail(err, COWHERD_SYSTEM, "the disk of '%s' is in use by a process that was not started from here",
                   instance->name);
        return fail_hint(err, "'fuser -v' on its disk tells which; end that process");
}

static int kill_process(const struct engine_instance *instance, int pidfd, struct cowherd_error *err)
{
        if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                return fail_errno(err, "cannot kill the machine '%s'", instance->name);
        if (!qemu_process_wait(pidfd, KILL_TIMEOUT_MS))
                return fail(err, COWHERD_BUSY, "the machine '%s' was killed, and does not end", instance->name);
        return 0;
}

static int quit_or_kill(const struct engine_instance *instance, int pidfd, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct cowherd_error ignored;

        if (qemu_control(instance, &qmp, &ignored) == 0)
                ignore_result(qmp_command(&qmp, "quit", &ignored));
        if (qemu_process_wait(pidfd, qmp.fd < 0 ? 0 : QUIT_TIMEOUT_MS))
                return 0;
        return kill_process(instance, pidfd, err);
}

/* A machine that stands still hears nothing. */
static void press_power_button(const struct engine_instance *instance)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct cowherd_error ignored;
        char status[64];

        if (qemu_control(instance, &qmp, &ignored) < 0)
                return;
        if (qmp_status(&qmp, status, sizeof status, QMP_TIMEOUT_MS, &ignored) == 0 && !str_equal(status, "running"))
                ignore_result(qmp_command(&qmp, "cont", &ignored));
        ignore_result(qmp_command(&qmp, "system_powerdown", &ignored));
}

/* 1 where it ended within the time. */
static int ask(const struct engine_instance *instance, int pidfd, uint64_t timeout_ms)
{
        double deadline = clock_ms() + (double)timeout_ms, pause = FIRST_PRESS_MS;
        struct cowherd_error ignored;
        bool agent_was_asked = false;

        while (clock_ms() < deadline) {
                press_power_button(instance);
                if (!agent_was_asked)
                        agent_was_asked = inside_shutdown(instance, &ignored) == 0;
                double left = deadline - clock_ms();
                if (qemu_process_wait(pidfd, left < 0 ? 0 : (int)(left < pause ? left + 1 : pause)))
                        return 1;
                pause = pause * 2 > LAST_PRESS_MS ? LAST_PRESS_MS : pause * 2;
        }
        return 0;
}

int qemu_stop(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced,
              struct cowherd_error *err)
{
        owned_fd int pidfd = -1;
        bool forced = false;

        int held = qemu_is_running(instance);
        if (held < 0 && errno != ENOENT && errno != ENOTDIR)
                return fail_errno(err, "cannot look at the disk of '%s'", instance->name);
        if (held > 0) {
                if (open_process(instance, &pidfd, err) < 0)
                        return fail_while(err, "stopping '%s'", instance->name);
                forced = pidfd >= 0 && (force || !ask(instance, pidfd, timeout_ms));
                if (forced && quit_or_kill(instance, pidfd, err) < 0)
                        return -1;
        }
        if (qemu_tidy(instance, err) < 0)
                return -1;
        *ret_forced = forced;
        return 0;
}

/* A process that is written down and does not hold the disk was on its way up or down when its starter died. */
static int end_leftover(const struct engine_instance *instance, int runtime, struct cowherd_error *err)
{
        owned_fd int pidfd = -1;

        int found = qemu_process_open(runtime, &pidfd, NULL, err);
        if (found <= 0)
                return found;
        return kill_process(instance, pidfd, err);
}

int qemu_tidy(const struct engine_instance *instance, struct cowherd_error *err)
{
        if (instance->runtime == NULL)
                return 0;
        owned_fd int runtime = open(instance->runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (runtime < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open '%s'", instance->runtime);
        if (qemu_is_running(instance) > 0)
                return fail(err, COWHERD_BUSY, "'%s' is running", instance->name);
        if (end_leftover(instance, runtime, err) < 0 || file_remove_tree(AT_FDCWD, instance->runtime, err) < 0)
                return fail_while(err, "tidying up after '%s'", instance->name);
        return 0;
}
