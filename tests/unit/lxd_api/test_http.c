/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP as a server may speak it, said by a thread: lengths and chunks, connections that are kept, that were closed
 * meanwhile, that end in the middle; replies that are none; silence.
 */
#include "base/mem.h"
#include "lxd_api/http.h"
#include "lxd_test.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STEPS_MAX 6

/* What follows a request. */
struct step {
        const char *reply; /* bytes as they stand; NULL: none */
        enum { KEEP, CLOSE, SLEEP } then;
};

struct server {
        pthread_t thread;
        int listener;
        char folder[64], path[80];
        struct step steps[STEPS_MAX];
        size_t count;
        struct str heard; /* all requests */
        struct http_connection *connection;
};

static bool hear(struct server *server, int fd)
{
        size_t before = server->heard.length;

        for (;;) {
                char bytes[4096];
                ssize_t got = read(fd, bytes, sizeof bytes);
                if (got <= 0)
                        return server->heard.length > before;
                str_add_bytes(&server->heard, bytes, (size_t)got);
                const char *request = server->heard.data + before, *end = strstr(request, "\r\n\r\n"),
                           *length = strstr(request, "Content-Length: ");
                if (end != NULL && strlen(end + 4) >= (length == NULL ? 0 : strtoul(length + 16, NULL, 10)))
                        return true;
        }
}

static void *serve(void *context)
{
        struct server *server = context;
        int fd = -1;

        for (size_t i = 0; i < server->count; i++) {
                const struct step *step = &server->steps[i];
                if (fd < 0)
                        fd = accept(server->listener, NULL, NULL);
                if (fd < 0 || !hear(server, fd))
                        break;
                for (size_t at = 0; step->reply != NULL && at < strlen(step->reply); at++)
                        if (send(fd, step->reply + at, 1, MSG_NOSIGNAL) != 1) /* byte for byte: whatever can be torn is */
                                break;
                if (step->then == SLEEP)
                        (void)usleep(300000);
                if (step->then != KEEP) {
                        (void)close(fd);
                        fd = -1;
                }
        }
        if (fd >= 0)
                (void)close(fd);
        return NULL;
}

static void begin(struct server *server)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)snprintf(server->folder, sizeof server->folder, "/tmp/cowherd-http-test.XXXXXX");
        assert_non_null(mkdtemp(server->folder));
        (void)snprintf(server->path, sizeof server->path, "%s/unix.socket", server->folder);
        memcpy(address.sun_path, server->path, strlen(server->path) + 1);
        while (server->count < STEPS_MAX && (server->steps[server->count].reply != NULL || server->steps[server->count].then != KEEP))
                server->count++;
        server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(server->listener >= 0);
        assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(server->listener, 8), 0);
        assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
        server->connection = http_open(server->path);
}

static void finish(struct server *server)
{
        http_close(server->connection);
        (void)shutdown(server->listener, SHUT_RDWR);
        assert_int_equal(pthread_join(server->thread, NULL), 0);
        assert_int_equal(close(server->listener), 0);
        assert_int_equal(unlink(server->path), 0);
        assert_int_equal(rmdir(server->folder), 0);
        str_free(&server->heard);
}

static enum http_end get(struct server *server, const char *path, size_t limit, struct http_reply *ret)
{
        owned_str char *head = x_asprintf("GET %s HTTP/1.1\r\n", path);
        const struct http_request request = {.head = head, .timeout_ms = 5000};

        return http_exchange(server->connection, &request, limit, ret);
}

static void assert_reply(struct server *server, int status, const char *body)
{
        struct http_reply reply owned_by(http_reply_free) = {0};

        assert_int_equal(get(server, "/", 1000, &reply), HTTP_DONE);
        assert_int_equal(reply.status, status);
        assert_string_equal(str_text(&reply.body), body);
}

/* All by one connection: the server accepts no other before it has said what it has to say. */
static void test_kept(void **state)
{
        struct server server = {
                .steps = {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", KEEP},
                          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\nA;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n", KEEP},
                          {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length:1\r\nX-Incus-type: file\r\n\r\nz", KEEP},
                          {"HTTP/1.1 204 No Content\r\n\r\n", KEEP},
                          {"HTTP/1.0 200 OK\r\n\r\nup to the end", CLOSE}}};

        (void)state;
        begin(&server);
        assert_reply(&server, 200, "abc");
        assert_reply(&server, 200, "wiki0123456789");
        assert_reply(&server, 404, "z");
        assert_reply(&server, 204, "");
        assert_reply(&server, 200, "up to the end");
        finish(&server);
}

/* A connection that was kept may have been closed since: the request goes out again. */
static void test_closed_meanwhile(void **state)
{
        struct server server = {.steps = {{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", CLOSE},
                                          {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb", KEEP}}};

        (void)state;
        begin(&server);
        assert_reply(&server, 200, "a");
        (void)usleep(50000);
        assert_reply(&server, 200, "b");
        finish(&server);
}

static void test_broken(void **state)
{
        static const char *const replies[] = {
                "",
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
                "HTTP/1.1 200 OK\r\nContent-Le",
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwi",
                "SSH-2.0-OpenSSH\r\n\r\n",
                "HTTP/1.1 2\r\n\r\n",
        };

        (void)state;
        for (size_t i = 0; i < array_length(replies); i++) {
                struct server server = {.steps = {{replies[i], CLOSE}}};
                struct http_reply reply = {0};
                begin(&server);
                assert_int_equal(get(&server, "/", 1000, &reply), HTTP_BROKEN);
                assert_string_not_equal(http_why(server.connection), "");
                assert_null(reply.body.data);
                finish(&server);
        }
}

static void test_too_long(void **state)
{
        static const char *const replies[] = {
                "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
                "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n01234\r\n0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                "HTTP/1.1 200 OK\r\n\r\n01234567890",
        };

        (void)state;
        for (size_t i = 0; i < array_length(replies); i++) {
                struct server server = {.steps = {{replies[i], CLOSE}}};
                struct http_reply reply = {0};
                begin(&server);
                assert_int_equal(get(&server, "/", 10, &reply), HTTP_TOO_LONG);
                finish(&server);
        }
}

static void test_silence(void **state)
{
        struct server server = {.steps = {{NULL, SLEEP}}};
        const struct http_request request = {.head = "GET / HTTP/1.1\r\n", .timeout_ms = 50};
        struct http_reply reply = {0};

        (void)state;
        begin(&server);
        assert_int_equal(http_exchange(server.connection, &request, 10, &reply), HTTP_TIMED_OUT);
        finish(&server);
}

static uint64_t told_bytes;

static void on_sent(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
        (void)context;
        told_bytes = done_bytes;
        assert_int_equal(total_bytes, 8);
}

/* A body of bytes and of a file, and what the head says of it. */
static void test_body(void **state)
{
        struct server server = {.steps = {{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP}}};
        char path[] = "/tmp/cowherd-http-file.XXXXXX";
        owned_fd int fd = mkstemp(path);
        const struct http_piece pieces[] = {{.bytes = "<<", .length = 2}, {.fd = fd, .length = 4}, {.bytes = ">>", .length = 2}};
        const struct http_request request = {.head = "POST /x HTTP/1.1\r\n", .pieces = pieces, .piece_count = 3,
                                             .has_body = true, .timeout_ms = 5000, .sent = on_sent};
        struct http_reply reply owned_by(http_reply_free) = {0};

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(write(fd, "file", 4), 4);
        begin(&server);
        assert_int_equal(http_exchange(server.connection, &request, 10, &reply), HTTP_DONE);
        assert_string_equal(server.heard.data, "POST /x HTTP/1.1\r\nHost: lxd\r\nContent-Length: 8\r\n\r\n<<file>>");
        assert_int_equal(told_bytes, 8);
        finish(&server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kept),     cmocka_unit_test(test_closed_meanwhile), cmocka_unit_test(test_broken),
                cmocka_unit_test(test_too_long), cmocka_unit_test(test_silence),          cmocka_unit_test(test_body),
        };
        return cmocka_run_group_tests_name("lxd-http", tests, NULL, NULL);
}
