# train_gpu: `make help` lists the targets and the variables.

#: MODE=release    the build, in build/MODE: release, debug, asan, tsan, coverage, sim
#: CC= CXX= CPPFLAGS= CFLAGS= CXXFLAGS= LDFLAGS=   as usual; a change rebuilds what it affects
#: WERROR=0        warnings are not errors
#: V=1             prints the whole commands
#: CUDA=no CAIRO=no   builds without CUDA, without pictures
#: CUDA_HOME= CUDNN_HOME= CUDA_ARCH="80 90"   where CUDA is, and the architectures to build for
#: PREFIX=/usr/local DESTDIR=   where make install puts the program and its manual
#: SETUP=no        installs no packages; what is missing is listed

MODE    ?= release
ifeq ($(filter release debug asan tsan coverage sim,$(MODE)),)
$(error MODE=$(MODE): one of release, debug, asan, tsan, coverage, sim is wanted)
endif
V       ?= 0
SAY     := $(if $(filter 1,$(V)),@true,@printf '  %-4s %s\n')
Q       := $(if $(filter 1,$(V)),,@)
CC      ?= cc
CXX     ?= c++
OUT     := build/$(MODE)
PREFIX  ?= /usr/local
# For the makes inside other targets: one job per core, unless make was given -j.
JOBS     = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

# The compiler says what it builds for. CROSS is the prefix of the binary tools if that is not this machine.
TRIPLET := $(shell $(CC) -dumpmachine 2>/dev/null)
MACHINE := $(shell uname -m)
ARCH    := $(or $(firstword $(subst -, ,$(TRIPLET))),$(MACHINE))
CROSS   := $(if $(filter-out $(MACHINE),$(ARCH)),$(TRIPLET)-)
ifeq ($(origin AR),default)
AR      := $(CROSS)ar
endif

# Includes name the room: "model/feed.h", "pictures/canvas.h"; those without one are the interface in include/.
ROOMS   := -iquote include -iquote src/host -iquote src
ERRORS  := $(if $(filter 0,$(WERROR)),,-Werror)
WARN    := -Wall -Wextra -Wpedantic $(ERRORS) -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CFLAGS  ?= -O3 -g
BASE    := -std=c11 -D_GNU_SOURCE $(WARN) $(ROOMS) -MMD -MP -fopenmp -ffp-contract=fast
LDLIBS  := -ljansson -lpng -lpthread -lm

# What a mode adds after CFLAGS.
MODE_debug    := -O0 -g3
MODE_asan     := -O2 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan     := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
MODE_coverage := -O1 -g --coverage -fprofile-update=atomic
MODE_FLAGS    := $(MODE_$(MODE))

# src/cpu/simd goes after CFLAGS too: distributions and conda export -O2, with which a step takes 2.8 times as long.
# -O0, -O1 and -Og are a debugging wish and stay.
SPEED   := $(if $(MODE_FLAGS)$(filter -O -O0 -O1 -Og,$(lastword $(filter -O%,$(CFLAGS)))),,-O3)
# Under the sanitizers -O3 checks whole vectors, and training takes six tenths of the time that -O2 takes.
SPEED_asan := -O3

# ---- CUDA -------------------------------------------------------------------------------------

# tools/find-cuda prints NAME=VALUE for NVCC, CUDA_CFLAGS, CUDA_LIBS, CUDA_GENCODE and WITH_CUDA, or nothing if a part
# is missing. A wrong CUDA_HOME, CUDNN_HOME or CUDA_ARCH is an error.
ifeq ($(filter no,$(CUDA))$(CROSS)$(filter-out release debug,$(MODE)),)
FOUND_CUDA := $(shell CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" CUDA_ARCH="$(CUDA_ARCH)" tools/find-cuda)
ifneq ($(.SHELLSTATUS),0)
$(error CUDA_HOME, CUDNN_HOME or CUDA_ARCH is wrong, see above)
endif
$(foreach line,$(FOUND_CUDA),$(eval $(subst |, ,$(line))))
endif
ifeq ($(MODE),sim)
WITH_CUDA   := 1
SIM         := tests/cudasim
CUDA_CFLAGS := -isystem $(SIM)/include -DCUDASIM
CUDA_LIBS   := -lstdc++
endif
NVCCFLAGS := -std=c++17 -O3 -lineinfo -Xcompiler -iquote,include,-iquote,src $(if $(ERRORS),-Werror all-warnings) -Xcompiler -Wall,-Wextra
CXXFLAGS  ?= -O2 -g
BASE_CXX  := -std=c++17 -D_GNU_SOURCE -Wall -Wextra -Wshadow $(ERRORS) -iquote include -iquote src -MMD -MP

# ---- cairo ------------------------------------------------------------------------------------

# src/pictures draws with cairo. Without it, or with CAIRO=no, only none.c there is built, which says why there are no
# pictures.
PKG_CONFIG  ?= $(CROSS)pkg-config
CAIRO_PARTS := cairo-ft fontconfig libpng
ifneq ($(CAIRO),no)
WITH_CAIRO  := $(shell $(PKG_CONFIG) --exists $(CAIRO_PARTS) 2>/dev/null && echo 1)
endif
ifeq ($(WITH_CAIRO),1)
CAIRO_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(CAIRO_PARTS))
CAIRO_LIBS   := $(shell $(PKG_CONFIG) --libs $(CAIRO_PARTS))
endif

# ---- what is built ----------------------------------------------------------------------------

# src/cpu/simd, and bench/probes.c, is compiled once for each instruction set; the program picks one when it starts (src/cpu/simd/variant.h).
# Each names its instruction set, so that CFLAGS=-march=native does not change it.
ifeq ($(ARCH),x86_64)
VARIANTS       := baseline avx2 avx512
VARIANT_FLAGS  := -DCPU_X86
FLAGS_baseline := -march=x86-64
else
VARIANTS       := baseline
endif
FLAGS_avx2     := -march=x86-64-v3
FLAGS_avx512   := -march=x86-64-v4 -mprefer-vector-width=512
# Nothing here looks at floating-point traps. A compiler that has to keep them leaves `x > 0 ? a * x : 0` scalar where the
# instruction set has no masks, since the other branch could trap. NaN and infinity are as they were.
SIMD_FLAGS     := -fno-trapping-math

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
  tests/cudasim/*.[ch]* tests/cudasim/*/*.[ch]* $(foreach d,fetch fuzz tsan,tests/$d/*.[ch]) bench/*.[ch] tools/*.c)
# MODE=sim builds the tests that need a device, and those of the stand-in itself; the others use no backend.
DEVICE_TESTS := conv norm deferred pool_loss sgd_input muon device agreement train model_weights resume predict fixtures
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
BENCH_HELPERS := $(patsubst bench/%.c,$(OUT)/bench/%.o,$(filter-out bench/bench_%.c bench/probes.c,$(wildcard bench/*.c))) \
  $(VARIANTS:%=$(OUT)/bench/probes.%.o)
TEST_HELPERS := $(patsubst tests/%.c,$(OUT)/tests/%.o,$(filter-out tests/test_%.c tests/fault%.c,$(wildcard tests/*.c)))
# The tests in which system and library calls fail on demand (tests/faults.c).
FAULT_TESTS   := test_faults test_report_faults $(if $(SIM),test_cuda_faults)
FAULT_HELPERS := $(OUT)/tests/faults.o $(OUT)/tests/fault_runs.o $(OUT)/tests/fault_reports.o
FAULTY := malloc calloc realloc aligned_alloc strdup free open read pread write fsync ftruncate rename unlink mkdir \
  close open_memstream png_create_write_struct png_create_info_struct pthread_create \
  clock_seconds json_loadb

# The readers of untrusted files, under libFuzzer. Only clang has it, and its OpenMP is a package of its own, so the
# sources without OpenMP are built.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_FLAGS   := -std=c11 -D_GNU_SOURCE $(WARN) $(ROOMS) -iquote tests -MMD -MP -O1 -g \
  -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZERS      := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SOURCES := $(filter-out %/main.c %/info.c,$(wildcard src/host/*.c src/host/*/*.c)) tests/fuzz/fuzz.c tests/png_chunks.c

# ThreadSanitizer understands OpenMP with clang's library alone: it brings a tool (archer) that reports its barriers.
TSAN_CC    ?= clang
TSAN_TESTS := loader feed checkpoint_writer conv norm pool_loss sgd_input muon model threads

.DEFAULT_GOAL := all
.PHONY: all help run parts setup test test-long test-python tests sim debug tsan coverage cuda-toolkit gpu-check gpu-bundle
.PHONY: bench fuzz fuzzers data readme-figures lint format compile_commands.json install uninstall clean
.SECONDARY:

## ---- targets ---------------------------------------------------------------------------------

all: parts train_gpu ## builds ./train_gpu and lists the parts found

run: ## installs what is missing, builds, fetches CIFAR-10, trains: make run ARGS="--norm bn --epochs 2"
	@tools/run $(ARGS)

test: setup ## installs what is missing, builds, runs every test: plain, with sanitizers, and on the CUDA stand-in
	@$(MAKE) $(JOBS) --no-print-directory MODE=release OUT=build/release tests
	@$(MAKE) $(JOBS) --no-print-directory MODE=asan OUT=build/asan tests
	@$(MAKE) $(JOBS) --no-print-directory MODE=sim OUT=build/sim tests
	@tests/run build/release build/asan build/sim

test-long: setup ## the long tests too: 20 epochs of each network on CIFAR-10
	@$(MAKE) --no-print-directory MODE=release OUT=build/release tests
	@TEST_LONG=1 tests/run build/release

test-python: ## installs PyTorch and TensorBoard into build/venv; make test then runs the tests that need them
	@tools/setup venv
	@tools/test-python

sim: setup ## builds build/sim/train_gpu, the CUDA backend on its stand-in, for machines without a GPU
	@$(MAKE) $(JOBS) --no-print-directory MODE=sim OUT=build/sim build/sim/train_gpu

debug: setup ## builds build/debug/train_gpu for a debugger: -O0 -g3
	@$(MAKE) $(JOBS) --no-print-directory MODE=debug OUT=build/debug build/debug/train_gpu

tsan: ## looks for data races with ThreadSanitizer (clang)
	@tools/setup build pictures tsan
	@$(MAKE) $(JOBS) --no-print-directory MODE=tsan OUT=build/tsan CC=$(TSAN_CC) build/tsan/train_gpu \
	  $(TSAN_TESTS:%=build/tsan/tests/test_%)
	@CC=$(TSAN_CC) tools/tsan $(TSAN_TESTS:%=build/tsan/tests/test_%)

coverage: ## the share of src that the tests run, by folder; line by line in build/coverage/html
	@tools/setup build pictures coverage
	@$(MAKE) $(JOBS) --no-print-directory MODE=coverage OUT=build/coverage tests
	@tools/coverage

bench: setup ## what layers, kernels and steps cost on this machine, on its GPU if it has one; on a CPU PyTorch's steps too
	@$(MAKE) $(JOBS) --no-print-directory MODE=release OUT=build/release $(BENCHMARKS:%=build/release/bench/%)
	@build/release/bench/bench_kernels
	@python=$${PYTHON:-python3}; [ -n "$$PYTHON" ] || [ ! -e build/venv/requirements.txt ] || python=build/venv/bin/python; \
	  if command -v "$$python" >/dev/null; then exec "$$python" bench/measure.py $(ARGS); fi; \
	  echo "train_gpu: no python3: layers and steps only, and no JSON"; \
	  for norm in bn gn ln; do build/release/bench/bench_layers $$norm reference --device auto || exit; done; \
	  build/release/bench/bench_step --batch 128 --samples 5

fuzz: ## fuzzes the readers of weights, images, data files and finished runs, 60 s each: make fuzz FUZZ_SECONDS=600
	@tools/setup build fuzz
	@$(MAKE) $(JOBS) --no-print-directory fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/test_fuzz.sh

cuda-toolkit: ## fetches the missing parts of CUDA and cuDNN into build/cuda (up to 2 GB), without root
	@CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" tools/cuda-toolkit

gpu-check: ## tests, sanitizers, profiles and benchmarks on this machine's GPU: make gpu-check PARTS="tests step"
	@command -v python3 >/dev/null || { echo "train_gpu: make gpu-check needs python3: install it" >&2; exit 1; }
	@CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" CUDA_ARCH="$(CUDA_ARCH)" tools/gpu-check $(PARTS)

gpu-bundle: setup ## build/gpu-bundle: a build for one GPU architecture, to carry to a machine with a GPU alone
	@CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" CUDA_ARCH="$(CUDA_ARCH)" tools/gpu-bundle

data: ## puts CIFAR-10 into data/cifar-10-batches-bin
	@tools/fetch-cifar10

readme-figures: setup ## trains every run that README.md reports (hours on a CPU; resumes) and makes its figures
	@$(MAKE) --no-print-directory all
	@[ -n "$$CIFAR10_DIR" ] || tools/fetch-cifar10
	@tools/readme-figures $(ARGS)

lint: ## clang-format, clang-tidy, cppcheck and shellcheck over the sources
	@tools/setup build pictures lint
	@tools/lint

format: ## formats the C sources in place
	@tools/setup lint
	clang-format -i $(FORMATTED)

compile_commands.json: ## for clangd and other tools: the command that compiles each C file
	@$(MAKE) -Bnk --no-print-directory V=1 MODE=release OUT=build/release tests | awk -v folder="$(CURDIR)" \
	  '/ -c -o .*\.c$$/ { gsub(/[\\"]/, "\\\\&"); sub(/^[ \t]+/, ""); printf "%s\n{\"directory\": \"%s\", \"file\": \"%s\", \"command\": \"%s\"}", \
	    n++ ? "," : "[", folder, $$NF, $$0 } END { print "\n]" }' >$@

install: $(OUT)/train_gpu ## installs the program and its manual below $(DESTDIR)$(PREFIX)
	install -D -m 755 $< $(DESTDIR)$(PREFIX)/bin/train_gpu
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/train_gpu LICENSE $(wildcard docs/manual.md)

uninstall: ## removes what make install put there
	rm -rf $(DESTDIR)$(PREFIX)/bin/train_gpu $(DESTDIR)$(PREFIX)/share/doc/train_gpu

clean: ## removes what was built; data, runs, build/cuda and build/venv stay
	rm -rf $(filter-out build/cuda build/cuda.part build/venv,$(wildcard build/*)) train_gpu compile_commands.json

help: ## this list
	@awk -F ':.*## ' '/^[a-z_.-]+:.*## / { printf "make %-22s %s\n", $$1, $$2 } \
	  /^#: / { variables = variables substr($$0, 4) "\n" } END { printf "\nvariables:\n%s", variables }' Makefile

setup:
	@tools/setup

parts:
	@CC="$(CC)" CUDA="$(if $(CROSS),no,$(CUDA))" CUDA_HOME="$(CUDA_HOME)" CUDNN_HOME="$(CUDNN_HOME)" CUDA_ARCH="$(CUDA_ARCH)" \
	  PKG_CONFIG="$(PKG_CONFIG)" CAIRO="$(CAIRO)" tools/parts

fuzzers: $(FUZZERS)

tests: $(OUT)/train_gpu $(TESTS) $(BENCHMARKS:%=$(OUT)/bench/%)

## ---- rules -----------------------------------------------------------------------------------

# Each group of settings is kept in a file, which is written only when they change: what they affect is then built
# again. They are expanded here, so that no target's own variables get into them.
COMPILE := $(CC) $(BASE) $(CPPFLAGS) $(CFLAGS)
LINK    := $(CC) $(CFLAGS) $(MODE_FLAGS) -fopenmp
LIBRARIES := $(LDFLAGS) -lcmocka $(LDLIBS) $(CAIRO_LIBS) $(CUDA_LIBS)
$(OUT)/c-settings:     SETTINGS := $(COMPILE) $(SPEED) $(SIMD_FLAGS) $(MODE_FLAGS) $(SPEED_$(MODE)) $(VARIANT_FLAGS)
$(OUT)/c++-settings:   SETTINGS := $(CXX) $(BASE_CXX) $(CPPFLAGS) $(CXXFLAGS)
$(OUT)/link-settings:  SETTINGS := $(AR) $(LINK) $(LIBRARIES)
$(OUT)/cuda-settings:  SETTINGS := WITH_CUDA=$(WITH_CUDA) $(NVCC) $(NVCCFLAGS) $(CUDA_CFLAGS) $(CUDA_GENCODE)
$(OUT)/cairo-settings: SETTINGS := WITH_CAIRO=$(WITH_CAIRO) $(CAIRO_CFLAGS)
$(OUT)/%-settings: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(SETTINGS))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(SETTINGS))' >$@
.PHONY: FORCE
FORCE:

train_gpu: $(OUT)/train_gpu
	@cp -f $< $@

$(OUT)/train_gpu: $(OUT)/src/host/main.o $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(LINK) -o $@ $(filter %.o %.a,$^) $(filter-out -lcmocka,$(LIBRARIES))

$(OUT)/libtrain.a: $(OBJECTS) $(OUT)/link-settings
	@rm -f $@
	@$(AR) rcs $@ $(OBJECTS)

$(OUT)/%.o: %.c $(OUT)/c-settings
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(COMPILE) $(MODE_FLAGS) $(VARIANT_FLAGS) -c -o $@ $<

# What depends on CUDA or on cairo.
CUDA_OBJECTS  := $(KERNEL_SOURCES:%.c=$(OUT)/%.o) $(OUT)/src/host/model/device_choice.o $(OUT)/bench/device_copy.o
CAIRO_OBJECTS := $(PICTURE_SOURCES:%.c=$(OUT)/%.o)
$(CUDA_OBJECTS): VARIANT_FLAGS += $(if $(WITH_CUDA),-DHAVE_CUDA $(CUDA_CFLAGS))
$(CUDA_OBJECTS) $(KERNELS:%.cu=$(OUT)/%.cu.o): $(OUT)/cuda-settings
$(CAIRO_OBJECTS): VARIANT_FLAGS += $(CAIRO_CFLAGS)
$(CAIRO_OBJECTS): $(OUT)/cairo-settings

ifeq ($(MODE),sim)
# A misaligned 16-byte access traps, as on a GPU.
COMPILE_SIM := $(CXX) $(BASE_CXX) $(CPPFLAGS) $(CXXFLAGS) -fsanitize=alignment -fsanitize-undefined-trap-on-error $(CUDA_CFLAGS)

$(OUT)/%.cu.o: %.cu $(OUT)/c++-settings
	@mkdir -p $(@D)
	$(SAY) SIM $@
	$(Q)$(COMPILE_SIM) -x c++ -c -o $@ $<

$(OUT)/%.o: %.cpp $(OUT)/c++-settings
	@mkdir -p $(@D)
	$(SAY) CXX $@
	$(Q)$(COMPILE_SIM) -iquote $(SIM) -c -o $@ $<

$(OUT)/tests/%: $(OUT)/$(SIM)/tests/%.o $(TEST_HELPERS) $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(LINK) $(WRAP) -o $@ $(filter %.o,$^) $(OUT)/libtrain.a $(LIBRARIES)

$(OUT)/$(SIM)/tests/%.o: VARIANT_FLAGS += $(CUDA_CFLAGS) -iquote $(SIM) -iquote tests
else
$(OUT)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(SAY) NVCC $@
	$(Q)$(NVCC) $(NVCCFLAGS) $(CUDA_GENCODE) $(CUDA_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
endif

define variant_rule
$(OUT)/%.$(1).o: %.c $(OUT)/c-settings
	@mkdir -p $$(@D)
	$$(SAY) CC $$@
	$$(Q)$$(COMPILE) $$(SPEED) $$(SIMD_FLAGS) $$(MODE_FLAGS) $$(SPEED_$$(MODE)) $$(FLAGS_$(1)) -DVARIANT=$(1) -c -o $$@ $$<
endef
$(foreach v,$(VARIANTS),$(eval $(call variant_rule,$(v))))

$(OUT)/tests/%: $(OUT)/tests/%.o $(TEST_HELPERS) $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(LINK) $(WRAP) -o $@ $(filter %.o,$^) $(OUT)/libtrain.a $(LIBRARIES)

# test_dataset sums 180 MB again and again. At -O2 with the sanitizers that takes 16 times as long as without them, with
# its rounds unrolled 5 times.
ifeq ($(MODE),asan)
$(OUT)/src/host/data/md5.o: VARIANT_FLAGS += -O3 --param max-completely-peeled-insns=2000
endif

# It counts instructions, which means something at full speed only.
$(OUT)/tests/test_vectors.o: VARIANT_FLAGS += $(if $(SPEED),-DFULL_SPEED)

$(FAULT_TESTS:%=$(OUT)/tests/%): WRAP := $(FAULTY:%=-Wl,--wrap=%)
$(FAULT_TESTS:%=$(OUT)/tests/%): $(FAULT_HELPERS)

$(OUT)/bench/%: $(OUT)/bench/%.o $(BENCH_HELPERS) $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(LINK) -o $@ $(filter %.o %.a,$^) $(filter-out -lcmocka,$(LIBRARIES))

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
