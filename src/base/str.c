/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows, and questions about text. Case is ASCII's alone, never the locale's: names are ASCII, and a Turkish
 * locale must not change which clone is meant.
 */
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void make_room(struct str *str, size_t more)
{
        size_t needed = str->length + more + 1;

        if (needed <= str->capacity)
                return;
        size_t capacity = str->capacity < 64 ? 64 : str->capacity * 2;
        if (capacity < needed)
                capacity = needed;
        str->data = x_reallocarray(str->data, capacity, 1);
        str->capacity = capacity;
}

void str_add_bytes(struct str *str, const void *bytes, size_t count)
{
        make_room(str, count);
        if (count > 0)
                memcpy(str->data + str->length, bytes, count);
        str->length += count;
        str->data[str->length] = '\0';
}

void str_add(struct str *str, const char *text)
{
        str_add_bytes(str, text, strlen(text));
}

void str_add_char(struct str *str, char c)
{
        str_add_bytes(str, &c, 1);
}

void str_addf(struct str *str, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        owned_str char *text = x_vasprintf(format, args);
        va_end(args);
        str_add(str, text);
}

char *str_take(struct str *str)
{
        make_room(str, 0);
        str->data[str->length] = '\0';
        char *text = str->data;
        *str = (struct str){0};
        return text;
}

const char *str_text(const struct str *str)
{
        return str->data == NULL ? "" : str->data;
}

void str_free(struct str *str)
{
        free(str->data);
        *str = (struct str){0};
}

void strv_take(struct strv *list, char *text)
{
        if (list->count + 2 > list->capacity) {
                list->capacity = list->capacity < 8 ? 8 : list->capacity * 2;
                list->items = x_reallocarray(list->items, list->capacity, sizeof *list->items);
        }
        list->items[list->count++] = text;
        list->items[list->count] = NULL;
}

void strv_add(struct strv *list, const char *text)
{
        strv_take(list, x_strdup(text));
}

void strv_addf(struct strv *list, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        strv_take(list, x_vasprintf(format, args));
        va_end(args);
}

bool strv_has(const struct strv *list, const char *text)
{
        for (size_t i = 0; i < list->count; i++)
                if (strcmp(list->items[i], text) == 0)
                        return true;
        return false;
}

void strv_free(struct strv *list)
{
        for (size_t i = 0; i < list->count; i++)
                free(list->items[i]);
        free(list->items);
        *list = (struct strv){0};
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_is_empty(const char *text)
{
        return text == NULL || text[0] == '\0';
}

bool str_starts(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
        size_t length = strlen(text), end = strlen(suffix);

        return length >= end && strcmp(text + length - end, suffix) == 0;
}

bool str_equal(const char *a, const char *b)
{
        return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_letters(const char *a, const char *b, size_t length)
{
        for (size_t i = 0; i < length; i++)
                if (lower(a[i]) != lower(b[i]))
                        return false;
        return true;
}

bool str_equal_case(const char *a, const char *b)
{
        if (a == NULL || b == NULL)
                return a == b;
        size_t length = strlen(a);
        return length == strlen(b) && same_letters(a, b, length);
}

bool str_in_words(const char *words, const char *word)
{
        size_t wanted = strlen(word);

        while (words != NULL && *words != '\0') {
                size_t length = strcspn(words, " ");
                if (length == wanted && same_letters(words, word, length))
                        return true;
                words += length + strspn(words + length, " ");
        }
        return false;
}

bool str_matches(const char *pattern, const char *name)
{
        const char *star = NULL, *retry = NULL;

        while (*name != '\0') {
                if (*pattern == '*') {
                        star = pattern++;
                        retry = name;
                } else if (*pattern != '\0' && (*pattern == '?' || lower(*pattern) == lower(*name))) {
                        pattern++;
                        name++;
                } else if (star != NULL) {
                        pattern = star + 1;
                        name = ++retry;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return *pattern == '\0';
}

bool str_is_pattern(const char *text)
{
        return strpbrk(text, "*?") != NULL;
}

/* How many bytes the UTF-8 sequence at `at` has, or 0 where it is none (overlong and surrogates included). */
static size_t utf8_length(const unsigned char *at, size_t left)
{
        if (at[0] < 0x80)
                return 1;
        if (at[0] >= 0xc2 && at[0] <= 0xdf)
                return left >= 2 && (at[1] & 0xc0) == 0x80 ? 2 : 0;
        if (at[0] >= 0xe0 && at[0] <= 0xef) {
                if (left < 3 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80)
                        return 0;
                if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f))
                        return 0;
                return 3;
        }
        if (at[0] >= 0xf0 && at[0] <= 0xf4) {
                if (left < 4 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80 || (at[3] & 0xc0) != 0x80)
                        return 0;
                if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
                        return 0;
                return 4;
        }
        return 0;
}

bool str_is_utf8(const char *text, size_t length)
{
        const unsigned char *at = (const unsigned char *)text;

        for (size_t used = 0; used < length;) {
                size_t step = utf8_length(at + used, length - used);
                if (step == 0)
                        return false;
                used += step;
        }
        return true;
}

#define DISTANCE_LENGTH_MAX 63u

unsigned str_distance(const char *a, const char *b)
{
        size_t la = strlen(a), lb = strlen(b);
        unsigned rows[3][DISTANCE_LENGTH_MAX + 1];

        if (la > DISTANCE_LENGTH_MAX || lb > DISTANCE_LENGTH_MAX)
                return 99;
        for (size_t j = 0; j <= lb; j++)
                rows[0][j] = (unsigned)j;
        for (size_t i = 1; i <= la; i++) {
                unsigned *row = rows[i % 3];
                const unsigned *above = rows[(i - 1) % 3];
                row[0] = (unsigned)i;
                for (size_t j = 1; j <= lb; j++) {
                        unsigned best = above[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
                        if (above[j] + 1 < best)
                                best = above[j] + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]) &&
                            rows[(i - 2) % 3][j - 2] + 1 < best)
                                best = rows[(i - 2) % 3][j - 2] + 1;
                        row[j] = best;
                }
        }
        return rows[la % 3][lb];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t count)
{
        size_t length = strlen(word);
        unsigned best_distance = length / 3 < 1 ? 1 : length / 3 > 3 ? 3 : (unsigned)(length / 3);
        const char *best = NULL, *beginning = NULL;
        size_t beginnings = 0;

        for (size_t i = 0; i < count; i++) {
                unsigned distance = str_distance(word, candidates[i]);
                if (distance < best_distance || (distance == best_distance && best == NULL)) {
                        best_distance = distance;
                        best = candidates[i];
                }
                if (length > 0 && strlen(candidates[i]) > length && same_letters(candidates[i], word, length)) {
                        beginning = candidates[i];
                        beginnings++;
                }
        }
        if (best != NULL)
                return best;
        return beginnings == 1 ? beginning : NULL;
}
