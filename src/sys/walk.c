/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk reads each folder's names wholly when it goes in (getdents64(2)), so that what the caller adds or removes on
 * the way cannot confuse it, and so that no directory stream has to stay open farther up.
 */
#include "sys/walk.h"

#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_ENTRY SIZE_MAX /* struct walk_level's `current` when all entries were given */

int folder_push(struct folder_stack *stack, int fd, struct cowherd_error *err)
{
        owned_fd int taken = fd;
        struct stat found;

        if (fstat(fd, &found) < 0)
                return fail_errno(err, "cannot look at a folder");
        if (stack->count == stack->capacity) {
                stack->capacity = stack->capacity < 16 ? 16 : stack->capacity * 2;
                stack->items = x_reallocarray(stack->items, stack->capacity, sizeof *stack->items);
        }
        stack->items[stack->count++] = (struct folder){take_fd(taken), found.st_dev, found.st_ino};
        if (stack->count > WALK_OPEN_FOLDERS) {
                struct folder *far = &stack->items[stack->count - 1 - WALK_OPEN_FOLDERS];
                close_at(&far->fd);
                far->fd = -1;
        }
        return 0;
}

int folder_top(const struct folder_stack *stack)
{
        return stack->items[stack->count - 1].fd;
}

int folder_pop(struct folder_stack *stack, struct cowherd_error *err)
{
        struct folder *top = &stack->items[stack->count - 1];

        if (stack->count > 1 && top[-1].fd < 0) {
                struct stat found;
                owned_fd int above = openat(top->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (above < 0 || fstat(above, &found) < 0)
                        return fail_errno(err, "cannot go back up to a folder");
                if (found.st_dev != top[-1].device || found.st_ino != top[-1].inode)
                        return fail(err, COWHERD_BUSY, "a folder was moved elsewhere meanwhile");
                top[-1].fd = take_fd(above);
        }
        close_at(&top->fd);
        stack->count--;
        return 0;
}

void folder_stack_free(struct folder_stack *stack)
{
        for (size_t i = 0; i < stack->count; i++)
                close_at(&stack->items[i].fd);
        free(stack->items);
        *stack = (struct folder_stack){0};
}

static void add_names(struct str *names, const char *buffer, size_t length)
{
        for (size_t at = 0; at < length;) {
                const struct dirent64 *entry = (const void *)(buffer + at);
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
                        str_add_char(names, (char)entry->d_type);
                        str_add_bytes(names, entry->d_name, strlen(entry->d_name) + 1);
                }
                at += entry->d_reclen;
        }
}

static int read_names(int fd, struct walk_level *ret, struct cowherd_error *err)
{
        _Alignas(struct dirent64) char buffer[32768];
        owned_string struct str names = {0};

        for (;;) {
                ssize_t got = getdents64(fd, buffer, sizeof buffer);
                if (got < 0)
                        return fail_errno(err, "cannot read a folder");
                if (got == 0)
                        break;
                add_names(&names, buffer, (size_t)got);
        }
        *ret = (struct walk_level){.length = names.length};
        ret->names = str_take(&names);
        return 0;
}

int walk_enter(struct walk *walk, int fd, struct cowherd_error *err)
{
        struct walk_level level;

        if (folder_push(&walk->folders, fd, err) < 0)
                return -1;
        if (walk->folders.capacity > walk->capacity) {
                walk->capacity = walk->folders.capacity;
                walk->levels = x_reallocarray(walk->levels, walk->capacity, sizeof *walk->levels);
        }
        walk->levels[walk->folders.count - 1] = (struct walk_level){0};
        if (read_names(fd, &level, err) < 0)
                return -1;
        walk->levels[walk->folders.count - 1] = level;
        return 0;
}

/* The name of the folder at this depth: "." for the root. */
static const char *name_of_level(const struct walk *walk, size_t depth)
{
        return depth == 0 ? "." : walk->levels[depth - 1].names + walk->levels[depth - 1].current + 1;
}

bool walk_next(struct walk *walk, struct walk_entry *ret)
{
        if (walk->folders.count == 0)
                return false;
        struct walk_level *level = &walk->levels[walk->folders.count - 1];
        if (level->next == level->length) {
                level->current = NO_ENTRY;
                *ret = (struct walk_entry){.folder = folder_top(&walk->folders),
                                           .name = name_of_level(walk, walk->folders.count - 1),
                                           .type = DT_DIR,
                                           .leaving = true};
                return true;
        }
        const char *entry = level->names + level->next;
        level->current = level->next;
        level->next += strlen(entry + 1) + 2;
        *ret = (struct walk_entry){
                .folder = folder_top(&walk->folders), .name = entry + 1, .type = (unsigned char)entry[0]};
        return true;
}

int walk_leave(struct walk *walk, struct walk_entry *ret, struct cowherd_error *err)
{
        struct walk_level *level = &walk->levels[walk->folders.count - 1];

        if (folder_pop(&walk->folders, err) < 0)
                return -1;
        free(take(level->names));
        ret->folder = walk->folders.count == 0 ? -1 : folder_top(&walk->folders);
        return 0;
}

char *walk_path(const struct walk *walk)
{
        owned_string struct str path = {0};

        for (size_t i = 0; i < walk->folders.count; i++) {
                if (walk->levels[i].next == 0 || walk->levels[i].current == NO_ENTRY)
                        break;
                if (i > 0)
                        str_add_char(&path, '/');
                str_add(&path, walk->levels[i].names + walk->levels[i].current + 1);
        }
        return path.length == 0 ? x_strdup(".") : str_take(&path);
}

void walk_free(struct walk *walk)
{
        for (size_t i = 0; i < walk->folders.count; i++)
                free(walk->levels[i].names);
        free(walk->levels);
        folder_stack_free(&walk->folders);
        *walk = (struct walk){0};
}
