/* SPDX-License-Identifier: Apache-2.0 */
/* Probing with tools that are none: what they are asked, and what is made of their answers. */
#include "base/str.h"
#include "engine/drivers.h"
#include "engine/qemu/accel.h"
#include "sys/process.h"

#include "../image/scratch.h"

/* A tool that answers the same always, and counts how often it was asked. */
struct fake {
        const char *output;
        int status;
        bool hangs; /* its time is over */
        unsigned runs;
        struct strv argv; /* of its last run */
        uint64_t timeout_ms;
};

static int fake_run(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        struct fake *fake = context;

        fake->runs++;
        fake->timeout_ms = process->timeout_ms;
        strv_free(&fake->argv);
        for (size_t i = 0; i < process->argv.count; i++)
                strv_add(&fake->argv, process->argv.items[i]);
        if (fake->hangs) {
                *err = (struct cowherd_error){.code = COWHERD_BUSY, .text = "took too long"};
                return -1;
        }
        *ret = (struct process_result){
                .status = fake->status, .output = x_strdup(fake->output), .errors = x_strdup("")};
        return 0;
}

static struct engine_probe probe_with(const struct engine_driver *engine, struct fake *fake)
{
        struct process_runner runner = {fake_run, fake};
        struct engine_probe probe = {0};
        struct cowherd_error err;

        process_set_runner(&runner);
        assert_int_equal(engine->probe(&probe, &err), 0);
        process_set_runner(NULL);
        return probe;
}

/* What is only so where the tool is installed; process_exists is not faked. */
#define skip_without(program)                                                                                          \
        do {                                                                                                           \
                if (!process_exists(program)) {                                                                        \
                        print_message("# %s is not installed\n", program);                                             \
                        return;                                                                                        \
                }                                                                                                      \
        } while (0)

static void nspawn_tells_its_version(void **state)
{
        (void)state;
        skip_without("systemd-nspawn");
        struct fake debian = {.output = "systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT\n"},
                    plain = {.output = "systemd 255\n"};
        struct engine_probe probe = probe_with(&engine_nspawn, &debian);
        assert_string_equal(probe.version, "252.38");
        assert_string_equal(debian.argv.items[0], "systemd-nspawn");
        assert_string_equal(debian.argv.items[1], "--version");
        assert_int_equal(debian.argv.count, 2);
        assert_int_equal(probe.available, geteuid() == 0);
        if (geteuid() != 0)
                assert_string_equal(probe.reason, "systemd-nspawn needs root");
        assert_string_equal(probe.acceleration, "");
        assert_string_equal(probe_with(&engine_nspawn, &plain).version, "255");
        strv_free(&debian.argv);
        strv_free(&plain.argv);
}

static void nspawn_that_does_not_work_is_unavailable(void **state)
{
        (void)state;
        skip_without("systemd-nspawn");
        struct fake failing = {.output = "", .status = 127}, odd = {.output = "hello\n"};
        struct engine_probe probe = probe_with(&engine_nspawn, &failing);
        assert_false(probe.available);
        assert_non_null(strstr(probe.reason, "systemd-nspawn"));
        probe = probe_with(&engine_nspawn, &odd);
        assert_false(probe.available);
        assert_non_null(strstr(probe.reason, "does not tell a version"));
        strv_free(&failing.argv);
        strv_free(&odd.argv);
}

static void qemu_that_does_not_work_is_unavailable(void **state)
{
        (void)state;
        skip_without("qemu-system-x86_64");
        struct fake failing = {.output = "", .status = 127}, odd = {.output = "hello\n"};
        struct engine_probe probe = probe_with(&engine_qemu, &failing);
        assert_false(probe.available);
        assert_true(probe.reason[0] != '\0');
        assert_string_equal(probe.acceleration, "");
        probe = probe_with(&engine_qemu, &odd);
        assert_false(probe.available);
        assert_non_null(strstr(probe.reason, "does not tell a version"));
        strv_free(&failing.argv);
        strv_free(&odd.argv);
}

static const char *acceleration_with(struct fake *fake, const char *cache)
{
        struct process_runner runner = {fake_run, fake};

        process_set_runner(&runner);
        const char *found = qemu_acceleration("qemu-system-x86_64", cache);
        process_set_runner(NULL);
        return found;
}

static bool kvm_opens(void)
{
        owned_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

        return kvm >= 0;
}

static void kvm_is_believed_when_a_guest_ran(void **state)
{
        struct fake runs = {.output = "", .status = 33}, dies = {.output = "", .status = 1}, hangs = {.hangs = true};

        (void)state;
        assert_string_equal(acceleration_with(&runs, NULL), kvm_opens() ? "kvm" : "tcg");
        assert_string_equal(acceleration_with(&dies, NULL), "tcg");
        assert_string_equal(acceleration_with(&hangs, NULL), "tcg");
        assert_int_equal(hangs.runs, kvm_opens());
        strv_free(&runs.argv);
        strv_free(&dies.argv);
        strv_free(&hangs.argv);
}

static void the_guest_is_bounded(void **state)
{
        static const char *const expected[] = {
                "qemu-system-x86_64",
                "-machine",
                "pc,accel=kvm",
                "-m",
                "16",
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4",
                "-drive",
        };
        struct fake runs = {.output = "", .status = 33};

        (void)state;
        (void)acceleration_with(&runs, NULL);
        if (!kvm_opens()) {
                assert_int_equal(runs.runs, 0); /* no device, no question */
                return;
        }
        assert_int_equal(runs.timeout_ms, 2000);
        assert_int_equal(runs.argv.count, array_length(expected) + 1);
        for (size_t i = 0; i < array_length(expected); i++)
                assert_string_equal(runs.argv.items[i], expected[i]);
        assert_true(str_starts(runs.argv.items[array_length(expected)], "file=/dev/fd/"));
        assert_true(str_ends(runs.argv.items[array_length(expected)], ",format=raw,if=ide"));
        strv_free(&runs.argv);
}

static char *cached(const struct scratch *scratch)
{
        char text[256] = "";

        owned_fd int fd = openat(scratch->fd, "run/qemu-acceleration", O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_true(read(fd, text, sizeof text - 1) > 0);
        return x_strdup(text);
}

static void what_was_found_is_kept_for_this_boot(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *folder = scratch_path(scratch, "run");
        struct fake dies = {.output = "", .status = 1}, runs = {.output = "", .status = 33};

        assert_string_equal(acceleration_with(&dies, folder), "tcg");
        owned_str char *kept = cached(scratch);
        assert_true(str_ends(kept, " qemu-system-x86_64 tcg\n"));
        assert_string_equal(acceleration_with(&runs, folder), "tcg"); /* known, not asked */
        assert_int_equal(runs.runs, 0);

        owned_str char *other_boot = x_strdup(kept);
        other_boot[0] = other_boot[0] == '0' ? '1' : '0';
        scratch_write(scratch, "run/qemu-acceleration", other_boot);
        assert_string_equal(acceleration_with(&runs, folder), kvm_opens() ? "kvm" : "tcg");
        assert_int_equal(runs.runs, kvm_opens());

        owned_str char *rubbish = x_asprintf("%.*s xyz\n", (int)(strlen(kept) - 5), kept);
        scratch_write(scratch, "run/qemu-acceleration", rubbish);
        assert_string_equal(acceleration_with(&dies, folder), "tcg");
        strv_free(&dies.argv);
        strv_free(&runs.argv);
}

static void the_runtime_folder_is_the_users(void **state)
{
        (void)state;
        assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/4711", 1), 0);
        owned_str char *own = qemu_runtime_folder();
        assert_string_equal(own, geteuid() == 0 ? "/run/cowherd" : "/run/user/4711/cowherd");
        assert_int_equal(setenv("XDG_RUNTIME_DIR", "relative", 1), 0);
        owned_str char *none = qemu_runtime_folder();
        if (geteuid() != 0)
                assert_null(none);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nspawn_tells_its_version),
                cmocka_unit_test(nspawn_that_does_not_work_is_unavailable),
                cmocka_unit_test(qemu_that_does_not_work_is_unavailable),
                cmocka_unit_test(kvm_is_believed_when_a_guest_ran),
                cmocka_unit_test(the_guest_is_bounded),
                cmocka_unit_test_setup_teardown(what_was_found_is_kept_for_this_boot, scratch_make, scratch_remove),
                cmocka_unit_test(the_runtime_folder_is_the_users),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
