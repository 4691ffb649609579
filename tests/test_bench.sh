#!/usr/bin/env bash
# test_bench.sh: benchmarks with tiny batches, on the CPU and on the CUDA stand-in: every layer is timed in each of its
# passes, and the results are JSON. The predictions in bench/README.md are those of predict.py. Prints TAP. TRAIN_GPU is
# the program whose build has the benchmarks.
set -u
export LC_ALL=C CUDASIM_REVERSE=0
build=$(dirname "${TRAIN_GPU:?the program to test}")
sim=$(dirname "$build")/sim
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log
names=("bench_layers on the CPU, words by position"
    "bench_layers and bench_step on the device that they choose"
    "bench_layers refuses a recipe that does not exist"
    "bench_layers on the CUDA stand-in, with cuDNN's algorithms"
    "the tables in bench/README.md are what predict.py prints, but for what was measured")
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=tests/tap.sh
. "$root/tests/tap.sh"
echo "1..${#names[@]}"

# How many passes of this name the results have.
passes() { # NAME
    grep -c "\"pass\": \"$1\"" "$scratch/out.json"
}

# The reference network for batch norm: ten convolutions, eight norms, two pools.
bench() { # FOLDER BACKEND WORDS...
    "$1/bench/bench_layers" "${@:3}" --batch 2 --samples 1 --json "$scratch/out.json" >"$log" 2>&1 &&
        grep -q "\"backend\": \"$2\"" "$scratch/out.json" && grep -q 'sum of a step: ' "$log" &&
        [ "$(passes forward)" -eq 20 ] && [ "$(passes backward)" -eq 10 ] &&
        [ "$(passes 'data gradient')" -eq 9 ] && [ "$(passes 'filter gradient')" -eq 10 ] &&
        ! grep -E '"(microseconds|bytes|gb_per_second)": (0\.0,|-|nan|inf)' "$scratch/out.json"
}

bench "$build" cpu bn reference 1
report $?

small=(--norm ln --recipe reference --device auto --batch 1 --samples 1)
{ "$build/bench/bench_layers" "${small[@]}" && "$build/bench/bench_step" "${small[@]}" --steps 1; } >"$log" 2>&1 &&
    grep -q 'sum of a step: ' "$log" && grep -q ' images/s$' "$log"
report $?

"$build/bench/bench_layers" bn published >"$log" 2>&1
[ $? -eq 2 ] && grep -q -- '--recipe: needs tuned or reference' "$log"
report $?

if [ -x "$sim/bench/bench_layers" ]; then
    bench "$sim" cuda --norm bn --recipe reference --device cuda && grep -q '"conv 3x32x32 -> 16x32x32, 3x3, batch 2: ' "$scratch/out.json"
    report $?
else
    skip "build/sim/bench/bench_layers is not built"
fi

# The tables of a text, without what was measured: the last column of the first one.
without_measurements() {
    awk -F '|' -v OFS='|' '/^[|]/ { if (/measured [|]$/) first = 1
        if (/^[|] expected/) first = 0
        if (first && /^[|] [bgl]n/) $(NF - 1) = " "
        print }'
}

predictions_are_those_of_the_script() {
    python3 "$root/bench/predict.py" "$build/bench/bench_layers" >"$scratch/predicted" || return
    [ "$(grep -c '^| [bgl]n' "$scratch/predicted")" -eq 16 ] &&
        sed -n '/^## Predictions/,$p' "$root/bench/README.md" | sed '2,${/^## /,$d}' | without_measurements |
        diff - <(without_measurements <"$scratch/predicted")
}

if command -v python3 >/dev/null; then
    predictions_are_those_of_the_script >"$log" 2>&1
    report $?
else
    skip "python3 is not installed"
fi
[ "$bad" -eq 0 ]
