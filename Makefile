# train_gpu: `make help` lists the targets.
#
# MODE=release (default) or asan (AddressSanitizer and UBSan); each has its own folder under build/.
# V=1 prints the whole commands.

MODE    ?= release
V       ?= 0
SAY     := $(if $(filter 1,$(V)),@true,@printf '  %-4s %s\n')
Q       := $(if $(filter 1,$(V)),,@)
CC      ?= cc
OUT     := build/$(MODE)
ARCH    := $(shell uname -m)

WARN    := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CFLAGS  ?= -O3 -g
BASE    := -std=c11 -D_GNU_SOURCE $(WARN) -iquote include -iquote src/host -MMD -MP -fopenmp -ffp-contract=fast
LDLIBS  := -ljansson -lpthread -lm
ifeq ($(MODE),asan)
SANITIZE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
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

HOST_SOURCES := $(filter-out src/host/main.c,$(wildcard src/host/*.c)) $(wildcard src/cpu/*.c)
SIMD_SOURCES := $(wildcard src/cpu/simd/*.c)
OBJECTS := $(HOST_SOURCES:%.c=$(OUT)/%.o) \
  $(foreach v,$(VARIANTS),$(SIMD_SOURCES:%.c=$(OUT)/%.$(v).o))
FORMATTED := $(wildcard include/*.h src/*/*.[ch] src/*/*/*.[ch] tests/*.[ch] bench/*.c tools/*.c)
TEST_SOURCES := $(wildcard tests/test_*.c)
TESTS := $(TEST_SOURCES:tests/%.c=$(OUT)/tests/%)
TEST_HELPERS := $(patsubst tests/%.c,$(OUT)/tests/%.o,$(filter-out tests/test_%.c,$(wildcard tests/*.c)))


.DEFAULT_GOAL := all
.PHONY: all help run parts setup test test-long tests bench data lint format clean
.SECONDARY:

## ---- targets ---------------------------------------------------------------------------------

all: parts train_gpu ## builds ./train_gpu, and says which parts were found

run: ## installs what is missing, builds, fetches CIFAR-10, trains: make run ARGS="--norm bn --epochs 2"
	@tools/run $(ARGS)

test: setup ## installs what is missing, builds, runs every test, plain and under the sanitizers
	@$(MAKE) --no-print-directory MODE=release OUT=build/release tests
	@$(MAKE) --no-print-directory MODE=asan OUT=build/asan tests
	@tests/run build/release build/asan

test-long: setup ## the tests in their long forms: 20 epochs of each network on the real data among them
	@$(MAKE) --no-print-directory MODE=release OUT=build/release tests
	@TEST_LONG=1 tests/run build/release

bench: setup ## what each layer of the reference networks costs on this machine
	@$(MAKE) --no-print-directory MODE=release OUT=build/release build/release/bench/bench_layers
	@for norm in bn gn ln; do build/release/bench/bench_layers $$norm reference || exit; done

data: ## puts CIFAR-10 into data/cifar-10-batches-bin
	@tools/fetch-cifar10

lint: ## clang-format, clang-tidy, cppcheck and shellcheck over the sources
	@tools/setup build lint
	@tools/lint

format: ## formats the C sources in place
	@tools/setup lint
	clang-format -i $(FORMATTED)

clean: ## removes what was built; data and runs stay
	rm -rf build train_gpu

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup:
	@tools/setup

parts:
	@CC="$(CC)" tools/parts

tests: $(OUT)/train_gpu $(TESTS) $(OUT)/bench/bench_layers

## ---- rules -----------------------------------------------------------------------------------

train_gpu: $(OUT)/train_gpu
	@cp -f $< $@

$(OUT)/train_gpu: $(OUT)/src/host/main.o $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $^ $(LDFLAGS) $(LDLIBS)

$(OUT)/libtrain.a: $(OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(BASE) $(CFLAGS) $(SANITIZE) $(VARIANT_FLAGS) -c -o $@ $<

define variant_rule
$(OUT)/src/cpu/simd/%.$(1).o: src/cpu/simd/%.c
	@mkdir -p $$(@D)
	$$(SAY) CC $$@
	$$(Q)$$(CC) $$(BASE) $$(CFLAGS) $$(SANITIZE) $$(FLAGS_$(1)) -DVARIANT=$(1) -c -o $$@ $$<
endef
$(foreach v,$(VARIANTS),$(eval $(call variant_rule,$(v))))

$(OUT)/tests/%: $(OUT)/tests/%.o $(TEST_HELPERS) $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $^ $(LDFLAGS) -lcmocka $(LDLIBS)

$(OUT)/bench/%: $(OUT)/bench/%.o $(OUT)/libtrain.a
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $^ $(LDFLAGS) $(LDLIBS)

build/tools/sheets_to_bin: tools/sheets_to_bin.c
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -g -o $@ $< -lpng -ljansson

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
