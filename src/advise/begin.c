/* SPDX-License-Identifier: Apache-2.0 */
/* What to type: each line is a whole command, which the tests parse by the very grammar that will read it. */
#include "advise/marks.h"

static bool is_default_store(const struct advise_option *option)
{
        return option->engine == COWHERD_LXD || (option->engine == COWHERD_QEMU && str_equal(option->store, "qcow2"));
}

static const char *source_of(const struct advise_option *option, bool windows)
{
        if (option->engine == COWHERD_QEMU)
                return windows ? "image=windows.qcow2 os=windows" : "image=debian.qcow2";
        return option->engine == COWHERD_LXD ? "image=ubuntu:22.04" : "distro=debian release=bookworm packages=systemd-sysv,dbus";
}

void advise_begin(const struct advise_facts *facts, const struct advise_option *option, const struct advise_needs *needs, struct strv *ret)
{
        const char *engine = cowherd_target_name(option->engine), *sudo = !facts->is_root && option->engine == COWHERD_NSPAWN ? "sudo " : "";
        bool ci = advise_needs_has(needs, ADVISE_CI), live = advise_needs_has(needs, ADVISE_LIVE), windows = advise_needs_has(needs, ADVISE_WINDOWS);
        owned_str char *store = is_default_store(option) ? x_strdup("") : x_asprintf(" store=%s", option->store);
        const char *base = live ? "awake" : "base";

        if (option->command != NULL)
                strv_addf(ret, "%s%s", str_starts(option->command, "cowherd ") ? sudo : "", option->command);
        if (option->engine == COWHERD_LXD && (ci || advise_needs_has(needs, ADVISE_SPEED)))
                strv_addf(ret, "cowherd lxd setup warm=4");
        strv_addf(ret, "%scowherd %s register_base name=base %s%s", sudo, engine, source_of(option, windows), store);
        if (live) {
                strv_addf(ret, "cowherd %s clone_from_base base=base name=first start=true wait=true", engine);
                strv_addf(ret, "cowherd %s promote name=first as=awake live=true", engine);
        }
        strv_addf(ret, "%scowherd %s clone_from_base base=%s name=%s-1 start=true wait=true%s", sudo, engine, base,
                  ci ? "job" : option->engine == COWHERD_QEMU ? "vm" : "box", ci ? " ttl=1h" : "");
        if (ci) {
                strv_addf(ret, "%scowherd %s delete name=job-1 force=true", sudo, engine);
                strv_addf(ret, "%scowherd cleanup", sudo);
        }
}
