/* SPDX-License-Identifier: Apache-2.0 */
/* The tables: of a whole document, of an empty one, and never wider than a terminal. */
#include "compare/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *whole; /* a document with all that there can be */

static size_t widest_line(const char *text)
{
        size_t widest = 0;

        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
                size_t width = 0;
                for (const char *at = line; *at != '\0' && *at != '\n'; at++)
                        width += ((unsigned char)*at & 0xc0) != 0x80;
                widest = width > widest ? width : widest;
        }
        return widest;
}

static void test_a_whole_document(void **state)
{
        static const char *const parts[] = {"PERFORMANCE\n", "\nSPACE\n", "\nISOLATION", "\nCOPY-ON-WRITE\n", "\nSET-UP\n", "\nMEASURED\n"};
        json_t *document = json_load_file(whole, 0, NULL);

        (void)state;
        assert_non_null(document);
        owned_str char *text = text_of_document(document);
        for (size_t i = 0; i < array_length(parts); i++)
                assert_non_null(strstr(text, parts[i]));
        assert_true(widest_line(text) <= 80);
        json_decref(document);
}

static void test_what_was_not_measured_is_a_dash(void **state)
{
        json_t *document = json_loads("{\"figures\":[{\"engine\":\"qemu\",\"store\":\"qcow2\",\"figure\":\"clone\",\"unit\":\"ms\",\"n\":1,\"ours\":{\"median\":0.25},\"raw\":null},"
                                      "{\"engine\":\"qemu\",\"store\":\"qcow2\",\"figure\":\"burst\",\"burst_count\":100,\"unit\":\"ms\",\"n\":3,\"ours\":{\"median\":12000,\"p95\":13000},"
                                      "\"raw\":{\"median\":24000},\"ratio\":0.05}],"
                                      "\"space\":[{\"engine\":\"qemu\",\"store\":\"qcow2\",\"base_bytes\":1048576,\"clone_bytes\":12288,\"apparent_bytes\":0,\"full_copy_bytes\":null,"
                                      "\"saved_percent\":null}],\"failed\":[{\"engine\":\"lxd\",\"store\":\"lxd_pool\",\"figure\":\"clone\",\"error\":\"it broke\",\"code\":71}],"
                                      "\"left_out\":[{\"engine\":\"qemu\",\"store\":\"qcow2\",\"figure\":\"first_command\",\"why\":\"it can't be booted\"}]}", 0, NULL);

        (void)state;
        assert_non_null(document);
        owned_str char *text = text_of_document(document);
        assert_non_null(strstr(text, "qemu   qcow2    clone, in-process         0.25 ms         -         -      -   1\n"));
        assert_non_null(strstr(text, "qemu   qcow2    burst of 100, each         12.0 s    13.0 s    24.0 s  0.050   3\n"));
        assert_non_null(strstr(text, "qemu   qcow2         1.0 MiB     12.0 KiB          0 B            -         -\n"));
        assert_non_null(strstr(text, "FAILED\nlxd on lxd_pool, clone: it broke\n"));
        assert_non_null(strstr(text, "LEFT OUT\nqemu on qcow2, first_command: it can't be booted\n"));
        json_decref(document);
}

static void test_the_same_facts_are_told_once(void **state)
{
        json_t *document = json_loads("{\"isolation\":[{\"engine\":\"nspawn\",\"store\":\"btrfs\",\"facts\":[{\"name\":\"user\",\"value\":\"root is 123 outside\"}]},"
                                      "{\"engine\":\"nspawn\",\"store\":\"overlay\",\"facts\":[{\"name\":\"user\",\"value\":\"root is 98765 outside\"}]},"
                                      "{\"engine\":\"nspawn\",\"store\":\"zfs\",\"facts\":[{\"name\":\"user\",\"value\":\"root is root outside\"}]}]}", 0, NULL);

        (void)state;
        owned_str char *text = text_of_document(document);
        assert_non_null(strstr(text, "nspawn on btrfs\n  user: root is 123 outside\nnspawn on overlay: the same\nnspawn on zfs\n  user: root is root outside\n"));
        json_decref(document);
}

static void test_an_empty_document(void **state)
{
        json_t *document = json_object();

        (void)state;
        owned_str char *text = text_of_document(document);
        assert_true(widest_line(text) <= 80);
        json_decref(document);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_whole_document),
                cmocka_unit_test(test_what_was_not_measured_is_a_dash),
                cmocka_unit_test(test_the_same_facts_are_told_once),
                cmocka_unit_test(test_an_empty_document),
        };

        whole = argc > 1 ? argv[1] : "";
        return cmocka_run_group_tests_name("compare text", tests, NULL, NULL);
}
