#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What is asked of a guest through its agent, function by function (qemu_agent.c), of one tiny machine that boots while the
# first tests run. As root, for the images.

load words

setup_file() {
        # shellcheck source=tests/lib/images.sh
        . "$BATS_TEST_DIRNAME/../lib/images.sh"
        images_prepare tiny9p other || return 1
        PLACE=$(mktemp -d /tmp/cowherd-guest.XXXXXX)
        export IMAGES PLACE RUN=$PLACE/run
        export CHECK=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/unit/engine/qemu-agent-check
        mkdir "$RUN" "$PLACE/shared" && echo "the host's" >"$PLACE/shared/file"
        machine "$RUN" -drive "file=$IMAGES/tiny9p.qcow2,if=virtio,format=qcow2" \
                -fsdev "local,id=shared,path=$PLACE/shared,security_model=none,readonly=on" \
                -device virtio-9p-pci,fsdev=shared,mount_tag=cowherd0
}

# machine FOLDER ARGUMENTS…: starts one whose sockets are there, without changing its disk.
machine() {
        local folder=$1
        shift
        qemu-system-x86_64 -nodefaults -machine q35,accel=tcg -m 256M -display none -snapshot -pidfile "$folder/pid" \
                -daemonize -device virtio-serial-pci -chardev "socket,id=agent,path=$folder/agent.sock,server=on,wait=off" \
                -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 \
                -chardev "socket,id=console,path=$folder/console.sock,server=on,wait=off,logfile=$folder/console.log" \
                -serial chardev:console -netdev user,id=net -device virtio-net-pci,netdev=net "$@" 3>&-
}

teardown_file() {
        local pid
        for pid in "$PLACE"/*/pid; do
                [ ! -f "$pid" ] || kill -9 "$(cat "$pid")" || true
        done
        rm -rf "$PLACE"
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return 1
}

# agent STATUS WORDS…: with nothing on its stdin.
agent() {
        runs "$1" "$CHECK" "$RUN" "${@:2}" </dev/null
}

# in_guest TEXT: by its shell.
in_guest() {
        agent 0 execute 0 "" "" sh -c "$1"
}

@test "a guest that boots has no agent yet: 69 soon, and 75 for who waits, with what to install" {
        agent 69 execute 0 "" "" true
        complains qemu-guest-agent
        agent 75 wait 100
        complains qemu-guest-agent
}

@test "its agent answers, and it has an address" {
        agent 0 wait 60000
        agent 0 address 20000
        is "$output" 10.0.2.15
}

@test "a command: its outputs, its status, its environment, its input, all bytes" {
        agent 3 execute 0 "" "" sh -c 'echo "$GREETING"; pwd; echo wrong >&2; exit 3'
        is "$output" "$(printf '%s\n' 'it'\''s "fine" $HOME' /)"
        is "$stderr" wrong
        agent 3 execute 5000 "" "" sh -c 'echo "$GREETING"; pwd; exit 3'
        is "$output" "$(printf '%s\n' 'it'\''s "fine" $HOME' /root)"
        head -c 100000 /dev/urandom >bytes
        "$CHECK" "$RUN" execute 0 "" "" cat <bytes | cmp bytes -
        agent 137 execute 0 "" "" sh -c 'kill -9 $$'
        agent 137 execute 5000 "" "" sh -c 'kill -9 $$'
}

@test "a command as somebody, somewhere; and what is not there" {
        agent 0 execute 0 /tmp guest sh -c 'id -un; id -Gn; pwd; echo $HOME; env | grep -E "^(name|count|id)=" | sort'
        is "$output" "$(printf '%s\n' guest 'guest audio' /tmp /home/guest count=9 id=0 name=x)"
        agent 0 execute 0 "" 1000 pwd
        is "$output" /home/guest
        agent 66 execute 0 "" nobody2 true
        complains "user 'nobody2' not found"
        agent 66 execute 0 /nope "" true
        complains "working_dir '/nope' not found"
        agent 66 execute 0 "" "" nope
        complains "command 'nope' not found"
        agent 66 execute 1000 "" "" nope
        complains "command 'nope' not found"
        agent 66 execute 0 "" '$(reboot)' true
}

@test "a command that takes too long is ended, with all that it has started" {
        agent 75 execute 400 "" "" sh -c 'sleep 7001 & (sleep 7002; true) & setsid sleep 7003 & sleep 7004'
        complains "it was ended"
        agent 75 execute 400 "" guest sh -c 'sleep 7005 & sleep 7006'
        in_guest 'ps -o args | grep "[s]leep 700" || echo none'
        is "$output" none
}

@test "more output than is kept is cut, and said" {
        "$CHECK" "$RUN" execute 0 "" "" head -c 17000000 /dev/zero </dev/null 2>errors | wc -c >count
        is "$(cat count errors)" "$(printf '%s\n' 16777216 cut)"
}

@test "a killed client leaves nothing that confuses the next" {
        local pause # not i: bats' run changes that
        for pause in 02 05 13 18 23 31 40; do
                "$CHECK" "$RUN" execute 0 "" "" head -c 3000000 /dev/zero </dev/null >/dev/null 2>&1 3>&- &
                sleep "0.$pause"
                kill -9 $! 2>/dev/null || true
                wait $! 2>/dev/null || true
                in_guest "echo $pause"
                is "$output" "$pause"
        done
        # one that sent half a question, and one that listens to nothing
        python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"{\"execute\": \"guest-exec\", \"arguments\": {\"path\": \"")' "$RUN/agent.sock"
        in_guest 'echo 7'
        is "$output" 7
}

@test "many at once take turns, a long one does not keep the others out" {
        local n
        "$CHECK" "$RUN" execute 0 "" "" sleep 4 </dev/null 3>&- &
        for n in 1 2 3 4 5; do
                "$CHECK" "$RUN" execute 0 "" "" echo "$n" </dev/null >"out.$n" 3>&- &
        done
        SECONDS=0
        in_guest 'echo 0'
        [ "$SECONDS" -lt 4 ]
        wait
        is "$(cat out.*)" "$(seq 5)"
}

@test "a command with our descriptors: output as it comes, a script from a pipe, signals passed on" {
        local begin end
        "$CHECK" "$RUN" attach 0 "" "" sh -c 'echo first; sleep 2; echo last; echo wrong >&2; exit 7' </dev/null 2>errors 3>&- |
                while read -r line; do echo "$line $(date +%s%3N)"; done >times || true
        read -r _ begin <times
        read -r _ end < <(tail -n 1 times)
        [ $((end - begin)) -gt 1000 ]
        is "$(cat errors)" wrong
        agent 7 attach 0 "" "" sh -c 'exit 7'
        is "$(echo some input | "$CHECK" "$RUN" attach 0 /tmp guest sh -c 'cat; id -un; pwd')" "$(printf '%s\n' 'some input' guest /tmp)"
        is "$(printf 'echo $((6 * 7))\ncd /tmp; pwd\n' | "$CHECK" "$RUN" attach 0 "" "")" "$(printf '%s\n' 42 /tmp)"
        agent 66 attach 0 "" "" nope
        agent 75 attach 300 "" "" sleep 7007
        "$CHECK" "$RUN" attach 0 "" "" sleep 7008 </dev/null 3>&- &
        sleep 1.5
        kill -TERM $!
        wait $! || is $? 143
        in_guest 'ps -o args | grep "[s]leep 700"; ls -A /tmp'
        is "$output" ""
}

@test "files in and out: modes kept, replaced whole, nothing left of what failed" {
        head -c 300000 /dev/urandom >big
        chmod 4751 big
        : >'an "odd" $name'
        agent 0 copy_in . big /root
        agent 0 copy_in . big /root/other
        agent 0 copy_in . 'an "odd" $name' /root/
        in_guest 'cd /root; stat -c "%n %a %u %s" *; echo changed >>other'
        is "$output" "$(printf '%s\n' 'an "odd" $name 644 0 0' 'big 4751 0 300000' 'other 4751 0 300000')"
        agent 0 copy_in . big /root/other
        mkdir out
        agent 0 copy_out out other /root/other
        cmp big out/other
        is "$(stat -c %a out/other)" 751 # no setuid of a guest's
        agent 0 copy_out out meminfo /proc/meminfo
        grep -q MemTotal out/meminfo
        agent 66 copy_in . big /nope/there
        agent 66 copy_out out x /nope
        agent 65 copy_out out x /dev/null
        agent 64 copy_out out x relative
        agent 74 copy_in . big /sys
        in_guest 'mkdir /mnt; mount -t tmpfs -o size=64k none /mnt'
        agent 74 copy_in . big /mnt
        agent 74 copy_in . big /mnt/x
        in_guest 'ls -A /mnt /tmp; umount /mnt; rm -r /root/*'
        is "$output" "$(printf '%s\n' /mnt: '' /tmp:)"
        is "$(ls -A out)" "$(printf '%s\n' meminfo other)"
}

@test "folders in and out, with links; none over another" {
        mkdir -p tree/sub out && echo x >tree/sub/file && chmod 640 tree/sub/file
        ln -s sub/file tree/soft && ln tree/sub/file tree/hard
        agent 0 copy_in . tree /root
        agent 0 copy_in . tree /root/new
        agent 73 copy_in . tree /root
        in_guest 'cd /root/new; stat -c "%n %A %h" hard soft sub/file; cmp hard soft'
        is "$output" "$(printf '%s\n' 'hard -rw-r----- 2' 'soft lrwxrwxrwx 1' 'sub/file -rw-r----- 2')"
        in_guest 'ln -s new /root/link'
        agent 0 copy_out out back /root/link/
        diff -r tree out/back
        is "$(stat -c %a out/back/hard) $(readlink out/back/soft)" '640 sub/file'
        agent 64 copy_out out x /
        in_guest 'ls /root; ls -A /tmp /var/tmp; rm -r /root/*'
        is "$output" "$(printf '%s\n' link new tree /tmp: '' /var/tmp:)"
        is "$(ls out)" back
}

@test "an identity from inside, once; a folder of the host" {
        ssh-keygen -q -t ed25519 -N '' -C one -f key
        in_guest 'mkdir -p /etc/ssh /var/lib/dhcp; echo old >/etc/ssh/ssh_host_rsa_key; echo lease >/var/lib/dhcp/dhclient.leases
                printf "127.0.0.1 localhost\n127.0.1.1\told\n::1 ip6" >/etc/hosts'
        agent 0 personalise web-1 0123456789abcdef0123456789abcdef i-77 00aa11bb key 'ssh-ed25519 AAAA $(reboot) "me"' '/a b'
        is "$output" pending=
        in_guest 'hostname; cat /etc/hostname /etc/machine-id /etc/hosts /root/.ssh/authorized_keys; ls /etc/ssh /var/lib/dhcp; stat -c %a /etc/ssh/ssh_host_ed25519_key; cat "/a b/file"'
        is "$output" "$(printf '%s\n' web-1 web-1 0123456789abcdef0123456789abcdef '127.0.0.1 localhost' '127.0.1.1 web-1' '::1 ip6' \
                'ssh-ed25519 AAAA $(reboot) "me"' /etc/ssh: ssh_host_ed25519_key ssh_host_ed25519_key.pub '' /var/lib/dhcp: 600 "the host's")"
        in_guest 'cat /etc/ssh/ssh_host_ed25519_key; echo ===; cat /etc/ssh/ssh_host_ed25519_key.pub'
        is "$output" "$(cat key; echo ===; cat key.pub)"
        agent 0 personalise web-2 ffffffffffffffffffffffffffffffff i-77 00aa11bb key 'ssh-ed25519 AAAA $(reboot) "me"' '/a b'
        in_guest 'hostname; wc -l </root/.ssh/authorized_keys; grep -c cowherd0 /proc/mounts'
        is "$output" "$(printf '%s\n' web-1 1 1)"
        in_guest 'umount "/a b"'
        agent 0 personalise web-2 ffffffffffffffffffffffffffffffff i-77 00aa11bb key 'ssh-ed25519 AAAA $(reboot) "me"' /proc/no
        [[ $output == "pending=mount of /proc/no: "*9p* ]] || show 'not pending'
}

@test "frozen filesystems, and thawed" {
        agent 0 freeze
        is "$output" frozen=1
        agent 75 execute 0 "" "" true
        complains frozen
        agent 0 thaw
        agent 0 thaw
        in_guest 'echo written >/root/file; sync'
}

@test "the console: one user at a time, who leaves by Ctrl-]" {
        python3 - "$CHECK" "$RUN" <<'END'
import os, pty, subprocess, sys, time

def read_until(fd, what):
    seen = b""
    while what not in seen:
        seen += os.read(fd, 4096)
    return seen

pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], sys.argv[2], "console"])
read_until(fd, b"Ctrl-] leaves it")
os.write(fd, b"\necho a$((2 + 3))\n")
read_until(fd, b"a5")
second = subprocess.run([sys.argv[1], sys.argv[2], "console"], stdin=subprocess.DEVNULL, capture_output=True)
assert second.returncode == 75 and b"in use" in second.stderr, second
os.write(fd, b"\x1d")
assert os.waitpid(pid, 0)[1] == 0
END
}

@test "it shuts down when asked, and then it is not there" {
        agent 0 shutdown
        for _ in $(seq 200); do
                [ -f "$RUN/pid" ] || break
                sleep 0.1
        done
        [ ! -f "$RUN/pid" ]
        agent 75 execute 0 "" "" true
        complains "does not run"
}

@test "a system that is no Linux boots, and has no agent" {
        mkdir "$PLACE/other"
        machine "$PLACE/other" -drive "file=$IMAGES/other.qcow2,if=virtio,format=qcow2"
        for _ in $(seq 3000); do
                ! grep -q 'Memory' "$PLACE/other/console.log" || break
                sleep 0.1
        done
        grep -q Memory "$PLACE/other/console.log"
        RUN=$PLACE/other
        agent 69 execute 0 "" "" true
}
