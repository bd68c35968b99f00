/* SPDX-License-Identifier: Apache-2.0 */
/* What a command has for its input and its outputs: a terminal, or pipes. */
#include "guest/program.h"

#include "guest/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A guest whose init never thought of terminals has no devpts yet. */
static int open_master(void)
{
        int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

        if (fd >= 0 || program.files_only || (mkdir("/dev/pts", 0755) < 0 && errno != EEXIST) ||
            mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666") < 0)
                return fd;
        return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

bool launch_open_terminal(const struct guest_run *wanted, struct launch *launch, int *ret_master)
{
        const struct winsize size = {.ws_row = (unsigned short)wanted->rows, .ws_col = (unsigned short)wanted->columns};
        int unlocked = 0, master = open_master();

        if (master < 0)
                return false;
        (void)ioctl(master, TIOCSWINSZ, &size);
        int slave = ioctl(master, TIOCSPTLCK, &unlocked) < 0 ? -1 : ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0) {
                (void)close(master);
                return false;
        }
        launch->input = launch->output = launch->errors = slave;
        launch->terminal = true;
        *ret_master = master;
        return true;
}

bool launch_open_pipes(const struct guest_run *wanted, struct launch *launch, int ours[3])
{
        int in[2] = {-1, -1}, out[2] = {-1, -1}, errors[2] = {-1, -1};
        bool no_input = (wanted->flags & GUEST_RUN_NO_INPUT) != 0;

        if (no_input)
                in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        bool opened = (no_input ? in[0] >= 0 : pipe2(in, O_CLOEXEC) == 0) && pipe2(out, O_CLOEXEC) == 0 &&
                      pipe2(errors, O_CLOEXEC) == 0;
        ours[0] = in[1];
        ours[1] = out[0];
        ours[2] = errors[0];
        launch->input = in[0];
        launch->output = out[1];
        launch->errors = errors[1];
        return opened;
}

void launch_close(struct launch *launch)
{
        close_at(&launch->input);
        if (!launch->terminal) {
                close_at(&launch->output);
                close_at(&launch->errors);
        }
        close_at(&launch->status);
}
