/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command's way in: text or words, a request, a verb's function, an answer. Whatever fails on the way becomes an answer
 * too; what changed something (or was refused) is written into the audit.
 */
#include "herd/herd.h"

#include "command/columns.h"

#include "sys/clock.h"

static verb_function *const functions[VERB_COUNT] = {
        [VERB_STATUS] = verb_status,
        [VERB_SETUP] = verb_setup,
        [VERB_TEARDOWN] = verb_teardown,
        [VERB_REGISTER_BASE] = verb_register_base,
        [VERB_LIST_BASES] = verb_list_bases,
        [VERB_INFO] = verb_info,
        [VERB_REMOVE_BASE] = verb_remove_base,
        [VERB_CLONE_FROM_BASE] = verb_clone_from_base,
        [VERB_LIST] = verb_list,
        [VERB_START] = verb_power,
        [VERB_STOP] = verb_power,
        [VERB_RESTART] = verb_power,
        [VERB_PAUSE] = verb_power,
        [VERB_RESUME] = verb_power,
        [VERB_START_IF_STOPPED] = verb_power,
        [VERB_STOP_IF_RUNNING] = verb_power,
        [VERB_WAIT] = verb_wait,
        [VERB_EXECUTE] = verb_execute,
        [VERB_SHELL] = verb_shell,
        [VERB_COPY_TO] = verb_copy,
        [VERB_COPY_FROM] = verb_copy,
        [VERB_LOGS] = verb_logs,
        [VERB_EXTEND] = verb_extend,
        [VERB_SECURITY_AUDIT] = verb_security_audit,
        [VERB_CREATE] = verb_create,
        [VERB_RENAME] = verb_rename,
        [VERB_DELETE] = verb_delete,
        [VERB_USAGE] = verb_usage,
        [VERB_CLEANUP] = verb_cleanup,
        [VERB_DOCTOR] = verb_doctor,
        [VERB_COMPARE] = verb_compare,
        [VERB_HELP] = verb_help,
        [VERB_ADVISE] = verb_advise,
        [VERB_SNAPSHOT] = verb_snapshot,
        [VERB_RESTORE] = verb_restore,
        [VERB_LIST_SNAPSHOTS] = verb_list_snapshots,
        [VERB_DELETE_SNAPSHOT] = verb_delete_snapshot,
        [VERB_PROMOTE] = verb_promote,
        [VERB_FLATTEN] = verb_flatten,
        [VERB_TREE] = verb_tree,
        [VERB_METRICS] = verb_metrics,
        [VERB_COMPLETION] = verb_completion,
};

/* Which verbs leave a line in the audit. */
static bool changes_something(enum verb_id verb)
{
        switch ((int)verb) {
        case VERB_SETUP:
        case VERB_TEARDOWN:
        case VERB_REGISTER_BASE:
        case VERB_REMOVE_BASE:
        case VERB_CLONE_FROM_BASE:
        case VERB_START:
        case VERB_STOP:
        case VERB_RESTART:
        case VERB_PAUSE:
        case VERB_RESUME:
        case VERB_START_IF_STOPPED:
        case VERB_STOP_IF_RUNNING:
        case VERB_EXECUTE:
        case VERB_SHELL:
        case VERB_COPY_TO:
        case VERB_COPY_FROM:
        case VERB_EXTEND:
        case VERB_CREATE:
        case VERB_RENAME:
        case VERB_DELETE:
        case VERB_SNAPSHOT:
        case VERB_RESTORE:
        case VERB_DELETE_SNAPSHOT:
        case VERB_PROMOTE:
        case VERB_FLATTEN:
                return true;
        default:
                return false;
        }
}

/* The key whose value names an object that is there already: by it an engine that was not said is found. */
static enum key naming_key(enum verb_id verb)
{
        return verb == VERB_CLONE_FROM_BASE ? KEY_BASE : KEY_NAME;
}

/* Verbs that speak to all engines where none was said and no single object is named. */
static bool speaks_to_all(const struct request *request)
{
        switch ((int)request->verb->id) {
        case VERB_STATUS:
        case VERB_LIST:
        case VERB_LIST_BASES:
        case VERB_USAGE:
        case VERB_CLEANUP:
        case VERB_SECURITY_AUDIT:
        case VERB_DOCTOR:
        case VERB_HELP:
                return true;
        default:
                return false;
        }
}

static int say_target(const struct request *request, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_USAGE, "which engine is meant? expected qemu, lxd or nspawn before the verb");
        return fail_hint(err, "for example: cowherd qemu %s", request->verb->public.name);
}

/* Finds the engine of a command that doesn't say one, by the object it names; 64 where that is none or several. */
static int find_target(struct cowherd_herd *herd, struct request *request, struct cowherd_error *err)
{
        const char *name = request_text(request, naming_key(request->verb->id));
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        bool pattern = name != NULL && str_is_pattern(name);

        if (request->target != COWHERD_ANY || request->verb->public.of_self)
                return 0;
        if (pattern || (name == NULL && speaks_to_all(request)))
                return 0;
        if (name == NULL || request->verb->id == VERB_SETUP || request->verb->id == VERB_TEARDOWN || request->verb->id == VERB_REGISTER_BASE ||
            request->verb->id == VERB_CREATE)
                return say_target(request, err);
        int got = herd_open(herd, false, err);
        if (got < 0)
                return -1;
        if (got > 0)
                return request->verb->id == VERB_CLONE_FROM_BASE
                               ? fail(err, COWHERD_NOT_FOUND, "base '%s' not found. Register it first with register_base", name)
                               : fail(err, COWHERD_NOT_FOUND, "'%s' not found: the herd at '%s' is empty", name, herd->root);
        if (speaks_to_all(request))
                return 0;
        const char *what = request->verb->id == VERB_CLONE_FROM_BASE || request->verb->id == VERB_REMOVE_BASE ? "base" : "";
        if (herd_find(herd, COWHERD_ANY, what, name, &row, err) < 0)
                return request->verb->id == VERB_CLONE_FROM_BASE ? say_register(err) : -1;
        request->target = row.target;
        return 0;
}

static int call_verb(struct call *call, struct cowherd_error *err)
{
        const struct verb *verb = call->request->verb;

        if (functions[verb->id] != NULL)
                return functions[verb->id](call, err);
        if (verb->public.available)
                return fail(err, COWHERD_USAGE, "'%s' belongs to the shell: cowherd %s", verb->public.name, verb->public.name);
        (void)fail(err, COWHERD_UNAVAILABLE, "'%s' is not available in this version", verb->public.name);
        return fail_hint(err, "'cowherd help' tells which verbs are");
}

static void write_audit(const struct call *call, const struct cowherd_error *err)
{
        const struct request *request = call->request;
        const char *name = request_text(request, KEY_NAME);

        if (call->herd->catalogue == NULL || !changes_something(request->verb->id) || request_flag(request, KEY_DRY_RUN))
                return;
        if (err == NULL && request->verb->id == VERB_CLONE_FROM_BASE)
                return; /* the row itself tells when it was made: the hot path writes nothing twice */
        catalogue_audit(call->herd->catalogue, request->target, request->verb->public.name, name, err == NULL ? 0 : err->code,
                        err == NULL ? cowherd_answer_text(call->answer) : err->text);
}

/* A word that was refused is told to the herd that is there already; none is made for it. */
static void audit_refused(const struct call *call, const struct cowherd_error *err)
{
        struct cowherd_error ignored;

        if (err->code == COWHERD_USAGE && call->request->verb != NULL && changes_something(call->request->verb->id) &&
            herd_open(call->herd, false, &ignored) == 0)
                write_audit(call, err);
}

static struct cowherd_answer *execute(struct cowherd_herd *herd, struct request *request, int parsed, struct cowherd_error *err, double started_ms)
{
        struct cowherd_answer *answer = answer_new(request->verb == NULL ? "" : request->verb->public.name);
        struct call call = {.herd = herd, .request = request, .answer = answer, .started_ms = started_ms};

        answer_set_stem(answer, request_text(request, KEY_STEM));
        if (request->verb != NULL && columns_of_verb(request->verb->id) != NULL && parsed >= 0)
                answer_set_list(answer, request_text(request, KEY_FORMAT), request_text(request, KEY_COLUMNS));
        if (parsed < 0 || find_target(herd, request, err) < 0) {
                answer_failed(answer, err);
                audit_refused(&call, err);
        } else if (call_verb(&call, err) < 0) {
                answer_failed(answer, err);
                write_audit(&call, err);
        } else {
                write_audit(&call, NULL);
        }
        request_free(request);
        return answer;
}

struct cowherd_answer *cowherd_execute(struct cowherd_herd *herd, enum cowherd_target target, const char *command,
                                       const struct cowherd_resolver *resolver)
{
        double started_ms = clock_ms();
        struct request request = {0};
        struct cowherd_error err = {0};
        int parsed = request_parse(target, command, resolver, &request, &err);

        return execute(herd, &request, parsed, &err, started_ms);
}

struct cowherd_answer *cowherd_execute_words(struct cowherd_herd *herd, enum cowherd_target target, size_t count, const char *const *words)
{
        double started_ms = clock_ms();
        struct request request = {0};
        struct cowherd_error err = {0};
        int parsed = request_parse_words(target, count, words, &request, &err);

        return execute(herd, &request, parsed, &err, started_ms);
}
