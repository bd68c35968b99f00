/* SPDX-License-Identifier: Apache-2.0 */
/* QMP against a server that says what a script says, whatever it is asked. */
#include "engine/qemu/qmp.h"

#include "../image/scratch.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define READY GREETING "{\"return\": {}, \"id\": 1}\r\n"

struct server {
        pid_t pid;
        int fd; /* the client's end */
};

/* Says all of it in two pieces, then reads until the client is gone, or hangs up at once. */
static struct server serve(const char *script, bool hangs_up)
{
        struct server server;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        server.pid = fork();
        assert_true(server.pid >= 0);
        if (server.pid == 0) {
                char byte[4096];
                size_t half = strlen(script) / 2;
                (void)close(pair[0]);
                bool said = write(pair[1], script, half) == (ssize_t)half &&
                            write(pair[1], script + half, strlen(script) - half) >= 0;
                while (said && !hangs_up && read(pair[1], byte, sizeof byte) > 0)
                        continue;
                _exit(0);
        }
        (void)close(pair[1]);
        server.fd = pair[0];
        return server;
}

static void end(struct server server)
{
        (void)kill(server.pid, SIGKILL);
        assert_int_equal(waitpid(server.pid, NULL, 0), server.pid);
}

static int begin(const char *script, struct qmp *qmp, struct server *server, struct cowherd_error *err)
{
        *server = serve(script, false);
        return qmp_begin(server->fd, 2000, qmp, err);
}

static void speaks(void **state)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct server server;
        struct cowherd_error err;
        json_t *value = NULL, *event = NULL;
        char status[16] = "";

        (void)state;
        assert_int_equal(
                begin(READY
                      "{\"event\": \"STOP\", \"data\": {}}\r\n{\"return\": {\"status\": \"paused\"}, \"id\": 2}\r\n"
                      "{\"return\": [1, 2], \"id\": 3}\r\n{\"event\": \"RESUME\"}\r\n",
                      &qmp, &server, &err),
                0);
        assert_int_equal(qmp_status(&qmp, status, sizeof status, 2000, &err), 0);
        assert_string_equal(status, "paused");
        assert_int_equal(qmp_execute(&qmp, "any", json_pack("{s:i}", "x", 1), -1, 2000, &value, &err), 0);
        assert_int_equal(json_array_size(value), 2);
        json_decref(value);
        assert_int_equal(qmp_event(&qmp, 2000, &event, &err), 0); /* kept from before the reply */
        assert_string_equal(json_string_value(json_object_get(event, "event")), "STOP");
        json_decref(event);
        assert_int_equal(qmp_event(&qmp, 2000, &event, &err), 0);
        assert_string_equal(json_string_value(json_object_get(event, "event")), "RESUME");
        json_decref(event);
        assert_int_equal(qmp_event(&qmp, 20, &event, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        end(server);
}

static void tells_why_it_was_refused(void **state)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct server server;
        struct cowherd_error err;

        (void)state;
        assert_int_equal(begin(READY
                               "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such node\"}, \"id\": 2}\r\n",
                               &qmp, &server, &err),
                         0);
        assert_int_equal(qmp_command(&qmp, "blockdev-del", &err), -1);
        assert_int_equal(err.code, COWHERD_SYSTEM);
        assert_string_equal(err.text, "qemu refused 'blockdev-del': no such node");
        end(server);
}

static void expect_failure(const char *script, bool hangs_up, uint64_t timeout_ms, int code, const char *text)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct server server = serve(script, hangs_up);
        struct cowherd_error err = {0};

        assert_int_equal(qmp_begin(server.fd, timeout_ms, &qmp, &err), -1);
        assert_int_equal(err.code, code);
        if (strstr(err.text, text) == NULL)
                print_message("# %s\n", err.text);
        assert_non_null(strstr(err.text, text));
        end(server);
}

static void what_is_no_qmp_is_refused(void **state)
{
        (void)state;
        expect_failure("hello\n", false, 2000, COWHERD_SYSTEM, "no QMP");
        expect_failure("[1]\n", false, 2000, COWHERD_SYSTEM, "no QMP");
        expect_failure("{\"return\": {}}\n", false, 2000, COWHERD_SYSTEM, "no QMP");
        expect_failure("{\"a\": 1, \"a\": 2}\n", false, 2000, COWHERD_SYSTEM, "no QMP");
        expect_failure("", false, 30, COWHERD_BUSY, "in time");
        expect_failure("", true, 2000, COWHERD_BUSY, "ended");
        expect_failure(GREETING, true, 2000, COWHERD_BUSY, "ended");
        expect_failure(GREETING "{\"return\": {}, \"id\": 77}\n", false, 50, COWHERD_BUSY, "in time");
}

/* A line has an end, or it is refused; events in great number are not all kept. */
static void is_bounded(void **state)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        owned_string struct str script = {0}, endless = {0};
        struct server server;
        struct cowherd_error err;
        json_t *event = NULL;

        (void)state;
        str_add(&script, READY);
        for (int i = 0; i < 500; i++)
                str_addf(&script, "{\"event\": \"E\", \"data\": {\"n\": %d}}\n", i);
        str_add(&script, "{\"return\": {}, \"id\": 2}\n");
        assert_int_equal(begin(str_text(&script), &qmp, &server, &err), 0);
        assert_int_equal(qmp_command(&qmp, "any", &err), 0);
        assert_int_equal(json_array_size(qmp.events), QMP_EVENTS);
        assert_int_equal(qmp_event(&qmp, 0, &event, &err), 0);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(event, "data"), "n")), 500 - QMP_EVENTS);
        json_decref(event);
        end(server);

        str_add(&endless, "{\"x\":\"");
        for (int i = 0; i < 5000; i++)
                str_addf(&endless, "%01024d", i);
        expect_failure(str_text(&endless), false, 5000, COWHERD_SYSTEM, "more than");
}

static void hands_over_descriptors(void **state)
{
        owned_qmp struct qmp qmp = {.events = json_array()};
        struct cowherd_error err;
        int pair[2], received = -1;
        char text[256];
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec bytes = {.iov_base = text, .iov_len = sizeof text};
        struct msghdr message = {
                .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        qmp.fd = pair[0];
        assert_int_equal(write(pair[1], "{\"return\": {\"fdset-id\": 4}, \"id\": 1}\n", 37), 37);
        assert_int_equal(qmp_execute(&qmp, "add-fd", NULL, STDOUT_FILENO, 1000, NULL, &err), 0);
        ssize_t got = recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC);
        assert_true(got > 0);
        assert_non_null(memmem(text, (size_t)got, "\"add-fd\"", 8));
        assert_int_equal(control.header.cmsg_type, SCM_RIGHTS);
        memcpy(&received, CMSG_DATA(&control.header), sizeof received);
        assert_true(received > 2);
        (void)close(received);
        (void)close(pair[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(speaks),
                cmocka_unit_test(tells_why_it_was_refused),
                cmocka_unit_test(what_is_no_qmp_is_refused),
                cmocka_unit_test(is_bounded),
                cmocka_unit_test(hands_over_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
