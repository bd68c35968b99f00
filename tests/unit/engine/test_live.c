/* SPDX-License-Identifier: Apache-2.0 */
/* Live bases without a machine: what is compared, memory files and their copies, a state's lease, and the memory's keeper. */
#include "engine/qemu/live.h"

#include "../image/scratch.h"
#include "engine/qemu/process.h"
#include "sys/clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define PAGE 4096
#define BYTES ((uint64_t)64 * PAGE)

static struct cowherd_error err;

#define GOOD                                                                                                           \
        "{\"qemu\":\"7.2.22\",\"accel\":\"tcg\",\"processor\":\"" QEMU_TCG_PROCESSOR "\",\"network\":\"user\",\"state\":\"devices\","          \
        "\"memory_bytes\":1048576,\"cpus\":2,\"generation_id\":true,\"seed\":true,\"agent\":true,\"devices\":[\"-cpu max\"," \
        "\"-device nic,id=a\"]}"

/* ---- What is compared ---- */

static void the_shape_is_what_a_guest_sees(void **state)
{
        owned_strv struct strv argv = {0};
        static const char *const words[] = {"qemu", "-name", "x", "-machine", "q35,memory-backend=ram,suppress-vmdesc=on", "-device",
                                            "nic,id=a,netdev=n,mac=1,rom=x,,y", "-drive", "file=z", "-device", "vmgenid,guid=g"};

        (void)state;
        for (size_t i = 0; i < array_length(words); i++)
                strv_add(&argv, words[i]);
        json_t *shape = live_shape(&argv);
        owned_str char *text = json_dumps(shape, JSON_COMPACT);
        json_decref(shape);
        assert_string_equal(text, "[\"-machine q35\",\"-device nic,id=a,rom=x,,y\",\"-device vmgenid\"]");
}

static int compare(const char *facts, const char *acceleration, const char *device)
{
        const struct engine_live live = {.base = "hot", .facts = facts};
        const struct engine_machine machine = {.live = &live};
        const struct engine_instance instance = {.machine = &machine};
        owned_live_facts struct live_facts read = {0};
        owned_strv struct strv argv = {0};

        if (live_facts_read(&live, &read, &err) < 0)
                return err.code;
        strv_add(&argv, "-cpu");
        strv_add(&argv, "max");
        strv_add(&argv, "-device");
        strv_add(&argv, device);
        return live_facts_compare(&read, &instance, acceleration, &argv, &err) < 0 ? (int)err.code : 0;
}

static void what_differs_is_refused(void **state)
{
        (void)state;
        assert_int_equal(compare(GOOD, "tcg", "nic,id=a,mac=2"), 0);
        assert_int_equal(compare(GOOD, "tcg", "nic,id=b"), COWHERD_UNAVAILABLE);
        assert_non_null(strstr(err.text, "'-device nic,id=a', and here is '-device nic,id=b'"));
        assert_non_null(strstr(err.hint, "rebuild"));
        assert_int_equal(compare(GOOD, "kvm", "nic,id=a"), COWHERD_UNAVAILABLE);
        assert_int_equal(compare("{}", "tcg", "nic,id=a"), COWHERD_DATA);
        assert_int_equal(compare("[", "tcg", "nic,id=a"), COWHERD_DATA);
        assert_int_equal(compare("{\"state\":\"other\",\"devices\":[]}", "tcg", "nic,id=a"), COWHERD_DATA);
}

static int check(const struct engine_machine *wanted, bool fresh, const char *facts)
{
        const struct engine_live live = {.base = "hot", .facts = facts};
        const struct engine_identity identity = {.fresh = fresh};
        struct engine_machine machine = *wanted;
        const struct engine_instance instance = {.machine = &machine, .identity = &identity};

        machine.live = &live;
        return live_check(&instance, &err) < 0 ? (int)err.code : 0;
}

static void what_is_asked_for_must_fit(void **state)
{
        const struct engine_mount mount = {.host = "/", .guest = "/x"};

        (void)state;
        assert_int_equal(check(&(struct engine_machine){0}, true, GOOD), 0);
        assert_int_equal(check(&(struct engine_machine){.memory_bytes = 1048576, .cpus = 2}, true, GOOD), 0);
        assert_int_equal(check(&(struct engine_machine){.memory_bytes = 2097152}, true, GOOD), COWHERD_UNAVAILABLE);
        assert_int_equal(check(&(struct engine_machine){.cpus = 1}, true, GOOD), COWHERD_UNAVAILABLE);
        assert_int_equal(check(&(struct engine_machine){.mounts = &mount, .mount_count = 1}, true, GOOD), COWHERD_UNAVAILABLE);
        assert_int_equal(check(&(struct engine_machine){.network = ENGINE_NETWORK_BRIDGE}, true, GOOD), COWHERD_UNAVAILABLE);
        assert_int_equal(check(&(struct engine_machine){.network = ENGINE_NETWORK_NONE}, true, GOOD), 0);
        const char *alone = "{\"state\":\"devices\",\"devices\":[],\"agent\":false}";
        assert_int_equal(check(&(struct engine_machine){0}, true, alone), COWHERD_UNAVAILABLE);
        assert_int_equal(check(&(struct engine_machine){0}, false, alone), 0);
}

/* ---- Memory ---- */

static void put_page(int fd, uint64_t page, char value)
{
        char bytes[PAGE];

        memset(bytes, value, sizeof bytes);
        assert_int_equal(pwrite(fd, bytes, sizeof bytes, (off_t)(page * PAGE)), PAGE);
}

static char get_page(int fd, uint64_t page)
{
        char bytes[PAGE];

        assert_int_equal(pread(fd, bytes, sizeof bytes, (off_t)(page * PAGE)), PAGE);
        for (size_t i = 1; i < PAGE; i++)
                assert_int_equal(bytes[i], bytes[0]);
        return bytes[0];
}

static void a_mirror_catches_up(void **state)
{
        struct live_mirror mirror owned_by(live_mirror_free) = {0};
        owned_fd int from = -1, to = -1;
        struct stat found;

        (void)state;
        assert_int_equal(live_memory_make(BYTES, &from, &err), 0);
        assert_int_equal(live_memory_make(BYTES, &to, &err), 0);
        put_page(from, 1, 'a');
        put_page(from, 2, 'b');
        put_page(from, 3, 0);
        put_page(from, 63, 'z');
        assert_int_equal(live_mirror_begin(&mirror, from, to, BYTES, &err), 0);
        put_page(from, 2, 'c'); /* changed */
        put_page(from, 1, 0);   /* zero by now */
        put_page(from, 3, 'd'); /* was zero */
        put_page(from, 40, 'e'); /* was a hole */
        assert_int_equal(live_mirror_catch_up(&mirror, &err), 0);
        static const struct {
                uint64_t page;
                char value;
        } expected[] = {{0, 0}, {1, 0}, {2, 'c'}, {3, 'd'}, {40, 'e'}, {41, 0}, {63, 'z'}};
        for (size_t i = 0; i < array_length(expected); i++)
                assert_int_equal(get_page(to, expected[i].page), expected[i].value);
        assert_int_equal(fstat(to, &found), 0);
        assert_true(found.st_blocks <= 5 * PAGE / 512); /* holes stay holes */
}

static void sealed_memory_cannot_be_changed(void **state)
{
        owned_fd int fd = -1;

        (void)state;
        assert_int_equal(live_memory_make(BYTES, &fd, &err), 0);
        assert_false(live_memory_is_sealed(fd, BYTES));
        put_page(fd, 0, 'a');
        assert_int_equal(live_memory_seal(fd, &err), 0);
        assert_true(live_memory_is_sealed(fd, BYTES));
        assert_false(live_memory_is_sealed(fd, BYTES + PAGE));
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
        assert_int_equal(ftruncate(fd, 0), -1);
        char *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        assert_true(at != MAP_FAILED);
        at[0] = 'b';
        assert_int_equal(get_page(fd, 0), 'a');
        assert_int_equal(munmap(at, BYTES), 0);
}

/* What a process has changed of a private mapping: of a child of ours, that stands still. */
static void own_pages_are_found(void **state)
{
        owned_fd int template = -1, to = -1;
        int told[2];
        char byte;
        uint64_t bytes = 0;

        (void)state;
        assert_int_equal(live_memory_make(BYTES, &template, &err), 0);
        assert_int_equal(live_memory_make(BYTES, &to, &err), 0);
        put_page(template, 1, 'a');
        assert_int_equal(pipe(told), 0);
        pid_t pid = fork();
        if (pid == 0) {
                char *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, template, 0);
                memset(at + (ptrdiff_t)5 * PAGE, 'p', (size_t)2 * PAGE);
                byte = at[PAGE]; /* only read */
                (void)!write(told[1], &byte, 1);
                (void)pause();
                _exit(0);
        }
        assert_int_equal(read(told[0], &byte, 1), 1);
        int done = live_memory_copy_private(pid, template, to, &bytes, &err);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void)close(told[0]);
        (void)close(told[1]);
        assert_int_equal(done, 0);
        assert_int_equal(bytes, 2 * PAGE);
        assert_int_equal(get_page(to, 5), 'p');
        assert_int_equal(get_page(to, 6), 'p');
        assert_int_equal(get_page(to, 1), 0);
}

/* ---- The state's lease ---- */

static void a_lease_is_handed_on(void **state)
{
        const struct scratch *scratch = *state;
        static const char kept[] = "x\0\1RT\0\0\0\5y\0\0RT\0\0\0\5", expected[] = "x\0\1RT\0\0\0\6y\0\0RT\0\0\0\5";
        char found[sizeof kept] = "";

        int file = openat(scratch->fd, "state", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(file, kept, sizeof kept), sizeof kept);
        (void)close(file);
        owned_fd int fd = live_state_open(scratch->fd, "state", "52:54:00:00:00:05", "52:54:00:00:00:06", &err);
        assert_int_equal(read(fd, found, sizeof found), sizeof found);
        assert_memory_equal(found, expected, sizeof expected);
        owned_fd int same = live_state_open(scratch->fd, "state", NULL, "52:54:00:00:00:06", &err);
        assert_int_equal(read(same, found, sizeof found), sizeof found);
        assert_memory_equal(found, kept, sizeof kept);
        assert_int_equal(live_state_open(scratch->fd, "nope", NULL, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
}

/* ---- The keeper ---- */

struct kept {
        char *runtime;
        struct engine_live live;
        struct engine_machine machine;
        struct engine_instance instance;
};

static void describe(struct kept *kept, const struct scratch *scratch)
{
        kept->runtime = x_asprintf("%s/run/base-7", scratch->path);
        kept->live = (struct engine_live){.base = "hot", .runtime = kept->runtime, .ram = "ram"};
        kept->machine = (struct engine_machine){.live = &kept->live};
        kept->instance = (struct engine_instance){.name = "w", .folder = scratch->fd, .machine = &kept->machine};
        owned_fd int file = openat(scratch->fd, "ram", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(file, (off_t)BYTES), 0);
        put_page(file, 3, 'k');
}

static ino_t take_once(const struct kept *kept)
{
        owned_fd int fd = -1;
        struct stat found;

        assert_int_equal(live_keeper_take(&kept->instance, BYTES, &fd, &err), 0);
        assert_true(live_memory_is_sealed(fd, BYTES));
        assert_int_equal(get_page(fd, 3), 'k');
        assert_int_equal(fstat(fd, &found), 0);
        return found.st_ino;
}

/* The process that is written down, opened. */
static int open_keeper(const struct kept *kept)
{
        int pidfd = -1, runtime = open(kept->runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(qemu_process_open(runtime, &pidfd, NULL, &err), 1);
        (void)close(runtime);
        return pidfd;
}

static void the_memory_is_kept_and_released(void **state)
{
        const struct scratch *scratch = *state;
        struct kept kept;

        describe(&kept, scratch);
        ino_t first = take_once(&kept);
        assert_int_equal(take_once(&kept), first);
        owned_fd int keeper = open_keeper(&kept);
        assert_int_equal(pidfd_send_signal(keeper, SIGKILL, NULL, 0), 0);
        assert_true(qemu_process_wait(keeper, 5000));
        assert_true(take_once(&kept) != first); /* read in again */
        owned_fd int second = open_keeper(&kept);
        assert_int_equal(qemu_release_live(kept.runtime, &err), 0);
        assert_true(qemu_process_wait(second, 5000));
        assert_int_equal(access(kept.runtime, F_OK), -1);
        assert_int_equal(qemu_release_live(kept.runtime, &err), 0);
        free(kept.runtime);
}

static void a_keeper_ends_with_its_base(void **state)
{
        const struct scratch *scratch = *state;
        struct kept kept;

        describe(&kept, scratch);
        (void)take_once(&kept);
        owned_fd int keeper = open_keeper(&kept);
        assert_false(qemu_process_wait(keeper, 50));
        assert_int_equal(unlinkat(scratch->fd, "ram", 0), 0);
        assert_true(qemu_process_wait(keeper, 10000));
        assert_int_equal(live_keeper_take(&kept.instance, BYTES, &(int){-1}, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
        assert_int_equal(qemu_release_live(kept.runtime, &err), 0);
        free(kept.runtime);
}

/* Of many that begin at once, one reads it in. */
static void many_at_once_make_one_keeper(void **state)
{
        const struct scratch *scratch = *state;
        struct kept kept;
        ino_t inodes[6];
        int told[2];

        describe(&kept, scratch);
        assert_int_equal(pipe(told), 0);
        for (size_t i = 0; i < array_length(inodes); i++)
                if (fork() == 0) {
                        ino_t inode = take_once(&kept);
                        _exit(write(told[1], &inode, sizeof inode) == sizeof inode ? 0 : 1);
                }
        for (size_t i = 0; i < array_length(inodes); i++) {
                assert_int_equal(read(told[0], &inodes[i], sizeof *inodes), sizeof *inodes);
                assert_true(inodes[i] == inodes[0]);
        }
        while (wait(NULL) > 0)
                continue;
        (void)close(told[0]);
        (void)close(told[1]);
        assert_int_equal(qemu_release_live(kept.runtime, &err), 0);
        free(kept.runtime);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_shape_is_what_a_guest_sees),
                cmocka_unit_test(what_differs_is_refused),
                cmocka_unit_test(what_is_asked_for_must_fit),
                cmocka_unit_test(a_mirror_catches_up),
                cmocka_unit_test(sealed_memory_cannot_be_changed),
                cmocka_unit_test(own_pages_are_found),
                cmocka_unit_test_setup_teardown(a_lease_is_handed_on, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(the_memory_is_kept_and_released, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(a_keeper_ends_with_its_base, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(many_at_once_make_one_keeper, scratch_make, scratch_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
