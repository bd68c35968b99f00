/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns=: which fields the items of a list have, told before there is any item to look at, so that a wrong name is refused
 * on an empty herd too. A test holds these names against what the verbs really answer.
 */
#include "command/columns.h"

#include <string.h>

#define OF_CLONES                                                                                                      \
        "id name base engine store path state clone_ms identity_applied identity_pending disk basedOn method vm "      \
        "container destination cloneTimeMs copyTimeMs source "                                                         \
        "created expires identity hostname machine_id mac uuid generation_id instance_id memory_bytes cpus "           \
        "disk_size_bytes ttl_left_ms network ports mount os firmware accel ssh_key user_data"

static const struct {
        enum verb_id verb;
        const char *columns;
} lists[] = {
        {VERB_LIST, OF_CLONES},
        {VERB_LIST_BASES, "id name engine image source format distro release size_bytes virtual_bytes base clones created "
                          "store live ram_bytes state_bytes baseName"},
        {VERB_LIST_SNAPSHOTS, "snapshot name id engine store created bytes snapshot_name"},
        {VERB_SECURITY_AUDIT, "at engine operation name code error"},
};

const char *columns_of_verb(enum verb_id verb)
{
        for (size_t i = 0; i < array_length(lists); i++)
                if (lists[i].verb == verb)
                        return lists[i].columns;
        return NULL;
}

static int fail_unknown_column(const struct request *request, const char *word, struct cowherd_error *err)
{
        const char *columns = columns_of_verb(request->verb->id);
        owned_strv struct strv names = {0};

        for (const char *at = columns == NULL ? "" : columns; *at != '\0'; at += strspn(at, " ")) {
                size_t length = strcspn(at, " ");
                strv_take(&names, x_strndup(at, length));
                at += length;
        }
        const char *nearest = str_nearest(word, (const char *const *)names.items, names.count);
        (void)fail(err, COWHERD_USAGE, "'%s' has no column '%.60s'%s%s%s", request->verb->public.name, word, nearest == NULL ? "" : " (did you mean '",
                   nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?)");
        return columns == NULL ? -1 : fail_hint(err, "it has: %s", columns);
}

int columns_check(const struct request *request, struct cowherd_error *err)
{
        const char *at = request_text(request, KEY_COLUMNS);
        owned_strv struct strv seen = {0};

        if (at != NULL && at[0] == '\0')
                return fail(err, COWHERD_USAGE, "parameter 'columns' is empty (expected names with commas between them)");
        while (at != NULL) {
                size_t length = strcspn(at, ",");
                owned_str char *word = x_strndup(at, length);
                if (word[0] == '\0' || strchr(word, ' ') != NULL || !str_in_words(columns_of_verb(request->verb->id), word))
                        return fail_unknown_column(request, word, err);
                for (size_t i = 0; i < seen.count; i++)
                        if (str_equal_case(seen.items[i], word))
                                return fail(err, COWHERD_USAGE, "column '%s' is named twice", word);
                strv_add(&seen, word);
                at = at[length] == ',' ? at + length + 1 : NULL;
        }
        return 0;
}
