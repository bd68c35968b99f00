/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules: one that is there and ours is opened; none of a strange name, none that is not installed, none that others
 * can change. Each is put into the build folder, where the library of a build folder looks, under a name of this
 * process.
 */
#include "config.h"
#include "sys/file.h"
#include "sys/module.h"
#include "sys_test.h"

struct module {
        char name[32];
        char path[512];
};

static struct module name_module(const char *kind)
{
        struct module module;

        (void)snprintf(module.name, sizeof module.name, "unit-%s-%d", kind, (int)getpid());
        (void)snprintf(module.path, sizeof module.path, "%s/cowherd-%s.so", COWHERD_BUILD_DIR, module.name);
        return module;
}

/* Whether we may put modules into the build folder, and only we: else there is nothing to try. */
static bool folder_is_ours(void)
{
        struct stat found;

        return access(COWHERD_BUILD_DIR, W_OK) == 0 && stat(COWHERD_BUILD_DIR, &found) == 0 &&
               (found.st_mode & 022) == 0 && (found.st_uid == 0 || found.st_uid == geteuid());
}

static void install(const struct module *module, mode_t mode)
{
        owned_fd int from = open(UNIT_MODULE, O_RDONLY | O_CLOEXEC);
        owned_fd int to = open(module->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        struct cowherd_error err;

        assert_done(file_copy(from, to, NULL, NULL, &err), &err);
        assert_int_equal(fchmod(to, mode), 0);
}

static void test_opened(void **state)
{
        struct module module = name_module("good");
        void *symbol = NULL, *again = NULL;
        struct cowherd_error err;

        (void)state;
        if (!folder_is_ours())
                return;
        install(&module, 0644);
        int first = module_symbol(module.name, "unit_module_answer", &symbol, &err);
        (void)unlink(module.path);
        assert_done(first, &err);
        assert_int_equal(((int (*)(void))symbol)(), 42);
        assert_done(module_symbol(module.name, "unit_module_answer", &again, &err),
                    &err); /* it is open: no file is needed */
        assert_ptr_equal(symbol, again);
        assert_failed(module_symbol(module.name, "nothing", &again, &err), &err, COWHERD_INTERNAL, "has no 'nothing'");
}

static void test_unsafe(void **state)
{
        struct module writable = name_module("writable"), link = name_module("link"), broken = name_module("broken");
        void *symbol = NULL;
        struct cowherd_error err, link_err, broken_err;

        (void)state;
        if (!folder_is_ours())
                return;
        install(&writable, 0666);
        int result = module_symbol(writable.name, "unit_module_answer", &symbol, &err);
        (void)unlink(writable.path);
        assert_failed(result, &err, COWHERD_DENIED, "can be changed by others");

        assert_int_equal(symlink(UNIT_MODULE, link.path), 0);
        result = module_symbol(link.name, "unit_module_answer", &symbol, &link_err);
        (void)unlink(link.path);
        assert_failed(result, &link_err, COWHERD_DENIED, "is not a regular file");

        install(&broken, 0644);
        (void)!truncate(broken.path, 100);
        result = module_symbol(broken.name, "unit_module_answer", &symbol, &broken_err);
        (void)unlink(broken.path);
        assert_failed(result, &broken_err, COWHERD_UNAVAILABLE, "cannot open the module");
        assert_null(symbol);
}

static void test_refused(void **state)
{
        void *symbol = NULL;
        struct cowherd_error err;

        (void)state;
        assert_failed(module_symbol("no-such-module", "x", &symbol, &err), &err, COWHERD_UNAVAILABLE,
                      "'cowherd-no-such-module.so'");
        assert_contains(err.hint, COWHERD_BUILD_DIR);
        assert_failed(module_symbol("../../tmp/x", "x", &symbol, &err), &err, COWHERD_INTERNAL, "not a module's name");
        assert_null(symbol);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_opened),
                cmocka_unit_test(test_unsafe),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
