/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_open;
int placeholder_open;
