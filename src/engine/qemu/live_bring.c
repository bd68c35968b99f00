/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live base of a guest that has only qemu-guest-agent gets cowherd-guest too: the agent takes the program into a folder of the guest's
 * memory and starts it, and from then on whoever wakes in that memory is told its identity in one message instead of by a script that
 * starts ten programs, and has translated a third less code of its own where there is no KVM. On the disk nothing of it stays: the program
 * unlinks itself, and a boot knows nothing of it. Where it can't be done the agent does what it always did.
 */
#include "engine/qemu/live_capture.h"

#include "engine/qemu/agent.h"
#include "engine/qemu/agent_copy.h"
#include "engine/qemu/agent_file.h"
#include "engine/qemu/copy_script.h"
#include "engine/qemu/guest_channel.h"
#include "sys/clock.h"
#include "sys/module.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PROGRAM "cowherd-guest"
#define BEGIN_MS 10000.0 /* until it speaks */

/*
 * $1 the processor. Says the folder, one of memory that takes programs. It has always the same name: what a promote that was killed has left there
 * goes with the next, and two can't be at it, as each owns the clone.
 */
static const char find_place[] = COPY_NO
                                 "[ \"$(uname -m)\" = \"$1\" ] || no 69 \"its system is made for another processor than $1\"\n"
                                 "for folder in /dev/shm /run; do\n"
                                 "  place=$folder/.cowherd-guest\n"
                                 "  rm -rf \"$place\"; mkdir -m 700 \"$place\" 2>/dev/null || continue\n"
                                 "  if printf '#!/bin/sh\\nexit 0\\n' >\"$place/try\" && chmod 700 \"$place/try\" && \"$place/try\" && rm -f \"$place/try\"; then\n"
                                 "    printf '%s\\n' \"$place\"; exit 0\n"
                                 "  fi 2>/dev/null\n"
                                 "  rm -rf \"$place\"\n"
                                 "done\n"
                                 "no 74 'no folder in memory takes a program'\n";

/* $1 the folder. */
static const char begin[] = "chmod 700 \"$1/" PROGRAM "\" && cd / || exit 74\n"
                            "\"$1/" PROGRAM "\" --temporary </dev/null >/dev/null 2>&1 &\n"
                            "exit 0\n";

static int await_begin(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;
        double until = clock_ms() + BEGIN_MS;

        int late = guest_connect(instance, false, until, &guest, err);
        if (late == 0)
                late = guest_welcome(&guest, until, err);
        return late <= 0 ? late : fail(err, COWHERD_BUSY, "it was started and does not answer");
}

static int put_and_begin(const struct engine_instance *instance, struct agent *agent, int program, const char *place, struct cowherd_error *err)
{
        const char *const words[] = {place, NULL};
        owned_str char *path = x_asprintf("%s/" PROGRAM, place);

        if (agent_send_file(instance, agent, program, path, NULL, err) < 0 || agent_copy_run(instance, agent, begin, words, 0, NULL, err) < 0)
                return -1;
        return await_begin(instance, err);
}

static int bring(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_by(agent_lines_free) struct agent_lines place = {{0}};
        owned_agent struct agent agent = AGENT_CLOSED;
        owned_str char *path = module_program(PROGRAM);
        struct utsname host;

        owned_fd int program = open(path, O_RDONLY | O_CLOEXEC);
        if (program < 0 || uname(&host) < 0)
                return fail_errno(err, "cannot open '%s'", path);
        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0)
                return -1;
        const char *const words[] = {host.machine, NULL};
        if (agent_copy_run(instance, &agent, find_place, words, 1, &place, err) < 0)
                return -1;
        if (put_and_begin(instance, &agent, program, place.items[0], err) == 0)
                return 0;
        agent_copy_undo(instance, &agent, place.items[0]);
        return -1;
}

void live_bring_guest(struct capture *capture)
{
        const struct engine_instance *instance = capture->instance;
        struct cowherd_error why;

        if (!guest_can_be_there(instance) || guest_is_there(instance) != 0 || guest_agent_is_there(instance) != 1)
                return;
        if (bring(instance, &why) == 0)
                capture->ret->brought = true;
        else
                (void)snprintf(capture->ret->note, sizeof capture->ret->note, "cowherd-guest could not be started in it: %.200s", why.text);
}
