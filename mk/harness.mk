# The library of the harness, its programs, the engine for the deterministic scheduler, the unit tests, the benchmark.

PROGRAMS := gate hunt realdisk followed
PROGRAM_FILES := $(PROGRAMS:%=$(B)/%)
HARNESS_LIB := $(B)/libharness.a
# adapter_scheduled.c belongs to the engine for the scheduler only.
HARNESS_OBJECTS := $(patsubst %.c,$(B)/%.o,$(filter-out $(PROGRAMS:%=harness/programs/%.c) \
    harness/adapters/adapter_scheduled.c harness/nbd/%,$(wildcard harness/*/*.c))) \
    $(B)/sched/engine.o
SCHED_OBJECTS := $(patsubst fast/%.c,$(B)/sched/%.o,$(wildcard fast/*.c)) $(B)/sched/adapter_fast.o \
    $(B)/sched/adapter_scheduled.o
BENCH_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard bench/*.c))
# The engine under weak memory needs a compiler that can call a function for every access to memory.
HAS_WEAK := $(shell echo 'int x;' | $(CC) -fsanitize=thread -x c -c -o /dev/null - 2>/dev/null && echo yes)
WEAK_OBJECTS := $(patsubst fast/%.c,$(B)/weak/fast/%.o,$(wildcard fast/*.c)) \
    $(patsubst harness/weak/programs/%.c,$(B)/weak/programs/%.o,$(wildcard harness/weak/programs/*.c))
WEAK_TEST_OBJECTS := $(B)/weak/tests/litmus.o $(B)/weak/tests/broken.o
UNIT_SOURCES := $(filter-out $(if $(HAS_WEAK),,tests/unit/weak/%),$(wildcard tests/unit/*/test_*.c))
UNIT_TESTS := $(patsubst %.c,$(B)/tests/%,$(notdir $(UNIT_SOURCES)))
CLI_TESTS := $(wildcard tests/cli/*.bats)
SETUP_TESTS := $(wildcard tests/setup/*.bats)
BROWSER_TESTS := $(wildcard tests/browser/*.bats)
EXAMPLE_TESTS := $(wildcard tests/examples/*.bats)
# Those that take longest begin first, so that none of them runs on alone in the end.
LONG_TESTS := %/protocol.bats %/gate.bats %/observe.bats %/test_fault %/test_crash %/hunt_sched.bats %/maintain.bats \
    %/flags.bats %/lint.bats
long_first = $(foreach long,$(LONG_TESTS),$(filter $(long),$1)) $(filter-out $(LONG_TESTS),$1)

$(HARNESS_LIB): $(HARNESS_OBJECTS) $(ORACLE_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

# The page of the report in HTML becomes an array of its lines.
$(B)/include/corpus/report_page.inc: harness/corpus/report.html
	@mkdir -p $(@D)
	sed 's/[\\"]/\\&/g; s/.*/"&\\n",/' $< >$@
WITH_PAGE := $(B)/harness/corpus/corpus_html.o harness/corpus/corpus_html.warnings
$(WITH_PAGE): NEEDED_CPPFLAGS += -I$(B)/include
$(WITH_PAGE): $(B)/include/corpus/report_page.inc

# A second build of the engine, for the deterministic scheduler. Its locks and atomics call the scheduler, and its names
# begin with sched_. It keeps its own copies of functions that the compiler adds, such as __x86.get_pc_thunk.
$(B)/sched/engine.o: $(SCHED_OBJECTS)
	$(LD) -r --force-group-allocation -o $@ $^
	$(NM) -g --defined-only $@ | sed -n 's/.* \(ad[a-z]*_[a-z0-9_]*\)$$/\1/p' >$@.public
	sed 's/.*/& sched_&/' $@.public >$@.names
	$(OBJCOPY) --keep-global-symbols=$@.public $@
	$(OBJCOPY) --redefine-syms=$@.names $@

$(SCHED_OBJECTS): NEEDED_CPPFLAGS += -include harness/sched/addcow_sync.h -include harness/sched/addcow_sizes.h
# objcopy cannot rename what link-time optimisation reads.
$(SCHED_OBJECTS): NEEDED_CFLAGS += $(if $(FAT_LTO),-fno-lto)

$(B)/sched/%.o: fast/%.c $(MAKEFILES_READ)
	$(compile)

$(B)/sched/%.o: harness/adapters/%.c $(MAKEFILES_READ)
	$(compile)

# A third build of the engine, for weak memory (harness/weak/entry.c), with the programs that are explored. What the
# compiler calls for the thread sanitizer, locks, the allocator, the copying of memory, and the engine get the prefix
# weak_.
WEAK_CALLS := pthread_.*|malloc|calloc|realloc|free|strdup|strndup|memcpy|memmove|memset|memcmp
define weak_link
@mkdir -p $(@D)
$(LD) -r --force-group-allocation -o $@ $^
$(NM) -u $@ | sed -nE 's/^ *U //; ta; d; :a; s/^__tsan_(.*)$$/& weak_tsan_\1/p; t; \
    s/^__(assert_fail)$$/& weak_\1/p; t; s/^($(WEAK_CALLS))$$/& weak_\1/p' \
    >$@.names
$(NM) -g --defined-only $@ | sed -nE 's/.* (ad[a-z]*_[a-z0-9_]*)$$/\1 weak_\1/p' >>$@.names
$(NM) -g --defined-only $@ | sed -nE 's/.* ((ad[a-z]*|weak|litmus)_[a-z0-9_]*)$$/\1/p' >$@.public
$(OBJCOPY) --keep-global-symbols=$@.public $@
$(OBJCOPY) --redefine-syms=$@.names $@
endef

$(B)/weak/engine.o: $(WEAK_OBJECTS)
	$(weak_link)

$(B)/weak/litmus.o: $(WEAK_TEST_OBJECTS)
	$(weak_link)

$(WEAK_OBJECTS) $(WEAK_TEST_OBJECTS): NEEDED_CPPFLAGS += -include harness/weak/addcow_sync.h -U_FORTIFY_SOURCE
$(WEAK_OBJECTS) $(WEAK_TEST_OBJECTS): ALL_CFLAGS = $(filter-out -fsanitize% -fno-sanitize% -fprofile% -fcoverage% \
    --coverage,$(OPT) $(WARNINGS) $(WERROR) $(CFLAGS) $(NEEDED_CFLAGS)) -fsanitize=thread -fno-builtin -fno-lto

$(B)/weak/fast/%.o: fast/%.c $(MAKEFILES_READ)
	$(compile)

$(B)/weak/programs/%.o: harness/weak/programs/%.c $(MAKEFILES_READ)
	$(compile)

$(B)/weak/tests/%.o: tests/unit/weak/%.c $(MAKEFILES_READ)
	$(compile)

$(B)/tests/test_weak_litmus: $(B)/weak/litmus.o $(B)/tests/unit/weak/axioms.o
$(B)/tests/test_weak_engine: $(B)/weak/engine.o $(B)/weak/litmus.o

$(B)/hunt: $(if $(HAS_WEAK),$(B)/weak/engine.o)
$(PROGRAM_FILES): $(B)/%: $(B)/harness/programs/%.o $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(HARNESS_LIB) $(LIB) $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

# The adapter of servers of NBD (gate --impl nbd:COMMAND) is built where libnbd is; else it is named as left out.
NBD_DOOR := $(B)/gate-nbd
NBD_DOOR_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard harness/nbd/*.c))
LIBNBD_CFLAGS = $(eval LIBNBD_CFLAGS := $$(shell $(PKG_CONFIG) --cflags libnbd 2>/dev/null))$(LIBNBD_CFLAGS)
LIBNBD_LIBS = $(eval LIBNBD_LIBS := $$(or $$(shell $(PKG_CONFIG) --libs libnbd 2>/dev/null),-lnbd))$(LIBNBD_LIBS)
HAS_LIBNBD = LIBS='$(LIBNBD_LIBS) $(LDLIBS)' mk/has-libnbd $(CC) $(LIBNBD_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(NBD_DOOR_OBJECTS): NEEDED_CPPFLAGS += $(LIBNBD_CFLAGS)
$(NBD_DOOR): $(NBD_DOOR_OBJECTS) $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBNBD_LIBS) $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

# What another part of this make builds too is built before, so that no two write it at once.
nbd-door: $(HARNESS_LIB) $(LIB)
	@if $(HAS_LIBNBD); then \
	    $(MAKE) --no-print-directory $(NBD_DOOR); \
	else \
	    echo "left out: gate --impl nbd: (it needs libnbd.h, 1.4 or newer)"; \
	fi
.PHONY: nbd-door

# The second implementation, which shares no code with the others.
SECOND := $(B)/second
$(SECOND): $(patsubst %.c,$(B)/%.o,$(wildcard corpus/second/*.c))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBATOMIC) $(LDLIBS)

$(B)/bench/bench: $(BENCH_OBJECTS) $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

$(foreach source,$(UNIT_SOURCES),$(eval $(B)/tests/$(notdir $(source:.c=)): $(B)/$(source:.c=.o)))
$(UNIT_TESTS): $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(HARNESS_LIB) $(LIB) -lcmocka $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

# It wraps the allocator of the engine.
$(B)/tests/test_memory: NEEDED_LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup,--wrap=strndup
