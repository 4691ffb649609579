#!/usr/bin/env bash
# test_floors.sh: a file includes only from its own floor or below (CONTRIBUTING.md), of another folder only what is
# in include/, and no header there includes CUDA's. Prints TAP.
#
# A folder of src has a floor, and a header in include/ that of the folder with its .c file; those without one, and
# what stands between two floors, are named here.
set -u
cd "$(dirname "$0")/.." || exit 1
declare -A floor=(
    [src/host/base]=1 [src/host/data]=2 [src/host/network]=3 [src/cpu]=4 [src/cpu/simd]=4 [src/kernels]=4
    [src/host/model]=5 [src/pictures]=6 [src/host/run]=7 [src/host/compare]=8 [src/host]=9
    [src/host/backends.c]=4 [include/backend.h]=4 [include/device_choice.h]=4
    [include/philox.h]=1 [include/version.h]=1 [include/settings.h]=4 [include/run.h]=6 [include/pictures.h]=6)

floor_of() { # FILE: prints it, or nothing
    local file=$1 folder
    folder=$(dirname "$file")
    if [ "$folder" = include ] && [ -z "${floor[$file]:-}" ]; then
        folder=none
        for file in src/{*,host/*}/"$(basename "$file" .h)".c; do
            [ ! -e "$file" ] || folder=$(dirname "$file")
        done
    fi
    echo "${floor[$file]:-${floor[$folder]:-}}"
}

declare -A known=() # of each header's path
bad=0 arrows=0
for file in include/*.h src/*/*.[ch]* src/*/*/*.[ch]*; do
    own=$(floor_of "$file")
    [ -n "$own" ] || { echo "# $file is on no floor" && bad=1 && continue; }
    while read -r name; do
        header=$(dirname "$file")/$name
        [ "${name#../}" = "$name" ] || header=$(realpath --relative-to=. "$header")
        [ -e "$header" ] || header=include/$name
        [ -e "$header" ] || header=src/kernels/$name
        [ -e "$header" ] || { echo "# $file includes '$name', which is nowhere" && bad=1 && continue; }
        other=${known[$header]:=$(floor_of "$header")}
        arrows=$((arrows + 1))
        case $header in
        src/host/*) [ "$(dirname "$header")" = "$(dirname "$file")" ] ||
            { echo "# $file includes $header, which is private to its folder" && bad=1; } ;;
        esac
        [ "${other:-99}" -le "$own" ] || {
            echo "# $file, on floor $own, includes $header, on floor ${other:-none}"
            bad=1
        }
    done < <(sed -nE 's/^ *# *include "([^"]+)".*/\1/p' "$file")
done
if grep -nE '^ *# *include *[<"](cuda|cudnn|cublas|curand)' include/*.h src/host/*.c src/host/*/*.[ch] | sed 's/^/# /' | grep .; then
    bad=1
fi
echo "1..1"
if [ "$bad" -eq 0 ] && [ "$arrows" -gt 300 ]; then
    echo "ok 1 - $arrows includes, none from a floor above or past the seam"
else
    echo "not ok 1 - includes from a floor above, or none found ($arrows)"
    exit 1
fi
