#!/usr/bin/env bash
# test_bench.sh: benchmarks with tiny batches, on the CPU and on the CUDA stand-in: every layer is timed in each of its
# passes, and the results are JSON. The tables in bench/README.md are those of predict.py and measure.py. Prints TAP.
# TRAIN_GPU is the program whose build has the benchmarks; PYTHON, an interpreter that may have torch.
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
    "the tables in bench/README.md are what predict.py prints, but for what was measured"
    "measure.py: shares of the nearer limit, and steps in turn with PyTorch's if it is here"
    "measure.py: a table from samples"
    "measure.py: numbers below 1 and damaged results are refused in one line"
    "bench/README.md has the tables of all results that measure.py wrote to bench/results")
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
    "$python" "$root/bench/predict.py" "$build/bench/bench_layers" >"$scratch/predicted" || return
    [ "$(grep -c '^| [bgl]n' "$scratch/predicted")" -eq 16 ] &&
        sed -n '/^## Predictions/,$p' "$root/bench/README.md" | sed '2,${/^## /,$d}' | without_measurements |
        diff - <(without_measurements <"$scratch/predicted")
}

# Every pass of a layer, with the samples of two rounds.
measured() {
    TRAIN_GPU_CPU=baseline "$python" "$root/bench/measure.py" --build "$build" --device cpu --network "ln reference" \
        --variant eager --batch 2 --samples 1 --rounds 2 --steps 1 --out "$scratch/measured.json" &&
        "$python" - "$scratch/measured.json" <<'END'
import importlib.util, json, sys
result = json.load(open(sys.argv[1]))
machine, layers, step = result["machine"], result["layers"]["ln reference"], result["steps"][0]
assert machine["instructions"] == "baseline instructions" and machine["threads"] >= 1, machine
memory = 1e9 * max(layers["read_gb_per_second"], layers["copy_gb_per_second"])
limits = set()
for line in layers["layers"]:
    times = {"arithmetic": line["flops"] / (1e9 * layers["peak_gflop_per_second"]), "memory": line["bytes"] / memory}
    nearer = max(times, key=times.get)
    share = times[nearer] / (1e-6 * line["microseconds"])
    assert line["limit"] == nearer and abs(line["share"] / share - 1) < 1e-3, line
    limits.add(nearer)
assert len(layers["layers"]) == 49 and limits == {"arithmetic", "memory"}, limits
torch = importlib.util.find_spec("torch") is not None
assert set(step["samples_ms"]) == ({"here", "eager"} if torch else {"here"}) and not step["skipped"], step
assert all(len(times) == 2 and min(times) > 0 for times in step["samples_ms"].values()), step
assert not torch or result["pytorch"]["threads"] == machine["threads"]
assert not torch or result["pytorch"]["environment"]["ONEDNN_MAX_CPU_ISA"] == "SSE41"
END
}

# Medians 100 and 150; 9 GFLOP at 200 GFLOP/s are 45 ms.
table_from_samples() {
    cat >"$scratch/samples.json" <<'END'
{"machine": {"cpu": "A CPU, 2 cores", "threads": 2, "instructions": "AVX2", "compiler": "GCC 1", "commit": "c0ffee",
  "date": "2026-01-02", "minutes": 7.25, "peak_gflop_per_second": 200.0, "read_gb_per_second": 30.04,
  "copy_gb_per_second": 25.0},
 "pytorch": {"version": "2.0", "threads": 2, "capability": "AVX2"},
 "layers": {"bn tuned": {"sum_flops": 9e9}, "ln reference": {"sum_flops": 1e9}},
 "steps": [{"network": "bn tuned", "samples_ms": {"here": [100, 1, 999], "eager": [170, 180, 120],
     "channels_last": [149, 150, 190], "compile": [151, 152, 2]}},
   {"network": "ln reference", "samples_ms": {"here": [4, 3]}}]}
END
    "$python" "$root/bench/measure.py" --table "$scratch/samples.json" | diff - <(cat <<'END'
A CPU, 2 cores; threads: 2; AVX2; GCC 1; 2026-01-02, commit c0ffee; 7 minutes. Multiply-adds at most 200 GFLOP/s; memory 30.0 GB/s read, 25.0 GB/s copied. PyTorch 2.0, threads: 2, AVX2.

| network | here, ms | PyTorch, ms | its variant | ratio | multiply-adds at their peak, ms | share |
| --- | --- | --- | --- | --- | --- | --- |
| bn tuned | 100.0 | 150.0 | channels_last | 1.50 | 45.0 | 45% |
| ln reference | 3.5 | - | - | - | 5.0 | 143% |
END
    )
}

refusals() {
    local option
    for option in --batch --samples --rounds --steps; do
        "$python" "$root/bench/measure.py" "$option" 0 2>&1 | grep -q "measure.py: error: argument $option: " || return
    done
    echo '{' >"$scratch/damaged.json"
    "$python" "$root/bench/measure.py" --table "$scratch/damaged.json" >"$scratch/refused" 2>&1
    [ $? -eq 1 ] && [ "$(wc -l <"$scratch/refused")" -eq 1 ] && grep -q '^measure: ' "$scratch/refused"
}

# Spaces and line ends do not count.
recorded_tables_are_in_the_readme() {
    local file readme table tables=0
    readme=$(tr -s '[:space:]' ' ' <"$root/bench/README.md")
    for file in "$root"/bench/results/*.json; do
        grep -qs '"samples_ms"' "$file" || continue
        table=$("$python" "$root/bench/measure.py" --table "$file" | tr -s '[:space:]' ' ') && [ -n "$table" ] || return
        tables=$((tables + 1))
        [[ $readme == *"${table% }"* ]] || { echo "bench/README.md lacks the table of $file" && return 1; }
    done
    echo "$tables results"
    [ "$(grep -c '^| network | here, ms |' "$root/bench/README.md")" -eq "$tables" ]
}

python=${PYTHON:-python3}
if command -v "$python" >/dev/null; then
    for check in predictions_are_those_of_the_script measured table_from_samples refusals recorded_tables_are_in_the_readme; do
        "$check" >"$log" 2>&1
        report $?
    done
else
    while [ "$count" -lt "${#names[@]}" ]; do skip "$python is not installed"; done
fi
[ "$bad" -eq 0 ]
