/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in engines, for table.c alone: everyone else asks engine_find. */
#pragma once

#include "engine/engine.h"

extern const struct engine_driver engine_qemu, engine_nspawn;
