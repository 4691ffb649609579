#!/usr/bin/env bash
# test_fuzz.sh: runs each fuzz target of tests/fuzz for FUZZ_SECONDS (5), starting from its committed inputs. Prints TAP
# (tests/run). An input that breaks something is kept in build/fuzz, and its name is printed.
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MAKELEVEL # of a make that runs this
seconds=${FUZZ_SECONDS:-5}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log count=0 bad=0

result() { # STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        bad=$((bad + 1))
        echo "not ok $count - $2"
        tail -n 40 "$log" | sed 's/^/#   /'
    fi
}

# The largest allowed allocation in MiB: the data set has 30 MB, all else is small.
allocation_limit() { # TARGET
    case $1 in dataset) echo 64 ;; *) echo 4 ;; esac
}

# Passes only if the target ran more than its committed inputs and found nothing.
fuzz() { # TARGET
    local corpus=tests/fuzz/corpus/$1 status ran
    mkdir "$work/$1"
    TMPDIR=$work timeout $((seconds + 120)) "build/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=4096 -timeout=30 \
        -rss_limit_mb=1024 -malloc_limit_mb="$(allocation_limit "$1")" -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$1-" "$work/$1" "$corpus" >"$log" 2>&1
    status=$?
    ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    [ "$status" -eq 0 ] && [ "${ran:-0}" -gt "$(find "$corpus" -type f | wc -l)" ]
    result $? "fuzz_$1: ${ran:-no} inputs in $seconds s"
}

missing=$(tools/setup --missing fuzz)
if [ -n "$missing" ]; then
    echo "ok 1 # SKIP fuzzing: no ${missing//$'\n'/, }; tools/setup fuzz installs it"
    echo 1..1
    exit 0
fi
make -j2 --no-print-directory fuzzers >"$log" 2>&1
result $? "the fuzz targets build"
if [ "$bad" -eq 0 ]; then
    for target in weights dataset png run; do fuzz "$target"; done
fi
echo "1..$count"
[ "$bad" -eq 0 ]
