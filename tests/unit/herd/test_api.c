/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public library as a program sees it: cowherd.h alone, a temporary herd, raw disks (which need no engine and no
 * root). What is asserted here is the contract: fields, codes, sentences that scripts search for.
 */
#include <cowherd.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
        char root[64];
        char image[96];
        struct cowherd_herd *herd;
};

static void write_image(const char *path, off_t bytes)
{
        int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, bytes), 0);
        assert_int_equal(pwrite(fd, "golden", 6, 4096), 6);
        (void)close(fd);
}

static int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof *fixture);
        struct cowherd_error err;

        (void)snprintf(fixture->root, sizeof fixture->root, "/tmp/cowherd-test-XXXXXX");
        assert_non_null(mkdtemp(fixture->root));
        (void)snprintf(fixture->image, sizeof fixture->image, "%s/golden.raw", fixture->root);
        write_image(fixture->image, 1 << 20);
        char root[96];
        (void)snprintf(root, sizeof root, "%s/herd", fixture->root);
        const struct cowherd_options options = {.root = root};
        assert_int_equal(cowherd_open(&options, &fixture->herd, &err), 0);
        *state = fixture;
        return 0;
}

/* Says one command; `code` is what it must end with. The answer is the caller's. */
__attribute__((format(printf, 3, 4))) static struct cowherd_answer *say(struct fixture *fixture, int code, const char *format, ...)
{
        char command[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(command, sizeof command, format, args);
        va_end(args);
        struct cowherd_answer *answer = cowherd_execute(fixture->herd, COWHERD_QEMU, command, NULL);
        assert_non_null(answer);
        if (cowherd_answer_code(answer) != code)
                fail_msg("'%s' answered %d, expected %d: %s", command, cowherd_answer_code(answer), code, cowherd_answer_text(answer));
        assert_int_equal(cowherd_answer_success(answer), code == 0);
        return answer;
}

static void do_say(struct fixture *fixture, int code, const char *command)
{
        cowherd_answer_free(say(fixture, code, "%s", command));
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;
        char command[128];

        cowherd_answer_free(cowherd_execute(fixture->herd, COWHERD_QEMU, "delete name=*", NULL));
        struct cowherd_answer *bases = cowherd_execute(fixture->herd, COWHERD_QEMU, "list_bases", NULL);
        for (size_t i = 0; i < cowherd_answer_items(bases); i++) {
                (void)snprintf(command, sizeof command, "remove_base name=%s", cowherd_answer_item_get(bases, i, "name"));
                do_say(fixture, 0, command);
        }
        cowherd_answer_free(bases);
        do_say(fixture, 0, "teardown");
        cowherd_close(fixture->herd);
        assert_int_equal(unlink(fixture->image), 0);
        assert_int_equal(rmdir(fixture->root), 0); /* nothing is left behind, the herd's folder included */
        free(fixture);
        return 0;
}

static void assert_field(const struct cowherd_answer *answer, const char *name, const char *value)
{
        const char *got = cowherd_answer_get(answer, name);

        if (got == NULL)
                fail_msg("field '%s' is missing in %s", name, cowherd_answer_json(answer));
        assert_string_equal(got, value);
}

static void assert_error_has(const struct cowherd_answer *answer, const char *part)
{
        if (strstr(cowherd_answer_text(answer), part) == NULL)
                fail_msg("'%s' does not say '%s'", cowherd_answer_text(answer), part);
}

static void register_golden(struct fixture *fixture)
{
        cowherd_answer_free(say(fixture, 0, "register_base name=golden image=%s", fixture->image));
}

static void test_register_and_clone(void **state)
{
        struct fixture *fixture = *state;
        char path[256];

        struct cowherd_answer *base = say(fixture, 0, "register_base name=golden image=%s", fixture->image);
        assert_field(base, "operation", "register_base");
        assert_field(base, "format", "raw");
        assert_field(base, "store", "qcow2");
        assert_field(base, "baseName", "golden");
        assert_field(base, "source", fixture->image);
        cowherd_answer_free(base);

        struct cowherd_answer *clone = say(fixture, 0, "clone_from_base base=golden name=vm-1");
        assert_field(clone, "name", "vm-1");
        assert_field(clone, "basedOn", "golden");
        assert_field(clone, "vm", "vm-1");
        assert_field(clone, "state", "stopped");
        assert_non_null(cowherd_answer_get(clone, "clone_ms"));
        assert_true(atoll(cowherd_answer_get(clone, "space_bytes")) <= 16384);
        (void)snprintf(path, sizeof path, "%s", cowherd_answer_get(clone, "disk"));
        assert_int_equal(access(path, F_OK), 0);
        cowherd_answer_free(clone);

        do_say(fixture, 0, "delete name=vm-1");
        assert_int_not_equal(access(path, F_OK), 0);
}

static void test_names_are_taken_once(void **state)
{
        struct fixture *fixture = *state;

        register_golden(fixture);
        do_say(fixture, 0, "clone base=golden name=a");
        struct cowherd_answer *again = say(fixture, COWHERD_EXISTS, "clone base=golden name=A");
        assert_error_has(again, "already exists");
        cowherd_answer_free(again);
        do_say(fixture, COWHERD_EXISTS, "clone base=golden name=golden"); /* bases and clones share the names */
}

static void test_count_is_all_or_none(void **state)
{
        struct fixture *fixture = *state;

        register_golden(fixture);
        do_say(fixture, 0, "clone base=golden name=w-2");
        do_say(fixture, COWHERD_EXISTS, "clone base=golden name=w count=3");
        struct cowherd_answer *list = say(fixture, 0, "list");
        assert_int_equal(cowherd_answer_items(list), 1);
        cowherd_answer_free(list);
        struct cowherd_answer *many = say(fixture, 0, "clone base=golden name=x count=20");
        assert_int_equal(cowherd_answer_items(many), 20);
        assert_string_equal(cowherd_answer_item_get(many, 19, "name"), "x-20");
        assert_field(many, "failed", "0");
        cowherd_answer_free(many);
        struct cowherd_answer *gone = say(fixture, 0, "delete name=x-*");
        assert_field(gone, "matched", "20");
        cowherd_answer_free(gone);
}

static void test_what_is_not_there(void **state)
{
        struct fixture *fixture = *state;

        struct cowherd_answer *early = say(fixture, COWHERD_NOT_FOUND, "clone base=golden name=a");
        assert_error_has(early, "Register it first with register_base");
        cowherd_answer_free(early);
        register_golden(fixture);
        struct cowherd_answer *near = say(fixture, COWHERD_NOT_FOUND, "clone base=goldne name=a");
        assert_error_has(near, "base 'goldne' not found (did you mean 'golden'?)");
        assert_error_has(near, "Register it first with register_base");
        cowherd_answer_free(near);
        do_say(fixture, COWHERD_NOT_FOUND, "delete name=maybe-absent");
        do_say(fixture, COWHERD_NOT_FOUND, "delete name=golden");
        do_say(fixture, COWHERD_NOT_FOUND, "delete name=zz-*");
        do_say(fixture, COWHERD_NOT_FOUND, "info name=nobody");
        do_say(fixture, COWHERD_NOT_FOUND, "remove_base name=nobody");
        do_say(fixture, COWHERD_NOT_FOUND, "register_base name=b image=/no/such/file");
}

static void test_a_removed_base_waits_for_its_last_clone(void **state)
{
        struct fixture *fixture = *state;
        char folder[96];
        struct stat facts;

        register_golden(fixture);
        (void)snprintf(folder, sizeof folder, "%s/herd/bases", fixture->root);
        do_say(fixture, 0, "clone base=golden name=a");
        do_say(fixture, 0, "remove_base name=golden");
        do_say(fixture, COWHERD_NOT_FOUND, "clone base=golden name=b");
        assert_int_equal(stat(folder, &facts), 0);
        assert_int_equal(facts.st_nlink, 3); /* its bytes are still there */
        register_golden(fixture);            /* its name is free at once */
        do_say(fixture, 0, "delete name=a");
        assert_int_equal(stat(folder, &facts), 0);
        assert_int_equal(facts.st_nlink, 3); /* only the second one's */
}

static void test_a_changed_base_is_refused(void **state)
{
        struct fixture *fixture = *state;
        char path[256];

        struct cowherd_answer *base = say(fixture, 0, "register_base name=golden image=%s store=copy", fixture->image);
        (void)snprintf(path, sizeof path, "%s", cowherd_answer_get(base, "path"));
        cowherd_answer_free(base);
        if (chmod(path, 0600) < 0) /* immutable, as root: then nobody can change it at all */
                return;
        int fd = open(path, O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "x", 1, 0), 1);
        (void)close(fd);
        struct cowherd_answer *refused = say(fixture, COWHERD_DATA, "clone base=golden name=a");
        assert_error_has(refused, "golden");
        cowherd_answer_free(refused);
}

static void test_dry_run_does_nothing(void **state)
{
        struct fixture *fixture = *state;
        char root[96];

        (void)snprintf(root, sizeof root, "%s/herd", fixture->root);
        struct cowherd_answer *plan = say(fixture, 0, "register_base name=golden image=%s dry_run=true", fixture->image);
        assert_true(cowherd_answer_items(plan) >= 4);
        cowherd_answer_free(plan);
        assert_int_not_equal(access(root, F_OK), 0);
        register_golden(fixture);
        plan = say(fixture, 0, "clone base=golden name=a count=3 dry_run=true");
        assert_non_null(strstr(cowherd_answer_item_get(plan, 1, "what"), "'a-1' to 'a-3'"));
        cowherd_answer_free(plan);
        struct cowherd_answer *list = say(fixture, 0, "list");
        assert_int_equal(cowherd_answer_items(list), 0);
        cowherd_answer_free(list);
}

static void test_rename_is_one_row(void **state)
{
        struct fixture *fixture = *state;

        register_golden(fixture);
        do_say(fixture, 0, "clone base=golden name=a");
        do_say(fixture, 0, "clone base=golden name=b");
        do_say(fixture, 0, "rename name=a as=c");
        do_say(fixture, COWHERD_EXISTS, "rename name=c as=b");
        do_say(fixture, COWHERD_USAGE, "rename name=c as=../x");
        do_say(fixture, COWHERD_NOT_FOUND, "info name=a");
        do_say(fixture, 0, "info name=c");
}

static void test_adopt_takes_the_file(void **state)
{
        struct fixture *fixture = *state;
        char other[128];

        (void)snprintf(other, sizeof other, "%s/other.raw", fixture->root);
        write_image(other, 1 << 20);
        cowherd_answer_free(say(fixture, 0, "register_base name=taken image=%s adopt=true", other));
        assert_int_not_equal(access(other, F_OK), 0);
        do_say(fixture, 0, "clone base=taken name=a");
        write_image(other, 1 << 20);
        cowherd_answer_free(say(fixture, COWHERD_EXISTS, "register_base name=taken image=%s adopt=true", other));
        assert_int_equal(access(other, F_OK), 0); /* refused: the file is still the caller's */
        assert_int_equal(unlink(other), 0);
}

static void test_what_gains_nothing_is_refused(void **state)
{
        struct fixture *fixture = *state;

        register_golden(fixture);
        do_say(fixture, 0, "clone base=golden name=a");
        struct cowherd_answer *refused = say(fixture, COWHERD_UNAVAILABLE, "setup base=golden warm=3");
        assert_error_has(refused, "keeps no memory");
        cowherd_answer_free(refused);
        refused = say(fixture, COWHERD_UNAVAILABLE, "promote name=a as=b warm=3");
        assert_error_has(refused, "live bases");
        cowherd_answer_free(refused);
}

static void test_cleanup_finds_bytes_without_a_row(void **state)
{
        struct fixture *fixture = *state;
        char orphan[128];

        register_golden(fixture);
        (void)snprintf(orphan, sizeof orphan, "%s/herd/clones/4711", fixture->root);
        char clones[128];
        (void)snprintf(clones, sizeof clones, "%s/herd/clones", fixture->root);
        (void)mkdir(clones, 0711);
        assert_int_equal(mkdir(orphan, 0700), 0);
        struct cowherd_answer *clean = say(fixture, 0, "cleanup");
        assert_field(clean, "orphans", "1");
        cowherd_answer_free(clean);
        assert_int_not_equal(access(orphan, F_OK), 0);
        clean = say(fixture, 0, "cleanup");
        assert_field(clean, "removed", "0");
        cowherd_answer_free(clean);
}

static void test_expired_clones_go(void **state)
{
        struct fixture *fixture = *state;

        register_golden(fixture);
        do_say(fixture, 0, "clone base=golden name=a ttl=1s");
        do_say(fixture, 0, "clone base=golden name=b ttl=1h");
        (void)usleep(1100 * 1000);
        struct cowherd_answer *clean = say(fixture, 0, "cleanup");
        assert_field(clean, "expired", "1");
        cowherd_answer_free(clean);
        do_say(fixture, COWHERD_NOT_FOUND, "info name=a");
        do_say(fixture, 0, "info name=b");
}

#define RACERS 64

/* Each racer is a process: exactly one wins, all others get 73. */
static void test_64_processes_one_name(void **state)
{
        struct fixture *fixture = *state;
        pid_t racers[RACERS];
        int won = 0, lost = 0;
        char root[96];

        register_golden(fixture);
        (void)snprintf(root, sizeof root, "%s/herd", fixture->root);
        for (int i = 0; i < RACERS; i++) {
                racers[i] = fork();
                if (racers[i] != 0)
                        continue;
                const struct cowherd_options options = {.root = root};
                struct cowherd_herd *herd;
                struct cowherd_error err;
                if (cowherd_open(&options, &herd, &err) < 0)
                        _exit(1);
                struct cowherd_answer *answer = cowherd_execute(herd, COWHERD_QEMU, "clone base=golden name=one", NULL);
                if (cowherd_answer_code(answer) != 0 && cowherd_answer_code(answer) != COWHERD_EXISTS)
                        (void)fprintf(stderr, "# %s\n", cowherd_answer_text(answer));
                _exit(cowherd_answer_code(answer));
        }
        for (int i = 0; i < RACERS; i++) {
                int status = 0;
                assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
                won += WIFEXITED(status) && WEXITSTATUS(status) == 0;
                lost += WIFEXITED(status) && WEXITSTATUS(status) == COWHERD_EXISTS;
        }
        assert_int_equal(won, 1);
        assert_int_equal(lost, RACERS - 1);
}

static void collect(void *context, const char *name, const char *about)
{
        char *text = context;

        (void)snprintf(text + strlen(text), 256 - strlen(text), "%s (%s);", name, about);
}

/* What completion asks: names alone, of a herd that need not be there. */
static void test_names_for_completion(void **state)
{
        struct fixture *fixture = *state;
        struct cowherd_error err;
        char text[256] = "";

        assert_int_equal(cowherd_names(fixture->herd, COWHERD_ANY, COWHERD_NAMES_BASES, NULL, NULL, collect, text, &err), 0);
        assert_string_equal(text, "");
        register_golden(fixture);
        do_say(fixture, 0, "clone base=golden name=web count=2");
        do_say(fixture, 0, "clone base=golden name=other");
        do_say(fixture, 0, "snapshot name=other snapshot=clean");
        assert_int_equal(cowherd_names(fixture->herd, COWHERD_ANY, COWHERD_NAMES_BASES | COWHERD_NAMES_CLONES, NULL, "", collect, text, &err), 0);
        assert_string_equal(text, "golden (base on qemu);other (clone of golden on qemu);web-1 (clone of golden on qemu);web-2 (clone of golden on qemu);");
        text[0] = '\0';
        assert_int_equal(cowherd_names(fixture->herd, COWHERD_QEMU, COWHERD_NAMES_CLONES, NULL, "web-", collect, text, &err), 0);
        assert_string_equal(text, "web-1 (clone of golden on qemu);web-2 (clone of golden on qemu);");
        text[0] = '\0';
        assert_int_equal(cowherd_names(fixture->herd, COWHERD_SELF, COWHERD_NAMES_SNAPSHOTS, "other", "cl", collect, text, &err), 0);
        assert_string_equal(text, "clean (snapshot on qemu);");
        text[0] = '\0';
        assert_int_equal(cowherd_names(fixture->herd, COWHERD_LXD, COWHERD_NAMES_BASES | COWHERD_NAMES_CLONES, NULL, "*", collect, text, &err), 0);
        assert_string_equal(text, "");
        do_say(fixture, 0, "delete_snapshot name=other snapshot=clean");
}

/* The tree tells on what a clone stands for people, whatever lies between. */
static void test_tree(void **state)
{
        struct fixture *fixture = *state;

        register_golden(fixture);
        do_say(fixture, 0, "clone base=golden name=a");
        do_say(fixture, 0, "clone base=a name=b");
        do_say(fixture, 0, "promote name=a as=tested");
        do_say(fixture, 0, "remove_base name=golden");
        struct cowherd_answer *answer = say(fixture, 0, "tree");
        static const char *const names[] = {"", "tested", "a", "b"}, *const depths[] = {"0", "1", "2", "3"};
        assert_int_equal(cowherd_answer_items(answer), 4);
        for (size_t i = 0; i < 4; i++) {
                assert_string_equal(cowherd_answer_item_get(answer, i, "name"), names[i]);
                assert_string_equal(cowherd_answer_item_get(answer, i, "depth"), depths[i]);
        }
        assert_string_equal(cowherd_answer_item_get(answer, 0, "state"), "removed");
        cowherd_answer_free(answer);
        do_say(fixture, 0, "delete name=b");
}

#define in_a_herd(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_a_herd(test_register_and_clone),
                in_a_herd(test_names_are_taken_once),
                in_a_herd(test_count_is_all_or_none),
                in_a_herd(test_what_is_not_there),
                in_a_herd(test_a_removed_base_waits_for_its_last_clone),
                in_a_herd(test_a_changed_base_is_refused),
                in_a_herd(test_dry_run_does_nothing),
                in_a_herd(test_rename_is_one_row),
                in_a_herd(test_adopt_takes_the_file),
                in_a_herd(test_what_gains_nothing_is_refused),
                in_a_herd(test_cleanup_finds_bytes_without_a_row),
                in_a_herd(test_expired_clones_go),
                in_a_herd(test_names_for_completion),
                in_a_herd(test_tree),
                in_a_herd(test_64_processes_one_name),
        };

        return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
