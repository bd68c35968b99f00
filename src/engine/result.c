/* SPDX-License-Identifier: Apache-2.0 */
/* What callbacks hand back. */
#include "engine/engine.h"

#include <stdlib.h>

void engine_phase(struct engine_phases *phases, const char *name, double ms)
{
        if (phases->count == ENGINE_PHASES)
                return;
        phases->items[phases->count].name = name;
        phases->items[phases->count++].ms = ms;
}

void engine_output_free(struct engine_output *output)
{
        free(output->out);
        free(output->errors);
        *output = (struct engine_output){0};
}

void engine_captured_free(struct engine_captured *captured)
{
        free(captured->facts);
        captured->facts = NULL;
}
