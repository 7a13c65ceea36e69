# The library of the engine and the header codec, the oracle beside it, and the addcow command.

CODEC_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard ref/addcow_header*.c)) $(if $(CONTRACTS),$(B)/proofs/runtime.o)
ORACLE_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard ref/addcow_ref*.c))
REF_OBJECTS := $(CODEC_OBJECTS) $(ORACLE_OBJECTS)
FAST_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard fast/*.c))
TOOL_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/*.c))

LIB := $(B)/libaddcow.a
SHARED := $(B)/libaddcow.so.$(VERSION)

# A header that replaces fast/addcow_sync.h.
SYNC :=
$(FAST_OBJECTS): NEEDED_CPPFLAGS += $(SYNC:%=-include %)

# ref/ is kept free of compiler extensions for the provers; fast/libaddcow.map says which functions are public.
$(CODEC_OBJECTS): NEEDED_CFLAGS += -fvisibility=default

# What users link. The oracle belongs to the harness.
$(LIB): $(CODEC_OBJECTS) $(FAST_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

$(SHARED): $(CODEC_OBJECTS) $(FAST_OBJECTS) fast/libaddcow.map
	$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,libaddcow.so.$(SOVERSION) -Wl,--version-script=fast/libaddcow.map \
	    $(if $(filter -fsanitize%,$(ALL_LDFLAGS)),,-Wl$(comma)-z$(comma)defs) -o $@ \
	    $(CODEC_OBJECTS) $(FAST_OBJECTS) $(LIBATOMIC) $(LDLIBS)

$(B)/addcow: $(TOOL_OBJECTS) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)
