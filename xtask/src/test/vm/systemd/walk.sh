#!/bin/sh
# Types the lines of config/README.md on a machine that systemd runs, and looks at what comes of them. What it
# sees goes to the second serial port in the form of Rust's tests, the exit status to the third.
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw
cd /root/voxprobe || exit

# DAC_READ_SEARCH 2, SYS_PTRACE 19, PERFMON 38, BPF 39 (linux/capability.h).
FOUR=000000c000080004
CONFIG=/etc/voxprobe/voxprobe.toml
TARGET='[[target]]
role = "worker"
cmdline = "voicelab worker "
name = "tts@0"'

passed=0
failed=0

# try NAME: one test, with what the command of that name says. One that fails is the last.
try() {
    [ "$failed" = 0 ] || return
    said=$("$1" 2>&1)
    if [ $? = 0 ]; then
        passed=$((passed + 1))
        echo "test $1 ... ok"
    else
        failed=$((failed + 1))
        echo "test $1 ... FAILED"
        systemctl --no-pager --full status voxprobe
        journalctl --no-pager --lines 20 --unit voxprobe
    fi
    [ -z "$said" ] || echo "$said" | sed 's/^/    /'
}

# eventually COMMAND…: for up to half a minute and more; an emulated machine is slow.
eventually() {
    for _ in $(seq 60); do
        "$@" && return
        sleep 0.5
    done
    return 1
}

ask() {
    wget -q -O - "http://127.0.0.1:9781$1" 2>/dev/null
}

# metric PREFIX: sum of the series that begin so.
metric() {
    ask /metrics | awk -v prefix="$1" 'index($1, prefix) == 1 { sum += $2 } END { print sum + 0 }'
}

at_least() {
    [ "$(metric "$1")" -ge "$2" ]
}

property() {
    systemctl show --property "$1" --value voxprobe
}

# --- what stands in for the machine that has the sources: the build was done, and root needs no sudo ---
cargo() {
    [ "$*" = 'xtask dist' ] && [ -x target/dist/voxprobe ]
}
sudo() {
    "$@"
}

installs() {
    set -ex
    . /walk/lines.sh
    set +ex
    systemctl is-enabled voxprobe && systemctl is-active voxprobe
}

is_ready() {
    eventually ask /readyz >/dev/null
}

has_the_units_privileges() {
    status=/proc/$(property MainPID)/status
    grep -E '^(Uid|Cap|NoNewPrivs)' "$status"
    for set in CapPrm CapEff CapBnd; do
        grep -q "^$set:.*$FOUR$" "$status" || return 1
    done
    grep -q '^CapInh:.*0000000000000000$' "$status" && grep -q '^NoNewPrivs:.*1$' "$status" &&
        ! grep -q '^Uid:[[:space:]]*0' "$status"
}

watches_after_a_reload() {
    [ "$(metric voxprobe_watched_processes)" = 0 ] || return 1
    echo "$TARGET" >$CONFIG
    process=$(property MainPID)
    systemctl reload voxprobe
    eventually at_least 'voxprobe_watched_processes{role="worker"}' 1 || return 1
    eventually at_least 'worker_audio_frames_emitted_total{' 1
    echo "frames $(metric 'worker_audio_frames_emitted_total{')"
    at_least 'worker_audio_frames_emitted_total{' 1 && [ "$process" = "$(property MainPID)" ]
}

# Nothing changed, so that nothing but the signal asks for it.
reloads_by_signal() {
    applied='voxprobe_config_reloads_total{outcome="applied"}'
    before=$(metric "$applied")
    systemctl reload voxprobe || return 1
    eventually at_least "$applied" $((before + 1))
    echo "reloads $before, then $(metric "$applied")"
    [ "$(metric "$applied")" = $((before + 1)) ]
}

keeps_the_old_configuration() {
    printf '[playout]\nprebufer = "1s"\n' >$CONFIG.new
    cp $CONFIG $CONFIG.old
    mv $CONFIG.new $CONFIG
    systemctl reload voxprobe
    eventually at_least 'voxprobe_config_reloads_total{outcome="refused"}' 1 || return 1
    mv $CONFIG.old $CONFIG
    journalctl --no-pager --unit voxprobe --output cat | grep 'configuration refused' | grep 'did you mean `prebuffer`' &&
        [ "$(metric 'voxprobe_watched_processes{role="worker"}')" = 1 ]
}

# Scheduling and what TCP says of connections, by a process that has no more than the unit gives.
diagnoses() {
    printf '[diagnosis]\nenabled = true\n%s\n' "$TARGET" >$CONFIG
    systemctl restart voxprobe
    is_ready && eventually at_least 'worker_audio_frames_emitted_total{' 50 || return 1
    pid=$(property MainPID)
    journalctl --no-pager --output cat _PID="$pid" | grep 'TCP tells nothing' && return 1
    echo "frames $(metric 'worker_audio_frames_emitted_total{')"
}

stops() {
    pid=$(property MainPID)
    since=$(cut -d ' ' -f 1 /proc/uptime)
    systemctl stop voxprobe
    echo "from $since s to $(cut -d ' ' -f 1 /proc/uptime) s, $(property Result), status $(property ExecMainStatus)"
    [ "$(property Result)" = success ] && [ "$(property ExecMainStatus)" = 0 ] && [ ! -e "/proc/$pid" ]
}

# Debian's kernel has a level that Linux has not, at which the unit's capabilities are not enough.
tells_what_this_kernel_asks_for() {
    sysctl -w kernel.perf_event_paranoid=$paranoid
    systemctl start voxprobe
    eventually ends_with 'kernel.perf_event_paranoid is 3' || return 1
    systemctl stop voxprobe
}
ends_with() {
    journalctl --no-pager --unit voxprobe --output cat | grep "$1"
}

systemctl --version | head -1
uname -r
paranoid=$(cat /proc/sys/kernel/perf_event_paranoid)
echo "kernel.perf_event_paranoid $paranoid"
try installs
try is_ready
try has_the_units_privileges
voicelab worker --port 7001 >/dev/null 2>&1 &
# The worker may not listen yet.
until voicelab client --target localhost:7001 --sessions 2 --duration 600 --text-length 40; do
    sleep 0.5
done >/dev/null 2>&1 &
try watches_after_a_reload
try reloads_by_signal
try keeps_the_old_configuration
try diagnoses
try stops
[ "$paranoid" -le 2 ] || try tells_what_this_kernel_asks_for

word=ok
[ "$failed" = 0 ] || word=FAILED
echo "test result: $word. $passed passed; $failed failed; 0 ignored; 0 measured; 0 filtered out"
[ "$failed" = 0 ]
echo $? >/dev/ttyS2
sync
poweroff -f
