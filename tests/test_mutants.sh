#!/usr/bin/env bash
# test_mutants.sh: puts faults into a copy of the CUDA backend, one at a time. For each, a test on the stand-in must
# fail and say why. Builds in a copy of build/sim, so that only what changed is compiled. Prints TAP (tests/run).
set -u
[ -d build/sim/src/kernels ] || {
    printf '1..1\nok 1 # SKIP mutants: no build/sim (make test builds it)\n'
    exit 0
}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
mkdir "$work/build" && cp -a Makefile include src tests bench tools "$work" && cp -a build/sim "$work/build/sim" || exit 1
root=$PWD && cd "$work" || exit 1
count=0 bad=0

report() { # NAME STATUS-OF-THE-CHECK
    count=$((count + 1))
    [ "$2" -eq 0 ] && echo "ok $count - $1" && return
    bad=$((bad + 1))
    echo "not ok $count - $1"
    grep -E "ERROR|cudasim|error" log | head -n 8 | sed 's/^/# /'
}

# The test runs until its output matches the pattern, or to its end. Its output is in log.
build_and_run() { # TEST PATTERN
    make --no-print-directory MODE=sim OUT=build/sim "build/sim/tests/$1" >log 2>&1 || return 250
    { TEST_BACKEND=cuda timeout 120 stdbuf -oL "build/sim/tests/$1" 2>&1; } 2>aborted |
        awk -v pattern="$2" '{ print } $0 ~ pattern { exit }' >log
    return "${PIPESTATUS[0]}"
}

# Replaces LINE by OTHER in FILE and expects TEST to fail with a message that matches PATTERN.
mutant() { # NAME FILE LINE OTHER TEST PATTERN
    local status
    if [ "$(grep -cF -- "$3" "$2")" -ne 1 ]; then
        echo "'$3' is not in one line of $2" >log
        report "$1" 1
        return
    fi
    awk -v line="$3" -v other="$4" 'at = index($0, line) { $0 = substr($0, 1, at - 1) other substr($0, at + length(line)) } 1' \
        "$root/$2" >"$2"
    build_and_run "$5" "$6"
    status=$?
    [ "$status" -ne 0 ] && [ "$status" -ne 250 ] && [ "$status" -ne 124 ] && grep -qE -- "$6" log
    report "$1" $?
    cp -p "$root/$2" "$2" # with its old time, so that the old objects are still good
    rm -rf build/sim/src/kernels build/sim/libtrain.a && cp -a objects build/sim/src/kernels
}

build_and_run test_device '^never$'
report "the unchanged copy passes" $?
cp -a build/sim/src/kernels objects
mutant "a missing barrier" src/kernels/reduce.cuh '__syncthreads();' '' test_norm 'cudasim: .*before any thread of the block wrote it'
mutant "a tail off by one" src/kernels/sgd.cu 'i < a.count; i++' 'i <= a.count; i++' test_sgd_input \
    'velocity: 1 of [0-9]+ are wrong'
mutant "a wrong epsilon" src/kernels/image_norm.cuh '+ n.a.epsilon' '+ 2 * n.a.epsilon' test_norm 'y: .* are wrong'
mutant "a missing event" src/kernels/backend_cuda.c 'return CUDA(error, cudaStreamWaitEvent(stream_of(device, stream), (cudaEvent_t)event, 0));' \
    '(void)error, (void)device, (void)event, (void)stream; return STATUS_OK;' test_device \
    'averages: .* are wrong'
CUDASIM_ORDER=other mutant "a missing fork" src/kernels/side_stream.c 'CUDA(error, cudaStreamWaitEvent(device->side, device->forked, 0)) != STATUS_OK' \
    'false' test_deferred 'deferred, it has other bits'
mutant "a missing join" src/kernels/cudnn_ops.c '(a->accumulate && side_join(error, device) != STATUS_OK)' 'false' \
    test_deferred 'deferred, it has other bits'
mutant "a missing barrier of the grid" src/kernels/fused_batch_norm.cu \
    'cooperative_groups::this_grid().sync();' '' test_norm 'cudasim: .*depends on the order of blocks|y: .* are wrong'
mutant "dropout without its scale" src/kernels/dropout.cuh '1 / (1 - a->dropout)' '1' test_norm 'y: .* are wrong'
echo "1..$count"
[ "$bad" -eq 0 ]
