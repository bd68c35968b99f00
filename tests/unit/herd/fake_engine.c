/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_engine.h"

#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct fake_engine *fake_engine;

void fake_engine_begin(void)
{
        pthread_mutexattr_t shared;

        fake_engine = mmap(NULL, sizeof *fake_engine, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        (void)pthread_mutexattr_init(&shared);
        (void)pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
        (void)pthread_mutex_init(&fake_engine->mutex, &shared);
}

void fake_engine_reset(void)
{
        pthread_mutex_t mutex = fake_engine->mutex;

        memset(fake_engine, 0, sizeof *fake_engine);
        fake_engine->mutex = mutex;
}

void fake_engine_fail(const char *callback, const char *name, int code)
{
        (void)snprintf(fake_engine->fail, sizeof fake_engine->fail, "%s", callback);
        (void)snprintf(fake_engine->fail_name, sizeof fake_engine->fail_name, "%s", name);
        fake_engine->fail_code = code;
}

static struct fake_instance *of(const struct engine_instance *instance)
{
        return &fake_engine->instances[instance->id % FAKE_IDS];
}

static void die_in(const char *callback)
{
        if (str_equal(fake_engine->kill, callback))
                _exit(9);
}

/* Dies or fails where it is to. */
static int enter(const struct engine_instance *instance, const char *callback, struct cowherd_error *err)
{
        die_in(callback);
        if (str_equal(fake_engine->fail, callback) && (fake_engine->fail_name[0] == '\0' || str_equal(instance->name, fake_engine->fail_name)))
                return fail(err, (enum cowherd_code)fake_engine->fail_code, "the fake engine can't %s '%s'", callback, instance->name);
        return 0;
}

static enum engine_state state_of(const struct engine_instance *instance)
{
        return of(instance)->state == ENGINE_UNKNOWN ? ENGINE_STOPPED : of(instance)->state;
}

static int fake_probe(struct engine_probe *ret, struct cowherd_error *err)
{
        (void)err;
        *ret = (struct engine_probe){.available = false, .reason = "a fake"};
        return 0;
}

static int fake_states(const struct engine_instance *instances, size_t count, enum engine_state *ret, struct cowherd_error *err)
{
        for (size_t i = 0; i < count; i++) {
                if (enter(&instances[i], "states", err) < 0)
                        return -1;
                ret[i] = state_of(&instances[i]);
                /* By the next disk: whether it is that one which it has open. */
                if (instances[i].path != NULL && str_ends(instances[i].path, "next.qcow2") && !of(&instances[i])->switched)
                        ret[i] = ENGINE_STOPPED;
        }
        return 0;
}

static int fake_check(const struct engine_instance *instance, struct cowherd_error *err)
{
        return enter(instance, "check", err);
}

static void note_machine(const struct engine_instance *instance)
{
        const struct engine_machine *machine = instance->machine;
        struct fake_instance *fake = of(instance);

        (void)snprintf(fake->memory, sizeof fake->memory, "%llu", (unsigned long long)machine->memory_bytes);
        (void)snprintf(fake->words, sizeof fake->words, "network=%d ports=%zu mounts=%zu layers=%zu", (int)machine->network, machine->port_count,
                       machine->mount_count, machine->layer_count);
        (void)snprintf(fake->identity, sizeof fake->identity, "%s", instance->identity->machine_id == NULL ? "" : instance->identity->machine_id);
        (void)snprintf(fake->host_key, sizeof fake->host_key, "%.60s", instance->identity->host_key_public == NULL ? "" : instance->identity->host_key_public);
        (void)snprintf(fake->hostname, sizeof fake->hostname, "%s", instance->identity->hostname == NULL ? "" : instance->identity->hostname);
        (void)snprintf(fake->uuid, sizeof fake->uuid, "%s", instance->identity->uuid == NULL ? "" : instance->identity->uuid);
        fake->applied_before = instance->identity->applied;
        (void)snprintf(fake->live, sizeof fake->live, "%s", "");
        if (machine->live != NULL)
                (void)snprintf(fake->live, sizeof fake->live, "%s %s %s %s", machine->live->base, machine->live->ram, machine->live->state, machine->live->facts);
}

#define MEETING_MS 20000 /* then they never will */

static unsigned met(void)
{
        (void)pthread_mutex_lock(&fake_engine->mutex);
        unsigned most = fake_engine->at_once_max;
        (void)pthread_mutex_unlock(&fake_engine->mutex);
        return most;
}

static bool fake_stands_by(const struct engine_instance *instance, uint64_t *ret_private_bytes)
{
        if (ret_private_bytes != NULL)
                *ret_private_bytes = 32u << 20;
        return of(instance)->stands_by && of(instance)->state == ENGINE_PAUSED;
}

static int fake_stand_by(const struct engine_instance *instance, struct cowherd_error *err)
{
        if (enter(instance, "stand_by", err) < 0)
                return -1;
        note_machine(instance);
        of(instance)->state = ENGINE_PAUSED;
        of(instance)->runtime_left = of(instance)->stands_by = true;
        die_in("stood");
        return 0;
}

static int fake_start(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err)
{
        bool stood = fake_stands_by(instance, NULL);

        of(instance)->stands_by = false;
        if (instance->machine->live != NULL && instance->machine->live->may_stand_by && !stood) {
                of(instance)->state = ENGINE_STOPPED;
                return 1;
        }
        (void)pthread_mutex_lock(&fake_engine->mutex);
        if (++fake_engine->at_once > fake_engine->at_once_max)
                fake_engine->at_once_max = fake_engine->at_once;
        of(instance)->starts++;
        of(instance)->runtime_left = true;
        (void)pthread_mutex_unlock(&fake_engine->mutex);
        for (unsigned ms = 0; fake_engine->meets && ms < MEETING_MS && met() < 2; ms++)
                (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        (void)pthread_mutex_lock(&fake_engine->mutex);
        fake_engine->at_once--;
        (void)pthread_mutex_unlock(&fake_engine->mutex);
        if (enter(instance, "start", err) < 0) {
                of(instance)->runtime_left = false;
                return -1;
        }
        note_machine(instance);
        of(instance)->state = ENGINE_RUNNING;
        *ret = (struct engine_started){.identity_applied = !fake_engine->keeps_pending, .note = "a fake", .stood_by = stood};
        if (fake_engine->keeps_pending)
                (void)snprintf(ret->pending, sizeof ret->pending, "machine-id: the guest is not there yet");
        engine_phase(&ret->phases, "spawn", 1.5);
        if (instance->machine->live != NULL) {
                ret->private_bytes = 1000;
                ret->shared_bytes = 2000;
        }
        die_in("started");
        return 0;
}

static int fake_stop(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced, struct cowherd_error *err)
{
        if (enter(instance, "stop", err) < 0)
                return -1;
        of(instance)->stops++;
        of(instance)->ends += force || timeout_ms == 0;
        of(instance)->state = ENGINE_STOPPED;
        of(instance)->runtime_left = false;
        *ret_forced = force;
        die_in("stopped");
        return 0;
}

static int fake_pause(const struct engine_instance *instance, struct cowherd_error *err)
{
        if (enter(instance, "pause", err) < 0)
                return -1;
        of(instance)->pauses++;
        of(instance)->state = ENGINE_PAUSED;
        return 0;
}

static int fake_resume(const struct engine_instance *instance, struct cowherd_error *err)
{
        if (enter(instance, "resume", err) < 0)
                return -1;
        of(instance)->resumes++;
        of(instance)->state = ENGINE_RUNNING;
        return 0;
}

static int fake_wait(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms, struct engine_waited *ret,
                     struct cowherd_error *err)
{
        enum engine_state state = state_of(instance);
        bool is_so = what == ENGINE_EVENT_STOPPED ? state == ENGINE_STOPPED : state == ENGINE_RUNNING;

        if (enter(instance, "wait", err) < 0)
                return -1;
        if (!is_so)
                return fail(err, COWHERD_BUSY, "it is not so after %llu ms", (unsigned long long)timeout_ms);
        if (what == ENGINE_EVENT_READY && instance->identity->host_key_public != NULL &&
            strncmp(of(instance)->host_key, instance->identity->host_key_public, 60) != 0)
                return fail(err, COWHERD_INTERNAL, "the wait tells another host key than the start");
        *ret = (struct engine_waited){.identity_applied = fake_engine->keeps_pending && what == ENGINE_EVENT_READY};
        if (what == ENGINE_EVENT_ADDRESS)
                (void)snprintf(ret->address, sizeof ret->address, "10.0.0.%llu", (unsigned long long)instance->id);
        engine_phase(&ret->phases, "agent", 2.5);
        return 0;
}

static int fake_execute(const struct engine_instance *instance, const struct engine_command *command, struct engine_output *ret,
                        struct cowherd_error *err)
{
        struct str said owned_by(str_free) = {0};

        if (enter(instance, "execute", err) < 0)
                return -1;
        for (const char *const *word = command->argv; *word != NULL; word++)
                str_addf(&said, "[%s]", *word);
        for (const char *const *word = command->environment; word != NULL && *word != NULL; word++)
                str_addf(&said, " {%s}", *word);
        str_addf(&said, " user=%s dir=%s timeout=%llu input=%.*s", command->user == NULL ? "-" : command->user,
                 command->working_dir == NULL ? "-" : command->working_dir, (unsigned long long)command->timeout_ms,
                 (int)command->input_length, command->input == NULL ? "" : command->input);
        (void)snprintf(fake_engine->executed, sizeof fake_engine->executed, "%s", str_text(&said));
        of(instance)->executes++;
        *ret = (struct engine_output){.exit_code = fake_engine->exit_code, .out = x_malloc(sizeof fake_engine->output + 1),
                                      .errors = x_strdup("warned"), .errors_length = 6, .out_length = fake_engine->output_length, .ms = 3};
        memcpy(ret->out, fake_engine->output, fake_engine->output_length);
        ret->out[ret->out_length] = '\0';
        return 0;
}

static int fake_logs(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err)
{
        if (enter(instance, "logs", err) < 0)
                return -1;
        *ret = x_asprintf("line of %s\nlast of %llu\n", instance->name, (unsigned long long)lines);
        return 0;
}

static int make_file(int folder, const char *path, struct cowherd_error *err)
{
        int fd = openat(folder, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400);

        if (fd < 0)
                return fail_errno(err, "cannot make '%s'", path);
        int got = pwrite(fd, path, strlen(path), 8192) < 0 || ftruncate(fd, 1 << 20) < 0 ? fail_errno(err, "cannot write '%s'", path) : 0;
        (void)close(fd);
        return got;
}

static int fake_capture(const struct engine_instance *instance, const struct engine_capture *how, struct engine_captured *ret, struct cowherd_error *err)
{
        if (enter(instance, "capture", err) < 0)
                return -1;
        of(instance)->captures++;
        if (make_file(instance->folder, how->ram, err) < 0 || make_file(instance->folder, how->state, err) < 0)
                return -1;
        die_in("captured");
        of(instance)->switched = ret->switched = how->next != NULL;
        die_in("switched");
        if (enter(instance, "switch", err) < 0 || how->disk(how->context, err) < 0)
                return -1;
        of(instance)->switched = false;
        die_in("taken");
        *ret = (struct engine_captured){.facts = x_strdup("{\"qemu\":\"7.2.22\",\"cpus\":2}"), .switched = how->next != NULL, .fresh_random = true, .pause_ms = 12.5,
                                        .memory_bytes = instance->machine->memory_bytes, .ram_bytes = 4096, .state_bytes = 100};
        engine_phase(&ret->phases, "save", 3.5);
        return 0;
}

static int fake_release(const char *runtime, struct cowherd_error *err)
{
        fake_engine->releases++;
        (void)snprintf(fake_engine->released, sizeof fake_engine->released, "%s", runtime);
        return rmdir(runtime) < 0 ? fail_errno(err, "cannot remove '%s'", runtime) : 0;
}

static int fake_quiesce(const struct engine_instance *instance, bool quiet, bool *ret_frozen, struct cowherd_error *err)
{
        if (enter(instance, "quiesce", err) < 0)
                return -1;
        of(instance)->quiets += quiet ? 100 : 1;
        *ret_frozen = false;
        return 0;
}

static int fake_tidy(const struct engine_instance *instance, struct cowherd_error *err)
{
        if (enter(instance, "tidy", err) < 0)
                return -1;
        of(instance)->tidies++;
        of(instance)->runtime_left = false;
        return 0;
}

static const struct engine_driver whole = {
        .name = "fake", .kinds = 1, .default_stores = "qcow2", .runtime = "fake", .probe = fake_probe, .states = fake_states,
        .check = fake_check, .start = fake_start, .stop = fake_stop, .pause = fake_pause, .resume = fake_resume, .wait = fake_wait,
        .execute = fake_execute, .logs = fake_logs, .tidy = fake_tidy, .capture = fake_capture, .release_live = fake_release, .stand_by = fake_stand_by, .stands_by = fake_stands_by, .quiesce = fake_quiesce,
};
static const struct engine_driver bare = {.name = "fake", .kinds = 1, .default_stores = "qcow2", .runtime = "fake", .probe = fake_probe, .states = fake_states};

int engine_find(enum cowherd_target target, const struct engine_driver **ret, struct cowherd_error *err)
{
        (void)target, (void)err;
        *ret = fake_engine->absent ? &bare : &whole;
        return 0;
}

const char *engine_state_name(enum engine_state state)
{
        static const char *const names[] = {"unknown", "stopped", "running", "paused", "missing"};

        return names[state];
}
