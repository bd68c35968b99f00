/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients' config.yml by libyaml's document tree: `remotes:` is a map of name to {addr, protocol, public},
 * `default-remote:` a name. All else in it is the client's own affair. The file is the user's and trusted as `lxc`
 * trusts it; it is bounded all the same.
 */
#include "lxd_api/remote.h"

#include "sys/file.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#define CONFIG_BYTES (1u << 20)
#define REMOTES_MAX 1000u

static void document_release(yaml_document_t *document)
{
        yaml_document_delete(document);
}
define_owned(yaml_document_t, document_release)

static void parser_release(yaml_parser_t *parser)
{
        yaml_parser_delete(parser);
}
define_owned(yaml_parser_t, parser_release)

        void lxd_remotes_free(struct lxd_remotes *remotes)
{
        for (size_t i = 0; i < remotes->count; i++) {
                free(remotes->items[i].name);
                free(remotes->items[i].address);
                free(remotes->items[i].protocol);
                free(remotes->items[i].certificate);
        }
        free(remotes->items);
        free(remotes->fallback);
        free(remotes->file);
        *remotes = (struct lxd_remotes){0};
}

static struct lxd_remote *find(const struct lxd_remotes *remotes, const char *name)
{
        for (size_t i = 0; i < remotes->count; i++)
                if (str_equal(remotes->items[i].name, name))
                        return &remotes->items[i];
        return NULL;
}

static struct lxd_remote *add(struct lxd_remotes *remotes, const char *name, const char *address, const char *protocol,
                              bool is_public)
{
        if (find(remotes, name) != NULL || remotes->count >= REMOTES_MAX)
                return NULL;
        remotes->items = x_reallocarray(remotes->items, remotes->count + 1, sizeof *remotes->items);
        remotes->items[remotes->count] = (struct lxd_remote){.name = x_strdup(name),
                                                             .address = x_strdup(address),
                                                             .protocol = x_strdup(protocol),
                                                             .is_public = is_public};
        return &remotes->items[remotes->count++];
}

static const char *scalar(const yaml_node_t *node)
{
        return node != NULL && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* The value of a key of a map, or NULL. */
static yaml_node_t *value_of(yaml_document_t *document, const yaml_node_t *map, const char *key)
{
        if (map == NULL || map->type != YAML_MAPPING_NODE)
                return NULL;
        for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++)
                if (str_equal(scalar(yaml_document_get_node(document, pair->key)), key))
                        return yaml_document_get_node(document, pair->value);
        return NULL;
}

/* The certificate that the client has pinned for a server: servercerts/NAME.crt beside its config.yml. */
static char *pinned_certificate(const char *folder, const char *name)
{
        struct cowherd_error ignored;
        char *text = NULL;

        if (folder == NULL || strchr(name, '/') != NULL)
                return NULL;
        owned_str char *path = x_asprintf("%s/servercerts/%s.crt", folder, name);
        return file_read(AT_FDCWD, path, CONFIG_BYTES, &text, NULL, &ignored) == 0 ? text : NULL;
}

static void add_of_map(struct lxd_remotes *remotes, yaml_document_t *document, const yaml_node_t *map,
                       const char *folder)
{
        if (map == NULL || map->type != YAML_MAPPING_NODE)
                return;
        for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
                const yaml_node_t *it = yaml_document_get_node(document, pair->value);
                const char *name = scalar(yaml_document_get_node(document, pair->key));
                const char *address = scalar(value_of(document, it, "addr"));
                const char *protocol = scalar(value_of(document, it, "protocol"));
                if (name == NULL || address == NULL)
                        continue;
                struct lxd_remote *remote = add(remotes, name, address, str_is_empty(protocol) ? "lxd" : protocol,
                                                str_equal(scalar(value_of(document, it, "public")), "true"));
                if (remote != NULL)
                        remote->certificate = pinned_certificate(folder, name);
        }
}

int lxd_remotes_parse(struct lxd_remotes *remotes, const char *text, size_t length, const char *file,
                      const char *folder, struct cowherd_error *err)
{
        owned_by(parser_release) yaml_parser_t parser = {0};
        owned_by(document_release) yaml_document_t document = {0};

        if (!yaml_parser_initialize(&parser))
                abort();
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
        if (!yaml_parser_load(&parser, &document))
                return fail(err, COWHERD_CONFIG, "'%s' line %zu is no YAML: %s", file, parser.problem_mark.line + 1,
                            parser.problem != NULL ? parser.problem : "it can't be parsed");
        const yaml_node_t *root = yaml_document_get_root_node(&document);
        const char *fallback = scalar(value_of(&document, root, "default-remote"));
        if (fallback != NULL && remotes->fallback == NULL)
                remotes->fallback = x_strdup(fallback);
        if (remotes->file == NULL)
                remotes->file = x_strdup(file);
        add_of_map(remotes, &document, value_of(&document, root, "remotes"), folder);
        return 0;
}

void lxd_remotes_add_built_in(struct lxd_remotes *remotes, bool incus)
{
        (void)add(remotes, "local", "unix://", incus ? "incus" : "lxd", false);
        (void)add(remotes, "ubuntu", "https://cloud-images.ubuntu.com/releases", "simplestreams", true);
        (void)add(remotes, "ubuntu-daily", "https://cloud-images.ubuntu.com/daily", "simplestreams", true);
        /* The community's server, which LXD 5.0.2 has built in, has since shut LXD out; Canonical's took its place. */
        (void)add(remotes, "images", incus ? "https://images.linuxcontainers.org" : "https://images.lxd.canonical.com",
                  "simplestreams", true);
        if (remotes->fallback == NULL)
                remotes->fallback = x_strdup("local");
}

static int load_folder(struct lxd_remotes *remotes, const char *folder, struct cowherd_error *err)
{
        owned_str char *file = x_asprintf("%s/config.yml", folder), *text = NULL;
        size_t length = 0;

        if (access(file, F_OK) < 0)
                return 0;
        if (file_read(AT_FDCWD, file, CONFIG_BYTES, &text, &length, err) < 0)
                return -1;
        return lxd_remotes_parse(remotes, text, length, file, folder, err);
}

/* The folder of the client's own configuration, to be freed, or NULL. */
static char *user_folder(bool incus)
{
        const char *set = getenv(incus ? "INCUS_CONF" : "LXD_CONF"), *home = getenv("HOME");

        if (!str_is_empty(set))
                return x_strdup(set);
        if (str_is_empty(home))
                return NULL;
        owned_str char *snap = x_asprintf("%s/snap/lxd/common/config", home);
        owned_str char *usual = x_asprintf("%s/.config/%s", home, incus ? "incus" : "lxc");
        return !incus && access(usual, F_OK) < 0 && access(snap, F_OK) == 0 ? take(snap) : take(usual);
}

int lxd_remotes_load(bool incus, struct lxd_remotes *ret, struct cowherd_error *err)
{
        owned_remotes struct lxd_remotes remotes = {0};
        owned_str char *own = user_folder(incus);
        const char *global = getenv(incus ? "INCUS_GLOBAL_CONF" : "LXD_GLOBAL_CONF");

        if (own != NULL && load_folder(&remotes, own, err) < 0)
                return -1;
        if (load_folder(&remotes, !str_is_empty(global) ? global : incus ? "/etc/incus" : "/etc/lxc", err) < 0)
                return -1;
        lxd_remotes_add_built_in(&remotes, incus);
        *ret = remotes;
        remotes = (struct lxd_remotes){0};
        return 0;
}

static int unknown_remote(const struct lxd_remotes *remotes, const char *name, struct cowherd_error *err)
{
        owned_string struct str known = {0};

        for (size_t i = 0; i < remotes->count && i < 20; i++)
                str_addf(&known, "%s%s", i > 0 ? ", " : "", remotes->items[i].name);
        (void)fail(err, COWHERD_NOT_FOUND, "image server '%s' not found among LXD's remotes (%s)", name,
                   str_text(&known));
        return fail_hint(err, "lxc remote add %s URL --protocol simplestreams", name);
}

int lxd_remotes_resolve(const struct lxd_remotes *remotes, const char *image, const struct lxd_remote **ret_remote,
                        const char **ret_alias, struct cowherd_error *err)
{
        const char *colon = strchr(image, ':');
        owned_str char *name = colon != NULL ? x_strndup(image, (size_t)(colon - image)) : x_strdup(remotes->fallback);
        const char *alias = colon != NULL ? colon + 1 : image;
        const struct lxd_remote *remote = find(remotes, name[0] != '\0' ? name : remotes->fallback);

        if (remote == NULL)
                return unknown_remote(remotes, name, err);
        if (str_starts(remote->address, "unix:")) {
                if (alias[0] == '\0')
                        return fail(err, COWHERD_USAGE, "image '%s' names a server but no image", image);
                *ret_remote = NULL;
                *ret_alias = alias;
                return 0;
        }
        *ret_remote = remote;
        *ret_alias = alias[0] != '\0' ? alias : "default";
        return 0;
}
