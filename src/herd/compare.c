/* SPDX-License-Identifier: Apache-2.0 */
/* compare: its words, as the room that does it takes them. That room is a user of the public interface; this file is all that it is called by. */
#include "herd/herd.h"

#include "compare/compare.h"

/* How this run was asked for, as the shell would say it; to be freed. */
static char *command_text(const struct request *request)
{
        static const enum key keys[] = {KEY_ENGINE, KEY_STORE, KEY_IMAGE, KEY_CLONES, KEY_QUICK};
        owned_string struct str text = {0};

        str_add(&text, "cowherd compare");
        for (size_t i = 0; request->verb->keys[i] != KEY_COUNT; i++)
                for (size_t j = 0; j < array_length(keys); j++)
                        if (request->verb->keys[i] == keys[j] && request_has(request, keys[j]))
                                str_addf(&text, " %s=%s", request->verb->public.parameters[i].name, request_text(request, keys[j]));
        return str_take(&text);
}

int verb_compare(struct call *call, struct cowherd_error *err)
{
        const struct request *request = call->request;
        owned_str char *command = command_text(request);
        const struct compare_options options = {
                .root = call->herd->root,
                .engine = request_text(request, KEY_ENGINE),
                .store = request_text(request, KEY_STORE),
                .image = request_text(request, KEY_IMAGE),
                .clones = (unsigned)request_number(request, KEY_CLONES),
                .quick = request_flag(request, KEY_QUICK),
                .dry_run = request_flag(request, KEY_DRY_RUN),
                .json = request_text(request, KEY_JSON),
                .html = request_text(request, KEY_HTML),
                .against = request_text(request, KEY_AGAINST),
                .command = command,
                .progress = call->herd->progress,
                .progress_context = call->herd->progress_context,
        };

        return compare_run(&options, call->answer, err);
}
