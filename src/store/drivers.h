/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in stores, for table.c alone: everyone else asks store_find. */
#pragma once

#include "store/store.h"

extern const struct store_driver store_qcow2, store_btrfs, store_zfs, store_overlay, store_reflink, store_hardlink, store_copy;
