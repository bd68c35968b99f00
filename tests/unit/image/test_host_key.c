/* SPDX-License-Identifier: Apache-2.0 */
/* SSH host keys: read again as OpenSSH reads them, and by ssh-keygen itself where it is installed. */
#include "image/host_key_module.h"

#include "base/str.h"
#include "sys/process.h"

#include "scratch.h"

#include <nettle/base64.h>
#include <nettle/eddsa.h>

extern host_key_make_fn cowherd_host_key_make;

/* A cursor over an SSH structure. */
struct reading {
        const uint8_t *at;
        size_t left;
};

static uint32_t read_number(struct reading *reading)
{
        assert_true(reading->left >= 4);
        uint32_t number = (uint32_t)reading->at[0] << 24 | (uint32_t)reading->at[1] << 16 |
                          (uint32_t)reading->at[2] << 8 | reading->at[3];
        reading->at += 4;
        reading->left -= 4;
        return number;
}

static struct reading read_part(struct reading *reading)
{
        uint32_t length = read_number(reading);

        assert_true(reading->left >= length);
        struct reading part = {reading->at, length};
        reading->at += length;
        reading->left -= length;
        return part;
}

static void assert_part(struct reading *reading, const char *text)
{
        struct reading part = read_part(reading);

        assert_int_equal(part.left, strlen(text));
        assert_memory_equal(part.at, text, part.left);
}

static size_t decode(const char *text, size_t length, uint8_t *bytes, size_t room)
{
        struct base64_decode_ctx context;
        size_t count = room;

        base64_decode_init(&context);
        assert_int_equal(base64_decode_update(&context, &count, bytes, length, text), 1);
        assert_int_equal(base64_decode_final(&context), 1);
        return count;
}

static void a_key_is_what_openssh_reads(void **state)
{
        static const char head[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n",
                          foot[] = "-----END OPENSSH PRIVATE KEY-----\n";
        owned_str char *private_text = NULL, *public_text = NULL;
        uint8_t bytes[1024], blob[128], signature[ED25519_SIGNATURE_SIZE];

        (void)state;
        cowherd_host_key_make("root@web-1", &private_text, &public_text);
        assert_true(str_starts(private_text, head) && str_ends(private_text, foot));
        size_t count = decode(private_text + strlen(head), strlen(private_text) - strlen(head) - strlen(foot), bytes,
                              sizeof bytes);
        assert_memory_equal(bytes, "openssh-key-v1", 15);
        struct reading file = {bytes + 15, count - 15};
        assert_part(&file, "none");
        assert_part(&file, "none");
        assert_part(&file, "");
        assert_int_equal(read_number(&file), 1);
        struct reading public_blob = read_part(&file), part = read_part(&file);
        assert_int_equal(file.left, 0);

        assert_int_equal(part.left % 8, 0);
        assert_int_equal(read_number(&part), read_number(&part));
        assert_part(&part, "ssh-ed25519");
        struct reading public_key = read_part(&part), both = read_part(&part);
        assert_int_equal(both.left, 64);
        assert_memory_equal(both.at + 32, public_key.at, 32);
        assert_part(&part, "root@web-1");
        for (uint8_t i = 0; i < part.left; i++)
                assert_int_equal(part.at[i], i + 1);

        /* The two halves belong together, and the public line is the same key. */
        ed25519_sha512_sign(public_key.at, both.at, 5, (const uint8_t *)"hello", signature);
        assert_int_equal(ed25519_sha512_verify(public_key.at, 5, (const uint8_t *)"hello", signature), 1);
        assert_true(str_starts(public_text, "ssh-ed25519 ") && str_ends(public_text, " root@web-1\n"));
        const char *base64 = public_text + strlen("ssh-ed25519 ");
        size_t length = decode(base64, strcspn(base64, " "), blob, sizeof blob);
        assert_int_equal(length, public_blob.left);
        assert_memory_equal(blob, public_blob.at, length);
}

static void no_two_keys_are_equal(void **state)
{
        owned_str char *one = NULL, *two = NULL, *one_public = NULL, *two_public = NULL;

        (void)state;
        cowherd_host_key_make("root@a", &one, &one_public);
        cowherd_host_key_make("root@a", &two, &two_public);
        assert_string_not_equal(one, two);
        assert_string_not_equal(one_public, two_public);
}

static void ssh_keygen_takes_it(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *private_text = NULL, *public_text = NULL, *path = scratch_path(scratch, "key"), *said = NULL;
        owned_process struct process process = {.timeout_ms = 10000};
        struct cowherd_error err = {0};

        if (!process_exists("ssh-keygen"))
                return; /* the test above reads what it would */
        cowherd_host_key_make("root@web-1", &private_text, &public_text);
        scratch_write(scratch, "key", private_text);
        assert_int_equal(fchmodat(scratch->fd, "key", 0600, 0), 0);
        process_add(&process, "ssh-keygen", "-y", "-f", path, NULL);
        if (process_check(&process, &said, &err) < 0)
                print_error("%s\n", err.text);
        assert_non_null(said);
        assert_string_equal(said, public_text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_key_is_what_openssh_reads),
                cmocka_unit_test(no_two_keys_are_equal),
                scratch_test(ssh_keygen_takes_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
