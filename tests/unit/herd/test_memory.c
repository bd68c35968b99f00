/* SPDX-License-Identifier: Apache-2.0 */
/* Live bases over an engine that only notes: made whole or not at all, checked at each clone, given up with their base. */
#include "herd_test.h"

#include "herd/machine.h"
#include "herd/warm.h"
#include "sys/file.h"
#include "sys/lock.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static void make_running(struct fixture *fixture)
{
        do_say(fixture, 0, "clone base=golden name=a start=true");
}

/* As hands that know no better would: the immutable flag off, a byte changed, the mode as before. */
static void poke(struct fixture *fixture, const char *path)
{
        char whole[256];
        struct cowherd_error err;

        (void)snprintf(whole, sizeof whole, "%s/%s", fixture->root, path);
        int fd = open(whole, O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(file_set_immutable(fd, false, &err), 0);
        assert_int_equal(fchmod(fd, 0600), 0);
        (void)close(fd);
        fd = open(whole, O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "!", 1, 12000), 1);
        (void)close(fd);
}

static bool is_there(struct fixture *fixture, const char *path)
{
        char whole[256];

        (void)snprintf(whole, sizeof whole, "%s/%s", fixture->root, path);
        return access(whole, F_OK) == 0;
}

/* How many objects lie in a folder of the root. */
static size_t lie_in(struct fixture *fixture, const char *folder)
{
        char command[256];
        size_t count = 0;

        (void)snprintf(command, sizeof command, "ls %s/%s 2>/dev/null | wc -l", fixture->root, folder);
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        assert_int_equal(fscanf(pipe, "%zu", &count), 1);
        (void)pclose(pipe);
        return count;
}

static void test_a_live_base_is_made_and_told(void **state)
{
        struct fixture *fixture = *state;

        make_running(fixture);
        struct cowherd_answer *answer = say(fixture, 0, "promote name=a as=hot live=true");
        assert_field(answer, "live", "1");
        assert_field(answer, "pause_ms", "12.5");
        assert_field(answer, "ram_bytes", "4096");
        assert_field(answer, "state_bytes", "100");
        assert_field(answer, "memory_bytes", "134217728");
        assert_field(answer, "save_ms", "3.50");
        assert_field(answer, "clone_stands_on_it", "1");
        assert_field(answer, "state", "running");
        assert_says(answer, "as the first clone of it");
        cowherd_answer_free(answer);
        assert_settled(fixture);
        assert_true(is_there(fixture, "bases/3/ram"));
        struct cowherd_answer *info = say(fixture, 0, "info name=hot");
        assert_field(info, "live", "1");
        assert_field(info, "live_qemu", "7.2.22");
        assert_field(info, "live_cpus", "2");
        assert_field(info, "fresh_random", "1");
        cowherd_answer_free(info);
        struct cowherd_answer *list = say(fixture, 0, "list_bases");
        assert_item(list, 1, "live", "1");
        assert_null(cowherd_answer_item_get(list, 0, "live"));
        cowherd_answer_free(list);
        struct cowherd_answer *status = say(fixture, 0, "status");
        assert_field(status, "live_bases", "1");
        cowherd_answer_free(status);
        struct cowherd_answer *of = say(fixture, 0, "info name=a");
        assert_field(of, "base", "hot");
        cowherd_answer_free(of);
        do_say(fixture, 0, "register_base name=other from=a live=true");
        do_say(fixture, COWHERD_EXISTS, "promote name=a as=other live=true");
        assert_settled(fixture);
        assert_state(fixture, "a", "running");
}

static void test_what_can_not_be_kept(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=a");
        struct cowherd_answer *answer = say(fixture, COWHERD_BUSY, "promote name=a as=hot live=true");
        assert_says(answer, "start it first");
        cowherd_answer_free(answer);
        do_say(fixture, 0, "start name=a");
        do_say(fixture, 0, "pause name=a");
        answer = say(fixture, COWHERD_BUSY, "promote name=a as=hot live=true");
        assert_says(answer, "resume it first");
        cowherd_answer_free(answer);
        do_say(fixture, 0, "clone base=golden name=m mount=/srv:/mnt start=true");
        answer = say(fixture, COWHERD_UNAVAILABLE, "promote name=m as=hot live=true");
        assert_says(answer, "mount=");
        cowherd_answer_free(answer);
        do_say(fixture, COWHERD_USAGE, "register_base name=x image=/dev/null live=true");
        do_say(fixture, COWHERD_UNAVAILABLE, "promote name=m as=hot live=true dry_run=true");
}

static void test_clones_wake(void **state)
{
        struct fixture *fixture = *state;

        make_running(fixture);
        do_say(fixture, 0, "promote name=a as=hot live=true");
        struct cowherd_answer *answer = say(fixture, 0, "clone base=hot name=w count=3 wait=true ports=8080:80");
        for (size_t i = 0; i < 3; i++) {
                assert_item(answer, i, "state", "running");
                assert_item(answer, i, "live", "1");
                assert_item(answer, i, "private_bytes", "1000");
                assert_item(answer, i, "shared_bytes", "2000");
                assert_item(answer, i, "spawn_ms", "1.50");
                assert_item(answer, i, "identity_applied", "all");
        }
        assert_says(answer, "made and awake");
        cowherd_answer_free(answer);
        assert_string_equal(fake_of(fixture, "w-2")->live, "hot bases/3/ram bases/3/state {\"qemu\":\"7.2.22\",\"cpus\":2}");
        assert_string_equal(fake_of(fixture, "w-2")->memory, "134217728");
        do_say(fixture, 0, "restart name=w-2 force=true");
        assert_string_equal(fake_of(fixture, "w-2")->live, ""); /* it boots */
        answer = say(fixture, 0, "clone base=hot name=cold start=false memory=64M");
        assert_field(answer, "state", "stopped");
        assert_says(answer, "disk alone");
        cowherd_answer_free(answer);
        do_say(fixture, 0, "clone base=hot name=k identity=keep");
        /* Of a live clone, again; and a clone of a clone is one of its disk. */
        do_say(fixture, 0, "promote name=w-1 as=hotter live=true");
        do_say(fixture, 0, "clone base=hotter name=x");
        assert_true(str_starts(fake_of(fixture, "x")->live, "hotter bases/"));
        do_say(fixture, 0, "stop name=x force=true");
        answer = say(fixture, 0, "clone base=x name=y start=true");
        assert_null(cowherd_answer_get(answer, "live"));
        cowherd_answer_free(answer);
        assert_settled(fixture);
}

static void test_another_machine_is_refused(void **state)
{
        struct fixture *fixture = *state;
        static const struct {
                const char *words;
                int code;
        } cases[] = {{"memory=64M", 64},     {"cpus=7", 64},         {"disk_size=2M", 64},  {"network=none", 69},
                     {"os=windows", 69},     {"firmware=uefi", 69},  {"accel=kvm", 69},     {"mount=/srv:/mnt", 69},
                     {"user_data=/etc/hosts", 69}, {"memory=128M", 0}, {"disk_size=1M", 0}, {"os=linux name=second", 0}};

        make_running(fixture);
        do_say(fixture, 0, "promote name=a as=hot live=true");
        for (size_t i = 0; i < array_length(cases); i++)
                do_say(fixture, cases[i].code, "clone base=hot %s", cases[i].words);
        assert_int_equal(lie_in(fixture, "clones"), 4);
        assert_settled(fixture);
}

static void test_a_failed_clone_takes_none_along(void **state)
{
        struct fixture *fixture = *state;

        make_running(fixture);
        do_say(fixture, 0, "promote name=a as=hot live=true");
        fake_engine_fail("start", "w-2", COWHERD_UNAVAILABLE);
        struct cowherd_answer *answer = say(fixture, COWHERD_UNAVAILABLE, "clone base=hot name=w count=3");
        assert_field(answer, "failed", "1");
        cowherd_answer_free(answer);
        assert_state(fixture, "w-1", "running");
        assert_state(fixture, "w-3", "running");
        do_say(fixture, COWHERD_NOT_FOUND, "info name=w-2");
        fake_engine_fail("start", "v-2", COWHERD_UNAVAILABLE);
        do_say(fixture, COWHERD_UNAVAILABLE, "clone base=hot name=v count=3 atomic=true");
        do_say(fixture, COWHERD_NOT_FOUND, "info name=v-1");
        assert_int_equal(lie_in(fixture, "clones"), 3);
        assert_settled(fixture);
}

static void test_a_changed_memory_is_refused(void **state)
{
        struct fixture *fixture = *state;
        static const char *const files[] = {"ram", "state"};

        make_running(fixture);
        for (size_t i = 0; i < array_length(files); i++) {
                struct cowherd_answer *made = say(fixture, 0, "promote name=a as=hot-%zu live=true", i);
                owned_str char *path = x_asprintf("bases/%s/%s", cowherd_answer_get(made, "id"), files[i]);
                cowherd_answer_free(made);
                do_say(fixture, 0, "clone base=hot-%zu name=w", i);
                do_say(fixture, 0, "delete name=w force=true");
                poke(fixture, path);
                struct cowherd_answer *answer = say(fixture, COWHERD_DATA, "clone base=hot-%zu name=w", i);
                assert_says(answer, "was changed since it was made");
                cowherd_answer_free(answer);
                do_say(fixture, COWHERD_NOT_FOUND, "info name=w");
        }
        assert_settled(fixture);
}

static void test_a_base_goes_with_its_memory(void **state)
{
        struct fixture *fixture = *state;

        make_running(fixture);
        do_say(fixture, 0, "promote name=a as=hot live=true");
        do_say(fixture, 0, "clone base=hot name=w");
        owned_str char *above = machine_runtime(fixture->herd, 0), *runtime = x_asprintf("%s/base-3", above);
        owned_str char *top = x_strndup(above, (size_t)(strrchr(above, '/') - above));
        (void)mkdir(top, 0755);
        (void)mkdir(above, 0700);
        assert_int_equal(mkdir(runtime, 0700), 0);
        do_say(fixture, 0, "cleanup");
        assert_string_equal(fake_engine->released, runtime);
        assert_int_equal(mkdir(above, 0700) | mkdir(runtime, 0700), 0);
        do_say(fixture, 0, "remove_base name=hot");
        assert_int_equal(fake_engine->releases, 2);
        assert_true(is_there(fixture, "bases/3/ram"));
        do_say(fixture, COWHERD_NOT_FOUND, "clone base=hot name=x");
        do_say(fixture, 0, "delete name=a force=true");
        assert_true(is_there(fixture, "bases/3/ram"));
        do_say(fixture, 0, "delete name=w force=true");
        assert_false(is_there(fixture, "bases/3"));
        (void)rmdir(above);
}

/* Whatever moment it was killed in: a whole live base or none, and the source goes on. */
static void test_a_killed_promote_leaves_all_or_nothing(void **state)
{
        struct fixture *fixture = *state;
        static const char *const moments[] = {"capture", "captured", "switched", "taken"};

        for (size_t i = 0; i < array_length(moments); i++) {
                make_running(fixture);
                say_and_die(fixture, moments[i], "promote name=a as=hot live=true");
                do_say(fixture, 0, "cleanup");
                assert_settled(fixture);
                do_say(fixture, COWHERD_NOT_FOUND, "info name=hot");
                assert_state(fixture, "a", "running");
                assert_int_equal(fake_of(fixture, "a")->quiets, 1); /* it was let go on */
                struct cowherd_answer *doctor = cowherd_execute(fixture->herd, COWHERD_ANY, "doctor", NULL);
                assert_says(doctor, "\"base golden\"");
                cowherd_answer_free(doctor);
                fake_of(fixture, "a")->switched = false;
                do_say(fixture, 0, "promote name=a as=hot live=true"); /* the name is free, the clone unharmed */
                do_say(fixture, 0, "clone base=hot name=w");
                do_say(fixture, 0, "delete name=* force=true");
                do_say(fixture, 0, "remove_base name=hot");
                assert_int_equal(lie_in(fixture, "bases"), 1);
                assert_int_equal(lie_in(fixture, "clones"), 0);
        }
}

static void test_a_failed_promote_leaves_nothing(void **state)
{
        struct fixture *fixture = *state;
        static const char *const moments[] = {"capture", "switch"};

        make_running(fixture);
        for (size_t i = 0; i < array_length(moments); i++) {
                fake_engine_fail(moments[i], "a", COWHERD_IO);
                struct cowherd_answer *answer = say(fixture, COWHERD_IO, "promote name=a as=hot live=true");
                assert_says(answer, "making a base of 'a'");
                cowherd_answer_free(answer);
                assert_settled(fixture);
                do_say(fixture, COWHERD_NOT_FOUND, "info name=hot");
                fake_of(fixture, "a")->switched = false;
        }
        fake_engine_fail("", "", 0);
        do_say(fixture, 0, "promote name=a as=hot live=true");
        do_say(fixture, 0, "delete name=a force=true");
        do_say(fixture, 0, "remove_base name=hot");
        assert_int_equal(lie_in(fixture, "bases"), 1);
}

/* ---- what stands ready ---- */

/* A live base of which two are wanted. The helper's lock is ours: no helper is started. */
static uint64_t begin_warm(struct fixture *fixture, int *ret_lock)
{
        struct cowherd_error err;

        assert_int_equal(lock_take(fixture->herd->locks, WARM_LOCK, false, ret_lock, &err), 0);
        make_running(fixture);
        do_say(fixture, 0, "promote name=a as=hot live=true warm=2");
        struct cowherd_answer *info = say(fixture, 0, "info name=hot");
        uint64_t id = (uint64_t)atoll(cowherd_answer_get(info, "id"));
        assert_field(info, "warm", "2");
        assert_field(info, "ready", "0");
        cowherd_answer_free(info);
        return id;
}

static void make_warm(struct fixture *fixture, uint64_t base_id)
{
        struct cowherd_error err;

        if (warm_make(fixture->herd, base_id, &err) < 0)
                fail_test("none could be made: %s", err.text);
}

/* How many stand ready, and how many rows there are of such. */
static void assert_warm(struct fixture *fixture, uint64_t base_id, uint64_t ready, uint64_t dead)
{
        struct catalogue_row base owned_by(catalogue_row_free) = {0};
        struct warm_count count;
        struct cowherd_error err;

        assert_int_equal(catalogue_get(fixture->herd->catalogue, base_id, &base, &err), 0);
        assert_int_equal(warm_count(fixture->herd, &base, &count, &err), 0);
        assert_int_equal(count.ready, ready);
        assert_int_equal(count.dead, dead);
}

static void test_one_that_stands_is_taken(void **state)
{
        struct fixture *fixture = *state;
        int lock = -1;
        uint64_t base = begin_warm(fixture, &lock);

        make_warm(fixture, base);
        assert_warm(fixture, base, 1, 0);
        struct fake_instance *stood = &fake_engine->instances[4]; /* golden, a, hot, and this one */
        owned_str char *uuid = x_strdup(stood->uuid), *machine = x_strdup(stood->identity);
        assert_true(stood->stands_by);
        assert_string_equal(stood->hostname, "ready-4");
        struct cowherd_answer *list = say(fixture, 0, "list");
        assert_int_equal(cowherd_answer_items(list), 1);
        cowherd_answer_free(list);
        do_say(fixture, 0, "clone base=hot name=k identity=keep");
        assert_warm(fixture, base, 1, 0);
        struct cowherd_answer *answer = say(fixture, 0, "clone base=hot name=x ports=8080:80");
        assert_field(answer, "warm", "1");
        assert_field(answer, "id", "4");
        cowherd_answer_free(answer);
        assert_string_equal(stood->hostname, "x");
        assert_string_equal(stood->uuid, uuid);
        assert_string_equal(stood->identity, machine);
        assert_string_equal(stood->words, "network=0 ports=1 mounts=0 layers=3");
        struct cowherd_answer *info = say(fixture, 0, "info name=x");
        assert_field(info, "uuid", uuid);
        assert_field(info, "machine_id", machine);
        cowherd_answer_free(info);
        assert_warm(fixture, base, 0, 0);
        assert_settled(fixture);
        lock_remove(fixture->herd->locks, WARM_LOCK, &lock);
}

static void test_one_that_stands_no_more_costs_nothing(void **state)
{
        struct fixture *fixture = *state;
        struct cowherd_error err;
        int lock = -1;
        uint64_t base = begin_warm(fixture, &lock);

        make_warm(fixture, base);
        make_warm(fixture, base);
        fake_engine->instances[4].state = ENGINE_STOPPED; /* killed */
        assert_warm(fixture, base, 1, 1);
        struct cowherd_answer *answer = say(fixture, 0, "clone base=hot name=x");
        assert_null(cowherd_answer_get(answer, "warm"));
        assert_field(answer, "id", "4");
        assert_field(answer, "state", "running");
        cowherd_answer_free(answer);
        fake_engine->instances[5].state = ENGINE_STOPPED;
        assert_int_equal(warm_bury_dead(fixture->herd, base, &err), 0);
        assert_warm(fixture, base, 0, 0);
        assert_int_equal(lie_in(fixture, "clones"), 2);
        assert_settled(fixture);
        lock_remove(fixture->herd->locks, WARM_LOCK, &lock);
}

static void test_what_stands_has_a_limit_and_an_end(void **state)
{
        struct fixture *fixture = *state;
        struct cowherd_error err;
        int lock = -1;
        uint64_t base = begin_warm(fixture, &lock);
        size_t ended = 0;

        assert_int_equal(warm_set_memory_limit(fixture->herd, 70u << 20, &err), 0);
        make_warm(fixture, base);
        make_warm(fixture, base);
        assert_int_equal(warm_make(fixture->herd, base, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_non_null(strstr(err.text, "over their limit of 70"));
        fake_engine_fail("stand_by", "", COWHERD_SYSTEM);
        assert_int_equal(warm_set_memory_limit(fixture->herd, 0, &err), 0);
        assert_int_equal(warm_make(fixture->herd, base, &err), -1);
        assert_int_equal(lie_in(fixture, "clones"), 3);
        assert_settled(fixture);
        fake_engine_fail("", "", 0);
        assert_int_equal(warm_end_machines(fixture->herd, &ended, &err), 0);
        assert_int_equal(ended, 2);
        assert_int_equal(fake_engine->instances[4].state, ENGINE_STOPPED);
        assert_false(fake_engine->instances[5].runtime_left);
        make_warm(fixture, base);
        do_say(fixture, 0, "remove_base name=hot");
        assert_int_equal(lie_in(fixture, "clones"), 1);
        assert_settled(fixture);
        lock_remove(fixture->herd->locks, WARM_LOCK, &lock);
}

static void test_a_digest(void **state)
{
        char path[] = "/tmp/cowherd-digest-XXXXXX", first[FILE_DIGEST_BYTES], again[FILE_DIGEST_BYTES];
        struct cowherd_error err;
        static const char zeros[8192];
        int fd = mkstemp(path);

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(ftruncate(fd, 3 << 20), 0);
        assert_int_equal(pwrite(fd, "word", 4, 1 << 20), 4);
        assert_int_equal(file_digest(fd, path, first, &err), 0);
        assert_int_equal(pwrite(fd, zeros, sizeof zeros, 2 << 20), sizeof zeros); /* zeros are holes */
        assert_int_equal(file_digest(fd, path, again, &err), 0);
        assert_string_equal(first, again);
        assert_int_equal(pwrite(fd, "Word", 4, 1 << 20), 4);
        assert_int_equal(file_digest(fd, path, again, &err), 0);
        assert_string_not_equal(first, again);
        assert_int_equal(pwrite(fd, "word", 4, 1 << 20), 4);
        assert_int_equal(file_digest(fd, path, again, &err), 0);
        assert_string_equal(first, again);
        assert_int_equal(ftruncate(fd, (3 << 20) + 1), 0);
        assert_int_equal(file_digest(fd, path, again, &err), 0);
        assert_string_not_equal(first, again);
        (void)close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_live_base_is_made_and_told, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_can_not_be_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_clones_wake, setup, teardown),
                cmocka_unit_test_setup_teardown(test_another_machine_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_failed_clone_takes_none_along, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_changed_memory_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_base_goes_with_its_memory, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_killed_promote_leaves_all_or_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_failed_promote_leaves_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_that_stands_is_taken, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_that_stands_no_more_costs_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_stands_has_a_limit_and_an_end, setup, teardown),
                cmocka_unit_test(test_a_digest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
