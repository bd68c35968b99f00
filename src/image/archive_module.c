/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both halves of the archive module stand on: a thread that works inside a folder. libarchive's disk reader and
 * writer take paths alone; a prefix such as /proc/self/fd/N would be a symlink on the way, which its secure flags
 * rightly refuse, and changing the process's current folder would pull it away from under the other threads. So a
 * thread leaves the shared current folder and umask (unshare(2), CLONE_FS, which needs no privilege) and enters the
 * tree alone.
 */
#include "image/archive_module.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
        int folder;
        int (*work)(void *context, struct cowherd_error *err);
        void *context;
        struct cowherd_error *err;
        int result;
};

static int enter_folder(int folder, struct cowherd_error *err)
{
        if (unshare(CLONE_FS) < 0)
                return fail_errno(err, "cannot give a thread its own current folder");
        if (fchdir(folder) < 0)
                return fail_errno(err, "cannot enter the tree");
        (void)umask(0);
        return 0;
}

static void *run(void *context)
{
        struct job *job = context;

        if (enter_folder(job->folder, job->err) < 0)
                return NULL;
        locale_t names = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        if (names == (locale_t)0) {
                (void)fail_errno(job->err, "the locale 'C.UTF-8' is missing");
                return NULL;
        }
        (void)uselocale(names);
        job->result = job->work(job->context, job->err);
        (void)uselocale(LC_GLOBAL_LOCALE);
        freelocale(names);
        return NULL;
}

int archive_in_folder(int folder, int (*work)(void *context, struct cowherd_error *err), void *context,
                      struct cowherd_error *err)
{
        struct job job = {.folder = folder, .work = work, .context = context, .err = err, .result = -1};
        pthread_t thread;

        errno = pthread_create(&thread, NULL, run, &job);
        if (errno != 0)
                return fail_errno(err, "cannot start a thread");
        (void)pthread_join(thread, NULL);
        return job.result;
}
