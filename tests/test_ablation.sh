#!/usr/bin/env bash
# test_ablation.sh: bench/ablation.py on the synthetic set: two tiny candidates and the base, stopped in the middle and
# resumed; the table; what it refuses. Prints TAP. TRAIN_GPU is the program; PYTHON, an interpreter.
set -u
export LC_ALL=C
program=$(realpath "${TRAIN_GPU:?the program to test}") || exit 1
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
log=$scratch/log
names=("a candidate with an unknown option is refused by name before any training"
    "stopped in the middle: the runs that ended are recorded"
    "the same command continues: it resumes one run and repeats none"
    "the results are those of runs without a stop"
    "halving: the better candidate goes on, and the base"
    "the table has means, deviations, differences and standard errors"
    "--table makes the same table without a run"
    "results of other settings are refused"
    "the candidates in bench/ablation.json have options that the program knows")
# shellcheck source=tests/tap.sh
. "$root/tests/tap.sh"
echo "1..${#names[@]}"
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
    while [ "$count" -lt "${#names[@]}" ]; do skip "$python is not installed"; done
    exit 0
fi

# A rate of 1e-30 leaves the initial network; the base learns something in 60 steps.
cat >list.json <<'END'
{"base": "as it is", "candidates": [
  {"name": "no training", "options": "--lr 1e-30", "why": "must be worse"},
  {"name": "as it is", "options": "", "why": "the base"},
  {"name": "Momentum 0.8", "options": "--momentum 0.8", "why": "a little less"}]}
END

# With start=exec the shell becomes the program, and so has its process number.
ablation() { # OPTION...
    ${start:-} "$python" "$root/bench/ablation.py" --candidates list.json --program "$program" --norms ln --stages 1:1,2:2 --keep 0.5 \
        --validation 300 --common "--data synthetic:1 --recipe reference --lr 0.02 --batch-size 16 --max-steps 60" \
        --results results.json --output table.md "$@"
}

unknown_option() {
    sed 's/--momentum 0.8/--momentun 0.8/' list.json >wrong.json
    if ablation --candidates wrong.json --runs none; then return 1; fi
    [ ! -e none ] && [ ! -e results.json ] && grep -q "candidate 'Momentum 0.8': .*unknown option --momentun" "$log"
}

# Stops it when the first run is recorded and the second has begun.
stopped() {
    local job model i
    start="exec" ablation --runs runs --jobs 1 >out 2>&1 &
    job=$!
    for ((i = 0; i < 1200; i++)); do
        [ -e results.json ] && compgen -G 'runs/1-epochs/no-training-*/checkpoint.safetensors' && break
        kill -0 "$job" || break
        sleep 0.05
    done
    kill -TERM "$job"
    wait "$job"
    local status=$?
    cat out
    model=$(ls runs/1-epochs/as-it-is-*/model.safetensors) && touch -d 1970-01-02 "$model"
    [ "$status" -eq 143 ] && [ ! -e table.md ] && [ "$(grep -c '"accuracy"' results.json)" -eq 1 ] &&
        ! compgen -G 'runs/1-epochs/no-training-*/model.safetensors'
}

continues() {
    ablation --runs runs --jobs 2 | tee out || return
    [ "$(grep -c '^resume: 1 epochs, ln, seed 1: no training$' out)" -eq 1 ] && [ "$(grep -c '^resume' out)" -eq 1 ] &&
        [ "$(grep -c '^train' out)" -eq 5 ] && [ "$(stat -c %Y runs/1-epochs/as-it-is-*/model.safetensors)" -eq 86400 ]
}

same_results() {
    ablation --runs again --results again.json --output again.md && diff results.json again.json && diff table.md again.md
}

halved() {
    [ "$(grep -c '"epochs": 1,' results.json)" -eq 3 ] && [ "$(grep -c '"epochs": 2,' results.json)" -eq 4 ] &&
        ! grep '"no training", "norm": "ln", "epochs": 2' results.json && grep -c '"Momentum 0.8", .*"epochs": 2' results.json
}

# From samples whose figures are known: base 80, 82 (81 +- 1.41), change 83, 84, 85 (84 +- 1); sqrt(2/2 + 1/3) = 1.15; one
# seed has no deviation; a run diverged.
table_from_samples() {
    "$python" - <<'END'
import json
runs = [("base", "bn", 20, 1, 80), ("base", "bn", 20, 2, 82), ("up", "bn", 20, 1, 83), ("up", "bn", 20, 2, 84),
        ("up", "bn", 20, 3, 85), ("base", "gn", 20, 1, 80), ("up", "gn", 20, 1, 79.5), ("wild", "bn", 20, 1, None),
        ("low", "bn", 20, 1, 70), ("low", "gn", 20, 1, 80.25), ("base", "gn", 6, 1, 60)]
json.dump({"base": "base", "validation": 5000, "common": "", "dataset": "CIFAR-10", "date": "2026-01-02", "program": "x",
           "candidates": [{"name": name, "options": "" if name == "base" else "--lr 1", "why": "why " + name}
                          for name in ("base", "low", "up", "wild")],
           "runs": [dict(zip(("candidate", "norm", "epochs", "seed", "accuracy"), run), parameters=45520) for run in runs]},
          open("samples.json", "w"))
END
    ablation --table --results samples.json --output samples.md && grep '^[|#]' samples.md | diff - <(cat <<'END'
# Ablation
## 20 epochs
| change | parameters | bn | bn - base | gn | gn - base | mean difference |
|---|---:|---:|---:|---:|---:|---:|
| up | 45,520 | 84.00 ± 1.00 (3) | +3.00 ± 1.15 | 79.50 (1) | -0.50 | +1.25 |
| base | 45,520 | 81.00 ± 1.41 (2) | - | 80.00 (1) | - | - |
| low | 45,520 | 70.00 (1) | -11.00 | 80.25 (1) | +0.25 | -5.38 |
| wild | 45,520 | diverged (1 of 1) | - | - | - | - |
## 6 epochs
| change | parameters | gn | gn - base | mean difference |
|---|---:|---:|---:|---:|
| base | 45,520 | 60.00 (1) | - | - |
## The candidates
| change | options | why |
|---|---|---|
| base | none | why base |
| low | `--lr 1` | why low |
| up | `--lr 1` | why up |
| wild | `--lr 1` | why wild |
END
    ) && grep -q 'pooled over the table: 1.15 points (3 degrees' samples.md
}

table_again() {
    ablation --table --runs none --output second.md && diff table.md second.md && [ ! -e none ]
}

other_settings() {
    cp results.json before.json
    if ablation --runs runs --validation 200; then return 1; fi
    grep -q "results.json' is for validation 300, not 200" "$log" || return
    sed 's/--momentum 0.8/--momentum 0.7/' list.json >changed.json
    if ablation --runs runs --candidates changed.json; then return 1; fi
    grep -q "'Momentum 0.8' was measured with '--momentum 0.8', not with '--momentum 0.7'" "$log" && diff before.json results.json
}

# The list is checked, and then the data set is not there.
list_is_known() {
    if "$python" "$root/bench/ablation.py" --program "$program" --common "--data $scratch/nowhere" --runs list --results l.json \
        --output l.md; then return 1; fi
    grep -q "cannot open data folder '$scratch/nowhere'" "$log"
}

for check in unknown_option stopped continues same_results halved table_from_samples table_again other_settings list_is_known; do
    "$check" >"$log" 2>&1
    report $?
done
[ "$bad" -eq 0 ]
