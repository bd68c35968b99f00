/* SPDX-License-Identifier: Apache-2.0 */
/* What LXD is asked to make of a machine and an identity, key for key; and users in a guest's passwd. No daemon. */
#include "engine/lxd/lxd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define UUID "11111111-2222-4333-8444-555555555555"

static struct engine_machine machine;
static struct engine_identity identity;
static struct engine_instance instance;

static int set_up(void **state)
{
        (void)state;
        machine = (struct engine_machine){0};
        identity = (struct engine_identity){0};
        instance = (struct engine_instance){.name = "web-1", .machine = &machine, .identity = &identity};
        return 0;
}

static json_t *parse(const char *text)
{
        json_error_t wrong;
        json_t *parsed = json_loads(text, 0, &wrong);

        if (parsed == NULL)
                print_error("%s: %s\n", text, wrong.text);
        assert_non_null(parsed);
        return parsed;
}

/* Compares what is to be changed of `now` with JSON; ' stands for ". */
static void expect(const char *now_text, const char *bridge, bool shifted, const char *config, const char *devices)
{
        const char *const texts[] = {now_text, config, devices};
        json_t *parsed[3];
        owned_changes struct lxd_changes changes = {0};

        for (size_t i = 0; i < 3; i++) {
                owned_str char *text = x_strdup(texts[i]);
                for (char *at = text; *at != '\0'; at++)
                        *at = *at == '\'' ? '"' : *at;
                parsed[i] = parse(text);
        }
        lxd_machine_changes(&instance, parsed[0], bridge, shifted, &changes);
        if (!json_equal(changes.config, parsed[1]) || !json_equal(changes.devices, parsed[2])) {
                owned_mem char *is[2] = {json_dumps(changes.config, JSON_SORT_KEYS), json_dumps(changes.devices, JSON_SORT_KEYS)};
                print_error("config %s\ndevices %s\n", is[0], is[1]);
                free(is[1]);
                assert_true(false);
        }
        for (size_t i = 0; i < 3; i++)
                json_decref(parsed[i]);
}

#define FRESH "{'config':{},'devices':{},'expanded_devices':{'eth0':{'type':'nic','network':'lxdbr0'},'root':{'type':'disk','path':'/'}}}"

static void test_nothing_asked_is_nothing_changed(void **state)
{
        (void)state;
        expect(FRESH, NULL, true, "{}", "{}");
}

static void test_limits(void **state)
{
        (void)state;
        machine.memory_bytes = UINT64_C(512) << 20;
        machine.cpus = 2;
        expect(FRESH, NULL, true, "{'limits.memory':'512MiB','limits.cpu':'2'}", "{}");
        machine.memory_bytes = 100000001;
        expect(FRESH, NULL, true, "{'limits.memory':'100000001B','limits.cpu':'2'}", "{}");
        expect("{'config':{'limits.memory':'100000001B','limits.cpu':'2'}}", NULL, true, "{}", "{}");
}

static void test_ports_and_mounts(void **state)
{
        static const struct engine_port ports[] = {
                {.host = 8080, .guest = 80}, {.address = "::1", .host = 53, .guest = 5353, .udp = true}};
        static const struct engine_mount mounts[] = {{.host = "/srv/a b", .guest = "/mnt", .read_only = true}};

        (void)state;
        machine.ports = ports;
        machine.port_count = 2;
        machine.mounts = mounts;
        machine.mount_count = 1;
        expect(FRESH, NULL, true, "{}",
               "{'cowherd-port-1':{'type':'proxy','bind':'host','listen':'tcp:127.0.0.1:8080','connect':'tcp:127.0.0.1:80'},"
               "'cowherd-port-2':{'type':'proxy','bind':'host','listen':'udp:[::1]:53','connect':'udp:127.0.0.1:5353'},"
               "'cowherd-mount-1':{'type':'disk','source':'/srv/a b','path':'/mnt','readonly':'true','shift':'true'}}");
        machine.port_count = 0;
        expect(FRESH, NULL, false, "{}",
               "{'cowherd-mount-1':{'type':'disk','source':'/srv/a b','path':'/mnt','readonly':'true'}}");
}

static void test_devices_that_nobody_wants_go(void **state)
{
        owned_json json_t *now = parse("{\"config\":{},\"devices\":{\"cowherd-port-1\":{\"type\":\"proxy\"},\"mine\":{\"type\":\"proxy\"}}}");
        owned_changes struct lxd_changes changes = {0};

        (void)state;
        lxd_machine_changes(&instance, now, NULL, true, &changes);
        assert_int_equal(changes.removed.count, 1);
        assert_string_equal(changes.removed.items[0], "cowherd-port-1");
}

static void test_networks(void **state)
{
        static const char two[] = "{'config':{},'devices':{},'expanded_devices':{'eth1':{'type':'nic'},'eth0':{'type':'nic'}}}";

        (void)state;
        machine.network = ENGINE_NETWORK_NONE;
        expect(two, NULL, true, "{'user.cowherd.cards':'eth1 eth0'}", "{'eth0':{'type':'none'},'eth1':{'type':'none'}}");
        machine.network = ENGINE_NETWORK_BRIDGE;
        machine.bridge = "br0";
        expect(two, NULL, true, "{'user.cowherd.cards':'eth0 eth1'}",
               "{'eth0':{'type':'nic','nictype':'bridged','parent':'br0','name':'eth0'},'eth1':{'type':'none'}}");
        machine.network = ENGINE_NETWORK_USER;
        expect("{'config':{},'devices':{},'expanded_devices':{}}", "lxdbr0", true, "{'user.cowherd.cards':'eth0'}",
               "{'eth0':{'type':'nic','network':'lxdbr0','name':'eth0'}}");
        /* A second start finds its own work, and changes nothing. */
        machine.network = ENGINE_NETWORK_BRIDGE;
        expect("{'config':{'user.cowherd.cards':'eth0'},'devices':{'eth0':{'type':'nic','nictype':'bridged','parent':'br0','name':'eth0'}},"
               "'expanded_devices':{'eth0':{'type':'nic','nictype':'bridged','parent':'br0','name':'eth0'}}}",
               NULL, true, "{}", "{}");
}

static void test_identity(void **state)
{
        (void)state;
        identity = (struct engine_identity){.fresh = true,
                                            .hostname = "web-1",
                                            .machine_id = "0123456789abcdef0123456789abcdef",
                                            .mac = "00:16:3e:00:00:01",
                                            .instance_id = "iid-" UUID};
        expect("{'config':{'user.cowherd.neutral':'true'},'devices':{},'expanded_devices':{'lan':{'type':'nic'}}}", NULL, true,
               "{'environment.container_uuid':'0123456789abcdef0123456789abcdef','volatile.lan.hwaddr':'00:16:3e:00:00:01',"
               "'volatile.cloud-init.instance-id':'" UUID "','user.cowherd.neutral':''}",
               "{}");
        identity.fresh = false;
        expect("{'config':{'user.cowherd.neutral':'true'},'devices':{}}", NULL, true, "{'user.cowherd.neutral':''}", "{}");
}

static void test_what_cloud_init_is_told(void **state)
{
        (void)state;
        identity.user_data = "#cloud-config\n";
        identity.ssh_key = "ssh-ed25519 AAAA me\"you";
        expect(FRESH, NULL, true,
               "{'cloud-init.user-data':'#cloud-config\\n','user.user-data':'#cloud-config\\n',"
               "'user.meta-data':'{\\'public-keys\\':[\\'ssh-ed25519 AAAA me\\\\\\'you\\']}'}",
               "{}");
}

static void test_instance_ids(void **state)
{
        (void)state;
        assert_null(lxd_instance_id(&identity));
        identity.instance_id = "iid-" UUID;
        assert_string_equal(lxd_instance_id(&identity), UUID);
        identity.instance_id = UUID;
        assert_string_equal(lxd_instance_id(&identity), UUID);
        identity.instance_id = "i-12345";
        assert_null(lxd_instance_id(&identity));
}

static void test_users(void **state)
{
        static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n\nbroken\n:::\nme:x:1000:100:Me,,,:/home/me:/bin/zsh\n"
                                     "big:x:4294967295:0::/:/bin/sh\nlast:x:7:8::/l";
        owned_user struct lxd_user root = {0}, me = {0}, last = {0}, none = {0};

        (void)state;
        assert_int_equal(lxd_user_parse(passwd, "root", &root), 0);
        assert_int_equal(root.user, 0);
        assert_string_equal(root.shell, "/bin/bash");
        assert_int_equal(lxd_user_parse(passwd, "1000", &me), 0);
        assert_int_equal(me.group, 100);
        assert_string_equal(me.home, "/home/me");
        assert_int_equal(lxd_user_parse(passwd, "last", &last), 0);
        assert_string_equal(last.shell, "");
        assert_int_equal(lxd_user_parse(passwd, "big", &none), 1);
        assert_int_equal(lxd_user_parse(passwd, "m", &none), 1);
        assert_int_equal(lxd_user_parse(passwd, "broken", &none), 1);
        assert_int_equal(lxd_user_parse("", "root", &none), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_nothing_asked_is_nothing_changed, set_up),
                cmocka_unit_test_setup(test_limits, set_up),
                cmocka_unit_test_setup(test_ports_and_mounts, set_up),
                cmocka_unit_test_setup(test_devices_that_nobody_wants_go, set_up),
                cmocka_unit_test_setup(test_networks, set_up),
                cmocka_unit_test_setup(test_identity, set_up),
                cmocka_unit_test_setup(test_what_cloud_init_is_told, set_up),
                cmocka_unit_test_setup(test_instance_ids, set_up),
                cmocka_unit_test_setup(test_users, set_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
