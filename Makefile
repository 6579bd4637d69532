# Builds gpushim. `make help` lists the targets; V=1 shows the commands.
#
# This file knows which sources become which program and with what flags. Sources are
# found by wildcard: a new file in a directory below is built without a change here.
# In each directory of programs, common*.c is linked into all of that directory's programs.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CFLAGS  ?= -O2 -g
ifeq ($(origin CC),default)
CC := gcc
endif
OBJ     ?= $(BUILD)/obj
CUDA_HOME ?=
# SANITIZE=address|undefined|thread instruments everything; give it a BUILD of its own.
SANITIZE ?=
# WERROR=1 turns warnings into errors, as CI does.
WERROR  ?=
TIMEOUT ?= 120
FUZZ_SECONDS ?= 30

ifneq ($(V),1)
Q := @
say = @printf '  %-5s %s\n' $(1) $(2)
endif

# --- flags -------------------------------------------------------------------------------

# Empty when the headers are missing; then every object depends on a rule that says so.
CUDA_INCLUDE := $(shell CUDA_HOME='$(CUDA_HOME)' tests/find-cuda.sh 2>/dev/null)
# gcc breaks when its own default directory is named again with -isystem.
CUDA_FLAGS := $(addprefix -isystem ,$(filter-out /usr/include,$(CUDA_INCLUDE)))

ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -pthread -Wall -Wextra -Wpedantic -Wshadow \
	-Wmissing-prototypes $(if $(filter 1,$(WERROR)),-Werror) $(CFLAGS)
NO_UNDEFINED := -Wl,-z,defs
ifneq ($(SANITIZE),)
ALL_CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE)
SAN_LINK := -fsanitize=$(SANITIZE)
# clang leaves the sanitizer runtime of a shared object to the executable.
NO_UNDEFINED :=
ifneq ($(findstring undefined,$(SANITIZE)),)
ALL_CFLAGS += -fno-sanitize-recover=undefined
endif
endif
ALL_LDFLAGS := -pthread $(SAN_LINK) $(LDFLAGS)
# Inside a shared object: exported names are marked in the source, all others stay hidden.
PIC := -fPIC -fvisibility=hidden
SHARED := -shared -Wl,-Bsymbolic $(NO_UNDEFINED)
LIBS := -lpthread -ldl

SIM := tests/simgpu
INCLUDES := -I$(SIM) $(CUDA_FLAGS)

# --- sources -----------------------------------------------------------------------------

# $(call objects,DIR): the objects of all C files of a directory.
objects  = $(patsubst %.c,$(OBJ)/%.o,$(wildcard $(1)/*.c))
# $(call programs,DIR,OUT): one program for each C file of DIR, helpers left out.
programs = $(patsubst $(1)/%.c,$(2)/%,$(filter-out $(1)/common%.c $(1)/cunit_main.c,\
	$(wildcard $(1)/*.c)))
# $(call shared,DIR): objects that all programs of DIR have in common.
shared   = $(patsubst %.c,$(OBJ)/%.o,$(wildcard $(1)/common*.c))

SIM_COMMON := $(call objects,$(SIM)/common)
SIM_DEVICE := $(call objects,$(SIM)/device)
SIM_DRIVER := $(call objects,$(SIM)/driver)
SIM_NVML   := $(call objects,$(SIM)/nvml)
SIM_API    := $(call objects,$(SIM)/api)
SIM_TOOL   := $(call objects,$(SIM)/tool)
SHIM       := $(strip $(call objects,libshim) $(call objects,libshim/*))
CUNIT_MAIN := $(OBJ)/tests/unit/cunit_main.o

EXAMPLES := $(call programs,examples,$(BUILD)/examples)
UNIT     := $(call programs,tests/unit,$(BUILD)/tests/unit)
SIMTESTS := $(call programs,$(SIM)/tests,$(BUILD)/tests/sim)
STRESS   := $(call programs,tests/stress,$(BUILD)/tests/stress)
BENCH    := $(call programs,tests/bench,$(BUILD)/bench)
FUZZ     := $(call programs,tests/fuzz,$(BUILD)/fuzz)
CLIENTS  := $(sort $(wildcard tests/clients/*.sh))

# A library is built once it has sources.
LIBCUDA   := $(if $(SIM_DRIVER),$(BUILD)/sim/libcuda.so.1 $(BUILD)/sim/libcuda.so)
LIBNVML   := $(if $(SIM_NVML),$(BUILD)/sim/libnvidia-ml.so.1 $(BUILD)/sim/libnvidia-ml.so)
SIMGPUD   := $(if $(SIM_DEVICE),$(BUILD)/sim/simgpud)
SIMTOOL   := $(if $(SIM_TOOL),$(BUILD)/bin/simgpu)
LIBSIMGPU := $(BUILD)/lib/libsimgpu.a
# Parts of the device and the driver, for tests that call into them without a device process.
LIBSIMDEVICE := $(OBJ)/libsimdevice.a
LIBSIMDRIVER := $(OBJ)/libsimdriver.a
# Stands alone: it finds a driver, real or simulated, by dlopen.
PROBE     := $(BUILD)/tests/gpu/probe $(BUILD)/tests/gpu/probe_count.so
LIBSHIM   := $(if $(SHIM),$(BUILD)/lib/libgpushim.so)

# --- what people ask for -----------------------------------------------------------------

.PHONY: all lib sim tools examples tests benches test test-run bench demo fuzz fuzz-build \
	check-gpu probe \
	test-asan test-ubsan test-tsan lint format install uninstall clean help FORCE \
	missing-cuda-headers
.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

all: lib sim tools examples

ifeq ($(SHIM),)
lib:
	@echo 'lib: libshim/ has no sources yet, so there is no shim to build.'
else
lib: $(LIBSHIM)
endif

sim: $(SIMGPUD) $(LIBCUDA) $(LIBNVML) $(LIBSIMGPU)
tools: $(SIMTOOL)
examples: $(EXAMPLES)
tests: $(UNIT) $(SIMTESTS) $(STRESS) $(PROBE)
probe: $(PROBE)
benches: $(BENCH)

# Before any package is installed: without the headers nothing could be built with them.
test demo bench fuzz check-gpu: $(if $(CUDA_INCLUDE),,missing-cuda-headers)

# The packages come before the build: on a fresh machine the compiler is one of them.
test:
	@tests/deps.sh build demo test
	@$(MAKE) --no-print-directory all tests
	@$(MAKE) --no-print-directory test-run

test-run:
	@BUILD='$(abspath $(BUILD))' TIMEOUT='$(TIMEOUT)' tests/run.sh $(UNIT) $(SIMTESTS) \
		$(STRESS) $(CLIENTS)

# GPU=sim runs it against the simulated GPU, as a check of itself. DATE=YYYY-MM-DD.
GPU ?= real
check-gpu: $(PROBE) $(if $(filter sim,$(GPU)),sim)
	@BUILD='$(abspath $(BUILD))' GPU='$(GPU)' DATE='$(DATE)' tests/gpu/check-gpu.sh

demo:
	@tests/deps.sh build demo
	@$(MAKE) --no-print-directory all
	@BUILD='$(abspath $(BUILD))' tests/simgpu/demo.sh

bench:
	@tests/deps.sh build
	@$(MAKE) --no-print-directory all benches
	@BUILD='$(abspath $(BUILD))' TIMEOUT=600 tests/run.sh $(BENCH)

# The real programs are not instrumented, so the sanitizers see only our own tests.
# $(call sanitized,WHICH,DIRECTORY)
sanitized = +@$(MAKE) --no-print-directory SANITIZE=$(1) BUILD='$(BUILD)/$(2)' \
	CLIENTS= all tests && \
	$(MAKE) --no-print-directory SANITIZE=$(1) BUILD='$(BUILD)/$(2)' CLIENTS= test-run
test-asan:
	$(call sanitized,address,asan)
test-ubsan:
	$(call sanitized,undefined,ubsan)
test-tsan:
	$(call sanitized,thread,tsan)

# libFuzzer is clang's; the code under test is built again beside it, instrumented.
fuzz:
	@tests/deps.sh build fuzz
	+@$(MAKE) --no-print-directory CC=clang OBJ='$(BUILD)/obj-fuzz' \
		SANITIZE=fuzzer-no-link,address fuzz-build
	@BUILD='$(abspath $(BUILD))' FUZZ_SECONDS='$(FUZZ_SECONDS)' \
		TIMEOUT=$$(($(FUZZ_SECONDS) + 60)) tests/run.sh $(FUZZ)

fuzz-build: $(FUZZ)

TIDY_FLAGS := -std=c11 -D_GNU_SOURCE $(INCLUDES) -Itests/unit -I$(SIM)/common \
	-I$(SIM)/device -I$(SIM)/driver
lint:
	@tests/deps.sh lint
	@CLANG_TIDY_FLAGS='$(TIDY_FLAGS)' tests/lint.sh check

format:
	@tests/deps.sh lint
	@tests/lint.sh format

clean:
	rm -rf '$(BUILD)'

help:
	@echo 'make              the simulated GPU, its tool and the examples, into $(BUILD)/'
	@echo 'make demo         two programs at once on one simulated card, results checked'
	@echo 'make test         everything that can be proven on this machine'
	@echo 'make lib | sim | tools | examples | tests     one part of the build'
	@echo 'make bench        figures, by themselves on a quiet machine'
	@echo 'make check-gpu    asks a real GPU what the simulated one assumes; GPU=sim tries it'
	@echo 'make fuzz         each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) (clang)'
	@echo 'make test-asan | test-ubsan | test-tsan       our own tests under a sanitizer'
	@echo 'make lint         formatting, clang-tidy, shellcheck;  make format  rewrites'
	@echo 'make install      the simulated GPU into $$(DESTDIR)$$(PREFIX); make uninstall'
	@echo 'make clean        removes $(BUILD)/'
	@echo
	@echo 'Variables: CC=gcc|clang BUILD=build PREFIX=/usr/local DESTDIR= CUDA_HOME='
	@echo '           CFLAGS="-O2 -g" WERROR=1 V=1 TIMEOUT=120 (seconds for one test program)'

# --- objects -----------------------------------------------------------------------------

# Rewritten only when it changes, so that another compiler or flag rebuilds the objects.
FLAGS := $(CC) $(ALL_CFLAGS) $(INCLUDES) $(ALL_LDFLAGS)
$(OBJ)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@
FORCE:

missing-cuda-headers:
	@CUDA_HOME='$(CUDA_HOME)' tests/find-cuda.sh >/dev/null

$(OBJ)/%.o: %.c $(OBJ)/flags $(if $(CUDA_INCLUDE),,| missing-cuda-headers)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(OBJ_FLAGS) $(INCLUDES) -MMD -MP -c -o $@ $<

$(SIM_COMMON) $(SIM_API) $(SIM_DRIVER) $(SIM_NVML) $(SHIM) \
	$(call objects,tests/gpu/probe/count): OBJ_FLAGS := $(PIC)
# What a test may look into beyond the shared headers.
$(call objects,tests/unit): OBJ_FLAGS := -Itests/unit -I$(SIM)/common -I$(SIM)/device \
	-I$(SIM)/driver
$(call objects,$(SIM)/tests) $(call objects,tests/stress): OBJ_FLAGS := -Itests/unit
$(call objects,tests/fuzz): OBJ_FLAGS := -Itests/unit -I$(SIM)/common -I$(SIM)/device \
	-I$(SIM)/driver

-include $(shell [ -d '$(OBJ)' ] && find '$(OBJ)' -name '*.d')

# --- libraries and programs --------------------------------------------------------------

link    = $(call say,LINK,$@)
archive = @mkdir -p $(@D) && rm -f $@ && ar rcs $@ $(1)

$(LIBSIMDEVICE): $(filter-out %/main.o,$(SIM_DEVICE)) $(SIM_COMMON)
	$(call say,AR,$@)
	$(call archive,$^)

$(LIBSIMDRIVER): $(SIM_DRIVER)
	$(call say,AR,$@)
	$(call archive,$^)

$(LIBSIMGPU): $(SIM_API) $(SIM_COMMON)
	$(call say,AR,$@)
	$(call archive,$^)

$(BUILD)/sim/simgpud: $(SIM_DEVICE) $(SIM_COMMON)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lm

# It has threads and destructors of threads, so it cannot be unloaded.
$(BUILD)/sim/libcuda.so.1: $(SIM_DRIVER) $(SIM_COMMON)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(SHARED) -Wl,-z,nodelete -Wl,-soname,$(@F) -o $@ $^ $(LIBS)

$(BUILD)/sim/libnvidia-ml.so.1: $(SIM_NVML) $(SIM_COMMON) $(LIBSIMGPU)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(SHARED) -Wl,-soname,$(@F) -o $@ $^ $(LIBS)

$(BUILD)/sim/%.so: $(BUILD)/sim/%.so.1
	@ln -sf $(<F) $@

$(BUILD)/lib/libgpushim.so: $(SHIM)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(SHARED) -Wl,-soname,$(@F) -o $@ $^ $(LIBS)

$(BUILD)/bin/simgpu: $(SIM_TOOL) $(SIM_COMMON) $(LIBSIMGPU)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# $(call program,EXTRA LIBRARIES): links the objects and archives of the rule.
define program
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(1) $(LIBS)
endef
# No rpath: LD_LIBRARY_PATH alone decides between the simulated driver and a real one.
CUDA_LINK := -L$(BUILD)/sim -lcuda

$(EXAMPLES): $(BUILD)/examples/%: $(OBJ)/examples/%.o $(call shared,examples) | $(LIBCUDA)
	$(call program,$(CUDA_LINK) -lm)

$(UNIT): $(BUILD)/tests/unit/%: $(OBJ)/tests/unit/%.o $(call shared,tests/unit) \
		$(CUNIT_MAIN) $(LIBSIMDEVICE) $(LIBSIMDRIVER) $(LIBSIMGPU)
	$(call program,-lcunit -lm)

$(SIMTESTS): $(BUILD)/tests/sim/%: $(OBJ)/$(SIM)/tests/%.o $(call shared,$(SIM)/tests) \
		$(CUNIT_MAIN) $(LIBSIMGPU) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD)
	$(call program,$(CUDA_LINK) -lcunit -lm)

$(STRESS): $(BUILD)/tests/stress/%: $(OBJ)/tests/stress/%.o $(call shared,tests/stress) \
		$(CUNIT_MAIN) $(LIBSIMGPU) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD)
	$(call program,$(CUDA_LINK) -lcunit -lm)

$(BENCH): $(BUILD)/bench/%: $(OBJ)/tests/bench/%.o $(call shared,tests/bench) \
		$(LIBSIMGPU) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD)
	$(call program,$(CUDA_LINK) -lm)

$(BUILD)/tests/gpu/probe: $(call objects,tests/gpu/probe)
	$(call program,-lm)

$(BUILD)/tests/gpu/probe_count.so: $(call objects,tests/gpu/probe/count)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ $^ $(LIBS)

$(FUZZ): $(BUILD)/fuzz/%: $(OBJ)/tests/fuzz/%.o $(call shared,tests/fuzz) \
		$(OBJ)/tests/unit/common_server.o $(LIBSIMDEVICE) $(LIBSIMDRIVER)
	$(call program,-fsanitize=fuzzer -lm)

# --- install -----------------------------------------------------------------------------

SIM_DEST := $(DESTDIR)$(PREFIX)/lib/gpushim/sim
BIN_DEST := $(DESTDIR)$(PREFIX)/bin
SIM_FILES := libcuda.so.1 libnvidia-ml.so.1 simgpud
SIM_LINKS := libcuda.so libnvidia-ml.so

# Each file arrives under a temporary name and is renamed: a running program keeps the old one.
# $(call put,FILE,DIRECTORY)
put = install -m 755 '$(1)' '$(2)/.$(notdir $(1)).new' && \
	mv -f '$(2)/.$(notdir $(1)).new' '$(2)/$(notdir $(1))' &&
install: sim tools
	@mkdir -p '$(SIM_DEST)' '$(BIN_DEST)'
	@$(foreach f,$(SIM_FILES),$(call put,$(BUILD)/sim/$(f),$(SIM_DEST))) \
	$(foreach l,$(SIM_LINKS),ln -sf $(l).1 '$(SIM_DEST)/.$(l).new' && \
		mv -f '$(SIM_DEST)/.$(l).new' '$(SIM_DEST)/$(l)' &&) \
	$(call put,$(BUILD)/bin/simgpu,$(BIN_DEST)) \
	echo 'Installed $(SIM_FILES) in $(SIM_DEST) and simgpu in $(BIN_DEST).'

uninstall:
	@rm -f $(foreach f,$(SIM_FILES) $(SIM_LINKS),'$(SIM_DEST)/$(f)') '$(BIN_DEST)/simgpu'
	@rmdir '$(SIM_DEST)' '$(dir $(SIM_DEST))' 2>/dev/null || true
