/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command with the caller's own descriptors. A thread carries the streams between LXD and a pair of sockets; the relay
 * (sys/terminal.h), which knows terminals and signals and nothing of LXD, carries them on to the caller. What the relay is
 * told of sizes and signals goes to the thread by a third pair, a message each.
 */
#include "engine/lxd/lxd.h"

#include "lxd_api/exec.h"
#include "sys/terminal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COLUMNS 80u
#define ROWS 24u

/* What the thread is told: a signal, or a size. */
struct told {
        int signal; /* 0: a size */
        unsigned columns, rows;
};

struct attaching {
        struct lxd_exec exec;
        const char *name;
        int input[2], output[2], errors[2], tell[2]; /* [0] the relay's, [1] the thread's */
        struct lxd_exec_result result;
        struct cowherd_error err;
        int rc;
};

static void close_pair(int *pair)
{
        for (size_t i = 0; i < 2; i++) {
                close_at(&pair[i]);
                pair[i] = -1;
        }
}

static void attaching_free(struct attaching *it)
{
        close_pair(it->input);
        close_pair(it->output);
        close_pair(it->errors);
        close_pair(it->tell);
}
define_owned(struct attaching, attaching_free)

/* ---- the thread ---- */

static int write_all(int fd, const char *bytes, size_t length, struct cowherd_error *err)
{
        while (length > 0) {
                ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0)
                        return fail_errno(err, "nobody reads what the command writes");
                bytes += count;
                length -= (size_t)count;
        }
        return 0;
}

static int on_wrote(void *context, int stream, const char *bytes, size_t length, struct cowherd_error *err)
{
        const struct attaching *it = context;

        return write_all(stream == 2 ? it->errors[1] : it->output[1], bytes, length, err);
}

/* The relay's end is closed when nobody looks any more: the command hears of it as of a terminal that hung up. */
static int on_told(void *context, struct lxd_session *session, struct cowherd_error *err)
{
        struct attaching *it = context;
        struct told told;
        ssize_t count = recv(it->tell[1], &told, sizeof told, MSG_DONTWAIT);

        if (count == 0) {
                it->exec.wake = -1;
                return lxd_session_signal(session, SIGHUP, err);
        }
        if (count != (ssize_t)sizeof told)
                return 0;
        return told.signal != 0 ? lxd_session_signal(session, told.signal, err)
                                : lxd_session_resize(session, told.columns, told.rows, err);
}

static void *run(void *context)
{
        struct attaching *it = context;
        struct lxd_client *client = NULL;

        it->rc = lxd_client_get(&client, &it->err);
        if (it->rc == 0)
                it->rc = lxd_exec_run(client, it->name, &it->exec, &it->result, &it->err);
        close_at(&it->output[1]);
        close_at(&it->errors[1]);
        it->output[1] = it->errors[1] = -1;
        return NULL;
}

/* ---- the relay ---- */

static void tell(void *context, const struct told *told)
{
        const struct attaching *it = context;

        (void)!send(it->tell[0], told, sizeof *told, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_resize(void *context, const struct winsize *size)
{
        tell(context, &(struct told){.columns = size->ws_col, .rows = size->ws_row});
}

static void on_signal(void *context, int number)
{
        tell(context, &(struct told){.signal = number});
}

static int make_pairs(struct attaching *it, struct cowherd_error *err)
{
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, it->input) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, it->output) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, it->errors) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, it->tell) < 0)
                return fail_errno(err, "cannot make a pair of sockets");
        it->exec.input = it->input[1];
        it->exec.wake = it->tell[1];
        it->exec.wrote = on_wrote;
        it->exec.woken = on_told;
        it->exec.context = it;
        return 0;
}

static int relay(struct attaching *it, const struct engine_streams *streams, enum relay_end *ret_how,
                 struct cowherd_error *err)
{
        struct relay relay = {
                .input = streams->input,
                .output = streams->output,
                .errors = streams->errors,
                .terminal = streams->terminal,
                .to = {.fd = take_fd(it->input[0])},
                .from = {.fd = take_fd(it->output[0])},
                .from_errors = {.fd = streams->terminal ? -1 : take_fd(it->errors[0])},
                .ended = -1,
                .resize = streams->terminal ? on_resize : NULL,
                .signal = on_signal,
                .context = it,
        };

        return relay_run(&relay, ret_how, err);
}

/* It takes no signals: they are the relay's, which sleeps until one comes to it. */
static int start_thread(struct attaching *it, pthread_t *ret, struct cowherd_error *err)
{
        sigset_t all, before;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        int rc = pthread_create(ret, NULL, run, it);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return rc == 0 ? 0 : fail(err, COWHERD_SYSTEM, "cannot start a thread");
}

/* Who runs it, what, and in what terminal. */
static int prepare(const struct lxd_target *target, const struct engine_command *command,
                   const struct engine_streams *streams, struct lxd_user *user, struct strv *environment,
                   struct lxd_exec *exec, struct cowherd_error *err)
{
        struct winsize size = {.ws_col = COLUMNS, .ws_row = ROWS};
        const char *terminal = getenv("TERM");

        if (lxd_user_find(target, command->user != NULL ? command->user : "root", user, err) < 0)
                return -1;
        if (streams->terminal) {
                strv_addf(environment, "TERM=%s", str_is_empty(terminal) ? "xterm" : terminal);
                (void)ioctl(streams->output, TIOCGWINSZ, &size);
        }
        lxd_command_fill(command, user, environment, exec);
        exec->terminal = streams->terminal;
        exec->columns = size.ws_col > 0 ? size.ws_col : COLUMNS;
        exec->rows = size.ws_row > 0 ? size.ws_row : ROWS;
        return 0;
}

int lxd_attach(const struct engine_instance *instance, const struct engine_command *command,
               const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err)
{
        owned_by(attaching_free) struct attaching it = {
                .input = {-1, -1}, .output = {-1, -1}, .errors = {-1, -1}, .tell = {-1, -1}};
        owned_target struct lxd_target target = {0};
        owned_strv struct strv environment = {0};
        owned_user struct lxd_user user = {0};
        pthread_t thread;

        if (lxd_target_running(instance, &target, err) < 0 ||
            prepare(&target, command, streams, &user, &environment, &it.exec, err) < 0 || make_pairs(&it, err) < 0)
                return -1;
        const char *const login[] = {str_is_empty(user.shell) ? "/bin/sh" : user.shell, "-l", NULL};
        if (command->argv == NULL)
                it.exec.argv = login;
        it.name = target.name;
        if (start_thread(&it, &thread, err) < 0)
                return -1;
        enum relay_end how = RELAY_ENDED;
        int rc = relay(&it, streams, &how, err);
        close_at(&it.tell[0]);
        it.tell[0] = -1;
        (void)pthread_join(thread, NULL);
        if (rc < 0)
                return -1;
        if (it.rc < 0 && how != RELAY_ENDED) { /* nobody looks any more, so nobody is told */
                *ret_exit_code = 128 + SIGHUP;
                return 0;
        }
        if (it.rc < 0) {
                *err = it.err;
                return -1;
        }
        if (it.result.timed_out)
                return fail(err, COWHERD_BUSY, "the command in '%s' took too long and was ended, with its children", instance->name);
        *ret_exit_code = it.result.exit_code;
        return 0;
}
