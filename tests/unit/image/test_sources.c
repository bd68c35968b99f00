/* SPDX-License-Identifier: Apache-2.0 */
/* sources.conf: what is found, what wins, and what is refused, with file and line. */
#include "image/sources.h"
#include "image/sources_file.h"

#include "scratch.h"

static int ask(const struct scratch *s, const char *text, const char *kind, const char *name, const char *release,
               struct source *ret, struct cowherd_error *err)
{
        owned_str char *path = scratch_path(s, "sources.conf");
        const struct source_question question = {.kind = kind, .name = name, .release = release};

        return sources_parse(path, text, strlen(text), &question, ret, err);
}

/* A text that is refused at a line, with words in its message. */
static void refused(const struct scratch *s, const char *text, unsigned line, const char *words)
{
        struct cowherd_error err = {0};
        struct source source = {0};
        owned_str char *place = x_asprintf("%s/sources.conf:%u: ", s->path, line);

        assert_int_equal(ask(s, text, "image", "x", NULL, &source, &err), -1);
        assert_int_equal(err.code, COWHERD_CONFIG);
        assert_contains(err.text, place);
        assert_contains(err.text, words);
}

static const char both[] = "# what is here\n"
                           "[image ubuntu:22.04]   # an LXD image\n"
                           "metadata = images/meta.tar\n"
                           "\trootfs=images/rootfs.tar # both halves\r\n"
                           "\n"
                           "[distro ubuntu]\n"
                           "rootfs = /srv/trees/debian\n"
                           "distro = debian\n"
                           "release = bookworm\n"
                           "[distro ubuntu jammy]\n"
                           "mirror = http://mirror.example/ubuntu#1\n";

static void an_image_is_found_with_paths_beside_the_file(void **state)
{
        const struct scratch *s = *state;
        struct source source owned_by(source_free) = {0};
        struct cowherd_error err = {0};
        owned_str char *metadata = scratch_path(s, "images/meta.tar"), *rootfs = scratch_path(s, "images/rootfs.tar");
        owned_str char *file = scratch_path(s, "sources.conf:2");

        assert_int_equal(ask(s, both, "image", "ubuntu:22.04", NULL, &source, &err), 0);
        assert_string_equal(source.metadata, metadata);
        assert_string_equal(source.rootfs, rootfs);
        assert_string_equal(source.file, file);
        assert_null(source.image);
        assert_null(source.mirror);
}

static void a_release_of_its_own_wins_over_all_releases(void **state)
{
        struct source all owned_by(source_free) = {0}, jammy owned_by(source_free) = {0},
                          noble owned_by(source_free) = {0};
        struct cowherd_error err = {0};

        assert_int_equal(ask(*state, both, "distro", "Ubuntu", NULL, &all, &err), 0);
        assert_string_equal(all.rootfs, "/srv/trees/debian");
        assert_string_equal(all.distro, "debian");
        assert_string_equal(all.release, "bookworm");
        assert_int_equal(ask(*state, both, "distro", "ubuntu", "jammy", &jammy, &err), 0);
        assert_string_equal(jammy.mirror, "http://mirror.example/ubuntu#1");
        assert_null(jammy.rootfs);
        assert_int_equal(ask(*state, both, "distro", "ubuntu", "noble", &noble, &err), 0);
        assert_string_equal(noble.rootfs, "/srv/trees/debian");
}

static void what_no_section_names_is_not_answered(void **state)
{
        struct source source = {0};
        struct cowherd_error err = {0};

        assert_int_equal(ask(*state, both, "image", "ubuntu", NULL, &source, &err), 1);
        assert_int_equal(ask(*state, both, "distro", "debian", NULL, &source, &err), 1);
        assert_int_equal(ask(*state, both, "distro", "ubuntu:22.04", NULL, &source, &err), 1);
        assert_int_equal(ask(*state, "", "image", "x", NULL, &source, &err), 1);
        assert_int_equal(ask(*state, "[distro d r]\nmirror = file:/m\n", "distro", "d", NULL, &source, &err), 1);
        assert_null(source.file);
}

static void an_image_is_a_file_beside_it_or_a_name(void **state)
{
        const struct scratch *s = *state;
        struct source file owned_by(source_free) = {0}, name owned_by(source_free) = {0};
        struct cowherd_error err = {0};
        owned_str char *path = scratch_path(s, "disk.qcow2");

        scratch_write(s, "disk.qcow2", "");
        assert_int_equal(ask(s, "[image x]\nimage = disk.qcow2\n", "image", "x", NULL, &file, &err), 0);
        assert_string_equal(file.image, path);
        assert_int_equal(ask(s, "[image x]\nimage = images:debian/12\n", "image", "x", NULL, &name, &err), 0);
        assert_string_equal(name.image, "images:debian/12");
}

static void quotes_keep_what_they_hold(void **state)
{
        struct source source owned_by(source_free) = {0};
        struct cowherd_error err = {0};

        assert_int_equal(ask(*state, "[distro x]\ntarball = \"/srv/a # b = c\" # not this\n", "distro", "x", NULL,
                             &source, &err),
                         0);
        assert_string_equal(source.tarball, "/srv/a # b = c");
}

static void slips_are_told_with_file_and_line(void **state)
{
        const struct scratch *s = *state;

        refused(s, "[image a]\nmetdata = x\n", 2, "unknown key 'metdata' in '[image a]' (did you mean 'metadata'?)");
        refused(s, "[image a]\ntarball = x\n", 2, "unknown key 'tarball'");
        refused(s, "\n\n[imege a]\n", 3, "unknown section '[imege]'");
        refused(s, "[]\n", 1, "unknown section");
        refused(s, "[image]\n", 1, "has 0 names");
        refused(s, "[image a b]\n", 1, "has 2 names");
        refused(s, "[distro a b c]\n", 1, "has 3 names");
        refused(s, "[image a\n", 1, "no ']'");
        refused(s, "image = x\n", 1, "before any section");
        refused(s, "[image a]\nnonsense\n", 2, "neither");
        refused(s, "[image a]\n= x\n", 2, "neither");
        refused(s, "[image a]\nimage =\n", 2, "has no value");
        refused(s, "[image a]\nimage = \"x\n", 2, "quotes");
        refused(s, "[image a]\nimage = x\nimage = y\n", 3, "there twice");
        refused(s, "[image a]\nimage = x\n[image a]\nimage = y\n", 3, "there twice");
        refused(s, "[image a]\n\n[image b]\nimage = x\n", 3, "'[image a]' before this says none");
        refused(s, "[image a]\nimage = x\nrootfs = y\n", 4, "as well");
        refused(s, "[distro a]\nrelease = x\n", 3, "says none of rootfs, tarball and mirror");
        refused(s, "[distro a]\nrootfs = x\nmirror = http://y\n", 4, "says more than one");
}

static void what_is_not_text_is_refused(void **state)
{
        struct source source = {0};
        struct cowherd_error err = {0};
        const struct source_question question = {.kind = "image", .name = "x"};

        (void)state;
        assert_int_equal(sources_parse("f", "[image a\0]\n", 11, &question, &source, &err), -1);
        assert_int_equal(err.code, COWHERD_CONFIG);
        assert_int_equal(sources_parse("f", "[image \xff]\n", 10, &question, &source, &err), -1);
        assert_int_equal(err.code, COWHERD_CONFIG);
}

static void a_file_of_the_herd_is_read_and_the_user_s_after_it(void **state)
{
        const struct scratch *s = *state;
        struct source source owned_by(source_free) = {0}, none = {0};
        struct cowherd_error err = {0};

        assert_int_equal(source_of_image(s->path, "cowherd-unit-test:none", &none, &err), 1);
        scratch_write(s, "sources.conf", both);
        assert_int_equal(source_of_image(s->path, "ubuntu:22.04", &source, &err), 0);
        assert_int_equal(source_of_distro(s->path, "cowherd-unit-none", NULL, &none, &err), 1);
        assert_null(none.file);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
        const struct scratch *s = *state;
        struct source source = {0};
        struct cowherd_error err = {0};

        scratch_write(s, "sources.conf", both);
        assert_int_equal(fchmodat(s->fd, "sources.conf", 0666, 0), 0);
        assert_int_equal(source_of_image(s->path, "ubuntu:22.04", &source, &err), -1);
        assert_int_equal(err.code, COWHERD_CONFIG);
        assert_contains(err.text, "written by everybody");
        assert_contains(err.hint, "chmod o-w");
        if (geteuid() != 0)
                return; /* only root can give a file away */
        assert_int_equal(fchmodat(s->fd, "sources.conf", 0644, 0), 0);
        assert_int_equal(fchownat(s->fd, "sources.conf", 12345, 12345, 0), 0);
        assert_int_equal(source_of_image(s->path, "ubuntu:22.04", &source, &err), -1);
        assert_int_equal(err.code, COWHERD_DENIED);
        assert_contains(err.text, "belongs to user 12345");
}

static void a_folder_or_a_giant_in_its_place_is_refused(void **state)
{
        const struct scratch *s = *state;
        struct source source = {0};
        struct cowherd_error err = {0};
        owned_str char *path = scratch_path(s, "sources.conf");

        assert_int_equal(mkdirat(s->fd, "sources.conf", 0755), 0);
        assert_int_equal(source_of_image(s->path, "x", &source, &err), -1);
        assert_int_equal(err.code, COWHERD_CONFIG);
        assert_int_equal(rmdir(path), 0);
        scratch_write(s, "sources.conf", "");
        assert_int_equal(truncate(path, 2 << 20), 0);
        assert_int_equal(source_of_image(s->path, "x", &source, &err), -1);
        assert_int_equal(err.code, COWHERD_CONFIG);
        assert_contains(err.text, "larger than");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(an_image_is_found_with_paths_beside_the_file),
                scratch_test(a_release_of_its_own_wins_over_all_releases),
                scratch_test(what_no_section_names_is_not_answered),
                scratch_test(an_image_is_a_file_beside_it_or_a_name),
                scratch_test(quotes_keep_what_they_hold),
                scratch_test(slips_are_told_with_file_and_line),
                scratch_test(what_is_not_text_is_refused),
                scratch_test(a_file_of_the_herd_is_read_and_the_user_s_after_it),
                scratch_test(a_file_that_others_may_write_is_refused),
                scratch_test(a_folder_or_a_giant_in_its_place_is_refused),
        };
        return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
