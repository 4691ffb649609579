# shellcheck shell=bash disable=SC2154
# tap.sh: TAP output for scripts that know their tests beforehand. They set `names`, source this file, and call report
# or skip once for each name, in that order. The output of each test must be in $log.
count=0 bad=0

report() { # STATUS: of the next test; prints its log as well
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - ${names[count - 1]}"
    else
        bad=$((bad + 1))
        echo "not ok $count - ${names[count - 1]}"
    fi
    sed 's/^/# /' "$log"
}

skip() { # REASON
    count=$((count + 1))
    echo "ok $count # SKIP ${names[count - 1]}: $1"
}
