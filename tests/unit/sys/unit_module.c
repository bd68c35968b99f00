/* SPDX-License-Identifier: Apache-2.0 */
/* A module for the test of modules. */

int unit_module_answer(void);

__attribute__((visibility("default"))) int unit_module_answer(void)
{
        return 42;
}
