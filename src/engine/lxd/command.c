/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in the guest: an engine_command as LXD's exec takes it, with its output kept. */
#include "engine/lxd/lxd.h"

#include "lxd_api/exec.h"
#include "sys/clock.h"

void lxd_command_fill(const struct engine_command *command, const struct lxd_user *user, struct strv *environment,
                      struct lxd_exec *exec)
{
        bool is_person = user->name != NULL && user->user != 0; /* of root LXD sets all that itself */

        if (is_person) {
                strv_addf(environment, "HOME=%s", user->home);
                strv_addf(environment, "USER=%s", user->name);
                strv_addf(environment, "LOGNAME=%s", user->name);
        }
        for (const char *const *at = command->environment; at != NULL && *at != NULL; at++)
                strv_add(environment, *at);
        *exec = (struct lxd_exec){
                .argv = command->argv,
                .environment = (const char *const *)environment->items,
                .working_dir = command->working_dir,
                .user = user->user,
                .group = user->group,
                .input = -1,
                .bytes = command->input,
                .length = command->input != NULL ? command->input_length : 0,
                .timeout_ms = command->timeout_ms,
                .wake = -1,
        };
}

/* A person's home, where it is there: LXD fails where it is not. */
static int choose_folder(const struct lxd_target *target, const struct lxd_user *user, struct lxd_exec *exec,
                         struct cowherd_error *err)
{
        const char *type = NULL;

        if (exec->working_dir != NULL || user->user == 0)
                return 0;
        exec->working_dir = "/";
        if (str_is_empty(user->home) || user->home[0] != '/')
                return 0;
        int rc = lxd_file_stat(target->client, target->name, user->home, &type, NULL, err);
        if (rc == 0 && str_equal(type, "directory"))
                exec->working_dir = user->home;
        return rc < 0 ? -1 : 0;
}

static int check_folder(const struct lxd_target *target, const char *folder, struct cowherd_error *err)
{
        const char *type = NULL;
        int rc = folder == NULL ? 0 : lxd_file_stat(target->client, target->name, folder, &type, NULL, err);

        return rc <= 0 ? rc : fail(err, COWHERD_NOT_FOUND, "folder '%s' not found in instance '%s'", folder, target->name);
}

int lxd_execute(const struct engine_instance *instance, const struct engine_command *command, struct engine_output *ret,
                struct cowherd_error *err)
{
        owned_exec_output struct lxd_exec_output output = {0};
        owned_target struct lxd_target target = {0};
        owned_strv struct strv environment = {0};
        owned_user struct lxd_user user = {0};
        struct lxd_exec exec;
        double began = clock_ms();

        if (lxd_target_running(instance, &target, err) < 0 ||
            (command->user != NULL && lxd_user_find(&target, command->user, &user, err) < 0))
                return -1;
        lxd_command_fill(command, &user, &environment, &exec);
        if (check_folder(&target, command->working_dir, err) < 0 || choose_folder(&target, &user, &exec, err) < 0 ||
            lxd_exec_collect(target.client, target.name, &exec, ENGINE_OUTPUT_BYTES, &output, err) < 0)
                return -1;
        if (output.timed_out)
                return fail(err, COWHERD_BUSY, "the command in '%s' took longer than %llu ms and was ended, with its children",
                            instance->name, (unsigned long long)command->timeout_ms);
        *ret = (struct engine_output){.exit_code = output.exit_code,
                                      .out_length = output.out.length,
                                      .errors_length = output.errors.length,
                                      .cut = output.cut,
                                      .ms = clock_ms() - began};
        ret->out = str_take(&output.out);
        ret->errors = str_take(&output.errors);
        return 0;
}
