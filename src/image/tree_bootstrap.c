/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree from a distribution's packages, by mmdebstrap(1). All words are checked before they become arguments: a mirror
 * that is no URL would be read by mmdebstrap as a file of apt sources, and a package that begins with '?' or '/' means
 * something else to apt. mmdebstrap's last line only says that it failed, so the error carries its first "E:" line.
 */
#include "image/tree.h"

#include "sys/process.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#define BOOTSTRAP_TIMEOUT_MS (UINT64_C(2) * 60 * 60 * 1000)
#define ALWAYS_INCLUDED "systemd,systemd-sysv,dbus"

struct distribution {
        const char *name;
        const char *newest; /* stable release */
        const char *keyring;
        const char *keyring_package;
        const char *components; /* where its own mirror is used; NULL: mmdebstrap's default */
};

static const struct distribution distributions[] = {
        {"debian", "bookworm", "/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring", NULL},
        {"ubuntu", "jammy", "/usr/share/keyrings/ubuntu-archive-keyring.gpg", "ubuntu-keyring", "main,universe"},
};

/* Mirrors know code names only; people know numbers too. */
static const struct {
        const char *distribution;
        const char *number;
        const char *codename;
} releases[] = {
        {"debian", "11", "bullseye"}, {"debian", "12", "bookworm"}, {"debian", "13", "trixie"},
        {"ubuntu", "20.04", "focal"}, {"ubuntu", "22.04", "jammy"}, {"ubuntu", "24.04", "noble"},
};

static int find_distribution(const char *name, const struct distribution **ret, struct cowherd_error *err)
{
        for (size_t i = 0; i < array_length(distributions); i++)
                if (str_equal_case(distributions[i].name, name)) {
                        *ret = &distributions[i];
                        return 0;
                }
        (void)fail(err, COWHERD_UNAVAILABLE, "no way is known to make a tree of '%s' (expected 'debian' or 'ubuntu')",
                   name);
        return fail_hint(err,
                         "give a folder by rootfs= or a tarball by tarball=, or name a source for it in sources.conf");
}

static const char *codename_of(const struct distribution *distribution, const char *release)
{
        if (str_is_empty(release))
                return distribution->newest;
        for (size_t i = 0; i < array_length(releases); i++)
                if (strcmp(releases[i].distribution, distribution->name) == 0 &&
                    strcmp(releases[i].number, release) == 0)
                        return releases[i].codename;
        return release;
}

/* Whether a word begins with a letter or digit and goes on with those and `others`. */
static bool is_word(const char *word, const char *others)
{
        if (!isalnum((unsigned char)word[0]))
                return false;
        for (; *word != '\0'; word++)
                if (!isalnum((unsigned char)*word) && strchr(others, *word) == NULL)
                        return false;
        return true;
}

static int check_words(const char *release, const char *variant, const char *mirror, struct cowherd_error *err)
{
        static const char *const schemes[] = {"http://", "https://", "file:/", "copy:/"};

        if (!is_word(release, ".-_/"))
                return fail(err, COWHERD_USAGE,
                            "release '%s' is no release's name (expected one like 'bookworm' or '22.04')", release);
        if (!is_word(variant, "-"))
                return fail(err, COWHERD_USAGE, "variant '%s' is no variant's name (expected one like 'minbase')",
                            variant);
        if (mirror == NULL)
                return 0;
        for (const char *at = mirror; *at != '\0'; at++)
                if (*at <= ' ' || *at == 0x7f)
                        return fail(err, COWHERD_USAGE, "mirror '%s' holds a blank or a control character", mirror);
        for (size_t i = 0; i < array_length(schemes); i++)
                if (str_starts(mirror, schemes[i]))
                        return 0;
        return fail(err, COWHERD_USAGE, "mirror '%s' is no URL (expected http://, https://, file:/ or copy:/)", mirror);
}

/* "systemd,systemd-sysv,dbus,nginx": what is always in it and what was asked for, each once. */
static int list_packages(const char *packages, char **ret, struct cowherd_error *err)
{
        struct strv words owned_by(strv_free) = {0};
        owned_str char *copy = x_asprintf(ALWAYS_INCLUDED ",%s", packages == NULL ? "" : packages);
        struct str text owned_by(str_free) = {0};
        char *rest = copy;

        for (char *word = strsep(&rest, ", \t\n"); word != NULL; word = strsep(&rest, ", \t\n")) {
                if (*word == '\0' || strv_has(&words, word))
                        continue;
                if (!is_word(word, "+.-:=~"))
                        return fail(err, COWHERD_USAGE, "'%s' is no package's name", word);
                strv_add(&words, word);
                str_addf(&text, "%s%s", text.length > 0 ? "," : "", word);
        }
        *ret = str_take(&text);
        return 0;
}

/*
 * Without its keyring a distribution's own mirror can't be believed. (A mirror that was named may be signed by a key
 * which apt knows by other means; there mmdebstrap itself says what is missing.)
 */
static int check_keyring(const struct distribution *distribution, const char *mirror, struct cowherd_error *err)
{
        if (mirror != NULL || access(distribution->keyring, R_OK) == 0)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "the keys of %s are missing ('%s')", distribution->name,
                   distribution->keyring);
        return fail_hint(err, "apt install %s", distribution->keyring_package);
}

static void add_mode(struct process *process)
{
        process_add(process, "mmdebstrap", geteuid() == 0 ? "--mode=root" : "--mode=unshare", "--format=directory",
                    NULL);
}

/* mmdebstrap's first line of what went wrong, the caller's. */
static char *first_complaint(const char *errors)
{
        static const char *const marks[] = {"E: ", "mmdebstrap: ", ""};

        for (size_t i = 0; i < array_length(marks); i++)
                for (const char *line = errors; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
                        if (*line != '\n' && str_starts(line, marks[i]))
                                return x_strndup(line + strlen(marks[i]), strcspn(line, "\n") - strlen(marks[i]));
        return x_strdup("it said nothing");
}

static int run(const struct process *process, struct cowherd_error *err)
{
        struct process_result result owned_by(process_result_free) = {0};

        if (process_run(process, &result, err) < 0)
                return err->code == COWHERD_UNAVAILABLE ? fail_hint(err, "apt install mmdebstrap") : -1;
        if (result.status == 0)
                return 0;
        owned_str char *complaint = first_complaint(result.errors == NULL ? "" : result.errors);
        (void)fail(err, COWHERD_SYSTEM, "mmdebstrap failed (status %d): %s", result.status, complaint);
        return fail_hint(err, "without a network, name a mirror by mirror=, or a local source in sources.conf");
}

int tree_bootstrap(const struct tree_bootstrap *wanted, const char *path, void (*line)(void *context, const char *text),
                   void *context, struct cowherd_error *err)
{
        const char *mirror = str_is_empty(wanted->mirror) ? NULL : wanted->mirror;
        const char *variant = str_is_empty(wanted->variant) ? "minbase" : wanted->variant;
        struct process process owned_by(process_free) = {.timeout_ms = BOOTSTRAP_TIMEOUT_MS};
        const struct distribution *distribution = NULL;
        owned_str char *packages = NULL;

        if (path[0] != '/')
                return fail(err, COWHERD_INTERNAL, "the folder '%s' to make a tree in is not absolute", path);
        if (find_distribution(wanted->distro, &distribution, err) < 0)
                return -1;
        const char *release = codename_of(distribution, wanted->release);
        if (check_words(release, variant, mirror, err) < 0)
                return -1;
        if (list_packages(wanted->packages, &packages, err) < 0)
                return -1;
        if (check_keyring(distribution, mirror, err) < 0)
                return -1;
        if (wanted->lock > 0)
                process.keep[process.keep_count++] = wanted->lock;
        add_mode(&process);
        strv_addf(&process.argv, "--variant=%s", variant);
        strv_addf(&process.argv, "--include=%s", packages);
        if (mirror == NULL && distribution->components != NULL)
                strv_addf(&process.argv, "--components=%s", distribution->components);
        process_add(&process, release, path, mirror, NULL);
        process.lines_to_progress = line != NULL;
        process.on_line = line;
        process.on_line_context = context;
        return run(&process, err);
}
