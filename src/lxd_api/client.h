/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LXD's and Incus's REST API over their Unix socket: one client for the store and the engine. Each thread has one
 * connection, opened when first asked for and kept alive, so that a command of several requests connects once.
 *
 * What LXD refuses is an error with LXD's own sentence and the code that fits it (lxd_error_code). API:
 * https://documentation.ubuntu.com/lxd/en/stable-5.0/rest-api/
 */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LXD_REPLY_BYTES (32u << 20) /* a longer answer is an error: 10,000 instances take about 20 MiB */

struct lxd_client;

/* `owned_json json_t *it = NULL;` is released where its scope ends. */
static inline void json_release_at(json_t **slot)
{
        json_decref(*slot);
}
#define owned_json __attribute__((cleanup(json_release_at)))

/*
 * This thread's client, borrowed until the thread ends. The socket is that of $LXD_SOCKET or in $LXD_DIR where one is
 * set (nothing else is then tried), as `lxc` has it; else the first there is of /var/lib/lxd, /var/snap/lxd/common/lxd
 * and /var/lib/incus. Where there is none: 69. Nothing is connected yet.
 */
int lxd_client_get(struct lxd_client **ret, struct cowherd_error *err) must_check;
/* A client for one socket. *ret is the caller's. */
void lxd_client_open(const char *socket, struct lxd_client **ret);
void lxd_client_close(struct lxd_client *client);
/* The path of its socket. Borrowed. */
const char *lxd_client_socket(const struct lxd_client *client);

/* What the server answered. */
struct lxd_reply {
        json_t *metadata; /* the reply's payload, or NULL */
        char *operation;  /* "/1.0/operations/UUID" where the work goes on in the background, else NULL */
        char *file_type;  /* of a file: "file", "directory" or "symlink", else NULL */
        unsigned file_mode; /* its permissions */
        char *bytes;      /* of a file: its content, NUL added */
        size_t length;
};
void lxd_reply_free(struct lxd_reply *reply);
static inline void lxd_reply_free_at(struct lxd_reply *reply)
{
        lxd_reply_free(reply);
}
#define owned_reply __attribute__((cleanup(lxd_reply_free_at)))

/* A request that is more than a method and a body of JSON. Borrowed. */
struct lxd_request {
        const char *method;
        const char *path;           /* with its query, escaped where it must be */
        const json_t *json;         /* the body, or NULL */
        const char *const *headers; /* NULL-terminated, or NULL */
        const char *bytes;          /* or a body of plain bytes */
        const char *file;           /* or a body that is this file */
        const char *parts[2][2];    /* or one of two parts: name and file */
        bool is_file;               /* the answer may be a file's content */
        bool is_log;                /* the answer is plain bytes where it is no error */
        /* Gets a regular file's content as it comes, instead of the reply; -1 breaks off. May be NULL. */
        int (*received)(void *context, const char *bytes, size_t length);
        uint64_t timeout_ms;        /* 0: LXD_REQUEST_MS */
        void (*sent)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
        void *context; /* of both */
};
#define LXD_REQUEST_MS 60000u

/*
 * Sends a request, reads the answer. Nobody listening is 69 with how to start the daemon; a socket that we may not open
 * is 77 with the group to join; no answer in time is 75.
 */
int lxd_send(struct lxd_client *client, const struct lxd_request *request, struct lxd_reply *ret,
             struct cowherd_error *err) must_check;
/* GET. *ret is the payload, the caller's. What is not there is 1 and nothing is set. */
int lxd_get(struct lxd_client *client, const char *path, json_t **ret, struct cowherd_error *err) must_check;

/* How long to wait for an operation, and whom to tell how it goes. */
struct lxd_patience {
        uint64_t quiet_ms; /* gives up (75) when nothing has changed for so long; the operation is cancelled if it can
                              be */
        void (*told)(void *context, const char *what); /* what LXD says of its progress; may be NULL */
        void *context;
};
/* Sends a request and waits for the operation that it starts. */
int lxd_do(struct lxd_client *client, const char *method, const char *path, const json_t *body,
           const struct lxd_patience *patience, struct cowherd_error *err) must_check;
/* Waits for an operation to end (the server answers when it has; nothing is asked twice in between). */
int lxd_await(struct lxd_client *client, const char *operation, const struct lxd_patience *patience,
              struct cowherd_error *err) must_check;
/*
 * Waits until no operation that bears the name of this instance goes on, whoever began it; what can be cancelled is.
 * 75 where one goes on for longer than `quiet_ms`.
 */
int lxd_await_instance(struct lxd_client *client, const char *instance, uint64_t quiet_ms,
                       struct cowherd_error *err) must_check;

/* The same for an instance of two names: it is, or was, being renamed. `other` may be NULL. */
int lxd_await_either(struct lxd_client *client, const char *instance, const char *other, uint64_t quiet_ms,
                     struct cowherd_error *err) must_check;

/* Waits until the uploads of images that go on have ended, anybody's: an upload's operation does not tell whose it is.
 */
int lxd_await_uploads(struct lxd_client *client, uint64_t quiet_ms, struct cowherd_error *err) must_check;

/* Our code for what LXD says: by its HTTP status and, as that is often plain 400 or 500, by its words. */
enum cowherd_code lxd_error_code(long status, const char *text);
/* Text for a place in a URL: all but letters, digits, '-', '_', '.' and '~' as %XX. To be freed. */
char *lxd_escape(const char *text);
/* A text of a JSON object, borrowed, or NULL where there is none. */
const char *lxd_text(const json_t *object, const char *key);
