/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_lxd_pool;
int placeholder_lxd_pool;
