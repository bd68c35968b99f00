/* SPDX-License-Identifier: Apache-2.0 */
/* Remotes: the client's config.yml, those built in, and what an image's name means. */
#include "lxd_api/remote.h"
#include "lxd_test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char config[] = "default-remote: site\n"
                             "remotes:\n"
                             "  site:\n"
                             "    addr: https://images.example.org\n"
                             "    protocol: simplestreams\n"
                             "    public: true\n"
                             "  other:\n"
                             "    addr: https://other.example.org:8443\n"
                             "    auth_type: tls\n"
                             "    project: default\n"
                             "  local:\n"
                             "    addr: unix://\n"
                             "  broken: [1, 2]\n"
                             "aliases: {ls: list}\n";

static void expect_meaning(const struct lxd_remotes *remotes, const char *image, const char *address, const char *alias)
{
        const struct lxd_remote *remote = NULL;
        const char *found = NULL;
        struct cowherd_error err;

        if (lxd_remotes_resolve(remotes, image, &remote, &found, &err) < 0)
                fail_because("%s: %s", image, err.text);
        assert_string_equal(found, alias);
        if (address == NULL)
                assert_null(remote);
        else
                assert_string_equal(remote->address, address);
}

static void test_built_in(void **state)
{
        owned_remotes struct lxd_remotes remotes = {0};
        const struct lxd_remote *remote = NULL;
        const char *alias = NULL;
        struct cowherd_error err;

        (void)state;
        lxd_remotes_add_built_in(&remotes, false);
        expect_meaning(&remotes, "ubuntu:22.04", "https://cloud-images.ubuntu.com/releases", "22.04");
        expect_meaning(&remotes, "ubuntu-daily:jammy", "https://cloud-images.ubuntu.com/daily", "jammy");
        expect_meaning(&remotes, "images:debian/12", "https://images.lxd.canonical.com", "debian/12");
        expect_meaning(&remotes, "ubuntu:", "https://cloud-images.ubuntu.com/releases", "default");
        expect_meaning(&remotes, "local:deb", NULL, "deb");
        expect_meaning(&remotes, "deb", NULL, "deb");
        assert_int_equal(lxd_remotes_resolve(&remotes, "ubunto:22.04", &remote, &alias, &err), -1);
}

static void test_unknown(void **state)
{
        owned_remotes struct lxd_remotes remotes = {0};
        const struct lxd_remote *remote = NULL;
        const char *alias = NULL;
        struct cowherd_error err;

        (void)state;
        lxd_remotes_add_built_in(&remotes, true);
        assert_int_equal(lxd_remotes_resolve(&remotes, "nowhere:x", &remote, &alias, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
        assert_non_null(strstr(err.text, "'nowhere' not found"));
        assert_non_null(strstr(err.text, "local, ubuntu, ubuntu-daily, images"));
        assert_int_equal(lxd_remotes_resolve(&remotes, "local:", &remote, &alias, &err), -1);
        assert_int_equal(err.code, COWHERD_USAGE);
        assert_null(alias);
}

static void test_config(void **state)
{
        owned_remotes struct lxd_remotes remotes = {0};
        struct cowherd_error err;

        (void)state;
        assert_int_equal(lxd_remotes_parse(&remotes, config, sizeof config - 1, "config.yml", NULL, &err), 0);
        lxd_remotes_add_built_in(&remotes, false);
        expect_meaning(&remotes, "bookworm", "https://images.example.org", "bookworm"); /* by default-remote */
        expect_meaning(&remotes, "other:x/y", "https://other.example.org:8443", "x/y");
        expect_meaning(&remotes, "local:x", NULL, "x");
        expect_meaning(&remotes, "ubuntu:x", "https://cloud-images.ubuntu.com/releases", "x");
        assert_true(remotes.items[0].is_public);
        assert_string_equal(remotes.items[0].protocol, "simplestreams");
        assert_false(remotes.items[1].is_public);
        assert_string_equal(remotes.items[1].protocol, "lxd");
        assert_int_equal(remotes.count, 6);
}

static void test_bad_config(void **state)
{
        static const char *const bad[] = {"remotes: [\n", "a: b: c\n", "remotes:\n\t- x\n", "\x01\x02",
                                          "remotes: {a: &x *y}\n"};
        static const char *const empty[] = {"", "remotes:\n", "- list\n", "remotes: text\n", "remotes: {x: {}}\n"};

        (void)state;
        for (size_t i = 0; i < array_length(bad); i++) {
                owned_remotes struct lxd_remotes remotes = {0};
                struct cowherd_error err = {0};
                if (lxd_remotes_parse(&remotes, bad[i], strlen(bad[i]), "c.yml", NULL, &err) == 0)
                        fail_because("bad config %zu was taken", i);
                assert_int_equal(err.code, COWHERD_CONFIG);
                assert_non_null(strstr(err.text, "'c.yml' line "));
        }
        for (size_t i = 0; i < array_length(empty); i++) {
                owned_remotes struct lxd_remotes remotes = {0};
                struct cowherd_error err = {0};
                assert_int_equal(lxd_remotes_parse(&remotes, empty[i], strlen(empty[i]), "c.yml", NULL, &err), 0);
                assert_int_equal(remotes.count, 0);
        }
}

static void write_file(const char *folder, const char *name, const char *text)
{
        owned_str char *path = x_asprintf("%s/%s", folder, name);
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

/* From $LXD_CONF, with the certificate that is pinned for a server. */
static void test_load(void **state)
{
        char folder[] = "/tmp/cowherd-remotes.XXXXXX";
        owned_remotes struct lxd_remotes remotes = {0}, none = {0};
        struct cowherd_error err;

        (void)state;
        assert_non_null(mkdtemp(folder));
        owned_str char *certificates = x_asprintf("%s/servercerts", folder),
                       *file = x_asprintf("%s/config.yml", folder),
                       *certificate = x_asprintf("%s/site.crt", certificates);
        assert_int_equal(mkdir(certificates, 0700), 0);
        write_file(folder, "config.yml", config);
        write_file(certificates, "site.crt", "PEM");
        assert_int_equal(setenv("LXD_CONF", folder, 1), 0);
        assert_int_equal(setenv("LXD_GLOBAL_CONF", "/nonexistent", 1), 0);
        assert_int_equal(lxd_remotes_load(false, &remotes, &err), 0);
        assert_string_equal(remotes.items[0].certificate, "PEM");
        assert_null(remotes.items[1].certificate);
        assert_int_equal(unlink(certificate), 0);
        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(certificates), 0);
        assert_int_equal(rmdir(folder), 0);
        assert_int_equal(lxd_remotes_load(false, &none, &err), 0); /* no files: those built in */
        assert_string_equal(none.fallback, "local");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_built_in),   cmocka_unit_test(test_unknown), cmocka_unit_test(test_config),
                cmocka_unit_test(test_bad_config), cmocka_unit_test(test_load),
        };
        return cmocka_run_group_tests_name("lxd-remote", tests, NULL, NULL);
}
