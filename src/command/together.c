/* SPDX-License-Identifier: Apache-2.0 */
/* What parameters of one command mean for each other: sources that exclude each other, words that go with one only. */
#include "command/columns.h"
#include "command/grammar.h"
#include "command/name.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

static const enum key sources[] = {KEY_IMAGE, KEY_ROOTFS, KEY_TARBALL, KEY_DISTRO, KEY_FROM};

/* A parameter that is only understood beside another one. */
struct companion {
        enum key key;
        enum key of[2];
        unsigned of_count;
};
static const struct companion companions[] = {
        {KEY_RELEASE, {KEY_DISTRO}, 1},  {KEY_MIRROR, {KEY_DISTRO}, 1}, {KEY_VARIANT, {KEY_DISTRO}, 1},
        {KEY_PACKAGES, {KEY_DISTRO}, 1}, {KEY_FORMAT, {KEY_IMAGE}, 1},  {KEY_ADOPT, {KEY_IMAGE, KEY_ROOTFS}, 2},
};

static const char *name_of(enum key key)
{
        return parameter_of(key)->name;
}

static int check_sources(const struct request *request, struct cowherd_error *err)
{
        const enum key *found = NULL;

        for (size_t i = 0; i < array_length(sources); i++) {
                if (!request_has(request, sources[i]))
                        continue;
                if (request_text(request, sources[i])[0] == '\0')
                        return fail(err, COWHERD_USAGE, "parameter '%s' is empty", name_of(sources[i]));
                if (found != NULL) {
                        (void)fail(err, COWHERD_USAGE, "parameters '%s' and '%s' exclude each other", name_of(*found),
                                   name_of(sources[i]));
                        return fail_hint(err, "give exactly one of image, rootfs, tarball, distro and from");
                }
                found = &sources[i];
        }
        if (found == NULL) {
                (void)fail(err, COWHERD_USAGE,
                           "Missing required parameter 'image', 'rootfs', 'tarball', 'distro' or 'from'");
                return fail_hint(err, "give exactly one of them: it is what the base is made of");
        }
        return 0;
}

static int check_companions(const struct request *request, struct cowherd_error *err)
{
        for (size_t i = 0; i < array_length(companions); i++) {
                const struct companion *companion = &companions[i];
                bool there = !request_has(request, companion->key);
                for (unsigned j = 0; j < companion->of_count; j++)
                        there = there || request_has(request, companion->of[j]);
                if (!there)
                        return fail(err, COWHERD_USAGE, "parameter '%s' goes with '%s'%s%s%s only",
                                    name_of(companion->key), name_of(companion->of[0]),
                                    companion->of_count > 1 ? " or '" : "",
                                    companion->of_count > 1 ? name_of(companion->of[1]) : "",
                                    companion->of_count > 1 ? "'" : "");
        }
        return 0;
}

/* With count=N the longest name is NAME-N, and that must still be a name. */
static int check_count(const struct request *request, struct cowherd_error *err)
{
        if (!request_has(request, KEY_COUNT_OF) || !request_has(request, KEY_NAME))
                return 0;
        owned_str char *longest = x_asprintf("%s-%llu", request_text(request, KEY_NAME),
                                             (unsigned long long)request_number(request, KEY_COUNT_OF));
        if (strlen(longest) <= NAME_LENGTH_MAX)
                return 0;
        (void)fail(err, COWHERD_USAGE, "name '%.70s' is longer than 63 characters", longest);
        return fail_hint(err, "with count=%s the clones are named NAME-1, NAME-2 and so on",
                         request_text(request, KEY_COUNT_OF));
}

/* `cowherd lxd doctor engine=qemu` contradicts itself. */
static int check_engine(const struct request *request, struct cowherd_error *err)
{
        if (!request_has(request, KEY_ENGINE) || request->target >= COWHERD_ENGINES || request_engine(request) == request->target)
                return 0;
        return fail(err, COWHERD_USAGE, "engine '%s' contradicts the target '%s'", request_text(request, KEY_ENGINE),
                    cowherd_target_name(request->target));
}

int request_check_together(const struct request *request, struct cowherd_error *err)
{
        if (check_engine(request, err) < 0 || columns_check(request, err) < 0)
                return -1;
        if (request->verb->id == VERB_REGISTER_BASE)
                return check_sources(request, err) < 0 ? -1 : check_companions(request, err);
        if (request->verb->id == VERB_CLONE_FROM_BASE || request->verb->id == VERB_CREATE)
                return check_count(request, err);
        return 0;
}
