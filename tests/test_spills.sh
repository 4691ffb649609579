#!/usr/bin/env bash
# test_spills.sh: the norm kernels keep their data in registers: none has a stack frame or a spill, on three
# architectures, the oldest and the newest among them. Compiles them with nvcc, needs no GPU. Prints TAP (tests/run).
set -u
cd "$(dirname "$0")/.." || exit 1
found=$(tools/find-cuda 2>/dev/null)
NVCC=${NVCC:-$(sed -n 's/^NVCC=//p' <<<"$found")}
NVCC=${NVCC:-$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc)}
kernels=(group_norm norm_gradients filter batch_norm fused_batch_norm muon) # layer_norm.cu has no kernel of its own

if ! codes=$("${NVCC:-nvcc}" --list-gpu-code 2>/dev/null); then
    echo "ok 1 # SKIP spills: no nvcc"
    echo "1..1"
    exit 0
fi
architectures=()
for architecture in sm_75 sm_90 sm_120; do # an older nvcc does not know the newest
    grep -qx "$architecture" <<<"$codes" && architectures+=("$architecture")
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# check.h uses types of cuDNN and cuBLAS; the stand-in's headers will do to compile a kernel.
mkdir "$work/include"
ln -s "$PWD/tests/cudasim/include/cudnn.h" "$PWD/tests/cudasim/include/cublas_v2.h" "$work/include/"
read -ra flags <<<"$(sed -n 's/^CUDA_CFLAGS=//p' <<<"$found" | tr '|' ' ')"
flags+=(-std=c++17 -O3 -Xcompiler "-iquote,include,-iquote,src" -isystem "$work/include" -Xptxas -v)

# compile ARCHITECTURE: writes the output of ptxas for each file to $work/FILE.ARCHITECTURE.
compile() {
    local kernel report
    for kernel in "${kernels[@]}"; do
        report=$work/$kernel.$1
        "$NVCC" "${flags[@]}" -arch="$1" -cubin -o "$report.cubin" "src/kernels/$kernel.cu" >"$report" 2>&1 ||
            echo "nvcc failed" >>"$report"
    done
}

for architecture in "${architectures[@]}"; do # two at a time
    [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
    compile "$architecture" &
done
wait

# Prints the kernels with a stack frame or spills, from lines "Function properties for KERNEL" and "N bytes stack frame,
# N bytes spill stores, N bytes spill loads", and errors of nvcc.
offenders() { # REPORT
    awk '/Function properties for/ { kernel = $NF }
         /bytes stack frame/ { seen++ }
         /bytes stack frame/ && !/^ *0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads/ {
             print kernel ":" $0
         }
         /error|fatal|nvcc failed/
         END { if (!seen) print "no kernels" }' "$1"
}

count=0 bad=0
for architecture in "${architectures[@]}"; do
    for kernel in "${kernels[@]}"; do
        count=$((count + 1))
        name="$kernel.cu stays in registers on $architecture"
        offenders "$work/$kernel.$architecture" >"$work/offenders"
        if [ -s "$work/offenders" ]; then
            bad=$((bad + 1))
            echo "not ok $count - $name"
            sed 's/^/#   /' "$work/offenders"
        else
            echo "ok $count - $name"
        fi
    done
done
echo "1..$count"
[ "$bad" -eq 0 ]
