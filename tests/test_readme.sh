#!/usr/bin/env bash
# test_readme.sh: checks the documents: links resolve, pictures are complete and show what they claim, figures come from
# the recorded runs, and options, targets and version are those of the program. It checks figures, not sentences. Prints
# TAP. TRAIN_GPU is the program.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
program=$(realpath "${TRAIN_GPU:?the program to test}") || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
names=("links resolve" "pictures are complete and show what their names say" "every picture is used"
    "the comparisons follow from the recorded runs" "the sweep follows from the recorded runs"
    "tables of results agree with the records" "tables of findings agree with the records"
    "every figure in the text is recorded" "parameters are those of the networks"
    "the manual lists the options of --help" "the manual lists the targets of make help"
    "the changelog begins with this version" "the stand-in's example gives the message in its README"
    "readme-figures trains the runs and copies what is shown")
log=$scratch/log
# shellcheck source=tests/tap.sh
. tests/tap.sh
records=bench/results/readme
documents=(README.md CONTRIBUTING.md CHANGELOG.md docs/*.md docs/*/compare.md bench/README.md tests/cudasim/README.md)
measured=(README.md docs/study.md) # the documents whose figures come from the records

# ---- links and pictures ------------------------------------------------------------------------

# Targets of links and pictures inside the repository, relative to the document.
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

links_resolve() {
    local document target file count=0
    for document in "${documents[@]}"; do
        for target in $(targets "$document"); do
            count=$((count + 1))
            file=$(dirname "$document")/${target%%#*}
            [ -n "${target%%#*}" ] || file=$document
            if [ ! -e "$file" ] || { [ "${target#*#}" != "$target" ] && ! has_anchor "$file" "${target#*#}"; }; then
                echo "$document: no $target"
                return 1
            fi
        done
    done
    echo "$count links"
    [ "$count" -gt 20 ]
}

pictures() { # that the documents show, as paths from the root
    local document target
    for document in "${documents[@]}"; do
        for target in $(targets "$document"); do realpath --relative-to=. "$(dirname "$document")/${target%%#*}"; done
    done | grep '\.png$' | sort -u
}

declare -A norms=([bn]="batch norm" [gn]="group norm" [ln]="layer norm")
declare -A titles=([curves]="Training curves" [misclassified]="Most confident mistakes" [network]="Network"
    [confusion]="Confusion matrix" [compare]="Comparison of the norms" [sweep]="Test error over the batch size")

# Texts that a picture must contain, as key|value (a zero byte is between them in the file): docs/tuned/gn-curves.png has
# the title "Training curves: group norm, recipe tuned" and the run runs/readme/tuned/gn-tuned-1.
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

shows_what_its_name_says() { # PICTURE
    local due
    while read -r due; do
        grep -aqP "${due/|/\\x00}" "$1" || { echo "$1 does not contain $due" && return 1; }
    done < <(texts_of "$1")
}

# `predict` reads each picture to the last byte.
pictures_are_complete() {
    local all picture
    mapfile -t all < <(pictures)
    for picture in "${all[@]}"; do shows_what_its_name_says "$picture" || return; done
    echo "${#all[@]} pictures"
    [ "${#all[@]}" -gt 20 ] &&
        "$program" --norm ln --recipe reference --data synthetic --batch-size 8 --max-steps 1 --device cpu --threads 1 \
            --no-report --quiet --out "$scratch/run" &&
        "$program" predict --norm ln --recipe reference --device cpu --weights "$scratch/run/model.safetensors" \
            "${all[@]}" >/dev/null
}

every_picture_is_used() {
    find docs -name '*.png' | sort >"$scratch/there"
    [ -s "$scratch/there" ] && pictures | diff - "$scratch/there"
}

# ---- figures -----------------------------------------------------------------------------------

without_pictures_and_version() { # FILE
    sed '/^!\[/d; s/^Written by train_gpu .*/Written by train_gpu/; s/"version": "[^"]*"/"version"/' "$1" | cat -s
}

# The runs are put in runs/readme, where they were trained, so that compare.md names the same folders.
comparisons_follow_from_the_records() {
    local shown name
    mkdir -p "$scratch/again/runs"
    cp -r "$records" "$scratch/again/runs/readme"
    for shown in reference tuned; do
        (cd "$scratch/again" && "$program" compare --quiet --out "$shown" --runs "runs/readme/$shown"/*) || return
        for name in compare.md compare.json; do
            without_pictures_and_version "docs/$shown/$name" >"$scratch/due"
            without_pictures_and_version "$scratch/again/$shown/$name" | diff "$scratch/due" - || return
        done
    done
}

# The last value of a key in a JSON file.
value_of() { # NAME FILE
    grep -oE "\"$1\": [^,}]+" "$2" | tail -n 1 | sed 's/^[^:]*: //; s/"//g'
}

# Compares "batch size|norm|test error|rate|seed" of each run of the sweep, from the records and from the table.
sweep_follows_from_the_records() {
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

# The rows of a comparison, as "batch norm|test accuracy, final|79.40 ± 0.12".
rows_of() { # RECIPE
    awk -F ' *[|] *' '/^\| (batch|group|layer) norm [|]/ && NF == 11 {
        print $2 "|test accuracy, final|" $5; print $2 "|test accuracy, best epoch|" $7
        print $2 "|training accuracy, final|" $9 }' "docs/$1/compare.md"
}

# The same rows of the table in docs/study.md.
shown_rows() { # COLUMN
    sed -n '/^## Results/,/^## Findings/p' docs/study.md | tr -d '*' | awk -F ' *[|] *' -v column="$1" '
        / norm: parameters/ { norm = substr($2, 1, index($2, ":") - 1); next }
        /^\| (test|training) accuracy, / { print norm "|" $2 "|" $column }'
}

# An accuracy of a norm; with "mean", without the deviation.
accuracy_of() { # RECIPE "NORM|WHICH" [mean]
    rows_of "$1" | grep -F "$2|" | cut -d '|' -f 3 | if [ "${3:-}" = mean ]; then sed 's/ .*//'; else cat; fi
}

# Lowest and highest final test accuracy of the tuned runs, as "84.8 to 85.2 %".
range_of_tuned() {
    for run in "$records"/tuned/*; do value_of test_accuracy "$run/metrics.jsonl"; done | sort -n |
        awk 'NR == 1 { low = $1 } END { printf "%.1f to %.1f %%\n", low, $1 }'
}

# The final test accuracy that the study published.
declare -A published=([bn]=79.39 [gn]=76.84 [ln]=68.48)

has_row() { # FILE ROW: without regard to asterisks
    tr -d '*' <"$1" | grep -qxF -- "$2" || { echo "$1 lacks '$2'" && return 1; }
}

results_agree_with_the_records() {
    local norm
    rows_of reference >"$scratch/due" && shown_rows 4 | diff "$scratch/due" - || return
    [ "$(wc -l <"$scratch/due")" -eq 9 ] || return
    rows_of tuned >"$scratch/due" && shown_rows 5 | diff "$scratch/due" - || return
    [ "$(wc -l <"$scratch/due")" -eq 9 ] || return
    for norm in bn gn ln; do
        has_row README.md "| ${norms[$norm]} | ${published[$norm]} | $(
            accuracy_of reference "${norms[$norm]}|test accuracy, final") | $(
            accuracy_of tuned "${norms[$norm]}|test accuracy, final") |" || return
    done
    has_row README.md "| test accuracy | over 70 % | ${published[bn]}, ${published[gn]}, ${published[ln]} % | $(
        range_of_tuned) |"
}

# The final values of three runs, as "76.25, 77.80, 76.00".
finals_of() { # NAME RUN-1 RUN-2 RUN-3
    local run finals=''
    for run in "${@:2}"; do
        finals+=${finals:+, }$(value_of "$1" "$records/$run/metrics.jsonl" | awk '{ printf "%.2f", $1 }')
    done
    echo "$finals"
}

# Each difference, as "batch norm above group norm | 2.57 | 0.039".
differences_of() { # RECIPE
    sed -nE 's/^- (.* norm) is ([0-9.]+) points above ([a-z]+ norm);.* p = ([0-9.e-]+)\)\.$/\1 above \3 | \2 | \4/p
        s/^- ([a-z]+ norm) and ([a-z]+ norm) are level;.* p = ([0-9.e-]+)\)\.$/\1 above \2 | 0.00 | \3/p' "docs/$1/compare.md"
}

# The rows of the first table of a finding in docs/study.md, sorted, without its head.
finding() { # HEADING
    sed -n "/^### $1/,/^##/p" docs/study.md | awk '/^\|/ { print; seen = 1; next } seen { exit }' | tail -n +3 |
        sed -E 's/^\| (.*) \|$/\1/' | sort
}

findings_agree_with_the_records() {
    differences_of reference | sort | diff - <(finding 1) || return
    differences_of tuned | sort | diff - <(finding 4) || return
    [ "$(finding 1 | wc -l) $(finding 4 | wc -l)" = "3 3" ] || return
    sort <<EOF | diff - <(finding 2) || return
group norm, its own rate | $(finals_of test_accuracy reference/gn-reference-{1,2,3}) | $(
        finals_of train_accuracy reference/gn-reference-{1,2,3})
group norm, batch norm's rates and dropout | $(finals_of test_accuracy gn-rates/{1,2,3}-3) | $(
        finals_of train_accuracy gn-rates/{1,2,3}-3)
batch norm | $(finals_of test_accuracy reference/bn-reference-{1,2,3}) | $(
        finals_of train_accuracy reference/bn-reference-{1,2,3})
EOF
    sweep_table | awk -F ' *[|] *' '{ print $2 " | " $3 " | " $5 " | " $7 }' | sort | diff - <(finding 5)
}

# ---- figures in the text -----------------------------------------------------------------------

# Figures with another source: the published study (final, best epoch, training; rounded), and the confusion matrices in
# docs/tuned.
elsewhere="${published[*]} 79.60 77.35 82.59 84.09 76.42 79.4 76.8 68.5 69.6 71.4 93.5 95.1"

# An epoch of the run that README.md shows, as a pattern: as it was printed, with any learning rate.
line_of() { # EPOCH
    sed -n "${1}p" "$records/tuned/gn-tuned-1/metrics.jsonl" >"$scratch/epoch"
    printf 'epoch %d/20 loss %.4f train %.2f %% test %.2f %% lr [^ ]+ %.1f s %.0f images/s\n' \
        "$(value_of epoch "$scratch/epoch")" "$(value_of train_loss "$scratch/epoch")" \
        "$(value_of train_accuracy "$scratch/epoch")" "$(value_of test_accuracy "$scratch/epoch")" \
        "$(value_of seconds "$scratch/epoch")" "$(value_of images_per_second "$scratch/epoch")"
}

# Training accuracy minus test accuracy, reference recipe, in points.
gap_of() { # NORM
    echo "$(accuracy_of reference "$1|training accuracy, final" mean) $(
        accuracy_of reference "$1|test accuracy, final" mean)" | awk '{ printf "%.1f", $1 - $2 }'
}

# The training accuracies of group norm and batch norm, as the text compares them.
fits_of() { # RECIPE
    echo "$(accuracy_of "$1" 'group norm|training accuracy, final') against $(
        accuracy_of "$1" 'batch norm|training accuracy, final')"
}

# Texts with the numbers like 79.39 or 84.8 that the documents may quote. docs/*/compare.md were checked above.
known_numbers() {
    cat docs/*/compare.md tests/test_learning.sh
    finals_of test_accuracy gn-rates/{1,2,3}-3
    finals_of train_accuracy gn-rates/{1,2,3}-3
    finals_of test_accuracy winograd/{bn,gn,ln}-reference-1
    range_of_tuned
    line_of 1
    line_of 20
    echo "$elsewhere"
}

# Figures of batch, group and layer norm in this order: errors of the sweep, published accuracies, bounds of
# tests/test_learning.sh.
known_triples() {
    sweep_table | awk -F ' *[|] *' '{ print $3 ", " $5 " and " $7 " %" }'
    echo "79.4, 76.8 and 68.5 %"
    sed -nE 's/^long .* ([0-9.]+) --recipe reference .*/\1/p' tests/test_learning.sh | tr '\n' ' ' |
        sed -E 's/^(.*) (.*) (.*) $/\1, \2 and \3 %\n/'
}

text_of() { # DOCUMENT: in one line, without the targets of links
    tr -d '*' <"$1" | sed -E 's/\]\([^)]*\)/]/g; s/(src|href)="[^"]*"//g' | tr '\n' ' ' | tr -s ' '
}

# Every match of the pattern in the measured documents must be a line of standard input.
all_are_known() { # PATTERN LEAST-NUMBER-OF-MATCHES
    local document count=0
    sort -u >"$scratch/known"
    for document in "${measured[@]}"; do
        text_of "$document" | grep -oE "$1" | sort -u >"$scratch/said"
        comm -13 "$scratch/known" "$scratch/said" >"$scratch/unknown"
        [ ! -s "$scratch/unknown" ] || { sed "s|^|in $document, and in no record: |" "$scratch/unknown" && return 1; }
        count=$((count + $(wc -l <"$scratch/said")))
    done
    echo "$count of '$1'"
    [ "$count" -ge "$2" ]
}

# The differences of both recipes in another form: \1 is the lower norm, \2 the points, \3 p.
differences_as() { # FORM
    { differences_of reference && differences_of tuned; } | sed -E "s/^.* above (.*) \| (.*) \| (.*)$/$1/"
}

figures_in_the_text_are_recorded() {
    local epoch
    known_numbers | grep -oE '\b[0-9]{2}\.[0-9]{1,2}\b' | all_are_known '\b[0-9]{2}\.[0-9]{1,2}\b' 60 || return
    grep -ohE '[0-9.]+ ± [0-9.]+[0-9]' docs/*/compare.md | all_are_known '[0-9.]+ ± [0-9.]+[0-9]' 15 || return
    differences_as 'p = \3' | all_are_known 'p = [0-9.e-]+[0-9]' 3 || return
    differences_as '\2 points above \1 (p = \3' |
        all_are_known '[0-9.]+ points above [a-z]+ norm \(p = [0-9.e-]+[0-9]' 2 || return
    differences_as '\2 points (p = \3' | all_are_known '[0-9.]+ points \(p = [0-9.e-]+[0-9]' 1 || return
    known_triples | all_are_known '[0-9.]+, [0-9.]+ and [0-9.]+ %' 3 || return
    echo "$(gap_of 'group norm') points, batch norm $(gap_of 'batch norm')" |
        all_are_known '[0-9.]+ points, batch norm [0-9.]+[0-9]' 1 || return
    { fits_of reference && echo "84.09 against 82.59"; } |
        all_are_known '[0-9.]+( ± [0-9.]+)? against [0-9.]+[0-9]( ± [0-9.]+[0-9])?' 2 || return
    { range_of_tuned && echo "69.6 to 71.4 %" && echo "93.5 to 95.1 %"; } | all_are_known '[0-9.]+ to [0-9.]+ %' 2 || return
    for epoch in 1 20; do
        text_of README.md | grep -qE "$(line_of $epoch)" ||
            { echo "README.md: epoch $epoch is not as recorded" && return 1; }
    done
}

# ---- parameters --------------------------------------------------------------------------------

with_commas() {
    sed -E 's/\b([0-9]+)([0-9]{3})\b/\1,\2/g'
}

# "39420 420": the parameters of a network and those of its norms.
parameters_of() { # NORM RECIPE
    "$program" summary --norm "$1" --recipe "$2" --json | awk -F '[:,"]+ *' '
        /^  "parameters"/ { total = $3 }
        /"type"/ { is_norm = /_norm"/ }
        /^      "parameters"/ && is_norm { norms += $3 }
        END { print total, norms }'
}

# Other numbers with a comma: images of CIFAR-10, the limit of the assignment, misclassified images, and the images that
# the published weights get right.
counts="50,000 10,000 60,000 1,000 7,892 2,405 2,226 6,070 2,495 7,939"

parameters_are_those_of_the_networks() {
    local norm reference tuned totals='' of_norms='' known=''
    for norm in bn gn ln; do
        read -r -a reference < <(parameters_of $norm reference)
        read -r -a tuned < <(parameters_of $norm tuned)
        known+="${reference[*]} $((reference[0] - reference[1])) ${tuned[*]} "
        mapfile -t reference < <(printf '%s\n' "${reference[@]}" | with_commas)
        mapfile -t tuned < <(printf '%s\n' "${tuned[@]}" | with_commas)
        has_row docs/study.md "| ${norms[$norm]}: parameters | ${reference[0]} | ${reference[0]} | ${tuned[0]} |" || return
        totals+="${totals:+, }$norm ${reference[0]}" of_norms+="${of_norms:+, }$norm ${reference[1]}"
    done
    has_row docs/study.md "| parameters | $totals | ${tuned[0]} for each norm |" &&
        has_row docs/study.md "| parameters of the norms | $of_norms | ${tuned[1]} for each norm |" &&
        has_row README.md "| parameters | below 50,000 | ${totals//[bgl]n /} | ${tuned[0]} |" || return
    tr ' ' '\n' <<<"$known $counts" | with_commas | all_are_known '\b[0-9]{1,3},[0-9]{3}\b' 15 || return
    tr ' ' '\n' <<<"$known" | with_commas | sed 's/$/ parameters/' | all_are_known '\b[0-9,]*[0-9] parameters' 5
}

# ---- options, targets, version -----------------------------------------------------------------

# Each option and the commands that take it, from the help of the commands: "--norm train eval".
options_of_help() {
    local command
    for command in train eval predict compare summary info; do
        "$program" $command --help | grep -oE '^  --[a-z-]+' | sed "s/ //g; s/$/ $command/"
    done | awk '{ commands[$1] = commands[$1] " " $2 } END { for (o in commands) print o commands[o] }' | sort
}

# The same, from the table in the manual.
options_of_manual() {
    sed -n '/^## Options/,/^## Exit/p' docs/manual.md | grep '^| `--' | sed 's/\\|/!/g' | awk -F ' *[|] *' '{
        match($2, /--[a-z-]+/); option = substr($2, RSTART, RLENGTH); gsub(/,/, "", $4)
        print option, $4 == "all" ? "train eval predict compare summary info" : $4 }' | sort
}

options_are_those_of_the_help() {
    local document option
    options_of_help >"$scratch/there"
    [ "$(wc -l <"$scratch/there")" -gt 25 ] && options_of_manual | diff "$scratch/there" - || return
    # no document mentions another option
    cut -d ' ' -f 1 "$scratch/there" >"$scratch/options"
    for document in README.md docs/study.md docs/manual.md; do
        while read -r option; do
            grep -qxF -- "$option" "$scratch/options" || { echo "$document: unknown option $option" && return 1; }
        done < <(grep -v 'tools/\|tensorboard --\|sbatch ' "$document" | grep -oE '(^|[ `("])--[a-z][a-z-]*' | tr -d ' `("')
    done
}

targets_are_those_of_make_help() {
    make --no-print-directory help | awk '$1 == "make" && $2 != "all" { print $2 }' | sort >"$scratch/there"
    [ "$(wc -l <"$scratch/there")" -gt 10 ] || return
    sed -n '/^## Make targets/,/^## /p' docs/manual.md | grep '^| `make' | cut -d '|' -f 2 | grep -oE 'make [a-z_.-]+' |
        cut -d ' ' -f 2 | sort | diff "$scratch/there" -
}

changelog_begins_with_this_version() {
    [ "$(sed -nE 's/^## \[?([0-9.]+).*/train_gpu \1/p' CHANGELOG.md | head -n 1)" = "$("$program" --version)" ]
}

# ---- the example of tests/cudasim/README.md ----------------------------------------------------

# The code block after the comment that names a file.
block_of() { # FILE
    awk -v mark="<!-- $1 -->" '$0 == mark { on = 1; next } on && /^    / { print substr($0, 5); seen = 1; next }
        on && /^$/ { print; next } seen { exit }' tests/cudasim/README.md
}

build_example() { # OUT SOURCE
    ${CXX:-c++} -std=c++17 -g -fsanitize=alignment -fsanitize-undefined-trap-on-error -isystem tests/cudasim/include \
        -iquote "$scratch" -x c++ "$2" -x none build/sim/tests/cudasim/*.o -lpthread -o "$1"
}

example_gives_its_message() {
    local message
    message=$(sed -n 's/^    \(cudasim: .*\)/\1/p' tests/cudasim/README.md | head -n 1)
    block_of launch.cuh >"$scratch/launch.cuh"
    block_of sum.cu >"$scratch/sum.cu"
    sed 's|; // __syncthreads() is missing.*|; __syncthreads();|' "$scratch/sum.cu" >"$scratch/right.cu"
    build_example "$scratch/sum" "$scratch/sum.cu" && build_example "$scratch/right" "$scratch/right.cu" || return
    (ulimit -c 0 && exec "$scratch/sum") 2>"$scratch/said" && return 1 # it aborts
    cat "$scratch/said"
    [ -n "$message" ] && [ "$(tail -n 1 "$scratch/said")" = "$message" ] && "$scratch/right" >"$scratch/said" &&
        [ "$(cat "$scratch/said")" = "done" ]
}

# ---- readme-figures ----------------------------------------------------------------------------

# A program that writes the files of a comparison, with their names in them, and records its arguments.
make_program() {
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
source_of() { # RECIPE-OR-SWEEP NAME
    case $2 in
    *-network.png) echo "network ${2%%-*} $1" ;;
    [bgl]n-*) echo "$scratch/runs/$1/${2%%-*}-$1-1/${2#*-}" ;;
    *) echo "$scratch/runs/$1/$2" ;;
    esac
}

# The commands for the group norm runs with batch norm's rates.
commands_of_rates() {
    local run gn="train --norm gn --recipe reference --dropout 0.05" end=model.safetensors
    for run in "$scratch"/runs/gn-rates/{1,2,3}; do
        echo "$gn --seed ${run##*/}1 --lr 0.1 --epochs 8 --out $run-1 --threads 1"
        echo "$gn --seed ${run##*/}2 --lr 0.01 --epochs 8 --out $run-2 --weights $run-1/$end --threads 1"
        echo "$gn --seed ${run##*/}3 --lr 0.001 --epochs 4 --out $run-3 --weights $run-2/$end --threads 1"
    done
}

figures_are_trained_and_copied() {
    local file folder run recipe
    make_program
    mkdir -p "$scratch/records/tuned/old"
    SCRATCH=$scratch TRAIN_GPU=$scratch/program README_RUNS=$scratch/runs README_DOCS=$scratch/docs \
        README_RECORDS=$scratch/records tools/readme-figures --threads 1 || return
    diff - <(grep -v ^summary "$scratch/asked") <<EOF || return
compare --recipe reference --seeds 3 --out $scratch/runs/reference --threads 1
compare --recipe tuned --seeds 3 --out $scratch/runs/tuned --threads 1
compare --recipe tuned --seeds 1 --epochs 3 --batch-sizes 2,4,8,16,32,64,128 --out $scratch/runs/sweep --threads 1
$(commands_of_rates)
EOF
    for file in docs/*/*; do
        folder=$(basename "$(dirname "$file")")
        [ "$(cat "$scratch/$file")" = "$(source_of "$folder" "$(basename "$file")")" ] ||
            { echo "$file is not copied" && return 1; }
    done
    for run in {reference,tuned,sweep}/{bn,gn,ln}; do
        recipe=${run%/*}
        run=$run-${recipe/sweep/tuned}-1
        [ "$(cat "$scratch/records/$run/config.json")" = "$scratch/runs/$run/config.json" ] || return
        [ "$(ls "$scratch/records/$run")" = $'config.json\nmetrics.jsonl' ] || return
    done
    [ ! -e "$scratch/records/tuned/old" ] || return
    [ "$(find "$scratch/records/gn-rates" -name metrics.jsonl | wc -l)" -eq 9 ] || return
    # existing runs are resumed
    SCRATCH=$scratch TRAIN_GPU=$scratch/program README_RUNS=$scratch/runs README_DOCS=$scratch/docs \
        README_RECORDS=$scratch/records tools/readme-figures || return
    [ "$(grep -c -- --resume "$scratch/asked")" -eq 9 ]
}

echo "1..${#names[@]}"
links_resolve >"$log" 2>&1
report $?
pictures_are_complete >"$log" 2>&1
report $?
every_picture_is_used >"$log" 2>&1
report $?
comparisons_follow_from_the_records >"$log" 2>&1
report $?
sweep_follows_from_the_records >"$log" 2>&1
report $?
results_agree_with_the_records >"$log" 2>&1
report $?
findings_agree_with_the_records >"$log" 2>&1
report $?
figures_in_the_text_are_recorded >"$log" 2>&1
report $?
parameters_are_those_of_the_networks >"$log" 2>&1
report $?
options_are_those_of_the_help >"$log" 2>&1
report $?
targets_are_those_of_make_help >"$log" 2>&1
report $?
changelog_begins_with_this_version >"$log" 2>&1
report $?
if compgen -G 'build/sim/tests/cudasim/*.o' >/dev/null; then
    example_gives_its_message >"$log" 2>&1
    report $?
else
    skip "it needs the stand-in (make sim)"
fi
figures_are_trained_and_copied >"$log" 2>&1
report $?
exit "$((bad > 0))"
