/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole identity at once. Randomness comes first, as all that is made afterwards may ask for it; the link's address before the DHCP
 * client asks again; the mark last, and only where all went well, so that a second time does what is left. Each step tells by itself.
 * Files are identity_files.c's, randomness is identity_random.c's.
 */
#include "guest/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK "/var/lib/cowherd/instance-id"

void steps_tell(struct steps *steps, const char *name, int os_errno, const char *what)
{
        owned_str char *problem = os_errno == 0 ? x_strdup("") : x_asprintf("%s: %s", what, strerror(os_errno));

        guest_put_text(&steps->text, name);
        guest_put_text(&steps->text, problem);
        steps->failed |= os_errno != 0;
}

static void set_clock(struct steps *steps, uint64_t wall_ns)
{
        const struct timespec now = {.tv_sec = (time_t)(wall_ns / 1000000000), .tv_nsec = (long)(wall_ns % 1000000000)};

        steps_tell(steps, "clock", clock_settime(CLOCK_REALTIME, &now) < 0 ? errno : 0, "the clock");
}

static void set_link(struct steps *steps, const struct guest_identity *identity)
{
        char link[32] = "";
        int failed = link_find(identity->link, link, sizeof link);

        if (identity->mac[0] != '\0') {
                if (failed == 0)
                        failed = link_set_address(link, identity->mac);
                steps_tell(steps, "mac", failed, failed == ENODEV ? "the link" : link);
        }
        if (identity->renew && failed == 0 && dhcp_renew(link) != NULL)
                steps_tell(steps, "dhcp", 0, "");
}

static void put_mark(struct steps *steps, const struct guest_identity *identity)
{
        owned_fd int root = openat(program.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        owned_str char *mark = x_asprintf("%s\n", identity->instance_id);

        if (identity->sync && root >= 0)
                (void)syncfs(root); /* the mark never comes before what it says */
        if (!steps->failed && identity->instance_id[0] != '\0')
                steps_tell(steps, "mark", (steps->over ? file_put_over : file_put)(MARK, mark, strlen(mark), 0644, true), MARK);
        if (identity->sync && root >= 0)
                (void)syncfs(root);
}

static pid_t syncing;
static bool sync_again; /* more was written since that one began */

/* Nobody waits for it; but what was killed a second later must not boot as another than it was. */
static void sync_aside(void)
{
        sync_again = syncing != 0;
        if (sync_again)
                return;
        syncing = fork();
        if (syncing == 0) {
                owned_fd int root = openat(program.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                _exit(syncfs(root) < 0);
        }
        if (syncing < 0)
                syncing = 0;
}

void identity_reap(void)
{
        if (syncing <= 0 || waitpid(syncing, NULL, WNOHANG) != syncing)
                return;
        syncing = 0;
        if (sync_again)
                sync_aside();
}

void identity_prepare(void)
{
        if (program.files_only)
                return;
        boot_id_prepare();
        link_prepare();
        dhcp_prepare();
}

void identity_apply(struct port *port, unsigned channel, const struct guest_identity *identity)
{
        owned_str char *mark = file_text(MARK);
        struct steps steps = {.over = identity->wall_ns != 0};

        size_t length = mark == NULL ? 0 : strcspn(mark, "\n");
        bool done = identity->instance_id[0] != '\0' && mark != NULL && strlen(identity->instance_id) == length &&
                    strncmp(mark, identity->instance_id, length) == 0;
        if (identity->seed[0] != '\0' && !done)
                identity_set_random(&steps, identity->seed);
        if (identity->wall_ns != 0 && !program.files_only)
                set_clock(&steps, identity->wall_ns);
        if (identity->instance_id[0] != '\0' && !program.files_only && (steps.over || (!done && boot_id_is_owed())))
                steps_tell(&steps, "boot-id", boot_id_set(), "the boot id");
        if (!done)
                identity_set_files(&steps, identity);
        if ((identity->mac[0] != '\0' || identity->renew) && !program.files_only)
                set_link(&steps, identity);
        if (identity->login[0] != '\0')
                identity_set_login(&steps, identity->login);
        if (!done)
                put_mark(&steps, identity);
        port_say(port, GUEST_STEPS, channel, steps.text.data, steps.text.length);
        str_free(&steps.text);
        if (!done && !identity->sync)
                sync_aside();
}
