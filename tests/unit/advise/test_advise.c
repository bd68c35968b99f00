/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranking, over tables of facts: hosts as they are met, and what each need has to answer there. The three stacks of the
 * comparison are among them.
 */
#include "advise/advise.h"
#include "command/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define READY ADVISE_READY, "", NULL, -1, -1
#define SETUP(command) ADVISE_SETUP, "not set up", command, -1, -1
#define INSTALL(command) ADVISE_INSTALL, "not installed", command, -1, -1
#define NEVER ADVISE_NEVER, "this kernel can't", NULL, -1, -1
#define BTRFS SETUP("cowherd nspawn setup store=btrfs size=20G")

/* A laptop or a server with everything, on ext4, as root. */
static const struct advise_facts with_kvm = {
        .is_root = true, .has_acceleration = true, .count = 8,
        .options = {{COWHERD_NSPAWN, "overlay", READY}, {COWHERD_NSPAWN, "btrfs", BTRFS}, {COWHERD_NSPAWN, "zfs", NEVER}, {COWHERD_QEMU, "qcow2", READY},
                    {COWHERD_LXD, "lxd_pool", READY}, {COWHERD_QEMU, "reflink", NEVER}, {COWHERD_QEMU, "copy", READY}, {COWHERD_NSPAWN, "copy", READY}}};
/* The same as a virtual machine: none inside goes fast. */
static const struct advise_facts without_kvm = {
        .is_root = true, .count = 5,
        .options = {{COWHERD_NSPAWN, "overlay", READY}, {COWHERD_NSPAWN, "btrfs", BTRFS}, {COWHERD_QEMU, "qcow2", READY}, {COWHERD_LXD, "lxd_pool", READY},
                    {COWHERD_QEMU, "copy", READY}}};
/* A server on btrfs, no QEMU installed. */
static const struct advise_facts no_qemu = {
        .is_root = true, .has_acceleration = false, .count = 5,
        .options = {{COWHERD_NSPAWN, "btrfs", READY}, {COWHERD_NSPAWN, "overlay", READY}, {COWHERD_QEMU, "qcow2", INSTALL("apt install qemu-system-x86 qemu-utils")},
                    {COWHERD_LXD, "lxd_pool", SETUP("cowherd lxd setup")}, {COWHERD_NSPAWN, "reflink", READY}}};
/* A user without root, with KVM. */
static const struct advise_facts not_root = {
        .is_root = false, .has_acceleration = true, .count = 4,
        .options = {{COWHERD_NSPAWN, "overlay", SETUP(NULL)}, {COWHERD_NSPAWN, "btrfs", NEVER}, {COWHERD_QEMU, "qcow2", READY},
                    {COWHERD_LXD, "lxd_pool", INSTALL("apt install lxd")}}};
/* LXD alone. */
static const struct advise_facts lxd_alone = {
        .is_root = true, .count = 3,
        .options = {{COWHERD_NSPAWN, "overlay", INSTALL("apt install systemd-container")}, {COWHERD_QEMU, "qcow2", INSTALL("apt install qemu-system-x86 qemu-utils")},
                    {COWHERD_LXD, "lxd_pool", READY}}};
/* Measured: here LXD starts sooner than nspawn, and its pool saves less. */
static const struct advise_facts measured = {
        .is_root = true, .count = 3,
        .options = {{COWHERD_NSPAWN, "overlay", ADVISE_READY, "", NULL, 900, 99.99}, {COWHERD_QEMU, "qcow2", ADVISE_READY, "", NULL, 9000, 99.993},
                    {COWHERD_LXD, "lxd_pool", ADVISE_READY, "", NULL, 300, 92.5}}};
static const struct advise_facts copies_only = {
        .is_root = true, .count = 2, .options = {{COWHERD_QEMU, "copy", READY}, {COWHERD_NSPAWN, "copy", READY}}};

static const struct answer_of {
        const struct advise_facts *facts;
        const char *needs;
        const char *first; /* "engine/store"; NULL: nothing serves */
        const char *stack; /* or NULL */
} answers[] = {
        /* The three stacks of the comparison. */
        {&with_kvm, "speed,simple,any-filesystem", "nspawn/overlay", "development"},
        {&with_kvm, "isolation,space", "qemu/qcow2", "production"},
        {&with_kvm, "ci", "nspawn/overlay", "CI"},
        /* Where the facts are other ones. */
        {&without_kvm, "speed,simple,any-filesystem", "nspawn/overlay", "development"},
        {&without_kvm, "isolation", "qemu/qcow2", NULL},
        {&without_kvm, "speed,ci", "nspawn/overlay", "CI"},
        {&no_qemu, "isolation,space", "nspawn/btrfs", NULL},
        {&no_qemu, "speed,space", "nspawn/btrfs", "development"},
        {&lxd_alone, "isolation,space", "lxd/lxd_pool", "production"},
        {&lxd_alone, "ci", "lxd/lxd_pool", "CI"},
        {&lxd_alone, "speed", "nspawn/overlay", "development"}, /* so much quicker that installing it is worth it */
        {&not_root, NULL, "qemu/qcow2", NULL},
        {&not_root, "isolation,speed", "qemu/qcow2", "production"},
        /* Single needs. */
        {&with_kvm, NULL, "nspawn/overlay", NULL},
        {&with_kvm, "speed", "nspawn/overlay", "development"},
        {&with_kvm, "space", "lxd/lxd_pool", NULL},
        {&with_kvm, "isolation", "qemu/qcow2", "production"},
        {&with_kvm, "simple", "nspawn/overlay", NULL},
        {&with_kvm, "windows", "qemu/qcow2", NULL},
        {&with_kvm, "windows,ci", "qemu/qcow2", NULL},
        {&with_kvm, "live", "qemu/qcow2", NULL},
        {&without_kvm, "live,speed", "qemu/qcow2", NULL},
        {&with_kvm, "any-filesystem", "nspawn/overlay", NULL},
        /* The first need counts twice. */
        {&with_kvm, "isolation,speed", "qemu/qcow2", "production"},
        {&with_kvm, "speed,isolation", "nspawn/overlay", NULL},
        /* Measured figures go before what is generally so. */
        {&measured, "speed", "lxd/lxd_pool", "development"},
        {&measured, "speed,space", "lxd/lxd_pool", "development"},
        {&measured, "space,speed", "nspawn/overlay", "development"},
        {&measured, "windows", "qemu/qcow2", NULL},
        /* Nothing serves. */
        {&copies_only, "space", NULL, NULL},
        {&copies_only, "space,windows", NULL, NULL},
};

static void each_host_is_answered(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_length(answers); i++) {
                struct advise_needs needs;
                struct advices advices owned_by(advices_free) = {0};
                struct cowherd_error err = {0};
                assert_int_equal(advise_parse_needs(answers[i].needs, &needs, &err), 0);
                advise_rank(answers[i].facts, &needs, &advices);
                assert_int_equal(advices.count, answers[i].facts->count);
                const struct advice *first = &advices.items[0];
                owned_str char *found = first->place == 0 ? NULL : x_asprintf("%s/%s", cowherd_target_name(first->option->engine), first->option->store);
                if (!str_equal(found, answers[i].first) || !str_equal(advices.stack, answers[i].stack))
                        fail_msg("case %zu (%s): %s, %s", i, answers[i].needs, found, advices.stack);
        }
}

/* Whatever the facts and needs: places from 1 on without a gap, marks that fall, a reason for all, commands where there is a place. */
static void places_are_in_order_and_reasoned(void **state)
{
        static const struct advise_facts *const hosts[] = {&with_kvm, &without_kvm, &no_qemu, &not_root, &lxd_alone, &measured, &copies_only};

        (void)state;
        for (size_t host = 0; host < array_length(hosts); host++)
                for (unsigned mask = 1; mask < 1u << ADVISE_NEEDS; mask++) {
                        struct advise_needs needs = {0};
                        struct advices advices owned_by(advices_free) = {0};
                        for (unsigned need = 0; need < ADVISE_NEEDS; need++)
                                if ((mask >> need & 1) != 0)
                                        needs.items[needs.count++] = (enum advise_need)need;
                        advise_rank(hosts[host], &needs, &advices);
                        double before = 10;
                        for (unsigned i = 0; i < advices.count; i++) {
                                const struct advice *advice = &advices.items[i];
                                assert_true(advice->mark <= before + 1e-9);
                                before = advice->mark;
                                assert_int_equal(advice->place, advice->mark > 0 ? i + 1 : 0);
                                assert_int_equal(advice->reasons.count, advice->place > 0 ? needs.count : 1);
                                assert_int_equal(advice->commands.count > 0, advice->place > 0);
                                if (advice->option->state == ADVISE_NEVER)
                                        assert_int_equal(advice->place, 0);
                        }
                }
}

/* "cowherd ENGINE VERB key=value …" is what the grammar takes. */
static void check_command(const char *command)
{
        owned_str char *copy = x_strdup(command);
        const char *words[16];
        char *rest = NULL;
        size_t count = 0;
        enum cowherd_target target = COWHERD_ANY;
        struct request request owned_by(request_free) = {0};
        struct cowherd_error err = {0};

        for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
                assert_true(count < array_length(words));
                words[count++] = word;
        }
        size_t at = str_equal(words[0], "sudo") ? 1 : 0;
        if (str_equal(words[at], "apt"))
                return;
        assert_string_equal(words[at++], "cowherd");
        at += cowherd_target_parse(words[at], &target);
        if (request_parse_words(target, count - at, words + at, &request, &err) < 0)
                fail_msg("%s: %s", command, err.text);
        assert_true(request.verb->public.available);
}

static void every_command_can_be_typed(void **state)
{
        static const struct advise_facts *const hosts[] = {&with_kvm, &without_kvm, &no_qemu, &not_root, &lxd_alone, &measured};
        static const char *const needs[] = {"speed", "ci", "live", "windows", "live,windows,ci", "isolation"};

        (void)state;
        for (size_t host = 0; host < array_length(hosts); host++)
                for (size_t i = 0; i < array_length(needs); i++) {
                        struct advise_needs said;
                        struct advices advices owned_by(advices_free) = {0};
                        struct cowherd_error err = {0};
                        assert_int_equal(advise_parse_needs(needs[i], &said, &err), 0);
                        advise_rank(hosts[host], &said, &advices);
                        for (size_t j = 0; j < advices.count; j++)
                                for (size_t k = 0; k < advices.items[j].commands.count; k++)
                                        check_command(advices.items[j].commands.items[k]);
                }
}

static void commands_begin_with_what_is_wanting(void **state)
{
        struct advise_needs needs;
        struct advices advices owned_by(advices_free) = {0};
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(advise_parse_needs("live", &needs, &err), 0);
        advise_rank(&no_qemu, &needs, &advices);
        const struct strv *commands = &advices.items[0].commands;
        assert_string_equal(commands->items[0], "apt install qemu-system-x86 qemu-utils");
        assert_string_equal(commands->items[1], "cowherd qemu register_base name=base image=debian.qcow2");
        assert_true(strv_has(commands, "cowherd qemu promote name=first as=awake live=true"));
        assert_true(strv_has(commands, "cowherd qemu clone_from_base base=awake name=vm-1 start=true wait=true"));
        advices_free(&advices);
        assert_int_equal(advise_parse_needs("ci", &needs, &err), 0);
        advise_rank(&not_root, &needs, &advices);
        for (size_t i = 0; i < advices.count; i++)
                if (advices.items[i].place > 0 && advices.items[i].option->engine == COWHERD_NSPAWN)
                        assert_true(str_starts(advices.items[i].commands.items[0], "sudo cowherd nspawn register_base"));
}

static void needs_are_words(void **state)
{
        static const struct {
                const char *text, *says;
        } bad[] = {
                {"sped", "did you mean 'speed'?"}, {"speed,isolaton", "did you mean 'isolation'?"}, {"any-fs", "'any-fs' is not known"},
                {"speed,SPEED", "said twice"},     {",", "not known"},                                 {"windoze", "did you mean 'windows'?"},
        };
        struct advise_needs needs;
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(advise_parse_needs("Speed, any_filesystem ci", &needs, &err), 0);
        assert_int_equal(needs.count, 3);
        assert_int_equal(needs.items[0], ADVISE_SPEED);
        assert_int_equal(needs.items[1], ADVISE_ANY_FILESYSTEM);
        assert_int_equal(advise_parse_needs("", &needs, &err), 0);
        assert_int_equal(needs.count, 4);
        for (size_t i = 0; i < array_length(bad); i++) {
                assert_int_equal(advise_parse_needs(bad[i].text, &needs, &err), -1);
                assert_int_equal(err.code, COWHERD_USAGE);
                if (strstr(err.text, bad[i].says) == NULL)
                        fail_msg("'%s' of '%s' does not say '%s'", err.text, bad[i].text, bad[i].says);
        }
}

static void measured_figures_are_in_the_reasons(void **state)
{
        struct advise_needs needs;
        struct advices advices owned_by(advices_free) = {0};
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(advise_parse_needs("speed,space", &needs, &err), 0);
        advise_rank(&measured, &needs, &advices);
        assert_true(strv_has(&advices.items[0].reasons, "speed: measured: a clone is ready after 300 ms, the quickest here"));
        assert_true(strv_has(&advices.items[0].reasons, "space: measured: a clone saves 92.5 % of a full copy"));
        assert_true(strv_has(&advices.items[1].reasons, "speed: measured: a clone is ready after 900 ms, 3.0 times the quickest"));
        assert_true(strv_has(&advices.items[1].reasons, "space: measured: a clone saves 99.99 % of a full copy"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_host_is_answered),
                cmocka_unit_test(places_are_in_order_and_reasoned),
                cmocka_unit_test(every_command_can_be_typed),
                cmocka_unit_test(commands_begin_with_what_is_wanting),
                cmocka_unit_test(needs_are_words),
                cmocka_unit_test(measured_figures_are_in_the_reasons),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
