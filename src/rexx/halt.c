/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C, TERM and HUP become the script's HALT condition, so that its SIGNAL ON HALT can still send clean-up commands.
 *
 * Regina's first call installs handlers of its own: with SA_RESTART, which lets a blocked wait go on for ever, and for
 * HUP one that jumps out of whatever C code is running, a half-done command included. So ours come after that call,
 * without SA_RESTART, and only leave word: the command that is running ends first. RexxSetHalt speaks to the
 * interpreter of the calling thread and does nothing in any other, so a signal that lands on a thread of the herd is
 * passed on.
 */
#include "rexx/host.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static const int halting[] = {SIGINT, SIGTERM, SIGHUP};
enum { HALTING = sizeof halting / sizeof halting[0] };

static struct sigaction before[HALTING];
static struct host *host_of_signal; /* a handler has no argument of its own */
static pthread_t script_thread;

static void on_signal(int number)
{
        int saved = errno;

        if (!pthread_equal(pthread_self(), script_thread)) {
                (void)pthread_kill(script_thread, number);
        } else {
                host_of_signal->signal = number;
                (void)regina.set_halt(getpid(), 0);
        }
        errno = saved;
}

void halt_prepare(void)
{
        for (unsigned i = 0; i < HALTING; i++)
                (void)sigaction(halting[i], NULL, &before[i]);
}

void halt_install(struct host *host)
{
        struct sigaction action = {.sa_handler = on_signal};

        host_of_signal = host;
        script_thread = pthread_self();
        (void)sigemptyset(&action.sa_mask);
        for (unsigned i = 0; i < HALTING; i++) /* nohup's HUP, and the INT of a background job, stay ignored */
                (void)sigaction(halting[i], before[i].sa_handler == SIG_IGN ? &before[i] : &action, NULL);
}

void halt_restore(void)
{
        for (unsigned i = 0; i < HALTING; i++)
                (void)sigaction(halting[i], &before[i], NULL);
}
