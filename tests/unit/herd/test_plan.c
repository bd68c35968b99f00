/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: order, undo in reverse, items that fail alone, atomic, the bound on how many work at once. */
#include "herd/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka's; the rooms' own is meant here */

#define ITEMS 3

/* What the steps below write down, a word for each thing done. */
struct diary {
        char text[512];
        int fail_each;  /* item that fails in the step for each, or -1 */
        int fail_whole; /* whether the last whole step fails */
};

static void note(struct diary *diary, const char *word, size_t item)
{
        size_t used = strlen(diary->text);

        (void)snprintf(diary->text + used, sizeof diary->text - used, "%s%s%zu", used > 0 ? " " : "", word, item);
}

static int act_first(void *operation, size_t item, struct cowherd_error *err)
{
        (void)err;
        note(operation, "first", item);
        return 0;
}

static void undo_first(void *operation, size_t item)
{
        note(operation, "-first", item);
}

static int act_each(void *operation, size_t item, struct cowherd_error *err)
{
        struct diary *diary = operation;

        if ((int)item == diary->fail_each)
                return fail(err, COWHERD_IO, "item %zu has no space", item);
        note(diary, "each", item);
        return 0;
}

static void undo_each(void *operation, size_t item)
{
        note(operation, "-each", item);
}

static int act_last(void *operation, size_t item, struct cowherd_error *err)
{
        struct diary *diary = operation;

        if (diary->fail_whole)
                return fail(err, COWHERD_BUSY, "the last step is busy");
        note(diary, "last", item);
        return 0;
}

static int apply(struct diary *diary, bool atomic, struct outcome *outcomes, struct cowherd_error *err)
{
        struct plan plan = {.items = ITEMS, .parallel = 1, .atomic = atomic, .operation = diary};

        plan_add(&plan, false, act_first, undo_first, "first");
        plan_add(&plan, true, act_each, undo_each, "each");
        plan_add(&plan, false, act_last, NULL, "last");
        return plan_apply(&plan, outcomes, err);
}

static void test_order(void **state)
{
        struct diary diary = {.fail_each = -1};
        struct outcome outcomes[ITEMS] = {0};
        struct cowherd_error err;

        (void)state;
        assert_int_equal(apply(&diary, false, outcomes, &err), 0);
        assert_string_equal(diary.text, "first0 each0 each1 each2 last0");
}

static void test_an_item_fails_alone(void **state)
{
        struct diary diary = {.fail_each = 1};
        struct outcome outcomes[ITEMS] = {0};
        struct cowherd_error err;

        (void)state;
        assert_int_equal(apply(&diary, false, outcomes, &err), 0);
        assert_string_equal(diary.text, "first0 each0 each2 -each1 last0");
        assert_false(outcomes[0].failed);
        assert_true(outcomes[1].failed);
        assert_int_equal(outcomes[1].err.code, COWHERD_IO);
}

static void test_atomic_undoes_all(void **state)
{
        struct diary diary = {.fail_each = 1};
        struct outcome outcomes[ITEMS] = {0};
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(apply(&diary, true, outcomes, &err), -1);
        assert_string_equal(diary.text, "first0 each0 each2 -each1 -each0 -each2 -first0");
        assert_int_equal(err.code, COWHERD_IO);
}

static void test_a_whole_step_fails(void **state)
{
        struct diary diary = {.fail_each = -1, .fail_whole = 1};
        struct outcome outcomes[ITEMS] = {0};
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(apply(&diary, false, outcomes, &err), -1);
        assert_string_equal(diary.text, "first0 each0 each1 each2 -each0 -each1 -each2 -first0");
        assert_int_equal(err.code, COWHERD_BUSY);
}

/* How many of a step's items were under way at once. */
struct crowd {
        atomic_int now, most, done;
};

static int act_crowd(void *operation, size_t item, struct cowherd_error *err)
{
        struct crowd *crowd = operation;
        int now = atomic_fetch_add(&crowd->now, 1) + 1, most = atomic_load(&crowd->most);

        (void)item;
        (void)err;
        while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now))
                ;
        atomic_fetch_add(&crowd->done, 1);
        atomic_fetch_sub(&crowd->now, 1);
        return 0;
}

static void test_parallel_is_bounded(void **state)
{
        enum { MANY = 500 };
        static struct outcome outcomes[MANY];
        struct crowd crowd = {0};
        struct plan plan = {.items = MANY, .parallel = 4, .operation = &crowd};
        struct cowherd_error err;

        (void)state;
        plan_add(&plan, true, act_crowd, NULL, "crowd");
        assert_int_equal(plan_apply(&plan, outcomes, &err), 0);
        assert_int_equal(atomic_load(&crowd.done), MANY);
        assert_true(atomic_load(&crowd.most) <= 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_an_item_fails_alone),
                cmocka_unit_test(test_atomic_undoes_all),
                cmocka_unit_test(test_a_whole_step_fails),
                cmocka_unit_test(test_parallel_is_bounded),
        };

        return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
