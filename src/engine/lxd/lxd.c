/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_lxd;
int placeholder_lxd;
