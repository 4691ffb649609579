#!/usr/bin/env bash
# test_pytorch.sh: compares the fixtures of tests/reference with what PyTorch computes here, and passes weights of
# train_gpu through PyTorch and back. Prints TAP. TRAIN_GPU is the program; PYTHON, an interpreter with torch, numpy and
# safetensors (`make test-python`).
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
program=$(realpath "${TRAIN_GPU:?the program to test}") || exit 1
python=${PYTHON:-python3}
data=${CIFAR10_DIR:-$root/data/cifar-10-batches-bin}
published=$root/../shared/seed/batch_norm.safetensors # the published weights, if they are here
reference=$root/tests/reference
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export PYTHONDONTWRITEBYTECODE=1
names=("fixtures computed again" "round trip, published batch norm" "round trip, tuned group norm, 60 steps"
    "round trip, another network's weights are refused")
log=$scratch/log
# shellcheck source=tests/tap.sh
. "$root/tests/tap.sh"

round_trip() { # NORM RECIPE WEIGHTS
    "$python" "$reference/round_trip.py" --norm "$1" --recipe "$2" --weights "$3" --train-gpu "$program" --data "$data" \
        >"$log" 2>&1
}

echo "1..${#names[@]}"
if ! why=$("$python" -c 'import torch, numpy, safetensors' 2>&1); then
    for _ in "${names[@]}"; do skip "$python: ${why##*$'\n'} (make test-python installs them)"; done
    exit 0
fi
"$python" "$reference/make_fixtures.py" --check >"$log" 2>&1
report $?
if [ ! -f "$data/test_batch.bin" ]; then
    while [ "$count" -lt "${#names[@]}" ]; do skip "no CIFAR-10 in $data (make data fetches it)"; done
    exit "$((bad > 0))"
fi
if [ -f "$published" ]; then
    round_trip bn reference "$published" && [ "$(grep -c ' 7939 right, loss 0.5914' "$log")" -eq 3 ]
    report $?
else
    skip "no $published"
fi
# Standardized filters are saved as they are used. 60 steps give a network that tells some classes apart.
"$program" --quiet --data "$data" --norm gn --batch-size 32 --epochs 1 --max-steps 60 --out "$scratch/run" \
    >"$log" 2>&1 &&
    round_trip gn tuned "$scratch/run/model.safetensors"
report $?
! round_trip gn reference "$scratch/run/model.safetensors" && grep -q "^round_trip: .*cannot be loaded" "$log"
report $?
exit "$((bad > 0))"
