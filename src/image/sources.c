/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sources.conf: which file is asked, and what it says. The whole file is read by sources_parse.c before anything of it
 * is believed, so that a slip in it is told at once and not when its section is needed. What it names becomes the root
 * of machines, so a file that somebody else may write is refused.
 */
#include "image/sources.h"

#include "config.h"
#include "image/sources_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1u << 20)

void source_free(struct source *source)
{
        free(source->file);
        free(source->image);
        free(source->metadata);
        free(source->rootfs);
        free(source->tarball);
        free(source->mirror);
        free(source->distro);
        free(source->release);
        *source = (struct source){0};
}

static int check_trust(int fd, const char *path, size_t *ret_length, struct cowherd_error *err)
{
        struct stat found;

        if (fstat(fd, &found) < 0)
                return fail_errno(err, "cannot look at '%s'", path);
        if (!S_ISREG(found.st_mode))
                return fail(err, COWHERD_CONFIG, "'%s' is not a file", path);
        if (found.st_uid != 0 && found.st_uid != geteuid())
                return fail(err, COWHERD_DENIED, "'%s' belongs to user %u, so it is not believed", path,
                            (unsigned)found.st_uid);
        if ((found.st_mode & S_IWOTH) != 0) {
                (void)fail(err, COWHERD_CONFIG, "'%s' can be written by everybody, so it is not believed", path);
                return fail_hint(err, "chmod o-w %s", path);
        }
        if (found.st_size > FILE_BYTES_MAX)
                return fail(err, COWHERD_CONFIG, "'%s' is larger than %u bytes", path, FILE_BYTES_MAX);
        *ret_length = (size_t)found.st_size;
        return 0;
}

/* The text of a sources.conf, the caller's; 1 where there is no such file. */
static int read_file(const char *path, char **ret_text, size_t *ret_length, struct cowherd_error *err)
{
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        size_t length = 0, done = 0;

        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? 1 : fail_errno(err, "cannot open '%s'", path);
        if (check_trust(fd, path, &length, err) < 0)
                return -1;
        owned_str char *text = x_malloc(length + 1);
        while (done < length) {
                ssize_t got = read(fd, text + done, length - done);
                if (got < 0)
                        return fail_errno(err, "cannot read '%s'", path);
                if (got == 0)
                        break; /* it was cut while we read */
                done += (size_t)got;
        }
        text[done] = '\0';
        *ret_text = take(text);
        *ret_length = done;
        return 0;
}

static int look_in(const char *path, const struct source_question *question, struct source *ret,
                   struct cowherd_error *err)
{
        owned_str char *text = NULL;
        size_t length = 0;

        int missing = read_file(path, &text, &length, err);
        if (missing != 0)
                return missing;
        return sources_parse(path, text, length, question, ret, err);
}

/* The files to ask, the nearest first. */
static void list_files(const char *root, struct strv *files)
{
        const char *home = getenv("HOME"), *configuration = getenv("XDG_CONFIG_HOME");

        strv_addf(files, "%s/sources.conf", root);
        if (geteuid() != 0 && configuration != NULL && configuration[0] == '/')
                strv_addf(files, "%s/cowherd/sources.conf", configuration);
        else if (geteuid() != 0 && home != NULL && home[0] == '/')
                strv_addf(files, "%s/.config/cowherd/sources.conf", home);
        strv_add(files, COWHERD_SYSCONFDIR "/cowherd/sources.conf");
}

static int look_everywhere(const char *root, const struct source_question *question, struct source *ret,
                           struct cowherd_error *err)
{
        owned_strv struct strv files = {0};

        list_files(root, &files);
        for (size_t i = 0; i < files.count; i++) {
                int found = look_in(files.items[i], question, ret, err);
                if (found <= 0)
                        return found;
        }
        return 1;
}

int source_of_image(const char *root, const char *image, struct source *ret, struct cowherd_error *err)
{
        return look_everywhere(root, &(struct source_question){.kind = "image", .name = image}, ret, err);
}

int source_of_distro(const char *root, const char *distro, const char *release, struct source *ret,
                     struct cowherd_error *err)
{
        return look_everywhere(root, &(struct source_question){.kind = "distro", .name = distro, .release = release},
                               ret, err);
}
