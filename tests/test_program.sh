#!/usr/bin/env bash
# test_program.sh: the program as users meet it: exit statuses, messages, files, pipes, signals.
# Runs $TRAIN_GPU in a temporary folder and prints TAP lines (tests/run). The runs are the cheapest ones:
# two steps of the reference layer-norm network on synthetic data, with one thread, because on a busy
# machine threads wait for each other.
set -u
program=${TRAIN_GPU:-./train_gpu}
[ -x "$program" ] || { echo "not ok 1 - no program at $program"; exit 1; }
program=$(realpath "$program")
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
real_data=${CIFAR10_DIR:-$root/data/cifar-10-batches-bin}
published=$root/../shared/seed/batch_norm.safetensors # the published weights, if present
work=$(mktemp -d) && cd "$work" || exit 1
trap 'rm -rf "$work"' EXIT
unset CIFAR10_DIR NO_COLOR
export XDG_CACHE_HOME=$work/cache
small=(--norm ln --recipe reference --data synthetic --batch-size 8 --max-steps 2 --threads 1)
count=0 bad=0

ok() { # NAME STATUS-OF-THE-CHECK
    count=$((count + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $count - $1"
    else
        bad=$((bad + 1))
        echo "not ok $count - $1"
        sed 's/^/#   stdout: /' out 2>/dev/null | tail -5
        sed 's/^/#   stderr: /' err 2>/dev/null | tail -5
    fi
}

skip() { # NAME WHY
    count=$((count + 1))
    echo "ok $count # SKIP $1: $2"
}

# Runs the program; its status is in $status, its output in out and err.
run() {
    "$program" "$@" >out 2>err </dev/null
    status=$?
}

# One line on stderr that starts with the prefix and contains every given text.
message() {
    [ "$(wc -l <err)" -eq 1 ] && grep -q '^train_gpu: ' err || return 1
    local text
    for text in "$@"; do grep -qF -e "$text" err || return 1; done
}

# fails NAME STATUS TEXT... -- ARGUMENTS...: the exit status, the message, nothing on stdout, nothing written.
fails() {
    local name=$1 expected=$2 texts=() before after
    shift 2
    while [ "$1" != -- ]; do texts+=("$1") && shift; done
    shift
    before=$(find . ! -name out ! -name err | sort)
    run "$@"
    after=$(find . ! -name out ! -name err | sort)
    [ "$status" -eq "$expected" ] && message "${texts[@]}" && [ ! -s out ] &&
        [ "$before" = "$after" ]
    ok "$name" $?
}

# The names in a folder, in order, each followed by a blank.
names() { find "$1" -mindepth 1 -printf '%f\n' | sort | tr '\n' ' '; }

without_timings() { sed -E 's/"(seconds|images_per_second|eval_seconds)": [^,}]*//g' "$1"; }

# ---- wrong usage ----------------------------------------------------------------------------------

fails "unknown option" 2 "unknown option --epoch" "did you mean --epochs?" -- --epoch 3
fails "unknown command" 2 "unknown command 'dance'" -- dance
fails "misspelled command" 2 "unknown command 'compere'" "did you mean compare?" -- compere
fails "compare: a norm is chosen" 2 "compare does not take --norm" -- compare --norm gn
fails "compare: folders without --runs" 2 "unexpected argument 'a'" "--runs" -- compare a
fails "compare --runs of nothing" 2 "--runs needs the folder" -- compare --runs
fails "compare --runs of a folder that does not exist" 4 "absent/config.json" -- compare --runs absent
fails "compare: decreasing batch sizes" 2 "--batch-sizes" "'4,2'" -- compare --batch-sizes 4,2
fails "option without value" 2 "--epochs" "needs a value" -- --epochs
fails "option of another command" 2 "does not take --json" -- --json
for value in 0 -1 3x '' 1.5 nan 99999999999999999999; do
    fails "--epochs '$value'" 2 "--epochs" "'$value'" "from 1 to 100000" -- --epochs "$value"
done
for value in 0 -0.1 1x '' nan inf 1e39 0x1; do
    fails "--lr '$value'" 2 "--lr" "'$value'" "above 0" -- --lr "$value"
done
fails "--dropout 1" 2 "--dropout" "'1'" "below 1" -- --dropout 1
fails "--seed 2^64" 2 "--seed" "18446744073709551615" -- --seed 18446744073709551616
fails "--batch-size over its limit" 2 "--batch-size" "50000" -- --batch-size 50001
fails "--device gpu" 2 "--device" "cuda:N" -- --device gpu
fails "--groups without group norm" 2 "--groups" "only --norm gn" -- --norm bn --groups 2
fails "--groups that do not divide" 2 "5 groups do not" "convblock1.2" -- --groups 5 --data synthetic
fails "summary: --groups that do not divide" 2 "5 groups do not" -- summary --groups 5
fails "batch larger than the set" 2 "--batch-size 10001" "10000" -- \
    --data synthetic --batch-size 10001
fails "control bytes in a value stay on one line" 2 "'3??x'" -- --epochs $'3\n\ex'

# ---- data and devices -----------------------------------------------------------------------------

fails "missing data folder" 4 "nowhere" -- --data nowhere
CIFAR10_DIR=elsewhere fails "missing data folder of CIFAR10_DIR" 4 "elsewhere" --
fails "missing default data folder" 4 "data/cifar-10-batches-bin" --
mkdir data-empty
fails "empty data folder" 4 "data_batch_1.bin" -- --data data-empty
run info
if grep -q '^device: *cuda:0' out; then
    skip "--device cuda without a device" "this machine has a CUDA device"
else
    fails "--device cuda where there is none" 3 "--device cpu" -- "${small[@]}" --device cuda
    fails "compare: --device cuda where there is none" 3 "--device cpu" -- \
        compare --data synthetic --device cuda
fi

# ---- help, summary, info --------------------------------------------------------------------------

run --help
[ "$status" -eq 0 ] && [ ! -s err ] && for option in norm recipe data device epochs batch-size lr momentum \
    weight-decay optimizer muon-lr muon-momentum dropout groups channels activation seed augment crop no-shuffle validation max-steps precision batch-norm fast-algorithms no-graph threads out seeds batch-sizes runs weights force resume checkpoint-seconds tensorboard misclassified no-report json png quiet \
    no-progress help version; do
    grep -q -- "^  --$option " out || { echo "# no --$option" && false; } || break
done
ok "--help names every option" $?
[ "$(awk '{ if (length > 100) print }' out | wc -l)" -eq 0 ]
ok "--help fits 100 columns" $?
run summary --help
[ "$status" -eq 0 ] && grep -q -- '--json' out && ! grep -q -- '--epochs' out
ok "summary --help names its options only" $?
run --version
[ "$status" -eq 0 ] && [ "$(cat out)" = "train_gpu 0.2.0" ]
ok "--version" $?
for row in bn:39,420 gn:40,360 ln:55,612; do
    run summary --norm "${row%%:*}" --recipe reference
    [ "$status" -eq 0 ] && grep -Eq "^total +${row#*:} " out
    ok "summary of the published ${row%%:*} network" $?
done
run summary --png network.png
if [ "$status" -eq 1 ] && message "built without cairo"; then
    skip "summary --png" "the program was built without cairo"
else
    [ "$status" -eq 0 ] && [ ! -s err ] && grep -q '^total ' out &&
        [ "$(od -An -c -N 4 network.png | tr -d ' ')" = '211PNG' ] && [ "$(wc -c <network.png)" -gt 10000 ]
    ok "summary --png draws and prints" $?
    # By a link of our own: if it were renamed over, /dev/stdout itself would be lost.
    ln -s /dev/stdout output && "$program" summary --png output 2>err | cat >out
    status=${PIPESTATUS[0]}
    [ "$status" -eq 0 ] && [ -L output ] && cmp -s -n "$(stat -c %s network.png)" network.png out && grep -aq '^total ' out
    ok "summary --png into a pipe: the picture, then the table" $?
    rm -f network.png output
    fails "summary --png into a missing folder" 1 "absent/network.png" "make the folder" -- summary --png absent/network.png
    echo '<fontconfig/>' >fonts.conf
    FONTCONFIG_FILE=$work/fonts.conf fails "summary --png without the font" 1 "DejaVu Sans" "fonts-dejavu-core" -- \
        summary --png network.png
    rm fonts.conf
fi
run info
[ "$status" -eq 0 ] && grep -q '^backends:  .*cpu' out && grep -q '^device:    cpu:0: CPU' out &&
    grep -Eq '^libraries: jansson [0-9.]+, libpng [0-9.]+, (cairo [0-9.]+|no cairo), OpenMP [0-9]+$' out
ok "info" $?
if command -v python3 >/dev/null 2>&1 && python3 -c 'import json' 2>/dev/null; then
    for arguments in "summary --json --norm bn" "summary --json --recipe reference" "info --json"; do
        # shellcheck disable=SC2086
        run $arguments
        [ "$status" -eq 0 ] && python3 -m json.tool <out >/dev/null 2>err
        ok "$arguments is JSON" $?
    done
    "$program" summary --json --norm gn --recipe reference | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["norm"] == "gn" and s["recipe"] == "reference" and s["parameters"] == 40360
assert sum(l["parameters"] for l in s["layers"]) == 40360
for l in s["layers"]:
    assert set(l) >= {"name", "type", "output", "parameters"} and len(l["output"]) == 3
assert s["layers"][0]["output"] == [16, 32, 32] and s["layers"][-1]["output"] == [10, 1, 1]
' 2>err
    ok "summary --json has the keys of the contract" $?
else
    skip "JSON of summary and info" "no python3"
fi

# ---- a run ----------------------------------------------------------------------------------------

run "${small[@]}" --seed 7
left=$(names runs/ln-reference-7)
[ "$status" -eq 0 ] && [ ! -s err ] && {
    [ "$left" = "best.safetensors checkpoint.safetensors config.json confusion.png curves.png metrics.jsonl misclassified.png \
model.safetensors report.md " ] || { grep -q '^note: *pictures are left out' out && [ "$left" = \
        "best.safetensors checkpoint.safetensors config.json metrics.jsonl model.safetensors report.md " ]; }
}
ok "a run writes its files into the default folder" $?
grep -Eq '^epoch  1/20  loss [0-9.]+  train +[0-9.]+ %  test +[0-9.]+ %  lr 0.1000 +[0-9.]+ s +[0-9]+ images/s$' out
ok "one line per epoch" $?
grep -q 'synthetic' out && grep -q '^network: layer norm, 55,612 parameters$' out &&
    grep -q '^device:  CPU' out && grep -q '^test accuracy on synthetic: best' out
ok "header and closing summary" $?
! grep -q $'\r' err out && ! grep -q $'\033' err out
ok "no progress bar if stderr is not a terminal" $?
if command -v python3 >/dev/null 2>&1; then
    python3 -c '
import json, sys
json.load(open("runs/ln-reference-7/config.json"))
for line in open("runs/ln-reference-7/metrics.jsonl"):
    json.loads(line)' 2>err
    ok "config.json and metrics.jsonl are JSON" $?
else
    skip "config.json and metrics.jsonl are JSON" "no python3"
fi
run "${small[@]}" --out quiet --quiet
[ "$status" -eq 0 ] && [ ! -s out ] && [ ! -s err ] && [ -e quiet/model.safetensors ]
ok "--quiet prints nothing" $?
fails "a finished run is refused" 2 "quiet" "finished" "--force" "--out" -- "${small[@]}" --out quiet
run "${small[@]}" --out quiet --force
[ "$status" -eq 0 ]
ok "--force overwrites it" $?
(ulimit -f 0 && "$program" "${small[@]}" --out quiet --force --quiet) >out 2>err
[ -e quiet/model.safetensors ] && [ -e quiet/best.safetensors ] && [ -s quiet/metrics.jsonl ]
ok "--force loses nothing when nothing can be written" $?
rm quiet/model.safetensors
fails "an unfinished run is refused" 2 "quiet" "unfinished" "--resume" "--force" -- "${small[@]}" --out quiet
rm quiet/checkpoint.safetensors
fails "the weights of an unfinished run are kept" 2 "quiet" "unfinished" "--force" -- "${small[@]}" --out quiet
rm quiet/best.safetensors
run "${small[@]}" --out quiet
[ "$status" -eq 0 ] && grep -q '^note: .*unfinished run in quiet' out
ok "an unfinished run is overwritten with a note" $?

env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT "$program" --norm ln --recipe reference --data synthetic \
    --batch-size 8 --out name --quiet >out 2>err &
child=$!
for _ in {1..100}; do
    [ -s name/config.json ] && break
    sleep 0.1
done
[ "$(cat "/proc/$child/comm")" = "$(basename "$program")" ]
ok "the process keeps its name" $?
kill -TERM "$child"
wait "$child"
[ $? -eq 143 ] && message SIGTERM
ok "and still stops at SIGTERM" $?

# ---- reproducible results --------------------------------------------------------------------------

run "${small[@]}" --out one --threads 1 --dropout 0.1 --augment flip-crop
run "${small[@]}" --out three --threads 3 --dropout 0.1 --augment flip-crop
cmp -s one/model.safetensors three/model.safetensors &&
    [ "$(without_timings one/metrics.jsonl)" = "$(without_timings three/metrics.jsonl)" ]
ok "the number of threads changes no bit" $?
run "${small[@]}" --out other --seed 2 --dropout 0.1 --augment flip-crop
! cmp -s one/model.safetensors other/model.safetensors
ok "another seed changes the weights" $?
run "${small[@]}" --out unshuffled --no-shuffle
[ "$status" -eq 0 ] && grep -q 'not shuffled' out &&
    ! cmp -s unshuffled/model.safetensors runs/ln-reference-7/model.safetensors
ok "--no-shuffle" $?
[ "$(grep -c '"step": 2,' unshuffled/metrics.jsonl)" -eq 1 ] && [ "$(wc -l <unshuffled/metrics.jsonl)" -eq 1 ]
ok "--max-steps 2 ends after two steps, evaluated and recorded" $?

# ---- weights --------------------------------------------------------------------------------------

# The value of a key of out, one object with a line for each key.
value() { sed -nE "s/^  \"$1\": \"?([^\",]*)\"?,?$/\1/p" out; }

small_eval=(eval --norm ln --recipe reference --data synthetic --threads 1)
trained=runs/ln-reference-7/model.safetensors
run "${small_eval[@]}" --seed 7 --weights "$trained" --json
[ "$status" -eq 0 ] && [ ! -s err ] && [ "$(sed -nE 's/^  "([a-z_]+)": .*/\1/p' out | tr '\n' ' ')" = \
    "norm recipe dataset device total correct test_accuracy test_loss " ]
ok "eval --json has the keys of the contract" $?
[ "$(value norm) $(value recipe) $(value dataset) $(value total)" = "ln reference synthetic 2000" ] &&
    [ "$(value test_accuracy)" = "$(sed -E 's/.*"test_accuracy": ([0-9.]+).*/\1/' runs/ln-reference-7/metrics.jsonl)" ] &&
    awk -v a="$(value test_loss)" -v b="$(sed -E 's/.*"test_loss": ([0-9.]+).*/\1/' runs/ln-reference-7/metrics.jsonl)" \
        'BEGIN { exit !(a > 0 && (a - b) * (a - b) < 1e-12) }'
ok "eval finds the accuracy and the loss that the run ended with" $?
cp out before && run "${small_eval[@]}" --seed 7 --weights "$trained" --json --batch-size 333
[ "$status" -eq 0 ] && [ "$(value correct)" = "$(sed -nE 's/^  "correct": ([0-9]+),$/\1/p' before)" ]
ok "eval with another batch size" $?
run "${small_eval[@]}" --seed 7 --weights "$trained"
[ "$status" -eq 0 ] && [ ! -s err ] && grep -Eq '^test accuracy [0-9.]+ % \([0-9,]+ right\), loss [0-9.]+$' out &&
    grep -q '^weights: runs/ln-reference-7/model.safetensors$' out && grep -q 'synthetic, 2,000 test images' out
ok "eval as text" $?
fails "eval without --weights" 2 "eval needs --weights FILE" -- "${small_eval[@]}"
fails "eval: no such file" 4 "nothing.safetensors" -- "${small_eval[@]}" --weights nothing.safetensors
fails "eval: a folder" 4 "runs" "is a folder" -- "${small_eval[@]}" --weights runs
run eval --threads 1 --weights "$trained" --json
[ "$status" -eq 0 ] && [ ! -s err ] && cmp -s out before
ok "eval finds norm, recipe and data set in the weights file" $?
run eval --threads 1 --weights "$trained" --data synthetic:8
[ "$status" -eq 0 ] && message "warning: weights file '$trained' was trained on synthetic:" " and is used with synthetic:8"
ok "eval on the synthetic set of another seed says so" $?
run --norm gn --data synthetic --threads 1 --quiet --max-steps 2 --groups 2 --no-report --out two-groups
run eval --threads 1 --weights two-groups/model.safetensors --json
[ "$status" -eq 0 ] && [ ! -s err ] &&
    [ "$(value test_accuracy)" = "$(sed -E 's/.*"test_accuracy": ([0-9.]+).*/\1/' two-groups/metrics.jsonl)" ]
ok "eval finds the groups in the weights file" $?
run --norm gn --data synthetic --threads 1 --quiet --max-steps 2 --channels 8,12,16,8,20,12,16,8,8,44 --no-report --out widths
run eval --threads 1 --weights widths/model.safetensors --json
[ "$status" -eq 0 ] &&
    [ "$(value test_accuracy)" = "$(sed -E 's/.*"test_accuracy": ([0-9.]+).*/\1/' widths/metrics.jsonl)" ]
ok "a network of other widths, without one skip; eval finds the widths in the weights file" $?
fails "eval: --channels that contradict the weights file" 2 "trained with channels 8,12,16,8,20,12,16,8,8,44, not 24," -- \
    eval --threads 1 --weights widths/model.safetensors --channels 24,32,24,24,28,32,24,24,24,28
run --norm bn --data synthetic --threads 1 --quiet --max-steps 2 --activation silu --no-report --out silu
run eval --threads 1 --weights silu/model.safetensors --json
[ "$status" -eq 0 ] &&
    [ "$(value test_accuracy)" = "$(sed -E 's/.*"test_accuracy": ([0-9.]+).*/\1/' silu/metrics.jsonl)" ] &&
    [ "$(sed -n 's/.*"activation": "\(.*\)".*/\1/p' silu/config.json)" = silu ]
ok "a network with SiLU; eval finds it in the weights file" $?
fails "eval: --activation that contradicts the weights file" 2 "trained with activation silu, not relu;" -- \
    eval --threads 1 --weights silu/model.safetensors --activation relu
run summary --norm gn --channels 24,32,24,24,28,32,24,24,24,48
[ "$status" -eq 0 ] && grep -q '^parameters: the assignment allows fewer than 50,000$' out
ok "summary says when there are too many parameters" $?
fails "eval: --groups that contradict the weights file" 2 "two-groups/model.safetensors" "trained with groups 2, not 4" -- \
    eval --threads 1 --weights two-groups/model.safetensors --groups 4
fails "eval: --norm that contradicts the weights file" 2 "$trained" "trained with norm ln, not gn" -- \
    eval --data synthetic --norm gn --weights "$trained"
fails "training: --recipe that contradicts the weights file" 2 "$trained" "trained with recipe reference, not tuned" -- \
    --data synthetic --recipe tuned --out from --weights "$trained"
run --weights two-groups/model.safetensors --threads 1 --quiet --max-steps 1 --no-report --out on
[ "$status" -eq 0 ] && grep -q '"groups": 2,' on/config.json && grep -q '"data": "synthetic:1",' on/config.json
ok "training from weights with their settings" $?
# Like files from elsewhere: without metadata, and from a wrapped module.
python3 - "$trained" 2>/dev/null <<'END'
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
header, data = json.loads(raw[8:8 + size]), raw[8 + size:]
def save(name, header):
    text = json.dumps(header).encode()
    open(name, "wb").write(struct.pack("<Q", len(text)) + text + data)
del header["__metadata__"]
save("bare.safetensors", header)
save("wrapped.safetensors", {"_orig_mod.module." + name: entry for name, entry in header.items()})
END
if [ -s wrapped.safetensors ]; then
    run "${small_eval[@]}" --seed 7 --weights bare.safetensors --json
    [ "$status" -eq 0 ] && [ ! -s err ] && cmp -s out before
    ok "eval of a file without metadata, with the options" $?
    run "${small_eval[@]}" --seed 7 --weights wrapped.safetensors --json
    [ "$status" -eq 0 ] && message "note" "wrapped.safetensors" "'_orig_mod.module.'" && cmp -s out before
    ok "eval of a file from a wrapped module: a note" $?
    fails "eval: another network's weights" 4 "bare.safetensors" "convblock1.0.weight" "norm gn, recipe tuned" \
        "settings that it was trained with" -- eval --data synthetic --weights bare.safetensors
else
    skip "weights files from elsewhere" "no python3"
fi
mkdir fake && truncate -s 30730000 fake/data_batch_{1..5}.bin fake/test_batch.bin
run "${small_eval[@]}" --data fake --weights "$trained" --json
[ "$status" -eq 0 ] && [ "$(value dataset)" = "CIFAR-10 (modified)" ] && [ "$(wc -l <err)" -eq 2 ] &&
    grep -q "warning: data file 'fake/test_batch.bin' differs from the official one: its MD5" err &&
    grep -q "warning: weights file '$trained' was trained on synthetic and is used with CIFAR-10 (modified)" err
ok "data other than CIFAR-10, or than the weights were trained on: a note" $?
rm -r fake
mkfifo pipe
fails "eval: a pipe is not a file" 4 "pipe" -- "${small_eval[@]}" --weights pipe
head -c 1000 "$trained" >cut.safetensors
fails "eval: a file cut short" 4 "cut.safetensors" "cut short" -- "${small_eval[@]}" --weights cut.safetensors
fails "eval: no data" 4 "nowhere" -- eval --norm ln --recipe reference --data nowhere --weights "$trained"
printf '\21\0\0\0\0\0\0\0%s' '{"a\nb\u001bc":1}' >hostile.safetensors
fails "eval: a hostile file's name stays on one line" 4 "'a?b?c'" -- \
    "${small_eval[@]}" --weights hostile.safetensors
fails "training from bad weights" 4 "cut.safetensors" -- "${small[@]}" --out from --weights cut.safetensors
run "${small[@]}" --data synthetic:7 --out from --weights "$trained" --lr 1e-30
[ "$status" -eq 0 ] && grep -q "^weights: $trained\$" out && cmp -s from/model.safetensors "$trained"
ok "training from weights, at a rate that changes nothing" $?
cp "$trained" nan.safetensors
printf '\377\377\377\377' | dd of=nan.safetensors bs=1 seek=$(($(stat -c %s nan.safetensors) - 4)) conv=notrunc 2>/dev/null
run "${small_eval[@]}" --data synthetic:7 --weights nan.safetensors --json
[ "$status" -eq 0 ] && message "warning" "nan.safetensors" "'convblock11.0.weight'" "not finite" &&
    [ "$(value test_loss)" = null ]
ok "eval of a NaN: a warning, and a loss of null" $?
if [ ! -r "$published" ] || [ ! -r "$real_data/test_batch.bin" ]; then
    skip "the published weights on CIFAR-10" "no $published, or no CIFAR-10 in $real_data"
else
    run eval --norm bn --recipe reference --data "$real_data" --weights "$published" --json
    [ "$status" -eq 0 ] && [ "$(value correct) $(value total) $(value test_accuracy)" = "7939 10000 79.39" ] &&
        [ "$(printf '%.4f' "$(value test_loss)")" = 0.5914 ]
    ok "the published weights on CIFAR-10: 7,939 of 10,000, loss 0.5914" $?
    published_ready=1
fi

# ---- predictions ----------------------------------------------------------------------------------

# 1x1 red, and 2x3 grey.
base64 -d >red.png <<<iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mM4YCAAAAK0AQEzJ3o0AAAAAElFTkSuQmCC
base64 -d >'a long name of a grey picture.png' \
    <<<iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAAAAACcgYFdAAAAEUlEQVR42mNg+M/Q4MAg8AAAC4ICsP+hikIAAAAASUVORK5CYII=
grey='a long name of a grey picture.png'
small_predict=(predict --norm ln --recipe reference --threads 1 --weights "$trained")
run "${small_predict[@]}" red.png "$grey" ./red.png
[ "$status" -eq 0 ] && [ ! -s err ] && grep -q '^data:    3 images, classes of synthetic$' out && [ "$(wc -l <out)" -eq 7 ] &&
    [ "$(sed -nE 's/^(.*png) +([a-z]+ ?[a-z]*  +[0-9.]+ %   ){2}[a-z]+ ?[a-z]*  +[0-9.]+ %$/\1/p' out | sed 's/ *$//')" = \
        "$(printf '%s\n' red.png "$grey" ./red.png)" ]
ok "predict as text: one line per image, in the order of the arguments, three classes each" $?
[ "$(sed -n '5s/^[^ ]* *//p' out)" = "$(sed -n '7s/^[^ ]* *//p' out)" ] &&
    [ "$(sed -n '5,7s/ %.*//p' out | awk '{ print length }' | sort -u | wc -l)" -eq 1 ]
ok "predict as text: the same image, the same line; columns" $?
run "${small_predict[@]}" --json "$grey" red.png
cp out before
run "${small_predict[@]}" --json --batch-size 1 -- "$grey" red.png
[ "$status" -eq 0 ] && [ ! -s err ] && cmp -s out before
ok "predict --json: the same with another batch size" $?
if command -v python3 >/dev/null 2>&1; then
    python3 -c '
import json, sys
p = json.load(sys.stdin)
assert list(p) == ["norm", "recipe", "device", "weights", "dataset", "predictions"]
assert (p["norm"], p["recipe"], p["weights"], p["dataset"]) == ("ln", "reference", sys.argv[1], "synthetic")
assert [x["image"] for x in p["predictions"]] == [sys.argv[2], "red.png"]
for x in p["predictions"]:
    assert list(x) == ["image", "top", "probabilities"]
    all = x["probabilities"]
    assert len(all) == 10 and "disc" in all and abs(sum(all.values()) - 1) < 1e-6 and min(all.values()) >= 0
    best = sorted(all, key=lambda name: -all[name])[:3]
    assert x["top"] == [{"class": name, "probability": all[name]} for name in best]
' "$trained" "$grey" <out 2>err
    ok "predict --json holds what the manual says" $?
    cp red.png $'caf\xe9\n.png'
    run "${small_predict[@]}" --json $'caf\xe9\n.png'
    [ "$status" -eq 0 ] && python3 -c 'import json, sys; assert json.load(sys.stdin)["predictions"][0]["image"] == "caf?\n.png"' <out 2>err
    ok "predict --json of a path that is not UTF-8" $?
    run "${small_predict[@]}" $'caf\xe9\n.png'
    [ "$status" -eq 0 ] && [ "$(wc -l <out)" -eq 5 ]
    ok "predict as text of a path with a line feed: one line" $?
else
    skip "JSON of predict" "no python3"
fi
if [ -z "${published_ready:-}" ] || ! command -v python3 >/dev/null 2>&1; then
    skip "the published weights on the test images as PNGs" "no published weights, no CIFAR-10 or no python3"
else
    # Each image as a PNG of its own, LABEL.NUMBER.png.
    mkdir pngs && python3 -c '
import struct, sys, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
records = open(sys.argv[1], "rb").read()
for n in range(10000):
    record, pixels = records[3073 * n:3073 * (n + 1)], bytearray(3072)
    for c in range(3):
        pixels[c::3] = record[1 + 1024 * c:1025 + 1024 * c]
    rows = b"".join(b"\0" + pixels[96 * y:96 * (y + 1)] for y in range(32))
    with open("pngs/%d.%d.png" % (record[0], n), "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
                  chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))
' "$real_data/test_batch.bin" 2>err
    run predict --norm bn --recipe reference --weights "$published" --json pngs/*.png
    [ "$status" -eq 0 ] && [ "$(python3 -c '
import json
predictions = json.load(open("out"))["predictions"]
names = list(predictions[0]["probabilities"])
print(sum(p["top"][0]["class"] == names[int(p["image"][5])] for p in predictions), len(predictions))')" = "7939 10000" ]
    ok "the published weights on the test images as PNGs: 7,939 of 10,000, as with eval" $?
fi
cp red.png ./--json
run "${small_predict[@]}" -- --json
[ "$status" -eq 0 ] && grep -q '^--json  ' out
ok "predict: a name that looks like an option, after --" $?
LC_ALL=C sed 's/"norm":"ln"/"norm":"gn"/' "$trained" >other.safetensors # the same length
fails "predict: weights whose metadata name another network" 2 "other.safetensors" "trained with norm gn, not ln" -- \
    "${small_predict[@]}" --weights other.safetensors red.png
fails "predict without --weights" 2 "predict needs --weights FILE" -- predict red.png
fails "predict without an image" 2 "predict needs at least one image" -- "${small_predict[@]}"
fails "predict: --groups that do not divide" 2 "5 groups do not" -- predict --groups 5 --weights two-groups/model.safetensors red.png
fails "predict: no such image" 4 "no image 'nothing.png'" -- "${small_predict[@]}" red.png nothing.png
fails "predict: the first of two bad images is named" 4 "config.json' is not a PNG" "convert" -- \
    "${small_predict[@]}" red.png runs/ln-reference-7/config.json nothing.png
fails "predict: a folder" 4 "'runs' is a folder" -- "${small_predict[@]}" runs
fails "predict: a pipe" 4 "'pipe' is a device or pipe" -- "${small_predict[@]}" pipe
head -c 60 red.png >cut.png
fails "predict: an image cut short" 4 "'cut.png' is cut short" -- "${small_predict[@]}" cut.png
fails "predict: bad weights" 4 "cut.safetensors" -- predict --weights cut.safetensors red.png
run "${small_predict[@]}" --weights nan.safetensors red.png
[ "$status" -eq 4 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 2 ] && grep -q "^train_gpu: warning: .*'convblock11.0.weight'" err &&
    grep -q "^train_gpu: weights file 'nan.safetensors': the result for image 'red.png' is not finite" err
ok "predict: weights with a NaN" $?

# ---- a run that goes wrong ------------------------------------------------------------------------

run "${small[@]}" --out diverged --lr 1e38
[ "$status" -eq 5 ] && message "diverged" "epoch 1" "step 2" "1e+38" && [ ! -e diverged/model.safetensors ]
ok "a loss that is not finite ends with 5" $?
echo text >file
fails "output folder below a file" 1 "file" -- "${small[@]}" --out file/run --quiet
fails "output folder is a file" 1 "file" -- "${small[@]}" --out file --quiet
[ "$(cat file)" = text ]
ok "the file in the way is untouched" $?

# A limit on file sizes acts like a disk that fills up during a write; 16 blocks of 1024 bytes hold
# config.json and metrics.jsonl, but not the weights.
(ulimit -f 16 && "$program" "${small[@]}" --out full --quiet) >out 2>err
status=$?
[ "$status" -eq 1 ] && message "full/checkpoint.safetensors" "bytes needed" && [ -z "$(names full)" ]
ok "disk full while the first checkpoint is written: status 1, no partial file" $?
(trap '' XFSZ && ulimit -f 0 && "$program" "${small[@]}" --out empty --quiet) >out 2>err
# stderr is a pipe here: the limit holds for files, and err is one
status=$?
[ "$status" -eq 1 ] && [ -z "$(names empty)" ]
ok "disk full at the first byte: status 1, nothing left" $?
before=$(cat one/* | cksum)
(ulimit -f 16 && "$program" "${small[@]}" --out one --quiet --force) >out 2>err
status=$?
[ "$status" -eq 1 ] && [ "$(cat one/* | cksum)" = "$before" ]
ok "disk full in a folder in use changes nothing in it" $?

# ---- standard output ------------------------------------------------------------------------------

# A run's results are in files: it reports lost output once and does not stop.
told_once() { # REASON
    [ "$(wc -l <err)" -eq 1 ] && message "warning: cannot write to standard output: $1" "the work continues"
}
"$program" "${small[@]}" --out no-reader 2>err | true
status=${PIPESTATUS[0]}
# A reader that leaves late may have read everything.
[ "$status" -eq 0 ] && { [ ! -s err ] || told_once "Broken pipe"; } && [ -s no-reader/model.safetensors ]
ok "a reader that leaves at once does not stop a run" $?
# The line of the epoch comes 10,000 images after the header, when head has long left.
"$program" --norm ln --recipe reference --data synthetic --batch-size 1000 --epochs 1 --threads 1 --out head \
    2>err | head -1 >out
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] && told_once "Broken pipe" && [ "$(wc -l <out)" -eq 1 ] && [ -s head/model.safetensors ]
ok "| head -1: the run ends well" $?
"$program" "${small[@]}" --out full-output >/dev/full 2>err
status=$?
[ "$status" -eq 0 ] && told_once "No space left" && [ -s full-output/model.safetensors ]
ok "output to a full disk: the run ends well" $?
"$program" "${small[@]}" --out closed >&- 2>err
status=$?
[ "$status" -eq 0 ] && told_once "Bad file descriptor" && [ -e closed/model.safetensors ]
ok "closed standard output: the run ends well" $?
rm -r closed
"$program" "${small[@]}" --out closed --quiet >&- 2>err
status=$?
[ "$status" -eq 0 ] && [ -e closed/model.safetensors ]
ok "closed standard output does not matter with --quiet" $?
"$program" "${small[@]}" --out streams --quiet <&- >&- 2>&-
status=$?
[ "$status" -eq 0 ] && cmp -s closed/model.safetensors streams/model.safetensors
ok "all three streams closed: no file takes their place" $?
for arguments in --help --version summary "summary --json" "eval --norm ln --recipe reference --data synthetic:7 --weights $trained" "predict --norm ln --recipe reference --weights $trained red.png" info "info --json"; do
    # shellcheck disable=SC2086
    "$program" $arguments >/dev/full 2>err
    status=$?
    [ "$status" -eq 1 ] && message "standard output" "No space left"
    ok "$arguments to a full disk: status 1" $?
done

# ---- signals --------------------------------------------------------------------------------------

# Starts a long run in the background and returns once it trains. The run has its own process group,
# because other background jobs of a script ignore SIGINT.
set -m
start_long() { # FOLDER OPTIONS...
    "$program" --norm ln --recipe reference --data synthetic --batch-size 8 --epochs 100000 --checkpoint-seconds 0.1 \
        --threads 1 --out "$@" >out 2>err </dev/null &
    child=$!
    for _ in $(seq 600); do
        # The first checkpoint is older than config.json.
        [ -e "$1/config.json" ] && [ "$1/checkpoint.safetensors" -nt "$1/config.json" ] && return 0
        kill -0 "$child" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}
# Kills a run that does not end within a minute.
wait_for_child() {
    for _ in $(seq 600); do
        kill -0 "$child" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$child" 2>/dev/null
    wait "$child" 2>/dev/null
    status=$?
}
for row in INT:130 TERM:143 HUP:129 USR1:138; do
    signal=${row%%:*}
    if trap -p "$signal" | grep -q "''"; then
        skip "SIG$signal: message and status ${row#*:}" "SIG$signal is ignored here, as under nohup"
        continue
    fi
    start_long "stopped-$signal" && kill -s "$signal" "$child"
    wait_for_child
    [ "$status" -eq "${row#*:}" ] && message "stopped by SIG$signal" "epoch" "step" "stopped-$signal" &&
        [ ! -e "stopped-$signal/model.safetensors" ] && message "--resume"
    ok "SIG$signal: message and status ${row#*:}" $?
done
if "$program" info | grep -q AVX; then
    TRAIN_GPU_CPU=baseline start_long elsewhere && kill -s TERM "$child"
    wait_for_child
    touch elsewhere/config.json && start_long elsewhere --resume && kill -s TERM "$child"
    wait_for_child
    [ "$status" -eq 143 ] && [ "$(wc -l <err)" -eq 2 ] &&
        grep -q "^train_gpu: warning: the run in 'elsewhere' is resumed on AVX.* after baseline.* last bits" err &&
        grep -q '^  "device": "CPU, 1 thread, baseline' elsewhere/config.json &&
        grep -q '^      "device": "CPU, 1 thread, AVX' elsewhere/config.json
    ok "--resume on another instruction set says so and records both" $?
else
    skip "--resume on another instruction set says so and records both" "this CPU has baseline instructions only"
fi
start_long batches && kill -s TERM "$child"
wait_for_child
sed -i 's/"evaluation_batch": [0-9]*/"evaluation_batch": 7/' batches/config.json
start_long batches --resume && kill -s TERM "$child"
wait_for_child
[ "$status" -eq 143 ] && [ "$(wc -l <err)" -eq 2 ] &&
    grep -q "^train_gpu: warning: the run in 'batches' now evaluates in batches of [0-9]* instead of 7" err &&
    ! grep -q '"evaluation_batch": 7,' batches/config.json
ok "--resume with evaluations in another batch says so" $?
start_long twice
kill -s INT "$child" && kill -s TERM "$child"
wait_for_child
[ "$status" -eq 143 ] || [ "$status" -eq 130 ]
ok "a second signal ends it at once" $?
set +m

# ---- resuming -------------------------------------------------------------------------------------

# Twelve steps in three epochs, killed again and again soon after a new checkpoint, give the same bytes as
# an undisturbed run. (tests/test_resume.c kills at any moment.)
longer=(--norm ln --recipe reference --data synthetic --batch-size 2500 --epochs 3 --threads 1 --quiet)
stamp() { stat -c %i.%z cut/checkpoint.safetensors 2>/dev/null; }
run "${longer[@]}" --out whole
kills=0
while [ "$kills" -lt 5 ] && [ ! -e cut/model.safetensors ]; do
    resume=()
    [ -e cut/checkpoint.safetensors ] && resume=(--resume)
    before=$(stamp)
    "$program" "${longer[@]}" "${resume[@]}" --out cut --checkpoint-seconds 0.01 >out 2>err </dev/null &
    child=$!
    while kill -0 "$child" 2>/dev/null && [ "$(stamp)" = "$before" ]; do sleep 0.02; done
    sleep "0.0$((RANDOM % 10))"
    kill -KILL "$child" 2>/dev/null && kills=$((kills + 1))
    wait "$child" 2>/dev/null
done
[ -e cut/model.safetensors ] || run "${longer[@]}" --resume --out cut
[ "$kills" -ge 2 ] && cmp whole/model.safetensors cut/model.safetensors >out 2>err &&
    cmp whole/best.safetensors cut/best.safetensors >out 2>err && [ "$(names cut)" = "$(names whole)" ] &&
    [ "$(without_timings whole/metrics.jsonl)" = "$(without_timings cut/metrics.jsonl)" ]
ok "a run killed $kills times and resumed ends in the same bytes" $?
run "${longer[@]}" --resume --out cut
[ "$status" -eq 0 ] && cmp -s whole/model.safetensors cut/model.safetensors
ok "--resume of a finished run changes nothing" $?
fails "--resume with other settings names them" 2 "--epochs 3" "--epochs 4" "--seed 1" "--seed 2" "--out" \
    "start a new run with --weights 'cut/model.safetensors'" -- \
    "${longer[@]}" --resume --out cut --epochs 4 --seed 2
fails "--resume without a run" 4 "nowhere/checkpoint.safetensors" "leave out --resume" -- \
    "${longer[@]}" --resume --out nowhere
fails "--resume and --force" 2 "--resume" "--force" -- "${longer[@]}" --resume --force --out cut
head -c 1000 cut/checkpoint.safetensors >part && mv part cut/checkpoint.safetensors
fails "--resume from a checkpoint that is cut short" 4 "cut/checkpoint.safetensors" "cut short" -- \
    "${longer[@]}" --resume --out cut

# ---- comparing ------------------------------------------------------------------------------------

# Reads two runs of two steps on one synthetic set; then a signal stops a comparison in its first run.
for seed in 1 2; do run "${small[@]}" --data synthetic:1 --seed "$seed" --out "ln-$seed"; done
fails "compare --runs of runs that --max-steps ended early" 4 "1 of 20 epochs" -- compare --runs ln-1 ln-2
for seed in 1 2; do
    run "${small[@]}" --data synthetic:1 --seed "$seed" --out "ln-$seed" --force --epochs 1
    sed -i 's/"max_steps": 2/"max_steps": null/' "ln-$seed/config.json"
done
run compare --runs ln-1 ln-2
[ "$status" -eq 0 ] && [ ! -s err ] && grep -q '^ln: *test .* ± .* %' out && [ -s runs/compared-reference/compare.md ]
ok "compare --runs writes into its own folder" $?
run compare --runs ln-1 ln-2 --json --out together
[ "$status" -eq 0 ] && cmp out together/compare.json
ok "compare --json prints compare.json" $?
set -m
"$program" compare --recipe reference --data synthetic --batch-size 8 --epochs 100000 --threads 1 --out cut-off \
    >out 2>err </dev/null &
child=$!
for _ in $(seq 600); do
    { [ -e cut-off/bn-reference-1/metrics.jsonl ] || ! kill -0 "$child" 2>/dev/null; } && break
    sleep 0.1
done
kill -s TERM "$child"
wait_for_child
set +m
[ "$status" -eq 143 ] && message "stopped by SIGTERM" "saved in 'cut-off/bn-reference-1/" "resume with the same command" &&
    [ -e cut-off/bn-reference-1/checkpoint.safetensors ] && [ ! -e cut-off/compare.json ]
ok "compare: SIGTERM stops it with status 143 after a checkpoint" $?
fails "compare with other settings names them" 2 "bn-reference-1" "--epochs 100000" "--epochs 9" -- \
    compare --recipe reference --data synthetic --batch-size 8 --epochs 9 --threads 1 --out cut-off

# ---- a terminal -----------------------------------------------------------------------------------

if command -v script >/dev/null 2>&1 && script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    long="$program --norm ln --recipe reference --data synthetic --batch-size 256 --epochs 1 --threads 1"
    export TERM=xterm
    script -qec "$long --out bar" /dev/null >out 2>err </dev/null
    status=$?
    [ "$status" -eq 0 ] && grep -q '#*\.\.*' out && grep -q $'\033\[32m' out && grep -q 'evaluating' out
    ok "a bar in color on a terminal" $?
    NO_COLOR=1 script -qec "$long --out plain" /dev/null >out 2>err </dev/null
    status=$?
    [ "$status" -eq 0 ] && grep -q 'evaluating' out && ! grep -q $'\033\[3' out
    ok "NO_COLOR: a bar without color" $?
    script -qec "$long --out none --no-progress" /dev/null >out 2>err </dev/null
    status=$?
    [ "$status" -eq 0 ] && ! grep -q 'evaluating' out && ! grep -q $'\033' out
    ok "--no-progress: no bar" $?
    cmp -s bar/model.safetensors none/model.safetensors &&
        [ "$(without_timings bar/metrics.jsonl)" = "$(without_timings none/metrics.jsonl)" ]
    ok "the bar changes nothing" $?
else
    skip "the progress bar" "no script(1) that makes a terminal"
fi

echo "1..$count"
[ "$bad" -eq 0 ]
