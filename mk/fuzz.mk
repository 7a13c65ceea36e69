# The fuzz targets. LIB_FUZZING_ENGINE drives them, such as -fsanitize=fuzzer. Without one they replay files.

LIB_FUZZING_ENGINE :=
FUZZ_LD := $(CC)
FUZZ_TARGETS := $(patsubst fuzz/targets/%.c,$(B)/fuzz/%,$(wildcard fuzz/targets/fuzz_*.c))
# Targets whose inputs have the sections of fuzz.h get the custom mutator, which knows them.
FUZZ_STRUCTURED_TARGETS := $(patsubst fuzz/targets/%.c,$(B)/fuzz/%,$(shell grep -ls fuzz_split fuzz/targets/*.c))
FUZZ_OBJECTS := $(patsubst %,$(B)/fuzz/lib/%.o,fuzz untrusted_image storage_fault explore_target)
SEED_GENERATORS := $(patsubst %.c,$(B)/%.o,$(wildcard fuzz/generators/*.c))
SEED_SOURCES := $(shell find corpus/cases corpus/regressions -name '*.json' -o -name '*.trace' 2>/dev/null)
FUZZ_MUTATOR := $(B)/fuzz/mutator/mutator.o $(B)/fuzz/mutator/mutator_libfuzzer.o
# The mutator of AFL++ reads and writes traces, and links this for it.
FUZZ_MUTATOR_NEEDS := $(patsubst %,$(B)/%.o,fuzz/lib/fuzz harness/base/number harness/workload/trace \
    harness/workload/trace_text harness/workload/operation) $(CODEC_OBJECTS)

# The oracle and the stamps read whole disks byte by byte. To trace these comparisons helps no fuzzer, and costs most of
# its time.
$(ORACLE_OBJECTS) $(B)/harness/workload/stamp.o: \
    NEEDED_CFLAGS += $(if $(LIB_FUZZING_ENGINE),-fno-sanitize-coverage=trace-cmp)
export AFL_LLVM_DENYLIST := $(CURDIR)/fuzz/campaign/afl.denylist

$(FUZZ_STRUCTURED_TARGETS): $(if $(LIB_FUZZING_ENGINE),$(FUZZ_MUTATOR))
$(FUZZ_TARGETS): $(B)/fuzz/%: $(B)/fuzz/targets/%.o $(FUZZ_OBJECTS) $(HARNESS_LIB) $(LIB) \
    $(if $(LIB_FUZZING_ENGINE),,$(B)/fuzz/lib/replay.o)
	$(FUZZ_LD) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(HARNESS_LIB) $(LIB) $(LIB_FUZZING_ENGINE) \
	    $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

# The seeds of all targets, one directory for each target.
$(B)/fuzz/make_seeds: $(SEED_GENERATORS) $(B)/fuzz/lib/fuzz.o $(HARNESS_LIB) $(LIB)
	$(FUZZ_LD) $(ALL_LDFLAGS) -o $@ $^ $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

$(B)/fuzz/seeds: $(B)/fuzz/make_seeds $(SEED_SOURCES)
	@rm -rf $@ $@.new
	@mkdir $@.new
	$(B)/fuzz/make_seeds corpus $@.new
	@mv $@.new $@
	@touch $@

$(B)/fuzz/mutator_afl.so: $(B)/fuzz/mutator/mutator_afl.o $(B)/fuzz/mutator/mutator.o $(FUZZ_MUTATOR_NEEDS)
	$(CC) $(ALL_LDFLAGS) -shared -o $@ $^

# The tests of fuzz/run need the source of jansson, which this fetches once from the distribution.
FUZZ_TESTS := $(wildcard tests/fuzz/*.bats)

build/fuzz/jansson:
	@echo "fetching the source of jansson..." >&2
	.clusterfuzzlite/fetch-jansson $@ >/dev/null
