/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no daemon: codes of LXD's sentences, escaping, tags, SHA-256. */
#include "lxd_api/instance.h"
#include "lxd_api/sha256.h"
#include "lxd_test.h"

#include <stdio.h>
#include <unistd.h>

static void test_codes(void **state)
{
        static const struct {
                long status;
                const char *text;
                enum cowherd_code code;
        } cases[] = {
                {404, "Instance not found", COWHERD_NOT_FOUND},
                {400, "Failed getting image: The requested image couldn't be found", COWHERD_NOT_FOUND},
                {500, "Requested profile \"x\" doesn't exist", COWHERD_NOT_FOUND},
                {409, "conflict", COWHERD_EXISTS},
                {400, "Add instance info to the database: This \"instances\" entry already exists", COWHERD_EXISTS},
                {403, "not authorized", COWHERD_DENIED},
                {400, "Instance is protected", COWHERD_DENIED},
                {400, "Instance is running", COWHERD_BUSY},
                {400, "Instance is busy running a \"stop\" operation", COWHERD_BUSY},
                {400, "The storage pool is currently in use", COWHERD_BUSY},
                {503, "LXD is shutting down", COWHERD_BUSY},
                {400, "write /x: no space left on device", COWHERD_IO},
                {400, "write /x: Disk quota exceeded", COWHERD_IO},
                {400, "Get \"https://x\": lookup x: no such host", COWHERD_UNAVAILABLE},
                {400, "Get \"https://x\": x509: certificate signed by unknown authority", COWHERD_UNAVAILABLE},
                {400, "Failed creating instance from image: Unsupported compression", COWHERD_DATA},
                {400, "Failed to run: lxd forkstart: exit status 1", COWHERD_SYSTEM},
                {500, "", COWHERD_SYSTEM},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++)
                if (lxd_error_code(cases[i].status, cases[i].text) != cases[i].code)
                        fail_because("%ld '%s' is %d", cases[i].status, cases[i].text,
                                     (int)lxd_error_code(cases[i].status, cases[i].text));
}

static void test_escape(void **state)
{
        owned_str char *plain = lxd_escape("az-AZ_0.9~"), *odd = lxd_escape("../a b?c=d&e%\xc3\xa4\n"),
                       *none = lxd_escape("");

        (void)state;
        assert_string_equal(plain, "az-AZ_0.9~");
        assert_string_equal(odd, "..%2Fa%20b%3Fc%3Dd%26e%25%C3%A4%0A");
        assert_string_equal(none, "");
}

static json_t *instance(const char *name, const struct lxd_tags *tags)
{
        json_t *config = json_object();

        lxd_tags_set(tags, config);
        return json_pack("{s:s, s:o}", "name", name, "config", config);
}

static void test_tags(void **state)
{
        const struct lxd_tags ours = {.herd = "herd-1", .id = 7, .role = "clone", .name = "web-1"};
        const struct lxd_tags wrong[] = {
                {.herd = "herd-2", .id = 7, .role = "clone"},
                {.herd = "herd-1", .id = 8, .role = "clone"},
                {.herd = "herd-1", .id = 7, .role = "base"},
        };
        const struct lxd_tags any_herd = {.id = 7, .role = "clone"};
        owned_json json_t *own = instance("web-1", &ours), *copy = instance("web-2", &ours),
                          *bare = json_pack("{s:s}", "name", "web-1");

        (void)state;
        assert_true(lxd_tags_match(&ours, own));
        assert_true(lxd_tags_match(&any_herd, own));
        for (size_t i = 0; i < array_length(wrong); i++)
                assert_false(lxd_tags_match(&wrong[i], own));
        assert_false(lxd_tags_match(&ours, copy)); /* `lxc copy` takes the tags along */
        assert_false(lxd_tags_match(&ours, bare));
        (void)json_object_set_new(json_object_get(copy, "config"), LXD_TAG_FORMER, json_string("web-2"));
        assert_true(lxd_tags_match(&ours, copy)); /* while it is being renamed */
}

/* One that was kept warm bears the name it was taken for, while its tag still tells the former; a copy of it does not. */
static void test_warm_tags(void **state)
{
        owned_str char *warm = lxd_warm_name("12345678-90ab", 7), *other = lxd_warm_name("12345678-90ab", 8);
        const struct lxd_tags kept = {.herd = "12345678-90ab", .id = 7, .role = "clone", .name = warm},
                              of_other = {.herd = "12345678-90ab", .id = 7, .role = "clone", .name = other},
                              taken = {.herd = "12345678-90ab", .id = 7, .role = "clone", .name = "web-1", .taken = "web-1"},
                              unknown = {.herd = "12345678-90ab", .id = 7, .role = "clone"};
        owned_json json_t *before = instance(warm, &kept), *after = instance("web-1", &kept), *copy = instance("web-2", &kept),
                          *foreign = instance("web-1", &of_other);

        (void)state;
        assert_string_equal(warm, "cowherd-12345678-w7");
        assert_true(lxd_tags_match(&unknown, before));
        assert_true(lxd_tags_match(&taken, after));
        assert_false(lxd_tags_match(&unknown, after));
        assert_false(lxd_tags_match(&taken, copy));
        assert_false(lxd_tags_match(&taken, foreign));
}

static void test_sha256_file(void **state)
{
        char path[] = "/tmp/cowherd-sha.XXXXXX", buffer[SHA256_TEXT_BYTES];
        owned_fd int fd = mkstemp(path);
        struct cowherd_error err;
        struct sha256_ctx sum;

        (void)state;
        assert_int_equal(write(fd, "abc", 3), 3);
        sha256_init(&sum);
        assert_int_equal(sha256_add_file(&sum, path, &err), 0);
        assert_string_equal(sha256_text(&sum, buffer),
                            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(sha256_add_file(&sum, path, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_codes),  cmocka_unit_test(test_escape),      cmocka_unit_test(test_tags),
                cmocka_unit_test(test_warm_tags),
                cmocka_unit_test(test_sha256_file),
        };
        return cmocka_run_group_tests_name("lxd-words", tests, NULL, NULL);
}
