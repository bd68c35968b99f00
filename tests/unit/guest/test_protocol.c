/* SPDX-License-Identifier: Apache-2.0 */
/* Frames through damage of all kinds, and requests that are not of the grammar. */
#include "guest/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KEY "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl+/==\n-----END OPENSSH PRIVATE KEY-----\n"
#define PUBLIC "ssh-ed25519 AAAAC3Nz+/= \n"

/* Takes bytes in pieces; how many frames came. *ret_last is the last one's payload. */
static size_t decode_all(struct guest_decoder *decoder, const struct str *bytes, size_t piece, struct str *ret_last)
{
        size_t count = 0;

        for (size_t from = 0; from < bytes->length; from += piece) {
                const uint8_t *at = (const uint8_t *)bytes->data + from;
                size_t left = bytes->length - from < piece ? bytes->length - from : piece;
                struct guest_frame frame;
                while (guest_decode(decoder, &at, &left, &frame)) {
                        ret_last->length = 0;
                        str_add_bytes(ret_last, frame.payload, frame.length);
                        count++;
                }
        }
        return count;
}

static void expect_round_trip(const uint8_t *payload, size_t length, size_t piece)
{
        owned_decoder struct guest_decoder decoder = {0};
        owned_string struct str bytes = {0}, last = {0};

        guest_frame_reset(&bytes);
        guest_frame_add(&bytes, GUEST_INPUT, 0x1234, payload, length);
        assert_null(memchr(bytes.data + 1, 0, bytes.length - 2));
        assert_int_equal(decode_all(&decoder, &bytes, piece, &last), 1);
        assert_int_equal(last.length, length);
        assert_memory_equal(last.data, payload, length);
        assert_int_equal(decoder.dropped, 0);
}

static void test_frames_of_every_length(void **state)
{
        static uint8_t payload[GUEST_PAYLOAD_BYTES];
        static const size_t lengths[] = {0, 1, 2, 240, 245, 246, 247, 248, 253, 254, 255, 500, 508, 65535, 65536};

        (void)state;
        for (size_t kind = 0; kind < 3; kind++) {
                for (size_t i = 0; i < sizeof payload; i++)
                        payload[i] = kind == 0 ? 0 : kind == 1 ? 1 : (uint8_t)(i * 7 % 256);
                for (size_t i = 0; i < array_length(lengths); i++) {
                        expect_round_trip(payload, lengths[i], lengths[i] > 1000 ? 4096 : 1);
                        expect_round_trip(payload, lengths[i], SIZE_MAX / 2);
                }
        }
}

static void test_a_header_tells_itself(void **state)
{
        owned_decoder struct guest_decoder decoder = {0};
        owned_string struct str bytes = {0};
        struct guest_frame frame = {0};

        (void)state;
        guest_frame_add(&bytes, GUEST_ENDED, 0xfffe, "abc", 3);
        const uint8_t *at = (const uint8_t *)bytes.data;
        size_t left = bytes.length;
        assert_true(guest_decode(&decoder, &at, &left, &frame));
        assert_int_equal(frame.type, GUEST_ENDED);
        assert_int_equal(frame.channel, 0xfffe);
        assert_int_equal(left, 0);
}

static void test_a_frame_cut_anywhere_is_dropped_and_the_next_one_comes(void **state)
{
        owned_string struct str whole = {0};
        uint8_t payload[600];

        (void)state;
        for (size_t i = 0; i < sizeof payload; i++)
                payload[i] = (uint8_t)(i % 5);
        guest_frame_add(&whole, GUEST_INPUT, 1, payload, sizeof payload);
        for (size_t cut = 1; cut < whole.length; cut++) {
                owned_decoder struct guest_decoder decoder = {0};
                owned_string struct str bytes = {0}, last = {0};
                str_add_bytes(&bytes, whole.data, cut - 1); /* without its end */
                guest_frame_reset(&bytes);
                guest_frame_add(&bytes, GUEST_PING, 2, "next", 4);
                assert_int_equal(decode_all(&decoder, &bytes, 97, &last), 1);
                assert_memory_equal(last.data, "next", 4);
                assert_int_equal(decoder.dropped, cut > 1);
        }
}

static void test_what_is_too_long_is_dropped(void **state)
{
        owned_decoder struct guest_decoder decoder = {0};
        owned_string struct str bytes = {0}, last = {0};

        (void)state;
        for (size_t i = 0; i < 300000; i++)
                str_add_char(&bytes, (char)(i % 255 + 1));
        guest_frame_reset(&bytes);
        guest_frame_add(&bytes, GUEST_PING, 2, "next", 4);
        assert_int_equal(decode_all(&decoder, &bytes, 5000, &last), 1);
        assert_int_equal(decoder.dropped, 1);
}

static void test_a_long_request_comes_in_pieces(void **state)
{
        owned_decoder struct guest_decoder decoder = {0};
        owned_string struct str bytes = {0}, last = {0};
        char *text = x_calloc(1, 200000);

        (void)state;
        guest_message_add(&bytes, GUEST_RUN, 3, text, 200000);
        assert_int_equal(decode_all(&decoder, &bytes, 65536, &last), 4);
        assert_int_equal(last.length, 200000 - 3 * GUEST_PAYLOAD_BYTES);
        free(text);
}

static void test_a_reader_meets_its_end(void **state)
{
        owned_string struct str bytes = {0};

        (void)state;
        guest_put_number(&bytes, 7);
        guest_put_text(&bytes, "word");
        guest_put_long(&bytes, UINT64_C(1) << 40);
        for (size_t length = 0; length <= bytes.length; length++) {
                struct guest_reader reader = {.at = (const uint8_t *)bytes.data, .left = length};
                (void)guest_get_number(&reader);
                owned_str char *word = guest_get_text(&reader, 4);
                (void)word;
                (void)guest_get_long(&reader);
                assert_true(guest_get_end(&reader) == (length == bytes.length));
        }
        struct guest_reader reader = {.at = (const uint8_t *)bytes.data, .left = bytes.length};
        (void)guest_get_number(&reader);
        owned_str char *long_word = guest_get_text(&reader, 3);
        assert_true(reader.bad);
        assert_string_equal(long_word, "");
}

/* ---- Identities ---- */

static struct guest_identity good(void)
{
        return (struct guest_identity){.instance_id = x_strdup("iid-1"),
                                       .hostname = x_strdup("web-1"),
                                       .machine_id = x_strdup("0123456789abcdef0123456789abcdef"),
                                       .link = x_strdup("eth0"),
                                       .mac = x_strdup("52:54:00:aa:BB:cc"),
                                       .host_key = x_strdup(KEY),
                                       .host_key_public = x_strdup(PUBLIC),
                                       .login = x_strdup("ssh-ed25519 AAAA somebody@somewhere"),
                                       .seed = x_strdup("00ff"),
                                       .wall_ns = 1,
                                       .renew = true};
}

/* What is refused of it, or NULL. */
static const char *refused(const struct guest_identity *identity)
{
        owned_guest_identity struct guest_identity read = {0};
        owned_string struct str bytes = {0};
        const char *what = NULL;

        guest_identity_put(&bytes, identity);
        if (!guest_identity_get(bytes.data, bytes.length, &read, &what))
                return what;
        assert_string_equal(read.hostname, identity->hostname == NULL ? "" : identity->hostname);
        assert_string_equal(read.host_key, identity->host_key == NULL ? "" : identity->host_key);
        assert_int_equal(read.wall_ns, identity->wall_ns);
        return NULL;
}

static void expect_refused(size_t field, const char *value, const char *what)
{
        owned_guest_identity struct guest_identity identity = good();
        char **fields[] = {&identity.instance_id, &identity.hostname, &identity.machine_id, &identity.link,
                           &identity.mac, &identity.host_key, &identity.host_key_public, &identity.login, &identity.seed};

        free(*fields[field]);
        *fields[field] = x_strdup(value);
        const char *found = refused(&identity);
        if (what == NULL)
                assert_null(found);
        else
                assert_string_equal(found == NULL ? "nothing" : found, what);
}

static void test_an_identity_is_checked_to_the_last_letter(void **state)
{
        static const struct {
                size_t field;
                const char *value, *what;
        } cases[] = {
                {0, "a\nb", "instance-id"},
                {1, "-web", "hostname"}, {1, ".web", "hostname"}, {1, "we b", "hostname"}, {1, "we/b", "hostname"}, {1, "we\nb", "hostname"},
                {1, "w\xc3\xa4" "b", "hostname"}, {1, "", NULL},
                {1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
                {1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "length"},
                {2, "0123456789abcdef0123456789abcde", "machine-id"}, {2, "0123456789ABCDEF0123456789abcdef", "machine-id"},
                {2, "0123456789abcdef0123456789abcdef0", "machine-id"},
                {3, "../eth0", "link"}, {3, "..", "link"}, {3, "a234567890123456", "link"}, {3, "eth0/x", "link"}, {3, "br_0.1-x", NULL},
                {4, "52:54:00:aa:bb", "mac"}, {4, "52-54-00-aa-bb-cc", "mac"}, {4, "53:54:00:aa:bb:cc", "mac"}, {4, "00:00:00:00:00:00", "mac"},
                {4, "52:54:00:aa:bb:cg", "mac"},
                {5, "hello", "host-key"}, {5, "", "host-key"},
                {5, "-----BEGIN OPENSSH PRIVATE KEY-----\n\x01\n-----END OPENSSH PRIVATE KEY-----\n", "host-key"},
                {6, "ssh-rsa AAAA", "host-key-public"}, {6, "ssh-ed25519 AAAA\nssh-ed25519 BBBB\n", "host-key-public"}, {6, "", "host-key"},
                {7, "ssh-ed25519 AAAA\nssh-rsa BBBB", "login"},
                {8, "0", "seed"}, {8, "0g", "seed"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++)
                expect_refused(cases[i].field, cases[i].value, cases[i].what);
}

static void test_no_request_is_read_from_less_or_more(void **state)
{
        owned_guest_identity struct guest_identity identity = good(), read = {0};
        owned_string struct str bytes = {0};
        const char *what = NULL;

        (void)state;
        guest_identity_put(&bytes, &identity);
        for (size_t length = 0; length < bytes.length; length++)
                assert_false(guest_identity_get(bytes.data, length, &read, &what));
        str_add_char(&bytes, 'x');
        assert_false(guest_identity_get(bytes.data, bytes.length, &read, &what));
        assert_string_equal(what, "length");
        bytes.data[0] = 2;
        assert_false(guest_identity_get(bytes.data, bytes.length, &read, &what));
        assert_string_equal(what, "layout");
}

/* ---- Commands and mounts ---- */

static const char *run_refused(const struct guest_run *run)
{
        owned_guest_run struct guest_run read = {0};
        owned_string struct str bytes = {0};
        const char *what = NULL;

        guest_run_put(&bytes, run);
        return guest_run_get(bytes.data, bytes.length, &read, &what) ? NULL : what;
}

static void test_commands(void **state)
{
        static const char *const words[] = {"ls", "", NULL}, *const variables[] = {"A=", NULL}, *const bad[] = {"=A", NULL};
        struct guest_run run = {.argv = {(char **)(uintptr_t)words, 2, 0}, .environment = {(char **)(uintptr_t)variables, 1, 0}};

        (void)state;
        assert_null(run_refused(&run));
        run.user = (char *)(uintptr_t)"a:b";
        assert_string_equal(run_refused(&run), "user");
        run.user = NULL;
        run.term = (char *)(uintptr_t)"x;y";
        assert_string_equal(run_refused(&run), "terminal");
        run.term = NULL;
        run.flags = 8;
        assert_string_equal(run_refused(&run), "flags");
        run.flags = 0;
        run.rows = 70000;
        assert_string_equal(run_refused(&run), "flags");
        run.rows = 0;
        run.environment.items = (char **)(uintptr_t)bad;
        assert_string_equal(run_refused(&run), "environment");
        run.environment.count = 0;
        run.argv.items = (char **)(uintptr_t)words + 1;
        run.argv.count = 1;
        assert_string_equal(run_refused(&run), "command");
}

static const char *mount_refused(const char *tag, const char *path)
{
        const struct guest_mount mount = {.tag = (char *)(uintptr_t)tag, .path = (char *)(uintptr_t)path};
        owned_guest_mount struct guest_mount read = {0};
        owned_string struct str bytes = {0};
        const char *what = NULL;

        guest_mount_put(&bytes, &mount);
        return guest_mount_get(bytes.data, bytes.length, &read, &what) ? NULL : what;
}

static void test_mounts(void **state)
{
        (void)state;
        assert_null(mount_refused("cowherd0", "/srv/a b"));
        assert_string_equal(mount_refused("", "/srv"), "tag");
        assert_string_equal(mount_refused("a,b", "/srv"), "tag");
        assert_string_equal(mount_refused("cowherd0", "srv"), "path");
        assert_string_equal(mount_refused("cowherd0", "/srv\n"), "path");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_frames_of_every_length),
                cmocka_unit_test(test_a_header_tells_itself),
                cmocka_unit_test(test_a_frame_cut_anywhere_is_dropped_and_the_next_one_comes),
                cmocka_unit_test(test_what_is_too_long_is_dropped),
                cmocka_unit_test(test_a_long_request_comes_in_pieces),
                cmocka_unit_test(test_a_reader_meets_its_end),
                cmocka_unit_test(test_an_identity_is_checked_to_the_last_letter),
                cmocka_unit_test(test_no_request_is_read_from_less_or_more),
                cmocka_unit_test(test_commands),
                cmocka_unit_test(test_mounts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
