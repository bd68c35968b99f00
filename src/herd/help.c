/* SPDX-License-Identifier: Apache-2.0 */
/* help and completion as commands: the verb table as an answer (the shell face shows it as pages), and scripts for shells. */
#include "herd/herd.h"

#include "command/completion.h"

static void fields_of_verb(struct cowherd_answer *answer, const struct cowherd_verb *verb)
{
        answer_text(answer, "verb", verb->name);
        answer_text(answer, "aliases", verb->aliases);
        answer_text(answer, "summary", verb->summary);
        answer_flag(answer, "available", verb->available);
}

/* A topic that is no verb: codes, language … as the shell shows it. */
static int help_of_topic(struct call *call, const char *topic, struct cowherd_error *err)
{
        owned_str char *text = NULL;

        if (cowherd_help(topic, &text, err) < 0)
                return -1;
        answer_text(call->answer, "text", text);
        answer_done(call->answer, "help on '%s'", topic);
        return 0;
}

static int help_of_one(struct call *call, const char *name, struct cowherd_error *err)
{
        const struct cowherd_verb *verb = cowherd_verb_find(name);

        if (verb == NULL)
                return help_of_topic(call, name, err);
        fields_of_verb(call->answer, verb);
        answer_text(call->answer, "example", verb->example);
        answer_list(call->answer);
        for (const struct cowherd_parameter *parameter = verb->parameters; parameter->name != NULL; parameter++) {
                answer_item(call->answer);
                answer_text(call->answer, "parameter", parameter->name);
                answer_text(call->answer, "type", parameter->type);
                answer_flag(call->answer, "required", parameter->required);
                answer_text(call->answer, "help", parameter->help);
        }
        answer_items_end(call->answer);
        answer_done(call->answer, "%s: %s", verb->name, verb->summary);
        return 0;
}

int verb_help(struct call *call, struct cowherd_error *err)
{
        const char *topic = request_text(call->request, KEY_TOPIC);
        size_t count = 0;

        if (topic != NULL)
                return help_of_one(call, topic, err);
        answer_list(call->answer);
        for (const struct cowherd_verb *verb = cowherd_verb_at(0); verb != NULL; verb = cowherd_verb_at(++count)) {
                answer_item(call->answer);
                fields_of_verb(call->answer, verb);
        }
        answer_items_end(call->answer);
        answer_done(call->answer, "%zu verbs", count);
        return 0;
}

int verb_completion(struct call *call, struct cowherd_error *err)
{
        const char *shell = request_text(call->request, KEY_SHELL), *script = completion_script(shell);

        if (script == NULL)
                return fail(err, COWHERD_INTERNAL, "there is no completion script for '%s'", shell);
        answer_text(call->answer, "shell", shell);
        answer_text(call->answer, "script", script);
        answer_done(call->answer, "the completion script for %s", shell);
        return 0;
}
