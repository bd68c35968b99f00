/* SPDX-License-Identifier: Apache-2.0 */
/* The seed as isoinfo and blkid, which did not write it, see it. */
#include "engine/qemu/iso9660.h"
#include "engine/qemu/seed.h"
#include "sys/process.h"

#include "../image/scratch.h"

#include <jansson.h>

#define WHEN INT64_C(1700000000) /* 2023-11-14 */

static char *ask(const char *program, const char *first, const char *second, const char *third, const char *path)
{
        owned_process struct process process = {.timeout_ms = 10000};
        struct cowherd_error err = {0};
        char *output = NULL;

        strv_add(&process.argv, program);
        for (size_t i = 0; i < 3; i++) {
                const char *words[] = {first, second, third};
                if (words[i] != NULL)
                        strv_add(&process.argv, words[i]);
        }
        if (str_equal(program, "isoinfo"))
                strv_add(&process.argv, "-i");
        strv_add(&process.argv, path);
        if (process_check(&process, &output, &err) < 0)
                print_message("# %s\n", err.text);
        assert_non_null(output);
        return output;
}

static char *write_image(const struct scratch *scratch, const struct str *image)
{
        char *path = scratch_path(scratch, "seed.iso");
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, image->data, image->length), (ssize_t)image->length);
        (void)close(fd);
        return path;
}

static void any_files(void **state)
{
        char large[5000];
        const struct iso_file files[] = {{"a-name-that-is-longer-than-those-of-dos.and.with.dots", "x", 1},
                                         {"empty", "", 0},
                                         {"large", large, sizeof large},
                                         {"Last_One", "end\n", 4}};
        owned_string struct str image = {0};

        memset(large, 'z', sizeof large);
        iso_make("SomeLabel", files, array_length(files), WHEN, &image);
        assert_int_equal(image.length % 2048, 0);
        owned_str char *path = write_image(*state, &image), *list = ask("isoinfo", "-J", "-f", NULL, path),
                       *facts = ask("isoinfo", "-d", NULL, NULL, path);
        assert_string_equal(list,
                            "/a-name-that-is-longer-than-those-of-dos.and.with.dots\n/empty\n/large\n/Last_One\n");
        assert_non_null(strstr(facts, "Volume id: SomeLabel\n"));
        assert_non_null(strstr(facts, "Joliet with UCS level 3 found"));
        owned_str char *of_large = ask("isoinfo", "-J", "-x", "/large", path),
                       *of_last = ask("isoinfo", "-J", "-x", "/Last_One", path),
                       *of_empty = ask("isoinfo", "-J", "-x", "/empty", path),
                       *plain = ask("isoinfo", "-x", "/FILE0003.;1", NULL, path);
        assert_int_equal(strlen(of_large), sizeof large);
        assert_memory_equal(of_large, large, sizeof large);
        assert_string_equal(of_last, "end\n");
        assert_string_equal(of_empty, "");
        assert_string_equal(plain, "end\n");
        owned_str char *type = ask("blkid", "-p", "-ovalue", "-sTYPE", path),
                       *label = ask("blkid", "-p", "-ovalue", "-sLABEL", path);
        assert_string_equal(type, "iso9660\n");
        assert_string_equal(label, "SomeLabel\n");
}

static json_t *parse(const char *text)
{
        json_t *value =
                json_loads(text + (str_starts(text, "#cloud-config\n") ? strlen("#cloud-config\n") : 0), 0, NULL);

        assert_non_null(value);
        return value;
}

static const char *at(const json_t *value, const char *first, const char *second)
{
        return json_string_value(json_object_get(json_object_get(value, first), second));
}

static const struct engine_machine machine = {0};
static const struct engine_identity identity = {
        .fresh = true,
        .hostname = "web-1",
        .mac = "52:54:00:aa:bb:cc",
        .instance_id = "iid-1",
        .random_seed = "0011",
        .host_key = "-----BEGIN-----\nx: \"y\"\n-----END-----\n",
        .host_key_public = "ssh-ed25519 AAAA",
        .ssh_key = "ssh-ed25519 BBBB me@here: \"quoted\"",
};

static void a_fresh_identity(void **state)
{
        const struct engine_instance instance = {.id = 5, .machine = &machine, .identity = &identity};
        owned_string struct str image = {0};

        assert_true(qemu_seed_is_wanted(&instance));
        qemu_seed_make(&instance, WHEN, &image);
        owned_str char *path = write_image(*state, &image), *label = ask("blkid", "-p", "-ovalue", "-sLABEL", path);
        assert_string_equal(label, "cidata\n");
        owned_str char *meta_text = ask("isoinfo", "-J", "-x", "/meta-data", path),
                       *user = ask("isoinfo", "-J", "-x", "/user-data", path),
                       *vendor_text = ask("isoinfo", "-J", "-x", "/vendor-data", path),
                       *network_text = ask("isoinfo", "-J", "-x", "/network-config", path);
        json_t *meta = parse(meta_text), *vendor = parse(vendor_text), *network = parse(network_text);
        assert_string_equal(json_string_value(json_object_get(meta, "instance-id")), "iid-1");
        assert_string_equal(json_string_value(json_object_get(meta, "local-hostname")), "web-1");
        assert_string_equal(json_string_value(json_array_get(json_object_get(meta, "public-keys"), 0)),
                            identity.ssh_key);
        assert_string_equal(user, "#cloud-config\n{}\n");
        assert_true(str_starts(vendor_text, "#cloud-config\n"));
        assert_string_equal(at(vendor, "ssh_keys", "ed25519_private"), identity.host_key);
        assert_string_equal(at(vendor, "ssh_keys", "ed25519_public"), identity.host_key_public);
        assert_string_equal(at(vendor, "random_seed", "data"), "0011");
        const json_t *card = json_object_get(json_object_get(network, "ethernets"), "primary");
        assert_string_equal(at(card, "match", "macaddress"), "52:54:00:aa:bb:cc");
        json_decref(meta);
        json_decref(vendor);
        json_decref(network);
}

static void only_what_was_asked_for(void **state)
{
        static const struct engine_machine alone = {.network = ENGINE_NETWORK_NONE};
        struct engine_identity kept = {.hostname = "not-looked-at"};
        const struct engine_instance instance = {.id = 5, .machine = &alone, .identity = &kept};
        owned_string struct str image = {0};

        assert_false(qemu_seed_is_wanted(&instance));
        kept.user_data = "#!/bin/sh\necho mine\n";
        assert_true(qemu_seed_is_wanted(&instance));
        qemu_seed_make(&instance, WHEN, &image);
        owned_str char *path = write_image(*state, &image), *list = ask("isoinfo", "-J", "-f", NULL, path),
                       *meta = ask("isoinfo", "-J", "-x", "/meta-data", path),
                       *user = ask("isoinfo", "-J", "-x", "/user-data", path),
                       *vendor = ask("isoinfo", "-J", "-x", "/vendor-data", path);
        assert_string_equal(list, "/meta-data\n/user-data\n/vendor-data\n");
        assert_string_equal(meta, "{\"instance-id\":\"iid-cowherd-5\"}\n");
        assert_string_equal(user, kept.user_data);
        assert_string_equal(vendor, "#cloud-config\n{}\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(any_files, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(a_fresh_identity, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(only_what_was_asked_for, scratch_make, scratch_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
