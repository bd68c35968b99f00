/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_cli;
int placeholder_cli;
