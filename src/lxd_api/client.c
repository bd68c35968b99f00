/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport: one curl handle for each thread, which keeps its connection to the socket. curl's handle is not to be
 * shared by threads, and a lock around it would make parallel clones wait for each other's operations; so each thread
 * that asks has one, released when the thread ends.
 *
 * Answers are bounded before they are parsed. jansson takes UTF-8 only, which is what LXD writes.
 */
#include "lxd_api/client.h"

#include "base/mem.h"
#include "base/str.h"
#include "lxd_api/socket.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CONNECT_MS 5000L

struct lxd_client {
        CURL *curl;
        char *socket;
        char *wish; /* what lxd_socket_wish said when it was opened */
        char message[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t client_of_thread;

static void close_client(void *client)
{
        lxd_client_close(client);
}

static void initialise(void)
{
        (void)curl_global_init(CURL_GLOBAL_SSL);
        if (pthread_key_create(&client_of_thread, close_client) != 0)
                abort();
}

void lxd_client_open(const char *socket, struct lxd_client **ret)
{
        (void)pthread_once(&once, initialise);
        struct lxd_client *client = x_calloc(1, sizeof *client);
        client->socket = x_strdup(socket);
        client->curl = curl_easy_init();
        if (client->curl == NULL)
                abort();
        *ret = client;
}

void lxd_client_close(struct lxd_client *client)
{
        if (client == NULL)
                return;
        curl_easy_cleanup(client->curl);
        free(client->socket);
        free(client->wish);
        free(client);
}

const char *lxd_client_socket(const struct lxd_client *client)
{
        return client->socket;
}

int lxd_client_get(struct lxd_client **ret, struct cowherd_error *err)
{
        owned_str char *socket = NULL, *wish = lxd_socket_wish();

        (void)pthread_once(&once, initialise);
        struct lxd_client *client = pthread_getspecific(client_of_thread);
        if (client != NULL && str_equal(client->wish, wish)) {
                *ret = client;
                return 0;
        }
        if (lxd_socket_find(&socket, err) < 0)
                return -1;
        lxd_client_close(client);
        lxd_client_open(socket, &client);
        client->wish = take(wish);
        (void)pthread_setspecific(client_of_thread, client);
        *ret = client;
        return 0;
}

void lxd_reply_free(struct lxd_reply *reply)
{
        json_decref(reply->metadata);
        free(reply->operation);
        free(reply->file_type);
        free(reply->bytes);
        *reply = (struct lxd_reply){0};
}

/* One request under way. */
struct exchange {
        const struct lxd_request *request;
        CURL *curl;
        struct curl_slist *headers;
        curl_mime *mime;
        char *json;
        FILE *file;
        struct str answer;
        bool too_long;
};

static void exchange_free(struct exchange *it)
{
        curl_slist_free_all(it->headers);
        curl_mime_free(it->mime);
        free(it->json);
        if (it->file != NULL)
                (void)fclose(it->file);
        str_free(&it->answer);
}
define_owned(struct exchange, exchange_free)

        static const char *header(CURL *curl, const char *name)
{
        struct curl_header *found = NULL;

        return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

/* A header that LXD and Incus spell each with its own name; NULL where there is none. */
static const char *header_of_either(CURL *curl, const char *lxd, const char *incus)
{
        const char *value = header(curl, lxd);

        return value != NULL ? value : header(curl, incus);
}

/* Whether what comes is the content of a regular file: no error, no folder, no symlink. */
static bool is_plain_file(const struct exchange *it)
{
        long status = 0;

        (void)curl_easy_getinfo(it->curl, CURLINFO_RESPONSE_CODE, &status);
        return status == 200 && str_equal(header_of_either(it->curl, "X-LXD-type", "X-Incus-type"), "file");
}

static size_t on_bytes(const char *bytes, size_t size, size_t count, void *context)
{
        struct exchange *it = context;
        size_t more = size * count;

        if (it->request->received != NULL && is_plain_file(it))
                return it->request->received(it->request->context, bytes, more) < 0 ? 0 : more;
        if (more > LXD_REPLY_BYTES - it->answer.length) {
                it->too_long = true;
                return 0;
        }
        str_add_bytes(&it->answer, bytes, more);
        return more;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
        const struct exchange *it = context;

        (void)down_total;
        (void)down;
        if (it->request->sent != NULL && up_total > 0)
                it->request->sent(it->request->context, (uint64_t)up, (uint64_t)up_total);
        return 0;
}

static void add_parts(struct exchange *it)
{
        it->mime = curl_mime_init(it->curl);
        for (size_t i = 0; i < array_length(it->request->parts) && it->request->parts[i][0] != NULL; i++) {
                curl_mimepart *part = curl_mime_addpart(it->mime);
                (void)curl_mime_name(part, it->request->parts[i][0]);
                (void)curl_mime_filedata(part, it->request->parts[i][1]);
                (void)curl_mime_filename(part, it->request->parts[i][0]);
        }
        (void)curl_easy_setopt(it->curl, CURLOPT_MIMEPOST, it->mime);
}

static int add_file(struct exchange *it, struct cowherd_error *err)
{
        struct stat info;

        it->file = fopen(it->request->file, "re");
        if (it->file == NULL || fstat(fileno(it->file), &info) < 0)
                return fail_errno(err, "cannot open '%s'", it->request->file);
        (void)curl_easy_setopt(it->curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(it->curl, CURLOPT_READDATA, it->file);
        (void)curl_easy_setopt(it->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)info.st_size);
        return 0;
}

static void add_bytes(struct exchange *it, const char *bytes, size_t length)
{
        (void)curl_easy_setopt(it->curl, CURLOPT_POSTFIELDS, bytes);
        (void)curl_easy_setopt(it->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
}

static int add_body(struct exchange *it, struct cowherd_error *err)
{
        const struct lxd_request *request = it->request;

        /* Without it, curl asks for leave first and waits a second for it. */
        it->headers = curl_slist_append(NULL, "Expect:");
        it->headers = curl_slist_append(it->headers, request->json != NULL ? "Content-Type: application/json"
                                                     : request->parts[0][0] != NULL
                                                             ? "Accept: */*"
                                                             : "Content-Type: application/octet-stream");
        for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
                it->headers = curl_slist_append(it->headers, request->headers[i]);
        (void)curl_easy_setopt(it->curl, CURLOPT_HTTPHEADER, it->headers);
        if (request->parts[0][0] != NULL)
                add_parts(it);
        else if (request->file != NULL && add_file(it, err) < 0)
                return -1;
        if (request->bytes != NULL)
                add_bytes(it, request->bytes, strlen(request->bytes));
        if (request->json != NULL) {
                it->json = json_dumps(request->json, JSON_COMPACT);
                if (it->json == NULL)
                        return fail(err, COWHERD_INTERNAL, "a request to LXD can't be written as JSON");
                add_bytes(it, it->json, strlen(it->json));
        }
        return 0;
}

static int prepare(struct lxd_client *client, struct exchange *it, struct cowherd_error *err)
{
        const struct lxd_request *request = it->request;
        owned_str char *url = x_asprintf("http://lxd%s", request->path);
        uint64_t timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : LXD_REQUEST_MS;

        curl_easy_reset(client->curl); /* keeps the connection */
        client->message[0] = '\0';
        (void)curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, client->message);
        (void)curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
        (void)curl_easy_setopt(client->curl, CURLOPT_URL, url);
        (void)curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
        (void)curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(client->curl, CURLOPT_PATH_AS_IS, 1L);
        (void)curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
        (void)curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        (void)curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, on_bytes);
        (void)curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, it);
        if (request->sent != NULL) {
                (void)curl_easy_setopt(client->curl, CURLOPT_NOPROGRESS, 0L);
                (void)curl_easy_setopt(client->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
                (void)curl_easy_setopt(client->curl, CURLOPT_XFERINFODATA, it);
        }
        if (add_body(it, err) < 0)
                return -1;
        (void)curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, request->method);
        if (str_equal(request->method, "HEAD"))
                (void)curl_easy_setopt(client->curl, CURLOPT_NOBODY, 1L);
        return 0;
}

static int explain(const struct lxd_client *client, const struct exchange *it, CURLcode code, struct cowherd_error *err)
{
        if (it->too_long)
                return fail(err, COWHERD_SYSTEM, "LXD's answer to '%s %s' is longer than %u bytes", it->request->method,
                            it->request->path, LXD_REPLY_BYTES);
        if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST) /* the latter: its path is too long */
                return lxd_socket_explain(client->socket, err);
        if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING) {
                (void)lxd_socket_explain(client->socket, err); /* where the daemon is gone, that says more */
                if (err->code == COWHERD_UNAVAILABLE)
                        return -1;
        }
        if (code == CURLE_OPERATION_TIMEDOUT)
                return fail(err, COWHERD_BUSY, "LXD on '%s' did not answer '%s %s' in time", client->socket,
                            it->request->method, it->request->path);
        return fail(err, COWHERD_SYSTEM, "talking to LXD on '%s' failed: %s", client->socket,
                    client->message[0] != '\0' ? client->message : curl_easy_strerror(code));
}

/* A file's content is no JSON; its type is told by a header, which Incus calls otherwise. */
static void read_file_reply(struct exchange *it, const char *type, struct lxd_reply *ret)
{
        ret->file_type = x_strdup(type);
        ret->length = it->answer.length;
        ret->bytes = str_take(&it->answer);
}

static int read_reply(struct exchange *it, long status, struct lxd_reply *ret, struct cowherd_error *err)
{
        json_error_t wrong;
        owned_json json_t *answer =
                json_loadb(str_text(&it->answer), it->answer.length, JSON_REJECT_DUPLICATES, &wrong);

        if (!json_is_object(answer))
                return fail(err, COWHERD_SYSTEM, "LXD's answer to '%s %s' is no JSON object (HTTP status %ld): %s",
                            it->request->method, it->request->path, status,
                            answer == NULL ? wrong.text : "another type");
        const char *kind = lxd_text(answer, "type");
        if (status >= 400 || str_equal(kind, "error")) {
                const char *said = lxd_text(answer, "error");
                said = str_is_empty(said) ? "no reason given" : said;
                return fail(err, lxd_error_code(status, said), "LXD says: %s", said);
        }
        if (str_equal(kind, "async"))
                ret->operation = x_strdup(lxd_text(answer, "operation"));
        ret->metadata = json_incref(json_object_get(answer, "metadata"));
        return 0;
}

int lxd_send(struct lxd_client *client, const struct lxd_request *request, struct lxd_reply *ret,
             struct cowherd_error *err)
{
        owned_by(exchange_free) struct exchange it = {.request = request, .curl = client->curl};
        struct lxd_reply reply = {0};
        long status = 0;

        if (prepare(client, &it, err) < 0)
                return -1;
        CURLcode code = curl_easy_perform(client->curl);
        if (code != CURLE_OK)
                return explain(client, &it, code, err);
        (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        const char *type = header_of_either(client->curl, "X-LXD-type", "X-Incus-type");
        const char *mode = header_of_either(client->curl, "X-LXD-mode", "X-Incus-mode");
        reply.file_mode = mode != NULL ? (unsigned)strtoul(mode, NULL, 8) & 07777u : 0;
        if (str_equal(request->method, "HEAD")) {
                if (status != 200)
                        return fail(err, lxd_error_code(status, ""), "LXD answers 'HEAD %s' with HTTP status %ld",
                                    request->path, status);
                reply.file_type = x_strdup(type);
        } else if (request->is_log && status == 200) {
                read_file_reply(&it, "file", &reply);
        } else if (request->is_file && status == 200 && type != NULL && !str_equal(type, "directory")) {
                read_file_reply(&it, type, &reply);
        } else if (read_reply(&it, status, &reply, err) < 0) {
                return -1;
        } else if (request->is_file && type != NULL) {
                reply.file_type = x_strdup(type);
        }
        *ret = reply;
        return 0;
}

int lxd_get(struct lxd_client *client, const char *path, json_t **ret, struct cowherd_error *err)
{
        const struct lxd_request request = {.method = "GET", .path = path};
        owned_reply struct lxd_reply reply = {0};
        struct cowherd_error why;

        if (lxd_send(client, &request, &reply, &why) < 0) {
                if (why.code == COWHERD_NOT_FOUND)
                        return 1;
                *err = why;
                return -1;
        }
        *ret = take(reply.metadata);
        return 0;
}
