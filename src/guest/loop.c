/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop. Events are taken one at a time, so that a source may close another one without leaving its event behind. Ports are
 * watched edge by edge: a port whose host has hung up is "hung up" for as long as that lasts, and would never let us sleep.
 */
#include "guest/program.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int ended = -1;

double loop_now_ms(void)
{
        struct timespec now = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void source_watch(struct source *source, uint32_t events)
{
        struct epoll_event event = {.events = events, .data.ptr = source};

        if (source->fd < 0 || events == source->watched)
                return;
        int change = events == 0 ? EPOLL_CTL_DEL : source->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        if (epoll_ctl(program.epoll, change, source->fd, &event) == 0)
                source->watched = events;
}

void source_close(struct source *source)
{
        source_watch(source, 0);
        close_at(&source->fd);
        source->fd = -1;
}

void loop_end(int status)
{
        ended = status;
}

static int sooner(int a, int b)
{
        return a < 0 ? b : b < 0 || a < b ? a : b;
}

int loop_run(void)
{
        while (ended < 0) {
                struct epoll_event event;
                int count = epoll_wait(program.epoll, &event, 1, sooner(sooner(runs_timeout(), freeze_timeout()), ports_timeout()));
                if (count < 0 && errno != EINTR)
                        return 71;
                if (count > 0) {
                        struct source *source = event.data.ptr;
                        source->ready(source, event.events);
                }
        }
        return ended;
}
