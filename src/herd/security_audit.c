/* SPDX-License-Identifier: Apache-2.0 */
/* security_audit: what was refused, when and why, as the audit has it. */
#include "herd/herd.h"

#include "sys/clock.h"

struct listing {
        struct call *call;
        size_t count;
};

static void add_line(void *context, const struct catalogue_refusal *line)
{
        struct listing *listing = context;
        struct cowherd_answer *answer = listing->call->answer;
        const char *pattern = request_text(listing->call->request, KEY_NAME);
        char at[CLOCK_TEXT_BYTES];

        if (pattern != NULL && (line->name == NULL || !str_matches(pattern, line->name)))
                return;
        listing->count++;
        answer_item(answer);
        answer_text(answer, "at", clock_format(line->at_ms, at));
        answer_text(answer, "engine", cowherd_target_name(line->target));
        answer_text(answer, "operation", line->operation);
        answer_text(answer, "name", line->name == NULL ? "" : line->name);
        answer_number(answer, "code", (uint64_t)line->code);
        answer_text(answer, "error", line->text);
}

int verb_security_audit(struct call *call, struct cowherd_error *err)
{
        struct listing listing = {.call = call};
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        answer_list(call->answer);
        if (got == 0 && catalogue_refusals(call->herd->catalogue, call->request->target, add_line, &listing, err) < 0)
                return -1;
        answer_items_end(call->answer);
        answer_done(call->answer, "%zu command%s refused", listing.count, listing.count == 1 ? " was" : "s were");
        return 0;
}
