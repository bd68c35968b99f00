/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_archive_module;
int placeholder_archive_module;
