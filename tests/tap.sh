# shellcheck shell=bash disable=SC2154
# tap.sh: for scripts that say beforehand which tests they have: they source it, set `names`, and call report or skip
# once for each, in that order. What a test printed is to be in $log.
count=0 bad=0

report() { # STATUS-OF-THE-CHECK: of the next test; the log goes with it
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
