#!/usr/bin/env bash
# test_readme.sh: what the documents say is so: links lead somewhere, the pictures are whole, and the figures are
# those of the recorded runs. Prints TAP. TRAIN_GPU is the program.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
program=$(realpath "${TRAIN_GPU:?the program to test}") || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
names=("links lead somewhere" "pictures are whole, and what they are called" "no picture is unused"
    "recorded runs give the comparisons again" "recorded runs give the sweep again"
    "the results are those of the comparisons" "the text quotes the records"
    "parameters are those of the networks" "the options are those of the help"
    "readme-figures asks for the runs and brings what is shown")
log=$scratch/log
# shellcheck source=tests/tap.sh
. tests/tap.sh
records=bench/results/readme
documents=(README.md CONTRIBUTING.md docs/*.md docs/*/compare.md)

# ---- links and pictures ------------------------------------------------------------------------

# Targets of links and pictures, relative to the document, without those elsewhere.
# shellcheck disable=SC2016
targets() { # DOCUMENT
    sed '/^    /d; s/`[^`]*`//g' "$1" | grep -oE '\]\([^)]+\)|(src|href)="[^"]+"' |
        sed -E 's/^\]\(//; s/\)$//; s/^(src|href)="//; s/"$//' | grep -vE '^(https?:|mailto:|$)'
}

# Whether the document has a heading with this anchor.
has_anchor() { # DOCUMENT ANCHOR
    grep -E '^#+ ' "$1" | sed -E 's/^#+ //' | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9 \n_-' | tr ' ' '-' |
        grep -qxF -- "$2"
}

links_lead_somewhere() {
    local document target file count=0
    for document in "${documents[@]}"; do
        for target in $(targets "$document"); do
            count=$((count + 1))
            file=$(dirname "$document")/${target%%#*}
            if [ ! -e "$file" ] || { [ "${target#*#}" != "$target" ] && ! has_anchor "$file" "${target#*#}"; }; then
                echo "$document: no $target"
                return 1
            fi
        done
    done
    echo "$count links"
    [ "$count" -gt 20 ]
}

pictures() { # all that the documents show, as paths from here
    local document target
    for document in "${documents[@]}"; do
        for target in $(targets "$document"); do realpath --relative-to=. "$(dirname "$document")/${target%%#*}"; done
    done | grep '\.png$' | sort -u
}

declare -A norms=([bn]="batch norm" [gn]="group norm" [ln]="layer norm")
declare -A titles=([curves]="Training curves" [misclassified]="Most confident mistakes" [network]="Network"
    [confusion]="Confusion matrix" [compare]="Comparison of the norms" [sweep]="Test error over the batch size")

# What stands among the texts of a picture, key and value (a zero byte between them): docs/tuned/gn-curves.png
# is headed "Training curves: group norm, recipe tuned" and of run runs/readme/tuned/gn-tuned-1.
texts_of() { # PICTURE
    local name folder
    name=$(basename "$1" .png) folder=$(basename "$(dirname "$1")")
    echo 'Dataset|CIFAR-10'
    case $name in
    [bgl]n-*) echo "Title|${titles[${name#*-}]}: ${norms[${name%%-*}]}, recipe $folder" ;;
    *) echo "Title|${titles[$name]}: recipe ${folder/sweep/tuned}" ;;
    esac
    case $name in
    *-network) ;;
    [bgl]n-*) echo "Run|runs/readme/$folder/${name%%-*}-$folder-1" ;;
    *) echo "Run|runs/readme/$folder" ;;
    esac
}

is_what_it_is_called() { # PICTURE
    local due
    while read -r due; do
        grep -aqP "${due/|/\\x00}" "$1" || { echo "$1 shows something else than $due" && return 1; }
    done < <(texts_of "$1")
}

# The program itself reads them to the last byte, for `predict`.
pictures_are_whole() {
    local all picture
    mapfile -t all < <(pictures)
    for picture in "${all[@]}"; do is_what_it_is_called "$picture" || return; done
    echo "${#all[@]} pictures"
    [ "${#all[@]}" -gt 20 ] &&
        "$program" --norm ln --recipe reference --data synthetic --batch-size 8 --max-steps 1 --device cpu --threads 1 \
            --no-report --quiet --out "$scratch/run" &&
        "$program" predict --norm ln --recipe reference --device cpu --weights "$scratch/run/model.safetensors" \
            "${all[@]}" >/dev/null
}

no_picture_is_unused() {
    find docs -name '*.png' | sort >"$scratch/there"
    [ -s "$scratch/there" ] && pictures | diff - "$scratch/there"
}

# ---- figures -----------------------------------------------------------------------------------

without_pictures() { # FILE
    sed '/^!\[/d' "$1" | cat -s
}

# The runs lie in runs/readme then, as they did when they were trained; seconds are as recorded.
records_give_the_comparisons_again() {
    local shown name
    mkdir -p "$scratch/again/runs"
    cp -r "$records" "$scratch/again/runs/readme"
    for shown in reference tuned; do
        (cd "$scratch/again" && "$program" compare --quiet --out "$shown" --runs "runs/readme/$shown"/*) || return
        for name in compare.md compare.json; do
            without_pictures "docs/$shown/$name" >"$scratch/due"
            without_pictures "$scratch/again/$shown/$name" | diff "$scratch/due" - || return
        done
    done
}

# The value of a name in a file of JSON, the last one.
value_of() { # NAME FILE
    grep -oE "\"$1\": [^,}]+" "$2" | tail -n 1 | sed 's/^[^:]*: //; s/"//g'
}

# "batch size|norm|test error|rate|seed" of each run of the sweep: as recorded, and as its table has it.
records_give_the_sweep_again() {
    local run
    for run in "$records"/sweep/*; do
        echo "$(value_of batch_size "$run/config.json")|$(value_of norm "$run/config.json")|$(
            value_of test_accuracy "$run/metrics.jsonl" | awk '{ printf "%.2f", 100 - $1 }')|$(
            value_of learning_rate "$run/config.json")|$(value_of seed "$run/config.json")"
    done | sort >"$scratch/due"
    [ "$(wc -l <"$scratch/due")" -eq 21 ] || return
    sweep_table | awk -F ' *[|] *' '{ print $2 "|bn|" $3 "|" $4 "|1"; print $2 "|gn|" $5 "|" $6 "|1"
        print $2 "|ln|" $7 "|" $8 "|1" }' | sort | diff "$scratch/due" -
}

sweep_table() {
    sed -n '/^## Batch sizes/,/^## Runs/p' docs/sweep/compare.md | grep -E '^\| [0-9]+ \|'
}

# "batch norm|test accuracy, final|79.40 ± 0.12" and so on of a comparison.
rows_of() { # RECIPE
    awk -F ' *[|] *' '/^\| (batch|group|layer) norm [|]/ && NF == 11 {
        print $2 "|test accuracy, final|" $5; print $2 "|test accuracy, best epoch|" $7
        print $2 "|training accuracy, final|" $9 }' "docs/$1/compare.md"
}

# The same of the table in README.md.
shown_rows() { # COLUMN
    sed -n '/^## Results/,/^## Findings/p' README.md | tr -d '*' | awk -F ' *[|] *' -v column="$1" '
        / norm: parameters/ { norm = substr($2, 1, index($2, ":") - 1); next }
        /^\| (test|training) accuracy, / { print norm "|" $2 "|" $column }'
}

results_are_those_of_the_comparisons() {
    rows_of reference >"$scratch/due" && shown_rows 4 | diff "$scratch/due" - || return
    [ "$(wc -l <"$scratch/due")" -eq 9 ] || return
    rows_of tuned >"$scratch/due" && shown_rows 5 | diff "$scratch/due" - || return
    [ "$(wc -l <"$scratch/due")" -eq 9 ]
}

# What three runs ended with, as "76.25, 77.80 and 76.00 %".
finals_of() { # NAME RUN-1 RUN-2 RUN-3
    local run finals=()
    for run in "${@:2}"; do
        finals+=("$(value_of "$1" "$records/$run/metrics.jsonl" | awk '{ printf "%.2f", $1 }')")
    done
    echo "${finals[0]}, ${finals[1]} and ${finals[2]} %"
}

# The sweep's errors with batches of 128, 8, 4 and 2, as "25.51, 25.48, 28.35 and 33.79 %".
errors_of() { # COLUMN
    sweep_table | awk -F ' *[|] *' -v column="$1" '{ error[$2] = $column }
        END { print error[128] ", " error[8] ", " error[4] " and " error[2] " %" }'
}

# Each difference, as "batch norm is 2.57 points above group norm (p = 0.039)", the largest first.
differences_of() { # RECIPE
    sed -nE 's/^- (.* points above [a-z ]+);.* (p = [0-9.e-]+)\)\.$/\1 (\2)/p' "docs/$1/compare.md" | sort -s -t ' ' -k 4 -nr
}

# An accuracy of a norm's row, without its deviation where so asked.
accuracy_of() { # "NORM|WHICH" [mean]
    rows_of reference | grep -F "$1|" | cut -d '|' -f 3 | if [ "${2:-}" = mean ]; then sed 's/ .*//'; else cat; fi
}

# By how many points test accuracy is below training accuracy.
gap_of() { # NORM
    echo "$(accuracy_of "$1|training accuracy, final" mean) $(accuracy_of "$1|test accuracy, final" mean)" |
        awk '{ printf "%.1f", $1 - $2 }'
}

# Lowest and highest final test accuracy of the tuned runs, as "84.8 to 85.2 %".
range_of_tuned() {
    for run in "$records"/tuned/*; do value_of test_accuracy "$run/metrics.jsonl"; done | sort -n |
        awk 'NR == 1 { low = $1 } END { printf "%.1f to %.1f %%\n", low, $1 }'
}

# An epoch as a run prints it, but for its time.
line_of() { # EPOCH
    sed -n "${1}p" "$records/tuned/gn-tuned-1/metrics.jsonl" >"$scratch/epoch"
    printf 'epoch %d/20 loss %.4f train %.2f %% test %.2f %%\n' "$(value_of epoch "$scratch/epoch")" \
        "$(value_of train_loss "$scratch/epoch")" "$(value_of train_accuracy "$scratch/epoch")" \
        "$(value_of test_accuracy "$scratch/epoch")"
}

# All that the text has to say, a line each.
quotations() {
    differences_of reference
    echo "The largest of their differences: $(differences_of tuned | head -n 1)"
    echo "$(accuracy_of 'group norm|training accuracy, final') against $(accuracy_of 'batch norm|training accuracy, final') here"
    echo "$(gap_of 'group norm') points worse than in training, batch norm $(gap_of 'batch norm')"
    echo "got $(finals_of test_accuracy gn-rates/{1,2,3}-3) of the test images right"
    echo "its own $(finals_of test_accuracy reference/gn-reference-{1,2,3})"
    echo "batch norm's $(finals_of test_accuracy reference/bn-reference-{1,2,3})"
    echo "the training images less well: $(finals_of train_accuracy gn-rates/{1,2,3}-3)"
    echo "batch norm $(errors_of 3), group norm $(errors_of 5), layer norm $(errors_of 7)"
    echo "20 epochs, $(range_of_tuned) of the test images right"
    echo "| test accuracy | over 70 % | 79.39, 76.84, 68.48 % | $(range_of_tuned) |"
    line_of 1
    line_of 20
}

# And no other difference, deviation or p stands there.
the_text_quotes_the_records() {
    local quotation text figures='[0-9.]+ points (above|worse)|[0-9.]+ ± [0-9.]+|p = [0-9.e-]+[0-9]'
    quotations >"$scratch/quotations"
    text=$(tr -d '*' <README.md | tr '\n' ' ' | tr -s ' ')
    while read -r quotation; do
        [[ $text == *"$quotation"[!0-9]* ]] || { echo "README.md lacks '$quotation'" && return 1; }
    done <"$scratch/quotations"
    grep -oE "$figures" "$scratch/quotations" | sort -u >"$scratch/due"
    sed -n '/^## Findings/,/^## What/p' README.md | tr '\n' ' ' | grep -oE "$figures" | sort -u | diff "$scratch/due" - || return
    wc -l <"$scratch/quotations" && [ "$(wc -l <"$scratch/quotations")" -eq 15 ]
}

# ---- parameters --------------------------------------------------------------------------------

# "39,420 420": the parameters of a network and those of its norms.
parameters_of() { # NORM RECIPE
    "$program" summary --norm "$1" --recipe "$2" --json | awk -F '[:,"]+ *' '
        /^  "parameters"/ { total = $3 }
        $2 ~ /^ *type$/ || /"type"/ { is_norm = /_norm"/ }
        /^      "parameters"/ && is_norm { norms += $3 }
        END { print total, norms }' | sed -E 's/([0-9])([0-9]{3})\b/\1,\2/g'
}

parameters_are_those_of_the_networks() {
    local norm reference tuned totals='' of_norms=''
    for norm in bn gn ln; do
        read -r -a reference < <(parameters_of $norm reference)
        read -r -a tuned < <(parameters_of $norm tuned)
        grep -qxF "| **${norms[$norm]}:** parameters | ${reference[0]} | ${reference[0]} | ${tuned[0]} |" README.md || return
        totals+="${totals:+, }$norm ${reference[0]}" of_norms+="${of_norms:+, }$norm ${reference[1]}"
    done
    grep -qxF "| parameters | $totals | ${tuned[0]} for each norm |" README.md &&
        grep -qxF "| of which the norms' | $of_norms | ${tuned[1]} for each norm |" README.md
}

# ---- options -----------------------------------------------------------------------------------

options_are_those_of_the_help() {
    local option
    "$program" --help | grep -oE '^ +--[a-z-]+' | tr -d ' ' | sort -u >"$scratch/there"
    [ "$(wc -l <"$scratch/there")" -gt 25 ] || return
    while read -r option; do
        grep -qE -- "^\| .*(^|[^a-z-])$option([^a-z-]|$)" README.md || { echo "README.md lacks $option" && return 1; }
    done <"$scratch/there"
    while read -r option; do
        grep -qxF -- "$option" "$scratch/there" || { echo "there is no $option" && return 1; }
    done < <(grep -oE '^\| .--[^|]*' README.md | grep -oE -- '--[a-z-]+')
}

# ---- readme-figures ----------------------------------------------------------------------------

# A program that leaves the files which a comparison leaves, with their names in them, and says what it was asked for.
put_program() {
    cat >"$scratch/program" <<'EOF'
#!/usr/bin/env bash
echo "$*" >>"$SCRATCH/asked"
command=$1
while [ $# -gt 0 ]; do
    case $1 in
    --out) out=$2 ;;
    --recipe) recipe=$2 ;;
    --norm) norm=$2 ;;
    --png) echo "network $norm $recipe" >"$2" ;;
    esac
    shift
done
runs=()
case $command in
train) runs=("$out") ;;
compare)
    mkdir -p "$out"
    for name in compare.{md,json,png} sweep.png; do echo "$out/$name" >"$out/$name"; done
    [ -z "${recipe:-}" ] || runs=("$out"/{bn,gn,ln}-"$recipe"-1)
    ;;
esac
for run in "${runs[@]}"; do
    mkdir -p "$run"
    for name in config.json metrics.jsonl {model,checkpoint}.safetensors {curves,misclassified,confusion}.png; do
        echo "$run/$name" >"$run/$name"
    done
done
EOF
    chmod +x "$scratch/program"
}

# What a file in docs is a copy of.
origin_of() { # RECIPE-OR-SWEEP NAME
    case $2 in
    *-network.png) echo "network ${2%%-*} $1" ;;
    [bgl]n-*) echo "$scratch/runs/$1/${2%%-*}-$1-1/${2#*-}" ;;
    *) echo "$scratch/runs/$1/$2" ;;
    esac
}

# The legs of the group norm runs at batch norm's rates, as they are asked for.
legs_of_rates() {
    local run gn="train --norm gn --recipe reference --dropout 0.05" end=model.safetensors
    for run in "$scratch"/runs/gn-rates/{1,2,3}; do
        echo "$gn --seed ${run##*/}1 --lr 0.1 --epochs 8 --out $run-1 --threads 1"
        echo "$gn --seed ${run##*/}2 --lr 0.01 --epochs 8 --out $run-2 --weights $run-1/$end --threads 1"
        echo "$gn --seed ${run##*/}3 --lr 0.001 --epochs 4 --out $run-3 --weights $run-2/$end --threads 1"
    done
}

figures_are_asked_for_and_brought() {
    local file folder run recipe
    put_program
    mkdir -p "$scratch/records/tuned/old"
    SCRATCH=$scratch TRAIN_GPU=$scratch/program README_RUNS=$scratch/runs README_DOCS=$scratch/docs \
        README_RECORDS=$scratch/records tools/readme-figures --threads 1 || return
    diff - <(grep -v ^summary "$scratch/asked") <<EOF || return
compare --recipe reference --seeds 3 --out $scratch/runs/reference --threads 1
compare --recipe tuned --seeds 3 --out $scratch/runs/tuned --threads 1
compare --recipe tuned --seeds 1 --epochs 3 --batch-sizes 2,4,8,16,32,64,128 --out $scratch/runs/sweep --threads 1
$(legs_of_rates)
EOF
    for file in docs/*/*; do
        folder=$(basename "$(dirname "$file")")
        [ "$(cat "$scratch/$file")" = "$(origin_of "$folder" "$(basename "$file")")" ] ||
            { echo "$file is not brought" && return 1; }
    done
    for run in {reference,tuned,sweep}/{bn,gn,ln}; do
        recipe=${run%/*}
        run=$run-${recipe/sweep/tuned}-1
        [ "$(cat "$scratch/records/$run/config.json")" = "$scratch/runs/$run/config.json" ] || return
        [ "$(ls "$scratch/records/$run")" = $'config.json\nmetrics.jsonl' ] || return
    done
    [ ! -e "$scratch/records/tuned/old" ] || return
    [ "$(find "$scratch/records/gn-rates" -name metrics.jsonl | wc -l)" -eq 9 ] || return
    # what is there is gone on with
    SCRATCH=$scratch TRAIN_GPU=$scratch/program README_RUNS=$scratch/runs README_DOCS=$scratch/docs \
        README_RECORDS=$scratch/records tools/readme-figures || return
    [ "$(grep -c -- --resume "$scratch/asked")" -eq 9 ]
}

echo "1..${#names[@]}"
links_lead_somewhere >"$log" 2>&1
report $?
pictures_are_whole >"$log" 2>&1
report $?
no_picture_is_unused >"$log" 2>&1
report $?
records_give_the_comparisons_again >"$log" 2>&1
report $?
records_give_the_sweep_again >"$log" 2>&1
report $?
results_are_those_of_the_comparisons >"$log" 2>&1
report $?
the_text_quotes_the_records >"$log" 2>&1
report $?
parameters_are_those_of_the_networks >"$log" 2>&1
report $?
options_are_those_of_the_help >"$log" 2>&1
report $?
figures_are_asked_for_and_brought >"$log" 2>&1
report $?
exit "$((bad > 0))"
