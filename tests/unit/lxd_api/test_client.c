/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against a server in a thread that says what each test told it to: replies that are errors, no JSON, too
 * long, cut off; operations that go on, end, fail, hang. The real daemon is tests/system/lxd_store.bats's.
 */
#include "lxd_api/image.h"
#include "lxd_api/instance.h"
#include "lxd_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STEPS_MAX 8

/* What the server answers, one after the other, to requests that begin so. */
struct step {
        const char *expect; /* "GET /1.0 " */
        const char *status; /* "200 OK"; NULL: breaks off */
        const char *headers;
        const char *body;
};

struct server {
        pthread_t thread;
        int listener;
        char folder[64], path[80];
        struct step steps[STEPS_MAX + 1]; /* ends with an empty one */
        char wrong[256];
        struct lxd_client *client;
};

static void read_request(int connection, char *buffer, size_t bytes)
{
        size_t used = 0;

        while (used < bytes - 1) {
                ssize_t more = read(connection, buffer + used, bytes - 1 - used);
                if (more <= 0)
                        break;
                used += (size_t)more;
                buffer[used] = '\0';
                const char *end = strstr(buffer, "\r\n\r\n"), *length = strcasestr(buffer, "Content-Length: ");
                if (end != NULL && (length == NULL || length > end ||
                                    used >= (size_t)(end + 4 - buffer) + strtoul(length + 16, NULL, 10)))
                        break;
        }
        buffer[used] = '\0';
}

static void answer(int connection, const struct step *step)
{
        owned_str char *head = x_asprintf("HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
                                          step->status, strlen(step->body), step->headers != NULL ? step->headers : "");

        if (send(connection, head, strlen(head), MSG_NOSIGNAL) < 0 ||
            send(connection, step->body, strlen(step->body), MSG_NOSIGNAL) < 0)
                return; /* what is too long is not read to its end */
}

static void *serve(void *context)
{
        struct server *server = context;

        for (const struct step *step = server->steps; step->expect != NULL; step++) {
                char request[8192];
                owned_fd int connection = accept(server->listener, NULL, NULL);
                if (connection < 0)
                        return NULL;
                read_request(connection, request, sizeof request);
                if (strncmp(request, step->expect, strlen(step->expect)) != 0 && server->wrong[0] == '\0')
                        (void)snprintf(server->wrong, sizeof server->wrong, "expected '%s', got '%.100s'", step->expect,
                                       request);
                if (step->status != NULL)
                        answer(connection, step);
        }
        return NULL;
}

static void begin(struct server *server)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)snprintf(server->folder, sizeof server->folder, "/tmp/cowherd-lxd-test.XXXXXX");
        assert_non_null(mkdtemp(server->folder));
        (void)snprintf(server->path, sizeof server->path, "%s/unix.socket", server->folder);
        memcpy(address.sun_path, server->path, strlen(server->path) + 1);
        server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(server->listener >= 0);
        assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(server->listener, 8), 0);
        assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
        lxd_client_open(server->path, &server->client);
}

/* All steps must have been asked for, in their order. */
static void finish(struct server *server)
{
        lxd_client_close(server->client);
        (void)shutdown(server->listener, SHUT_RDWR);
        assert_int_equal(pthread_join(server->thread, NULL), 0);
        assert_int_equal(close(server->listener), 0);
        assert_int_equal(unlink(server->path), 0);
        assert_int_equal(rmdir(server->folder), 0);
        assert_string_equal(server->wrong, "");
}

#define OK_SYNC(metadata) "{\"type\":\"sync\",\"status_code\":200,\"metadata\":" metadata "}"
#define ASYNC "{\"type\":\"async\",\"status_code\":100,\"operation\":\"/1.0/operations/u-1\",\"metadata\":{}}"
#define ERROR_OF(code, text) "{\"type\":\"error\",\"error_code\":" code ",\"error\":\"" text "\"}"
#define RUNNING "{\"status_code\":103,\"status\":\"Running\",\"description\":\"Creating instance\",\"may_cancel\":true,"

static void test_get(void **state)
{
        struct server server = {
                .steps = {{"GET /1.0/instances/a%2Fb ", "200 OK", NULL, OK_SYNC("{\"name\":\"a/b\"}")},
                          {"GET /1.0/instances/none ", "404 Not Found", NULL, ERROR_OF("404", "Instance not found")},
                          {"GET /1.0/instances/x ", "500 Oh", NULL, ERROR_OF("500", "it broke")}}};
        owned_json json_t *found = NULL, *none = NULL;
        struct cowherd_error err;

        (void)state;
        begin(&server);
        assert_int_equal(lxd_instance_get(server.client, "a/b", &found, &err), 0);
        assert_string_equal(lxd_text(found, "name"), "a/b");
        assert_int_equal(lxd_instance_get(server.client, "none", &none, &err), 1);
        assert_int_equal(lxd_instance_get(server.client, "x", &none, &err), -1);
        assert_string_equal(err.text, "LXD says: it broke");
        assert_int_equal(err.code, COWHERD_SYSTEM);
        assert_null(none);
        finish(&server);
}

static void test_bad_replies(void **state)
{
        static const char *const bodies[] = {
                "", "<html>", "[]", "{\"type\":\"sync\"", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}"};

        (void)state;
        for (size_t i = 0; i < array_length(bodies); i++) {
                struct server server = {.steps = {{"GET /1.0 ", "200 OK", NULL, bodies[i]}}};
                owned_json json_t *found = NULL;
                struct cowherd_error err = {0};
                begin(&server);
                assert_int_equal(lxd_get(server.client, "/1.0", &found, &err), -1);
                assert_int_equal(err.code, COWHERD_SYSTEM);
                assert_non_null(strstr(err.text, "is no JSON object"));
                finish(&server);
        }
}

static void test_too_long(void **state)
{
        owned_str char *body = x_malloc(LXD_REPLY_BYTES + 2);
        struct server server = {.steps = {{"GET /1.0 ", "200 OK", NULL, body}}};
        owned_json json_t *found = NULL;
        struct cowherd_error err;

        (void)state;
        memset(body, ' ', LXD_REPLY_BYTES + 1);
        body[LXD_REPLY_BYTES + 1] = '\0';
        begin(&server);
        assert_int_equal(lxd_get(server.client, "/1.0", &found, &err), -1);
        assert_non_null(strstr(err.text, "is longer than"));
        finish(&server);
}

static void test_broken_off(void **state)
{
        struct server server = {.steps = {{"GET /1.0 ", NULL, NULL, NULL}}};
        owned_json json_t *found = NULL;
        struct cowherd_error err;

        (void)state;
        begin(&server);
        assert_int_equal(lxd_get(server.client, "/1.0", &found, &err), -1);
        assert_int_equal(err.code, COWHERD_SYSTEM);
        assert_non_null(strstr(err.text, "talking to LXD"));
        finish(&server);
}

static size_t told_count;

static void on_told(void *context, const char *what)
{
        (void)context;
        told_count += strstr(what, "%") != NULL;
}

static void test_operation(void **state)
{
        struct server server = {
                .steps = {{"POST /1.0/instances ", "202 Accepted", NULL, ASYNC},
                          {"GET /1.0/operations/u-1/wait?timeout=", "200 OK", NULL,
                           OK_SYNC(RUNNING "\"metadata\":{\"download_progress\":\"5%\"}}")},
                          {"GET /1.0/operations/u-1/wait?timeout=", "200 OK", NULL,
                           OK_SYNC(RUNNING "\"metadata\":{\"download_progress\":\"9%\"}}")},
                          {"GET /1.0/operations/u-1/wait?timeout=", "200 OK", NULL, OK_SYNC("{\"status_code\":200}")}}};
        const struct lxd_patience patience = {.quiet_ms = 5000, .told = on_told};
        owned_json json_t *body = json_object();
        struct cowherd_error err;

        (void)state;
        told_count = 0;
        begin(&server);
        assert_int_equal(lxd_instance_create(server.client, body, &patience, &err), 0);
        assert_int_equal(told_count, 2);
        finish(&server);
}

static void test_operation_fails(void **state)
{
        struct server server = {
                .steps = {{"POST /1.0/instances ", "202 Accepted", NULL, ASYNC},
                          {"GET /1.0/operations/u-1/wait", "200 OK", NULL,
                           OK_SYNC("{\"status_code\":400,\"err\":\"This instance already exists\"}")},
                          {"POST /1.0/instances ", "202 Accepted", NULL, ASYNC},
                          {"GET /1.0/operations/u-1/wait", "200 OK", NULL,
                           OK_SYNC("{\"status_code\":401,\"status\":\"Cancelled\"}")},
                          {"POST /1.0/instances ", "202 Accepted", NULL, ASYNC},
                          {"GET /1.0/operations/u-1/wait", "404 Not Found", NULL, ERROR_OF("404", "not found")}}};
        const struct lxd_patience patience = {.quiet_ms = 5000};
        owned_json json_t *body = json_object();
        struct cowherd_error err;

        (void)state;
        begin(&server);
        assert_int_equal(lxd_instance_create(server.client, body, &patience, &err), -1);
        assert_int_equal(err.code, COWHERD_EXISTS);
        assert_string_equal(err.text, "LXD says: This instance already exists");
        assert_int_equal(lxd_instance_create(server.client, body, &patience, &err), -1);
        assert_string_equal(err.text, "LXD says: Cancelled");
        assert_int_equal(lxd_instance_create(server.client, body, &patience, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY); /* how it ended is not known, which is neither success nor failure */
        finish(&server);
}

static void test_operation_hangs(void **state)
{
        struct server server = {.steps = {{"GET /1.0/operations/u-1/wait?timeout=0 ", "200 OK", NULL,
                                           OK_SYNC(RUNNING "\"metadata\":null}")},
                                          {"DELETE /1.0/operations/u-1 ", "200 OK", NULL, OK_SYNC("{}")}}};
        const struct lxd_patience patience = {.quiet_ms = 0};
        struct cowherd_error err;

        (void)state;
        begin(&server);
        assert_int_equal(lxd_await(server.client, "/1.0/operations/u-1", &patience, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_non_null(strstr(err.text, "'Creating instance' made no progress"));
        finish(&server);
}

/* Only what bears the name is awaited, and only while it runs. */
static void test_await_instance(void **state)
{
        static const char list[] =
                "{\"running\":["
                "{\"id\":\"u-0\",\"resources\":{\"instances\":[\"/1.0/instances/web-11\"]}},"
                "{\"id\":\"u-1\",\"resources\":{\"instances\":[\"/1.0/instances/web-1\",\"/1.0/instances/b/base\"]}},"
                "{\"id\":\"u-2\",\"resources\":null},"
                "{\"id\":\"u-3\",\"may_cancel\":true,\"resources\":{\"instances\":[\"/1.0/instances/"
                "web-1?project=p\"]}}],"
                "\"success\":[{\"id\":\"u-4\",\"resources\":{\"instances\":[\"/1.0/instances/web-1\"]}}]}";
        owned_str char *body = x_asprintf("{\"type\":\"sync\",\"status_code\":200,\"metadata\":%s}", list);
        struct server server = {
                .steps = {{"GET /1.0/operations?recursion=1 ", "200 OK", NULL, body},
                          {"GET /1.0/operations/u-1/wait", "200 OK", NULL,
                           OK_SYNC("{\"status_code\":400,\"err\":\"x\"}")},
                          {"DELETE /1.0/operations/u-3 ", "200 OK", NULL, OK_SYNC("{}")},
                          {"GET /1.0/operations/u-3/wait", "404 Not Found", NULL, ERROR_OF("404", "gone")}}};
        struct cowherd_error err;

        (void)state;
        begin(&server);
        assert_int_equal(lxd_await_instance(server.client, "web-1", 5000, &err), 0);
        finish(&server);
}

static void test_files(void **state)
{
        struct server server = {
                .steps = {{"GET /1.0/instances/b/files?path=%2Fetc ", "200 OK", "X-LXD-type: directory\r\n",
                           OK_SYNC("[\"a\",\"../b\",\"..\"]")},
                          {"GET /1.0/instances/b/files?path=%2Flink ", "200 OK", "X-Incus-type: symlink\r\n", "/etc"},
                          {"GET /1.0/instances/b/files?path=%2Fetc%2Fa ", "200 OK", "X-Incus-type: file\r\n",
                           "{not json"},
                          {"DELETE /1.0/instances/b/files?path=%2Fetc%2Fa ", "404 Not Found", NULL,
                           ERROR_OF("404", "Not Found")}}};
        owned_strv struct strv names = {0};
        owned_str char *text = NULL;
        struct cowherd_error err;
        bool removed = true;

        (void)state;
        begin(&server);
        assert_int_equal(lxd_file_list(server.client, "b", "/etc", &names, &err), 0);
        assert_int_equal(names.count, 1); /* what is no name in that folder is left out */
        assert_string_equal(names.items[0], "a");
        assert_int_equal(lxd_file_list(server.client, "b", "/link", &names, &err),
                         1); /* a symlink to a folder is none */
        assert_int_equal(lxd_file_read(server.client, "b", "/etc/a", &text, &err), 0);
        assert_string_equal(text, "{not json");
        assert_int_equal(lxd_file_remove(server.client, "b", "/etc/a", &removed, &err), 0);
        assert_false(removed);
        assert_int_equal(lxd_file_list(server.client, "b", "/etc/../x", &names, &err), -1); /* nothing is sent */
        assert_int_equal(err.code, COWHERD_DENIED);
        assert_int_equal(lxd_file_remove(server.client, "b", "etc/a", NULL, &err), -1);
        assert_int_equal(lxd_file_read(server.client, "b", "/etc/..", &text, &err), -1);
        finish(&server);
}

static void test_already_there(void **state)
{
        struct server server = {
                .steps = {
                        {"PUT /1.0/instances/b/state ", "400 Bad Request", NULL,
                         ERROR_OF("400", "The instance is already stopped")},
                        {"PUT /1.0/instances/b/state ", "400 Bad Request", NULL, ERROR_OF("400", "no such action")},
                        {"DELETE /1.0/instances/b ", "404 Not Found", NULL, ERROR_OF("404", "Instance not found")},
                        {"DELETE /1.0/instances/b ", "400 Bad Request", NULL, ERROR_OF("400", "Instance is running")}}};
        struct cowherd_error err;

        (void)state;
        begin(&server);
        assert_int_equal(lxd_instance_change(server.client, "b", "stop", &err), 0);
        assert_int_equal(lxd_instance_change(server.client, "b", "stop", &err), -1);
        assert_int_equal(lxd_instance_delete(server.client, "b", &err), 0);
        assert_int_equal(lxd_instance_delete(server.client, "b", &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        finish(&server);
}

static void test_log(void **state)
{
        struct server server = {
                .steps = {{"GET /1.0/instances/b/logs/lxc.log ", "200 OK", NULL,
                           "lxc b 1 ERROR    start - ../start.c:run:1 - No such file - first\nlxc b 2 ERROR    x - "
                           "../x.c:y:2 - last words\n"},
                          {"GET /1.0/instances/b/logs/lxc.log ", "200 OK", NULL, "lxc b 1 WARN fine\n"},
                          {"GET /1.0/instances/b/logs/lxc.log ", "404 Not Found", NULL, ERROR_OF("404", "none")}}};

        (void)state;
        begin(&server);
        owned_str char *complaint = lxd_instance_complaint(server.client, "b");
        assert_string_equal(complaint, "last words");
        assert_null(lxd_instance_complaint(server.client, "b"));
        assert_null(lxd_instance_complaint(server.client, "b"));
        finish(&server);
}

/* The thread's own client follows $LXD_DIR, and tells why it can't connect. */
static void test_no_server(void **state)
{
        struct lxd_client *client = NULL;
        owned_json json_t *found = NULL;
        struct cowherd_error err;

        (void)state;
        assert_int_equal(unsetenv("LXD_SOCKET"), 0);
        assert_int_equal(setenv("LXD_DIR", "/nonexistent/first", 1), 0);
        assert_int_equal(lxd_client_get(&client, &err), 0);
        assert_string_equal(lxd_client_socket(client), "/nonexistent/first/unix.socket");
        assert_int_equal(setenv("LXD_DIR", "/nonexistent/second", 1), 0);
        assert_int_equal(lxd_client_get(&client, &err), 0);
        assert_string_equal(lxd_client_socket(client), "/nonexistent/second/unix.socket");
        assert_int_equal(lxd_get(client, "/1.0", &found, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        assert_non_null(strstr(err.text, "there is no socket '/nonexistent/second/unix.socket'"));
        assert_non_null(strstr(err.hint, "systemctl start lxd"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_get),
                cmocka_unit_test(test_bad_replies),
                cmocka_unit_test(test_too_long),
                cmocka_unit_test(test_broken_off),
                cmocka_unit_test(test_operation),
                cmocka_unit_test(test_operation_fails),
                cmocka_unit_test(test_operation_hangs),
                cmocka_unit_test(test_await_instance),
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_already_there),
                cmocka_unit_test(test_log),
                cmocka_unit_test(test_no_server),
        };
        return cmocka_run_group_tests_name("lxd-client", tests, NULL, NULL);
}
