# train_gpu: `make help` lists the targets.
#
# MODE=release (default), asan (AddressSanitizer and UBSan, CPU only) or sim (the CUDA backend on its stand-in,
# tests/cudasim); each has its own folder under build/.
# V=1 prints the whole commands.

MODE    ?= release
V       ?= 0
SAY     := $(if $(filter 1,$(V)),@true,@printf '  %-4s %s\n')
Q       := $(if $(filter 1,$(V)),,@)
CC      ?= cc
CXX     ?= c++
OUT     := build/$(MODE)
ARCH    := $(shell uname -m)
# For the builds inside other targets: as many jobs as there are cores, unless make was told a number.
JOBS     = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

# Includes name the room: "model/feed.h", "pictures/canvas.h"; those without one are the interface in include/.
ROOMS   := -iquote include -iquote src/host -iquote src
WARN    := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CFLAGS  ?= -O3 -g
BASE    := -std=c11 -D_GNU_SOURCE $(WARN) $(ROOMS) -MMD -MP -fopenmp -ffp-contract=fast
LDLIBS  := -ljansson -lpng -lpthread -lm
ifeq ($(MODE),asan)
SANITIZE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
endif

# ---- CUDA -------------------------------------------------------------------------------------

# tools/find-cuda prints NAME=VALUE: NVCC, CUDA_CFLAGS, CUDA_LIBS, CUDA_GENCODE, and WITH_CUDA=1; nothing if a part is
# missing. CUDA_HOME, CUDNN_HOME or CUDA_ARCH that are given and wrong are an error.
ifeq ($(MODE),release)
FOUND_CUDA := $(shell CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" CUDA_ARCH="$(CUDA_ARCH)" tools/find-cuda)
ifneq ($(.SHELLSTATUS),0)
$(error what was given for CUDA cannot be used, see above)
endif
$(foreach line,$(FOUND_CUDA),$(eval $(subst |, ,$(line))))
endif
ifeq ($(MODE),sim)
WITH_CUDA   := 1
SIM         := tests/cudasim
CUDA_CFLAGS := -isystem $(SIM)/include -DCUDASIM
CUDA_LIBS   := -lstdc++
endif
NVCCFLAGS := -std=c++17 -O3 -lineinfo -Xcompiler -iquote,include,-iquote,src -Werror all-warnings -Xcompiler -Wall,-Wextra
CXXFLAGS  ?= -O2 -g
BASE_CXX  := -std=c++17 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -iquote include -iquote src -MMD -MP

# ---- cairo ------------------------------------------------------------------------------------

# What src/pictures draws with. Without it, or with CAIRO=no, none.c there is built instead of all else: it says why
# there are no pictures.
PKG_CONFIG  ?= pkg-config
CAIRO_PARTS := cairo-ft fontconfig libpng
ifneq ($(CAIRO),no)
WITH_CAIRO  := $(shell $(PKG_CONFIG) --exists $(CAIRO_PARTS) 2>/dev/null && echo 1)
endif
ifeq ($(WITH_CAIRO),1)
CAIRO_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(CAIRO_PARTS))
CAIRO_LIBS   := $(shell $(PKG_CONFIG) --libs $(CAIRO_PARTS))
endif

# ---- what is built ----------------------------------------------------------------------------

# src/cpu/simd is compiled once for each instruction set and picked at run time (src/cpu/simd/variant.h).
ifeq ($(ARCH),x86_64)
VARIANTS      := baseline avx2 avx512
VARIANT_FLAGS := -DCPU_X86
else
VARIANTS      := baseline
endif
FLAGS_baseline :=
FLAGS_avx2     := -march=x86-64-v3
FLAGS_avx512   := -march=x86-64-v4 -mprefer-vector-width=512

HOST_SOURCES := $(filter-out src/host/main.c,$(wildcard src/host/*.c src/host/*/*.c)) $(wildcard src/cpu/*.c)
PICTURE_SOURCES := $(if $(WITH_CAIRO),$(filter-out src/pictures/none.c,$(wildcard src/pictures/*.c)),src/pictures/none.c)
SIMD_SOURCES := $(wildcard src/cpu/simd/*.c)
KERNEL_SOURCES := $(wildcard src/kernels/*.c)
KERNELS        := $(wildcard src/kernels/*.cu)
SIM_SOURCES    := $(if $(SIM),$(wildcard $(SIM)/*.cpp))
OBJECTS := $(HOST_SOURCES:%.c=$(OUT)/%.o) $(PICTURE_SOURCES:%.c=$(OUT)/%.o) \
  $(foreach v,$(VARIANTS),$(SIMD_SOURCES:%.c=$(OUT)/%.$(v).o)) \
  $(if $(WITH_CUDA),$(KERNEL_SOURCES:%.c=$(OUT)/%.o) $(KERNELS:%.cu=$(OUT)/%.cu.o)) \
  $(SIM_SOURCES:%.cpp=$(OUT)/%.o)
FORMATTED := $(wildcard include/*.h src/*/*.[ch] src/*/*/*.[ch] src/kernels/*.cu src/kernels/*.cuh tests/*.[ch] \
  tests/cudasim/*.[ch]* tests/cudasim/*/*.[ch]* tests/fuzz/*.[ch] bench/*.[ch] tools/*.c)
# The stand-in's build runs the tests that need a device, and those of the stand-in itself; the others belong to
# no backend.
DEVICE_TESTS := conv norm pool_loss sgd_input device agreement train model_weights resume predict fixtures
ifeq ($(MODE),sim)
TEST_SOURCES := $(DEVICE_TESTS:%=tests/test_%.c) tests/test_faults.c
TESTS := $(TEST_SOURCES:tests/%.c=$(OUT)/tests/%) \
  $(patsubst $(SIM)/tests/%.c,$(OUT)/tests/%,$(wildcard $(SIM)/tests/test_*.c)) \
  $(patsubst $(SIM)/tests/%.cpp,$(OUT)/tests/%,$(wildcard $(SIM)/tests/test_*.cpp))
else
TEST_SOURCES := $(wildcard tests/test_*.c)
TESTS := $(TEST_SOURCES:tests/%.c=$(OUT)/tests/%)
endif
BENCHMARKS    := bench_layers bench_step bench_kernels
BENCH_HELPERS := $(patsubst bench/%.c,$(OUT)/bench/%.o,$(filter-out bench/bench_%.c,$(wildcard bench/*.c)))
TEST_HELPERS := $(patsubst tests/%.c,$(OUT)/tests/%.o,$(filter-out tests/test_%.c tests/fault%.c,$(wildcard tests/*.c)))
# The tests in which calls fail: they go through tests/faults.c.
FAULT_TESTS   := test_faults test_report_faults $(if $(SIM),test_cuda_faults)
FAULT_HELPERS := $(OUT)/tests/faults.o $(OUT)/tests/fault_runs.o $(OUT)/tests/fault_reports.o
FAULTY := malloc calloc realloc aligned_alloc strdup free open read pread write fsync ftruncate rename unlink mkdir \
  close fopen getline __getdelim open_memstream png_create_write_struct png_create_info_struct pthread_create \
  clock_seconds json_loadb

# What reads files from elsewhere, under libFuzzer: clang alone, and all host sources that need no OpenMP, of which
# each target takes what it calls.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_FLAGS   := -std=c11 -D_GNU_SOURCE $(WARN) $(ROOMS) -iquote tests -MMD -MP -O1 -g \
  -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZERS      := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SOURCES := $(filter-out %/main.c %/info.c,$(wildcard src/host/*.c src/host/*/*.c)) tests/fuzz/fuzz.c tests/png_chunks.c

.DEFAULT_GOAL := all
.PHONY: all help run parts setup test test-long tests sim cuda-toolkit gpu-check bench fuzz fuzzers data readme-figures lint format
.PHONY: clean
.SECONDARY:

## ---- targets ---------------------------------------------------------------------------------

all: parts train_gpu ## builds ./train_gpu, and says which parts were found

run: ## installs what is missing, builds, fetches CIFAR-10, trains: make run ARGS="--norm bn --epochs 2"
	@tools/run $(ARGS)

test: setup ## installs what is missing, builds, runs every test, plain and under the sanitizers
	@$(MAKE) $(JOBS) --no-print-directory MODE=release OUT=build/release tests
	@$(MAKE) $(JOBS) --no-print-directory MODE=asan OUT=build/asan tests
	@$(MAKE) $(JOBS) --no-print-directory MODE=sim OUT=build/sim tests
	@tests/run build/release build/asan build/sim

test-long: setup ## the tests in their long forms: 20 epochs of each network on the real data among them
	@$(MAKE) --no-print-directory MODE=release OUT=build/release tests
	@TEST_LONG=1 tests/run build/release

sim: setup ## builds build/sim/train_gpu: the CUDA backend on its stand-in, for machines without a GPU
	@$(MAKE) $(JOBS) --no-print-directory MODE=sim OUT=build/sim build/sim/train_gpu

bench: setup ## layers, kernels and whole steps on this machine: the GPU if there is one, and the CPU
	@$(MAKE) $(JOBS) --no-print-directory MODE=release OUT=build/release $(BENCHMARKS:%=build/release/bench/%)
	@for norm in bn gn ln; do build/release/bench/bench_layers $$norm reference || exit; done
	@build/release/bench/bench_kernels
	@build/release/bench/bench_step --batch 128 --samples 5

fuzz: ## fuzzes the readers of weights, images, data files and finished runs, 60 s each: make fuzz FUZZ_SECONDS=600
	@tools/setup build fuzz
	@$(MAKE) $(JOBS) --no-print-directory fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/test_fuzz.sh

cuda-toolkit: ## fetches what is missing of nvcc, CUDA runtime, cuBLAS and cuDNN into build/cuda (up to 2 GB), without root
	@CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" tools/cuda-toolkit

gpu-check: ## on a machine with a GPU: tests, sanitizers and benchmarks on it: make gpu-check PARTS="tests step"
	@CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" CUDA_ARCH="$(CUDA_ARCH)" tools/gpu-check $(PARTS)

data: ## puts CIFAR-10 into data/cifar-10-batches-bin
	@tools/fetch-cifar10

readme-figures: setup ## trains what README.md tells of (hours on a CPU; goes on where it was stopped) and makes its figures
	@$(MAKE) --no-print-directory all
	@[ -n "$$CIFAR10_DIR" ] || tools/fetch-cifar10
	@tools/readme-figures $(ARGS)

lint: ## clang-format, clang-tidy, cppcheck and shellcheck over the sources
	@tools/setup build pictures lint
	@tools/lint

format: ## formats the C sources in place
	@tools/setup lint
	clang-format -i $(FORMATTED)

clean: ## removes what was built; data, runs and build/cuda stay
	rm -rf $(filter-out build/cuda build/cuda.part,$(wildcard build/*)) train_gpu

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

setup:
	@tools/setup

parts:
	@CC="$(CC)" CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" CUDA_ARCH="$(CUDA_ARCH)" PKG_CONFIG="$(PKG_CONFIG)" \
	  CAIRO="$(CAIRO)" tools/parts

fuzzers: $(FUZZERS)

tests: $(OUT)/train_gpu $(TESTS) $(BENCHMARKS:%=$(OUT)/bench/%)

## ---- rules -----------------------------------------------------------------------------------

train_gpu: $(OUT)/train_gpu
	@cp -f $< $@

$(OUT)/train_gpu: $(OUT)/src/host/main.o $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $^ $(LDFLAGS) $(LDLIBS) $(CAIRO_LIBS) $(CUDA_LIBS)

$(OUT)/libtrain.a: $(OBJECTS) $(OUT)/cairo-settings
	@rm -f $@
	@$(AR) rcs $@ $(OBJECTS)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(BASE) $(CFLAGS) $(SANITIZE) $(VARIANT_FLAGS) -c -o $@ $<

$(OUT)/src/host/model/device_choice.o: VARIANT_FLAGS += $(if $(WITH_CUDA),-DHAVE_CUDA)
$(OUT)/src/kernels/%.o: VARIANT_FLAGS += $(CUDA_CFLAGS)
$(OUT)/src/pictures/%.o: VARIANT_FLAGS += $(CAIRO_CFLAGS)
$(OUT)/bench/device_copy.o: VARIANT_FLAGS += $(if $(WITH_CUDA),-DHAVE_CUDA $(CUDA_CFLAGS))

# What depends on the CUDA toolkit, or on cairo, is built again when another one is found, or none any more.
CUDA_SETTINGS  := WITH_CUDA=$(WITH_CUDA) $(NVCC) $(CUDA_CFLAGS) $(CUDA_GENCODE) $(CUDA_LIBS)
CAIRO_SETTINGS := WITH_CAIRO=$(WITH_CAIRO) $(CAIRO_CFLAGS) $(CAIRO_LIBS)
$(OUT)/src/host/model/device_choice.o $(OUT)/bench/device_copy.o $(KERNEL_SOURCES:%.c=$(OUT)/%.o) $(KERNELS:%.cu=$(OUT)/%.cu.o): \
  $(OUT)/cuda-settings
$(PICTURE_SOURCES:%.c=$(OUT)/%.o): $(OUT)/cairo-settings
$(OUT)/cuda-settings: SETTINGS = $(CUDA_SETTINGS)
$(OUT)/cairo-settings: SETTINGS = $(CAIRO_SETTINGS)
$(OUT)/cuda-settings $(OUT)/cairo-settings: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(SETTINGS))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(SETTINGS))' >$@
.PHONY: FORCE
FORCE:

ifeq ($(MODE),sim)
# No optimization across what the stand-in watches; misaligned 16-byte accesses trap.
$(OUT)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(SAY) SIM $@
	$(Q)$(CXX) $(BASE_CXX) $(CXXFLAGS) -fsanitize=alignment -fsanitize-undefined-trap-on-error $(CUDA_CFLAGS) -x c++ -c -o $@ $<

$(OUT)/%.o: %.cpp
	@mkdir -p $(@D)
	$(SAY) CXX $@
	$(Q)$(CXX) $(BASE_CXX) $(CXXFLAGS) -fsanitize=alignment -fsanitize-undefined-trap-on-error -iquote $(SIM) $(CUDA_CFLAGS) -c -o $@ $<

$(OUT)/tests/%: $(OUT)/$(SIM)/tests/%.o $(TEST_HELPERS) $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) -fopenmp -o $@ $(filter %.o,$^) $(OUT)/libtrain.a $(LDFLAGS) -lcmocka -lpng $(LDLIBS) $(CAIRO_LIBS) $(CUDA_LIBS)

$(OUT)/$(SIM)/tests/%.o: VARIANT_FLAGS += $(CUDA_CFLAGS) -iquote $(SIM) -iquote tests
else
$(OUT)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(SAY) NVCC $@
	$(Q)$(NVCC) $(NVCCFLAGS) $(CUDA_GENCODE) $(CUDA_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
endif

define variant_rule
$(OUT)/src/cpu/simd/%.$(1).o: src/cpu/simd/%.c
	@mkdir -p $$(@D)
	$$(SAY) CC $$@
	$$(Q)$$(CC) $$(BASE) $$(CFLAGS) $$(SANITIZE) $$(FLAGS_$(1)) -DVARIANT=$(1) -c -o $$@ $$<
endef
$(foreach v,$(VARIANTS),$(eval $(call variant_rule,$(v))))

$(OUT)/tests/%: $(OUT)/tests/%.o $(TEST_HELPERS) $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $(filter %.o,$^) $(OUT)/libtrain.a $(LDFLAGS) -lcmocka -lpng $(LDLIBS) $(CAIRO_LIBS) $(CUDA_LIBS)

$(FAULT_TESTS:%=$(OUT)/tests/%): override LDFLAGS += $(FAULTY:%=-Wl,--wrap=%)
$(FAULT_TESTS:%=$(OUT)/tests/%): $(FAULT_HELPERS)

$(OUT)/bench/%: $(OUT)/bench/%.o $(BENCH_HELPERS) $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $^ $(LDFLAGS) $(LDLIBS) $(CAIRO_LIBS) $(CUDA_LIBS)

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) FUZZ $@
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<

build/fuzz/libhost.a: $(FUZZ_SOURCES:%.c=build/fuzz/%.o)
	@rm -f $@
	@$(AR) rcs $@ $^

build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libhost.a
	$(SAY) LINK $@
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)

build/tools/sheets_to_bin: tools/sheets_to_bin.c
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -g -o $@ $< -lpng -ljansson

-include $(shell find $(OUT) build/fuzz -name '*.d' 2>/dev/null)
