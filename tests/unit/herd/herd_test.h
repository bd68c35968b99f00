/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary herd over the fake engine, and ways to speak to it. Included once by a test. */
#pragma once

#include "fake_engine.h"

#include "base/str.h"
#include "herd/herd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka's; the rooms' own is meant here */
#define fail_test(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

struct fixture {
        char folder[64];
        char root[96];
        struct cowherd_herd *herd;
};

/* Says one command; `code` is what it must end with. The answer is the caller's. */
__attribute__((format(printf, 3, 4))) static struct cowherd_answer *say(struct fixture *fixture, int code, const char *format, ...)
{
        char command[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(command, sizeof command, format, args);
        va_end(args);
        struct cowherd_answer *answer = cowherd_execute(fixture->herd, COWHERD_QEMU, command, NULL);
        if (cowherd_answer_code(answer) != code)
                fail_test("'%s' answered %d, expected %d: %s", command, cowherd_answer_code(answer), code, cowherd_answer_text(answer));
        return answer;
}

#define do_say(...) cowherd_answer_free(say(__VA_ARGS__))

static inline void assert_field(const struct cowherd_answer *answer, const char *name, const char *value)
{
        const char *got = cowherd_answer_get(answer, name);
        owned_str char *json = cowherd_answer_json(answer);

        if (got == NULL || strcmp(got, value) != 0)
                fail_test("field '%s' is not '%s' in %s", name, value, json);
}

static inline void assert_says(const struct cowherd_answer *answer, const char *part)
{
        owned_str char *json = cowherd_answer_json(answer);

        if (strstr(json, part) == NULL)
                fail_test("no '%s' in %s", part, json);
}

static inline void assert_item(const struct cowherd_answer *answer, size_t item, const char *name, const char *value)
{
        const char *got = cowherd_answer_item_get(answer, item, name);
        owned_str char *json = cowherd_answer_json(answer);

        if (got == NULL || strcmp(got, value) != 0)
                fail_test("item %zu's '%s' is not '%s' in %s", item, name, value, json);
}

/* The fake of a clone's name. */
static inline struct fake_instance *fake_of(struct fixture *fixture, const char *name)
{
        struct cowherd_answer *info = say(fixture, 0, "info name=%s", name);
        struct fake_instance *fake = &fake_engine->instances[atoll(cowherd_answer_get(info, "id")) % FAKE_IDS];

        cowherd_answer_free(info);
        return fake;
}

static inline void assert_state(struct fixture *fixture, const char *name, const char *state)
{
        struct cowherd_answer *info = say(fixture, 0, "info name=%s", name);

        assert_field(info, "state", state);
        cowherd_answer_free(info);
}

/* Nothing is being done any more. */
static inline void assert_settled(struct fixture *fixture)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct cowherd_error err;

        assert_int_equal(catalogue_unfinished(fixture->herd->catalogue, &rows, &err), 0);
        assert_int_equal(rows.count, 0);
}

static inline int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof *fixture);
        struct cowherd_error err;
        char image[96];

        if (fake_engine == NULL)
                fake_engine_begin();
        fake_engine_reset();
        (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/cowherd-test-XXXXXX");
        assert_non_null(mkdtemp(fixture->folder));
        assert_int_equal(setenv("XDG_RUNTIME_DIR", fixture->folder, 1), 0);
        (void)snprintf(image, sizeof image, "%s/golden.raw", fixture->folder);
        int fd = open(image, O_CREAT | O_WRONLY | O_EXCL, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 1 << 20), 0);
        (void)close(fd);
        (void)snprintf(fixture->root, sizeof fixture->root, "%s/herd", fixture->folder);
        const struct cowherd_options options = {.root = fixture->root};
        assert_int_equal(cowherd_open(&options, &fixture->herd, &err), 0);
        do_say(fixture, 0, "register_base name=golden image=%s os=linux memory=128M", image);
        *state = fixture;
        return 0;
}

static inline int teardown(void **state)
{
        struct fixture *fixture = *state;
        char command[128];

        fake_engine_fail("", "", 0);
        fake_engine->kill[0] = '\0';
        fake_engine->absent = false;
        cowherd_answer_free(cowherd_execute(fixture->herd, COWHERD_QEMU, "delete name=* force=true", NULL));
        struct cowherd_answer *bases = say(fixture, 0, "list_bases");
        for (size_t i = 0; i < cowherd_answer_items(bases); i++)
                do_say(fixture, 0, "remove_base name=%s", cowherd_answer_item_get(bases, i, "name"));
        cowherd_answer_free(bases);
        do_say(fixture, 0, "teardown");
        cowherd_close(fixture->herd);
        (void)snprintf(command, sizeof command, "%s/golden.raw", fixture->folder);
        assert_int_equal(unlink(command), 0);
        (void)snprintf(command, sizeof command, "%s/cowherd", fixture->folder);
        (void)rmdir(command);
        assert_int_equal(rmdir(fixture->folder), 0); /* nothing is left behind */
        free(fixture);
        return 0;
}

/* Has a process of its own say a command, in a herd of its own, and die in the engine's callback. */
static inline void say_and_die(struct fixture *fixture, const char *callback, const char *command)
{
        int status = 0;

        (void)snprintf(fake_engine->kill, sizeof fake_engine->kill, "%s", callback);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                const struct cowherd_options options = {.root = fixture->root};
                struct cowherd_herd *herd = NULL;
                struct cowherd_error err;
                if (cowherd_open(&options, &herd, &err) == 0)
                        cowherd_answer_free(cowherd_execute(herd, COWHERD_QEMU, command, NULL));
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 9);
        fake_engine->kill[0] = '\0';
}
