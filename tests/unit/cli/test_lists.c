/* SPDX-License-Identifier: Apache-2.0 */
/* How lists are printed: trees, columns that were asked for, formats for other programs, colours, and what fits where. */
#include "cli_test.h"

#define LONG_NAME "a23456789012345678901234567890123456789012345678901234567890123"

struct printing {
        size_t columns;
        bool colour, unicode;
};

/* What is printed of an answer, stdout and stderr in one; to be freed. The answer is freed. */
static char *printed(struct cowherd_answer *answer, const char *verb, struct printing printing)
{
        char *text = NULL;
        size_t length;
        FILE *file = open_memstream(&text, &length);
        const struct cli_output output = {
                .out = file, .err = file, .columns = printing.columns, .colour = printing.colour, .unicode = printing.unicode};

        cli_print_answer(answer, cowherd_verb_find(verb), &output);
        (void)fclose(file);
        cowherd_answer_free(answer);
        return text;
}

static void add_clone(struct cowherd_answer *answer, const char *name, const char *base, const char *state)
{
        answer_item(answer);
        answer_text(answer, "name", name);
        answer_text(answer, "base", base);
        answer_text(answer, "engine", "qemu");
        answer_text(answer, "store", "qcow2");
        answer_text(answer, "state", state);
        answer_ms(answer, "clone_ms", 0.31);
        answer_number(answer, "size_bytes", 2048);
        answer_also(answer, "vm", "name");
}

static struct cowherd_answer *clones(const char *format, const char *columns)
{
        struct cowherd_answer *answer = answer_new("list");

        answer_set_list(answer, format, columns);
        answer_list(answer);
        add_clone(answer, "web-1", "deb", "running");
        add_clone(answer, "web-2", "a \"b\",\nc\t\\", "stopped");
        answer_items_end(answer);
        answer_done(answer, "2 clones");
        return answer;
}

static const struct printing plain_80 = {.columns = 80};

/* Whatever the names are, a list fits; the state is there as long as there is room for it. */
static void test_names_of_any_length(void **state)
{
        (void)state;
        for (size_t length = 1; length < sizeof LONG_NAME; length++)
                for (size_t columns = 63; columns < 120; columns += 7) {
                        struct cowherd_answer *answer = answer_new("list");
                        owned_str char *name = x_strndup(LONG_NAME, length);
                        add_clone(answer, name, LONG_NAME, "stopped");
                        answer_items_end(answer);
                        answer_done(answer, "1 clone");
                        owned_str char *text = printed(answer, "list", (struct printing){.columns = columns});
                        check_fits(text, columns);
                        assert_non_null(strstr(text, name));
                        if (columns >= length + 9)
                                assert_non_null(strstr(text, "stopped"));
                }
}

static void test_two_long_names(void **state)
{
        struct cowherd_answer *answer = answer_new("list_snapshots");

        (void)state;
        answer_item(answer);
        answer_text(answer, "snapshot", LONG_NAME);
        answer_text(answer, "name", LONG_NAME);
        answer_items_end(answer);
        answer_done(answer, "1 snapshot");
        owned_str char *text = printed(answer, "list_snapshots", plain_80);
        assert_string_equal(text, "name: " LONG_NAME "\nsnapshot: " LONG_NAME "\n");
}

static void test_columns(void **state)
{
        (void)state;
        owned_str char *text = printed(clones(NULL, "STATE,vm,mac"), "list", plain_80);
        assert_string_equal(text, "STATE    VM     MAC\n"
                                  "running  web-1  -\n"
                                  "stopped  web-2  -\n");
        owned_str char *narrow = printed(clones(NULL, "name,base,engine"), "list", (struct printing){.columns = 16});
        assert_string_equal(narrow, "name: web-1\nbase: deb\nengine: qemu\n\nname: web-2\nbase: a \"b\", c \\\nengine: qemu\n");
        struct cowherd_answer *answer = clones("json", "state,size_bytes");
        owned_str char *json = cowherd_answer_json(answer);
        cowherd_answer_free(answer);
        assert_non_null(strstr(json, "\"items\":[{\"state\":\"running\",\"size_bytes\":2048},{\"state\":\"stopped\",\"size_bytes\":2048}]"));
}

static void test_formats(void **state)
{
        (void)state;
        owned_str char *csv = printed(clones("csv", "name,base,size_bytes,mac"), "list", plain_80);
        assert_string_equal(csv, "name,base,size_bytes,mac\nweb-1,deb,2048,\nweb-2,\"a \"\"b\"\",\nc\t\\\",2048,\n");
        owned_str char *tsv = printed(clones("tsv", "name,base"), "list", plain_80);
        assert_string_equal(tsv, "name\tbase\nweb-1\tdeb\nweb-2\ta \"b\",\\nc\\t\\\\\n");
        owned_str char *all = printed(clones("csv", NULL), "list", plain_80);
        assert_memory_equal(all, "name,base,engine,store,state,clone_ms,size_bytes\n", 49);
        owned_str char *plain = printed(clones("plain", "name,state,size_bytes"), "list", (struct printing){.columns = 10});
        assert_string_equal(plain, "web-1  running  2048\nweb-2  stopped  2048\n");
        owned_str char *table = printed(clones("table", "name"), "list", plain_80);
        assert_string_equal(table, "NAME\nweb-1\nweb-2\n");

        struct cowherd_answer *none = answer_new("list");
        answer_set_list(none, "csv", "name,state");
        answer_list(none);
        answer_done(none, "0 clones");
        owned_str char *heading = printed(none, "list", plain_80);
        assert_string_equal(heading, "name,state\n");
}

static void test_colours(void **state)
{
        (void)state;
        owned_str char *text = printed(clones(NULL, "name,state"), "list", (struct printing){.columns = 80, .colour = true});
        assert_string_equal(text, "\033[1mNAME   STATE\033[0m\nweb-1  \033[32mrunning\033[0m\nweb-2  \033[2mstopped\033[0m\n");
}

static void add_node(struct cowherd_answer *answer, const char *engine, const char *name, const char *role, unsigned depth)
{
        answer_item(answer);
        answer_text(answer, "name", name);
        answer_text(answer, "engine", engine);
        answer_text(answer, "role", role);
        answer_number(answer, "depth", depth);
        answer_text(answer, "store", "qcow2");
        if (strcmp(role, "clone") == 0)
                answer_text(answer, "state", "stopped");
        if (name[0] != 'l') {
                answer_number(answer, "unique_bytes", 16384);
                answer_number(answer, "shared_bytes", 3 << 20);
        }
}

static struct cowherd_answer *tree(void)
{
        struct cowherd_answer *answer = answer_new("tree");

        add_node(answer, "qemu", "deb", "base", 0);
        add_node(answer, "qemu", "web", "clone", 1);
        add_node(answer, "qemu", "sub", "clone", 2);
        add_node(answer, "qemu", "z", "clone", 1);
        add_node(answer, "qemu", "", "base", 0);
        add_node(answer, "lxd", "lost", "base", 0);
        answer_items_end(answer);
        answer_text(answer, "warning", "LXD does not answer");
        answer_done(answer, "done");
        return answer;
}

static void test_tree(void **state)
{
        (void)state;
        owned_str char *ascii = printed(tree(), "tree", plain_80);
        assert_string_equal(ascii, "warning: LXD does not answer\n"
                                   "qemu               STORE  STATE         OWN   SHARED\n"
                                   "|- deb             qcow2  base     16.0 KiB  3.0 MiB\n"
                                   "|  |- web          qcow2  stopped  16.0 KiB  3.0 MiB\n"
                                   "|  |  `- sub       qcow2  stopped  16.0 KiB  3.0 MiB\n"
                                   "|  `- z            qcow2  stopped  16.0 KiB  3.0 MiB\n"
                                   "`- (removed base)  qcow2  base     16.0 KiB  3.0 MiB\n"
                                   "lxd                STORE  STATE         OWN   SHARED\n"
                                   "`- lost            qcow2  base            ?        ?\n");
        owned_str char *drawn = printed(tree(), "tree", (struct printing){.columns = 80, .unicode = true});
        assert_non_null(strstr(drawn, "\n\xe2\x94\x82  \xe2\x94\x82  \xe2\x94\x94\xe2\x94\x80 sub "));
}

/* A name that leaves no room is whole, and its figures stand below. */
static void test_tree_of_long_names(void **state)
{
        (void)state;
        for (size_t columns = 72; columns < 130; columns += 4) {
                struct cowherd_answer *answer = answer_new("tree");
                add_node(answer, "qemu", "deb", "base", 0);
                add_node(answer, "qemu", LONG_NAME, "clone", 1);
                add_node(answer, "qemu", "under", "clone", 2);
                answer_items_end(answer);
                answer_done(answer, "done");
                owned_str char *text = printed(answer, "tree", (struct printing){.columns = columns, .unicode = columns % 8 == 0});
                check_fits(text, columns);
                assert_non_null(strstr(text, LONG_NAME));
        }
}

/* Whatever it is told, the line fits, and leaves the last column free. */
static void test_progress_fits(void **state)
{
        (void)state;
        for (size_t columns = 0; columns < 140; columns++)
                for (int unicode = 0; unicode < 2; unicode++) {
                        const struct cli_output output = {.columns = columns, .unicode = unicode != 0};
                        struct cli_progress progress = {.output = &output};
                        char line[1024];
                        for (unsigned long long step = 0; step < 20; step++) {
                                cli_format_progress(&progress, "copying 'a \xc3\xb6 name'\n\x1b that is long indeed, and longer still '" LONG_NAME "'",
                                                    step << 36, step % 2 == 0 ? 0 : 20ull << 36, (double)step * 700, columns, line, sizeof line);
                                assert_true(cli_columns_of(line) <= (columns == 0 ? 0 : columns - 1));
                                assert_null(strpbrk(line, "\n\x1b"));
                        }
                }
}

static void test_progress_says(void **state)
{
        const struct cli_output ascii = {.columns = 80}, drawn = {.columns = 80, .unicode = true};
        struct cli_progress progress = {.output = &ascii}, other = {.output = &drawn};
        char line[1024];

        (void)state;
        cli_format_progress(&progress, "copying the image", 0, 1ull << 30, 1000, 80, line, sizeof line);
        assert_string_equal(line, "  0% [------------------------] 0 B of 1.0 GiB  copying the image");
        cli_format_progress(&progress, "copying the image", 100ull << 20, 1ull << 30, 2000, 80, line, sizeof line);
        assert_string_equal(line, " 10% [--------] 100.0 MiB of 1.0 GiB, 100.0 MiB/s, 0:09 left  copying the image");
        cli_format_progress(&progress, "packing", 0, 0, 3000, 80, line, sizeof line);
        assert_string_equal(line, "packing");
        cli_format_progress(&progress, "packing", 0, 0, 65000, 80, line, sizeof line);
        assert_string_equal(line, "1:02  packing");
        cli_format_progress(&progress, "receiving", 5ull << 20, 0, 66000, 80, line, sizeof line);
        cli_format_progress(&progress, "receiving", 7ull << 20, 0, 67000, 80, line, sizeof line);
        assert_string_equal(line, "7.0 MiB, 2.0 MiB/s, 0:01  receiving");
        cli_format_progress(&progress, "copying the image", 512, 1024, 70000, 30, line, sizeof line);
        assert_string_equal(line, " 50% copying the image");
        cli_format_progress(&other, "x", 512, 1024, 70000, 60, line, sizeof line);
        assert_non_null(strstr(line, " 50% \xe2\x96\x88\xe2\x96\x88"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_of_any_length), cmocka_unit_test(test_two_long_names), cmocka_unit_test(test_columns),
                cmocka_unit_test(test_formats),             cmocka_unit_test(test_colours),        cmocka_unit_test(test_tree),
                cmocka_unit_test(test_tree_of_long_names), cmocka_unit_test(test_progress_fits), cmocka_unit_test(test_progress_says),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
