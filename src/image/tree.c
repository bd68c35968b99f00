/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tree is: whether it could be a root filesystem, and what its os-release says. A tree was written by others, so
 * every name in it is resolved as its own root would, and what is read is bounded.
 */
#include "image/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OS_RELEASE_BYTES_MAX (64u << 10)

/* Whether a path is there (of the type, if one is said), as the tree's own root would find it. */
static bool has(int tree, const char *path, mode_t type)
{
        struct cowherd_error ignored;
        struct stat found;
        owned_fd int fd = -1;

        if (file_open_in_root(tree, path, O_PATH, 0, &fd, &ignored) < 0 || fstat(fd, &found) < 0)
                return false;
        return type == 0 || (found.st_mode & S_IFMT) == type;
}

int tree_check(int tree, const char *name, struct cowherd_error *err)
{
        bool programs = has(tree, "bin", S_IFDIR) || has(tree, "usr/bin", S_IFDIR);
        bool init =
                has(tree, "sbin/init", S_IFREG) || has(tree, "usr/sbin/init", S_IFREG) || has(tree, "init", S_IFREG);

        if (!has(tree, "etc", S_IFDIR)) {
                (void)fail(err, COWHERD_DATA, "'%s' is not a root filesystem: it has no '/etc'", name);
                return has(tree, "rootfs/etc", S_IFDIR) ? fail_hint(err, "is it '%s/rootfs'?", name) : -1;
        }
        if (!programs && !init)
                return fail(err, COWHERD_DATA,
                            "'%s' is not a root filesystem: it has neither '/bin' nor '/usr/bin' nor an init", name);
        return 0;
}

/* Reads a file of a tree, at most OS_RELEASE_BYTES_MAX of it. 1 where it isn't there or isn't a regular file. */
static int read_in_tree(int tree, const char *path, char **ret_text, struct cowherd_error *err)
{
        owned_fd int fd = -1;
        struct stat found;
        size_t done = 0;

        if (!has(tree, path, S_IFREG))
                return 1;
        if (file_open_in_root(tree, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err) < 0)
                return -1;
        if (fstat(fd, &found) < 0 || !S_ISREG(found.st_mode))
                return 1;
        owned_str char *text = x_malloc(OS_RELEASE_BYTES_MAX + 1);
        while (done < OS_RELEASE_BYTES_MAX) {
                ssize_t got = read(fd, text + done, OS_RELEASE_BYTES_MAX - done);
                if (got < 0)
                        return fail_errno(err, "cannot read '%s' of the tree", path);
                if (got == 0)
                        break;
                done += (size_t)got;
        }
        text[done] = '\0';
        *ret_text = take(text);
        return 0;
}

/*
 * The value of an assignment as os-release(5) and a shell read it: bare, in '…', or in "…" where a backslash frees one
 * of $ " ` and itself. NULL where it isn't one, or isn't printable.
 */
static char *unquote(const char *value)
{
        struct str text owned_by(str_free) = {0};
        char quote = '\0';

        for (; *value != '\0'; value++) {
                if (quote == '\0' && (*value == '"' || *value == '\''))
                        quote = *value;
                else if (quote != '\0' && *value == quote)
                        quote = '\0';
                else if (*value == '\\' && quote != '\'' && value[1] != '\0' &&
                         (quote == '\0' || strchr("$\"`\\", value[1]) != NULL))
                        str_add_char(&text, *++value);
                else if (quote == '\0' && (*value == ' ' || *value == '\t'))
                        break;
                else
                        str_add_char(&text, *value);
        }
        if (quote != '\0' || text.length == 0)
                return NULL;
        for (size_t i = 0; i < text.length; i++)
                if (text.data[i] < ' ' || text.data[i] == 0x7f) /* bytes beyond ASCII are negative here, and no name */
                        return NULL;
        return str_take(&text);
}

/* The last assignment to a variable wins, as in a shell. The caller's, or NULL. */
static char *variable(const char *text, const char *name)
{
        size_t length = strlen(name);
        char *found = NULL;

        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
                line += strspn(line, " \t");
                if (strncmp(line, name, length) != 0 || line[length] != '=')
                        continue;
                owned_str char *value = x_strndup(line + length + 1, strcspn(line + length + 1, "\r\n"));
                free(found);
                found = unquote(value);
        }
        return found;
}

int tree_identify(int tree, char **ret_distro, char **ret_release, struct cowherd_error *err)
{
        static const char *const places[] = {"etc/os-release", "usr/lib/os-release"};
        owned_str char *text = NULL;

        for (size_t i = 0; i < array_length(places) && text == NULL; i++)
                if (read_in_tree(tree, places[i], &text, err) < 0)
                        return -1;
        const char *lines = text == NULL ? "" : text;
        char *release = variable(lines, "VERSION_ID");
        *ret_distro = variable(lines, "ID");
        *ret_release = release != NULL ? release : variable(lines, "VERSION_CODENAME");
        return 0;
}
