/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's callbacks that start and end machines, and look at them. engine.h says what each promises. */
#pragma once

#include "engine/engine.h"

struct qmp; /* qmp.h */

/* ---- states.c ---- */
int qemu_states(const struct engine_instance *instances, size_t count, enum engine_state *ret, struct cowherd_error *err) must_check;

/* ---- start.c ---- */
int qemu_start(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err) must_check;
int qemu_stand_by(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* ---- stop.c ---- */
int qemu_stop(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced,
              struct cowherd_error *err) must_check;
int qemu_tidy(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* ---- pause.c ---- */
int qemu_pause(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int qemu_resume(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int qemu_quiesce(const struct engine_instance *instance, bool quiet, bool *ret_frozen, struct cowherd_error *err) must_check;

/* ---- wait.c ---- */
int qemu_wait(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms,
              struct engine_waited *ret, struct cowherd_error *err) must_check;

/* ---- chain.c ---- */
int qemu_switch_disk(const struct engine_instance *instance, const char *next, struct cowherd_error *err) must_check;
/* The same by a connection that is there. */
int qemu_switch_disk_by(struct qmp *qmp, const struct engine_instance *instance, const char *next, struct cowherd_error *err) must_check;
int qemu_flatten(const struct engine_instance *instance, void (*report)(void *context, uint64_t done, uint64_t total),
                 void *context, struct cowherd_error *err) must_check;

/* ---- console.c ---- */
int qemu_trim_log(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int qemu_logs(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err) must_check;
