# The library of the harness, its programs, the engine for the deterministic scheduler, the unit tests, the benchmark.

PROGRAMS := gate hunt realdisk
PROGRAM_FILES := $(PROGRAMS:%=$(B)/%)
HARNESS_LIB := $(B)/libharness.a
# adapter_scheduled.c belongs to the engine for the scheduler only.
HARNESS_OBJECTS := $(patsubst %.c,$(B)/%.o,$(filter-out $(PROGRAMS:%=harness/programs/%.c) \
    harness/adapters/adapter_scheduled.c,$(wildcard harness/*/*.c))) \
    $(B)/sched/engine.o
SCHED_OBJECTS := $(patsubst fast/%.c,$(B)/sched/%.o,$(wildcard fast/*.c)) $(B)/sched/adapter_fast.o \
    $(B)/sched/adapter_scheduled.o
BENCH_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard bench/*.c))
UNIT_SOURCES := $(wildcard tests/unit/*/test_*.c)
UNIT_TESTS := $(patsubst %.c,$(B)/tests/%,$(notdir $(UNIT_SOURCES)))
CLI_TESTS := $(wildcard tests/cli/*.bats)
SETUP_TESTS := $(wildcard tests/setup/*.bats)
EXAMPLE_TESTS := $(wildcard tests/examples/*.bats)
# Those that take longest begin first, so that none of them runs on alone in the end.
LONG_TESTS := %/protocol.bats %/gate.bats %/test_crash %/test_fault %/maintain.bats %/flags.bats %/lint.bats
long_first = $(foreach long,$(LONG_TESTS),$(filter $(long),$1)) $(filter-out $(LONG_TESTS),$1)

$(HARNESS_LIB): $(HARNESS_OBJECTS) $(ORACLE_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

# A second build of the engine, for the deterministic scheduler. Its locks and atomics call the scheduler, and its names
# begin with sched_. It keeps its own copies of functions that the compiler adds, such as __x86.get_pc_thunk.
$(B)/sched/engine.o: $(SCHED_OBJECTS)
	$(LD) -r --force-group-allocation -o $@ $^
	$(NM) -g --defined-only $@ | sed -n 's/.* \(ad[a-z]*_[a-z0-9_]*\)$$/\1/p' >$@.public
	sed 's/.*/& sched_&/' $@.public >$@.names
	$(OBJCOPY) --keep-global-symbols=$@.public $@
	$(OBJCOPY) --redefine-syms=$@.names $@

$(SCHED_OBJECTS): NEEDED_CPPFLAGS += -include harness/sched/addcow_sync.h
# objcopy cannot rename what link-time optimisation reads.
$(SCHED_OBJECTS): NEEDED_CFLAGS += $(if $(FAT_LTO),-fno-lto)

$(B)/sched/%.o: fast/%.c $(MAKEFILES_READ)
	$(compile)

$(B)/sched/%.o: harness/adapters/%.c $(MAKEFILES_READ)
	$(compile)

$(PROGRAM_FILES): $(B)/%: $(B)/harness/programs/%.o $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

$(B)/bench/bench: $(BENCH_OBJECTS) $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

$(foreach source,$(UNIT_SOURCES),$(eval $(B)/tests/$(notdir $(source:.c=)): $(B)/$(source:.c=.o)))
$(UNIT_TESTS): $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(HARNESS_LIB) $(LIB) -lcmocka $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

# It wraps the allocator of the engine.
$(B)/tests/test_memory: NEEDED_LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup,--wrap=strndup
