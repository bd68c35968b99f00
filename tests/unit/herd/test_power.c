/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping over an engine that only notes: every state and verb, failures undone, several at once, kills. */
#include "herd_test.h"

/* Puts the clone's fake into a state. */
static void put(struct fixture *fixture, const char *name, enum engine_state state)
{
        fake_of(fixture, name)->state = state;
}

static void test_every_verb_in_every_state(void **state)
{
        struct fixture *fixture = *state;
        static const struct {
                const char *verb;
                enum engine_state before;
                int code;
                const char *after;
                const char *skipped; /* NULL: not told */
        } cases[] = {
                {"start", ENGINE_STOPPED, 0, "running", NULL},
                {"start", ENGINE_RUNNING, 75, "running", NULL},
                {"start", ENGINE_PAUSED, 75, "paused", NULL},
                {"start", ENGINE_MISSING, 66, "missing", NULL},
                {"start_if_stopped", ENGINE_STOPPED, 0, "running", "0"},
                {"start_if_stopped", ENGINE_RUNNING, 0, "running", "1"},
                {"start_if_stopped", ENGINE_PAUSED, 0, "paused", "1"},
                {"start_if_stopped", ENGINE_MISSING, 66, "missing", NULL},
                {"stop", ENGINE_STOPPED, 75, "stopped", NULL},
                {"stop", ENGINE_RUNNING, 0, "stopped", NULL},
                {"stop", ENGINE_PAUSED, 0, "stopped", NULL},
                {"stop", ENGINE_MISSING, 66, "missing", NULL},
                {"stop_if_running", ENGINE_STOPPED, 0, "stopped", "1"},
                {"stop_if_running", ENGINE_RUNNING, 0, "stopped", "0"},
                {"stop_if_running", ENGINE_PAUSED, 0, "stopped", "0"},
                {"restart", ENGINE_STOPPED, 0, "running", NULL},
                {"restart", ENGINE_RUNNING, 0, "running", NULL},
                {"restart", ENGINE_PAUSED, 0, "running", NULL},
                {"restart", ENGINE_MISSING, 66, "missing", NULL},
                {"pause", ENGINE_STOPPED, 75, "stopped", NULL},
                {"pause", ENGINE_RUNNING, 0, "paused", NULL},
                {"pause", ENGINE_PAUSED, 75, "paused", NULL},
                {"pause", ENGINE_MISSING, 66, "missing", NULL},
                {"resume", ENGINE_STOPPED, 75, "stopped", NULL},
                {"resume", ENGINE_RUNNING, 75, "running", NULL},
                {"resume", ENGINE_PAUSED, 0, "running", NULL},
                {"resume", ENGINE_MISSING, 66, "missing", NULL},
                {"delete", ENGINE_RUNNING, 75, "running", NULL},
                {"delete", ENGINE_PAUSED, 75, "paused", NULL},
        };

        do_say(fixture, 0, "clone base=golden name=a");
        for (size_t i = 0; i < array_length(cases); i++) {
                put(fixture, "a", cases[i].before);
                struct cowherd_answer *answer = say(fixture, cases[i].code, "%s name=a", cases[i].verb);
                assert_field(answer, "state", cases[i].after);
                if (cases[i].skipped != NULL)
                        assert_field(answer, "skipped", cases[i].skipped);
                cowherd_answer_free(answer);
                assert_state(fixture, "a", cases[i].after);
                assert_settled(fixture);
        }
        put(fixture, "a", ENGINE_MISSING);
        do_say(fixture, 0, "delete name=a");
}

static void test_a_start_tells_what_it_did(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=a cpus=2 network=user ports=8080:80 mount=/srv:/mnt:ro");
        struct cowherd_answer *answer = say(fixture, 0, "start name=a");
        assert_field(answer, "name", "a");
        assert_field(answer, "state", "running");
        assert_field(answer, "spawn_ms", "1.50");
        assert_field(answer, "note", "a fake");
        assert_non_null(cowherd_answer_get(answer, "start_ms"));
        assert_says(answer, "clone 'a' started");
        cowherd_answer_free(answer);
        const struct fake_instance *fake = fake_of(fixture, "a");
        assert_string_equal(fake->memory, "134217728");
        assert_string_equal(fake->words, "network=2 ports=1 mounts=1 layers=2");
        assert_int_equal(strlen(fake->identity), 32);
        assert_true(str_starts(fake->host_key, "ssh-ed25519 "));
        assert_false(fake->applied_before);
        struct cowherd_answer *info = say(fixture, 0, "info name=a");
        assert_field(info, "identity_applied", "all");
        assert_field(info, "identity_pending", "");
        cowherd_answer_free(info);
        do_say(fixture, 0, "restart name=a force=true");
        assert_true(fake->applied_before);
        assert_string_equal(fake->host_key, ""); /* it is inside, and kept nowhere else */
        assert_int_equal(fake->ends, 1);
}

static void test_a_failed_start_leaves_nothing(void **state)
{
        struct fixture *fixture = *state;
        static const char *const callbacks[] = {"check", "start"};

        do_say(fixture, 0, "clone base=golden name=a");
        for (size_t i = 0; i < array_length(callbacks); i++) {
                fake_engine_fail(callbacks[i], "", COWHERD_BUSY);
                struct cowherd_answer *answer = say(fixture, COWHERD_BUSY, "start name=a");
                assert_field(answer, "state", "stopped");
                assert_says(answer, "starting 'a': the fake engine can't");
                cowherd_answer_free(answer);
                assert_settled(fixture);
                assert_state(fixture, "a", "stopped");
                struct cowherd_answer *info = say(fixture, 0, "info name=a");
                assert_field(info, "identity_applied", "");
                cowherd_answer_free(info);
        }
        fake_engine_fail("states", "", COWHERD_SYSTEM);
        do_say(fixture, COWHERD_SYSTEM, "start name=a");
        assert_settled(fixture);
}

static void test_an_engine_that_cannot_says_so(void **state)
{
        struct fixture *fixture = *state;
        static const char *const commands[] = {"start name=a", "restart name=a", "wait name=a", "clone base=golden name=b start=true"};

        do_say(fixture, 0, "clone base=golden name=a");
        fake_engine->absent = true;
        for (size_t i = 0; i < array_length(commands); i++) {
                struct cowherd_answer *answer = say(fixture, COWHERD_UNAVAILABLE, "%s", commands[i]);
                assert_says(answer, "not available in this version");
                cowherd_answer_free(answer);
                assert_settled(fixture);
        }
        do_say(fixture, COWHERD_NOT_FOUND, "info name=b");
}

static void test_several_fail_alone(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=w count=8");
        fake_engine_fail("start", "w-3", COWHERD_UNAVAILABLE);
        fake_engine->meets = true;
        struct cowherd_answer *answer = say(fixture, COWHERD_UNAVAILABLE, "start name=w-*");
        assert_field(answer, "matched", "8");
        assert_field(answer, "failed", "1");
        assert_item(answer, 2, "success", "0");
        assert_item(answer, 2, "code", "69");
        assert_item(answer, 2, "state", "stopped");
        assert_item(answer, 3, "success", "1");
        assert_item(answer, 3, "state", "running");
        cowherd_answer_free(answer);
        assert_true(fake_engine->at_once_max >= 2); /* in parallel … */
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        assert_true(fake_engine->at_once_max <= (unsigned)(cores < 2 ? 2 : cores)); /* … with a bound */
        assert_settled(fixture);
        fake_engine_fail("", "", 0);
        answer = say(fixture, 0, "start_if_stopped name=w-*");
        assert_field(answer, "skipped", "7");
        cowherd_answer_free(answer);
        answer = say(fixture, COWHERD_BUSY, "start name=w-*"); /* all of them failed: each still tells why */
        assert_field(answer, "failed", "8");
        assert_item(answer, 7, "code", "75");
        cowherd_answer_free(answer);
        answer = say(fixture, 0, "delete name=w-* force=true");
        assert_field(answer, "matched", "8");
        assert_item(answer, 0, "ended", "1");
        cowherd_answer_free(answer);
}

static void test_atomic_undoes_all(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=w count=4");
        fake_engine_fail("start", "w-4", COWHERD_IO);
        struct cowherd_answer *answer = say(fixture, COWHERD_IO, "start name=w-* atomic=true");
        assert_field(answer, "failed", "4");
        assert_says(answer, "undone");
        cowherd_answer_free(answer);
        for (int i = 1; i <= 4; i++) {
                char name[8];
                (void)snprintf(name, sizeof name, "w-%d", i);
                assert_state(fixture, name, "stopped");
        }
        assert_settled(fixture);
        fake_engine_fail("", "", 0);
        do_say(fixture, 0, "start name=w-*");
        fake_engine_fail("stop", "w-2", COWHERD_SYSTEM);
        do_say(fixture, COWHERD_SYSTEM, "stop name=w-* atomic=true");
        assert_state(fixture, "w-1", "running");
        assert_state(fixture, "w-2", "running");
        fake_engine_fail("pause", "w-4", COWHERD_SYSTEM);
        do_say(fixture, COWHERD_SYSTEM, "pause name=w-* atomic=true");
        assert_state(fixture, "w-1", "running");
        put(fixture, "w-1", ENGINE_PAUSED); /* refused beforehand: then none is touched */
        fake_engine_fail("", "", 0);
        do_say(fixture, COWHERD_BUSY, "pause name=w-* atomic=true");
        assert_state(fixture, "w-2", "running");
        assert_settled(fixture);
}

static void test_waiting(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=a");
        struct cowherd_answer *answer = say(fixture, COWHERD_BUSY, "wait name=a for=ready timeout=1ms");
        assert_field(answer, "state", "stopped");
        assert_says(answer, "left as it is");
        cowherd_answer_free(answer);
        do_say(fixture, 0, "wait name=a for=stopped");
        fake_engine->keeps_pending = true;
        answer = say(fixture, 0, "start name=a");
        assert_field(answer, "identity_pending", "machine-id: the guest is not there yet");
        cowherd_answer_free(answer);
        answer = say(fixture, 0, "wait name=a for=address");
        assert_says(answer, "10.0.0.");
        assert_field(answer, "agent_ms", "2.50");
        cowherd_answer_free(answer);
        do_say(fixture, 0, "wait name=a");
        answer = say(fixture, 0, "info name=a"); /* the identity went in while it was waited for */
        assert_field(answer, "identity_applied", "all");
        cowherd_answer_free(answer);
        fake_engine_fail("wait", "", COWHERD_BUSY);
        answer = say(fixture, COWHERD_BUSY, "restart name=a wait=true timeout=1ms");
        assert_field(answer, "state", "running"); /* it was left running */
        cowherd_answer_free(answer);
        do_say(fixture, 0, "stop name=a");
        do_say(fixture, COWHERD_BUSY, "start name=a wait=true timeout=1ms atomic=true");
        assert_state(fixture, "a", "stopped");
        assert_settled(fixture);
}

static void test_a_kill_is_recovered(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=a");
        do_say(fixture, 0, "clone base=golden name=b");
        say_and_die(fixture, "start", "start name=a");
        do_say(fixture, 0, "start name=b"); /* whoever comes next settles it */
        assert_settled(fixture);
        assert_state(fixture, "a", "stopped");
        assert_int_equal(fake_of(fixture, "a")->tidies, 1);
        assert_false(fake_of(fixture, "a")->runtime_left);
        say_and_die(fixture, "started", "start name=a");
        do_say(fixture, 0, "cleanup");
        assert_settled(fixture);
        assert_state(fixture, "a", "running"); /* what runs is well */
        say_and_die(fixture, "stopped", "stop name=a");
        do_say(fixture, 0, "cleanup");
        assert_state(fixture, "a", "stopped");
        assert_settled(fixture);
        say_and_die(fixture, "stopped", "delete name=b force=true");
        do_say(fixture, 0, "cleanup");
        do_say(fixture, COWHERD_NOT_FOUND, "info name=b");
        assert_settled(fixture);
}

static void test_clones_that_start(void **state)
{
        struct fixture *fixture = *state;

        struct cowherd_answer *answer = say(fixture, 0, "clone base=golden name=a start=true wait=true");
        assert_field(answer, "state", "running");
        assert_field(answer, "identity_applied", "all");
        assert_field(answer, "spawn_ms", "1.50");
        assert_field(answer, "agent_ms", "2.50");
        assert_says(answer, "made and started");
        cowherd_answer_free(answer);
        struct cowherd_answer *info = say(fixture, 0, "info name=a");
        assert_string_equal(fake_of(fixture, "a")->identity, cowherd_answer_get(info, "machine_id"));
        assert_field(info, "identity_applied", "all");
        cowherd_answer_free(info);
        fake_engine->keeps_pending = true;
        answer = say(fixture, 0, "clone base=golden name=p start=true wait=true");
        assert_field(answer, "identity_applied", "all");
        assert_field(answer, "identity_pending", "");
        cowherd_answer_free(answer);
        fake_engine->keeps_pending = false;
        do_say(fixture, COWHERD_USAGE, "clone base=golden name=b wait=true");
        fake_engine_fail("start", "", COWHERD_BUSY);
        do_say(fixture, COWHERD_BUSY, "clone base=golden name=b start=true"); /* then there is no clone: the name is free again */
        do_say(fixture, COWHERD_NOT_FOUND, "info name=b");
        fake_engine_fail("wait", "", COWHERD_BUSY);
        answer = say(fixture, COWHERD_BUSY, "clone base=golden name=b start=true wait=true timeout=1ms"); /* it was left running */
        assert_field(answer, "name", "b");
        assert_field(answer, "state", "running");
        cowherd_answer_free(answer);
        assert_state(fixture, "b", "running");
        do_say(fixture, COWHERD_BUSY, "clone base=golden name=c start=true wait=true timeout=1ms atomic=true");
        do_say(fixture, COWHERD_NOT_FOUND, "info name=c");
        assert_settled(fixture);
}

static void test_many_clones_that_start(void **state)
{
        struct fixture *fixture = *state;

        fake_engine_fail("start", "w-2", COWHERD_IO);
        struct cowherd_answer *answer = say(fixture, COWHERD_IO, "clone base=golden name=w count=4 start=true wait=true");
        assert_field(answer, "failed", "1");
        assert_item(answer, 0, "state", "running");
        assert_item(answer, 1, "success", "0");
        cowherd_answer_free(answer);
        do_say(fixture, COWHERD_NOT_FOUND, "info name=w-2");
        assert_state(fixture, "w-4", "running");
        fake_engine_fail("start", "v-2", COWHERD_IO);
        do_say(fixture, COWHERD_IO, "clone base=golden name=v count=4 start=true atomic=true");
        do_say(fixture, COWHERD_NOT_FOUND, "info name=v-*");
        assert_settled(fixture);
        fake_engine_fail("wait", "u-2", COWHERD_BUSY);
        answer = say(fixture, COWHERD_BUSY, "clone base=golden name=u count=2 start=true wait=true");
        assert_item(answer, 1, "state", "running");
        assert_item(answer, 1, "success", "0");
        cowherd_answer_free(answer);
        assert_state(fixture, "u-2", "running");
}

static void test_a_clone_killed_at_its_start_is_none(void **state)
{
        struct fixture *fixture = *state;
        static const char *const callbacks[] = {"start", "started"};

        for (size_t i = 0; i < array_length(callbacks); i++) {
                say_and_die(fixture, callbacks[i], "clone base=golden name=w count=3 start=true");
                do_say(fixture, 0, "cleanup");
                struct cowherd_answer *list = say(fixture, 0, "list");
                assert_int_equal(cowherd_answer_items(list), 0);
                cowherd_answer_free(list);
                for (int id = 0; id < FAKE_IDS; id++) {
                        assert_int_not_equal(fake_engine->instances[id].state, ENGINE_RUNNING);
                        assert_false(fake_engine->instances[id].runtime_left);
                }
                assert_settled(fixture);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_verb_in_every_state, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_start_tells_what_it_did, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_failed_start_leaves_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_engine_that_cannot_says_so, setup, teardown),
                cmocka_unit_test_setup_teardown(test_several_fail_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_atomic_undoes_all, setup, teardown),
                cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_kill_is_recovered, setup, teardown),
                cmocka_unit_test_setup_teardown(test_clones_that_start, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_clones_that_start, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_clone_killed_at_its_start_is_none, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
