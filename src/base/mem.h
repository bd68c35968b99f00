/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: allocation that aborts instead of failing (a size that comes from a file, a socket or a tool is checked
 * against a named limit first), and ownership that frees itself at the end of a scope.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

/* All of them abort with a message where memory is out. What they return is the caller's, for free(). */
void *x_malloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *x_calloc(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *x_reallocarray(void *old, size_t count, size_t bytes) __attribute__((returns_nonnull));
/* NULL stays NULL. */
char *x_strdup(const char *text) __attribute__((malloc));
char *x_strndup(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
char *x_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *x_vasprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0), malloc, returns_nonnull));

/* Frees *text and makes it a copy of `value` (which may be NULL, or part of the old text). */
void x_replace(char **text, const char *value);

/* `owned_str char *path = …;` is freed where its scope ends; take(path) gives it away. Initialise at declaration. */
static inline void free_at(void *slot)
{
        free(*(void **)slot);
}
#define owned_str __attribute__((cleanup(free_at)))
#define owned_mem __attribute__((cleanup(free_at)))

/* The value of an owned variable, which is left empty (NULL). */
#define take(variable)                                                                                                 \
        ({                                                                                                             \
                __typeof__(variable) taken_ = (variable);                                                              \
                (variable) = NULL;                                                                                     \
                taken_;                                                                                                \
        })

/* An owned file descriptor: closed at the end of its scope unless it is -1. */
void close_at(const int *fd);
#define owned_fd __attribute__((cleanup(close_at)))
/* The descriptor, which is left as -1. */
#define take_fd(variable)                                                                                              \
        ({                                                                                                             \
                int taken_ = (variable);                                                                               \
                (variable) = -1;                                                                                       \
                taken_;                                                                                                \
        })

/* Declares `owned_NAME` for a struct whose owner calls release(&it). */
#define define_owned(type, release)                                                                                    \
        static inline void release##_at(type *it)                                                                      \
        {                                                                                                              \
                release(it);                                                                                           \
        }
#define owned_by(release) __attribute__((cleanup(release##_at)))

#define array_length(array) (sizeof(array) / sizeof((array)[0]))
