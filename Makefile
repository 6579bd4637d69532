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
# SANITIZE=address|undefined|thread, or address,undefined, instruments everything; give it a
# BUILD of its own.
SANITIZE ?=
# WERROR=1 turns warnings into errors, as CI does.
WERROR  ?=
TIMEOUT ?= 120
# Test programs at a time; tests/run.sh runs by itself what has one of these words in its name.
JOBS    ?= 1
ALONE   := $(if $(SANITIZE),,concurrent gate nvml_usage probe progress shares siblings time turns)
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
# Both at once: gcc's two libraries share the name of the file that reports go to, and what is
# undefined would be said on standard error alone, which not every process has.
ifneq ($(findstring address,$(SANITIZE)),)
SAN_LINK += $(if $(findstring clang,$(CC)),,-static-libubsan -Wl,--exclude-libs,libubsan.a)
endif
endif
endif
ALL_LDFLAGS := -pthread $(SAN_LINK) $(LDFLAGS)
# Inside a shared object: exported names are marked in the source, all others stay hidden.
PIC := -fPIC -fvisibility=hidden
SHARED := -shared -Wl,-Bsymbolic $(NO_UNDEFINED)
LIBS := -lpthread -ldl

# libgpushim.so is loaded into every process of a container, older and other C libraries
# included: nothing but libc.so.6, no helper functions of new compilers or distributions.
SHIM_CFLAGS := $(PIC) -Ilibshim -fno-semantic-interposition -ftls-model=initial-exec \
	-fno-stack-protector -U_FORTIFY_SOURCE -fno-sanitize=all \
	$(if $(filter aarch64%,$(shell $(CC) -dumpmachine)),-mno-outline-atomics)
SHIM_LDFLAGS := -shared -nostartfiles -Wl,-z,defs -Wl,-z,now -Wl,-z,relro \
	-Wl,--hash-style=gnu -Wl,-z,nodelete -Wl,-Bsymbolic \
	-Wl,--version-script=libshim/exports.map

SIM := tests/simgpu
INCLUDES := -Iinclude -I$(SIM) $(CUDA_FLAGS)

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
# What the guest, the tools and the tests share; the reader allocates, so guests go without.
READER     := $(patsubst %.c,$(OBJ)/%.o,$(wildcard libshim/ledger/reader*.c))
CORE       := $(filter-out $(READER),$(call objects,libshim/base) \
	$(call objects,libshim/policy) $(call objects,libshim/ledger))
CUDA_SHIM  := $(call objects,libshim/cuda)
SHIM       := $(patsubst $(OBJ)/%,$(OBJ)/guest/%,$(CORE) $(CUDA_SHIM) $(call objects,libshim) \
	$(patsubst %.S,$(OBJ)/%.o,$(wildcard libshim/*.S)))
TOOLS_COMMON := $(call objects,tools/common)
# A directory below tools/ with a main.c is the tool gpushim-DIRECTORY.
TOOLS      := $(patsubst tools/%/main.c,%,$(wildcard tools/*/main.c))
CUNIT_MAIN := $(OBJ)/tests/unit/cunit_main.o

EXAMPLES := $(call programs,examples,$(BUILD)/examples)
UNIT     := $(call programs,tests/unit,$(BUILD)/tests/unit)
SIMTESTS := $(call programs,$(SIM)/tests,$(BUILD)/tests/sim)
PRELOAD  := $(call programs,tests/preload,$(BUILD)/tests/preload)
ifneq ($(SANITIZE),)
# A sanitizer's library looks names up before a preloaded one is ready for it. The shim,
# instrumented, is linked into the tests of its hooks instead, whose own names win as well.
PRELOAD  := $(filter $(addprefix %/test_,memory array contexts info vmm pool \
	pool_streams graph share books launch launch_bytes launch_odd gate_faults \
	gate_capture progress agent agent_control agent_metrics),\
	$(PRELOAD))
SHIM_LINKED := $(CUDA_SHIM) $(call objects,libshim)
endif
PRELOAD_PARTS := $(patsubst tests/preload/parts/%.c,$(BUILD)/tests/preload/parts/%,\
	$(wildcard tests/preload/parts/*.c))
STRESS   := $(call programs,tests/stress,$(BUILD)/tests/stress)
BENCH    := $(call programs,tests/bench,$(BUILD)/bench)
BENCH_SHARE := $(BUILD)/bench/bench_share
FUZZ     := $(call programs,tests/fuzz,$(BUILD)/fuzz)
ABI      := $(sort $(wildcard tests/abi/*.sh))
# The same harnesses for a second each, without a fuzzer.
FUZZ_SHORT := $(FUZZ:$(BUILD)/fuzz/%=$(BUILD)/tests/fuzz/%)
CLIENTS  := $(sort $(wildcard tests/clients/*.sh))
ifeq ($(SANITIZE),thread)
# Long computations on one thread, in which there is no race to be found.
UNIT := $(filter-out $(addprefix %/test_,account account_model arbiter arbiter_align arbiter_model \
	arbiter_random bucket bucket_steps engine_random quota_model),$(UNIT))
SIMTESTS := $(filter-out %/test_resolve,$(SIMTESTS))
FUZZ_SHORT :=
endif
# Of gpushim-top, in a terminal and without one; they need tenants to look at.
TERMINAL := $(sort $(wildcard tests/top/*.sh tests/agent/*.sh))
TENANTS  := $(BUILD)/tests/top/tenants

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
LIBSHIM   := $(BUILD)/lib/libgpushim.so
LIBLIMITS := $(BUILD)/lib/libgpushim-limits.so
LIBREADER := $(BUILD)/lib/libgpushim-reader.so $(BUILD)/lib/libgpushim-reader.a
LIBCORE   := $(OBJ)/libcore.a
LIBTOOLS  := $(OBJ)/libtools.a
LIBTOP    := $(OBJ)/libtop.a
LIBAGENT  := $(OBJ)/libagent.a
TOOL_BINS := $(TOOLS:%=$(BUILD)/bin/gpushim-%)

# --- what people ask for -----------------------------------------------------------------

.PHONY: all lib sim tools examples tests benches test test-run bench demo fuzz fuzz-build \
	bench-share check-gpu probe \
	test-asan test-ubsan test-asan-ubsan test-tsan lint format \
	install uninstall clean help FORCE missing-cuda-headers
.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

all: lib sim tools examples

lib: $(LIBSHIM) $(LIBLIMITS) $(LIBREADER)

sim: $(SIMGPUD) $(LIBCUDA) $(LIBNVML) $(LIBSIMGPU)
tools: $(SIMTOOL) $(TOOL_BINS)
examples: $(EXAMPLES)
tests: $(UNIT) $(SIMTESTS) $(PRELOAD) $(PRELOAD_PARTS) $(FUZZ_SHORT) $(STRESS) $(PROBE) \
	$(TENANTS)
probe: $(PROBE)
benches: $(BENCH)

# Before any package is installed: without the headers nothing could be built with them.
test demo bench bench-share fuzz check-gpu: $(if $(CUDA_INCLUDE),,missing-cuda-headers)

# The packages come before the build: on a fresh machine the compiler is one of them.
test:
	@tests/deps.sh build demo test
	@$(MAKE) --no-print-directory all tests
	@$(MAKE) --no-print-directory test-run

test-run:
	@BUILD='$(abspath $(BUILD))' TIMEOUT='$(TIMEOUT)' JOBS='$(JOBS)' ALONE='$(ALONE)' \
		tests/run.sh $(UNIT) $(SIMTESTS) $(PRELOAD) $(ABI) $(TERMINAL) $(FUZZ_SHORT) \
		$(STRESS) $(CLIENTS)

# GPU=sim runs it against the simulated GPU, as a check of itself. DATE=YYYY-MM-DD.
GPU ?= real
check-gpu: $(PROBE) $(if $(filter sim,$(GPU)),sim)
	@BUILD='$(abspath $(BUILD))' GPU='$(GPU)' DATE='$(DATE)' tests/gpu/check-gpu.sh

# sim: the simulated GPU; real: a real one; auto: a real one where there is one.
DEMO_GPU ?= auto
demo:
	@tests/deps.sh build demo
	@$(MAKE) --no-print-directory all
	@BUILD='$(abspath $(BUILD))' DEMO_GPU='$(DEMO_GPU)' tests/demo.sh

bench:
	@tests/deps.sh build
	@$(MAKE) --no-print-directory all benches
	@BUILD='$(abspath $(BUILD))' TIMEOUT=600 tests/run.sh $(BENCH)

# Hours: CELLS='alone-30.* two-*.20us', SECONDS_PER_CELL= and REPEAT= ask for less;
# CELLS=matrix REPEAT=1 takes half an hour. CONTINUE=1 measures what is not there yet.
bench-share:
	@tests/deps.sh build
	@$(MAKE) --no-print-directory all $(BENCH_SHARE)
	@BUILD='$(abspath $(BUILD))' CELLS='$(CELLS)' SECONDS_PER_CELL='$(SECONDS_PER_CELL)' \
		REPEAT='$(REPEAT)' CONTINUE='$(CONTINUE)' \
		LD_LIBRARY_PATH='$(abspath $(BUILD))/sim' $(BENCH_SHARE)

comma := ,
# The real programs are not instrumented, so the sanitizers see only our own tests; and what
# the library may ask of a C library is not asked of one with a sanitizer in it.
# $(call sanitized,WHICH,DIRECTORY)
sanitized = +@$(MAKE) --no-print-directory SANITIZE=$(1) BUILD='$(BUILD)/$(2)' \
	CLIENTS= all tests && \
	$(MAKE) --no-print-directory SANITIZE=$(1) BUILD='$(BUILD)/$(2)' CLIENTS= ABI= test-run
test-asan:
	$(call sanitized,address,asan)
test-ubsan:
	$(call sanitized,undefined,ubsan)
# Both in one build, for half the time: what CI does.
test-asan-ubsan:
	$(call sanitized,address$(comma)undefined,asan-ubsan)
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
	-I$(SIM)/device -I$(SIM)/driver -Ilibshim -Itools -Itests/preload
lint:
	@tests/deps.sh lint
	@CLANG_TIDY_FLAGS='$(TIDY_FLAGS)' tests/lint.sh check

format:
	@tests/deps.sh lint
	@tests/lint.sh format

clean:
	rm -rf '$(BUILD)'

help:
	@echo 'make              libgpushim.so, the tools, the simulated GPU, into $(BUILD)/'
	@echo 'make demo         tenants with quotas and shares on one card; DEMO_GPU=sim|real|auto'
	@echo 'make test         everything that can be proven on this machine'
	@echo 'make lib | sim | tools | examples | tests     one part of the build'
	@echo 'make bench        figures, by themselves on a quiet machine'
	@echo 'make bench-share  shares of GPU time (hours); CELLS= REPEAT= CONTINUE= see tests/bench'
	@echo 'make check-gpu    asks a real GPU what the simulated one assumes; GPU=sim tries it'
	@echo 'make fuzz         each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) (clang)'
	@echo 'make test-asan | test-ubsan | test-tsan       our own tests under a sanitizer;'
	@echo '                  test-asan-ubsan: under two at once'
	@echo 'make lint         formatting, clang-tidy, shellcheck;  make format  rewrites'
	@echo 'make install      all of it into $$(DESTDIR)$$(PREFIX); make uninstall'
	@echo 'make clean        removes $(BUILD)/'
	@echo
	@echo 'Variables: CC=gcc|clang BUILD=build PREFIX=/usr/local DESTDIR= CUDA_HOME='
	@echo '           CFLAGS="-O2 -g" WERROR=1 V=1 TIMEOUT=120 (seconds for one test program)'
	@echo '           JOBS=1 (test programs at a time; never those that judge times)'

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

# The guest's own objects, apart from those of the tools and tests: never instrumented.
$(OBJ)/guest/%.o: %.c $(OBJ)/flags $(if $(CUDA_INCLUDE),,| missing-cuda-headers)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(SHIM_CFLAGS) $(INCLUDES) -MMD -MP -c -o $@ $<

$(OBJ)/guest/%.o: %.S $(OBJ)/flags
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(SHIM_CFLAGS) -MMD -MP -c -o $@ $<

$(SIM_COMMON) $(SIM_API) $(SIM_DRIVER) $(SIM_NVML) \
	$(call objects,tests/gpu/probe/count): OBJ_FLAGS := $(PIC)
$(CORE) $(READER) $(TOOLS_COMMON) $(CUDA_SHIM) $(call objects,libshim): \
	OBJ_FLAGS := $(PIC) -Ilibshim
$(call objects,tools/*): OBJ_FLAGS := $(PIC) -Ilibshim -Itools
# What a test may look into beyond the shared headers.
$(call objects,tests/unit) $(call objects,tests/fuzz): OBJ_FLAGS := -Itests/unit \
	-I$(SIM)/common -I$(SIM)/device -I$(SIM)/driver -Ilibshim -Itools
$(call objects,$(SIM)/tests) $(call objects,tests/top): OBJ_FLAGS := -Itests/unit
$(call objects,tests/preload/parts): OBJ_FLAGS := -fPIC -fno-sanitize=all
$(call objects,tests/stress) $(call objects,tests/preload) $(call objects,tests/bench) \
	$(call objects,tests/bench/share): \
	OBJ_FLAGS := -Itests/unit -Itests/preload -Ilibshim -Itools

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

$(LIBSHIM): $(SHIM) libshim/exports.map
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $(SHIM_LDFLAGS) -Wl,-soname,$(@F) -o $@ $(SHIM)

$(LIBCORE): $(CORE) $(READER)
	$(call say,AR,$@)
	$(call archive,$^)

$(LIBTOOLS): $(TOOLS_COMMON)
	$(call say,AR,$@)
	$(call archive,$^)

# For their tests; what draws or serves is left where it is, and ncurses with it.
$(LIBAGENT): $(filter-out %/main.o,$(call objects,tools/agent))
	$(call say,AR,$@)
	$(call archive,$^)

$(LIBTOP): $(filter-out %/main.o,$(call objects,tools/top))
	$(call say,AR,$@)
	$(call archive,$^)

# Of the tools' common part only what parses: the rest would need a newer C library.
$(LIBLIMITS): $(patsubst %.c,$(OBJ)/%.o,$(wildcard tools/common/limits*.c \
		tools/common/locate*.c)) $(CORE) tools/common/exports.map
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(SHARED) -Wl,-soname,$(@F) -Wl,-rpath,'$$ORIGIN' \
		-Wl,--version-script=tools/common/exports.map -Wl,--as-needed -o $@ \
		$(filter %.o,$^) -lcjson

$(BUILD)/lib/libgpushim-reader.so: $(READER) $(CORE) libshim/ledger/reader.map
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(SHARED) -Wl,-soname,$(@F).1 \
		-Wl,--version-script=libshim/ledger/reader.map -o $@ $(filter %.o,$^)

$(BUILD)/lib/libgpushim-reader.a: $(READER) $(CORE)
	$(call say,AR,$@)
	$(call archive,$^)

$(TOOL_BINS): $(BUILD)/bin/gpushim-%: $(LIBTOOLS) $(LIBCORE)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBTOOLS) $(LIBCORE) \
		$(TOOL_LIBS) -lcjson $(LIBS)
$(BUILD)/bin/gpushim-top: TOOL_LIBS := -lncursesw
$(BUILD)/bin/gpushim-agent: TOOL_LIBS := -lmicrohttpd
# $(eval) because the objects of a tool depend on its name.
$(foreach t,$(TOOLS),$(eval $(BUILD)/bin/gpushim-$(t): $(call objects,tools/$(t))))

$(BUILD)/bin/simgpu: $(SIM_TOOL) $(SIM_COMMON) $(LIBSIMGPU)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# $(call program,EXTRA LIBRARIES): links the objects and archives of the rule.
define program
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(1) $(LIBS)
endef
# No rpath: LD_LIBRARY_PATH alone decides between the simulated driver and a real one.
CUDA_LINK := -L$(BUILD)/sim -lcuda

# It reads files: the reader library is all it needs.
READ_LEDGER := $(BUILD)/examples/read_ledger

$(filter-out $(READ_LEDGER),$(EXAMPLES)): $(BUILD)/examples/%: $(OBJ)/examples/%.o \
		$(call shared,examples) | $(LIBCUDA)
	$(call program,$(CUDA_LINK) -lm)

$(READ_LEDGER): $(OBJ)/examples/read_ledger.o $(BUILD)/lib/libgpushim-reader.a
	$(call program,)

$(UNIT): $(BUILD)/tests/unit/%: $(OBJ)/tests/unit/%.o $(call shared,tests/unit) \
		$(CUNIT_MAIN) $(LIBSIMDEVICE) $(LIBSIMDRIVER) $(LIBSIMGPU) $(LIBTOP) $(LIBAGENT) $(LIBTOOLS) \
		$(LIBCORE)
	$(call program,-lcunit -lcjson -lm)

# The judge of bench-share, with loads of the test's own.
$(OBJ)/tests/unit/test_share_judge.o: OBJ_FLAGS += -Itests/preload
$(BUILD)/tests/unit/test_share_judge: $(patsubst %,$(OBJ)/tests/bench/share/%.o,\
	judge results cells books files)

$(SIMTESTS): $(BUILD)/tests/sim/%: $(OBJ)/$(SIM)/tests/%.o $(call shared,$(SIM)/tests) \
		$(CUNIT_MAIN) $(LIBSIMGPU) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD)
	$(call program,$(CUDA_LINK) -lcunit -lm)

# Clients of one kind each, plain as the programs of users are: never instrumented. Those
# called plugin_* are shared objects that others load; *_linked have the driver as NEEDED.
$(PRELOAD_PARTS): $(BUILD)/tests/preload/parts/%: $(OBJ)/tests/preload/parts/%.o | $(LIBCUDA)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) -pthread $(LDFLAGS) $(if $(filter plugin_%,$*),-shared) $(PART_LDFLAGS) -o $@ \
		$< $(if $(filter %_linked,$*),$(CUDA_LINK)) $(LIBS)
$(BUILD)/tests/preload/parts/plugin_outer $(BUILD)/tests/preload/parts/plugin_v1: \
	PART_LDFLAGS := -Wl,-soname,libcuda.so.1
$(BUILD)/tests/preload/parts/plugin_sysv: PART_LDFLAGS := -Wl,--hash-style=sysv
$(BUILD)/tests/preload/parts/plugin_runpath: PART_LDFLAGS := \
	-Wl,--enable-new-dtags,-rpath,'$$ORIGIN/private'

# Whoever asks for a shim finds the whole of it: the library, its parser, the tools.
SHIM_FILES := $(LIBSHIM) $(LIBLIMITS) $(TOOL_BINS)

$(PRELOAD): $(BUILD)/tests/preload/%: $(OBJ)/tests/preload/%.o \
		$(call shared,tests/preload) $(CUNIT_MAIN) $(SHIM_LINKED) $(LIBSIMGPU) $(LIBTOOLS) \
		$(LIBCORE) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD) $(SHIM_FILES)
	$(call program,$(CUDA_LINK) -lcunit -lcjson -lm)

$(STRESS): $(BUILD)/tests/stress/%: $(OBJ)/tests/stress/%.o $(call shared,tests/stress) \
		$(CUNIT_MAIN) $(call shared,tests/preload) $(SHIM_LINKED) $(LIBSIMGPU) $(LIBTOOLS) \
		$(LIBCORE) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD) $(SHIM_FILES)
	$(call program,$(CUDA_LINK) -lcunit -lcjson -lm)

$(BENCH): $(BUILD)/bench/%: $(OBJ)/tests/bench/%.o $(call shared,tests/bench) \
		$(LIBSIMGPU) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD) $(SHIM_FILES)
	$(call program,$(CUDA_LINK) -lm)

$(BENCH_SHARE): $(call objects,tests/bench/share) $(OBJ)/tests/preload/common_load.o \
		$(LIBSIMGPU) | $(LIBCUDA) $(LIBNVML) $(SIMGPUD) $(SHIM_FILES)
	$(call program,$(CUDA_LINK) -lm)

$(TENANTS): $(OBJ)/tests/top/tenants.o
	$(call program,)

$(BUILD)/tests/gpu/probe: $(call objects,tests/gpu/probe)
	$(call program,-lm)

$(BUILD)/tests/gpu/probe_count.so: $(call objects,tests/gpu/probe/count)
	$(link)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ $^ $(LIBS)

$(FUZZ_SHORT): $(BUILD)/tests/fuzz/%: $(OBJ)/tests/fuzz/%.o \
		$(call objects,tests/fuzz/short) $(call shared,tests/fuzz) \
		$(OBJ)/tests/unit/common_server.o $(LIBSIMDEVICE) $(LIBSIMDRIVER) $(LIBTOOLS) \
		$(LIBCORE)
	$(call program,-lcjson -lm)

$(FUZZ): $(BUILD)/fuzz/%: $(OBJ)/tests/fuzz/%.o $(call shared,tests/fuzz) \
		$(OBJ)/tests/unit/common_server.o $(LIBSIMDEVICE) $(LIBSIMDRIVER) $(LIBTOOLS) \
		$(LIBCORE)
	$(call program,-fsanitize=fuzzer -lcjson -lm)

# --- install -----------------------------------------------------------------------------

LIB_DEST := $(DESTDIR)$(PREFIX)/lib
SHIM_DEST := $(LIB_DEST)/gpushim
SIM_DEST := $(SHIM_DEST)/sim
BIN_DEST := $(DESTDIR)$(PREFIX)/bin
INCLUDE_DEST := $(DESTDIR)$(PREFIX)/include/gpushim
MAN_DEST := $(DESTDIR)$(PREFIX)/share/man/man1
SHARE_DEST := $(DESTDIR)$(PREFIX)/share/gpushim
COMPLETION_DEST := $(DESTDIR)$(PREFIX)/share/bash-completion/completions

SIM_FILES := libcuda.so.1 libnvidia-ml.so.1 simgpud
SIM_LINKS := libcuda.so libnvidia-ml.so
MAN := $(wildcard tools/man/*.1)
HEADERS := $(wildcard include/gpushim/*)
SCHEMAS := examples/limits.schema.json tools/top/top.schema.json
COMPLETIONS := $(wildcard tools/completion/*.bash)
# A guest that reads limits.json itself finds its parser, and that its cJSON, beside it.
CJSON = $(shell readlink -f "$$($(CC) -print-file-name=libcjson.so.1)")

# Each file arrives under a temporary name and is renamed: a running program keeps the old one.
# $(call put,MODE,FILE,DIRECTORY[,NAME])
put = install -D -m $(1) '$(2)' '$(3)/.$(or $(4),$(notdir $(2))).new' && \
	mv -f '$(3)/.$(or $(4),$(notdir $(2))).new' '$(3)/$(or $(4),$(notdir $(2)))' &&
put_link = ln -sf $(1) '$(2)/.$(3).new' && mv -f '$(2)/.$(3).new' '$(2)/$(3)' &&
install: lib sim tools
	@$(foreach f,$(LIBSHIM) $(LIBLIMITS),$(call put,755,$(f),$(SHIM_DEST))) \
	$(call put,644,$(CJSON),$(SHIM_DEST),libcjson.so.1) \
	$(call put,755,$(BUILD)/lib/libgpushim-reader.so,$(LIB_DEST),libgpushim-reader.so.1) \
	$(call put_link,libgpushim-reader.so.1,$(LIB_DEST),libgpushim-reader.so) \
	$(call put,644,$(BUILD)/lib/libgpushim-reader.a,$(LIB_DEST)) \
	mkdir -p '$(LIB_DEST)/pkgconfig' && sed 's|@PREFIX@|$(PREFIX)|' \
		libshim/ledger/gpushim-reader.pc.in >'$(LIB_DEST)/pkgconfig/gpushim-reader.pc' && \
	$(foreach f,$(HEADERS),$(call put,644,$(f),$(INCLUDE_DEST))) \
	$(foreach f,$(MAN),$(call put,644,$(f),$(MAN_DEST))) \
	$(foreach f,$(SCHEMAS),$(call put,644,$(f),$(SHARE_DEST))) \
	$(foreach f,$(COMPLETIONS),$(call put,644,$(f),$(COMPLETION_DEST),$(notdir $(f:.bash=)))) \
	$(foreach f,$(SIM_FILES),$(call put,755,$(BUILD)/sim/$(f),$(SIM_DEST))) \
	$(foreach l,$(SIM_LINKS),$(call put_link,$(l).1,$(SIM_DEST),$(l))) \
	$(foreach f,$(TOOL_BINS) $(SIMTOOL),$(call put,755,$(f),$(BIN_DEST))) \
	echo 'Installed below $(DESTDIR)$(PREFIX): $(notdir $(TOOL_BINS) $(SIMTOOL)) in bin,' \
		'libgpushim.so and the simulated GPU in lib/gpushim.'

uninstall:
	@rm -f $(foreach f,$(notdir $(LIBSHIM) $(LIBLIMITS)) libcjson.so.1,'$(SHIM_DEST)/$(f)') \
		$(foreach f,libgpushim-reader.so.1 libgpushim-reader.so libgpushim-reader.a \
			pkgconfig/gpushim-reader.pc,'$(LIB_DEST)/$(f)') \
		$(foreach f,$(notdir $(HEADERS)),'$(INCLUDE_DEST)/$(f)') \
		$(foreach f,$(notdir $(MAN)),'$(MAN_DEST)/$(f)') \
		$(foreach f,$(notdir $(SCHEMAS)),'$(SHARE_DEST)/$(f)') \
		$(foreach f,$(notdir $(COMPLETIONS:.bash=)),'$(COMPLETION_DEST)/$(f)') \
		$(foreach f,$(SIM_FILES) $(SIM_LINKS),'$(SIM_DEST)/$(f)') \
		$(foreach f,$(notdir $(TOOL_BINS) $(SIMTOOL)),'$(BIN_DEST)/$(f)')
	@rmdir '$(SIM_DEST)' '$(SHIM_DEST)' '$(INCLUDE_DEST)' '$(SHARE_DEST)' 2>/dev/null || true
