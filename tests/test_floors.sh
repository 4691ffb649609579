#!/usr/bin/env bash
# test_floors.sh: a file includes only from its own room or from a room below (CONTRIBUTING.md), a backend
# only from include/ and its own folder, and no host file includes CUDA headers. An include names the
# room of its header: "model/feed.h". Prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
rooms=(include src/host/base src/host/data src/host/network src/host/model src/pictures src/host/run src/host/compare
    src/host) # from the lowest up
backends=(src/cpu src/cpu/simd src/kernels)

declare -A floor=()
for i in "${!rooms[@]}"; do floor[${rooms[i]}]=$i; done
for room in "${backends[@]}"; do floor[$room]=1; done

# The header that FILE includes as NAME: in include/, or below src/host (where the headers of the commands
# have no room in their name), or below src.
header_of() { # FILE NAME
    local folder
    for folder in include src/host src; do
        [ ! -e "$folder/$2" ] || { echo "$folder/$2" && return; }
    done
    echo "# $1 includes '$2', which is in no room" >&2
}

bad=0 arrows=0
fault() {
    echo "# $*"
    bad=1
}
while IFS=: read -r file name; do
    room=$(dirname "$file") header=$(header_of "$file" "$name")
    other=$(dirname "$header")
    arrows=$((arrows + 1))
    if [ -z "${floor[$room]:-}" ] || [ -z "${floor[$other]:-}" ]; then
        fault "$file or '$name' is in no room"
    elif [[ " ${backends[*]} " == *" $room "* ]]; then
        [[ $other == include || $other == "$room" || $room == "$other"/* ]] ||
            fault "$file, of a backend, includes $header"
    elif [[ " ${backends[*]} " == *" $other "* ]]; then
        fault "$file includes $header, of a backend: call it through backend.h"
    elif [ "${floor[$other]}" -gt "${floor[$room]}" ]; then
        fault "$file includes $header, from a room above"
    fi
done < <(grep -HE '^ *# *include "' include/*.h src/*/*.[ch]* src/*/*/*.[ch]* |
    sed -E 's/^([^:]+): *# *include "([^"]+)".*/\1:\2/')
cuda=$(grep -nE '^ *# *include *[<"](cuda|cudnn|cublas|curand)' include/*.h src/host/*.[ch] src/host/*/*.[ch] src/pictures/*.[ch])
[ -z "$cuda" ] || fault "$cuda"
echo "1..1"
if [ "$bad" -eq 0 ] && [ "$arrows" -gt 300 ]; then
    echo "ok 1 - $arrows includes, none from a room above"
else
    echo "not ok 1 - includes from a room above, or none found ($arrows)"
    exit 1
fi
