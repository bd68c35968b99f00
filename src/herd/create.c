/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: a base and its clone in one go. The base has a made-up name and an intent from the moment it is there, so that it goes
 * whatever becomes of this command: its name as soon as the clone is made, its bytes with that clone.
 */
#include "herd/herd.h"

#include "sys/clock.h"

#include <string.h>

#define STEM_MAX 40

/* What a name can be of an image's: its letters and digits up to the first of something else. To be freed. */
static char *stem_of(const char *image)
{
        const char *slash = strrchr(image, '/'), *at = slash == NULL ? image : slash + 1;
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

        at += strcspn(at, letters);
        owned_str char *stem = x_strndup(at, strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"));
        if (strlen(stem) > STEM_MAX)
                stem[STEM_MAX] = '\0';
        size_t length = strlen(stem);
        while (length > 0 && stem[length - 1] == '-')
                stem[--length] = '\0';
        return length == 0 ? x_strdup("clone") : take(stem);
}

/* Another verb's words: those of `keys` that were given here. */
static void add_given(const struct request *request, const enum key *keys, size_t count, struct strv *words)
{
        const struct verb *verb = request->verb;

        for (size_t i = 0; verb->public.parameters[i].name != NULL; i++)
                for (size_t j = 0; j < count; j++)
                        if (verb->keys[i] == keys[j] && request_has(request, keys[j]))
                                strv_addf(words, "%s=%s", verb->public.parameters[i].name, request_text(request, keys[j]));
}

static int say(struct call *call, struct strv *words, struct ownership *keep, verb_function *function, struct cowherd_answer *answer, struct cowherd_error *err)
{
        struct request request owned_by(request_free) = {0};

        if (request_parse_words(call->request->target, words->count, (const char *const *)words->items, &request, err) < 0)
                return -1;
        struct call inner = {.herd = call->herd, .request = &request, .answer = answer, .started_ms = call->started_ms, .keep = keep};
        return function(&inner, err);
}

static int make_base(struct call *call, const char *name, struct ownership *keep, struct cowherd_answer *answer, struct cowherd_error *err)
{
        static const enum key keys[] = {KEY_IMAGE, KEY_STORE, KEY_OS, KEY_FIRMWARE, KEY_DURABLE, KEY_DRY_RUN};
        struct strv words owned_by(strv_free) = {0};

        strv_add(&words, "register_base");
        strv_addf(&words, "name=%s", name);
        add_given(call->request, keys, array_length(keys), &words);
        return say(call, &words, keep, verb_register_base, answer, err);
}

static int make_clone(struct call *call, const char *base, const char *stem, struct cowherd_error *err)
{
        static const enum key keys[] = {KEY_NAME, KEY_COUNT_OF, KEY_START, KEY_WAIT, KEY_TTL, KEY_MEMORY, KEY_CPUS, KEY_DISK_SIZE, KEY_NETWORK, KEY_PORTS,
                                        KEY_MOUNT, KEY_SSH_KEY, KEY_USER_DATA, KEY_OS, KEY_FIRMWARE, KEY_ACCEL, KEY_IDENTITY, KEY_STORE, KEY_DURABLE,
                                        KEY_ATOMIC, KEY_TIMEOUT};
        struct strv words owned_by(strv_free) = {0};

        strv_add(&words, "clone_from_base");
        strv_addf(&words, "base=%s", base);
        if (!request_has(call->request, KEY_NAME))
                strv_addf(&words, "name=%s", stem);
        add_given(call->request, keys, array_length(keys), &words);
        return say(call, &words, NULL, verb_clone_from_base, call->answer, err);
}

/* Whatever became of the clones: the base has done what it was there for. */
static int remove_base(struct ownership *owned, struct cowherd_error *err)
{
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        bool waits = false;

        if (catalogue_get(owned->herd->catalogue, owned->first, &row, err) != 0)
                return -1;
        return herd_remove_base(owned, &row, &waits, err);
}

/* A name that was given is refused before the image is looked at. */
static int check_name(struct call *call, struct cowherd_error *err)
{
        const char *name = request_text(call->request, KEY_NAME);
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        struct cowherd_error ignored;

        if (name == NULL || request_has(call->request, KEY_COUNT_OF) || herd_open(call->herd, false, &ignored) != 0 ||
            catalogue_find(call->herd->catalogue, call->request->target, name, &row, &ignored) < 0 || row.phase != CATALOGUE_READY)
                return 0;
        (void)fail(err, COWHERD_EXISTS, "%s '%s' already exists", row.role == CATALOGUE_BASE ? "base" : "clone", row.name);
        return fail_hint(err, "choose another name, or delete it first");
}

int verb_create(struct call *call, struct cowherd_error *err)
{
        const char *image = request_text(call->request, KEY_IMAGE), *name = request_text(call->request, KEY_NAME);
        struct ownership owned owned_by(ownership_free) = {.herd = call->herd};
        struct cowherd_error ignored;
        char digits[7];
        owned_str char *made_up = stem_of(image), *unique = x_asprintf("%s-%s", made_up, random_hex(3, digits));
        owned_str char *base = x_asprintf("%.*s-base-%s", STEM_MAX, name == NULL ? made_up : name, digits);

        if (request_flag(call->request, KEY_DRY_RUN)) {
                if (make_base(call, base, NULL, call->answer, err) < 0)
                        return -1;
                answer_done(call->answer, "nothing done: this is the plan for the base; then it is cloned, and its name is taken away");
                return 0;
        }
        struct cowherd_answer *apart = answer_new("register_base");
        int got = check_name(call, err) < 0 ? -1 : make_base(call, base, &owned, apart, err);
        cowherd_answer_free(apart);
        if (got < 0)
                return -1;
        if (make_clone(call, base, unique, err) < 0) {
                ignore_result(remove_base(&owned, &ignored)); /* its intent stays where that failed: recovery */
                return -1;
        }
        if (remove_base(&owned, err) < 0)
                return -1;
        answer_text(call->answer, "image", image);
        answer_done(call->answer, "created from '%s': %s", image, cowherd_answer_text(call->answer));
        return 0;
}
