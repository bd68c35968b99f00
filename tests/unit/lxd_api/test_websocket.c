/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Websockets against frames written by hand on a socketpair: whole, in pieces, byte by byte, with pings in between, masked,
 * too long, of no kind, cut off. And the handshake against a server that answers rightly and wrongly.
 */
#include "lxd_api/websocket.h"
#include "lxd_test.h"

#include "base/mem.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct cowherd_error err;

/* A client, and the other end of its socket. */
struct pair {
        struct websocket *client;
        int server;
};

static struct pair open_pair(void)
{
        struct pair pair;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        websocket_adopt(fds[0], &pair.client);
        pair.server = fds[1];
        return pair;
}

static void close_pair(struct pair *pair)
{
        websocket_free(pair->client);
        close_at(&pair->server);
}

static void say(const struct pair *pair, const void *bytes, size_t length)
{
        assert_int_equal(write(pair->server, bytes, length), (ssize_t)length);
}

static void expect_message(struct pair *pair, enum websocket_kind kind, const char *text)
{
        struct websocket_message message;

        assert_int_equal(websocket_receive(pair->client, &message, &err), 0);
        assert_int_equal(message.kind, kind);
        assert_int_equal(message.length, strlen(text));
        assert_memory_equal(message.bytes, text, message.length);
}

static void expect_none(struct pair *pair)
{
        struct websocket_message message;

        assert_int_equal(websocket_receive(pair->client, &message, &err), 1);
}

static void expect_refused(struct pair *pair, const char *what)
{
        struct websocket_message message;

        assert_int_equal(websocket_receive(pair->client, &message, &err), -1);
        if (strstr(err.text, what) == NULL)
                fail_because("'%s' is without '%s'", err.text, what);
        close_pair(pair);
}

/* Reads one frame of the client's and takes its mask off. Returns its first byte. */
static unsigned read_frame(int fd, char *text, size_t *ret_length)
{
        unsigned char head[2], mask[4], more[8];
        size_t extra;

        assert_int_equal(recv(fd, head, sizeof head, MSG_WAITALL), (ssize_t)sizeof head);
        assert_true((head[1] & 0x80) != 0);
        size_t length = head[1] & 0x7fu;
        extra = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (extra > 0) {
                assert_int_equal(recv(fd, more, extra, MSG_WAITALL), (ssize_t)extra);
                length = 0;
                for (size_t i = 0; i < extra; i++)
                        length = length << 8 | more[i];
        }
        assert_int_equal(recv(fd, mask, sizeof mask, MSG_WAITALL), (ssize_t)sizeof mask);
        if (length > 0)
                assert_int_equal(recv(fd, text, length, MSG_WAITALL), (ssize_t)length);
        for (size_t i = 0; i < length; i++)
                text[i] = (char)(text[i] ^ (char)mask[i % 4]);
        *ret_length = length;
        return head[0];
}

static void test_messages(void **state)
{
        struct pair pair = open_pair();

        (void)state;
        expect_none(&pair);
        say(&pair, "\x81\x05hello\x82\x03\x61\x00\x62\x81\x00", 14);
        expect_message(&pair, WEBSOCKET_TEXT, "hello");
        struct websocket_message message;
        assert_int_equal(websocket_receive(pair.client, &message, &err), 0);
        assert_int_equal(message.kind, WEBSOCKET_BINARY);
        assert_memory_equal(message.bytes, "a\0b", 3);
        expect_message(&pair, WEBSOCKET_TEXT, "");
        expect_none(&pair);
        close_pair(&pair);
}

static void test_fragments_with_a_ping_between(void **state)
{
        struct pair pair = open_pair();
        char text[256];
        size_t length;

        (void)state;
        say(&pair, "\x01\x03hel", 5);
        expect_none(&pair);
        say(&pair, "\x89\x02hi", 4); /* ping */
        say(&pair, "\x8a\x00", 2);   /* a pong that nobody asked for */
        say(&pair, "\x00\x01l", 3);
        expect_none(&pair);
        assert_int_equal(read_frame(pair.server, text, &length), 0x8a);
        assert_int_equal(length, 2);
        assert_memory_equal(text, "hi", 2);
        say(&pair, "\x80\x01o", 3);
        expect_message(&pair, WEBSOCKET_TEXT, "hello");
        close_pair(&pair);
}

static void test_byte_by_byte(void **state)
{
        static const char frame[] = "\x82\x7e\x01\x00";
        struct pair pair = open_pair();
        struct websocket_message message;
        char payload[256];

        (void)state;
        memset(payload, 'x', sizeof payload);
        for (size_t i = 0; i < 4; i++) {
                say(&pair, frame + i, 1);
                expect_none(&pair);
        }
        for (size_t i = 0; i < sizeof payload - 1; i++) {
                say(&pair, payload + i, 1);
                expect_none(&pair);
        }
        say(&pair, "x", 1);
        assert_int_equal(websocket_receive(pair.client, &message, &err), 0);
        assert_int_equal(message.length, sizeof payload);
        close_pair(&pair);
}

static void test_what_is_forbidden(void **state)
{
        static const struct {
                const char *bytes;
                size_t length;
                const char *what;
        } cases[] = {
                {"\xc1\x01x", 3, "reserved bits"},
                {"\x81\x81\0\0\0\0x", 7, "masked"},
                {"\x83\x01x", 3, "unknown kind"},
                {"\x8f\x00", 2, "unknown kind"},
                {"\x09\x00", 2, "in pieces"},
                {"\x89\x7e\x00\x80", 4, "long"},
                {"\x80\x01x", 3, "continuation of nothing"},
                {"\x01\x01x\x81\x01y", 6, "within another"},
                {"\x82\x7f\x00\x00\x00\x00\x00\x40\x00\x01", 10, "more than"},
                {"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, "more than"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                struct pair pair = open_pair();
                say(&pair, cases[i].bytes, cases[i].length);
                expect_refused(&pair, cases[i].what);
        }
}

/* Each fragment is allowed; together they are too long. */
static void *flood(void *context)
{
        const struct pair *pair = context;
        static char frame[10 + (1 << 20)] = "\x00\x7f\x00\x00\x00\x00\x00\x10\x00\x00";

        frame[0] = 2;
        for (size_t i = 0; i <= WEBSOCKET_MESSAGE_BYTES >> 20; i++) {
                for (size_t sent = 0; sent < sizeof frame;) {
                        ssize_t count = send(pair->server, frame + sent, sizeof frame - sent, MSG_NOSIGNAL);
                        if (count <= 0)
                                return NULL;
                        sent += (size_t)count;
                }
                frame[0] = 0;
        }
        return NULL;
}

static void test_a_message_too_long_in_pieces(void **state)
{
        struct pair pair = open_pair();
        struct websocket_message message;
        pthread_t thread;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, flood, &pair), 0);
        assert_int_equal(websocket_wait(pair.client, 20000, &message, &err), -1);
        assert_non_null(strstr(err.text, "more than"));
        websocket_free(pair.client);
        assert_int_equal(pthread_join(thread, NULL), 0);
        close_at(&pair.server);
}

static void test_the_end(void **state)
{
        struct pair pair = open_pair(), cut = open_pair();

        (void)state;
        say(&pair, "\x81\x01x\x88\x02\x03\xe8", 7);
        expect_message(&pair, WEBSOCKET_TEXT, "x");
        expect_message(&pair, WEBSOCKET_CLOSE, "");
        expect_message(&pair, WEBSOCKET_CLOSE, "");
        assert_int_equal(websocket_send(pair.client, WEBSOCKET_TEXT, "late", 4, &err), 0);
        assert_int_equal(websocket_queued(pair.client), 0);
        close_pair(&pair);
        say(&cut, "\x81\x05he", 4);
        close_at(&cut.server);
        cut.server = -1;
        expect_message(&cut, WEBSOCKET_CLOSE, "");
        assert_int_equal(websocket_send(cut.client, WEBSOCKET_TEXT, "late", 4, &err), 0);
        close_pair(&cut);
}

static void test_sending_is_masked_and_whole(void **state)
{
        static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536, 150000};
        static char bytes[150000], text[150000];
        struct pair pair = open_pair();
        size_t length;

        (void)state;
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (char)(i * 7);
        for (size_t i = 0; i < array_length(lengths); i++) {
                assert_int_equal(websocket_send(pair.client, WEBSOCKET_BINARY, bytes, lengths[i], &err), 0);
                assert_int_equal(read_frame(pair.server, text, &length), 0x82);
                assert_int_equal(length, lengths[i]);
                assert_memory_equal(text, bytes, length);
        }
        close_pair(&pair);
}

static void *read_slowly(void *context)
{
        static char text[1 << 20];
        const int *fd = context;
        size_t length = 0;

        for (int i = 0; i < 3; i++) {
                assert_int_equal(read_frame(*fd, text, &length), 0x82);
                assert_int_equal(length, sizeof text);
        }
        return NULL;
}

/* What the socket doesn't take waits, and is told; nothing blocks meanwhile. */
static void test_what_does_not_fit_is_queued(void **state)
{
        static char bytes[1 << 20];
        struct pair pair = open_pair();
        struct websocket_message message;
        pthread_t thread;

        (void)state;
        for (int i = 0; i < 3; i++)
                assert_int_equal(websocket_send(pair.client, WEBSOCKET_BINARY, bytes, sizeof bytes, &err), 0);
        assert_true(websocket_queued(pair.client) > 0);
        assert_int_equal(websocket_events(pair.client), POLLIN | POLLOUT);
        assert_int_equal(pthread_create(&thread, NULL, read_slowly, &pair.server), 0);
        for (int i = 0; i < 10000 && websocket_queued(pair.client) > 0; i++)
                assert_int_equal(websocket_wait(pair.client, 10, &message, &err), 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(websocket_queued(pair.client), 0);
        assert_int_equal(websocket_events(pair.client), POLLIN);
        close_pair(&pair);
}

static void test_waiting_ends_in_time(void **state)
{
        struct pair pair = open_pair();
        struct websocket_message message;

        (void)state;
        assert_int_equal(websocket_wait(pair.client, 0, &message, &err), 1);
        assert_int_equal(websocket_wait(pair.client, 20, &message, &err), 1);
        say(&pair, "\x81\x01x", 3);
        assert_int_equal(websocket_wait(pair.client, UINT64_MAX, &message, &err), 0);
        close_pair(&pair);
}

/* ---- the handshake ---- */

struct server {
        pthread_t thread;
        int listener;
        char path[64];
        const char *answer; /* with %s where the key's answer goes; NULL: none */
};

static void answer_of(const char *request, char *ret)
{
        struct sha1_ctx sum;
        unsigned char digest[SHA1_DIGEST_SIZE];
        const char *key = strstr(request, "Sec-WebSocket-Key: ");

        assert_non_null(key);
        sha1_init(&sum);
        sha1_update(&sum, strcspn(key + 19, "\r"), (const unsigned char *)key + 19);
        sha1_update(&sum, 36, (const unsigned char *)"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        sha1_digest(&sum, sizeof digest, digest);
        base64_encode_raw(ret, sizeof digest, digest);
        ret[BASE64_ENCODE_RAW_LENGTH(sizeof digest)] = '\0';
}

static void *serve(void *context)
{
        struct server *server = context;
        char request[2048] = "", key[64], answer[512];
        owned_fd int connection = accept(server->listener, NULL, NULL);
        ssize_t count = recv(connection, request, sizeof request - 1, 0);

        assert_true(count > 0);
        assert_non_null(strstr(request, "GET /1.0/events HTTP/1.1\r\n"));
        assert_non_null(strstr(request, "Sec-WebSocket-Version: 13\r\n"));
        answer_of(request, key);
        if (server->answer != NULL) {
                const char *at = strstr(server->answer, "KEY");
                int before = at != NULL ? (int)(at - server->answer) : (int)strlen(server->answer);
                (void)snprintf(answer, sizeof answer, "%.*s%s%s", before, server->answer, at != NULL ? key : "", at != NULL ? at + 3 : "");
                assert_int_equal(write(connection, answer, strlen(answer)), (ssize_t)strlen(answer));
                (void)recv(connection, request, 1, 0); /* until the client has gone */
        }
        return NULL;
}

static int try_opening(const char *answer, struct websocket **ret)
{
        char folder[] = "/tmp/cowherd-websocket.XXXXXX";
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct server server = {.answer = answer, .listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};

        assert_non_null(mkdtemp(folder));
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
        assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(server.listener, 1), 0);
        assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
        int rc = websocket_open(address.sun_path, "/1.0/events", 300, ret, &err);
        struct websocket_message message;
        if (rc == 0) {
                assert_int_equal(websocket_wait(*ret, 1000, &message, &err), 0);
                assert_memory_equal(message.bytes, "x", 1);
                websocket_free(*ret);
        }
        assert_int_equal(pthread_join(server.thread, NULL), 0);
        close_at(&server.listener);
        (void)unlink(address.sun_path);
        (void)rmdir(folder);
        return rc;
}

static void test_the_handshake(void **state)
{
        struct websocket *websocket = NULL;

        (void)state;
        assert_int_equal(try_opening("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nsec-websocket-accept:  KEY\r\n\r\n\x81\x01x",
                                     &websocket), 0);
        assert_int_equal(try_opening("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: KEYx\r\n\r\n", &websocket), -1);
        assert_non_null(strstr(err.text, "does not fit its key"));
        assert_int_equal(try_opening("HTTP/1.1 101 Switching Protocols\r\n\r\n", &websocket), -1);
        assert_int_equal(try_opening("HTTP/1.1 404 Not Found\r\n\r\n{\"error\":\"Operation not found\"}", &websocket), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
        assert_int_equal(try_opening("HTTP/1.1 101", &websocket), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_int_equal(try_opening(NULL, &websocket), -1);
        assert_non_null(strstr(err.text, "broke off"));
        assert_int_equal(websocket_open("/nonexistent/socket", "/1.0/events", 300, &websocket, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_messages),
                cmocka_unit_test(test_fragments_with_a_ping_between),
                cmocka_unit_test(test_byte_by_byte),
                cmocka_unit_test(test_what_is_forbidden),
                cmocka_unit_test(test_a_message_too_long_in_pieces),
                cmocka_unit_test(test_the_end),
                cmocka_unit_test(test_sending_is_masked_and_whole),
                cmocka_unit_test(test_what_does_not_fit_is_queued),
                cmocka_unit_test(test_waiting_ends_in_time),
                cmocka_unit_test(test_the_handshake),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
