/* SPDX-License-Identifier: Apache-2.0 */
/* The relay between a caller and a command: with pipes, with a socket, and with terminals, which are ptys here. */
#include "sys/terminal.h"

#include "sys_test.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#define BIG (3u << 20)

struct side {
        int in, out, errors; /* what the relay is given */
        int to_in, from_out, from_errors;
};

static struct side make_side(void)
{
        int in[2], out[2], errors[2];

        assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(errors, O_CLOEXEC), 0);
        return (struct side){in[0], out[1], errors[1], in[1], out[0], errors[0]};
}

/* A child that runs `body` between the guest's ends, and the relay's view of it. */
struct command {
        pid_t pid;
        int pidfd;
        struct relay relay;
};

static int pidfd_of(pid_t pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);

        assert_true(fd >= 0);
        return fd;
}

static struct command start(const struct side *side, int (*body)(void))
{
        struct command command = {0};
        int in[2], out[2], errors[2];

        assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(errors, O_CLOEXEC), 0);
        command.pid = fork();
        if (command.pid == 0) {
                (void)dup2(in[0], 0);
                (void)dup2(out[1], 1);
                (void)dup2(errors[1], 2);
                for (int fd = 3; fd < 64; fd++)
                        (void)close(fd);
                _exit(body());
        }
        (void)close(in[0]);
        (void)close(out[1]);
        (void)close(errors[1]);
        command.pidfd = pidfd_of(command.pid);
        command.relay = (struct relay){.input = side->in,
                                       .output = side->out,
                                       .errors = side->errors,
                                       .to = {.fd = in[1]},
                                       .from = {.fd = out[0]},
                                       .from_errors = {.fd = errors[0]},
                                       .ended = command.pidfd};
        return command;
}

static int end(struct command *command)
{
        int status;

        assert_int_equal(waitpid(command->pid, &status, 0), command->pid);
        (void)close(command->pidfd);
        return status;
}

static int run_cat(void)
{
        char buffer[4096];

        for (ssize_t got = read(0, buffer, sizeof buffer); got > 0; got = read(0, buffer, sizeof buffer))
                if (write(1, buffer, (size_t)got) != got)
                        return 1;
        return write(2, "done\n", 5) == 5 ? 0 : 2;
}

/* Another process that writes bytes and closes, so that neither side waits for itself. */
static pid_t feed(struct side *side, size_t count)
{
        pid_t pid = fork();

        if (pid == 0) {
                static unsigned char byte[1];
                for (size_t i = 0; i < count; i++) {
                        byte[0] = (unsigned char)(i * 7 + i / 256);
                        if (write(side->to_in, byte, 1) != 1)
                                _exit(1);
                }
                _exit(0);
        }
        (void)close(side->to_in);
        return pid;
}

static pid_t check_bytes(struct side *side, size_t count)
{
        pid_t pid = fork();

        if (pid == 0) {
                unsigned char buffer[16384];
                size_t seen = 0;
                (void)close(side->out);
                for (ssize_t got = read(side->from_out, buffer, sizeof buffer); got > 0;
                     got = read(side->from_out, buffer, sizeof buffer))
                        for (ssize_t i = 0; i < got; i++, seen++)
                                if (buffer[i] != (unsigned char)(seen * 7 + seen / 256))
                                        _exit(1);
                _exit(seen == count ? 0 : 2);
        }
        return pid;
}

static void assert_ended_well(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void all_bytes_go_through(void **state)
{
        struct side side = make_side();
        pid_t feeder = feed(&side, 100000), checker = check_bytes(&side, 100000);
        struct command command = start(&side, run_cat);
        struct cowherd_error err = {0};
        enum relay_end how = RELAY_ESCAPED;
        char text[16] = "";

        (void)state;
        assert_done(relay_run(&command.relay, &how, &err), &err);
        assert_int_equal(how, RELAY_ENDED);
        (void)close(side.out);
        assert_int_equal(end(&command), 0);
        assert_ended_well(feeder);
        assert_ended_well(checker);
        assert_int_equal(read(side.from_errors, text, sizeof text), 5);
        assert_string_equal(text, "done\n");
        assert_int_equal(command.relay.to.fd, -1);
}

static int write_much(void)
{
        static char bytes[BIG];

        for (size_t i = 0; i < BIG; i++)
                bytes[i] = (char)(i * 7 + i / 256);
        for (size_t done = 0; done < BIG;) {
                ssize_t put = write(1, bytes + done, BIG - done);
                if (put <= 0)
                        return 1;
                done += (size_t)put;
        }
        return 0;
}

static void what_was_written_before_the_end_arrives(void **state)
{
        struct side side = make_side();
        pid_t checker = check_bytes(&side, BIG);
        struct command command = start(&side, write_much);
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        assert_done(relay_run(&command.relay, &how, &err), &err);
        (void)close(side.out);
        assert_int_equal(end(&command), 0);
        assert_ended_well(checker);
}

/* The daemon dies of the pipe that it reads its end of. */
static int leave_a_daemon(void)
{
        if (fork() == 0) {
                char byte;
                _exit(read(0, &byte, 1) == 0 ? 0 : 1);
        }
        return write(1, "x", 1) == 1 ? 7 : 1;
}

static void a_daemon_that_keeps_the_pipe_is_not_waited_for(void **state)
{
        struct side side = make_side();
        struct command command = start(&side, leave_a_daemon);
        struct cowherd_error err = {0};
        enum relay_end how;
        char byte = 0;

        (void)state;
        assert_done(relay_run(&command.relay, &how, &err), &err);
        assert_int_equal(WEXITSTATUS(end(&command)), 7);
        assert_int_equal(read(side.from_out, &byte, 1), 1);
        (void)close(side.to_in);
}

static int write_until_told(void)
{
        (void)signal(SIGPIPE, SIG_DFL);
        while (write(1, "y\n", 2) == 2)
                continue;
        return 1;
}

static void a_command_whose_output_nobody_reads_is_told(void **state)
{
        struct side side = make_side();
        struct command command = start(&side, write_until_told);
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        (void)close(side.from_out);
        assert_done(relay_run(&command.relay, &how, &err), &err);
        int status = end(&command);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGPIPE);
}

static void a_full_disk_is_an_error(void **state)
{
        struct side side = make_side();
        struct command command = start(&side, write_much);
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        command.relay.output = open("/dev/full", O_WRONLY | O_CLOEXEC);
        int result = relay_run(&command.relay, &how, &err);
        (void)end(&command);
        assert_failed(result, &err, COWHERD_IO, "cannot write the command's output");
}

static int wait_for_interrupt(void)
{
        sigset_t set;
        int number = 0;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGINT);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        if (write(1, "r", 1) != 1 || sigwait(&set, &number) != 0)
                return 1;
        return number == SIGINT ? 42 : 2;
}

static void pass_on(void *context, int number)
{
        assert_int_equal(kill(*(pid_t *)context, number), 0);
}

/* Sends us a signal once the command has written something. */
static pid_t signal_when_ready(const struct side *side, int number, unsigned times)
{
        pid_t us = getpid(), pid = fork();

        if (pid == 0) {
                char byte;
                bool ready = read(side->from_out, &byte, 1) == 1;
                for (unsigned i = 0; i < times; i++) {
                        (void)kill(us, number);
                        (void)poll(NULL, 0, 20); /* two at once would be one */
                }
                _exit(!ready);
        }
        return pid;
}

static void signals_reach_the_command(void **state)
{
        struct side side = make_side();
        struct command command = start(&side, wait_for_interrupt);
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        command.relay.signal = pass_on;
        command.relay.context = &command.pid;
        pid_t sender = signal_when_ready(&side, SIGINT, 1);
        assert_done(relay_run(&command.relay, &how, &err), &err);
        assert_int_equal(WEXITSTATUS(end(&command)), 42);
        assert_ended_well(sender);
}

static void ignore_it(void *context, int number)
{
        (void)context;
        (void)number;
}

static void a_second_term_ends_the_relay(void **state)
{
        struct side side = make_side();
        struct command command = start(&side, wait_for_interrupt);
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        command.relay.signal = ignore_it;
        pid_t sender = signal_when_ready(&side, SIGTERM, 2);
        assert_done(relay_run(&command.relay, &how, &err), &err);
        assert_int_equal(how, RELAY_INTERRUPTED);
        assert_int_equal(kill(command.pid, SIGKILL), 0);
        (void)end(&command);
        assert_ended_well(sender);
}

static void a_socket_is_closed_by_half(void **state)
{
        struct side side = make_side();
        struct cowherd_error err = {0};
        enum relay_end how;
        char text[16] = "";
        int ends[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        pid_t pid = fork();
        if (pid == 0) { /* answers only once the input is at its end */
                char got[8];
                (void)close(side.to_in);
                (void)close(ends[0]);
                ssize_t count = read(ends[1], got, sizeof got);
                _exit(count != 3 || read(ends[1], got, sizeof got) != 0 || write(ends[1], "answer", 6) != 6);
        }
        (void)close(ends[1]);
        assert_int_equal(write(side.to_in, "ask", 3), 3);
        (void)close(side.to_in);
        struct relay relay = {.input = side.in,
                              .output = side.out,
                              .errors = side.errors,
                              .to = {.fd = ends[0]},
                              .from = {.fd = ends[0]},
                              .from_errors = {.fd = -1},
                              .ended = -1};
        assert_done(relay_run(&relay, &how, &err), &err);
        assert_int_equal(how, RELAY_ENDED);
        assert_int_equal(read(side.from_out, text, sizeof text), 6);
        assert_string_equal(text, "answer");
        assert_ended_well(pid);
}

/* A stream of frames: all came in one read of its own, and poll(2) shows nothing of the rest. */
struct frames {
        unsigned left;
};

static ssize_t read_frame(void *context, void *buffer, size_t bytes)
{
        struct frames *frames = context;

        if (frames->left == 0)
                return 0;
        assert_true(bytes >= 1);
        memset(buffer, (int)('0' + --frames->left), 1);
        return 1;
}

static void frames_that_were_read_ahead_are_asked_for(void **state)
{
        struct side side = make_side();
        struct frames frames = {.left = 5};
        struct cowherd_error err = {0};
        enum relay_end how;
        char text[16] = "";
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(write(ends[1], "x", 1), 1); /* readable for the first; never read */
        struct relay relay = {.input = -1,
                              .output = side.out,
                              .errors = side.errors,
                              .to = {.fd = -1},
                              .from = {.fd = ends[0], .read = read_frame, .context = &frames},
                              .from_errors = {.fd = -1},
                              .ended = -1};
        assert_done(relay_run(&relay, &how, &err), &err);
        assert_int_equal(read(side.from_out, text, sizeof text), 5);
        assert_string_equal(text, "43210");
        (void)close(ends[1]);
}

/* ---- terminals ---- */

struct terminals {
        int person, ours; /* the caller's terminal: what the person sees, and what we were started on */
        struct relay relay;
        pid_t pid;
        int pidfd;
};

static struct terminals open_terminals(int (*body)(void))
{
        struct terminals t = {0};
        struct winsize size = {.ws_row = 33, .ws_col = 101};
        int master;

        assert_int_equal(openpty(&t.person, &t.ours, NULL, NULL, &size), 0);
        t.pid = forkpty(&master, NULL, NULL, NULL);
        assert_true(t.pid >= 0);
        if (t.pid == 0)
                _exit(body());
        t.pidfd = pidfd_of(t.pid);
        t.relay = (struct relay){.input = t.ours,
                                 .output = t.ours,
                                 .errors = t.ours,
                                 .terminal = true,
                                 .to = {.fd = master},
                                 .from = {.fd = master},
                                 .from_errors = {.fd = -1},
                                 .ended = t.pidfd};
        return t;
}

static int close_terminals(struct terminals *t)
{
        int status;

        assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
        (void)close(t->pidfd);
        (void)close(t->person);
        (void)close(t->ours);
        return status;
}

static int tell_size(void)
{
        struct winsize size = {0};
        struct pollfd input = {.fd = 0, .events = POLLIN};

        (void)poll(&input, 1, 5000); /* a key: by then the size is set */
        if (ioctl(1, TIOCGWINSZ, &size) < 0)
                return 1;
        (void)dprintf(1, "<%d %d>", size.ws_row, size.ws_col);
        return 0;
}

/* Reads what the person sees until a mark. */
static void see(int person, const char *mark, char *text, size_t bytes)
{
        size_t length = 0;

        for (text[0] = '\0'; strstr(text, mark) == NULL;) {
                struct pollfd fd = {.fd = person, .events = POLLIN};
                assert_int_equal(poll(&fd, 1, 10000), 1);
                ssize_t got = read(person, text + length, bytes - length - 1);
                assert_true(got > 0);
                length += (size_t)got;
                text[length] = '\0';
        }
}

static bool is_raw(int fd)
{
        struct termios settings;

        assert_int_equal(tcgetattr(fd, &settings), 0);
        return (settings.c_lflag & (tcflag_t)(ICANON | ECHO | ISIG)) == 0;
}

static void a_terminal_is_raw_and_put_back(void **state)
{
        struct terminals t = open_terminals(tell_size);
        struct termios before, after;
        struct cowherd_error err = {0};
        enum relay_end how;
        char text[256];

        (void)state;
        assert_int_equal(tcgetattr(t.ours, &before), 0);
        assert_int_equal(write(t.person, "x\n", 2), 2);
        assert_done(relay_run(&t.relay, &how, &err), &err);
        assert_int_equal(how, RELAY_ENDED);
        see(t.person, ">", text, sizeof text);
        assert_contains(text, "<33 101>"); /* the command's terminal is as large as ours */
        assert_int_equal(tcgetattr(t.ours, &after), 0);
        assert_int_equal(before.c_iflag, after.c_iflag);
        assert_int_equal(before.c_oflag, after.c_oflag);
        assert_int_equal(before.c_lflag, after.c_lflag);
        assert_memory_equal(before.c_cc, after.c_cc, sizeof before.c_cc);
        assert_int_equal(close_terminals(&t), 0);
}

static int run_forever(void)
{
        (void)dprintf(1, "ready\n");
        while (pause() < 0)
                continue;
        return 0;
}

/* In another process: waits until the command's words are seen, then does something to the relay. */
static pid_t meanwhile(const struct terminals *t, void (*act)(const struct terminals *t, pid_t relay))
{
        pid_t us = getpid(), pid = fork();

        if (pid == 0) {
                char text[256];
                see(t->person, "ready", text, sizeof text);
                if (!is_raw(t->ours))
                        _exit(1);
                act(t, us);
                _exit(0);
        }
        return pid;
}

static void press_escape(const struct terminals *t, pid_t relay)
{
        (void)relay;
        assert_int_equal(write(t->person, "abc\x1d", 4), 4);
}

static void send_term(const struct terminals *t, pid_t relay)
{
        (void)t;
        assert_int_equal(kill(relay, SIGTERM), 0);
}

static void assert_ends(void (*act)(const struct terminals *t, pid_t relay), enum relay_end expected)
{
        struct terminals t = open_terminals(run_forever);
        pid_t actor = meanwhile(&t, act);
        struct cowherd_error err = {0};
        enum relay_end how;

        t.relay.escape = RELAY_ESCAPE_CONSOLE;
        assert_done(relay_run(&t.relay, &how, &err), &err);
        assert_int_equal(how, expected);
        assert_false(is_raw(t.ours));
        assert_ended_well(actor);
        (void)kill(t.pid, SIGKILL);
        (void)close_terminals(&t);
}

static void the_escape_key_ends_the_relay(void **state)
{
        (void)state;
        assert_ends(press_escape, RELAY_ESCAPED);
}

static void a_signal_puts_the_terminal_back(void **state)
{
        (void)state;
        assert_ends(send_term, RELAY_INTERRUPTED);
}

static int wait_for_size(void)
{
        sigset_t set;
        int number;
        struct winsize size = {0};

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGWINCH);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        (void)dprintf(1, "ready\n");
        while (size.ws_row != 44)
                if (sigwait(&set, &number) != 0 || ioctl(1, TIOCGWINSZ, &size) < 0)
                        return 1;
        return 3;
}

static void change_size(const struct terminals *t, pid_t relay)
{
        struct winsize size = {.ws_row = 44, .ws_col = 120};

        assert_int_equal(ioctl(t->person, TIOCSWINSZ, &size), 0);
        assert_int_equal(kill(relay, SIGWINCH), 0); /* the kernel sends it to who has the terminal as his own */
}

static void a_new_size_is_passed_on(void **state)
{
        struct terminals t = open_terminals(wait_for_size);
        pid_t actor = meanwhile(&t, change_size);
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        assert_done(relay_run(&t.relay, &how, &err), &err);
        assert_ended_well(actor);
        assert_int_equal(WEXITSTATUS(close_terminals(&t)), 3);
}

static void no_terminal_is_an_error(void **state)
{
        struct side side = make_side();
        struct command command = start(&side, run_cat);
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        command.relay.terminal = true;
        assert_failed(relay_run(&command.relay, &how, &err), &err, COWHERD_SYSTEM, "the input is no terminal");
        (void)end(&command);
}

static void a_pty_gets_its_end_of_file_key(void **state)
{
        struct terminals t = open_terminals(run_cat);
        struct side side = make_side();
        struct cowherd_error err = {0};
        enum relay_end how;

        (void)state;
        t.relay.terminal = false;
        t.relay.input = side.in;
        assert_int_equal(write(side.to_in, "half a line", 11), 11);
        (void)close(side.to_in);
        assert_done(relay_run(&t.relay, &how, &err), &err);
        assert_int_equal(how, RELAY_ENDED);
        assert_int_equal(close_terminals(&t), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_bytes_go_through),
                cmocka_unit_test(what_was_written_before_the_end_arrives),
                cmocka_unit_test(a_daemon_that_keeps_the_pipe_is_not_waited_for),
                cmocka_unit_test(a_command_whose_output_nobody_reads_is_told),
                cmocka_unit_test(a_full_disk_is_an_error),
                cmocka_unit_test(signals_reach_the_command),
                cmocka_unit_test(a_second_term_ends_the_relay),
                cmocka_unit_test(a_socket_is_closed_by_half),
                cmocka_unit_test(frames_that_were_read_ahead_are_asked_for),
                cmocka_unit_test(a_terminal_is_raw_and_put_back),
                cmocka_unit_test(the_escape_key_ends_the_relay),
                cmocka_unit_test(a_signal_puts_the_terminal_back),
                cmocka_unit_test(a_new_size_is_passed_on),
                cmocka_unit_test(no_terminal_is_an_error),
                cmocka_unit_test(a_pty_gets_its_end_of_file_key),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
