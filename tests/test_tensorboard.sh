#!/usr/bin/env bash
# test_tensorboard.sh: TensorBoard reads what --tensorboard writes. Prints TAP. TRAIN_GPU is the program; PYTHON, an
# interpreter with tensorboard (`make test-python`).
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
program=$(realpath "${TRAIN_GPU:?the program to test}") || exit 1
python=${PYTHON:-python3}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export PYTHONDONTWRITEBYTECODE=1
train=("$program" --norm ln --recipe reference --data synthetic --device cpu --quiet --tensorboard --out)
names=("a run" "a TensorBoard that is open while a killed run is resumed" "one that is opened later" "tensorboard --inspect lists the tags" "a damaged record is noticed")
log=$scratch/log
# shellcheck source=tests/tap.sh
. "$root/tests/tap.sh"

check() { # FOLDER [COMMAND...]: the command runs while the folder is open
    "$python" "$root/tests/tensorboard_check.py" "$@" >"$log" 2>&1
}

kill_after_an_epoch() { # FOLDER OPTIONS...
    "${train[@]}" "$@" >"$log" 2>&1 &
    local run=$!
    for ((i = 0; i < 1200; i++)); do # two minutes
        if [ -s "$1/metrics.jsonl" ] || ! kill -0 "$run" 2>/dev/null; then break; fi
        sleep 0.1
    done
    kill -KILL "$run" 2>/dev/null
    wait "$run" 2>/dev/null
    [ -s "$1/metrics.jsonl" ] && [ ! -e "$1/model.safetensors" ]
}

echo "1..${#names[@]}"
if ! why=$("$python" -c 'import tensorboard' 2>&1); then
    for _ in "${names[@]}"; do skip "$python: ${why##*$'\n'} (make test-python installs it)"; done
    exit 0
fi
"${train[@]}" "$scratch/short" --batch-size 8 --max-steps 2 >"$log" 2>&1 && check "$scratch/short"
report $?

long=("$scratch/long" --batch-size 500 --epochs 2)
kill_after_an_epoch "${long[@]}" &&
    cat "$scratch"/long/events.out.tfevents.* >"$scratch/again" && # as if more had been written than was recorded
    cat "$scratch/again" >>"$(echo "$scratch"/long/events.out.tfevents.*)" &&
    check "$scratch/long" "${train[@]}" "${long[@]}" --resume && grep -q ': 2 epochs' "$log"
report $?
check "$scratch/long" && grep -q ': 2 epochs' "$log"
report $?

"$python" -m tensorboard.main --inspect --logdir "$scratch/long" >"$log" 2>&1
for tag in accuracy/test accuracy/train images_per_second learning_rate loss/test loss/train 'max_step *40'; do
    grep -Eq "^ +$tag$" "$log" || { echo "# no $tag" && false; } || break
done
report $?

last=("$scratch"/long/events.out.tfevents.*)
printf '\377' | dd of="${last[-1]}" bs=1 seek=100 conv=notrunc 2>"$log"
! check "$scratch/long" && grep -q '^tensorboard_check: ' "$log"
report $?
exit "$((bad > 0))"
