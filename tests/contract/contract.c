/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one contract test of all stores. Each argument is a subject: STORE,KIND,FOLDER[,SOURCE], with KIND one of tree,
 * raw and qcow2; or full,STORE,KIND,FOLDER for a small filesystem that is filled to the brim first; or
 * pool,STORE,KIND,FOLDER for a root folder in which the store makes a place of its own. Every case runs over every
 * subject; TAP on stdout. As root, on the filesystems that run.sh makes.
 */
#include "full.h"
#include "points.h"
#include "pool.h"
#include "subject.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned tests, failures;

static void report(const struct subject *subject, const char *name, const char *wrong)
{
        printf("%sok %u - %s: %s\n", wrong == NULL ? "" : "not ", ++tests, subject->label, name);
        if (wrong != NULL) {
                printf("# %s\n", wrong);
                failures++;
        }
        (void)fflush(stdout);
}

static struct subject parse(char *text)
{
        struct subject subject = {.next_id = 1,
                                  .place = {.fd = -1, .herd_uuid = "00000000-0000-4000-8000-000000000000"}};
        struct cowherd_error err;
        char *parts[4] = {0};

        if (strncmp(text, "full,", 5) == 0) {
                subject.full = true;
                text += 5;
        } else if (strncmp(text, "pool,", 5) == 0) {
                subject.pool = true;
                text += 5;
        }
        for (size_t i = 0; i < array_length(parts) && text != NULL; i++)
                parts[i] = strsep(&text, ",");
        if (parts[2] == NULL)
                bail("a subject is STORE,KIND,FOLDER");
        if (store_find(parts[0], &subject.driver, &err) < 0)
                bail("%s", err.text);
        subject.kind = str_equal(parts[1], "tree") ? STORE_TREE : STORE_DISK;
        subject.format = parts[1];
        subject.place.folder = parts[2];
        subject.place.source = parts[3];
        subject.place.fd = open(parts[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (subject.place.fd < 0)
                bail("cannot open '%s': %s", parts[2], strerror(errno));
        const char *leaf = strrchr(parts[2], '/');
        (void)snprintf(subject.label, sizeof subject.label, "%s %s on %s, '%s'", parts[0], parts[1],
                       file_system_name(subject.place.fd), leaf == NULL ? parts[2] : leaf + 1);
        return subject;
}

static void run_cases(struct subject *subject, const struct contract_case *cases, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if ((cases[i].kinds & subject->kind) != 0 && (!cases[i].mounting || subject->driver->activate != NULL))
                        report(subject, cases[i].name, cases[i].run(subject));
}

static void run_subject(struct subject *subject)
{
        if (subject->full) {
                report(subject, "a full disk leaves a whole clone or none", full_disk(subject));
                return;
        }
        if (subject->pool) {
                report(subject, "the place it makes is made once, found again, and gone in the end",
                       pool_life(subject));
                return;
        }
        run_cases(subject, contract_cases, contract_case_count);
        run_cases(subject, contract_faults, contract_fault_count);
        if (subject->driver->snapshot == NULL)
                return;
        run_cases(subject, contract_points, contract_point_count);
        run_cases(subject, contract_own_points, contract_own_point_count);
        run_cases(subject, contract_point_faults, contract_point_fault_count);
}

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                struct subject subject = parse(argv[i]);
                run_subject(&subject);
                (void)close(subject.place.fd);
        }
        printf("1..%u\n", tests);
        return failures == 0 ? 0 : 1;
}
