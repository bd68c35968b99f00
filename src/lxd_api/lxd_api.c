/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_lxd_api;
int placeholder_lxd_api;
