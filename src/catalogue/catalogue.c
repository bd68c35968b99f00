/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_catalogue;
int placeholder_catalogue;
