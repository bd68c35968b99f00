/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this folder: network=user. slirp4netns(1) carries a container's packets as sockets of this host, so that it gets out without a
 * bridge, a route or a rule of the host's, and nothing comes in but by `ports`.
 */
#pragma once

#include "engine/nspawn/cgroup.h"
#include "engine/nspawn/nspawn.h"

#define USER_NET_CARD "host0"                  /* as nspawn calls a container's card */
#define USER_NET_RESOLVER "nameserver 10.0.2.3\n" /* slirp's own, which asks whom the host asks */

/* 69 where the program or /dev/net/tun is not there; what engine_port_check says of each port. */
int user_net_check(const struct engine_machine *machine, struct cowherd_error *err) must_check;
/* Gives a container that was just born its card and its ports; what carries them ends with it. */
int user_net_start(const struct engine_instance *instance, const struct nspawn_leader *leader, struct cowherd_error *err) must_check;
