#!/usr/bin/env bash
# test_gpu_check.sh: tools/gpu-check with a fake build, GPU and compute-sanitizer: what passes, fails, is skipped or
# takes too long, and what the results say. Prints TAP (tests/run).
# shellcheck disable=SC2317 # tests are called by name
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
unset BUILD SKIP_BUILD RESULTS COMMIT CIFAR10_DIR PYTHON MAKEFLAGS MFLAGS MAKELEVEL
number=0 failed=0
if ! command -v python3 >/dev/null; then
    printf '1..1\nok 1 # SKIP all: no python3\n'
    exit 0
fi
mkdir -p "$root/build" && tmp=$(mktemp -d "$root/build/test_gpu_check.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
log=$tmp/log build=$tmp/release tools=$tmp/tools results=$tmp/results/nvidia-made-up-1.json
read -ra device_tests < <(sed -n 's/^DEVICE_TESTS *:= *//p' "$root/Makefile")

# ---- the harness -------------------------------------------------------------------------------

check() { # NAME FUNCTION
    local status
    number=$((number + 1))
    rm -rf "$tmp/results" "$tools" "$build"
    write_machine
    : >"$log"
    (set -e; "$2") # not as a condition: that would disarm set -e
    status=$?
    if [ "$status" -eq 0 ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        sed 's/^/# /' "$log"
        failed=1
    fi
}

gpu_check() { # STATUS PART...
    local want=$1 got=0
    shift
    env PATH="$tools:$PATH" BUILD="$build" RESULTS="$tmp/results" CIFAR10_DIR="$tmp/data" COMMIT=made-up SKIP_BUILD=1 \
        "$root/tools/gpu-check" "$@" >"$log" 2>&1 </dev/null || got=$?
    [ "$got" -eq "$want" ] || { echo "# exit status $got instead of $want" && return 1; }
}

says() { # TEXT...
    local text
    for text in "$@"; do
        grep -qF -e "$text" "$log" || { echo "# missing in the output: $text" && return 1; }
    done
}

# ---- a fake machine -------------------------------------------------------------------------

write() { # FILE: a program, from standard input
    mkdir -p "${1%/*}"
    cat >"$1"
    chmod +x "$1"
}

write_machine() {
    local name
    write "$tools/nvidia-smi" <<<$'#!/bin/sh\necho "NVIDIA Made-up 1, 580.1"'
    write "$tools/compute-sanitizer" <<<$'#!/bin/sh\necho "========= ERROR SUMMARY: 0 errors"'
    for name in "${device_tests[@]}"; do
        write "$build/tests/test_$name" <<<$'#!/bin/sh\nprintf "1..2\\nok 1 - a\\nok 2 - b\\n"'
    done
    write "$build/bench/bench_step" <<'END_OF_FILE'
#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" != --json ] || json=$2; shift; done
echo '{"cases": [{"norm": "gn", "recipe": "tuned", "batch": 128, "precision": "fp32", "median_ms": 1}], "choices": {}}' >"$json"
END_OF_FILE
    write "$build/train_gpu" <<'END_OF_FILE'
#!/bin/sh
if [ "$1" = info ]; then
    echo '{"version": "1", "devices": [{"backend": "cuda", "index": 0, "device": "NVIDIA Made-up 1, 9.0"}]}'
    exit
fi
while [ $# -gt 0 ]; do
    [ "$1" != --out ] || out=$2
    [ "$1" != --norm ] || norm=$2
    shift
done
case $norm in bn) reached=79 ;; gn) reached=77 ;; ln) reached=${LN:-68} ;; esac
echo "{\"images_per_second\": 1000, \"seconds\": 1, \"eval_seconds\": 1, \"train_accuracy\": 80, \"test_accuracy\": $reached}" \
    >"$out/metrics.jsonl"
END_OF_FILE
}

# ---- the tests ---------------------------------------------------------------------------------

wrong_part() {
    gpu_check 2 test
    says "no part 'test'; there are: build tests"
}

all_well() {
    mkdir -p "$tmp/data"
    : >"$tmp/data/test_batch.bin"
    gpu_check 0 sanitize step accuracy
    says '16 clean, 0 with errors' 'epoch of ln tuned tf32' 'bn 79.00 %, gn 77.00 %, ln 68.00 %' "$results"
    python3 - "$results" <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
assert result["name"] == "NVIDIA Made-up 1" and result["driver"] == "580.1" and result["commit"] == "made-up", result
assert list(result["parts"]) == ["sanitize", "step", "accuracy"], result
assert all(part["status"] == "passed" for part in result["parts"].values()), result
PYTHON
}

parts_are_kept() {
    gpu_check 0 step
    gpu_check 0 sanitize
    grep -q '"step"' "$results"
    grep -q '"sanitize"' "$results"
}

a_test_fails() {
    write "$build/tests/test_norm" <<<$'#!/bin/sh\nprintf "1..2\\nok 1 - a\\nnot ok 2 - b\\n"; exit 1'
    gpu_check 1 tests
    says 'not ok 2 - b' '1 passed   1 failed' 'tests      failed'
    grep -q '"status": "failed"' "$results"
}

a_test_dies() {
    write "$build/tests/test_norm" <<<$'#!/bin/sh\necho "ok 1 - a"; kill -9 $$'
    gpu_check 1 tests
    says '1 passed   1 failed'
}

a_test_is_not_built() {
    rm "$build/tests/test_norm"
    gpu_check 1 tests
    says 'tests/test_norm is missing: run the part build'
}

the_sanitizer_finds_something() {
    write "$tools/compute-sanitizer" <<'END_OF_FILE'
#!/bin/sh
case "$*" in *racecheck*norm) echo "========= RACECHECK SUMMARY: 2 hazards displayed"; exit 99 ;; esac
echo "========= ERROR SUMMARY: 0 errors"
END_OF_FILE
    gpu_check 1 sanitize
    says '2 hazards displayed' '15 clean, 1 with errors'
}

a_benchmark_fails() {
    write "$build/bench/bench_step" <<<$'#!/bin/sh\necho "bench_step: no device" >&2; exit 3'
    gpu_check 1 step
    says 'step       failed' 'bench_step: no device'
}

no_data() {
    rm -rf "$tmp/data"
    gpu_check 0 accuracy
    says 'accuracy   skipped' 'no CIFAR-10 here'
}

too_low() {
    mkdir -p "$tmp/data"
    : >"$tmp/data/test_batch.bin"
    export LN=60
    gpu_check 1 accuracy
    says 'too low: ln'
}

no_gpu() {
    write "$tools/nvidia-smi" <<<$'#!/bin/sh\nexit 9'
    gpu_check 0 sanitize
    says "results: $build/gpu-check.json"
}

check "a part that does not exist" wrong_part
check "all well" all_well
check "parts that are not run keep their results" parts_are_kept
check "a test that fails" a_test_fails
check "a test that dies" a_test_dies
check "a test that is not built" a_test_is_not_built
check "errors found by compute-sanitizer" the_sanitizer_finds_something
check "a benchmark that fails" a_benchmark_fails
check "no data" no_data
check "an accuracy that is too low" too_low
check "results without a GPU" no_gpu
echo "1..$number"
exit $failed
