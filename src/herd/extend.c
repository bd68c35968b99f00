/* SPDX-License-Identifier: Apache-2.0 */
/* extend: another end of life, counted from now. It never comes earlier than the one that was said before. */
#include "herd/group.h"

#include "sys/clock.h"

static int settle(void *operation, size_t item, struct cowherd_error *err)
{
        struct group *group = operation;
        uint64_t until = clock_wall_ms() + request_number(group->call->request, KEY_TTL);

        (void)item;
        group_own(group);
        if (group_judge(group, err) < 0)
                return -1;
        for (size_t i = 0; i < group->count; i++) {
                struct live *live = &group->lives[i];
                struct catalogue_row *row = &live->thing.row;
                if (group->outcomes[i].failed)
                        continue;
                live->skipped = row->expires_ms >= until;
                if (live->skipped)
                        continue;
                row->expires_ms = until;
                if (catalogue_settle(group->call->herd->catalogue, row, 1, err) < 0)
                        return -1;
        }
        return 0;
}

static void fields(struct group *group, const struct live *live)
{
        char text[CLOCK_TEXT_BYTES];

        if (live->thing.row.expires_ms != 0)
                answer_text(group->call->answer, "expires", clock_format(live->thing.row.expires_ms, text));
}

int verb_extend(struct call *call, struct cowherd_error *err)
{
        struct group group owned_by(group_free) = {.call = call, .done = "extended", .skipped = "lives that long already", .state_is_gone = true};
        bool told = false;

        if (group_select(&group, err) < 0)
                return -1;
        group.plan = (struct plan){.items = group.count, .parallel = 1, .operation = &group};
        plan_add(&group.plan, false, settle, NULL, "own what matches, and write down the end of its life: in %s", request_text(call->request, KEY_TTL));
        if (request_flag(call->request, KEY_DRY_RUN))
                return group_answer_plan(&group, "extend");
        int applied = plan_apply(&group.plan, group.outcomes, err);
        for (size_t i = 0; i < group.count; i++)
                told |= group.outcomes[i].failed;
        if (applied < 0 && !told)
                return -1;
        return group_answer(&group, fields, err);
}
