/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to a notify socket, and a conversation with a guest's agent, played by this test. */
#include "compare/by_hand.h"

#include "base/error.h"
#include "base/mem.h"
#include "sys/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void tell(const char *name, const char *text)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        owned_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
        assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
                         (ssize_t)strlen(text));
}

static void test_notify(void **state)
{
        owned_fd int fd = -1;
        char name[64], word[16] = "", none[16] = "";
        int second = -7;
        struct cowherd_error err;

        (void)state;
        (void)snprintf(name, sizeof name, "cowherd-by-hand-%ld", (long)getpid());
        assert_int_equal(by_hand_listen(name, &fd, &err), 0);
        assert_int_equal(by_hand_listen(name, &second, &err), -1); /* it is taken */
        assert_int_equal(second, -7);
        tell(name, "STATUS=starting");
        tell(name, "X_NSPAWN_LEADER_PID=4711\nSTATUS=x");
        tell(name, "READY=1");
        assert_int_equal(by_hand_await(fd, "X_NSPAWN_LEADER_PID=", word, sizeof word, &err), 0);
        assert_string_equal(word, "4711");
        assert_int_equal(by_hand_await(fd, "READY=", none, sizeof none, &err), 0);
        assert_string_equal(none, "1");
}

struct play {
        int fd;
        const char *const *lines; /* the answers, one to each question, up to NULL; then it hangs up */
        char asked[1024];
};

static void *play(void *context)
{
        struct play *play = context;
        size_t length = 0;

        for (const char *const *line = play->lines; *line != NULL; line++) {
                for (size_t begin = length; length == begin || play->asked[length - 1] != '\n';) {
                        ssize_t got = read(play->fd, play->asked + length, sizeof play->asked - 1 - length);
                        if (got <= 0)
                                return NULL;
                        length += (size_t)got;
                }
                (void)!write(play->fd, *line, strlen(*line));
        }
        (void)shutdown(play->fd, SHUT_RDWR);
        return NULL;
}

static int converse(const char *const *lines, char *ret_asked, struct cowherd_error *err)
{
        struct play agent = {.lines = lines};
        pthread_t thread;
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        agent.fd = ends[1];
        assert_int_equal(pthread_create(&thread, NULL, play, &agent), 0);
        double deadline = clock_ms() + 10000;
        int done = by_hand_synchronise(ends[0], deadline, err) < 0 || by_hand_run_true(ends[0], deadline, err) < 0 ? -1 : 0;
        (void)shutdown(ends[0], SHUT_RDWR);
        assert_int_equal(pthread_join(thread, NULL), 0);
        (void)close(ends[0]);
        (void)close(ends[1]);
        if (ret_asked != NULL)
                memcpy(ret_asked, agent.asked, sizeof agent.asked);
        return done;
}

static void test_agent(void **state)
{
        static const char *const well[] = {"{\"return\": 1}\n", "{\"return\": {\"pid\": 812}}\n", "{\"return\": {\"exited\": false}}\n",
                                           "{\"return\": {\"exitcode\": 0, \"exited\": true}}\n", NULL};
        static const char *const refuses[] = {"{\"return\": 1}\n", "{\"error\": {\"class\": \"CommandNotFound\"}}\n", NULL};
        static const char *const ends[] = {"{\"return\": 1}\n", NULL};
        char asked[1024];
        struct cowherd_error err;

        (void)state;
        assert_int_equal(converse(well, asked, &err), 0);
        assert_non_null(strstr(asked, "guest-sync"));
        assert_non_null(strstr(asked, "\"path\":\"/bin/true\""));
        assert_non_null(strstr(asked, "\"pid\":812"));
        assert_int_equal(converse(refuses, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        assert_non_null(strstr(err.text, "runs no commands"));
        assert_int_equal(converse(ends, NULL, &err), -1);
}

/* Nobody answers, and the time is over. */
static void test_silence(void **state)
{
        struct cowherd_error err;
        int ends[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(by_hand_synchronise(ends[0], clock_ms() + 20, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        (void)close(ends[0]);
        (void)close(ends[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_notify),
                cmocka_unit_test(test_agent),
                cmocka_unit_test(test_silence),
        };

        return cmocka_run_group_tests_name("compare by hand", tests, NULL, NULL);
}
