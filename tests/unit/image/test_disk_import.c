/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing an image in: what is cloneable is copied, the rest goes through qemu-img, whose exact command line is
 * checked. */
#include "disk_images.h"

#include "base/str.h"
#include "sys/process.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

/* A qemu-img that is none: keeps its command line, and writes what it is told to. */
struct fake {
        struct strv argv;
        unsigned keep_count;
        int (*output)(void); /* the image it "converts" to; NULL: it writes nothing */
        int status;
};

static int fake_run(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        struct fake *fake = context;
        char buffer[4096];

        (void)err;
        for (size_t i = 0; i < process->argv.count; i++)
                strv_add(&fake->argv, process->argv.items[i]);
        fake->keep_count = process->keep_count;
        if (fake->output != NULL) {
                owned_fd int from = fake->output(), to = dup(process->keep[1]);
                off_t at = 0;
                for (ssize_t got; (got = pread(from, buffer, sizeof buffer, at)) > 0; at += got)
                        assert_int_equal(pwrite(to, buffer, (size_t)got, at), got);
        }
        *ret = (struct process_result){
                .status = fake->status, .output = x_strdup(""), .errors = x_strdup("qemu-img: bad luck\n")};
        return 0;
}

static int version_3(void)
{
        return image_qcow2(3);
}

/* A valid image of another size. */
static int smaller(void)
{
        int fd = image_qcow2(3);

        image_put_be(fd, offsetof(struct qcow2_header, virtual_bytes), 8, 512);
        return fd;
}

static int with_backing_file(void)
{
        int fd = image_qcow2(3);

        image_put_be(fd, offsetof(struct qcow2_header, backing_name_offset), 8, 512);
        return fd;
}

static struct disk_info inspect(int fd, const char *asked)
{
        struct cowherd_error err;
        struct disk_info info = {0};

        assert_int_equal(disk_inspect(fd, "x.img", asked, &info, &err), 0);
        return info;
}

static unsigned count_files(const struct scratch *scratch)
{
        unsigned count = 0;
        DIR *folder = opendir(scratch->path);

        assert_non_null(folder);
        for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
                count += entry->d_name[0] != '.';
        (void)closedir(folder);
        return count;
}

static void copies_what_is_cloneable(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;
        bool shared = true;

        owned_fd int from = image_qcow2(3);
        struct disk_info info = inspect(from, NULL);
        assert_int_equal(disk_import(from, &info, scratch->fd, "disk.qcow2", 0, &shared, NULL, &err), 0);
        assert_false(shared); /* memory and disk share nothing */
        assert_int_equal(count_files(scratch), 1);

        owned_fd int copy = openat(scratch->fd, "disk.qcow2", O_RDONLY | O_CLOEXEC);
        struct disk_info now = inspect(copy, "qcow2");
        assert_int_equal(now.virtual_bytes, info.virtual_bytes);
        assert_int_equal(now.length_bytes, info.length_bytes);
}

static void keeps_raw_raw(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;
        bool shared;

        owned_fd int from = with_backing_file(); /* a guest wrote that into its raw disk */
        struct disk_info info = inspect(from, "raw");
        assert_int_equal(disk_import(from, &info, scratch->fd, "disk.raw", 0, &shared, NULL, &err), 0);
        owned_fd int copy = openat(scratch->fd, "disk.raw", O_RDONLY | O_CLOEXEC);
        assert_int_equal(inspect(copy, "raw").length_bytes, info.length_bytes);
}

static void converts_by_descriptor(void **state)
{
        const struct scratch *scratch = *state;
        struct fake fake = {.output = version_3};
        struct process_runner runner = {fake_run, &fake};
        struct cowherd_error err;
        bool shared = true;

        owned_fd int from = image_vmdk();
        struct disk_info info = inspect(from, NULL);
        process_set_runner(&runner);
        assert_int_equal(disk_import(from, &info, scratch->fd, "disk.qcow2", 0, &shared, NULL, &err), 0);
        process_set_runner(NULL);
        assert_false(shared);
        assert_int_equal(count_files(scratch), 1);

        owned_str char *source = x_asprintf("json:{\"driver\":\"vmdk\",\"backing\":null,\"file\":{\"driver\":\"file\","
                                            "\"filename\":\"/dev/fd/%d\"}}",
                                            from);
        assert_int_equal(fake.argv.count, 6);
        assert_string_equal(fake.argv.items[0], "qemu-img");
        assert_string_equal(fake.argv.items[1], "convert");
        assert_string_equal(fake.argv.items[2], "-O");
        assert_string_equal(fake.argv.items[3], "qcow2");
        assert_string_equal(fake.argv.items[4], source);
        assert_true(str_starts(fake.argv.items[5], "/dev/fd/"));
        assert_int_equal(fake.keep_count, 2);
        strv_free(&fake.argv);
}

/* One failing conversion: nothing is left, and the reason is told. */
static void assert_conversion_fails(const struct scratch *scratch, struct fake fake, enum cowherd_code code,
                                    const char *expected)
{
        struct process_runner runner = {fake_run, &fake};
        struct cowherd_error err = {0};
        bool shared = true;

        owned_fd int from = image_vdi();
        struct disk_info info = inspect(from, NULL);
        process_set_runner(&runner);
        assert_int_equal(disk_import(from, &info, scratch->fd, "disk.qcow2", 0, &shared, NULL, &err), -1);
        process_set_runner(NULL);
        strv_free(&fake.argv);
        if (err.code != (int)code || strstr(err.text, expected) == NULL)
                test_failed("expected %d with '%s', got %d '%s'", code, expected, err.code, err.text);
        assert_true(shared);
        assert_int_equal(count_files(scratch), 0);
}

static void checks_what_the_tool_made(void **state)
{
        const struct scratch *scratch = *state;

        assert_conversion_fails(scratch, (struct fake){.status = 1}, COWHERD_SYSTEM, "bad luck");
        assert_conversion_fails(scratch, (struct fake){.status = 0}, COWHERD_DATA,
                                "is empty"); /* success that is none */
        assert_conversion_fails(scratch, (struct fake){.output = smaller}, COWHERD_DATA, "became one of 512");
        assert_conversion_fails(scratch, (struct fake){.output = with_backing_file}, COWHERD_DATA,
                                "has a backing file");
        assert_conversion_fails(scratch, (struct fake){.output = image_vdi}, COWHERD_DATA, "was said to be 'qcow2'");
}

static void notices_a_change_while_copying(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;
        bool shared;

        owned_fd int from = image_qcow2(3);
        struct disk_info info = inspect(from, NULL);
        image_put_be(from, offsetof(struct qcow2_header, backing_name_offset), 8, 512);
        assert_int_equal(disk_import(from, &info, scratch->fd, "disk.qcow2", 0, &shared, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_non_null(strstr(err.text, "has a backing file"));
        assert_int_equal(count_files(scratch), 0);
}

static void refuses_to_write_over(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;
        bool shared;

        owned_fd int from = image_qcow2(3);
        struct disk_info info = inspect(from, NULL);
        scratch_write(scratch, "disk.qcow2.importing", "somebody's");
        assert_int_equal(disk_import(from, &info, scratch->fd, "disk.qcow2", 0, &shared, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_EXISTS);
        assert_int_equal(count_files(scratch), 1);
}

/* As QEMU does for a disk that it writes to, in another process. */
static void waits_for_no_running_machine(void **state)
{
        const struct scratch *scratch = *state;
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 2};
        struct cowherd_error err;
        bool shared;
        int ready[2];
        char byte;

        scratch_write(scratch, "source", "");
        owned_fd int from = openat(scratch->fd, "source", O_RDWR | O_CLOEXEC);
        assert_int_equal(ftruncate(from, 4096), 0);
        struct disk_info info = inspect(from, "raw");
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid_t child = fork();
        if (child == 0) {
                int fd = openat(scratch->fd, "source", O_RDWR | O_CLOEXEC);
                (void)!(fcntl(fd, F_OFD_SETLK, &lock) == 0 && write(ready[1], "", 1) == 1);
                (void)pause();
                _exit(0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        int imported = disk_import(from, &info, scratch->fd, "disk.raw", 0, &shared, NULL, &err);
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
        (void)close(ready[0]);
        (void)close(ready[1]);
        assert_int_equal(imported, -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_int_equal(disk_import(from, &info, scratch->fd, "disk.raw", 0, &shared, NULL, &err), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(copies_what_is_cloneable, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(keeps_raw_raw, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(converts_by_descriptor, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(checks_what_the_tool_made, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(notices_a_change_while_copying, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(refuses_to_write_over, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(waits_for_no_running_machine, scratch_make, scratch_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
