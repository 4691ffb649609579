# shellcheck shell=bash disable=SC2154
# tap.sh: for scripts that know their tests in advance. They source it, set `names`, and call report or skip once for
# each test, in order. $log must hold the test's output.
count=0 bad=0

report() { # STATUS-OF-THE-CHECK: reports the next test, with its log
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
