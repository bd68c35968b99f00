/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a qcow2 clone loose: qemu-img reads its whole chain and writes a file without a backing file beside, which then takes
 * the place of the clone's own. What headers say about other files is never followed, as a guest that broke out of its virtual
 * machine can have written them: the chain is spelt out, with every format said, and goes down the objects that the catalogue
 * knows. The files are named by way of the place's open folder, which is short, and has nothing in it that would need quoting.
 */
#include "store/qcow2.h"

#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct telling {
        void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes);
        void *context;
        uint64_t total_bytes;
};

/* "    (12.50/100%)" */
static void on_line(void *context, const char *line)
{
        const struct telling *telling = context;
        unsigned whole, part;

        if (sscanf(line, " (%u.%2u/100%%)", &whole, &part) != 2 || whole > 100)
                return;
        telling->report(telling->context, telling->total_bytes / 10000 * (whole * 100 + part), telling->total_bytes);
}

/* What its own header says that an overlay stands on must be what the catalogue knows: else something would be lost. */
static int check_header(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES], backing[QCOW2_BACKING_PATH_BYTES] = "";
        owned_fd int disk = -1;
        struct qcow2_seen seen;

        if (qcow2_open_disk(place, object, false, &disk, err) < 0)
                return -1;
        if (object->base == NULL && object->role != STORE_CLONE)
                return 0; /* as it was registered: a raw disk, or a qcow2 that was looked at then */
        if (qcow2_overlay_read(disk, store_object_path(object, path), &seen, err) < 0)
                return -1;
        if (object->base != NULL)
                (void)qcow2_backing_name(object->base, backing);
        if (!str_equal(seen.backing_name, backing))
                return fail(err, COWHERD_DATA, "'%s' has the backing file '%s' and not '%s'", path, seen.backing_name, backing);
        return 0;
}

/* Adds the options that open an object and all below it. */
static int add_chain(struct str *text, const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        unsigned depth = 0;

        for (; object != NULL; object = object->base, depth++) {
                if (check_header(place, object, err) < 0)
                        return -1;
                str_addf(text, "%s{\"driver\":\"%s\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/%d/%s\"}",
                         depth == 0 ? "json:" : ",\"backing\":", object->format, place->fd, store_object_path(object, path));
                if (object->base == NULL && str_equal(object->format, "qcow2"))
                        str_add(text, ",\"backing\":null");
        }
        while (depth-- > 0)
                str_add_char(text, '}');
        return 0;
}

static int convert(const struct store_place *place, const struct store_object *clone, const char *to, struct telling *telling,
                   struct cowherd_error *err)
{
        owned_process struct process process = {.keep = {place->fd, place->lock}, .keep_count = place->lock > 0 ? 2 : 1};
        owned_string struct str chain = {0};

        if (add_chain(&chain, place, clone, err) < 0)
                return -1;
        process_add(&process, "qemu-img", "convert", "-O", "qcow2", NULL);
        if (telling->report != NULL) {
                strv_add(&process.argv, "-p");
                process.output_to_progress = true;
                process.on_line = on_line;
                process.on_line_context = telling;
        }
        strv_add(&process.argv, str_text(&chain));
        strv_addf(&process.argv, "/proc/self/fd/%d/%s", place->fd, to);
        return process_check(&process, NULL, err);
}

/* The file that qemu-img fills, with the owner and mode of the one it is to replace: it keeps what is there. */
static int make_beside(const struct store_place *place, const char *path, const struct stat *like, struct cowherd_error *err)
{
        if (unlinkat(place->fd, path, 0) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot remove '%s/%s'", place->folder, path);
        owned_fd int made = openat(place->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (made < 0)
                return fail_errno(err, "cannot make '%s/%s'", place->folder, path);
        if (geteuid() == 0 && fchown(made, like->st_uid, like->st_gid) < 0)
                return fail_errno(err, "cannot set the owner of '%s/%s'", place->folder, path);
        if (fchmod(made, like->st_mode & 0777) < 0)
                return fail_errno(err, "cannot set the mode of '%s/%s'", place->folder, path);
        return 0;
}

/* What qemu-img made must stand on nothing before it takes the clone's place. */
static int check_result(const struct store_place *place, const char *path, const struct qcow2_seen *was, struct cowherd_error *err)
{
        struct qcow2_seen seen;

        owned_fd int made = openat(place->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (made < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, path);
        if (qcow2_overlay_read(made, path, &seen, err) < 0)
                return -1;
        if (seen.backing_name[0] != '\0' || seen.virtual_bytes != was->virtual_bytes)
                return fail(err, COWHERD_SYSTEM, "'qemu-img convert' made another disk than was asked for");
        return place->durable ? file_sync(made, path, err) : 0;
}

static int replace(const struct store_place *place, const struct store_object *clone, const struct stat *like,
                   const struct qcow2_seen *was, struct telling *telling, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES], folder[STORE_PATH_BYTES];
        owned_str char *beside = x_asprintf("%s/flat.qcow2", store_object_folder(clone, folder));
        int done = make_beside(place, beside, like, err);

        if (done == 0)
                done = convert(place, clone, beside, telling, err);
        if (done == 0)
                done = check_result(place, beside, was, err);
        if (done == 0 && renameat(place->fd, beside, place->fd, store_object_path(clone, path)) < 0)
                done = fail_errno(err, "cannot rename '%s/%s'", place->folder, beside);
        if (done < 0)
                (void)unlinkat(place->fd, beside, 0);
        return done;
}

int qcow2_flatten(const struct store_place *place, const struct store_object *clone,
                  void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        owned_fd int disk = -1;
        struct qcow2_seen seen;
        struct stat like;

        if (qcow2_open_disk(place, clone, true, &disk, err) < 0 ||
            qcow2_overlay_read(disk, store_object_path(clone, path), &seen, err) < 0)
                return -1;
        if (seen.backing_name[0] == '\0')
                return 0; /* it came as far before it was killed */
        if (fstat(disk, &like) < 0)
                return fail_errno(err, "cannot look at '%s/%s'", place->folder, path);
        struct telling telling = {.report = report, .context = context, .total_bytes = seen.virtual_bytes};
        if (replace(place, clone, &like, &seen, &telling, err) < 0)
                return fail_while(err, "copying all that '%s' reads through its base", clone->name == NULL ? path : clone->name);
        return folder_settle(place, clone, err);
}
