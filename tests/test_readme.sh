#!/usr/bin/env bash
# test_readme.sh: what the documents say is so: links lead somewhere, the pictures are whole, and the figures are
# those of the recorded runs. Prints TAP. TRAIN_GPU is the program.
set -u
cd "$(dirname "$0")/.." || exit 1
program=$(realpath "${TRAIN_GPU:?the program to test}") || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
names=("links lead somewhere" "pictures are whole, and of CIFAR-10" "no picture is unused"
    "recorded runs give the comparisons again" "recorded runs give the sweep again"
    "the results are those of the comparisons" "the findings quote the comparisons"
    "the findings quote the other runs" "the options are those of the help"
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

# The program itself reads them to the last byte, for `predict`.
pictures_are_whole() {
    local all picture
    mapfile -t all < <(pictures)
    for picture in "${all[@]}"; do
        grep -aqP 'Dataset\x00CIFAR-10' "$picture" || { echo "$picture is not of CIFAR-10" && return 1; }
    done
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

# A compare.md without the folders of the runs, which lie elsewhere now, and without its picture.
# shellcheck disable=SC2016
comparison_of() { # FILE
    sed -E '/^!\[/d; s/`[^`]*\/([^`\/]+)`/\1/g' "$1" | cat -s
}

records_give_the_comparisons_again() {
    local shown
    for shown in reference tuned; do
        "$program" compare --quiet --out "$scratch/$shown" --runs "$records/$shown"/* || return
        comparison_of "docs/$shown/compare.md" >"$scratch/due"
        comparison_of "$scratch/$shown/compare.md" | diff "$scratch/due" - || return
    done
}

# The value of a name in a file of JSON, the last one.
value_of() { # NAME FILE
    grep -oE "\"$1\": [^,}]+" "$2" | tail -n 1 | sed 's/^[^:]*: //; s/"//g'
}

# "batch size|norm|test error" of each run of the sweep: as recorded, and as its table has it.
records_give_the_sweep_again() {
    local run
    for run in "$records"/sweep/*; do
        echo "$(value_of batch_size "$run/config.json")|$(value_of norm "$run/config.json")|$(
            value_of test_accuracy "$run/metrics.jsonl" | awk '{ printf "%.2f", 100 - $1 }')"
    done | sort >"$scratch/due"
    [ "$(wc -l <"$scratch/due")" -eq 21 ] || return
    sed -n '/^## Batch sizes/,/^## Runs/p' docs/sweep/compare.md | awk -F ' *[|] *' '/^\| [0-9]+ [|]/ {
        print $2 "|bn|" $3; print $2 "|gn|" $5; print $2 "|ln|" $7 }' | sort | diff "$scratch/due" -
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

findings_quote_the_comparisons() {
    local quote count=0
    while read -r quote; do
        count=$((count + 1))
        grep -qF -- "$quote" docs/*/compare.md || { echo "no comparison says '$quote'" && return 1; }
    done < <(sed -n '/^## Findings/,/^## What/p' README.md | tr '\n' ' ' |
        grep -oE '[0-9.]+ points (above|below)|[0-9.]+ ± [0-9.]+|p = [0-9.e-]+[0-9]' | sort -u)
    echo "$count quotations"
    [ "$count" -ge 6 ]
}

# What three runs ended with, as "76.25, 77.80 and 76.00 %".
finals_of() { # NAME RUN-1 RUN-2 RUN-3
    local run finals=()
    for run in "${@:2}"; do
        finals+=("$(value_of "$1" "$records/$run/metrics.jsonl" | awk '{ printf "%.2f", $1 }')")
    done
    echo "${finals[0]}, ${finals[1]} and ${finals[2]} %"
}

# The range of the sweep's errors in a column, as "23.97 to 26.89 %".
range_of_sweep() { # COLUMN
    sed -n '/^## Batch sizes/,/^## Runs/p' docs/sweep/compare.md |
        awk -F ' *[|] *' -v column="$1" '/^\| [0-9]+ [|]/ { print $column }' | sort -n |
        sed -n '1p; $p' | paste -sd ' ' | sed 's/ / to /; s/$/ %/'
}

# Batch norm's error with a batch size.
error_of_sweep() { # BATCH-SIZE
    sed -n '/^## Batch sizes/,/^## Runs/p' docs/sweep/compare.md |
        awk -F ' *[|] *' -v size="$1" '/^\| [0-9]+ [|]/ && $2 == size { print $3 }'
}

findings_quote_the_other_runs() {
    local quote findings
    findings=$(sed -n '/^## Findings/,/^## What/p' README.md | tr '\n' ' ' | tr -s ' ')
    for quote in "$(finals_of test_accuracy gn-rates/{1,2,3}-3)" "$(finals_of train_accuracy gn-rates/{1,2,3}-3)" \
        "$(finals_of test_accuracy reference/gn-reference-{1,2,3})" \
        "$(finals_of test_accuracy reference/bn-reference-{1,2,3})" \
        "$(range_of_sweep 5)" "$(range_of_sweep 7)" \
        "$(error_of_sweep 2) % with batches of 2" "$(error_of_sweep 128) % with batches of 128"; do
        grep -qF -- "$quote" <<<"$findings" || { echo "the findings lack '$quote'" && return 1; }
    done
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
    --png) echo network >"$2" ;;
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
    *-network.png) echo network ;;
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
    local picture folder run recipe
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
    for picture in $(pictures); do
        folder=$(basename "$(dirname "$picture")")
        [ "$(cat "$scratch/$picture")" = "$(origin_of "$folder" "$(basename "$picture")")" ] ||
            { echo "$picture is not brought" && return 1; }
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
findings_quote_the_comparisons >"$log" 2>&1
report $?
findings_quote_the_other_runs >"$log" 2>&1
report $?
options_are_those_of_the_help >"$log" 2>&1
report $?
figures_are_asked_for_and_brought >"$log" 2>&1
report $?
exit "$((bad > 0))"
