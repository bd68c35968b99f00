/* SPDX-License-Identifier: Apache-2.0 */
/* overlay and hardlink, as far as they go without a mount: the mounts are the contract test's. */
#include "place.h"

#include "store/layers.h"

#include <sys/stat.h>

static void a_clone_is_four_folders(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct stat found;

        ground_seal(ground, &store_overlay);
        ground->place.durable = true;
        assert_int_equal(store_overlay.clone(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(fstatat(ground->place.fd, "clones/9/upper", &found, 0), 0);
        assert_int_equal(found.st_mode & 07777, 0751); /* as the tree's root: it is the root of what is mounted */
        assert_true(ground_has(ground, "clones/9/work"));
        assert_true(ground_has(ground, "clones/9/tree"));
        assert_int_equal(store_overlay.check_base(&ground->place, &ground->base, &err), 0);
        for (int i = 0; i < 2; i++)
                assert_int_equal(store_overlay.destroy(&ground->place, &ground->clone, &err), 0);
        assert_false(ground_has(ground, "clones/9"));
}

static void a_base_itself_needs_no_mount(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        owned_str char *path = NULL;

        ground_seal(ground, &store_overlay);
        assert_int_equal(store_overlay.activate(&ground->place, &ground->base, &path, &err), 0);
        assert_true(str_ends(path, "/bases/7/tree"));
        assert_int_equal(store_overlay.deactivate(&ground->place, &ground->base, &err), 0);
}

#define LAYERS 41

static void chains_have_an_end(void **state)
{
        struct ground *ground = *state;
        struct store_object chain[LAYERS];
        struct cowherd_error err;

        for (size_t i = 0; i < LAYERS; i++) {
                chain[i] = ground->base;
                chain[i].id = 100 + i;
                chain[i].base = i == 0 ? NULL : &chain[i - 1];
        }
        assert_int_equal(store_overlay.can_clone(&ground->place, &chain[LAYERS - 2], &err), 0);
        assert_fails(store_overlay.can_clone(&ground->place, &chain[LAYERS - 1], &err), COWHERD_UNAVAILABLE,
                     "41 layers");
        ground->clone.base = &chain[LAYERS - 1];
        assert_fails(store_overlay.clone(&ground->place, &ground->clone, &err), COWHERD_UNAVAILABLE, "41 layers");
        assert_false(ground_has(ground, "clones"));
}

static void lowers_are_short_and_need_no_quotes(void **state)
{
        struct ground *ground = *state;
        owned_string struct str lowers = {0}, expected = {0};

        layers_add_lower(&lowers, &ground->place, &ground->clone, "upper");
        layers_add_lower(&lowers, &ground->place, &ground->base, "tree");
        str_addf(&expected, "/proc/self/fd/%d/clones/9/upper:/proc/self/fd/%d/bases/7/tree", ground->place.fd,
                 ground->place.fd);
        assert_string_equal(str_text(&lowers), str_text(&expected));
}

/* A base of a clone: its own files are a layer in "upper", and what it stands on is checked with it. */
static void a_layer_is_sealed_and_checked_with_its_chain(void **state)
{
        struct ground *ground = *state;
        struct store_object layer = ground->base;
        struct cowherd_error err;
        owned_str char *fingerprint = NULL;

        ground_seal(ground, &store_overlay);
        layer.id = 8;
        layer.base = &ground->base;
        assert_int_equal(store_overlay.prepare_base(&ground->place, &layer, &err), 0);
        assert_true(ground_has(ground, "bases/8/upper"));
        assert_int_equal(store_overlay.seal_base(&ground->place, &layer, &fingerprint, &err), 0);
        layer.fingerprint = fingerprint;
        assert_int_equal(store_overlay.check_base(&ground->place, &layer, &err), 0);
        ground_write(ground, "bases/7/tree/etc/below", "");
        assert_fails(store_overlay.check_base(&ground->place, &layer, &err), COWHERD_DATA, "'/etc'");
}

static void usage_is_of_what_was_written(void **state)
{
        struct ground *ground = *state;
        struct store_usage fresh, written;
        struct cowherd_error err;

        ground_seal(ground, &store_overlay);
        assert_int_equal(store_overlay.clone(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(store_overlay.usage(&ground->place, &ground->clone, &fresh, &err), 0);
        assert_true(fresh.shared_bytes > 0);
        owned_str char *text = x_strndup("", 0);
        text = x_reallocarray(text, 1, 100001);
        memset(text, 'x', 100000);
        text[100000] = '\0';
        ground_write(ground, "clones/9/upper/file", text);
        assert_int_equal(store_overlay.usage(&ground->place, &ground->clone, &written, &err), 0);
        assert_int_equal(written.apparent_bytes - fresh.apparent_bytes, 100000);
        assert_true(written.shared_bytes == fresh.shared_bytes);
        assert_int_equal(file_remove_tree(ground->place.fd, "clones/9", &err), 0);
        assert_int_equal(store_overlay.usage(&ground->place, &ground->clone, &written, &err), 0);
        assert_true(written.missing);
}

static void a_farm_links_files_and_makes_folders(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct stat base, farm;

        ground_seal(ground, &store_hardlink);
        assert_int_equal(store_hardlink.clone(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(fstatat(ground->place.fd, "bases/7/tree/etc/hostname", &base, 0), 0);
        assert_int_equal(fstatat(ground->place.fd, "clones/9/farm/etc/hostname", &farm, 0), 0);
        assert_true(base.st_ino == farm.st_ino && farm.st_nlink == 2);
        assert_int_equal(fstatat(ground->place.fd, "clones/9/farm", &farm, 0), 0);
        assert_int_equal(farm.st_mode & 07777, 0751);
        /* Links move the change time of files: the base must not look changed for it. */
        assert_int_equal(store_hardlink.check_base(&ground->place, &ground->base, &err), 0);
        struct store_usage usage;
        assert_int_equal(store_hardlink.usage(&ground->place, &ground->clone, &usage, &err), 0);
        assert_true(usage.shared_bytes == (uint64_t)base.st_blocks * 512);
        assert_int_equal(store_hardlink.destroy(&ground->place, &ground->clone, &err), 0);
        assert_true(ground_has(ground, "bases/7/tree/etc/hostname"));
}

static void probes_give_reasons(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct store_probe probe;

        assert_int_equal(store_overlay.probe(&ground->place, STORE_DISK, &probe, &err), 0);
        assert_false(probe.usable);
        assert_int_equal(store_overlay.probe(&ground->place, STORE_TREE, &probe, &err), 0);
        assert_true(probe.usable == (probe.reason[0] == '\0'));
        if (geteuid() != 0)
                assert_non_null(strstr(probe.reason, "root"));
        struct stat found;
        assert_int_equal(fstat(ground->place.fd, &found), 0);
        assert_int_equal(found.st_nlink, 2); /* nothing left */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ground_test(a_clone_is_four_folders),
                ground_test(a_base_itself_needs_no_mount),
                ground_test(chains_have_an_end),
                ground_test(lowers_are_short_and_need_no_quotes),
                ground_test(a_layer_is_sealed_and_checked_with_its_chain),
                ground_test(usage_is_of_what_was_written),
                ground_test(a_farm_links_files_and_makes_folders),
                ground_test(probes_give_reasons),
        };

        return cmocka_run_group_tests_name("store: layers", tests, NULL, NULL);
}
