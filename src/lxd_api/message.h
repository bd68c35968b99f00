/* SPDX-License-Identifier: Apache-2.0 */
/* A request to LXD as HTTP has it, while it is under way. */
#pragma once

#include "base/str.h"
#include "lxd_api/client.h"
#include "lxd_api/http.h"

#define MESSAGE_PIECES 5 /* two parts, each with what stands before it, and the end */

struct message {
        struct str head;
        char *json;
        char *texts[MESSAGE_PIECES];
        int fds[MESSAGE_PIECES];
        struct http_piece pieces[MESSAGE_PIECES];
        size_t count;
};
void message_free(struct message *it);
define_owned(struct message, message_free)

/* Its head, and its body of JSON, bytes, a file or parts; texts of the request are borrowed. 66 or 77 where a file can't be opened. */
int message_write(const struct lxd_request *request, struct message *it, struct cowherd_error *err) must_check;
