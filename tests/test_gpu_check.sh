#!/usr/bin/env bash
# test_gpu_check.sh: tools/gpu-check with a fake build, GPU, ncu and compute-sanitizer: what passes, fails, is skipped,
# hangs, dies or has too little time, and what the results say then; and a rehearsal with the real programs on the
# stand-in. Prints TAP (tests/run).
# shellcheck disable=SC2317 # tests are called by name
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
python=${PYTHON:-}
unset BUILD SKIP_BUILD RESULTS COMMIT CIFAR10_DIR PYTHON LIMIT PATIENCE TESTS TEST_BACKEND MAKEFLAGS MFLAGS MAKELEVEL
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

# The command, with the fake machine.
settings() {
    echo PATH="$tools:$PATH" BUILD="$build" RESULTS="$tmp/results" CIFAR10_DIR="$tmp/data" COMMIT=made-up SKIP_BUILD=1 \
        PYTHON="$tools/python"
}

gpu_check() { # STATUS [NAME=VALUE...] PART...
    local want=$1 got=0 words
    shift
    read -ra words < <(settings)
    while [[ ${1:-} == *=* ]]; do
        words+=("$1")
        shift
    done
    env "${words[@]}" "$root/tools/gpu-check" "$@" >"$log" 2>&1 </dev/null || got=$?
    [ "$got" -eq "$want" ] || { echo "# exit status $got instead of $want" && return 1; }
}

says() { # TEXT...
    local text
    for text in "$@"; do
        grep -qF -e "$text" "$log" || { echo "# missing in the output: $text" && return 1; }
    done
}

results_say() { # PYTHON, with the file as `result` and its parts as `parts`
    python3 -c '
import json, sys
result = json.load(open(sys.argv[1]))
parts = result["parts"]
statuses = [part["status"] for part in parts.values()]
assert eval(sys.argv[2]), (sys.argv[2], result)' "${2:-$results}" "$1" || return 1
}

# ---- a fake machine -------------------------------------------------------------------------

write() { # FILE: a program, from standard input
    mkdir -p "${1%/*}"
    cat >"$1"
    chmod +x "$1"
}

# A benchmark that writes a result.
write_bench() { # NAME JSON
    write "$build/bench/$1" <<END_OF_FILE
#!/bin/sh
json=/dev/null
while [ \$# -gt 0 ]; do [ "\$1" != --json ] || json=\$2; shift; done
echo '$2' >"\$json"
END_OF_FILE
}

write_machine() {
    local name
    write "$tools/nvidia-smi" <<<$'#!/bin/sh\necho "NVIDIA Made-up 1, 580.1"'
    write "$tools/compute-sanitizer" <<<$'#!/bin/sh\necho "========= ERROR SUMMARY: 0 errors"'
    for name in "${device_tests[@]}"; do
        write "$build/tests/test_$name" <<<$'#!/bin/sh\nprintf "1..2\\nok 1 - a\\nok 2 - b\\n"'
    done
    write_bench bench_step '{"batch_norm": "cudnn", "cases": [{"norm": "gn", "recipe": "tuned", "batch": 128, "precision": "fp32", "median_ms": 1}], "choices": {}}'
    write_bench bench_layers '{"layers": []}'
    write_bench bench_kernels '{"kernels": []}'
    # Three steps of three kernels; a thousand is written with a comma. ncu runs the program, as the real one does.
    write "$tools/ncu" <<'END_OF_FILE'
#!/bin/sh
while [ "$1" != --log-file ]; do shift; done
log=$2
shift 2
"$@" || exit
{
    echo '==PROF== Connected to process 1'
    echo '"ID","Process ID","Kernel Name","Stream","gpu__time_duration.sum"'
    echo '"","","","","ns"'
    for step in 1 2 3; do
        printf '"%d","1","%s","7","%s"\n' $step input_kernel 2,000 $step forward_kept 500.5 $step sgd_kernel $((step * 1000))
    done
    echo '==PROF== Disconnected from process 1'
} >"$log"
END_OF_FILE
    write "$tools/python" <<'END_OF_FILE'
#!/bin/sh
[ "$1" != -c ] || exit # find-cuda asks for wheels
for word; do
    case $before in --json) json=$word ;; --variant) variant=$word ;; esac
    before=$word
done
echo "{\"torch\": \"2.0\", \"cases\": [{\"norm\": \"gn\", \"recipe\": \"tuned\", \"batch\": 128, \"precision\": \"fp32\",
 \"variant\": \"$variant\", \"median_ms\": 2}]}" >"$json"
[ "$variant" != "${HANG:-none}" ] || sleep 1000
END_OF_FILE
    write "$build/train_gpu" <<'END_OF_FILE'
#!/bin/sh
if [ "$1" = info ]; then
    echo '{"version": "1", "devices": [{"backend": "cuda", "index": 0, "device": "NVIDIA Made-up 1, 9.0"}]}'
    exit
fi
[ -z "${CALLS:-}" ] || echo "$*" >>"$CALLS"
steps=0 epochs=20
while [ $# -gt 0 ]; do
    [ "$1" != --out ] || out=$2
    [ "$1" != --norm ] || norm=$2
    [ "$1" != --max-steps ] || steps=$2
    [ "$1" != --epochs ] || epochs=$2
    shift
done
case $norm in bn) reached=79 ;; gn) reached=77 ;; ln) reached=${LN:-68} ;; esac
[ $epochs -gt 5 ] || reached=95 # what tests/test_learning.sh expects of the synthetic set
[ $steps -ne 1 ] || reached=10
mkdir -p "$out"
echo "{\"step\": $steps, \"train_loss\": 1, \"images_per_second\": 1000, \"seconds\": 1, \"eval_seconds\": 1,
 \"train_accuracy\": 80, \"test_accuracy\": $reached}" | tr -d '\n' >"$out/metrics.jsonl"
case $out in *"$norm${DIFFERENT:-none}"* | *"${DIFFERENT:-none}") echo "$$" ;; *) echo same ;; esac >"$out/model.safetensors"
END_OF_FILE
}

# ---- the tests ---------------------------------------------------------------------------------

wrong_usage() {
    gpu_check 2 test
    says "no part 'test'; there are: build repeat tests"
    gpu_check 2 TESTS='norm speed' tests
    says "no test 'speed'; there are: all conv norm"
    gpu_check 2 LIMIT=long tests
    says "LIMIT='long': expected seconds"
    gpu_check 2 PATIENCE=0 tests
    says "PATIENCE='0': expected a factor"
}

all_well() {
    mkdir -p "$tmp/data"
    : >"$tmp/data/test_batch.bin"
    gpu_check 0
    says 'gn: the same bytes after 200 steps' 'bn reference: 3 kernels, 4.5 us' '2.0 us    1 x input_kernel' \
        'epochs of ln tuned' 'torch 2.0: 2 of 2 cases measured' '12 clean, 0 with errors' \
        'bn 79.00 %, gn 77.00 %, ln 68.00 %' 'PyTorch     2.000 ms (graph), 2.00 times as long' "$results"
    results_say 'result["name"] == "NVIDIA Made-up 1" and result["driver"] == "580.1" and result["commit"] == "made-up"'
    results_say 'list(parts) == "repeat tests step layers profile epochs pytorch sanitize kernels accuracy".split()'
    results_say 'set(statuses) == {"passed"}'
    results_say '"resume" not in parts["tests"] and parts["tests"]["fixtures"]["passed"] == 2'
    results_say 'parts["profile"]["gn tuned"]["in_order"] == ["2.00 us input_kernel", "0.50 us forward_kept", "2.00 us sgd_kernel"]'
}

# The made-up programs would take any option; the real one says which one it does not know first.
options_are_known() {
    local real=${TRAIN_GPU:-$root/build/release/train_gpu} words count=0
    mkdir -p "$tmp/data"
    : >"$tmp/data/test_batch.bin"
    [ -x "$real" ] || { echo "# $real is missing" && return 1; }
    gpu_check 0 CALLS="$tmp/calls" repeat epochs accuracy
    while read -ra words; do
        [[ " ${words[*]} " == *' --device cuda '* ]] || { echo "# not on the GPU: ${words[*]}" && return 1; }
        "$real" "${words[@]}" --nonsense 2>&1 | grep -q 'unknown option --nonsense' || { echo "# refused: ${words[*]}" && return 1; }
        count=$((count + 1))
    done <"$tmp/calls"
    [ "$count" -eq 17 ] # 8 + 6 + 3
}

two_runs_differ() {
    gpu_check 1 DIFFERENT=/second repeat
    says 'gn: DIFFERENT BYTES' 'two runs ended with different weights: bn gn ln'
    results_say 'parts["repeat"]["ln"]["same_bytes"] is False'
}

selected_tests() {
    gpu_check 0 TESTS='norm resume' tests
    results_say '"norm" in parts["tests"] and "resume" in parts["tests"] and "conv" not in parts["tests"]'
}

parts_are_kept() {
    gpu_check 0 step
    gpu_check 0 sanitize
    grep -q '"step"' "$results"
    grep -q '"sanitize"' "$results"
}

a_hang_costs_only_itself() {
    write "$build/tests/test_norm" <<<$'#!/bin/sh\necho "ok 1 - a"; sleep 1000'
    write "$build/bench/bench_layers" <<<$'#!/bin/sh\nsleep 1000'
    gpu_check 1 PATIENCE=0.1 TESTS='conv norm device' tests layers kernels
    says 'norm             1 passed   1 failed   0 skipped  not finished in 4 s' 'layers    failed ' 'kernels   passed'
    results_say 'parts["tests"]["device"]["passed"] == 2 and statuses == ["failed", "failed", "passed"]'
}

a_crash_costs_only_itself() {
    write "$build/bench/bench_step" <<<$'#!/bin/sh\nkill -SEGV $$'
    write_bench bench_layers '{"layers": ['
    gpu_check 1 step layers kernels
    says 'ended by SIGSEGV' 'gpu-check: JSONDecodeError' 'kernels   passed'
    results_say 'statuses == ["failed", "failed", "passed"]'
}

too_little_time() {
    write "$build/tests/test_norm" <<<$'#!/bin/sh\necho "ok 1 - a"; sleep 1000'
    gpu_check 0 LIMIT=6 TESTS='conv norm device' tests kernels
    says 'tests     unfinished' 'no time for norm, device' 'kernels   not run'
    results_say 'parts["tests"]["device"]["late"].startswith("not run") and parts["kernels"]["status"] == "not run"'
    gpu_check 0 kernels
    gpu_check 0 LIMIT=1 kernels
    results_say 'parts["kernels"]["status"] == "passed"' # of the call before
}

# What left its process group, as a daemon does, is not ended with it; nobody waits for it.
a_hang_that_cannot_be_ended() {
    write "$build/tests/test_norm" <<<$'#!/bin/sh\necho "ok 1 - a"; setsid sleep 20 & sleep 1000'
    gpu_check 1 PATIENCE=0.1 TESTS='norm device' tests
    says 'norm             1 passed   1 failed' 'device           2 passed'
    results_say 'parts["tests"]["seconds"] < 15'
}

# What was left in the place of the results, and what libraries print, do not matter.
nonsense_around() {
    local text
    for text in '{' '[]' '{"parts": null}' '{}'; do
        mkdir -p "$tmp/results"
        echo "$text" >"$results"
        gpu_check 0 kernels
        results_say 'list(parts) == ["kernels"]'
    done
    sed -i 's/^if/echo "libgomp: a warning" >\&2; if/' "$build/train_gpu"
    gpu_check 0 kernels
    results_say 'result["program"] == "1"'
    echo no folder >"$tmp/file"
    gpu_check 1 RESULTS="$tmp/file" kernels
    says "$tmp/file/nvidia-made-up-1.json: the results cannot be written"
}

# Starts gpu-check, and sends a signal as soon as its second test runs.
stopped_by() { # SIGNAL STATUS
    local words pid got=0 child
    write "$build/tests/test_norm" <<<$'#!/bin/sh\necho $$ >"$HERE"; exec sleep 1000'
    rm -f "$tmp/child"
    read -ra words < <(settings)
    env "${words[@]}" HERE="$tmp/child" TESTS='conv norm' "$root/tools/gpu-check" step tests kernels >"$log" 2>&1 &
    pid=$!
    for _ in {1..300}; do
        [ ! -s "$tmp/child" ] || break
        sleep 0.1
    done
    kill -"$1" "$pid"
    wait "$pid" 2>/dev/null || got=$?
    [ "$got" -eq "$2" ] || { echo "# exit status $got instead of $2" && return 1; }
    results_say 'parts["step"]["status"] == "passed" and parts["tests"]["status"] == "unfinished"'
    results_say 'parts["tests"]["conv"]["passed"] == 2 and "kernels" not in parts'
    child=$(<"$tmp/child")
    for _ in {1..50}; do
        kill -0 "$child" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "# the program still runs" && kill -KILL "$child"
    return 1
}

killed() {
    stopped_by KILL 137
}

terminated() {
    stopped_by TERM 143
    says 'step      passed' 'results: '
}

pytorch_hangs() {
    gpu_check 0 PATIENCE=0.04 HANG=graph pytorch
    says 'no time for graph, compile_graph (not finished in 3 s)'
    results_say 'parts["pytorch"]["status"] == "unfinished" and [c["variant"] for c in parts["pytorch"]["cases"]] == ["graph", "eager"]'
}

# What fails leaves the rest its turn, and what is skipped keeps its results.
# shellcheck disable=SC2016 # the fake program expands them
pytorch_fails() {
    sed -i 's/^for word; do/[ -z "$NO_TORCH" ] || { echo "no module named torch"; exit 3; }\n&/' "$tools/python"
    sed -i 's/^\[ "$1" != -c \].*/&\ncase " $* " in *" graph "*) [ -z "$CRASH" ] || { echo "out of memory"; exit 1; } ;; esac/' "$tools/python"
    gpu_check 1 CRASH=1 pytorch
    says 'failed: graph, compile_graph (out of memory)'
    results_say '[case["variant"] for case in parts["pytorch"]["cases"]] == ["eager"]'
    gpu_check 0 NO_TORCH=1 pytorch
    says 'pytorch   skipped' 'no module named torch'
    results_say '[case["variant"] for case in parts["pytorch"]["cases"]] == ["eager"]'
}

no_counters() {
    write "$tools/ncu" <<'END_OF_FILE'
#!/bin/sh
while [ "$1" != --log-file ]; do shift; done
echo '==ERROR== ERR_NVGPUCTRPERM - The user does not have permission' >"$2"
exit 1
END_OF_FILE
    gpu_check 0 profile
    says 'profile   skipped' 'ERR_NVGPUCTRPERM'
}

# As on a machine without git, make, compilers and nvcc: only the files that the bundle has, in a folder of their own.
carried() {
    local there=$tmp/there name site=$tmp/venv/lib/python3.12/site-packages/nvidia
    rm -rf "$there" "$tmp/venv"
    mkdir -p "$there/tools" "$there/build" "$there/lib" "$tmp/venv/bin" "$site"/{cu13,cudnn}/lib
    cp "$root/Makefile" "$there"
    cp "$root"/tools/{gpu-check,gpu_machine.py,gpu_parts.py,find-cuda} "$there/tools"
    : >"$site/cu13/lib/libcublas.so.13" && : >"$site/cudnn/lib/libcudnn.so.9" && echo abc >"$there/COMMIT"
    for name in bash env sh dirname readlink sleep tr mkdir; do ln -s "$(type -P "$name")" "$tmp/venv/bin"; done
    ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$tmp/venv/bin/python3"
    cp -r "$build" "$there/build/release"
    echo '# linked with libcublas.so.13' >>"$there/build/release/train_gpu"
    write "$there/build/release/tests/test_conv" <<<$'#!/bin/sh\necho "ok 1 - $LD_LIBRARY_PATH"; echo "not ok 2"'
    env -i PATH="$tmp/venv/bin" HOME=/nonexistent SKIP_BUILD=1 TESTS=conv "$there/tools/gpu-check" repeat tests >"$log" 2>&1 &&
        return 1
    says "ok 1 - $there/lib:$site/cu13/lib:$site/cudnn/lib" 'commit abc' 'repeat    passed'
    results_say 'parts["repeat"]["commit"] == "abc"' "$there/build/release/gpu-check.json"
}

# The real programs; ncu and the rest of the machine are made up. What no stand-in has is skipped.
rehearsal() {
    [ -x "$root/build/sim/bench/bench_step" ] || { echo "# build/sim is not built" && return 1; }
    build=$root/build/sim
    gpu_check 0 CUDASIM_REVERSE=0 OMP_NUM_THREADS=1 TESTS='device sgd_input' PYTHON="${python:-python3}" \
        repeat tests step layers profile epochs pytorch sanitize kernels accuracy
    results_say 'all(parts[name]["status"] == "passed" for name in ("tests", "step", "layers", "profile", "kernels"))' "$tmp/results/gpu-check.json"
    results_say '{line["pass"] for line in parts["layers"]["gn tuned"]["layers"]} >= {"forward", "data gradient", "filter gradient"}' \
        "$tmp/results/gpu-check.json"
    results_say 'parts["step"]["cases"][0]["batch"] == 2 and parts["profile"]["gn tuned"]["batch"] == 2' "$tmp/results/gpu-check.json"
}

a_test_fails() {
    write "$build/tests/test_norm" <<<$'#!/bin/sh\nprintf "1..2\\nok 1 - a\\nnot ok 2 - b\\n"; exit 1'
    gpu_check 1 tests
    says 'not ok 2 - b' '1 passed   1 failed' 'tests     failed'
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
    results_say 'parts["tests"]["norm"]["failed"] == 1 and parts["tests"]["fixtures"]["passed"] == 2'
}

the_sanitizer_finds_something() {
    write "$tools/compute-sanitizer" <<'END_OF_FILE'
#!/bin/sh
case "$*" in *racecheck*norm) echo "========= RACECHECK SUMMARY: 2 hazards displayed"; exit 99 ;; esac
echo "========= ERROR SUMMARY: 0 errors"
END_OF_FILE
    gpu_check 1 sanitize
    says '2 hazards displayed' '11 clean, 1 with errors'
    results_say 'parts["sanitize"]["norm racecheck"] == "2 hazards displayed"'
}

poison_reaches_a_result() {
    rm "$tools/compute-sanitizer"
    gpu_check 0 sanitize
    says 'sanitize  skipped' 'compute-sanitizer is not installed; on poisoned memory: 3 clean'
    write "$build/tests/test_norm" <<<$'#!/bin/sh\n[ -z "$TRAIN_GPU_POISON" ] || { echo "not ok 1"; exit 1; }'
    gpu_check 1 sanitize
    says 'sanitize  failed' 'norm poison'
}

a_benchmark_fails() {
    write "$build/bench/bench_step" <<<$'#!/bin/sh\necho "bench_step: no device" >&2; exit 3'
    gpu_check 1 step
    says 'step      failed' 'bench_step: no device'
}

no_data() {
    rm -rf "$tmp/data"
    gpu_check 0 accuracy
    says 'accuracy  skipped' 'no CIFAR-10 here'
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
    says "results: $tmp/results/gpu-check.json"
}

check "wrong usage" wrong_usage
check "all well" all_well
check "train_gpu knows the options, and runs on the GPU" options_are_known
check "parts that are not run keep their results" parts_are_kept
check "two runs that differ" two_runs_differ
check "tests that are selected" selected_tests
check "a test that fails" a_test_fails
check "a test that dies" a_test_dies
check "a test that is not built" a_test_is_not_built
check "programs that hang" a_hang_costs_only_itself
check "a program that hangs and leaves another" a_hang_that_cannot_be_ended
check "nonsense in the results, and before what is read" nonsense_around
check "programs that crash or write nonsense" a_crash_costs_only_itself
check "too little time" too_little_time
check "killed" killed
check "terminated" terminated
check "PyTorch hangs" pytorch_hangs
check "PyTorch fails or is missing" pytorch_fails
check "ncu may not read counters" no_counters
check "errors found by compute-sanitizer" the_sanitizer_finds_something
check "poisoned memory" poison_reaches_a_result
check "a benchmark that fails" a_benchmark_fails
check "no data" no_data
check "an accuracy that is too low" too_low
check "results without a GPU" no_gpu
check "a build that was carried to a machine with Python alone" carried
check "the rehearsal on the stand-in" rehearsal
echo "1..$number"
exit $failed
