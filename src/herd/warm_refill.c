/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper that keeps clones warm: one job after another, until there is none. First the names: a clone that was taken has its
 * engine told so (its intent says that this is still to be done). Then what is too much, or stands no more, goes, and what is missing
 * is made (warm_make.c). Killed at any point it leaves what any command leaves, and recovery takes that away.
 *
 * What fails is not tried again by this helper, but by the next: it is written into the audit, and `doctor` tells it. A base that
 * was changed loses all that is kept of it.
 */
#include "herd/warm.h"

#include "sys/lock.h"

#include <fcntl.h>

enum job_kind { JOB_NONE, JOB_NAME, JOB_BURY, JOB_DROP, JOB_MAKE };

struct job {
        enum job_kind kind;
        uint64_t id; /* of the clone, of the base */
        uint64_t keep;
};

struct refill {
        struct cowherd_herd *herd;
        uint64_t *failed; /* ids of what is not tried again */
        size_t failed_count;
};

static void refill_free(struct refill *refill)
{
        free(refill->failed);
        cowherd_close(refill->herd);
}
define_owned(struct refill, refill_free)

static bool has_failed(const struct refill *refill, uint64_t id)
{
        for (size_t i = 0; i < refill->failed_count; i++)
                if (refill->failed[i] == id)
                        return true;
        return false;
}

static void note_failure(struct refill *refill, uint64_t id, const struct cowherd_error *err)
{
        struct catalogue *catalogue = refill->herd->catalogue;
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        struct cowherd_error ignored;
        bool known = catalogue_get(catalogue, id, &row, &ignored) == 0;

        refill->failed = x_reallocarray(refill->failed, refill->failed_count + 1, sizeof *refill->failed);
        refill->failed[refill->failed_count++] = id;
        if (known && row.name == NULL)
                return; /* its base was removed meanwhile */
        catalogue_audit(catalogue, known ? row.target : COWHERD_ANY, "keep_warm", known ? row.name : NULL, err->code, err->text);
        ignore_result(catalogue_set_setting(catalogue, WARM_COMPLAINT_KEY, err->text, &ignored));
}

/* ---- which job ---- */

/* A taken clone whose engine is to be told its name. */
static int find_name_job(const struct refill *refill, struct job *job, struct cowherd_error *err)
{
        struct catalogue *catalogue = refill->herd->catalogue;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_unfinished(catalogue, &rows, err) < 0)
                return -1;
        for (size_t i = 0; job->kind == JOB_NONE && i < rows.count; i++) {
                owned_str char *operation = NULL;
                if (rows.items[i].phase != CATALOGUE_READY || has_failed(refill, rows.items[i].id))
                        continue;
                if (catalogue_operation(catalogue, rows.items[i].id, &operation, err) < 0)
                        return -1;
                if (str_equal(operation, OPERATION_TAKE))
                        *job = (struct job){.kind = JOB_NAME, .id = rows.items[i].id};
        }
        return 0;
}

/* What a base has too much or too little; one with an intent is about to go. */
static int find_base_job(const struct refill *refill, const struct catalogue_row *base, struct job *job, struct cowherd_error *err)
{
        owned_str char *operation = NULL;
        struct warm_count count;

        if (has_failed(refill, base->id))
                return 0;
        if (warm_count(refill->herd, base, &count, err) < 0)
                return -1;
        if (count.ready == count.wanted && count.dead == 0)
                return 0;
        int got = catalogue_operation(refill->herd->catalogue, base->id, &operation, err);
        if (got == 1)
                *job = (struct job){.kind = count.dead > 0 ? JOB_BURY : count.ready > count.wanted ? JOB_DROP : JOB_MAKE, .id = base->id, .keep = count.wanted};
        return got < 0 ? -1 : 0;
}

static int find_job(const struct refill *refill, struct job *job, struct cowherd_error *err)
{
        struct catalogue_rows bases owned_by(catalogue_rows_free) = {0};

        *job = (struct job){.kind = JOB_NONE};
        if (find_name_job(refill, job, err) < 0)
                return -1;
        if (job->kind != JOB_NONE)
                return 0;
        if (catalogue_list(refill->herd->catalogue, COWHERD_ANY, CATALOGUE_BASE, NULL, &bases, err) < 0)
                return -1;
        for (size_t i = 0; job->kind == JOB_NONE && i < bases.count; i++)
                if (find_base_job(refill, &bases.items[i], job, err) < 0)
                        return -1;
        return 0;
}

/* ---- doing it ---- */

/* Waits for the command that took it, which gives its lock back when it has answered. */
static int tell_name(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row now owned_by(catalogue_row_free) = {0};

        if (ownership_take(&owned, id, true, err) < 0)
                return -1;
        int got = catalogue_get(herd->catalogue, id, &now, err);
        if (got < 0)
                return -1;
        return got > 0 || now.phase != CATALOGUE_READY ? 0 : herd_settle_ready(herd, &now, err) < 0 ? -1 : 0;
}

static int drop(struct cowherd_herd *herd, uint64_t base_id, uint64_t keep, struct cowherd_error *err)
{
        return catalogue_drop_warm(herd->catalogue, base_id, keep, err) < 0 ? -1 : warm_bury(herd, base_id, err);
}

static int make(struct cowherd_herd *herd, uint64_t base_id, struct cowherd_error *err)
{
        owned_str char *complaint = NULL;
        struct cowherd_error ignored;

        if (warm_make(herd, base_id, err) < 0) {
                if (err->code == COWHERD_DATA)
                        ignore_result(drop(herd, base_id, 0, &ignored));
                return -1;
        }
        complaint = warm_complaint(herd);
        return complaint == NULL ? 0 : catalogue_set_setting(herd->catalogue, WARM_COMPLAINT_KEY, NULL, err);
}

static int do_job(struct cowherd_herd *herd, const struct job *job, struct cowherd_error *err)
{
        switch (job->kind) {
        case JOB_NAME:
                return tell_name(herd, job->id, err);
        case JOB_BURY:
                return warm_bury_dead(herd, job->id, err);
        case JOB_DROP:
                return drop(herd, job->id, job->keep, err);
        case JOB_MAKE:
                return make(herd, job->id, err);
        case JOB_NONE:
        default:
                return 0;
        }
}

/* ---- its life ---- */

/* Whether somebody wishes it to end. */
static bool is_to_stop(const struct cowherd_herd *herd)
{
        struct cowherd_error ignored;
        int fd = -1, got = lock_take(herd->locks, WARM_STOP_LOCK, false, &fd, &ignored);

        lock_remove(herd->locks, WARM_STOP_LOCK, &fd);
        return got != 0;
}

/* 1 where it is to end. */
static int do_all(struct refill *refill, struct cowherd_error *err)
{
        struct job job;

        for (;;) {
                struct cowherd_error why;
                if (is_to_stop(refill->herd))
                        return 1;
                if (find_job(refill, &job, err) < 0)
                        return -1;
                if (job.kind == JOB_NONE)
                        return 0;
                if (do_job(refill->herd, &job, &why) < 0)
                        note_failure(refill, job.id, &why);
        }
}

/* With the lock, which is given back at the end of each round. */
static int work(struct refill *refill, int *lock, struct cowherd_error *err)
{
        struct recovery recovery = {0};
        struct job more;

        int got = herd_open(refill->herd, false, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (herd_recover(refill->herd, &recovery, err) < 0)
                return -1;
        for (;;) {
                got = do_all(refill, err);
                lock_remove(refill->herd->locks, WARM_LOCK, lock);
                if (got != 0)
                        return got < 0 ? -1 : 0;
                /* Who came in between found the lock held, and relied on us. */
                if (find_job(refill, &more, err) < 0)
                        return -1;
                if (more.kind == JOB_NONE)
                        return 0;
                got = lock_take(refill->herd->locks, WARM_LOCK, false, lock, err);
                if (got != 0)
                        return got < 0 ? -1 : 0;
        }
}

int warm_run(const char *root, int lock)
{
        struct refill refill owned_by(refill_free) = {0};
        struct cowherd_options options = {.root = root};
        struct cowherd_error err = {0};
        owned_fd int held = lock;

        (void)fcntl(held, F_SETFD, FD_CLOEXEC);
        if (cowherd_open(&options, &refill.herd, &err) == 0 && work(&refill, &held, &err) == 0)
                return 0;
        if (refill.herd != NULL && refill.herd->catalogue != NULL)
                catalogue_audit(refill.herd->catalogue, COWHERD_ANY, "keep_warm", NULL, err.code, err.text);
        return err.code;
}
