/* SPDX-License-Identifier: Apache-2.0 */
/* guest=inject: puts cowherd-guest into the disk of a base in the making. */
#pragma once

#include "herd/herd.h"

/* 69 where that can't be done to what is asked for, before anything is made. */
int inject_check(const struct call *call, struct cowherd_error *err) must_check;
/* Boots the base's disk, without a network, puts the program in through the agent of that guest, and shuts it down again. */
int inject_guest(const struct call *call, const struct thing *base, struct cowherd_error *err) must_check;
/* Ends what a killed command has left of that. */
int inject_end(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err) must_check;
