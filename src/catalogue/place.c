/* SPDX-License-Identifier: Apache-2.0 */
/* Places that `setup` made, and the herd's settings: small tables, one statement each, no transaction needed. */
#include "catalogue/connection.h"

void catalogue_place_free(struct catalogue_place *place)
{
        free(place->name);
        free(place->store);
        free(place->folder);
        free(place->source);
        *place = (struct catalogue_place){0};
}

int catalogue_put_place(struct catalogue *catalogue, const struct catalogue_place *place, struct cowherd_error *err)
{
        sqlite3_stmt *put owned_statement = statement_get(catalogue, PLACE_PUT, err);

        if (put == NULL)
                return -1;
        bind_text(put, 1, place->name);
        bind_text(put, 2, place->store);
        bind_text(put, 3, place->folder);
        bind_text(put, 4, place->source);
        bind_number(put, 5, place->size_bytes);
        (void)sqlite3_bind_int(put, 6, place->ours);
        return statement_step(catalogue, put, err);
}

int catalogue_get_place(struct catalogue *catalogue, const char *name, struct catalogue_place *ret,
                        struct cowherd_error *err)
{
        sqlite3_stmt *find owned_statement = statement_get(catalogue, PLACE_GET, err);

        if (find == NULL)
                return -1;
        bind_text(find, 1, name);
        int got = statement_step(catalogue, find, err);
        if (got < 0)
                return -1;
        if (got == 0)
                return 1;
        *ret = (struct catalogue_place){
                .name = column_text(find, 0),
                .store = column_text(find, 1),
                .folder = column_text(find, 2),
                .source = column_text(find, 3),
                .size_bytes = column_number(find, 4),
                .ours = sqlite3_column_int(find, 5) != 0,
        };
        return 0;
}

int catalogue_drop_place(struct catalogue *catalogue, const char *name, struct cowherd_error *err)
{
        sqlite3_stmt *drop owned_statement = statement_get(catalogue, PLACE_DROP, err);

        if (drop == NULL)
                return -1;
        bind_text(drop, 1, name);
        return statement_step(catalogue, drop, err);
}

static int read_names(struct catalogue *catalogue, struct strv *names, struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, PLACE_NAMES, err);
        int got;

        if (list == NULL)
                return -1;
        while ((got = statement_step(catalogue, list, err)) > 0)
                strv_take(names, column_text(list, 0));
        return got;
}

int catalogue_list_places(struct catalogue *catalogue, struct strv *ret, struct cowherd_error *err)
{
        struct strv names owned_strv = {0};

        if (read_names(catalogue, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++)
                strv_add(ret, names.items[i]);
        return 0;
}

int catalogue_place_in_use(struct catalogue *catalogue, const char *place, bool *ret, struct cowherd_error *err)
{
        sqlite3_stmt *statement owned_statement = statement_get(catalogue, PLACE_IN_USE, err);

        if (statement == NULL)
                return -1;
        bind_text(statement, 1, place);
        int got = statement_step(catalogue, statement, err);
        if (got < 0)
                return -1;
        *ret = got > 0;
        return 0;
}

int catalogue_get_setting(struct catalogue *catalogue, const char *key, char **ret, struct cowherd_error *err)
{
        sqlite3_stmt *find owned_statement = statement_get(catalogue, SETTING_GET, err);

        if (find == NULL)
                return -1;
        bind_text(find, 1, key);
        int got = statement_step(catalogue, find, err);
        if (got < 0)
                return -1;
        *ret = got > 0 ? column_text(find, 0) : NULL;
        return 0;
}

int catalogue_set_setting(struct catalogue *catalogue, const char *key, const char *value, struct cowherd_error *err)
{
        sqlite3_stmt *put owned_statement = statement_get(catalogue, SETTING_PUT, err);

        if (put == NULL)
                return -1;
        bind_text(put, 1, key);
        bind_text(put, 2, value);
        return statement_step(catalogue, put, err);
}
