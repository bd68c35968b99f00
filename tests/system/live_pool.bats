#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Machines of a live base that stand ready, with a real QEMU: made in the background, seen by status and by nothing else, taken once,
# each somebody of its own, within their limit of memory; and whatever is killed, nothing of them stays. As root.

load lib

setup_file() {
        herds_begin
        export COWHERD_ROOT=$FIXTURE_DIR/herd
        images_prepare tinyguest
        {
                "$PROGRAM" qemu register_base name=tiny image="$IMAGES/tiny-guest.qcow2" memory=256M &&
                        "$PROGRAM" qemu clone_from_base base=tiny name=source start=true wait=true &&
                        in_guest source 'cat /proc/sys/kernel/random/uuid >/run/nonce'
        } >&2
        NONCE=$(in_guest source 'cat /run/nonce') || return 1
        export NONCE
}

teardown_file() {
        "$PROGRAM" delete name='*' force=true >&2 || true
        local base
        for base in $("$PROGRAM" --json list_bases | jq -r '.items[].name'); do
                "$PROGRAM" remove_base "$base" >&2 || true
        done
        "$PROGRAM" qemu teardown >&2 || true
        "$PROGRAM" cleanup >&2 || true
        herds_end
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return 1
}

in_guest() {
        "$PROGRAM" exec "$1" timeout=60s command="$2"
}

# The folder of what runs of this herd.
runtime() {
        echo "/run/cowherd/$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT value FROM setting WHERE key='herd.uuid'" | cut -c 1-8)"
}

# The process ids of this herd's machines, each after its clone's id.
machines() {
        local file pid
        for file in "$(runtime)"/[0-9]*/process; do
                [ -e "$file" ] || continue
                pid=$(awk '{print $1}' "$file")
                [ ! -d "/proc/$pid" ] || echo "$(basename "$(dirname "$file")") $pid"
        done
}

# Those of them that stand ready.
standing() {
        local ids
        ids=" $(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT id FROM object WHERE role = 1 AND name IS NULL AND phase = 1' | tr '\n' ' ')"
        machines | while read -r id pid; do [[ $ids != *" $id "* ]] || echo "$pid"; done
}

helper() {
        pgrep -f "^[^ ]*/cowherd-warm $COWHERD_ROOT\$"
}

# ready COUNT WANTED: as status tells it, once no helper is at work.
ready() {
        local found
        for _ in $(seq 600); do
                if ! helper >/dev/null; then
                        found=$("$PROGRAM" --json qemu status | jq -r '"\(.ready)/\(.warm)"')
                        [ "$found" != "$1/$2" ] || return 0
                fi
                sleep 0.1
        done
        sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT * FROM audit ORDER BY at_ms DESC LIMIT 3; SELECT * FROM setting' || true
        is "$found" "$1/$2"
}

# One machine for each row, and no other: the catalogue, the folders and the processes agree. What is running besides is `source`.
agrees() {
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT * FROM object WHERE phase <> 1; SELECT * FROM intent')" ""
        is "$(find "$COWHERD_ROOT/clones" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n)" \
                "$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT id FROM object WHERE role = 1 ORDER BY id')"
        is "$(machines | cut -d ' ' -f 1 | sort -n)" "$(find "$(runtime)" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort -n)"
}

# woke NAME: it goes on where the source stood, and is somebody else.
woke() {
        is "$(in_guest "$1" 'cat /run/nonce; hostname; cat /etc/machine-id /sys/class/net/eth0/address')" \
                "$(printf '%s\n' "$NONCE" "$1"; "$PROGRAM" --json info "$1" | jq -r '.machine_id, .mac')"
}

@test "promote warm= has machines stand ready; status tells of them, and nothing else knows them" {
        answer 0 promote name=source as=hot live=true warm=2
        ready 2 2
        answer 0 qemu status
        is "$(field '[.clones, .running, .warm_memory_bytes > 1048576, .warm_memory_limit_bytes > .warm_memory_bytes] | join(" ")')" "1 1 true true"
        answer 0 list
        is "$(field '[.items[].name] | join(" ")')" source
        answer 0 info hot
        is "$(field '[.warm, .ready, .clones] | join(" ")')" "2 2 1"
        is "$(standing | wc -l)" 2
        agrees
        expect 0 doctor
        says "kept warm of hot"
}

@test "a clone takes one, as somebody of its own, and another is made; ports and several at once too" {
        answer 0 clone base=hot name=a ports=18083:80
        is "$(field '[.warm, .state, .live, .identity_applied, (.memory_ms // 0)] | join(" ")')" "1 running 1 all 0"
        woke a
        in_guest a 'cp /run/nonce /tmp/index.html; httpd -p 80 -h /tmp'
        is "$(curl -s --max-time 20 http://127.0.0.1:18083/index.html)" "$NONCE"
        refuses 75 "port 18083" clone base=hot name=taken ports=18083:80
        refuses 66 "not found" info taken
        ready 2 2
        answer 0 clone base=hot name=m count=3
        is "$(field '[.items[] | .warm // 0] | sort | join(" ")')" "0 1 1"
        local name all=
        for name in a m-1 m-2 m-3; do
                woke $name
                all+=$(in_guest $name 'cat /etc/machine-id /sys/class/net/eth0/address; head -c 32 /dev/urandom | sha256sum')$'\n'
                all+=$("$PROGRAM" --json info $name | jq -r '.uuid, .generation_id')$'\n'
        done
        is "$(sort <<<"$all" | grep -v '^$' | uniq -d)" ""
        is "$(grep -c . <<<"$all")" 20
        ready 2 2
        expect 0 delete name='m-*' force=true
        expect 0 delete name=a force=true
        agrees
}

@test "what one that stands can't be is made as ever, and where nothing is gained warm= is refused" {
        answer 0 clone base=hot name=twin identity=keep
        is "$(field '.warm // 0')" 0
        answer 0 clone base=hot name=cold start=false
        is "$(field '[.warm // 0, .state] | join(" ")')" "0 stopped"
        expect 0 delete name=twin force=true
        expect 0 delete cold
        refuses 69 "live bases" qemu register_base name=v image="$IMAGES/tiny-guest.qcow2" warm=2
        refuses 69 "keeps no memory" qemu setup base=tiny warm=2
        refuses 69 "live bases" promote name=source as=x warm=2
        refuses 69 "stand ready" nspawn setup warm_memory=1G
        ready 2 2
        agrees
}

@test "their memory has a limit, which holds at once and is told" {
        answer 0 qemu setup base=hot warm=4 warm_memory=120M
        is "$(field .warm_memory_limit_bytes)" $((120 << 20))
        while helper >/dev/null; do sleep 0.1; done
        answer 0 qemu status
        field '[.warm, .ready, .warm_memory_bytes, .warm_memory_limit_bytes] | join(" ")' # shown where it is not so
        is "$(field '.warm == 4 and .ready > 0 and .ready < 4 and .warm_memory_bytes <= .warm_memory_limit_bytes')" true
        run --separate-stderr "$PROGRAM" --json doctor
        is "$(field '.items[] | select(.check == "kept warm of hot") | "\(.ok) \(.detail | test("over their limit of 120"))"')" "0 true"
        expect 0 qemu setup warm_memory=1M
        ready 0 4
        answer 0 clone base=hot name=b
        is "$(field '.warm // 0')" 0
        expect 0 delete name=b force=true
        expect 0 qemu setup base=hot warm=1 warm_memory=1G
        ready 1 1
        agrees
}

@test "one that was killed costs its clone nothing but time; after a reboot others stand" {
        kill -9 "$(standing)"
        while [ -n "$(standing)" ]; do sleep 0.05; done
        ready 0 1
        answer 0 clone base=hot name=c
        is "$(field '.warm // 0')" 0
        woke c
        ready 1 1
        expect 0 delete name=c force=true
        kill -9 "$(standing)"
        while [ -n "$(standing)" ]; do sleep 0.05; done
        local id folder
        id=$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT id FROM object WHERE role = 1 AND name IS NULL') folder=$(runtime)
        rm -r "${folder:?}/${id:?}"
        expect 0 qemu setup base=hot warm=2
        ready 2 2
        is "$(standing | wc -l)" 2
        # One that hangs is found out, and ended.
        xargs kill -STOP <<<"$(standing)"
        answer 0 clone base=hot name=d
        is "$(field '.warm // 0')" 0
        woke d
        xargs kill -CONT <<<"$(standing)" || true
        expect 0 delete name=d force=true
        ready 2 2
        # So is one that can't be given what its clone brings.
        for id in $(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT id FROM object WHERE role = 1 AND name IS NULL'); do
                rm "$folder/$id/seed.iso" && mkdir "$folder/$id/seed.iso"
        done
        answer 0 clone base=hot name=e
        is "$(field '.warm // 0')" 0
        woke e
        expect 0 delete name=e force=true
        ready 2 2
        agrees
}

@test "kill -9 of the helper and of who takes one, whenever: cleanup leaves nothing of them" {
        local ms
        for ms in 020 200; do
                expect 0 qemu setup base=hot warm=0
                expect 0 qemu setup base=hot warm=2
                sleep "0.$ms"
                kill -9 "$(helper)" || true
                while helper >/dev/null; do sleep 0.05; done
                answer 0 cleanup
                is "$(machines | wc -l)" 1
                agrees
                answer 0 cleanup
                says "nothing to clean up"
        done
        expect 0 qemu setup base=hot warm=1
        ready 1 1
        timeout -s KILL "0.030" "$PROGRAM" clone base=hot name=t >/dev/null || true
        while helper >/dev/null; do sleep 0.05; done
        answer 0 cleanup
        run "$PROGRAM" info t
        [ "$status" -ne 0 ] || expect 0 delete name=t force=true
        is "$(machines | wc -l)" 1
        agrees
}

@test "cleanup ends them, the next clone brings others; a removed base takes them along, and teardown leaves nothing" {
        expect 0 qemu setup base=hot warm=2
        ready 2 2
        answer 0 cleanup
        is "$(field .warm_ended)" 2
        is "$(machines | wc -l)" 1
        expect 0 clone base=hot name=last
        ready 2 2
        local id
        id=$("$PROGRAM" --json info hot | jq -r .id)
        answer 0 remove_base hot
        is "$(machines | wc -l)" 2
        agrees
        [ -e "$COWHERD_ROOT/bases/$id/ram" ]
        woke last
        expect 0 delete name=last force=true
        expect 0 delete name=source force=true
        [ ! -e "$COWHERD_ROOT/bases/$id" ]
        expect 0 remove_base tiny
        local folder
        folder=$(runtime)
        expect 0 qemu teardown
        [ ! -e "$folder" ]
        [ ! -e "$COWHERD_ROOT/catalogue.db" ]
}
