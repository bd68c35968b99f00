/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, written and read. Reading is checking: what gets through can be put into a file, a path or a system call as it is. Each
 * request's first field is the number of its layout, so that a later one is refused and not misread.
 */
#include "guest/protocol.h"

#include <string.h>

#define LAYOUT 1u
#define WORD_BYTES (128u << 10) /* MAX_ARG_STRLEN */

/* ---- What texts may be ---- */

static bool is_made_of(const char *text, const char *others)
{
        for (; *text != '\0'; text++) {
                bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9');
                if (!letter && strchr(others, *text) == NULL)
                        return false;
        }
        return true;
}

static bool is_hex(const char *text)
{
        return strspn(text, "0123456789abcdef") == strlen(text);
}

/* Printable, of one line. */
static bool is_line(const char *text)
{
        for (; *text != '\0'; text++)
                if ((unsigned char)*text < ' ' || *text == '\x7f')
                        return false;
        return true;
}

static bool is_hostname(const char *text)
{
        return text[0] != '-' && text[0] != '.' && is_made_of(text, "-_.");
}

static bool is_link(const char *text)
{
        return strlen(text) < 16 && text[0] != '.' && is_made_of(text, "-_.");
}

static bool is_mac(const char *text)
{
        static const char digits[] = "0123456789abcdefABCDEF";
        bool some = false;

        if (strlen(text) != 17)
                return false;
        for (size_t i = 0; i < 17; i++) {
                if (i % 3 == 2 ? text[i] != ':' : strchr(digits, text[i]) == NULL)
                        return false;
                some |= i % 3 != 2 && text[i] != '0';
        }
        return some && strchr("02468aceACE", text[1]) != NULL; /* not of a group */
}

static bool is_private_key(const char *text)
{
        static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n", end[] = "-----END OPENSSH PRIVATE KEY-----\n";

        return str_starts(text, begin) && str_ends(text, end) && is_made_of(text, "+/=- \n");
}

/* Of one line, with its end or without. */
static bool is_public_key(const char *text)
{
        size_t length = strcspn(text, "\n");

        return str_starts(text, "ssh-ed25519 ") && (text[length] == '\0' || text[length + 1] == '\0') &&
               strlen(text) == strspn(text, "\n") + length + (text[length] == '\n');
}

static bool is_path(const char *text)
{
        return text[0] == '/' && is_line(text);
}

/* ---- The identity ---- */

void guest_identity_free(struct guest_identity *identity)
{
        free(identity->instance_id);
        free(identity->hostname);
        free(identity->machine_id);
        free(identity->link);
        free(identity->mac);
        free(identity->host_key);
        free(identity->host_key_public);
        free(identity->login);
        free(identity->seed);
        *identity = (struct guest_identity){0};
}

void guest_identity_put(struct str *out, const struct guest_identity *identity)
{
        guest_put_number(out, LAYOUT);
        guest_put_text(out, identity->instance_id);
        guest_put_text(out, identity->hostname);
        guest_put_text(out, identity->machine_id);
        guest_put_text(out, identity->link);
        guest_put_text(out, identity->mac);
        guest_put_text(out, identity->host_key);
        guest_put_text(out, identity->host_key_public);
        guest_put_text(out, identity->login);
        guest_put_text(out, identity->seed);
        guest_put_long(out, identity->wall_ns);
        guest_put_number(out, identity->renew);
        guest_put_number(out, identity->sync);
}

/* What is wrong with it, or NULL. */
static const char *check_identity(const struct guest_identity *identity)
{
        const struct {
                const char *name, *text;
                bool good;
        } fields[] = {
                {"instance-id", identity->instance_id, is_line(identity->instance_id)},
                {"hostname", identity->hostname, is_hostname(identity->hostname)},
                {"machine-id", identity->machine_id, strlen(identity->machine_id) == 32 && is_hex(identity->machine_id)},
                {"link", identity->link, is_link(identity->link)},
                {"mac", identity->mac, is_mac(identity->mac)},
                {"host-key", identity->host_key, is_private_key(identity->host_key)},
                {"host-key-public", identity->host_key_public, is_public_key(identity->host_key_public)},
                {"login", identity->login, is_line(identity->login)},
                {"seed", identity->seed, strlen(identity->seed) % 2 == 0 && is_hex(identity->seed)},
        };

        for (size_t i = 0; i < array_length(fields); i++)
                if (fields[i].text[0] != '\0' && !fields[i].good)
                        return fields[i].name;
        return (identity->host_key[0] == '\0') != (identity->host_key_public[0] == '\0') ? "host-key" : NULL;
}

bool guest_identity_get(const void *payload, size_t length, struct guest_identity *ret, const char **ret_what)
{
        struct guest_reader reader = {.at = payload, .left = length};
        uint32_t layout = guest_get_number(&reader);
        owned_guest_identity struct guest_identity identity = {0};

        identity.instance_id = guest_get_text(&reader, GUEST_NAME_BYTES);
        identity.hostname = guest_get_text(&reader, GUEST_HOSTNAME_BYTES);
        identity.machine_id = guest_get_text(&reader, GUEST_NAME_BYTES);
        identity.link = guest_get_text(&reader, GUEST_NAME_BYTES);
        identity.mac = guest_get_text(&reader, GUEST_NAME_BYTES);
        identity.host_key = guest_get_text(&reader, GUEST_KEY_BYTES);
        identity.host_key_public = guest_get_text(&reader, GUEST_KEY_BYTES);
        identity.login = guest_get_text(&reader, GUEST_LOGIN_BYTES);
        identity.seed = guest_get_text(&reader, 2 * GUEST_SEED_BYTES);
        identity.wall_ns = guest_get_long(&reader);
        uint32_t renew = guest_get_number(&reader);
        uint32_t sync = guest_get_number(&reader);
        identity.renew = renew == 1;
        identity.sync = sync == 1;
        const char *what = layout != LAYOUT ? "layout" : !guest_get_end(&reader) || renew > 1 || sync > 1 ? "length" : check_identity(&identity);
        if (what != NULL) {
                *ret_what = what;
                return false;
        }
        *ret = identity;
        identity = (struct guest_identity){0};
        return true;
}

/* ---- Mounts ---- */

void guest_mount_free(struct guest_mount *mount)
{
        free(mount->tag);
        free(mount->path);
        *mount = (struct guest_mount){0};
}

void guest_mount_put(struct str *out, const struct guest_mount *mount)
{
        guest_put_number(out, LAYOUT);
        guest_put_text(out, mount->tag);
        guest_put_text(out, mount->path);
        guest_put_number(out, mount->read_only);
}

bool guest_mount_get(const void *payload, size_t length, struct guest_mount *ret, const char **ret_what)
{
        struct guest_reader reader = {.at = payload, .left = length};
        uint32_t layout = guest_get_number(&reader);
        owned_guest_mount struct guest_mount mount = {0};

        mount.tag = guest_get_text(&reader, 31); /* of virtio-9p */
        mount.path = guest_get_text(&reader, GUEST_PATH_BYTES - 1);
        uint32_t read_only = guest_get_number(&reader);
        mount.read_only = read_only == 1;
        const char *what = layout != LAYOUT                             ? "layout"
                           : !guest_get_end(&reader) || read_only > 1   ? "length"
                           : mount.tag[0] == '\0' || !is_link(mount.tag) ? "tag"
                           : !is_path(mount.path)                       ? "path"
                                                                        : NULL;
        if (what != NULL) {
                *ret_what = what;
                return false;
        }
        *ret = mount;
        mount = (struct guest_mount){0};
        return true;
}

/* ---- Commands ---- */

void guest_run_free(struct guest_run *run)
{
        strv_free(&run->argv);
        strv_free(&run->environment);
        free(run->folder);
        free(run->user);
        free(run->term);
        *run = (struct guest_run){0};
}

static void put_words(struct str *out, const struct strv *words)
{
        guest_put_number(out, (uint32_t)words->count);
        for (size_t i = 0; i < words->count; i++)
                guest_put_text(out, words->items[i]);
}

void guest_run_put(struct str *out, const struct guest_run *run)
{
        guest_put_number(out, LAYOUT);
        put_words(out, &run->argv);
        put_words(out, &run->environment);
        guest_put_text(out, run->folder);
        guest_put_text(out, run->user);
        guest_put_text(out, run->term);
        guest_put_number(out, run->flags);
        guest_put_number(out, run->rows);
        guest_put_number(out, run->columns);
        guest_put_long(out, run->timeout_ms);
}

static void get_words(struct guest_reader *reader, struct strv *ret)
{
        uint32_t count = guest_get_number(reader);

        if (count > GUEST_WORDS)
                reader->bad = true;
        for (uint32_t i = 0; i < count && !reader->bad; i++)
                strv_take(ret, guest_get_text(reader, WORD_BYTES - 1));
}

static const char *check_run(const struct guest_run *run)
{
        if (run->argv.count > 0 && run->argv.items[0][0] == '\0')
                return "command";
        for (size_t i = 0; i < run->environment.count; i++)
                if (strchr(run->environment.items[i], '=') == NULL || run->environment.items[i][0] == '=')
                        return "environment";
        if (!is_line(run->user) || strpbrk(run->user, ":/ ") != NULL)
                return "user";
        if (!is_made_of(run->term, "-_.+"))
                return "terminal";
        if ((run->flags & ~(GUEST_RUN_TERMINAL | GUEST_RUN_NO_INPUT)) != 0 || run->rows > UINT16_MAX || run->columns > UINT16_MAX)
                return "flags";
        return NULL;
}

bool guest_run_get(const void *payload, size_t length, struct guest_run *ret, const char **ret_what)
{
        struct guest_reader reader = {.at = payload, .left = length};
        uint32_t layout = guest_get_number(&reader);
        owned_guest_run struct guest_run run = {0};

        get_words(&reader, &run.argv);
        get_words(&reader, &run.environment);
        run.folder = guest_get_text(&reader, GUEST_PATH_BYTES - 1);
        run.user = guest_get_text(&reader, GUEST_NAME_BYTES);
        run.term = guest_get_text(&reader, GUEST_NAME_BYTES);
        run.flags = guest_get_number(&reader);
        run.rows = guest_get_number(&reader);
        run.columns = guest_get_number(&reader);
        run.timeout_ms = guest_get_long(&reader);
        const char *what = layout != LAYOUT ? "layout" : !guest_get_end(&reader) ? "length" : check_run(&run);
        if (what != NULL) {
                *ret_what = what;
                return false;
        }
        *ret = run;
        run = (struct guest_run){0};
        return true;
}
