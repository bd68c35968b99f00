/* SPDX-License-Identifier: Apache-2.0 */
/* The words that describe a machine: every good form, every bad one, what is inherited, and what reads them again. */
#include "herd/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka's; the rooms' own is meant here */
#define fail_test(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

/* machine_extra of one word (or two, apart by a blank), said to a target. */
static int extra_of(enum cowherd_target target, const char *said, const char *inherited, char **ret, struct cowherd_error *err)
{
        struct request request owned_by(request_free) = {0};
        owned_str char *command = x_asprintf("clone_from_base base=b name=n %s", said);

        if (request_parse(target, command, NULL, &request, err) < 0)
                return -1;
        return machine_extra(&request, target, inherited, ret, err);
}

/* The machine that is read again from what was kept of a word. */
static void machine_of(const char *said, struct machine *machine)
{
        owned_str char *extra = NULL;
        struct cowherd_error err;

        if (extra_of(COWHERD_QEMU, said, NULL, &extra, &err) < 0)
                fail_test("'%s' was refused: %s", said, err.text);
        *machine = (struct machine){.extra = extra == NULL ? NULL : json_loads(extra, 0, NULL)};
        assert_int_equal(machine_parse(machine, &err), 0);
}

static void test_networks(void **state)
{
        static const struct {
                const char *said;
                enum engine_network network;
                const char *bridge;
        } cases[] = {
                {"", ENGINE_NETWORK_DEFAULT, NULL},           {"network=none", ENGINE_NETWORK_NONE, NULL},
                {"network=user", ENGINE_NETWORK_USER, NULL},  {"network=host", ENGINE_NETWORK_HOST, NULL},
                {"network=bridge:br0", ENGINE_NETWORK_BRIDGE, "br0"}, {"network=bridge:a-b_c.123456789", ENGINE_NETWORK_BRIDGE, "a-b_c.123456789"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                struct machine machine owned_by(machine_free) = {0};
                machine_of(cases[i].said, &machine);
                assert_int_equal(machine.machine.network, cases[i].network);
                if (cases[i].bridge != NULL)
                        assert_string_equal(machine.machine.bridge, cases[i].bridge);
        }
}

static void test_ports(void **state)
{
        static const struct {
                const char *said;
                size_t count;
                struct engine_port last;
        } cases[] = {
                {"ports=8080:80", 1, {NULL, 8080, 80, false}},
                {"ports=1:65535", 1, {NULL, 1, 65535, false}},
                {"ports=8080:80/tcp", 1, {NULL, 8080, 80, false}},
                {"ports=53:53/udp", 1, {NULL, 53, 53, true}},
                {"ports=0.0.0.0:2222:22", 1, {"0.0.0.0", 2222, 22, false}},
                {"ports=[::1]:2222:22/udp", 1, {"::1", 2222, 22, true}},
                {"ports=8080:80,8081:80", 2, {NULL, 8081, 80, false}},
                {"ports=53:53,53:53/udp", 2, {NULL, 53, 53, true}},
                {"ports=127.0.0.2:80:80,127.0.0.3:80:80", 2, {"127.0.0.3", 80, 80, false}},
                {"network=bridge:br0 ports=8080:80", 1, {NULL, 8080, 80, false}},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                struct machine machine owned_by(machine_free) = {0};
                machine_of(cases[i].said, &machine);
                assert_int_equal(machine.machine.port_count, cases[i].count);
                const struct engine_port *port = &machine.machine.ports[cases[i].count - 1], *want = &cases[i].last;
                assert_int_equal(port->host, want->host);
                assert_int_equal(port->guest, want->guest);
                assert_int_equal(port->udp, want->udp);
                assert_true(str_equal(port->address, want->address));
        }
}

static void test_mounts(void **state)
{
        struct machine machine owned_by(machine_free) = {0};

        (void)state;
        machine_of("mount='/srv:/mnt,/a b:/c d:ro,/x:/y:rw' os=windows firmware=uefi accel=tcg", &machine);
        assert_int_equal(machine.machine.mount_count, 3);
        assert_string_equal(machine.machine.mounts[0].host, "/srv");
        assert_string_equal(machine.machine.mounts[0].guest, "/mnt");
        assert_false(machine.machine.mounts[0].read_only);
        assert_string_equal(machine.machine.mounts[1].host, "/a b");
        assert_string_equal(machine.machine.mounts[1].guest, "/c d");
        assert_true(machine.machine.mounts[1].read_only);
        assert_string_equal(machine.machine.mounts[2].guest, "/y");
        assert_int_equal(machine.machine.os, ENGINE_OS_WINDOWS);
        assert_int_equal(machine.machine.firmware, ENGINE_FIRMWARE_UEFI);
        assert_string_equal(machine.machine.acceleration, "tcg");
}

static void test_bad_words(void **state)
{
        static const struct {
                const char *said;
                int code;
                const char *names; /* part of the sentence */
        } cases[] = {
                {"network=", 64, "network="},
                {"network=wifi", 64, "wifi"},
                {"network=bridge:", 64, "bridge:"},
                {"network=bridge:../x", 64, "../x"},
                {"network=bridge:-x", 64, "-x"},
                {"network=bridge:.", 64, "bridge:."},
                {"network='bridge:a,script=x'", 64, "script"},
                {"network=bridge:sixteencharacter", 64, "sixteen"},
                {"ports=", 64, "ports="},
                {"ports=80", 64, "'80'"},
                {"ports=0:80", 64, "0:80"},
                {"ports=80:0", 64, "80:0"},
                {"ports=80:65536", 64, "65536"},
                {"ports=-1:80", 64, "-1"},
                {"ports=a:80", 64, "a:80"},
                {"ports=80:80/sctp", 64, "sctp"},
                {"ports=80:80/udp/udp", 64, "udp"},
                {"ports=80:80,", 64, "comma"},
                {"ports=,80:80", 64, "comma"},
                {"ports=80:80,80:81", 64, "80"},
                {"ports=host:80:80", 64, "host"},
                {"ports=:80:80", 64, ":80"},
                {"ports=::1:80:80", 64, "::1"},
                {"ports=[::1:80:80", 64, "::1"},
                {"ports=1.2.3.4-,x:80:80", 64, "1.2"},
                {"network=none ports=80:80", 64, "network=none"},
                {"network=host ports=80:80", 64, "network=host"},
                {"mount=", 64, "mount="},
                {"mount=/srv", 64, "/srv"},
                {"mount=srv:/mnt", 64, "srv"},
                {"mount=/srv:mnt", 64, "mnt"},
                {"mount=/srv:/", 64, "/srv:/"},
                {"mount=/srv:/mnt/../etc", 64, ".."},
                {"mount=/srv/..:/mnt", 64, ".."},
                {"mount=/srv:/mnt:rx", 64, "rx"},
                {"mount=/srv:/mnt,", 64, "comma"},
                {"ssh_key=/no/such/key.pub", 66, "ssh_key"},
                {"ssh_key=/etc/passwd", 65, "ssh_key"},
                {"ssh_key=ssh-ed25519", 65, "ssh_key"},
                {"user_data=/no/such/file", 66, "user_data"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_str char *extra = NULL;
                struct cowherd_error err = {0};
                if (extra_of(COWHERD_QEMU, cases[i].said, NULL, &extra, &err) == 0)
                        fail_test("'%s' was taken", cases[i].said);
                if (err.code != cases[i].code || strstr(err.text, cases[i].names) == NULL)
                        fail_test("'%s': code %d, '%s'", cases[i].said, err.code, err.text);
        }
}

static void test_keys_of_virtual_machines_alone(void **state)
{
        static const char *const words[] = {"os=windows", "firmware=uefi", "accel=kvm"};

        (void)state;
        for (size_t i = 0; i < array_length(words); i++) {
                owned_str char *extra = NULL;
                struct cowherd_error err = {0};
                assert_int_equal(extra_of(COWHERD_LXD, words[i], NULL, &extra, &err), -1);
                assert_int_equal(err.code, COWHERD_UNAVAILABLE);
                assert_int_equal(extra_of(COWHERD_NSPAWN, words[i], NULL, &extra, &err), -1);
                assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        }
}

static void test_what_is_inherited(void **state)
{
        static const char theirs[] = "{\"adopt\":true,\"network\":\"none\",\"os\":\"other\",\"ports\":\"1:1\",\"ssh_key\":\"k\",\"host_key\":\"secret\"}";
        owned_str char *extra = NULL, *handed_on = machine_handed_on(theirs);
        struct cowherd_error err;

        (void)state;
        assert_int_equal(extra_of(COWHERD_QEMU, "", theirs, &extra, &err), 0);
        assert_string_equal(extra, "{\"network\":\"none\",\"os\":\"other\"}");
        assert_string_equal(handed_on, extra);
        free(take(extra));
        assert_int_equal(extra_of(COWHERD_QEMU, "network=user os=linux", theirs, &extra, &err), 0);
        assert_string_equal(extra, "{\"network\":\"user\",\"os\":\"linux\"}");
        free(take(extra));
        assert_int_equal(extra_of(COWHERD_QEMU, "", NULL, &extra, &err), 0);
        assert_null(extra);
        assert_null(machine_handed_on("{\"adopt\":true}"));
}

static void test_files(void **state)
{
        char path[] = "/tmp/cowherd-test-XXXXXX";
        int fd = mkstemp(path);
        owned_str char *said = x_asprintf("ssh_key=%s user_data=%s", path, path), *extra = NULL;
        struct cowherd_error err;

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "ssh-ed25519 AAAA me@host\n", 25), 25);
        int got = extra_of(COWHERD_QEMU, said, NULL, &extra, &err);
        assert_int_equal(write(fd, "\xff\n", 2), 2);
        owned_str char *bad = NULL;
        int refused = extra_of(COWHERD_QEMU, said, NULL, &bad, &err);
        (void)close(fd);
        (void)unlink(path);
        assert_int_equal(got, 0);
        assert_non_null(strstr(extra, "\"ssh_key\":\"ssh-ed25519 AAAA me@host\"")); /* one line */
        assert_non_null(strstr(extra, "\"user_data\":\"ssh-ed25519 AAAA me@host\\n\"")); /* the text itself */
        assert_int_equal(refused, -1);
        assert_int_equal(err.code, COWHERD_DATA);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_networks),     cmocka_unit_test(test_ports),
                cmocka_unit_test(test_mounts),       cmocka_unit_test(test_bad_words),
                cmocka_unit_test(test_keys_of_virtual_machines_alone), cmocka_unit_test(test_what_is_inherited),
                cmocka_unit_test(test_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
