/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nspawn keeps its payload from a hundred system calls by a filter (seccomp(2)). What enters a container later gets the
 * very same: it is read from the container's PID 1 and kept for its lifetime in the runtime folder.
 */
#pragma once

#include "base/error.h"
#include "engine/engine.h"

#include <linux/filter.h>
#include <stddef.h>
#include <sys/types.h>

#define SECCOMP_FILTERS_MAX 32

struct seccomp_filters {
        struct sock_fprog programs[SECCOMP_FILTERS_MAX]; /* the first is to be installed first */
        size_t count;
        char *bytes; /* they point into it */
};
void seccomp_filters_free(struct seccomp_filters *filters);

/* The filters of a container whose PID 1 is `leader`; none where nspawn has installed none. */
int seccomp_filters_load(const struct engine_instance *instance, pid_t leader, struct seccomp_filters *ret,
                         struct cowherd_error *err) must_check;
/* Installs them in this process, which needs CAP_SYS_ADMIN in its user namespace. 0, or -1 and errno; calls the kernel
 * only. */
int seccomp_filters_install(const struct seccomp_filters *filters);
