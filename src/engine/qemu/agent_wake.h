/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this folder: what the script of agent_identity.c does in a guest that woke in another's memory.
 *
 * Its random pool must be another's at once. What is written to /dev/urandom is stirred in, but heard only at the next reseeding, up to
 * a minute later; to have that now takes ioctl(2), for which a small system has no tool. So the script brings one: a
 * program of 252 bytes for the only processors that machines here have. It reads 64 bytes and makes two calls, of random(4):
 *
 *     read(0, pool.buf, 64) == 64 || exit(4);    fd = open("/dev/urandom", O_WRONLY)
 *     ioctl(fd, RNDADDENTROPY, &pool) == 0 || exit(5);    ioctl(fd, RNDRESEEDCRNG) == 0 || exit(6);    exit(0)
 */
#pragma once

/* As text of printf(1): an ELF header, one segment, the code, the path, and a struct rand_pool_info {256 bits, 64 bytes}. */
#define AGENT_RESEED_PROGRAM                                                                                           \
        "\\177ELF\\002\\001\\001\\000\\000\\000\\000\\000\\000\\000\\000\\000\\002\\000\\076\\000\\001\\000\\000" \
        "\\000x\\000@\\000\\000\\000\\000\\000@\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000" \
        "\\000\\000\\000\\000\\000\\000@\\0008\\000\\001\\000\\000\\000\\000\\000\\000\\000\\001\\000\\000\\000" \
        "\\007\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000@\\000\\000\\000\\000\\000\\000" \
        "\\000@\\000\\000\\000\\000\\000\\374\\000\\000\\000\\000\\000\\000\\000\\074\\001\\000\\000\\000\\000" \
        "\\000\\000\\000\\020\\000\\000\\000\\000\\000\\0001\\377H\\2155\\173\\000\\000\\000\\272@\\000\\000\\000" \
        "1\\300\\017\\005\\277\\004\\000\\000\\000\\203\\370@uLH\\215\\075L\\000\\000\\000\\276\\001\\000\\000" \
        "\\000\\270\\002\\000\\000\\000\\017\\005\\211\\303\\211\\337\\276\\003R\\010@H\\215\\025\\075\\000\\000" \
        "\\000\\270\\020\\000\\000\\000\\017\\005\\277\\005\\000\\000\\000\\205\\300u\\031\\211\\337\\276\\007" \
        "R\\000\\000\\270\\020\\000\\000\\000\\017\\0051\\377\\205\\300t\\005\\277\\006\\000\\000\\000\\270\\074" \
        "\\000\\000\\000\\017\\005/dev/urandom\\000\\000\\001\\000\\000@\\000\\000\\000"

#define AGENT_WAKE_FUNCTIONS                                                                                           \
        "refuse() { printf '%s\\n' \"$1\" >&2; exit 9; }\n" \
        "rm_if() { [ ! -e \"$1\" ] || rm -f \"$1\"; }\n" \
        "reseed_by() {\n" \
        "  [ -d \"$1\" ] && rm_if \"$1/.cowherd-reseed\" &&\n" \
        "  printf '" AGENT_RESEED_PROGRAM "' >\"$1/.cowherd-reseed\" && chmod 700 \"$1/.cowherd-reseed\" &&\n" \
        "    \"$1/.cowherd-reseed\" <<END\n" \
        "$pool\n" \
        "END\n" \
        "  done=$?; rm -f \"$1/.cowherd-reseed\"; return $done\n" \
        "} 2>/dev/null\n" \
        "reseed() {\n" \
        "  for folder in /dev/shm /tmp /run /root /var/tmp /; do ! reseed_by $folder || return 0; done\n" \
        "  refuse 'its random pool cannot be made anew'\n" \
        "}\n" \
        "set_card() {\n" \
        "  echo 1 >\"/proc/sys/net/ipv4/conf/$1/arp_notify\"\n" \
        "  if [ -z \"$flush\" ] && ip link set dev \"$1\" address \"$mac\"; then # IPv6's own address is made of the old one\n" \
        "    off=\"/proc/sys/net/ipv6/conf/$1/disable_ipv6\" is=1; read -r is <\"$off\"\n" \
        "    [ \"$is\" != 0 ] || { echo 1 >\"$off\"; echo 0 >\"$off\"; }; return 0\n" \
        "  fi\n" \
        "  if command -v ip; then\n" \
        "    ip link set dev \"$1\" down; ip link set dev \"$1\" address \"$mac\" || return 1\n" \
        "    [ -z \"$flush\" ] || ip address flush dev \"$1\"\n" \
        "    ip link set dev \"$1\" up\n" \
        "  else\n" \
        "    ifconfig \"$1\" down; ifconfig \"$1\" hw ether \"$mac\" || return 1\n" \
        "    if [ -z \"$flush\" ]; then ifconfig \"$1\" up; else ifconfig \"$1\" 0.0.0.0 up; fi\n" \
        "  fi\n" \
        "} >/dev/null 2>&1\n" \
        "set_cards() {\n" \
        "  for card in /sys/class/net/*; do\n" \
        "    read -r address <\"$card/address\" || continue\n" \
        "    [ \"$address\" != \"$old\" ] || set_card \"${card##*/}\" || refuse \"the address of its network card ${card##*/} cannot be changed\"\n" \
        "  done\n" \
        "} 2>/dev/null\n" \
        "set_boot_id() { # a file over the kernel's, as in a container\n" \
        "  shown=/proc/sys/kernel/random/boot_id file=/run/cowherd/boot-id was= is=\n" \
        "  read -r boot </proc/sys/kernel/random/uuid && read -r was <$shown || return 1\n" \
        "  [ ! -f $file ] || [ -L $file ] || read -r is <$file\n" \
        "  if [ \"$was\" = \"$is\" ]; then # it lies there already, or it is a file of the same words that lies over nothing\n" \
        "    echo \"$boot\" >$file && read -r is <$shown && [ \"$is\" = \"$boot\" ] && return\n" \
        "  fi\n" \
        "  [ -d /run/cowherd ] || mkdir /run/cowherd || return 1\n" \
        "  rm_if $file && echo \"$boot\" >$file && mount -o bind $file $shown\n" \
        "} 2>/dev/null\n" \
        "owes_boot_id() { # the last could not be laid over the kernel's\n" \
        "  file=/run/cowherd/boot-id was= is=\n" \
        "  [ -f $file ] && read -r is <$file && read -r was </proc/sys/kernel/random/boot_id && [ \"$was\" != \"$is\" ]\n" \
        "} 2>/dev/null\n" \
        "find_clients() { # who has leases, NAME:PID; not by pidof, which looks at as many files and is to be started besides\n" \
        "  for process in /proc/[0-9]*; do\n" \
        "    read -r name <\"$process/comm\" || continue\n" \
        "    case $name in udhcpc|dhclient|dhcpcd) clients=\"$clients $name:${process#/proc/}\" ;; esac\n" \
        "  done\n" \
        "} 2>/dev/null\n" \
        "wake() {\n" \
        "  [ -z \"$pool\" ] || reseed\n" \
        "  date -u -s \"@$woken\" >/dev/null 2>&1 || pending 'clock'\n" \
        "  [ -z \"$instance\" ] || set_boot_id || pending 'boot-id'\n" \
        "  clients=\n" \
        "  find_clients\n" \
        "  if [ -n \"$old\" ] && [ -n \"$mac\" ]; then\n" \
        "    set_cards\n" \
        "    # it gives its lease up, unheard as the link is down, or it would ask for the same by its old address\n" \
        "    for client in $clients; do case $client in udhcpc:*) kill -USR2 \"${client#*:}\" ;; esac; done\n" \
        "  fi\n" \
        "  sync() { :; }\n" \
        "}\n" \
        "renew() { # whoever has leases asks for one anew; others see the link come up by themselves\n" \
        "  for client in $clients; do\n" \
        "    pid=${client#*:}\n" \
        "    case $client in\n" \
        "    udhcpc:*) kill -USR1 \"$pid\" ;;\n" \
        "    dhclient:*) line=$(tr '\\0' ' ' <\"/proc/$pid/cmdline\"); kill \"$pid\"; $line ;;\n" \
        "    dhcpcd:*) dhcpcd -n; break ;;\n" \
        "    esac\n" \
        "  done\n" \
        "  if [ -d /run/systemd/netif ]; then networkctl renew \"$1\"; networkctl reconfigure \"$1\"; fi\n" \
        "}\n" \
        "have_all_renewed() {\n" \
        "  for card in /sys/class/net/*; do\n" \
        "    read -r address <\"$card/address\" 2>/dev/null || continue\n" \
        "    [ \"$address\" != \"$mac\" ] || (\n" \
        "      tries=0 carrier=0\n" \
        "      until [ \"$carrier\" = 1 ] || [ $tries = 100 ]; do\n" \
        "        sleep 0.1; read -r carrier <\"$card/carrier\"; tries=$((tries + 1))\n" \
        "      done\n" \
        "      renew \"${card##*/}\"\n" \
        "    ) </dev/null >/dev/null 2>&1 &\n" \
        "  done\n" \
        "  (command sync) </dev/null >/dev/null 2>&1 &\n" \
        "}\n"
