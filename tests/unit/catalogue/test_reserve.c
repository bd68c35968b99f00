/* SPDX-License-Identifier: Apache-2.0 */
/* Reserving and settling: names, ids, intents, all or none; every column comes back as it went in. */
#include "catalogue_test.h"

static char *text(const char *value)
{
        return (char *)(uintptr_t)value; /* borrowed: these rows are never freed */
}

static struct catalogue_row full_row(uint64_t base_id)
{
        return (struct catalogue_row){
                .role = CATALOGUE_CLONE,
                .target = COWHERD_NSPAWN,
                .name = text("Web-1"),
                .store = text("btrfs"),
                .place = text("btrfs"),
                .kind = 2,
                .format = text("raw"),
                .virtual_bytes = UINT64_C(1) << 40,
                .base_id = base_id,
                .created_ms = 1795451984000,
                .memory_bytes = 512u << 20,
                .cpus = 3,
                .extra = text("{\"a\":\"ä\\n\"}"),
                .image = text("a 'b' \"c\""),
                .source = text("/x\n;--"),
                .distro = text("debian"),
                .release = text("bookworm"),
                .size_bytes = 7,
                .fingerprint = text("f"),
                .clone_ms = 0.25,
                .expires_ms = 1795451985000,
                .disk_bytes = 9,
                .keep_identity = true,
                .hostname = text("web-1"),
                .machine_id = text("m"),
                .mac = text("52:54:00:00:00:01"),
                .uuid = text("u"),
                .generation_id = text("g"),
                .instance_id = text("i"),
                .random_seed = text("0a"),
                .identity_applied = true,
        };
}

static void check_same(const struct catalogue_row *a, const struct catalogue_row *b)
{
        const char *const texts_a[] = {a->name,        a->store,      a->place,  a->format,  a->extra,
                                       a->image,       a->source,     a->distro, a->release, a->fingerprint,
                                       a->hostname,    a->machine_id, a->mac,    a->uuid,    a->generation_id,
                                       a->instance_id, a->random_seed};
        const char *const texts_b[] = {b->name,        b->store,      b->place,  b->format,  b->extra,
                                       b->image,       b->source,     b->distro, b->release, b->fingerprint,
                                       b->hostname,    b->machine_id, b->mac,    b->uuid,    b->generation_id,
                                       b->instance_id, b->random_seed};
        const uint64_t numbers_a[] = {a->id,           a->role,          a->phase,           a->target,
                                      a->kind,         a->virtual_bytes, a->base_id,         a->created_ms,
                                      a->memory_bytes, a->cpus,          a->size_bytes,      a->expires_ms,
                                      a->disk_bytes,   a->keep_identity, a->identity_applied};
        const uint64_t numbers_b[] = {b->id,           b->role,          b->phase,           b->target,
                                      b->kind,         b->virtual_bytes, b->base_id,         b->created_ms,
                                      b->memory_bytes, b->cpus,          b->size_bytes,      b->expires_ms,
                                      b->disk_bytes,   b->keep_identity, b->identity_applied};

        for (size_t i = 0; i < array_length(texts_a); i++)
                assert_true(str_equal(texts_a[i], texts_b[i]));
        assert_memory_equal(numbers_a, numbers_b, sizeof numbers_a);
        assert_true(a->clone_ms == b->clone_ms);
}

static void test_all_columns(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row = full_row(make_base(herd, "b")), reserved owned_row = {0}, settled owned_row = {0};

        assert_int_equal(reserve(herd, &row), 0);
        assert_int_equal(row.phase, CATALOGUE_CREATING);
        assert_int_equal(catalogue_get(herd->catalogue, row.id, &reserved, &herd->err), 0);
        check_same(&row, &reserved);

        row.clone_ms = 1.5;
        row.extra = NULL;
        row.random_seed = text("ff");
        row.keep_identity = false;
        assert_int_equal(catalogue_settle(herd->catalogue, &row, 1, &herd->err), 0);
        row.phase = CATALOGUE_READY;
        assert_int_equal(catalogue_get(herd->catalogue, row.id, &settled, &herd->err), 0);
        check_same(&row, &settled);
        assert_string_equal(settled.base_name, "b");
}

/* A clone's identity and its time are known only when it has an id; where nothing else has changed, nothing else is written. */
static void test_as_reserved(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row = full_row(make_base(herd, "b")), settled owned_row = {0};
        const struct catalogue_row whole = row;

        row.hostname = row.machine_id = row.mac = row.uuid = row.generation_id = row.instance_id = row.random_seed = NULL;
        row.clone_ms = 0;
        assert_int_equal(reserve(herd, &row), 0);
        row.hostname = whole.hostname;
        row.machine_id = whole.machine_id;
        row.mac = whole.mac;
        row.uuid = whole.uuid;
        row.generation_id = whole.generation_id;
        row.instance_id = whole.instance_id;
        row.random_seed = whole.random_seed;
        row.clone_ms = 1.5;
        row.as_reserved = true;
        row.image = NULL; /* which it says is not so */
        assert_int_equal(catalogue_settle(herd->catalogue, &row, 1, &herd->err), 0);
        row.phase = CATALOGUE_READY;
        row.image = whole.image;
        assert_int_equal(catalogue_get(herd->catalogue, row.id, &settled, &herd->err), 0);
        check_same(&row, &settled);
}

/* A row of nothing but what must be: NULL is told from "", 0 from unset bases. */
static void test_empty_columns(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row = {.name = text("b"), .place = text("")}, read owned_row = {0};

        row.id = make(herd, row);
        row.phase = CATALOGUE_READY;
        assert_int_equal(catalogue_get(herd->catalogue, row.id, &read, &herd->err), 0);
        check_same(&row, &read);
        assert_null(read.base_name);
        assert_int_equal(read.clones, 0);
}

static void test_intent(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row = base_row("b");

        assert_int_equal(reserve(herd, &row), 0);
        assert_int_equal(
                ask(herd, "SELECT count(*) FROM intent JOIN object ON id = object_id WHERE operation = 'test'"), 1);
        int64_t age_s = ask(herd, "SELECT strftime('%s', 'now') - started_ms / 1000 FROM intent");
        assert_in_range(age_s + 1, 0, 60);
        assert_int_equal(catalogue_settle(herd->catalogue, &row, 1, &herd->err), 0);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent"), 0);
}

/* Bases and clones of a target share their names, in which case does not count; they are stored as given. */
static void test_name_taken(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row taken owned_row = {0}, row = clone_row("vM-BASE", 0);

        uint64_t id = make_base(herd, "Vm-Base");
        assert_int_equal(catalogue_reserve(herd->catalogue, &row, 1, "t", NULL, NULL, &taken, &herd->err), 1);
        assert_int_equal(taken.id, id);
        assert_int_equal(taken.phase, CATALOGUE_READY);
        assert_int_equal(taken.role, CATALOGUE_BASE);
        assert_string_equal(taken.name, "Vm-Base");
        assert_int_equal(row.id, 0);

        row.target = COWHERD_LXD;
        assert_int_equal(reserve(herd, &row), 0);
}

static void test_name_in_the_making(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row taken owned_row = {0}, first = base_row("b"), second = base_row("b");

        assert_int_equal(reserve(herd, &first), 0);
        assert_int_equal(catalogue_reserve(herd->catalogue, &second, 1, "t", NULL, NULL, &taken, &herd->err), 1);
        assert_int_equal(taken.id, first.id);
        assert_int_equal(taken.phase, CATALOGUE_CREATING);
}

static void test_all_or_none(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b");
        struct catalogue_row taken owned_row = {0};
        struct catalogue_row rows[] = {clone_row("a-1", base), clone_row("a-2", base), clone_row("a-3", base)};

        (void)make_clone(herd, "a-3", base);
        assert_int_equal(catalogue_reserve(herd->catalogue, rows, 3, "t", NULL, NULL, &taken, &herd->err), 1);
        assert_string_equal(taken.name, "a-3");
        assert_int_equal(rows[0].id + rows[1].id + rows[2].id, 0);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 2);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent"), 0);
        assert_int_equal(clones_of(herd, base), 1);
}

static void test_same_name_twice(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row taken owned_row = {0}, rows[] = {clone_row("a", 0), clone_row("A", 0)};

        assert_fails(catalogue_reserve(herd->catalogue, rows, 2, "t", NULL, NULL, &taken, &herd->err), herd,
                     COWHERD_USAGE, "twice");
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 0);
}

struct told {
        uint64_t ids[4];
        size_t count, fail_at;
        const struct herd *herd;
};

static int tell_reserved(void *context, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct told *told = context;

        assert_int_equal(ask(told->herd, "SELECT count(*) FROM object"), 0); /* nobody else sees it yet */
        told->ids[told->count++] = row->id;
        return told->count == told->fail_at ? fail(err, COWHERD_SYSTEM, "no lock for '%s'", row->name) : 0;
}

static void test_callback(void **state)
{
        struct herd *herd = *state;
        struct told told = {.herd = herd};
        struct catalogue_row taken owned_row = {0}, rows[] = {base_row("a"), base_row("b")};

        assert_int_equal(catalogue_reserve(herd->catalogue, rows, 2, "t", tell_reserved, &told, &taken, &herd->err), 0);
        assert_int_equal(told.count, 2);
        assert_int_equal(told.ids[0], rows[0].id);
        assert_int_equal(told.ids[1], rows[1].id);
        assert_int_not_equal(rows[0].id, rows[1].id);
}

static void test_callback_fails(void **state)
{
        struct herd *herd = *state;
        struct told told = {.herd = herd, .fail_at = 2};
        struct catalogue_row taken owned_row = {0}, rows[] = {base_row("a"), base_row("b"), base_row("c")};

        assert_fails(catalogue_reserve(herd->catalogue, rows, 3, "t", tell_reserved, &told, &taken, &herd->err), herd,
                     COWHERD_SYSTEM, "no lock for 'b'");
        assert_int_equal(told.count, 2);
        assert_int_equal(rows[0].id + rows[1].id + rows[2].id, 0);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 0);
}

static void test_base_must_be_there(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b");
        struct catalogue_row row = clone_row("c", base + 100), making = base_row("making");

        assert_fails(reserve(herd, &row), herd, COWHERD_NOT_FOUND, "not found");
        assert_string_not_equal(herd->err.hint, "");
        assert_int_equal(reserve(herd, &making), 0);
        row.base_id = making.id;
        assert_fails(reserve(herd, &row), herd, COWHERD_NOT_FOUND, "not found");

        (void)make_clone(herd, "first", base);
        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        row.base_id = base;
        assert_fails(reserve(herd, &row), herd, COWHERD_NOT_FOUND, "not found");
        assert_int_equal(clones_of(herd, base), 1);
}

static void test_ids_are_never_used_again(void **state)
{
        struct herd *herd = *state;
        uint64_t id = make_base(herd, "b");

        assert_int_equal(catalogue_forget(herd->catalogue, &id, 1, NULL, &herd->err), 0);
        catalogue_close(herd->catalogue);
        herd->catalogue = open_again(herd);
        assert_true(make_base(herd, "b") > id);
}

static void test_settle_what_is_gone(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row rows[] = {base_row("a"), base_row("b")};

        assert_int_equal(reserve(herd, &rows[0]), 0);
        rows[1].id = rows[0].id + 1;
        assert_fails(catalogue_settle(herd->catalogue, rows, 2, &herd->err), herd, COWHERD_NOT_FOUND,
                     "'b' was not found");
        assert_int_equal(phase_of(herd, rows[0].id), CATALOGUE_CREATING);
}

/* Promoting and flattening put an object on another base, or on none; a removed base left alone is then to be
 * destroyed. */
static void test_settle_on_another_base(void **state)
{
        struct herd *herd = *state;
        uint64_t old = make_base(herd, "old"), new = make_base(herd, "new");
        struct catalogue_row row = clone_row("c", old);

        row.id = make(herd, row);
        row.base_id = new;
        assert_int_equal(catalogue_settle(herd->catalogue, &row, 1, &herd->err), 0);
        assert_int_equal(clones_of(herd, old), 0);
        assert_int_equal(clones_of(herd, new), 1);

        assert_int_equal(catalogue_remove_base(herd->catalogue, new, &herd->err), 1);
        row.base_id = 0;
        assert_int_equal(catalogue_settle(herd->catalogue, &row, 1, &herd->err), 0);
        assert_int_equal(phase_of(herd, new), CATALOGUE_DELETING);
        row.base_id = new;
        assert_fails(catalogue_settle(herd->catalogue, &row, 1, &herd->err), herd, COWHERD_NOT_FOUND, "not found");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_all_columns, begin, end),
                cmocka_unit_test_setup_teardown(test_as_reserved, begin, end),
                cmocka_unit_test_setup_teardown(test_empty_columns, begin, end),
                cmocka_unit_test_setup_teardown(test_intent, begin, end),
                cmocka_unit_test_setup_teardown(test_name_taken, begin, end),
                cmocka_unit_test_setup_teardown(test_name_in_the_making, begin, end),
                cmocka_unit_test_setup_teardown(test_all_or_none, begin, end),
                cmocka_unit_test_setup_teardown(test_same_name_twice, begin, end),
                cmocka_unit_test_setup_teardown(test_callback, begin, end),
                cmocka_unit_test_setup_teardown(test_callback_fails, begin, end),
                cmocka_unit_test_setup_teardown(test_base_must_be_there, begin, end),
                cmocka_unit_test_setup_teardown(test_ids_are_never_used_again, begin, end),
                cmocka_unit_test_setup_teardown(test_settle_what_is_gone, begin, end),
                cmocka_unit_test_setup_teardown(test_settle_on_another_base, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
