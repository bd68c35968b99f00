/* SPDX-License-Identifier: Apache-2.0 */
/* The shells' completion scripts. */
#pragma once

/* The script for "bash", "zsh" or "fish"; NULL for another. Static. */
const char *completion_script(const char *shell);
