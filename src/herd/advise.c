/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advise: the facts of this host, gathered as status gathers them (engines are probed, stores are asked about the very folder), and
 * where from= names a comparison its figures; the ranking itself is advise/'s. Nothing is changed, and nothing is made.
 */
#include "herd/herd.h"

#include "advise/advise.h"
#include "base/number.h"
#include "report/document.h"
#include "report/report.h"
#include "sys/file.h"
#include "sys/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Every pair, in the order of preference among equals. */
static const struct {
        enum cowherd_target engine;
        const char *store;
} pairs[] = {
        {COWHERD_NSPAWN, "btrfs"},   {COWHERD_NSPAWN, "overlay"},  {COWHERD_NSPAWN, "zfs"}, {COWHERD_QEMU, "qcow2"}, {COWHERD_LXD, "lxd_pool"},
        {COWHERD_QEMU, "reflink"},   {COWHERD_NSPAWN, "hardlink"}, {COWHERD_NSPAWN, "reflink"}, {COWHERD_QEMU, "copy"}, {COWHERD_NSPAWN, "copy"},
};

/* What brings an engine here that isn't: its program, and the command. */
static const struct {
        const char *program, *command;
} packages[COWHERD_ENGINES] = {
        [COWHERD_QEMU] = {"qemu-system-x86_64", "apt install qemu-system-x86 qemu-utils"},
        [COWHERD_LXD] = {"lxd", "apt install lxd"},
        [COWHERD_NSPAWN] = {"systemd-nspawn", "apt install systemd-container"},
};

/* The facts, with the texts that they borrow. */
struct gathered {
        struct advise_facts facts;
        struct strv texts;
        struct engine_probe engines[COWHERD_ENGINES];
        const char *filesystem;
        char *note; /* what is to be known of the measured figures, or NULL */
        json_t *document;
};

static void gathered_free(struct gathered *gathered)
{
        strv_free(&gathered->texts);
        free(gathered->note);
        json_decref(gathered->document);
}
define_owned(struct gathered, gathered_free)

static const char *keep(struct gathered *gathered, const char *text)
{
        strv_add(&gathered->texts, text);
        return gathered->texts.items[gathered->texts.count - 1];
}

static void probe_engines(struct gathered *gathered)
{
        for (int target = 0; target < COWHERD_ENGINES; target++) {
                struct engine_probe *probe = &gathered->engines[target];
                const struct engine_driver *engine = NULL;
                struct cowherd_error why;
                if (engine_find((enum cowherd_target)target, &engine, &why) < 0 || engine->probe(probe, &why) < 0) {
                        *probe = (struct engine_probe){0};
                        (void)snprintf(probe->reason, sizeof probe->reason, "%.255s", why.text);
                        (void)snprintf(probe->hint, sizeof probe->hint, "%.255s", why.hint);
                }
        }
        gathered->facts.has_acceleration = str_equal(gathered->engines[COWHERD_QEMU].acceleration, "kvm");
}

/* An engine that is not usable: root, a package, or what its probe says. */
static void lack_engine(struct gathered *gathered, struct advise_option *option)
{
        const struct engine_probe *probe = &gathered->engines[option->engine];
        bool installed = process_exists(packages[option->engine].program);

        option->state = ADVISE_INSTALL;
        owned_str char *reason = x_asprintf(installed && probe->hint[0] != '\0' ? "%s (%s)" : "%s", probe->reason, probe->hint);
        option->lacking = keep(gathered, reason);
        option->command = installed ? NULL : packages[option->engine].command;
        if (installed && option->engine == COWHERD_NSPAWN) {
                option->state = gathered->facts.is_root ? ADVISE_NEVER : ADVISE_SETUP;
                option->lacking = keep(gathered, probe->reason);
        }
        if (!gathered->facts.is_root && option->engine == COWHERD_NSPAWN && !str_equal(option->store, "overlay")) {
                option->state = ADVISE_NEVER;
                option->lacking = "only root can tell whether it works here";
        }
}

/* Whether the kernel has a filesystem, in itself or as a module. */
static bool kernel_has(const char *filesystem)
{
        struct utsname name;
        owned_str char *listed = NULL, *line = x_asprintf("\t%s\n", filesystem), *module = NULL;
        struct cowherd_error ignored;

        if (file_read(AT_FDCWD, "/proc/filesystems", 1 << 16, &listed, NULL, &ignored) == 0 && strstr(listed, line) != NULL)
                return true;
        if (uname(&name) < 0)
                return false;
        module = x_asprintf("/lib/modules/%s/kernel/fs/%s", name.release, filesystem);
        return access(module, F_OK) == 0;
}

/* A store that does not work as it is: whether a command makes it work. */
static void lack_store(struct gathered *gathered, struct advise_option *option, const char *reason)
{
        option->state = ADVISE_NEVER;
        option->lacking = keep(gathered, reason);
        if (option->engine == COWHERD_LXD) {
                option->state = ADVISE_SETUP;
                option->command = "cowherd lxd setup";
        } else if (str_equal(option->store, "btrfs") && gathered->facts.is_root && kernel_has("btrfs")) {
                option->state = process_exists("mkfs.btrfs") ? ADVISE_SETUP : ADVISE_INSTALL;
                option->command = option->state == ADVISE_SETUP ? "cowherd nspawn setup store=btrfs size=20G" : "apt install btrfs-progs";
        } else if (str_equal(option->store, "zfs") && gathered->facts.is_root) {
                option->state = process_exists("zpool") ? ADVISE_SETUP : ADVISE_INSTALL;
                option->command = option->state == ADVISE_SETUP ? "cowherd nspawn setup store=zfs pool=POOL" : "apt install zfsutils-linux";
        }
}

static void ask_store(struct cowherd_herd *herd, struct gathered *gathered, struct advise_option *option)
{
        struct choice choice owned_by(choice_free) = {.place.fd = -1};
        struct cowherd_error why;

        if (choice_probe(herd, option->store, kind_of_target(option->engine), false, &choice, &why) < 0) {
                lack_store(gathered, option, why.text);
                return;
        }
        if (gathered->filesystem == NULL && option->engine == COWHERD_QEMU && choice.place.fd >= 0)
                gathered->filesystem = file_system_name(choice.place.fd);
        if (!choice.probe.usable)
                lack_store(gathered, option, choice.probe.reason);
}

/* What was measured of a pair: a clone and its start until it is ready (else until its first command), and what is saved. */
static void add_measured(const json_t *document, struct advise_option *option)
{
        const char *engine = cowherd_target_name(option->engine);
        struct figure clone, ready;
        const json_t *item;
        size_t i;

        if (document_figure_of(document, engine, option->store, "clone", &clone) &&
            (document_figure_of(document, engine, option->store, "ready", &ready) || document_figure_of(document, engine, option->store, "first_command", &ready)))
                option->start_ms = clone.ours.median + ready.ours.median;
        json_array_foreach(json_object_get(document, "space"), i, item)
                if (str_equal(document_text_or_empty(item, "engine"), engine) && str_equal(document_text_or_empty(item, "store"), option->store))
                        (void)document_number(item, "saved_percent", &option->saved_percent);
}

/* Figures of another kernel are most likely another machine's: they count all the same, and it is said. */
static void note_machine(struct gathered *gathered)
{
        const char *kernel = document_text_or_empty(json_object_get(gathered->document, "machine"), "kernel");
        struct utsname name;

        if (kernel[0] != '\0' && uname(&name) == 0 && strstr(kernel, name.release) == NULL)
                gathered->note = x_asprintf("measured under kernel '%.80s', and this is %s: measure here with 'cowherd compare --json'", kernel, name.release);
}

static int gather(struct call *call, struct gathered *gathered, struct cowherd_error *err)
{
        const char *from = request_text(call->request, KEY_FROM);

        if (from != NULL && report_read(from, &gathered->document, err) < 0)
                return -1;
        if (herd_open(call->herd, false, err) < 0)
                return -1;
        gathered->facts.is_root = geteuid() == 0;
        probe_engines(gathered);
        note_machine(gathered);
        for (size_t i = 0; i < array_length(pairs); i++) {
                struct advise_option *option = &gathered->facts.options[gathered->facts.count++];
                *option = (struct advise_option){.engine = pairs[i].engine, .store = pairs[i].store, .lacking = "", .start_ms = -1, .saved_percent = -1};
                if (gathered->engines[option->engine].available)
                        ask_store(call->herd, gathered, option);
                else
                        lack_engine(gathered, option);
                if (gathered->document != NULL)
                        add_measured(gathered->document, option);
        }
        return 0;
}

static char *joined(const struct strv *list, const char *between)
{
        owned_string struct str text = {0};

        for (size_t i = 0; i < list->count; i++)
                str_addf(&text, "%s%s", i > 0 ? between : "", list->items[i]);
        return str_take(&text);
}

static void add_item(struct cowherd_answer *answer, const struct advice *advice)
{
        const struct advise_option *option = advice->option;
        owned_str char *reasons = joined(&advice->reasons, "\n"), *commands = joined(&advice->commands, "\n"), *mark = x_asprintf("%.1f", advice->mark);

        answer_item(answer);
        if (advice->place > 0)
                answer_number(answer, "place", advice->place);
        answer_text(answer, "engine", cowherd_target_name(option->engine));
        answer_text(answer, "store", option->store);
        answer_text(answer, "state", advise_state_name(option->state));
        answer_text(answer, "lacking", option->lacking[0] == '\0' ? NULL : option->lacking);
        if (advice->place > 0)
                answer_text(answer, "mark", mark);
        answer_text(answer, "reasons", reasons);
        answer_text(answer, "commands", commands[0] == '\0' ? NULL : commands);
}

static void add_facts(struct cowherd_answer *answer, const struct gathered *gathered, const char *needs, const struct advices *advices)
{
        answer_text(answer, "needs", needs);
        answer_text(answer, "stack", advices->stack);
        answer_text(answer, "filesystem", gathered->filesystem);
        answer_text(answer, "acceleration", gathered->engines[COWHERD_QEMU].acceleration);
        answer_flag(answer, "measured", gathered->document != NULL);
        answer_text(answer, "note", gathered->note);
}

int verb_advise(struct call *call, struct cowherd_error *err)
{
        struct gathered gathered owned_by(gathered_free) = {0};
        struct advices advices owned_by(advices_free) = {0};
        struct advise_needs needs;
        owned_strv struct strv names = {0};

        if (advise_parse_needs(request_text(call->request, KEY_NEED), &needs, err) < 0 || gather(call, &gathered, err) < 0)
                return -1;
        for (size_t i = 0; i < needs.count; i++)
                strv_add(&names, advise_need_name(needs.items[i]));
        owned_str char *said = joined(&names, ", ");
        advise_rank(&gathered.facts, &needs, &advices);
        add_facts(call->answer, &gathered, said, &advices);
        answer_list(call->answer);
        for (size_t i = 0; i < advices.count; i++)
                add_item(call->answer, &advices.items[i]);
        answer_items_end(call->answer);
        const struct advice *first = &advices.items[0];
        if (first->place == 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "nothing here serves %s: each is told with why", said);
                return fail_hint(err, "with fewer needs there may be a place");
        }
        answer_done(call->answer, "for %s: %s on %s%s%s", said, cowherd_target_name(first->option->engine), first->option->store,
                    advices.stack == NULL ? "" : ", the stack for ", advices.stack == NULL ? "" : advices.stack);
        return 0;
}
