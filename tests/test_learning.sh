#!/usr/bin/env bash
# test_learning.sh: whole runs that must learn: the synthetic set with every norm and, if CIFAR-10 is here, a hundred
# steps on it. With TEST_LONG=1, 20 epochs of every network on CIFAR-10, as the README reports them. Prints TAP.
# TRAIN_GPU is the program. TEST_BACKEND=cuda trains on the GPU, and fails where there is none.
set -u
export LC_ALL=C
program=${TRAIN_GPU:?the program to test}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
data=${CIFAR10_DIR:-$root/data/cifar-10-batches-bin}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0

# The test accuracy of the last epoch in a run's folder, in percent.
accuracy() { # FOLDER
    sed -n '$s/.*"test_accuracy": *\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" 2>/dev/null
}

# One test: a run of OPTIONS ends with an accuracy between two bounds.
reaches() { # NAME LOW HIGH OPTIONS...
    local name=$1 low=$2 high=$3 reached
    shift 3
    count=$((count + 1))
    rm -rf "$scratch/run"
    "$program" --quiet --device "${TEST_BACKEND:-auto}" --out "$scratch/run" "$@" >"$scratch/log" 2>&1 || cat "$scratch/log"
    reached=$(accuracy "$scratch/run")
    if awk -v a="${reached:-none}" -v low="$low" -v high="$high" \
        'BEGIN { exit !(a ~ /^[0-9.]+$/ && a + 0 >= low && a + 0 <= high) }'; then
        echo "ok $count - $name: $reached %"
    else
        echo "not ok $count - $name: ${reached:-nothing}, not $low to $high %"
    fi
}

skip() { # NAME REASON
    count=$((count + 1))
    echo "ok $count # SKIP $1: $2"
}

on_real_data() { # NAME LOW OPTIONS...
    local name=$1 low=$2
    shift 2
    if [ -f "$data/test_batch.bin" ]; then
        reaches "$name" "$low" 100 --data "$data" "$@"
    else
        skip "$name" "no CIFAR-10 in $data (make data fetches it)"
    fi
}

long() { # NAME LOW OPTIONS...
    if [ "${TEST_LONG:-0}" = 1 ]; then
        on_real_data "$@"
    else
        skip "$1" "takes minutes; make test-long runs it"
    fi
}

reaches "synthetic set, batch norm, 3 epochs" 90 100 --data synthetic --recipe reference --norm bn --epochs 3
reaches "synthetic set, group norm, 4 epochs" 90 100 --data synthetic --recipe reference --norm gn --epochs 4
reaches "synthetic set, layer norm, 5 epochs" 90 100 --data synthetic --recipe reference --norm ln --epochs 5
reaches "synthetic set, not learned in one step" 0 30 --data synthetic --norm gn --max-steps 1

on_real_data "CIFAR-10, batch norm, 100 steps" 30 --recipe reference --norm bn --max-steps 100
# After 100 steps layer norm has 20 to 29 %, depending on the seed and on the last bits; after 200 at least 27 (3 instruction
# sets, 4 seeds).
on_real_data "CIFAR-10, layer norm, 200 steps" 25 --recipe reference --norm ln --max-steps 200

# Another instruction set rounds differently and so computes another run of the same seed. The bounds are below the mean of
# three seeds by three standard deviations (README.md, for batch norm by six).
long "CIFAR-10, reference bn, 20 epochs" 78 --recipe reference --norm bn
long "CIFAR-10, reference gn, 20 epochs" 73.5 --recipe reference --norm gn
long "CIFAR-10, reference ln, 20 epochs" 63 --recipe reference --norm ln
for norm in bn gn ln; do
    long "CIFAR-10, tuned $norm, 20 epochs" 82 --recipe tuned --norm "$norm"
done
