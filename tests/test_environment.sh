#!/usr/bin/env bash
# test_environment.sh: settings from the environment: threads, instruction set, stack. Prints TAP. TRAIN_GPU is the
# program.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
program=$(realpath "${TRAIN_GPU:?the program to test}") || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log
names=("OMP_NUM_THREADS is the number of threads" "OMP_NUM_THREADS has the limit of --threads" "--threads overrides it" "OMP_THREAD_LIMIT: the threads that run are reported"
    "OMP_DYNAMIC changes nothing" "config.json records the threads that run" "info says why so many threads"
    "the affinity mask limits the threads" "an unknown instruction set"
    "every instruction set that is named runs" "a small stack of the threads" "a small soft limit on the stack is raised"
    "a small hard limit on the stack is refused" "too little memory names the option that helps")
# shellcheck source=tests/tap.sh
. "$root/tests/tap.sh"
unset OMP_NUM_THREADS OMP_THREAD_LIMIT OMP_DYNAMIC OMP_STACKSIZE TRAIN_GPU_CPU

train() { # OPTIONS...: two steps with everything random on
    "$program" --norm gn --data synthetic --device cpu --batch-size 16 --max-steps 2 --dropout 0.1 --augment flip-crop \
        --quiet --no-report --force --out "$scratch/run" "$@"
}

info() { # NAME=VALUE...: the lines of the CPU
    env "$@" "$program" info >"$log" 2>&1 && sed -i '/cpu\|threads/!d' "$log"
}

echo "1..${#names[@]}"
info OMP_NUM_THREADS=3 && grep -q 'cpu:0: CPU, 3 threads, ' "$log"
report $?
info OMP_NUM_THREADS=99999999 && grep -q 'cpu:0: CPU, 1024 threads, ' "$log"
report $?
OMP_NUM_THREADS=3 train --threads 2 >"$log" 2>&1 && grep -q '"device": "CPU, 2 threads, ' "$scratch/run/config.json"
report $?
info OMP_NUM_THREADS=5 OMP_THREAD_LIMIT=2 && grep -q 'CPU, 2 threads (5 requested, but OpenMP allows no more), ' "$log"
report $?
info OMP_NUM_THREADS=3 OMP_DYNAMIC=true && grep -q 'CPU, 3 threads, ' "$log"
report $?
OMP_THREAD_LIMIT=2 train --threads 4 >"$log" 2>&1 && grep -q '"threads": 2' "$scratch/run/config.json"
report $?
info OMP_NUM_THREADS=3 && grep -q '^ *threads 3: OMP_NUM_THREADS$' "$log" &&
    info OMP_NUM_THREADS=none && grep -q '^ *threads .*processor' "$log" &&
    info OMP_NUM_THREADS=3x && grep -q '^ *threads .*processor' "$log" &&
    info OMP_NUM_THREADS=3,2 && grep -q '^ *threads 3: OMP_NUM_THREADS$' "$log"
report $?
if [ "$(nproc --all)" -gt 1 ] && command -v taskset >/dev/null; then
    first=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')
    info taskset -c "$first" && grep -q 'CPU, 1 thread,' "$log" &&
        grep -Eq 'threads 1: (affinity mask of 1 of [0-9]+|CPU quota of [0-9.]+ of 1) processor' "$log"
    report $?
else
    skip "one processor, or no taskset"
fi

TRAIN_GPU_CPU=sse9 train >"$log" 2>&1
[ $? -eq 3 ] && grep -q 'TRAIN_GPU_CPU=sse9: .* set it to .*baseline$' "$log"
report $?
sets=$(sed 's/.*set it to //; s/,/ /g; s/ or / /' "$log")
ran=0
for set in $sets; do info "TRAIN_GPU_CPU=$set" && grep -q 'cpu:0: CPU' "$log" && ran=$((ran + 1)); done
[ "$ran" -gt 0 ] && [ "$ran" -eq "$(wc -w <<<"$sets")" ]
report $?

OMP_STACKSIZE=16K train --threads 3 >"$log" 2>&1
report $?
(ulimit -S -s 64 && train) >"$log" 2>&1
report $?
(ulimit -s 64 && train) >"$log" 2>&1
[ $? -eq 1 ] && grep -q '^train_gpu: the limit on the stack is 64 KiB, .*ulimit -s' "$log"
report $?

(ulimit -v 3000000 && train --batch-size 10000) >"$log" 2>&1 # its activations need 12 GB
[ $? -eq 1 ] && grep -q 'out of memory: .* for the activations of a batch; see --batch-size' "$log"
report $?
[ "$bad" -eq 0 ]
