/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this room: walking a tree of any depth and size, dirfd first. No recursion and no path is used, and at most
 * WALK_OPEN_FOLDERS descriptors are open: those farther up are closed and opened again as "..", and then compared with
 * what they were, so that a folder that was moved away under the walk is an error and never leads elsewhere.
 */
#pragma once

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define WALK_OPEN_FOLDERS 32

struct folder {
        int fd; /* -1: closed for now */
        dev_t device;
        ino_t inode;
};

/* The folders from a root down to where the walk is; {0} is an empty one. */
struct folder_stack {
        struct folder *items;
        size_t count;
        size_t capacity;
};

/* Goes down into a folder, whose descriptor is taken over (on failure too). */
int folder_push(struct folder_stack *stack, int fd, struct cowherd_error *err) must_check;
/* The descriptor of the folder that the walk is in. Borrowed, until the next push or pop. */
int folder_top(const struct folder_stack *stack);
/* Goes up. */
int folder_pop(struct folder_stack *stack, struct cowherd_error *err) must_check;
void folder_stack_free(struct folder_stack *stack);
define_owned(struct folder_stack, folder_stack_free)
#define owned_folders owned_by(folder_stack_free)

struct walk_entry {
        int folder;         /* the folder it is in, or (leaving) the folder itself, all done; borrowed */
        const char *name;   /* borrowed until the walk has left that folder; "." for the root */
        unsigned char type; /* DT_…, DT_UNKNOWN where the filesystem does not say */
        bool leaving;
};

struct walk_level {
        char *names; /* for each entry its DT_ type, its name, NUL */
        size_t length;
        size_t next;
        size_t current; /* where the entry begins that was given last */
};

struct walk {
        struct folder_stack folders;
        struct walk_level *levels;
        size_t capacity;
};

/* Goes into a folder: first the root of the walk, later the one that was just given. Takes the descriptor over. */
int walk_enter(struct walk *walk, int fd, struct cowherd_error *err) must_check;
/* Gives the next entry; false after the root was left. When all in a folder was given, it is given with `leaving`. */
bool walk_next(struct walk *walk, struct walk_entry *ret) must_check;
/* Must follow an entry with `leaving`: goes up. ret->folder is then the folder above, -1 above the root. */
int walk_leave(struct walk *walk, struct walk_entry *ret, struct cowherd_error *err) must_check;
/* "a/b/c", the path of the entry given last, below the root: for messages. To be freed. */
char *walk_path(const struct walk *walk);
void walk_free(struct walk *walk);
define_owned(struct walk, walk_free)
#define owned_walk owned_by(walk_free)
