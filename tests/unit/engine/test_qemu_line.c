/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exact command line of a machine, one word a line, beside this file in lines/. With COWHERD_WRITE_LINES=1 they are
 * written anew, for a person to look at the difference.
 */
#include "engine/qemu/line.h"

#include "../image/scratch.h"

static const struct engine_layer layers[] = {
        {"clones/5/disk.qcow2", "qcow2"}, {"bases/3/disk.qcow2", "qcow2"}, {"bases/1/disk.raw", "raw"}};
static const struct engine_identity fresh = {
        .fresh = true,
        .hostname = "web-1",
        .mac = "52:54:00:aa:bb:cc",
        .uuid = "11111111-2222-4333-8444-555555555555",
        .generation_id = "66666666-7777-4888-9999-aaaaaaaaaaaa",
};
static const struct engine_identity kept = {0};

static struct qemu_facts facts(void)
{
        return (struct qemu_facts){.program = "qemu-system-x86_64",
                                   .acceleration = "tcg",
                                   .memory_bytes = UINT64_C(1) << 30,
                                   .cpus = 2,
                                   .seeded = true,
                                   .sandboxed = true};
}

static char *words_of(const struct qemu_line *line)
{
        struct str text = {0};

        for (size_t i = 0; i < line->argv.count; i++)
                str_addf(&text, "%s\n", line->argv.items[i]);
        return str_take(&text);
}

static void expect_line(const char *name, const struct engine_machine *machine, const struct engine_identity *identity,
                        const struct qemu_facts *found)
{
        const struct engine_instance instance = {.id = 5, .name = "web-1", .machine = machine, .identity = identity};
        owned_line struct qemu_line line = {0};
        owned_str char *path = x_asprintf("%s/%s", LINES, name);
        char expected[16384] = "";

        qemu_line_make(&instance, found, &line);
        owned_str char *words = words_of(&line);
        if (getenv("COWHERD_WRITE_LINES") != NULL) {
                FILE *file = fopen(path, "we");
                assert_non_null(file);
                assert_true(fputs(words, file) >= 0);
                assert_int_equal(fclose(file), 0);
        }
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_true(read(fd, expected, sizeof expected - 1) > 0);
        (void)close(fd);
        assert_string_equal(words, expected);
}

static void linux_machine(void **state)
{
        struct engine_machine machine = {.layers = layers, .layer_count = 3};
        struct qemu_facts found = facts();

        (void)state;
        expect_line("linux", &machine, &fresh, &found);
        found.acceleration = "kvm";
        found.sandboxed = false;
        found.seeded = false;
        expect_line("linux-kvm-kept", &machine, &kept, &found);
}

static void uefi_machine(void **state)
{
        struct engine_machine machine = {.layers = layers, .layer_count = 1, .firmware = ENGINE_FIRMWARE_UEFI};
        struct qemu_facts found = facts();

        (void)state;
        expect_line("uefi", &machine, &fresh, &found);
}

static void other_systems(void **state)
{
        struct engine_machine machine = {.layers = layers, .layer_count = 2, .os = ENGINE_OS_WINDOWS};
        struct qemu_facts found = facts();

        (void)state;
        expect_line("windows", &machine, &fresh, &found);
        found.acceleration = "kvm";
        expect_line("windows-kvm", &machine, &fresh, &found);
        machine.os = ENGINE_OS_OTHER;
        found.acceleration = "tcg";
        expect_line("other", &machine, &fresh, &found);
}

static void networks_and_mounts(void **state)
{
        static const struct engine_port ports[] = {{.host = 8080, .guest = 80},
                                                   {.address = "0.0.0.0", .host = 5353, .guest = 53, .udp = true}};
        static const struct engine_mount mounts[] = {{"/srv/a,b", "/mnt/a", false}, {"/srv/c", "/mnt/c", true}};
        struct engine_machine machine = {.layers = layers,
                                         .layer_count = 1,
                                         .ports = ports,
                                         .port_count = 2,
                                         .mounts = mounts,
                                         .mount_count = 2};
        struct qemu_facts found = facts();

        (void)state;
        expect_line("ports-mounts", &machine, &fresh, &found);
        machine = (struct engine_machine){
                .layers = layers, .layer_count = 1, .network = ENGINE_NETWORK_BRIDGE, .bridge = "br0"};
        expect_line("bridge", &machine, &fresh, &found);
        machine.network = ENGINE_NETWORK_NONE;
        expect_line("no-network", &machine, &fresh, &found);
}

/* The devices are the base's, not what is asked for: a card without a network, no seed, a generation id although its identity is kept. */
static void machines_that_wake(void **state)
{
        const struct qemu_wake all = {.generation = true, .card = true, .memory = -1}, none = {.memory = -1};
        struct engine_machine machine = {.layers = layers, .layer_count = 3, .network = ENGINE_NETWORK_NONE};
        struct qemu_facts found = facts();

        (void)state;
        found.wake = &all;
        expect_line("wakes", &machine, &fresh, &found);
        expect_line("wakes-kept", &machine, &kept, &found);
        found.wake = &none;
        found.seeded = false;
        machine.network = ENGINE_NETWORK_DEFAULT;
        expect_line("wakes-bare", &machine, &fresh, &found);
}

/* Commas would end a value, and what follows be an option of the machine's. */
static void commas_are_doubled(void **state)
{
        const struct engine_identity identity = {.fresh = true,
                                                 .hostname = "a,restrict=on",
                                                 .mac = "52,x",
                                                 .uuid = "u,serial=x",
                                                 .generation_id = "g,x"};
        const struct engine_machine machine = {.layers = layers, .layer_count = 1};
        const struct engine_instance instance = {
                .id = 5, .name = "x,debug-threads=on", .machine = &machine, .identity = &identity};
        owned_line struct qemu_line line = {0};
        struct qemu_facts found = facts();

        (void)state;
        qemu_line_make(&instance, &found, &line);
        assert_true(strv_has(&line.argv, "guest=x,,debug-threads=on,debug-threads=off"));
        assert_true(strv_has(&line.argv, "user,id=network,hostname=a,,restrict=on"));
        assert_true(strv_has(&line.argv, "virtio-net-pci,id=nic,netdev=network,mac=52,,x,romfile="));
        assert_true(strv_has(&line.argv, "type=1,uuid=u,,serial=x,serial=u,,serial=x"));
        assert_true(strv_has(&line.argv, "vmgenid,guid=g,,x"));
}

/* Each slot is used once, under the number it has. */
static void slots_are_numbered(void **state)
{
        struct engine_machine machine = {.layers = layers, .layer_count = 3, .firmware = ENGINE_FIRMWARE_UEFI};
        const struct engine_instance instance = {.id = 5, .name = "x", .machine = &machine, .identity = &fresh};
        owned_line struct qemu_line line = {0};
        struct qemu_facts found = facts();
        size_t of_layers = 0;

        (void)state;
        qemu_line_make(&instance, &found, &line);
        owned_str char *words = words_of(&line);
        for (size_t i = 0; i < line.slot_count; i++) {
                owned_str char *as_fd = x_asprintf("fd=%zu,", QEMU_FIRST_DESCRIPTOR + i),
                               *as_path = x_asprintf("fd/%zu,", QEMU_FIRST_DESCRIPTOR + i);
                assert_true(strstr(words, as_fd) != NULL || strstr(words, as_path) != NULL);
                of_layers += line.slots[i].kind == QEMU_SLOT_LAYER;
        }
        assert_int_equal(of_layers, 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(linux_machine),      cmocka_unit_test(uefi_machine),
                cmocka_unit_test(other_systems),      cmocka_unit_test(networks_and_mounts),
                cmocka_unit_test(machines_that_wake),
                cmocka_unit_test(commas_are_doubled), cmocka_unit_test(slots_are_numbered),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
