#!/usr/bin/env bash
# test_build.sh: what the build does with the user's variables. Most of it is read from `make -n`; a few objects are
# built. Prints TAP (tests/run).
# shellcheck disable=SC2317,SC2016 # tests are called by name; $1 is the fake compiler's
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL CC CXX CPPFLAGS CFLAGS CXXFLAGS LDFLAGS WERROR MODE PREFIX DESTDIR AR
mkdir -p build && work=$(mktemp -d "$PWD/build/test_build.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log count=0 bad=0
simd=$work/src/cpu/simd/sgd.baseline.o text=$work/src/host/base/text.o
plain=(make --no-print-directory V=1 CUDA=no OUT="$work")

check() { # NAME FUNCTION
    local status
    count=$((count + 1))
    (set -e; "$2") >"$log.why" 2>&1 # not as a condition: that would disarm set -e
    status=$?
    if [ "$status" -eq 0 ]; then
        echo "ok $count - $1"
    else
        bad=$((bad + 1))
        echo "not ok $count - $1"
        cat "$log.why" "$log" 2>/dev/null | cut -c1-300 | tail -n 20 | sed 's/^/# /'
    fi
}

# The command that would compile or link TARGET, in $log.
command_of() { # TARGET [VARIABLE=VALUE...]
    "${plain[@]}" -nB "$@" 2>&1 | grep -F -- " -o $1 " >"$log"
}

last_level() { # the optimization level that counts
    grep -oE -- '(^| )-O[0-9a-z]*' "$log" | tail -n 1 | tr -d ' '
}

# As functions, because set -e ignores a command after "!".
lacks() { # PATTERN: it is not in the log
    ! grep -q -- "$1" "$log"
}

fails() { # COMMAND...
    ! "$@" >"$log" 2>&1
}

numeric_files_are_fast() {
    local flags
    for flags in -O2 -Os '-g' '-march=native -O2 -pipe'; do
        command_of "$simd" CFLAGS="$flags"
        [ "$(last_level)" = -O3 ] || { echo "CFLAGS=$flags: $(last_level)" && false; }
    done
    [ "$(uname -m)" != x86_64 ] || grep -q -- '-march=native .*-march=x86-64 ' "$log" # the variant's own comes last
}

debugging_is_respected() {
    local level
    for level in -O0 -O1 -Og; do
        command_of "$simd" CFLAGS="-g $level"
        [ "$(last_level)" = "$level" ]
    done
    command_of "$simd" MODE=debug CFLAGS=-O2
    [ "$(last_level)" = -O0 ]
}

flags_are_used() {
    command_of "$text" CPPFLAGS=-DA=1 CFLAGS='-O2 -fPIE'
    grep -q -- '-DA=1 -O2 -fPIE' "$log"
    command_of "$work/train_gpu" LDFLAGS=-Wl,-z,now
    grep -q -- '-Wl,-z,now' "$log"
}

warnings_can_be_warnings() {
    command_of "$text"
    grep -q -- -Werror "$log"
    command_of "$text" WERROR=0
    grep -q -- -Wall "$log"
    lacks -Werror
}

unknown_mode() {
    fails "${plain[@]}" MODE=fast -n
    grep -q 'MODE=fast: one of release' "$log"
}

# Builds two objects, which must be compiled COUNT times in all.
compiles() { # COUNT [VARIABLE=VALUE...]
    local expected=$1
    shift
    "${plain[@]}" "$@" "$simd" "$text" >"$log" 2>&1
    [ "$(grep -c -- ' -c -o ' "$log")" -eq "$expected" ] || { echo "not $expected compilations: $*" && false; }
}

new_settings_rebuild() {
    compiles 2 CFLAGS=-O0
    compiles 0 CFLAGS=-O0
    compiles 2 CFLAGS='-O0 -g'
    compiles 2 CFLAGS='-O0 -g' CPPFLAGS=-DUNUSED
    compiles 2 CFLAGS='-O0 -g' CPPFLAGS=-DUNUSED CC="env $(command -v cc)"
    compiles 0 CFLAGS='-O0 -g' CPPFLAGS=-DUNUSED CC="env $(command -v cc)" LDFLAGS=-s
}

# A compiler for another machine, which compiles nothing.
other_machine() {
    printf '#!/bin/sh\n[ "$1" != -dumpmachine ] || echo pdp11-linux-gnu\n' >"$work/pdp11-gcc"
    chmod +x "$work/pdp11-gcc"
    command_of "$work/src/cpu/simd/sgd.baseline.o" CC="$work/pdp11-gcc"
    lacks '-march=\|CPU_X86'
    "${plain[@]}" -nB CC="$work/pdp11-gcc" "$work/libtrain.a" >"$log" 2>&1
    grep -q '^pdp11-linux-gnu-ar rcs' "$log"
    lacks 'sgd.avx2.o'
}

# An empty file stands for the program.
installs() {
    local options=(-o "$work/train_gpu" OUT="$work" CUDA=no DESTDIR="$work/stage" PREFIX=/usr --no-print-directory)
    : >"$work/train_gpu"
    make "${options[@]}" install >"$log" 2>&1
    [ -x "$work/stage/usr/bin/train_gpu" ]
    [ -s "$work/stage/usr/share/doc/train_gpu/LICENSE" ]
    [ ! -e docs/manual.md ] || cmp docs/manual.md "$work/stage/usr/share/doc/train_gpu/manual.md"
    make "${options[@]}" uninstall >"$log" 2>&1
    [ -z "$(find "$work/stage" -type f)" ]
}

every_target_is_listed() {
    local target
    make help >"$log"
    for target in all run test debug tsan coverage install uninstall compile_commands.json clean; do
        grep -q "^make $target " "$log" || { echo "make help does not list $target" && false; }
    done
    grep -q '^WERROR=0' "$log"
}

check "the numeric files keep -O3 and their instruction set after CFLAGS" numeric_files_are_fast
check "-O0, -O1, -Og and MODE=debug apply to them, too" debugging_is_respected
check "CPPFLAGS, CFLAGS and LDFLAGS are used" flags_are_used
check "WERROR=0" warnings_can_be_warnings
check "an unknown MODE is refused" unknown_mode
check "another CC, CPPFLAGS or CFLAGS compiles again, another LDFLAGS does not" new_settings_rebuild
check "the compiler decides the target machine" other_machine
check "make install and uninstall" installs
check "make help lists targets and variables" every_target_is_listed
echo "1..$count"
[ "$bad" -eq 0 ]
