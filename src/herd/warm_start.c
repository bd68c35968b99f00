/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the helper that keeps clones warm. It is a program that lies where our modules do, so that whoever embeds the library
 * has it as well, and is started as what is to outlive us is (sys/process_detach.h). It gets the lock that we took for it, so there
 * is no moment in which two are started, and none in which nobody has it.
 *
 * A helper looks for work once more after it gave its lock back (warm_refill.c). So who finds the lock held after its own work is
 * settled can leave it to that one.
 */
#include "herd/warm.h"

#include "sys/lock.h"
#include "sys/module.h"
#include "sys/process_detach.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRAM "warm" /* cowherd-warm */

bool warm_is_filling(const struct cowherd_herd *herd)
{
        struct cowherd_error ignored;
        int lock = -1, got = faccessat(herd->locks, WARM_LOCK, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : lock_take(herd->locks, WARM_LOCK, false, &lock, &ignored);

        lock_remove(herd->locks, WARM_LOCK, &lock);
        return got > 0;
}

/* Where LXD is, and what runs, it must be told as we were. */
static void add_environment(struct strv *environment)
{
        static const char *const handed_on[] = {"LXD_DIR", "LXD_SOCKET", "XDG_RUNTIME_DIR"};

        for (size_t i = 0; i < array_length(handed_on); i++)
                if (getenv(handed_on[i]) != NULL)
                        strv_addf(environment, "%s=%s", handed_on[i], getenv(handed_on[i]));
}

static int start(const struct cowherd_herd *herd, int lock, struct cowherd_error *err)
{
        struct process_birth birth owned_by(process_birth_free) = {.channel = -1};
        struct process_detach what = {.descriptors = &lock, .descriptor_count = 1};
        struct strv argv owned_by(strv_free) = {0}, environment owned_by(strv_free) = {0};
        owned_str char *program = NULL;
        owned_fd int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (nothing < 0)
                return fail_errno(err, "cannot open '/dev/null'");
        if (module_helper(PROGRAM, &program, err) < 0)
                return -1;
        strv_add(&argv, program);
        strv_add(&argv, herd->root);
        add_environment(&environment);
        what.argv = argv;
        what.environment = environment;
        what.output = nothing;
        if (process_detach(&what, &birth, err) < 0)
                return -1;
        return process_birth_keep(&birth, err);
}

static void start_helper(struct cowherd_herd *herd, enum cowherd_target target)
{
        struct cowherd_error err;
        int lock = -1, got = lock_take(herd->locks, WARM_LOCK, false, &lock, &err);

        if (got > 0)
                return; /* one is at work */
        if (got == 0 && start(herd, lock, &err) == 0) {
                close_at(&lock); /* it is the helper's now */
                return;
        }
        catalogue_audit(herd->catalogue, target, "keep_warm", NULL, err.code, err.text);
        lock_remove(herd->locks, WARM_LOCK, &lock);
}

void warm_refill(struct cowherd_herd *herd, const struct catalogue_row *base)
{
        struct cowherd_error ignored;
        struct warm_count count;

        if (warm_count(herd, base, &count, &ignored) == 0 && (count.ready < count.wanted || count.dead > 0))
                start_helper(herd, base->target);
}

void warm_refill_all(struct cowherd_herd *herd, enum cowherd_target target)
{
        struct catalogue_rows bases owned_by(catalogue_rows_free) = {0};
        struct cowherd_error ignored;
        struct warm_count count = {0};

        if (catalogue_list(herd->catalogue, target, CATALOGUE_BASE, NULL, &bases, &ignored) < 0)
                return;
        for (size_t i = 0; i < bases.count; i++)
                if (warm_count(herd, &bases.items[i], &count, &ignored) == 0 && (count.ready < count.wanted || count.dead > 0)) {
                        start_helper(herd, target);
                        return;
                }
}
