/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ISO 9660 (ECMA-119) with Joliet: what every system mounts, Windows too. The first volume descriptor has a directory
 * of plain names (FILE0001.;1 …), which nobody looks at; the second one, Joliet's, the same files under their real
 * names in UCS-2. Both directories take one sector, files follow in theirs.
 *
 *     sector 16 primary descriptor · 17 Joliet's · 18 terminator · 19, 20 path tables (little, big endian) · 21, 22
 * Joliet's 23 the root directory · 24 Joliet's · 25 … files
 */
#include "engine/qemu/iso9660.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECTOR 2048u
#define PRIMARY 16u
#define JOLIET 17u
#define TERMINATOR 18u
#define PATH_TABLES 19u /* two for each descriptor */
#define ROOTS 23u       /* one for each descriptor */
#define FIRST_FILE 25u
#define PATH_TABLE_BYTES 10u
#define RECORD_BYTES 33u /* of a directory record before its name */
#define NAME_BYTES 128u
#define IS_FOLDER 2

struct extent {
        uint32_t sector, bytes;
};

struct image {
        unsigned char *bytes;
        uint32_t sectors;
        unsigned char when[7]; /* as directory records have it */
        char when_text[18];    /* as volume descriptors have it */
};

static unsigned char *sector(const struct image *image, uint32_t number)
{
        return image->bytes + (size_t)number * SECTOR;
}

static void put16(unsigned char *at, uint32_t value, bool big)
{
        at[big] = (unsigned char)value;
        at[!big] = (unsigned char)(value >> 8);
}

static void put32(unsigned char *at, uint32_t value, bool big)
{
        put16(at + (big ? 2 : 0), value & 0xffff, big);
        put16(at + (big ? 0 : 2), value >> 16, big);
}

/* The format has numbers in both orders, one after the other. */
static void put16_both(unsigned char *at, uint32_t value)
{
        put16(at, value, false);
        put16(at + 2, value, true);
}

static void put32_both(unsigned char *at, uint32_t value)
{
        put32(at, value, false);
        put32(at + 4, value, true);
}

/* A text in a field of `bytes`, filled up with blanks; in UCS-2 (big endian) for Joliet. */
static void put_text(unsigned char *at, size_t bytes, const char *text, bool wide)
{
        size_t step = wide ? 2 : 1, length = strlen(text);

        for (size_t i = 0; i < bytes / step; i++) {
                if (wide)
                        at[2 * i] = 0;
                at[step * i + (wide ? 1 : 0)] = (unsigned char)(i < length ? text[i] : ' ');
        }
}

/* One directory record. Returns its length. */
static size_t put_record(const struct image *image, unsigned char *at, struct extent extent, int flags,
                         const unsigned char *name, size_t length)
{
        size_t bytes = RECORD_BYTES + length + (length % 2 == 0);

        at[0] = (unsigned char)bytes;
        put32_both(at + 2, extent.sector);
        put32_both(at + 10, extent.bytes);
        memcpy(at + 18, image->when, sizeof image->when);
        at[25] = (unsigned char)flags;
        put16_both(at + 28, 1);
        at[32] = (unsigned char)length;
        memcpy(at + RECORD_BYTES, name, length);
        return bytes;
}

static void put_root(const struct image *image, bool joliet, const struct iso_file *files, const struct extent *extents,
                     size_t count)
{
        struct extent self = {ROOTS + joliet, SECTOR};
        unsigned char *at = sector(image, self.sector);

        at += put_record(image, at, self, IS_FOLDER, (const unsigned char *)"\0", 1);
        at += put_record(image, at, self, IS_FOLDER, (const unsigned char *)"\1", 1);
        for (size_t i = 0; i < count; i++) {
                unsigned char name[NAME_BYTES];
                size_t length = joliet ? 2 * strlen(files[i].name) : strlen("FILE0000.;1");
                if (joliet)
                        put_text(name, length, files[i].name, true);
                else
                        (void)snprintf((char *)name, sizeof name, "FILE%04u.;1", (unsigned)i);
                at += put_record(image, at, extents[i], 0, name, length);
        }
}

/* The table of folders: the root alone. */
static void put_path_table(const struct image *image, bool joliet, bool big)
{
        unsigned char *at = sector(image, PATH_TABLES + 2u * joliet + big);

        at[0] = 1;
        put32(at + 2, ROOTS + joliet, big);
        put16(at + 6, 1, big);
}

static void put_descriptor(const struct image *image, bool joliet, const char *label)
{
        unsigned char *at = sector(image, joliet ? JOLIET : PRIMARY);

        memcpy(at, joliet ? "\2CD001\1" : "\1CD001\1", 7);
        put_text(at + 8, 32, "", joliet);
        put_text(at + 40, 32, label, joliet);
        put32_both(at + 80, image->sectors);
        if (joliet)
                memcpy(at + 88, "%/E", 3); /* UCS-2, level 3 */
        put16_both(at + 120, 1);
        put16_both(at + 124, 1);
        put16_both(at + 128, SECTOR);
        put32_both(at + 132, PATH_TABLE_BYTES);
        put32(at + 140, PATH_TABLES + 2u * joliet, false);
        put32(at + 148, PATH_TABLES + 2u * joliet + 1, true);
        (void)put_record(image, at + 156, (struct extent){ROOTS + joliet, SECTOR}, IS_FOLDER,
                         (const unsigned char *)"\0", 1);
        put_text(at + 190, 128 * 4, "", joliet);
        put_text(at + 702, 36, "", joliet); /* 37 bytes: an odd one stays 0 in UCS-2 */
        put_text(at + 739, 36, "", joliet);
        put_text(at + 776, 36, "", joliet);
        memcpy(at + 813, image->when_text, 17);
        memcpy(at + 830, image->when_text, 17);
        memcpy(at + 847, "0000000000000000", 17);
        memcpy(at + 864, "0000000000000000", 17);
        at[881] = 1;
}

static void set_time(struct image *image, int64_t seconds)
{
        time_t time = (time_t)seconds;
        struct tm parts = {.tm_mday = 1};

        (void)gmtime_r(&time, &parts);
        const int of_record[6] = {parts.tm_year, parts.tm_mon + 1, parts.tm_mday,
                                  parts.tm_hour, parts.tm_min,     parts.tm_sec};
        for (int i = 0; i < 6; i++)
                image->when[i] = (unsigned char)of_record[i];
        (void)strftime(image->when_text, sizeof image->when_text, "%Y%m%d%H%M%S00", &parts);
}

void iso_make(const char *label, const struct iso_file *files, size_t count, int64_t seconds, struct str *ret)
{
        struct extent extents[ISO_FILES];
        struct image image = {.sectors = FIRST_FILE};

        count = count > ISO_FILES ? ISO_FILES : count;
        for (size_t i = 0; i < count; i++) {
                extents[i] = (struct extent){image.sectors, (uint32_t)files[i].length};
                image.sectors += (uint32_t)((files[i].length + SECTOR - 1) / SECTOR);
        }
        owned_mem unsigned char *bytes = x_calloc(image.sectors, SECTOR);
        image.bytes = bytes;
        set_time(&image, seconds);
        for (int joliet = 0; joliet <= 1; joliet++) {
                put_descriptor(&image, joliet == 1, label);
                put_path_table(&image, joliet == 1, false);
                put_path_table(&image, joliet == 1, true);
                put_root(&image, joliet == 1, files, extents, count);
        }
        memcpy(sector(&image, TERMINATOR), "\377CD001\1", 7);
        for (size_t i = 0; i < count; i++)
                if (files[i].length > 0)
                        memcpy(sector(&image, extents[i].sector), files[i].data, files[i].length);
        str_add_bytes(ret, bytes, (size_t)image.sectors * SECTOR);
}
