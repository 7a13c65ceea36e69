# The fuzz targets. LIB_FUZZING_ENGINE is what drives them, such as -fsanitize=fuzzer; without one they replay files.

LIB_FUZZING_ENGINE :=
FUZZ_LD := $(CC)
FUZZ_TARGETS := $(patsubst fuzz/targets/%.c,$(B)/fuzz/%,$(wildcard fuzz/targets/fuzz_*.c))
FUZZ_PLAIN_TARGETS := $(addprefix $(B)/fuzz/,fuzz_encode fuzz_json fuzz_protocol)
FUZZ_OBJECTS := $(patsubst %,$(B)/fuzz/lib/%.o,fuzz untrusted_image storage_fault explore_target)
FUZZ_MUTATOR := $(B)/fuzz/mutator/mutator.o $(B)/fuzz/mutator/mutator_libfuzzer.o
# What the mutator of AFL++ links beside itself: it reads and writes traces.
FUZZ_MUTATOR_NEEDS := $(patsubst %,$(B)/%.o,fuzz/lib/fuzz harness/base/number harness/workload/trace \
    harness/workload/trace_text harness/workload/operation) $(CODEC_OBJECTS)

# The oracle and the stamps go byte by byte through whole disks: to watch that helps no fuzzer, and costs most of its
# time.
$(ORACLE_OBJECTS) $(B)/harness/workload/stamp.o: \
    CFLAGS += $(if $(LIB_FUZZING_ENGINE),-fno-sanitize-coverage=trace-cmp)
export AFL_LLVM_DENYLIST := $(CURDIR)/fuzz/campaign/afl.denylist

$(filter-out $(FUZZ_PLAIN_TARGETS),$(FUZZ_TARGETS)): $(if $(LIB_FUZZING_ENGINE),$(FUZZ_MUTATOR))
$(FUZZ_TARGETS): $(B)/fuzz/%: $(B)/fuzz/targets/%.o $(FUZZ_OBJECTS) $(HARNESS_LIB) $(LIB) \
    $(if $(LIB_FUZZING_ENGINE),,$(B)/fuzz/lib/replay.o)
	$(FUZZ_LD) $(LDFLAGS) -o $@ $(filter %.o,$^) $(HARNESS_LIB) $(LIB) $(LIB_FUZZING_ENGINE) -ljansson

$(B)/fuzz/make_seeds: $(B)/fuzz/generators/make_seeds.o $(B)/fuzz/lib/fuzz.o $(HARNESS_LIB) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -ljansson

$(B)/fuzz/mutator_afl.so: $(B)/fuzz/mutator/mutator_afl.o $(B)/fuzz/mutator/mutator.o $(FUZZ_MUTATOR_NEEDS)
	$(CC) $(LDFLAGS) -shared -o $@ $^
