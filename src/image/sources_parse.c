/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a sources.conf: `[KIND NAME…]` sections of `key = value` lines. A `#` that begins a line or follows a
 * blank begins a comment; a value may stand in double quotes, inside which nothing is special. Keys of a section are
 * members of struct source, found by one table.
 */
#include "image/sources_file.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define BLANKS " \t"

struct key {
        const char *name;
        const char *kinds; /* the sections it may stand in */
        size_t offset;     /* of its member in struct source */
        bool is_path;
};

static const struct key keys[] = {
        {"image", "image", offsetof(struct source, image), true},
        {"metadata", "image", offsetof(struct source, metadata), true},
        {"rootfs", "image distro", offsetof(struct source, rootfs), true},
        {"tarball", "distro", offsetof(struct source, tarball), true},
        {"mirror", "distro", offsetof(struct source, mirror), false},
        {"distro", "image distro", offsetof(struct source, distro), false},
        {"release", "image distro", offsetof(struct source, release), false},
};

/* How well a section answers the question. */
enum fit { FIT_NONE, FIT_ALL_RELEASES, FIT_EXACT };

struct parser {
        const char *path;
        const struct source_question *question;
        unsigned line;
        char *section;         /* "image ubuntu:22.04", NULL before the first */
        const char *kind;      /* "image" or "distro" */
        struct source current; /* of the section being read */
        enum fit fit;
        struct strv seen; /* sections, so that none is said twice */
        struct source best;
        enum fit best_fit;
};

static void parser_free(struct parser *p)
{
        free(p->section);
        source_free(&p->current);
        source_free(&p->best);
        strv_free(&p->seen);
}
define_owned(struct parser, parser_free)

/* 78: "FILE:LINE: what". Always -1. */
static int format_like(3, 4) bad_line(const struct parser *p, struct cowherd_error *err, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        owned_str char *what = x_vasprintf(format, args);
        va_end(args);
        return fail(err, COWHERD_CONFIG, "%s:%u: %s", p->path, p->line, what);
}

static char **member_of(struct source *source, const struct key *key)
{
        return (char **)(void *)((char *)source + key->offset);
}

/* A relative path is relative to the file; an image that is no file beside it is a name for LXD, left as it is. */
static char *resolve(const struct parser *p, const struct key *key, const char *value)
{
        const char *slash = strrchr(p->path, '/');

        if (!key->is_path || value[0] == '/' || slash == NULL)
                return x_strdup(value);
        char *path = x_asprintf("%.*s/%s", (int)(slash - p->path), p->path, value);
        if (strcmp(key->name, "image") == 0 && access(path, F_OK) < 0) {
                free(path);
                return x_strdup(value);
        }
        return path;
}

static int check_origins(const struct parser *p, struct cowherd_error *err)
{
        const struct source *s = &p->current;
        int roots = (s->rootfs != NULL) + (s->tarball != NULL) + (s->mirror != NULL);

        if (strcmp(p->kind, "image") == 0) {
                if (s->image == NULL && s->metadata == NULL && s->rootfs == NULL)
                        return bad_line(p, err, "section '[%s]' before this says none of image, metadata and rootfs",
                                        p->section);
                if (s->image != NULL && (s->metadata != NULL || s->rootfs != NULL))
                        return bad_line(p, err, "section '[%s]' before this says image and metadata or rootfs as well",
                                        p->section);
                return 0;
        }
        if (roots != 1)
                return bad_line(p, err, "section '[%s]' before this says %s of rootfs, tarball and mirror", p->section,
                                roots == 0 ? "none" : "more than one");
        return 0;
}

/* Ends the section being read: it is kept where it answers better than one before it. */
static int end_section(struct parser *p, struct cowherd_error *err)
{
        if (p->section == NULL)
                return 0;
        if (check_origins(p, err) < 0)
                return -1;
        if (p->fit > p->best_fit) {
                source_free(&p->best);
                p->best = p->current;
                p->current = (struct source){0};
                p->best_fit = p->fit;
        }
        source_free(&p->current);
        x_replace(&p->section, NULL);
        return 0;
}

static enum fit fit_of(const struct source_question *question, const char *kind, const char *name, const char *release)
{
        if (strcmp(question->kind, kind) != 0)
                return FIT_NONE;
        if (strcmp(kind, "image") == 0)
                return strcmp(question->name, name) == 0 ? FIT_EXACT : FIT_NONE;
        if (!str_equal_case(question->name, name))
                return FIT_NONE;
        if (release == NULL)
                return FIT_ALL_RELEASES;
        return str_equal_case(question->release, release) ? FIT_EXACT : FIT_NONE;
}

/* "[distro ubuntu jammy]", brackets taken off, the words in `text` cut apart in place. */
static int begin_section(struct parser *p, char *text, struct cowherd_error *err)
{
        struct strv words owned_by(strv_free) = {0};
        char *rest = text;

        if (end_section(p, err) < 0)
                return -1;
        for (char *word = strsep(&rest, BLANKS); word != NULL; word = strsep(&rest, BLANKS))
                if (*word != '\0')
                        strv_add(&words, word);
        const char *kind = words.count > 0 ? words.items[0] : "";
        if (strcmp(kind, "image") != 0 && strcmp(kind, "distro") != 0)
                return bad_line(p, err, "unknown section '[%s]' (expected '[image NAME]' or '[distro NAME]')", kind);
        p->kind = strcmp(kind, "image") == 0 ? "image" : "distro";
        size_t most = strcmp(kind, "image") == 0 ? 2 : 3;
        if (words.count < 2 || words.count > most)
                return bad_line(p, err, "section '[%s]' has %zu names (expected %s)", kind, words.count - 1,
                                most == 2 ? "one" : "a name and perhaps a release");
        const char *release = words.count == 3 ? words.items[2] : NULL;
        p->section = x_asprintf("%s %s%s%s", kind, words.items[1], release == NULL ? "" : " ",
                                release == NULL ? "" : release);
        if (strv_has(&p->seen, p->section))
                return bad_line(p, err, "section '[%s]' is there twice", p->section);
        strv_add(&p->seen, p->section);
        p->fit = fit_of(p->question, kind, words.items[1], release);
        p->current.file = x_asprintf("%s:%u", p->path, p->line);
        return 0;
}

static int set_value(struct parser *p, const char *name, const char *value, struct cowherd_error *err)
{
        const struct key *key = NULL;
        const char *candidates[array_length(keys)];
        size_t count = 0;

        if (p->section == NULL)
                return bad_line(p, err, "key '%s' stands before any section", name);
        for (size_t i = 0; i < array_length(keys); i++) {
                if (!str_in_words(keys[i].kinds, p->kind))
                        continue;
                candidates[count++] = keys[i].name;
                if (strcmp(keys[i].name, name) == 0)
                        key = &keys[i];
        }
        if (key == NULL) {
                const char *near = str_nearest(name, candidates, count);
                return bad_line(p, err, "unknown key '%s' in '[%s]'%s%s%s", name, p->section,
                                near == NULL ? "" : " (did you mean '", near == NULL ? "" : near,
                                near == NULL ? "" : "'?)");
        }
        if (*member_of(&p->current, key) != NULL)
                return bad_line(p, err, "key '%s' is there twice in '[%s]'", name, p->section);
        if (value[0] == '\0')
                return bad_line(p, err, "key '%s' has no value", name);
        *member_of(&p->current, key) = resolve(p, key, value);
        return 0;
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
        text += strspn(text, BLANKS "\r");
        for (size_t length = strlen(text); length > 0 && strchr(BLANKS "\r", text[length - 1]) != NULL; length--)
                text[length - 1] = '\0';
        return text;
}

/* Cuts off a comment: a '#' at the beginning or after a blank, outside of double quotes. */
static void cut_comment(char *line)
{
        bool quoted = false;

        for (char *at = line; *at != '\0'; at++) {
                if (*at == '"')
                        quoted = !quoted;
                if (*at == '#' && !quoted && (at == line || strchr(BLANKS, at[-1]) != NULL)) {
                        *at = '\0';
                        return;
                }
        }
}

static int read_value(struct parser *p, char *line, char *equals, struct cowherd_error *err)
{
        *equals = '\0';
        char *name = trim(line), *value = trim(equals + 1);
        size_t length = strlen(value);

        if (value[0] == '"') {
                if (length < 2 || value[length - 1] != '"' || memchr(value + 1, '"', length - 2) != NULL)
                        return bad_line(p, err, "the quotes of key '%s' do not match", name);
                value[length - 1] = '\0';
                value++;
        }
        return set_value(p, name, value, err);
}

static int read_line(struct parser *p, char *line, struct cowherd_error *err)
{
        cut_comment(line);
        line = trim(line);
        size_t length = strlen(line);
        char *equals = strchr(line, '=');

        if (length == 0)
                return 0;
        if (line[0] == '[') {
                if (line[length - 1] != ']')
                        return bad_line(p, err, "'%s' has no ']' at its end", line);
                line[length - 1] = '\0';
                return begin_section(p, line + 1, err);
        }
        if (equals == NULL || equals == line)
                return bad_line(p, err, "'%s' is neither '[section]' nor 'key = value'", line);
        return read_value(p, line, equals, err);
}

int sources_parse(const char *path, const char *text, size_t length, const struct source_question *question,
                  struct source *ret, struct cowherd_error *err)
{
        struct parser p owned_by(parser_free) = {.path = path, .question = question};
        owned_str char *copy = x_strndup(text, length);
        char *rest = copy;

        if (strlen(copy) != length || !str_is_utf8(text, length))
                return fail(err, COWHERD_CONFIG, "'%s' is not text", path);
        for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
                p.line++;
                if (read_line(&p, line, err) < 0)
                        return -1;
        }
        if (end_section(&p, err) < 0)
                return -1;
        if (p.best_fit == FIT_NONE)
                return 1;
        *ret = p.best;
        p.best = (struct source){0};
        return 0;
}
