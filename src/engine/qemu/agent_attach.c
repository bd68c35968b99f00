/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command with the caller's own descriptors. The agent knows no streams: so the command's input is written to a file
 * in the guest first, to its end; its outputs are files there as well, read as they grow. On a terminal, and without a
 * command, it is the serial console, which is a terminal from the first line of the boot on.
 */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "engine/qemu/agent_exec.h"
#include "engine/qemu/agent_file.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TAG_BYTES 17
#define PIECE_BYTES (48u << 10)

/* $1 a tag. Says the folder with the three files. */
static const char begin[] =
        "for base in /tmp /var/tmp /run; do\n"
        "  if mkdir -m 700 \"$base/.cowherd-$1\" 2>/dev/null; then\n"
        "    : >\"$base/.cowherd-$1/in\" && : >\"$base/.cowherd-$1/out\" && : >\"$base/.cowherd-$1/errors\" &&\n"
        "      printf '%s\\n' \"$base/.cowherd-$1\" && exit 0\n"
        "  fi\n"
        "done\n"
        "echo 'there is no folder for temporary files' >&2\n"
        "exit 74\n";
/* $1 that folder, then the command. */
static const char redirect[] = "cd / && exec <\"$1/in\" >\"$1/out\" 2>\"$1/errors\" && shift && exec \"$@\"\n";
static const char end[] = "rm -rf \"$1\"\n";

struct attached {
        const struct engine_instance *instance;
        const struct engine_command *command;
        const struct engine_streams *streams;
        struct agent agent;
        char *folder; /* in the guest */
        int64_t out, errors, pid;
        char token[AGENT_TOKEN_BYTES];
        bool begun;  /* the first bytes of stderr were looked at: the command runs */
        int signals; /* a signalfd, or -1 */
        int signal;  /* that ended it, or 0 */
};

static int write_all(int to, const char *bytes, size_t count, struct cowherd_error *err)
{
        while (count > 0) {
                ssize_t done = write(to, bytes, count);
                if (done < 0 && errno == EINTR)
                        continue;
                if (done < 0 && errno == EAGAIN) {
                        struct pollfd room = {.fd = to, .events = POLLOUT};
                        (void)poll(&room, 1, -1);
                        continue;
                }
                if (done < 0)
                        return fail_errno(err, "cannot write the output of the command");
                bytes += done;
                count -= (size_t)done;
        }
        return 0;
}

/* What has grown on one of its outputs, to ours. *ret_some: there was something. */
static int pass_on(struct attached *at, int64_t handle, int to, bool *ret_some, struct cowherd_error *err)
{
        bool is_end = false;

        while (!is_end) {
                owned_mem char *bytes = NULL;
                size_t count = 0;
                if (agent_file_read(&at->agent, handle, &bytes, &count, &is_end, err) < 0)
                        return -1;
                if (count == 0)
                        return 0;
                *ret_some = true;
                if (handle == at->errors && !at->begun &&
                    agent_unwrap(&at->agent, at->command, at->token, bytes, count, err) < 0)
                        return -1;
                at->begun = true;
                if (write_all(to, bytes, count, err) < 0)
                        return -1;
        }
        return 0;
}

static int send_input(struct attached *at, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("%s/in", at->folder);
        owned_mem char *piece = x_malloc(PIECE_BYTES);
        struct cowherd_error ignored;
        int64_t handle = 0;
        int result = 0;

        if (at->streams->input < 0)
                return 0;
        if (agent_file_open(&at->agent, path, "wb", &handle, err) < 0)
                return -1;
        while (result == 0) {
                struct pollfd wanted[] = {{.fd = at->streams->input, .events = POLLIN},
                                          {.fd = at->signals, .events = POLLIN}};
                if (poll(wanted, 2, -1) < 0 && errno != EINTR) {
                        result = fail_errno(err, "cannot wait for the command's input");
                } else if (wanted[1].revents != 0) {
                        break;
                } else if (wanted[0].revents != 0) {
                        ssize_t got = read(at->streams->input, piece, PIECE_BYTES);
                        if (got == 0)
                                break;
                        if (got > 0)
                                result = agent_file_write(&at->agent, handle, piece, (size_t)got, err);
                        else if (errno != EINTR && errno != EAGAIN)
                                result = fail_errno(err, "cannot read the command's input");
                }
        }
        if (result == 0)
                return agent_file_close(&at->agent, handle, err);
        ignore_result(agent_file_close(&at->agent, handle, &ignored));
        return -1;
}

static int open_outputs(struct attached *at, struct cowherd_error *err)
{
        owned_str char *out = x_asprintf("%s/out", at->folder), *errors = x_asprintf("%s/errors", at->folder);

        if (agent_file_open(&at->agent, out, "rb", &at->out, err) < 0)
                return -1;
        return agent_file_open(&at->agent, errors, "rb", &at->errors, err);
}

/* The folder in the guest, its input, the command, its outputs. */
static int start(struct attached *at, struct cowherd_error *err)
{
        owned_agent_command struct agent_command wrapped = {0}, whole = {.unheard = true};
        struct engine_command command = *at->command;
        struct engine_output output = {0};
        char tag[TAG_BYTES];
        const char *const words[] = {random_hex((TAG_BYTES - 1) / 2, tag), NULL};

        command.input = NULL;
        command.timeout_ms = 1; /* a session of its own: a signal of ours may have to end it */
        if (agent_prepare(at->instance, &command, random_hex((AGENT_TOKEN_BYTES - 1) / 2, at->token), &wrapped, err) <
                    0 ||
            agent_open(at->instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &at->agent, err) < 0 ||
            agent_script(at->instance, &at->agent, begin, words, NULL, 0, &output, err) < 0)
                return -1;
        int code = output.exit_code;
        if (code != 0)
                ignore_result(agent_script_failed(&at->agent, &output, COWHERD_IO, err));
        else
                at->folder = x_strndup(output.out, strcspn(output.out, "\n"));
        engine_output_free(&output);
        if (code != 0 || send_input(at, err) < 0)
                return -1;
        strv_add(&whole.argv, "/bin/sh");
        strv_add(&whole.argv, "-c");
        strv_add(&whole.argv, redirect);
        strv_add(&whole.argv, "cowherd");
        strv_add(&whole.argv, at->folder);
        for (size_t i = 0; i < wrapped.argv.count; i++)
                strv_add(&whole.argv, wrapped.argv.items[i]);
        for (size_t i = 0; i < wrapped.environment.count; i++)
                strv_add(&whole.environment, wrapped.environment.items[i]);
        if (agent_start(&at->agent, &whole, &at->pid, err) < 0)
                return -1;
        return open_outputs(at, err);
}

/* A signal of ours, or the time, ends the command. */
static int end_early(struct attached *at, struct cowherd_error *err)
{
        struct signalfd_siginfo info;

        if (at->signals < 0 || read(at->signals, &info, sizeof info) != (ssize_t)sizeof info)
                return 0;
        at->signal = (int)info.ssi_signo;
        return agent_kill(&at->agent, at->pid, err);
}

static int give_way(struct attached *at, double *pause_ms, struct cowherd_error *err)
{
        bool wanted = agent_is_wanted(&at->agent);
        struct pollfd sign = {.fd = at->signals, .events = POLLIN};

        if (wanted)
                agent_close(&at->agent);
        (void)poll(&sign, 1, (int)*pause_ms);
        *pause_ms = *pause_ms * 1.5 > AGENT_PAUSE_MOST_MS ? AGENT_PAUSE_MOST_MS : *pause_ms * 1.5;
        return wanted ? agent_open(at->instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &at->agent, err) : 0;
}

static int follow(struct attached *at, int *ret_exit_code, struct cowherd_error *err)
{
        double begin_ms = clock_ms(), pause_ms = AGENT_PAUSE_LEAST_MS;
        struct engine_output output = {0};

        for (;;) {
                bool some = false;
                int running =
                        agent_ended(&at->agent, at->pid, &output, err); /* asked first: all it wrote is there then */
                if (running < 0 || pass_on(at, at->errors, at->streams->errors, &some, err) < 0 ||
                    pass_on(at, at->out, at->streams->output, &some, err) < 0) {
                        engine_output_free(&output);
                        return -1;
                }
                if (running == 0) {
                        *ret_exit_code = at->signal != 0 ? 128 + at->signal : output.exit_code;
                        engine_output_free(&output);
                        return 0;
                }
                if (at->command->timeout_ms > 0 && clock_ms() - begin_ms > (double)at->command->timeout_ms) {
                        if (agent_kill(&at->agent, at->pid, err) < 0)
                                return -1;
                        return fail(err, COWHERD_BUSY, "a command in '%s' took longer than %llu ms; it was ended",
                                    at->instance->name, (unsigned long long)at->command->timeout_ms);
                }
                if (some)
                        pause_ms = AGENT_PAUSE_LEAST_MS;
                if (end_early(at, err) < 0 || give_way(at, &pause_ms, err) < 0)
                        return -1;
        }
}

/* Whatever happened: nothing of ours stays in the guest. */
static void finish(struct attached *at)
{
        const char *const words[] = {at->folder, NULL};
        struct engine_output output = {0};
        struct cowherd_error ignored;

        if (at->agent.fd < 0 && at->folder != NULL)
                ignore_result(agent_open(at->instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &at->agent, &ignored));
        if (at->agent.fd >= 0) {
                if (at->out != 0)
                        ignore_result(agent_file_close(&at->agent, at->out, &ignored));
                if (at->errors != 0)
                        ignore_result(agent_file_close(&at->agent, at->errors, &ignored));
                if (at->folder != NULL)
                        ignore_result(agent_script(at->instance, &at->agent, end, words, NULL, 0, &output, &ignored));
        }
        engine_output_free(&output);
        agent_close(&at->agent);
        free(at->folder);
}

/* INT, TERM and HUP are the command's meanwhile; those that the caller ignores stay so. */
static int run(struct attached *at, int *ret_exit_code, struct cowherd_error *err)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
        sigset_t set, before;
        struct sigaction action;

        (void)sigemptyset(&set);
        for (size_t i = 0; i < array_length(numbers); i++)
                if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        (void)sigaddset(&set, numbers[i]);
        if (pthread_sigmask(SIG_BLOCK, &set, &before) != 0)
                return fail(err, COWHERD_SYSTEM, "cannot keep signals for a command");
        owned_fd int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        at->signals = signals;
        int result = start(at, err) < 0 || follow(at, ret_exit_code, err) < 0 ? -1 : 0;
        finish(at);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return result;
}

int qemu_agent_attach(const struct engine_instance *instance, const struct engine_command *command,
                      const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err)
{
        static const char *const shell[] = {"/bin/sh", NULL};
        struct engine_command wanted = *command;
        struct attached at = {
                .instance = instance, .command = &wanted, .streams = streams, .agent = AGENT_CLOSED, .signals = -1};

        if (command->argv == NULL && streams->terminal)
                return qemu_agent_console(instance, streams, ret_exit_code, err);
        if (command->argv == NULL)
                wanted.argv = shell; /* of a script that comes by a pipe */
        if (instance->machine != NULL && instance->machine->os == ENGINE_OS_WINDOWS)
                return fail(err, COWHERD_UNAVAILABLE,
                            "a Windows guest's command can't be followed: execute it without a terminal");
        if (streams->terminal) {
                (void)fail(err, COWHERD_UNAVAILABLE, "the guest agent can't give a command in '%s' a terminal",
                           instance->name);
                return fail_hint(
                        err, "use cowherd shell for the console, or ssh; or redirect the command's input or output");
        }
        return run(&at, ret_exit_code, err);
}
