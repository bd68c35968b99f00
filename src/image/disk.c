/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_disk;
int placeholder_disk;
