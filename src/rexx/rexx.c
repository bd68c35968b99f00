/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_rexx;
int placeholder_rexx;
