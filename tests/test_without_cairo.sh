#!/usr/bin/env bash
# test_without_cairo.sh: the build without cairo says that pictures are left out, and the program says what to do. When
# cairo appears or disappears, what depends on it is rebuilt and nothing else; other linker flags only link again. Prints
# TAP (tests/run).
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL CAIRO
mkdir -p build && work=$(mktemp -d "$PWD/build/test_without_cairo.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
count=0 bad=0

ok() { # NAME STATUS-OF-THE-CHECK
    count=$((count + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $count - $1"
    else
        bad=$((bad + 1))
        echo "not ok $count - $1"
        tail -n 20 "$work/log" | sed 's/^/# /'
    fi
}

# Unoptimized: the program does next to nothing here.
build() { # [CAIRO=no] TARGET...
    make --no-print-directory -j2 CFLAGS=-O0 OUT="$work" "$@" >"$work/log" 2>&1
}

draw() {
    rm -f "$work/network.png"
    "$work/train_gpu" summary --png "$work/network.png" >"$work/log" 2>&1
}

make --no-print-directory parts CAIRO=no >"$work/log" 2>&1 && grep -q 'cairo .*no pictures' "$work/log"
ok "make says that pictures are left out" $?
make --no-print-directory parts PKG_CONFIG=false >"$work/log" 2>&1 && grep -q 'cairo .*tools/setup' "$work/log"
ok "make says how to get cairo" $?
build CAIRO=no "$work/train_gpu" "$work/tests/test_pictures" && "$work/train_gpu" summary >"$work/log" 2>&1
ok "builds and runs without cairo" $?
draw
status=$?
[ "$status" -eq 1 ] && [ "$(wc -l <"$work/log")" -eq 1 ] && grep -q 'without cairo.*tools/setup' "$work/log" &&
    [ ! -e "$work/network.png" ]
ok "summary --png says what to install" $?
CMOCKA_MESSAGE_OUTPUT=TAP "$work/tests/test_pictures" >"$work/log" 2>&1 && grep -q '^ok 1 - pictures_are_refused' "$work/log"
ok "every picture is refused with the reason" $?
build CAIRO=no LDFLAGS=-s "$work/train_gpu" && grep -q "LINK $work/train_gpu" "$work/log" && ! grep -q ' CC ' "$work/log"
ok "other linker flags: linked again, nothing compiled" $?

if [ "$(make --no-print-directory parts 2>/dev/null | grep -c 'cairo  *[0-9]')" -eq 0 ]; then
    echo "ok $((count += 1)) # SKIP cairo appears and disappears: not installed"
else
    build "$work/train_gpu" && ! grep -q 'src/host' "$work/log" && draw && [ -s "$work/network.png" ]
    ok "cairo appears: the program draws, and nothing else was rebuilt" $?
    build CAIRO=no "$work/train_gpu" && ! draw
    ok "cairo disappears: the program says so again" $?
fi
echo "1..$count"
[ "$bad" -eq 0 ]
