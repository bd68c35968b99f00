/* SPDX-License-Identifier: Apache-2.0 */
/*
 * promote and register_base from=: a base is made of a clone. With promote the clone goes on as a clone of the new base; with from= it
 * stays where it is, unless its store stacks: then its bytes are the base's now, and it goes on upon them as with promote.
 *
 * A new base is made neutral where it is a tree. Where the clone reads the same bytes (overlay) it loses its identity with
 * them, and gets it again, the same values, at its next start. A disk can't be looked into: who clones it gets a fresh
 * identity from outside, as with any image. With live=true a virtual machine's memory is kept too (memory_keep.c).
 */
#include "herd/live.h"
#include "herd/machine.h"
#include "herd/point.h"
#include "herd/warm.h"

#include "base/number.h"
#include "sys/clock.h"

static void fill_base(struct point *point, const struct request *request, const char *name)
{
        struct catalogue_row *row = &point->made.row;
        const struct catalogue_row *clone = &point->clone.row;

        point_fill_row(point, CATALOGUE_BASE);
        row->name = x_strdup(name);
        row->image = x_strdup(clone->name);
        row->source = thing_path(&point->clone.place, clone);
        row->extra = machine_handed_on(clone->extra);
        if (request_has(request, KEY_WARM)) {
                char *marked = warm_mark(row->extra, request_number(request, KEY_WARM));
                free(row->extra);
                row->extra = marked;
        }
        if (request_has(request, KEY_MEMORY))
                row->memory_bytes = request_number(request, KEY_MEMORY);
        if (request_has(request, KEY_CPUS))
                row->cpus = request_number(request, KEY_CPUS);
}

static const char *note_of(const struct point *point)
{
        const struct catalogue_row *clone = &point->clone.row;

        if (point->live)
                return "its clones wake where the clone stood, all of its memory in them, secrets too; each gets an identity of its own before its link comes up";
        if (clone->kind == STORE_DISK)
                return "machine-id, host keys and the like stay in the base's disk, which can't be looked into: its clones get theirs at their first start";
        if (point->stacks)
                return "the clone's identity went out of the bytes that it shares with the base now: the same values are put in again at its next start";
        return NULL;
}

static void fields_of_capture(struct cowherd_answer *answer, const struct engine_captured *captured)
{
        answer_ms(answer, "pause_ms", captured->pause_ms);
        answer_number(answer, "memory_bytes", captured->memory_bytes);
        answer_flag(answer, "fresh_random", captured->fresh_random);
        if (captured->brought)
                answer_flag(answer, "guest_brought", true);
        if (captured->note[0] != '\0')
                answer_text(answer, "guest_note", captured->note);
        fields_of_phases(answer, &captured->phases);
}

static int answer_base(struct call *call, const struct point *point)
{
        struct cowherd_answer *answer = call->answer;
        const struct catalogue_row *row = &point->made.row, *clone = &point->clone.row;
        struct str removed owned_by(str_free) = {0};
        char ms[NUMBER_TEXT_BYTES];
        bool moved = clone->base_id == row->id;

        fields_of_base(answer, row);
        answer_text(answer, "clone", clone->name);
        answer_text(answer, "state", engine_state_name(point->state));
        answer_flag(answer, "clone_stands_on_it", moved);
        answer_number(answer, "clones", moved);
        for (size_t i = 0; i < point->neutralised.count; i++)
                str_addf(&removed, "%s%s", i > 0 ? " " : "", point->neutralised.items[i]);
        if (removed.length > 0)
                answer_text(answer, "neutralised", str_text(&removed));
        answer_text(answer, "note", note_of(point));
        if (point->live)
                fields_of_capture(answer, &point->captured);
        else
                answer_flag(answer, "frozen", point->frozen);
        answer_ms(answer, "promote_ms", point->taken_ms);
        answer_ms(answer, "duration_ms", clock_ms() - call->started_ms);
        if (point->live) {
                answer_done(answer, "live base '%s' made of clone '%s', which stood still for %s ms and goes on%s", row->name, clone->name,
                            number_format_ms(point->captured.pause_ms, ms), moved ? " as the first clone of it" : "");
                return 0;
        }
        answer_done(answer, "base '%s' made of clone '%s' in %s ms; the clone goes on %s", row->name, clone->name, number_format_ms(point->taken_ms, ms),
                    moved ? "as a clone of it" : "as it was");
        return 0;
}

/* `from` is the clone's name, `name` the base's. */
static int make_base(struct call *call, const char *from, const char *name, bool follows, struct cowherd_error *err)
{
        struct point point owned_by(point_free) = POINT_OF(call->herd);
        struct outcome outcome = {0};
        struct plan plan;
        bool dry = request_flag(call->request, KEY_DRY_RUN);

        point.durable = request_flag(call->request, KEY_DURABLE);
        point.follows = follows;
        point.live = request_flag(call->request, KEY_LIVE);
        point.brings_guest = point.live && !str_equal(request_text(call->request, KEY_GUEST), "keep");
        if (request_has(call->request, KEY_GUEST) && !point.live) {
                (void)fail(err, COWHERD_USAGE, "parameter 'guest' goes with live=true here: the clone is a guest already");
                return fail_hint(err, "leave guest= out");
        }
        if (point_find_clone(call, from, &point.clone.row, err) < 0 || name_check(point.clone.row.target, name, err) < 0 ||
            warm_check_words(call->request, point.clone.row.target, point.live, err) < 0)
                return -1;
        if ((!dry && herd_recover(call->herd, NULL, err) < 0) || point_look(&point, STORE_BASE, err) < 0)
                return -1;
        fill_base(&point, call->request, name);
        point_plan(&point, &plan, name);
        if (dry) {
                plan_print(&plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to make base '%s' of clone '%s'", name, from);
                return 0;
        }
        if (request_has(call->request, KEY_WARM) && catalogue_warm_begin(call->herd->catalogue, err) < 0)
                return -1;
        if (plan_apply(&plan, &outcome, err) < 0)
                return fail_while(err, "making a base of '%s'", from);
        warm_refill(call->herd, &point.made.row);
        return answer_base(call, &point);
}

int verb_promote(struct call *call, struct cowherd_error *err)
{
        const struct request *request = call->request;

        return make_base(call, request_text(request, KEY_NAME), request_text(request, KEY_AS), true, err);
}

int point_register(struct call *call, struct cowherd_error *err)
{
        const struct request *request = call->request;

        if (request_has(request, KEY_STORE)) {
                (void)fail(err, COWHERD_USAGE, "parameters 'from' and 'store' exclude each other");
                return fail_hint(err, "a base that is made of a clone lies in the clone's store");
        }
        return make_base(call, request_text(request, KEY_FROM), request_text(request, KEY_NAME), false, err);
}
