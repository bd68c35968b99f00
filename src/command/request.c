/* SPDX-License-Identifier: Apache-2.0 */
extern int placeholder_request;
int placeholder_request;
