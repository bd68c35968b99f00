/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words that describe a machine: network=bridge:br0, ports=8080:80,127.0.0.1:2222:22, mount=/srv:/mnt:ro. Each is parsed
 * by one function, which says what was expected; a clone is refused by it, and a start reads by it what the clone kept.
 */
#include "herd/machine.h"

#include "base/number.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 64            /* ports or mounts of one machine */
#define INTERFACE_NAME_MAX 15   /* IFNAMSIZ - 1 */
#define SSH_KEY_BYTES 16384
#define USER_DATA_BYTES (256u << 10)

/* Keeps a copy of a part of a text as long as the machine lives. */
static const char *keep(struct machine *machine, const char *text, size_t length)
{
        owned_str char *copy = x_strndup(text, length);

        strv_add(&machine->words, copy);
        return machine->words.items[machine->words.count - 1];
}

static int parse_network(struct machine *machine, const char *text, struct cowherd_error *err)
{
        static const struct {
                const char *word;
                enum engine_network network;
        } words[] = {{"none", ENGINE_NETWORK_NONE}, {"user", ENGINE_NETWORK_USER}, {"host", ENGINE_NETWORK_HOST}};

        for (size_t i = 0; i < array_length(words); i++)
                if (str_equal(text, words[i].word)) {
                        machine->machine.network = words[i].network;
                        return 0;
                }
        if (str_starts(text, "bridge:")) {
                const char *name = text + strlen("bridge:");
                size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
                if (length > 0 && length <= INTERFACE_NAME_MAX && name[length] == '\0' && name[0] != '.' && name[0] != '-') {
                        machine->machine.network = ENGINE_NETWORK_BRIDGE;
                        machine->machine.bridge = keep(machine, name, length);
                        return 0;
                }
        }
        (void)fail(err, COWHERD_USAGE, "network='%s' is no network", text);
        return fail_hint(err, "expected none, user, host or bridge:NAME, NAME being a bridge of this host");
}

static bool parse_port_number(const char *text, size_t length, uint16_t *ret)
{
        uint64_t number = 0;
        owned_str char *digits = x_strndup(text, length);

        if (!number_parse(digits, &number) || number == 0 || number > UINT16_MAX)
                return false;
        *ret = (uint16_t)number;
        return true;
}

/* [ADDRESS:]HOST:GUEST[/udp|/tcp]; an IPv6 address stands in brackets. */
static int parse_port(struct machine *machine, const char *word, struct engine_port *ret, struct cowherd_error *err)
{
        struct engine_port port = {0};
        size_t length = strlen(word);
        const char *slash = memchr(word, '/', length);

        if (slash != NULL) {
                port.udp = str_equal(slash, "/udp");
                length = port.udp || str_equal(slash, "/tcp") ? (size_t)(slash - word) : 0;
        }
        const char *last = memrchr(word, ':', length);
        const char *first = last == NULL ? NULL : memrchr(word, ':', (size_t)(last - word));
        const char *host = first == NULL ? word : first + 1;
        if (last != NULL && parse_port_number(host, (size_t)(last - host), &port.host) &&
            parse_port_number(last + 1, length - (size_t)(last + 1 - word), &port.guest)) {
                if (first != NULL && word[0] == '[' && first[-1] == ']')
                        port.address = keep(machine, word + 1, (size_t)(first - 1 - (word + 1)));
                else if (first != NULL && memchr(word, ':', (size_t)(first - word)) == NULL)
                        port.address = keep(machine, word, (size_t)(first - word));
                if (first == NULL || (port.address != NULL && port.address[strspn(port.address, "0123456789abcdefABCDEF.:")] == '\0' &&
                                      port.address[0] != '\0')) {
                        *ret = port;
                        return 0;
                }
        }
        (void)fail(err, COWHERD_USAGE, "ports= has '%s', which is no port", word);
        return fail_hint(err, "expected HOST:GUEST or ADDRESS:HOST:GUEST, numbers from 1 to 65535, with /udp behind where it is not TCP");
}

static bool is_clean_path(const char *path)
{
        return path[0] == '/' && strstr(path, "/../") == NULL && !str_ends(path, "/..");
}

/* HOST:GUEST[:ro|:rw]. */
static int parse_mount(struct machine *machine, const char *word, struct engine_mount *ret, struct cowherd_error *err)
{
        size_t length = strlen(word);
        struct engine_mount mount = {.read_only = str_ends(word, ":ro")};

        if (mount.read_only || str_ends(word, ":rw"))
                length -= strlen(":ro");
        const char *colon = memchr(word, ':', length);
        if (colon != NULL && memchr(colon + 1, ':', length - (size_t)(colon + 1 - word)) == NULL) {
                mount.host = keep(machine, word, (size_t)(colon - word));
                mount.guest = keep(machine, colon + 1, length - (size_t)(colon + 1 - word));
                if (is_clean_path(mount.host) && is_clean_path(mount.guest) && mount.guest[1] != '\0') {
                        *ret = mount;
                        return 0;
                }
        }
        (void)fail(err, COWHERD_USAGE, "mount= has '%s', which names no folders", word);
        return fail_hint(err, "expected HOST:GUEST or HOST:GUEST:ro, two absolute paths");
}

/* The words of a text that stand between commas. 64 where there are too many, or an empty one. */
static int split(const char *key, const char *text, struct strv *ret, struct cowherd_error *err)
{
        for (const char *at = text;;) {
                size_t length = strcspn(at, ",");
                owned_str char *word = x_strndup(at, length);
                if (length == 0 || ret->count == WORDS_MAX)
                        return fail(err, COWHERD_USAGE, length == 0 ? "%s='%s' has nothing between two commas" : "%s='%s' has too many words", key, text);
                strv_add(ret, word);
                if (at[length] == '\0')
                        return 0;
                at += length + 1;
        }
}

static int parse_ports(struct machine *machine, const char *text, struct cowherd_error *err)
{
        struct strv words owned_by(strv_free) = {0};

        if (split("ports", text, &words, err) < 0)
                return -1;
        machine->ports = x_calloc(words.count, sizeof *machine->ports);
        for (size_t i = 0; i < words.count; i++) {
                struct engine_port *port = &machine->ports[i];
                if (parse_port(machine, words.items[i], port, err) < 0)
                        return -1;
                for (size_t j = 0; j < i; j++)
                        if (machine->ports[j].host == port->host && machine->ports[j].udp == port->udp &&
                            str_equal(machine->ports[j].address, port->address))
                                return fail(err, COWHERD_USAGE, "ports= leads the host's port %u to two ports", (unsigned)port->host);
        }
        machine->machine.ports = machine->ports;
        machine->machine.port_count = words.count;
        return 0;
}

static int parse_mounts(struct machine *machine, const char *text, struct cowherd_error *err)
{
        struct strv words owned_by(strv_free) = {0};

        if (split("mount", text, &words, err) < 0)
                return -1;
        machine->mounts = x_calloc(words.count, sizeof *machine->mounts);
        for (size_t i = 0; i < words.count; i++)
                if (parse_mount(machine, words.items[i], &machine->mounts[i], err) < 0)
                        return -1;
        machine->machine.mounts = machine->mounts;
        machine->machine.mount_count = words.count;
        return 0;
}

int machine_parse(struct machine *machine, struct cowherd_error *err)
{
        const char *network = json_string_value(json_object_get(machine->extra, "network"));
        const char *ports = json_string_value(json_object_get(machine->extra, "ports"));
        const char *mounts = json_string_value(json_object_get(machine->extra, "mount"));
        const char *os = json_string_value(json_object_get(machine->extra, "os"));
        const char *firmware = json_string_value(json_object_get(machine->extra, "firmware"));

        if ((network != NULL && parse_network(machine, network, err) < 0) || (ports != NULL && parse_ports(machine, ports, err) < 0) ||
            (mounts != NULL && parse_mounts(machine, mounts, err) < 0))
                return -1;
        machine->machine.os = str_equal(os, "windows") ? ENGINE_OS_WINDOWS : str_equal(os, "other") ? ENGINE_OS_OTHER : ENGINE_OS_LINUX;
        machine->machine.firmware = str_equal(firmware, "uefi") ? ENGINE_FIRMWARE_UEFI
                                    : str_equal(firmware, "bios") ? ENGINE_FIRMWARE_BIOS
                                                                  : ENGINE_FIRMWARE_DEFAULT;
        machine->machine.acceleration = json_string_value(json_object_get(machine->extra, "accel"));
        if (machine->machine.port_count > 0 &&
            (machine->machine.network == ENGINE_NETWORK_NONE || machine->machine.network == ENGINE_NETWORK_HOST)) {
                (void)fail(err, COWHERD_USAGE, "ports= leads nowhere with network=%s", network);
                return fail_hint(err, network[0] == 'n' ? "leave ports= out, or take network=user" : "the guest's ports are the host's own there: leave ports= out");
        }
        return 0;
}

/* A public key, or the file that has it: one line. */
static int read_ssh_key(const char *said, char **ret, struct cowherd_error *err)
{
        owned_str char *text = NULL;

        if (str_starts(said, "ssh-") || str_starts(said, "ecdsa-") || str_starts(said, "sk-"))
                text = x_strdup(said);
        else if (file_read(AT_FDCWD, said, SSH_KEY_BYTES, &text, NULL, err) < 0)
                return fail_while(err, "reading ssh_key=");
        size_t length = strcspn(text, "\r\n");
        bool one_line = text[length] == '\0' || text[length + strspn(text + length, "\r\n")] == '\0';
        text[length] = '\0';
        if (!one_line || !(str_starts(text, "ssh-") || str_starts(text, "ecdsa-") || str_starts(text, "sk-")) || strchr(text, ' ') == NULL || !str_is_utf8(text, length)) {
                (void)fail(err, COWHERD_DATA, "ssh_key='%.100s' is not one public key", said);
                return fail_hint(err, "expected a line such as 'ssh-ed25519 AAAA… me@host', or the path of a file with one (id_ed25519.pub)");
        }
        *ret = take(text);
        return 0;
}

static int read_user_data(const char *path, char **ret, struct cowherd_error *err)
{
        size_t length = 0;
        owned_str char *text = NULL;

        if (file_read(AT_FDCWD, path, USER_DATA_BYTES, &text, &length, err) < 0)
                return fail_while(err, "reading user_data=");
        if (strlen(text) != length || !str_is_utf8(text, length))
                return fail(err, COWHERD_DATA, "user_data='%s' is no text in UTF-8", path);
        *ret = take(text);
        return 0;
}

/* Keys that only QEMU has a use for. */
static int refuse_for_engine(const struct request *request, enum cowherd_target target, struct cowherd_error *err)
{
        static const struct {
                enum key key;
                const char *name;
        } of_qemu[] = {{KEY_OS, "os"}, {KEY_FIRMWARE, "firmware"}, {KEY_ACCEL, "accel"}};

        for (size_t i = 0; target != COWHERD_QEMU && i < array_length(of_qemu); i++)
                if (request_has(request, of_qemu[i].key)) {
                        (void)fail(err, COWHERD_UNAVAILABLE, "%s= is for virtual machines: %s has none", of_qemu[i].name, cowherd_target_name(target));
                        return fail_hint(err, "leave %s= out", of_qemu[i].name);
                }
        return 0;
}

static int put_files(const struct request *request, json_t *extra, struct cowherd_error *err)
{
        owned_str char *key = NULL, *data = NULL;

        if (request_has(request, KEY_SSH_KEY)) {
                if (read_ssh_key(request_text(request, KEY_SSH_KEY), &key, err) < 0)
                        return -1;
                (void)json_object_set_new(extra, "ssh_key", json_string(key));
        }
        if (request_has(request, KEY_USER_DATA)) {
                if (read_user_data(request_text(request, KEY_USER_DATA), &data, err) < 0)
                        return -1;
                (void)json_object_set_new(extra, "user_data", json_string(data));
        }
        return 0;
}

/* What a clone has of what it is made of: how the machine is built. Ports can be its own only; a key and user-data are inside already. */
static int inherit(json_t *extra, const char *inherited, struct cowherd_error *err)
{
        static const char *const handed_on[] = {"network", "os", "firmware", "accel"};

        if (inherited == NULL)
                return 0;
        json_t *theirs = json_loads(inherited, 0, NULL);
        if (theirs == NULL)
                return fail(err, COWHERD_INTERNAL, "what a row says of its machine is no JSON");
        for (size_t i = 0; i < array_length(handed_on); i++)
                (void)json_object_set(extra, handed_on[i], json_object_get(theirs, handed_on[i]));
        json_decref(theirs);
        return 0;
}

char *machine_handed_on(const char *extra)
{
        json_t *handed_on = json_object();
        struct cowherd_error ignored;
        char *text = NULL;

        if (inherit(handed_on, extra, &ignored) == 0 && json_object_size(handed_on) > 0)
                text = json_dumps(handed_on, JSON_COMPACT);
        json_decref(handed_on);
        return text;
}

int machine_extra(const struct request *request, enum cowherd_target target, const char *inherited, char **ret, struct cowherd_error *err)
{
        static const struct {
                enum key key;
                const char *name;
        } kept[] = {{KEY_NETWORK, "network"}, {KEY_PORTS, "ports"}, {KEY_MOUNT, "mount"}, {KEY_OS, "os"}, {KEY_FIRMWARE, "firmware"}, {KEY_ACCEL, "accel"}};
        struct machine trial owned_by(machine_free) = {0};

        trial.extra = json_object();
        if (inherit(trial.extra, inherited, err) < 0 || refuse_for_engine(request, target, err) < 0)
                return -1;
        for (size_t i = 0; i < array_length(kept); i++)
                if (request_has(request, kept[i].key))
                        (void)json_object_set_new(trial.extra, kept[i].name, json_string(request_text(request, kept[i].key)));
        if (put_files(request, trial.extra, err) < 0 || machine_parse(&trial, err) < 0)
                return -1;
        *ret = json_object_size(trial.extra) == 0 ? NULL : json_dumps(trial.extra, JSON_COMPACT);
        return 0;
}
