#!/usr/bin/env bash
# test_find_cuda.sh: tools/find-cuda on fake folders, one for each way to install a CUDA toolkit, cuBLAS and cuDNN, and
# the errors of tools/cuda-toolkit. Of this machine it uses bash, make and a few tools only. Prints TAP (tests/run).
# shellcheck disable=SC2317,SC2016 # tests are called by name; $ORIGIN must not expand
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
unset CUDA_HOME CUDNN_HOME CUDA_ARCH CUDA_VERSION CUDNN_VERSION PYTHON VIRTUAL_ENV MAKEFLAGS MFLAGS MAKELEVEL
mkdir -p "$root/build" && tmp=$(mktemp -d "$root/build/test_find_cuda.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
log=$tmp/log number=0 failed=0
multiarch=$(uname -m)-linux-gnu

mkdir "$tmp/tools"
for tool in bash env sh make awk cat cmp df dirname grep mkdir mv printf readlink rm sort sed tail tr uname; do
    ln -s "$(type -P "$tool")" "$tmp/tools/$tool"
done

# ---- the harness -------------------------------------------------------------------------------

check() { # NAME FUNCTION: runs it in its own shell, with its own repository, system and PATH
    local status
    number=$((number + 1))
    here=$tmp/$number
    repository=$here/repository system=$here/system bin=$here/bin
    mkdir -p "$repository/tools" "$system" "$bin"
    cp "$root/tools/find-cuda" "$root/tools/cuda-toolkit" "$repository/tools"
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
    rm -rf "$here"
}

isolated() { # [NAME=VALUE...] COMMAND...
    env -i HOME="$here/home" PATH="$bin:$tmp/tools" FIND_CUDA_ROOT="$system" "$@"
}

find_cuda() { # [NAME=VALUE...] [-- OPTION...]: its output goes to the log
    local settings=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    isolated ${settings[@]+"${settings[@]}"} "$repository/tools/find-cuda" "${@:2}" >"$log" 2>&1 </dev/null
}

says() { # TEXT...: each is in the log
    local text
    for text in "$@"; do
        grep -qF -e "$text" "$log" || { echo "# missing in the output: $text" && return 1; }
    done
}

says_not() { # TEXT...
    local text
    for text in "$@"; do
        ! grep -qF -e "$text" "$log" || { echo "# unwanted in the output: $text" && return 1; }
    done
}

silent() {
    [ ! -s "$log" ] || { echo "# something was printed" && return 1; }
}

refuses() { # PATTERN [NAME=VALUE...]: exit status 2 and one line that matches, nothing else
    local pattern=$1 got=0
    shift
    find_cuda "$@" || got=$?
    [ "$got" -eq 2 ] || { echo "# exit status $got instead of 2" && return 1; }
    [ "$(grep -c '' "$log")" -eq 1 ] || { echo "# more than one line, or none" && return 1; }
    grep -qE "^train_gpu: .*$pattern" "$log" || { echo "# not this message: $pattern" && return 1; }
}

# ---- made-up folders ---------------------------------------------------------------------------

touch_all() { # FILE...
    local file
    for file in "$@"; do
        mkdir -p "${file%/*}"
        : >"$file"
    done
}

write_nvcc() { # FILE VERSION TOP [ARCHITECTURE...]
    local file=$1 version=$2 top=$3
    shift 3
    [ $# -gt 0 ] || set -- 75 80 86 87 89 90 100 103 120
    mkdir -p "${file%/*}" "$top"
    cat >"$file" <<EOF
#!/bin/sh
case \$1 in
--version) echo "Cuda compilation tools, release $version, V$version.1" ;;
-dryrun) printf '#$ _HERE_=x\n#$ TOP=%s\n#$ PATH=y\n' '$top' >&2 ;;
--list-gpu-code) printf 'sm_%s\n' $* ;;
esac
EOF
    chmod +x "$file"
}

toolkit() { # FOLDER VERSION [ARCHITECTURE...]: as NVIDIA's installer puts it, without cuBLAS
    write_nvcc "$1/bin/nvcc" "$2" "$1" "${@:3}"
    touch_all "$1/include/cuda_runtime.h" "$1/lib64/libcudart_static.a"
}

cublas() { # INCLUDE LIB MAJOR [link]
    touch_all "$1/cublas_v2.h" "$2/libcublas.so.$3" "$2/libcublasLt.so.$3"
    printf '#define CUBLAS_VER_MAJOR %s\n#define CUBLAS_VER_MINOR 1\n#define CUBLAS_VER_PATCH 2\n' "$3" >"$1/cublas_api.h"
    [ $# -lt 4 ] || ln -s "libcublas.so.$3" "$2/libcublas.so"
}

cudnn() { # INCLUDE LIB [link]
    touch_all "$1/cudnn.h" "$2/libcudnn.so.9"
    printf '#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 28\n#define CUDNN_PATCHLEVEL 0\n' >"$1/cudnn_version.h"
    [ $# -lt 3 ] || ln -s libcudnn.so.9 "$2/libcudnn.so"
}

# Everything in /usr/local/cuda.
whole() { # [VERSION [ARCHITECTURE...]]
    local cuda=$system/usr/local/cuda version=${1:-13.0}
    toolkit "$cuda" "$version" "${@:2}"
    cublas "$cuda/include" "$cuda/lib64" "${version%%.*}" link
    cudnn "$cuda/include" "$cuda/lib64" link
}

# Wheels for CUDA 13: all in nvidia/cu13 but cuDNN, no libNAME.so.
wheels_13() { # SITE_PACKAGES
    local cuda=$1/nvidia/cu13
    write_nvcc "$cuda/bin/nvcc" 13.0 "$cuda"
    touch_all "$cuda/include/cuda_runtime.h" "$cuda/lib/libcudart_static.a" "$1/nvidia_cudnn_cu13-9.28.0.42.dist-info/METADATA"
    cublas "$cuda/include" "$cuda/lib" 13
    cudnn "$1/nvidia/cudnn/include" "$1/nvidia/cudnn/lib"
}

# ---- the tests: what is found ------------------------------------------------------------------

nothing_there() {
    find_cuda
    silent
    find_cuda -- --report
    says $'missing\tCUDA\t' $'missing\tcuBLAS\t' $'missing\tcuDNN\t' 'make cuda-toolkit'
    find_cuda -- --outside
    [ "$(tr '\n' ' ' <"$log")" = '0 nvcc cudart cublas cudnn ' ]
}

one_folder() {
    local cuda=$system/usr/local/cuda
    whole
    find_cuda
    says "NVCC=$cuda/bin/nvcc" "CUDA_CFLAGS=-isystem|$cuda/include|-DCUDA_LOWEST_ARCH=75" "-L$cuda/lib64|" \
        "-Wl,-rpath,$cuda/lib64|" '-lcudart_static|-lcublas|-lcudnn|' WITH_CUDA=1
    find_cuda -- --report
    says $'found\tCUDA\tnvcc 13.0, ' $'found\tcuBLAS\t13.1.2, ' $'found\tcuDNN\t9.28.0, '
    says_not missing
}

a_part_is_missing() {
    toolkit "$system/usr/local/cuda" 13.0
    find_cuda
    silent
    find_cuda -- --report
    says $'found\tCUDA\t' $'missing\tcuBLAS\t' $'missing\tcuDNN\t'
    find_cuda -- --outside
    [ "$(tr '\n' ' ' <"$log")" = '13.0 cublas cudnn ' ]
}

wrapper_on_path() {
    local cuda=$here/opt/toolkit
    toolkit "$cuda" 13.0
    cublas "$cuda/include" "$cuda/lib64" 13 link
    cudnn "$cuda/include" "$cuda/lib64" link
    printf '#!/bin/sh\nexec %s "$@"\n' "$cuda/bin/nvcc" >"$bin/nvcc"
    chmod +x "$bin/nvcc"
    find_cuda
    says "NVCC=$bin/nvcc" "-isystem|$cuda/include|" WITH_CUDA=1
    ln -sf "$cuda/bin/nvcc" "$bin/nvcc"
    find_cuda
    says "NVCC=$bin/nvcc" "-isystem|$cuda/include|" WITH_CUDA=1
}

fetched_wheels() {
    wheels_13 "$repository/build/cuda"
    find_cuda
    local nvidia=$repository/build/cuda/nvidia
    says "NVCC=$nvidia/cu13/bin/nvcc" "-isystem|$nvidia/cu13/include|-isystem|$nvidia/cudnn/include|" \
        '-l:libcublas.so.13|-l:libcudnn.so.9|' "-Wl,-rpath,$nvidia/cu13/lib|-Wl,-rpath,$nvidia/cudnn/lib|" WITH_CUDA=1
    find_cuda -- --outside
    says nvcc cudart cublas cudnn
}

fetched_libraries_beside_a_toolkit() {
    toolkit "$system/usr/local/cuda" 13.0
    cublas "$repository/build/cuda/nvidia/cu13/include" "$repository/build/cuda/nvidia/cu13/lib" 13
    cudnn "$repository/build/cuda/nvidia/cudnn/include" "$repository/build/cuda/nvidia/cudnn/lib"
    find_cuda
    says "NVCC=$system/usr/local/cuda/bin/nvcc" '-l:libcublas.so.13|-l:libcudnn.so.9' WITH_CUDA=1
    says_not "-Wl,-rpath,$system/usr/local/cuda/lib64" # nothing of it is needed at run time
}

wheels_of_python() {
    wheels_13 "$here/venv/lib/python3.12/site-packages"
    touch_all "$here/venv/bin/python3"
    chmod +x "$here/venv/bin/python3"
    bin=$here/venv/bin
    find_cuda
    says "NVCC=$here/venv/lib/python3.12/site-packages/nvidia/cu13/bin/nvcc" WITH_CUDA=1
    find_cuda -- --libraries
    says "$here/venv/lib/python3.12/site-packages/nvidia/cu13/lib:$here/venv/lib/python3.12/site-packages/nvidia/cudnn/lib"
}

wheels_of_pyenv() {
    wheels_13 "$here/pyenv/versions/3.12.1/lib/python3.12/site-packages"
    touch_all "$here/pyenv/shims/python3"
    chmod +x "$here/pyenv/shims/python3"
    bin=$here/pyenv/shims
    find_cuda
    says "NVCC=$here/pyenv/versions/3.12.1/lib/python3.12/site-packages/nvidia/cu13/bin/nvcc" WITH_CUDA=1
}

# Wheels for CUDA 12 have a folder for each part.
wheels_of_12() {
    local site=$system/usr/local/lib/python3.11/dist-packages
    touch_all "$bin/python3" "$site/nvidia/cuda_runtime/include/cuda_runtime.h" "$site/nvidia/cuda_runtime/lib/libcudart.so.12"
    chmod +x "$bin/python3"
    write_nvcc "$bin/nvcc" 12.8 "$here/opt/empty"
    cublas "$site/nvidia/cublas/include" "$site/nvidia/cublas/lib" 12
    cudnn "$site/nvidia/cudnn/include" "$site/nvidia/cudnn/lib"
    touch_all "$site/nvidia_cudnn_cu12-9.10.2.21.dist-info/METADATA"
    find_cuda
    says "-isystem|$site/nvidia/cuda_runtime/include|" '-l:libcudart.so.12|-l:libcublas.so.12|-l:libcudnn.so.9' \
        "-Wl,-rpath,$site/nvidia/cuda_runtime/lib|" WITH_CUDA=1
}

# As a machine with PyTorch has them: no nvcc, and perhaps no headers.
libraries_alone() {
    local site=$here/venv/lib/python3.12/site-packages lib
    touch_all "$here/venv/bin/python3" "$site/nvidia/cu13/lib/libcublas.so.13" "$site/nvidia/cu13/lib/libnvrtc.so.13" \
        "$site/nvidia/cudnn/lib/libcudnn.so.9" "$site/nvidia_cudnn_cu13-9.28.0.42.dist-info/METADATA"
    chmod +x "$here/venv/bin/python3"
    bin=$here/venv/bin
    for lib in 13 ''; do
        find_cuda -- --libraries "$lib"
        [ "$(<"$log")" = "$site/nvidia/cu13/lib:$site/nvidia/cudnn/lib" ] || return 1
    done
    find_cuda -- --libraries 12
    says_not cudnn cu13
}

libraries_of_12_alone() {
    local site=$here/elsewhere
    touch_all "$site/nvidia/cublas/lib/libcublas.so.12" "$site/nvidia/cudnn/lib/libcudnn.so.9" \
        "$site/nvidia/cuda_nvrtc/lib/libnvrtc.so.12" "$site/nvidia_cudnn_cu12-9.10.2.21.dist-info/METADATA"
    printf '#!/bin/sh\ncase "$*" in *"import nvidia"*) echo "%s" ;; esac\n' "$site/nvidia" >"$bin/mine"
    chmod +x "$bin/mine"
    find_cuda PYTHON="$bin/mine" -- --libraries 12
    [ "$(<"$log")" = "$site/nvidia/cublas/lib:$site/nvidia/cudnn/lib:$site/nvidia/cuda_nvrtc/lib" ]
}

other_versions_are_left() {
    local site=$system/usr/local/lib/python3.11/dist-packages
    touch_all "$bin/python3"
    chmod +x "$bin/python3"
    toolkit "$system/usr/local/cuda" 12.8
    cublas "$site/nvidia/cu13/include" "$site/nvidia/cu13/lib" 13
    cudnn "$site/nvidia/cudnn/include" "$site/nvidia/cudnn/lib"
    touch_all "$site/nvidia_cudnn_cu13-9.28.0.42.dist-info/METADATA"
    find_cuda
    silent
    find_cuda -- --outside
    [ "$(tr '\n' ' ' <"$log")" = '12.8 cublas cudnn ' ]
}

# nvcc in /usr/bin, a wrapper; headers and libraries among all the others.
debian() {
    local lib=$system/usr/lib/$multiarch
    write_nvcc "$bin/nvcc" 12.4 "$system/usr/lib/nvidia-cuda-toolkit" 75 80 86 89 90
    touch_all "$system/usr/include/cuda_runtime.h" "$lib/libcudart_static.a"
    cublas "$system/usr/include" "$lib" 12 link
    cudnn "$system/usr/include/$multiarch" "$lib" link
    find_cuda
    says "CUDA_CFLAGS=-isystem|$system/usr/include/$multiarch|-DCUDA" '-lcudart_static|-lcublas|-lcudnn|' WITH_CUDA=1
    says_not "-isystem|$system/usr/include|" "-L$lib" "-Wl,-rpath,$lib"
}

too_old() {
    whole 11.8
    find_cuda
    silent
    find_cuda -- --report
    says $'missing\tCUDA\t' 'is of CUDA 11.8' '12.0 or later'
    refuses "CUDA_HOME=$system/usr/local/cuda: .*11.8; CUDA 12.0 or later is needed" CUDA_HOME="$system/usr/local/cuda"
}

# ---- what is asked for -------------------------------------------------------------------------

cuda_home() {
    whole
    toolkit "$here/mine" 13.1
    cublas "$here/mine/include" "$here/mine/lib64" 13 link
    find_cuda CUDA_HOME="$here/mine"
    says "NVCC=$here/mine/bin/nvcc" "-isystem|$here/mine/include|-isystem|$system/usr/local/cuda/include|" WITH_CUDA=1
    refuses "CUDA_HOME=/does/not/exist: it has no bin/nvcc" CUDA_HOME=/does/not/exist
    touch_all "$here/empty/bin/nvcc"
    chmod +x "$here/empty/bin/nvcc"
    refuses "CUDA_HOME=.*does not run" CUDA_HOME="$here/empty"
    find_cuda CUDA_HOME=
    says "NVCC=$system/usr/local/cuda/bin/nvcc"
}

cudnn_home() {
    whole
    cudnn "$here/mine/include" "$here/mine/lib" link
    find_cuda CUDNN_HOME="$here/mine"
    says "-isystem|$here/mine/include|" "-L$here/mine/lib|" "-Wl,-rpath,$here/mine/lib|" WITH_CUDA=1
    refuses "CUDNN_HOME=/does/not/exist: no include/cudnn.h" CUDNN_HOME=/does/not/exist
}

architectures() {
    whole
    find_cuda
    says 'CUDA_GENCODE=-gencode=arch=compute_75,code=sm_75|-gencode=arch=compute_80,code=sm_80|' \
        'compute_120,code=sm_120|-gencode=arch=compute_75,code=compute_75|-gencode=arch=compute_120,code=compute_120'
    says_not sm_87 sm_103 code=compute_90
    find_cuda CUDA_ARCH=90
    says 'CUDA_GENCODE=-gencode=arch=compute_90,code=sm_90|-gencode=arch=compute_90,code=compute_90' -DCUDA_LOWEST_ARCH=90
    [ "$(grep -o code=compute_ "$log" | wc -l)" -eq 1 ]
    says_not sm_80
    for words in '90 80' 80,90 ' 90  80 '; do
        find_cuda CUDA_ARCH="$words"
        says compute_80,code=sm_80 compute_90,code=sm_90 -DCUDA_LOWEST_ARCH=80 \
            '|-gencode=arch=compute_80,code=compute_80|-gencode=arch=compute_90,code=compute_90'
        says_not sm_75 code=compute_75
    done
    find_cuda CUDA_ARCH=87 # not among ours, but nvcc's
    says compute_87,code=sm_87
    refuses "CUDA_ARCH='70'.*has no 70; it has 75 80 86 87" CUDA_ARCH=70
    refuses "CUDA_ARCH='sm_90': expected numbers" CUDA_ARCH=sm_90
    refuses "CUDA_ARCH='80 9.0': expected numbers" CUDA_ARCH='80 9.0'
}

architectures_of_an_older_nvcc() {
    whole 12.4 70 75 80 86 89 90
    find_cuda
    says 'code=sm_90|-gencode=arch=compute_75,code=compute_75|-gencode=arch=compute_90,code=compute_90'
    says_not sm_70 sm_100 sm_120
}

architectures_of_a_later_nvcc() {
    whole 14.0 80 86 89 90 100 120
    find_cuda
    says -DCUDA_LOWEST_ARCH=80
}

no_toolkit_but_wrong_architecture() {
    refuses "CUDA_ARCH='new': expected numbers" CUDA_ARCH=new
}

blanks_in_a_path() {
    toolkit "$here/my cuda" 13.0
    cublas "$here/my cuda/include" "$here/my cuda/lib64" 13 link
    cudnn "$here/my cuda/include" "$here/my cuda/lib64" link
    refuses "my cuda.*blanks" CUDA_HOME="$here/my cuda"
}

# As the Makefile reads it, down to what the linker is given.
through_make() {
    whole
    cat >"$here/Makefile" <<'EOF'
FOUND_CUDA := $(shell repository/tools/find-cuda)
$(foreach line,$(FOUND_CUDA),$(eval $(subst |, ,$(line))))
all:
	@printf '<%s>\n' $(CUDA_LIBS) $(CUDA_GENCODE) $(WITH_CUDA)
EOF
    isolated make --no-print-directory -C "$here" >"$log" 2>&1
    says '<-Wl,-rpath,$ORIGIN/lib>' "<-Wl,-rpath,$system/usr/local/cuda/lib64>" '<-lcudnn>' '<-gencode=arch=compute_90,code=sm_90>' '<1>'
}

# ---- fetching, as far as it goes without a network ---------------------------------------------

fetch() { # STATUS TEXT
    local got=0
    isolated "$repository/tools/cuda-toolkit" >"$log" 2>&1 </dev/null || got=$?
    [ "$got" -eq "$1" ] || { echo "# exit status $got instead of $1" && return 1; }
    says "$2"
    [ ! -e "$repository/build/cuda" ]
}

nothing_to_fetch() {
    whole
    fetch 0 'nothing is missing'
}

no_python() {
    fetch 1 'python3 not found'
}

no_pip() {
    printf '#!/bin/sh\nexit 1\n' >"$bin/python3"
    chmod +x "$bin/python3"
    fetch 1 'python3 has no pip'
}

no_network() {
    printf '#!/bin/sh\ncase "$*" in *--version) exit 0 ;; esac\necho "ERROR: no route" >&2\nexit 1\n' >"$bin/python3"
    chmod +x "$bin/python3"
    fetch 1 'ERROR: no route'
    says 'cannot be reached'
}

check "nothing there" nothing_there
check "everything in /usr/local/cuda" one_folder
check "a toolkit without cuBLAS and cuDNN" a_part_is_missing
check "nvcc on the PATH as a wrapper and as a link" wrapper_on_path
check "wheels in build/cuda" fetched_wheels
check "libraries in build/cuda beside a toolkit" fetched_libraries_beside_a_toolkit
check "wheels beside the python3 on the PATH" wheels_of_python
check "wheels of a pyenv" wheels_of_pyenv
check "wheels for CUDA 12" wheels_of_12
check "libraries of Python alone, without nvcc and headers" libraries_alone
check "libraries for CUDA 12, of a Python that is named" libraries_of_12_alone
check "libraries for another CUDA are left alone" other_versions_are_left
check "Debian's folders" debian
check "a toolkit that is too old" too_old
check "CUDA_HOME" cuda_home
check "CUDNN_HOME" cudnn_home
check "CUDA_ARCH and the default architectures" architectures
check "an nvcc without the newest architectures" architectures_of_an_older_nvcc
check "an nvcc without the oldest architecture" architectures_of_a_later_nvcc
check "a wrong CUDA_ARCH without a toolkit" no_toolkit_but_wrong_architecture
check "a folder with a blank in its name" blanks_in_a_path
check "through make and the shell" through_make
check "nothing to fetch" nothing_to_fetch
check "fetching without python3" no_python
check "fetching without pip" no_pip
check "fetching without a network" no_network
echo "1..$number"
exit $failed
