# The reference engine, the production engine, the library of both, and the addcow command.

REF_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard ref/*.c)) $(if $(CONTRACTS),$(B)/proofs/runtime.o)
FAST_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard fast/*.c))
TOOL_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/*.c))

LIB := $(B)/libaddcow.a
SHARED := $(B)/libaddcow.so.$(VERSION)

# A header that stands in for fast/addcow_sync.h.
SYNC :=
$(FAST_OBJECTS): CPPFLAGS += $(SYNC:%=-include %)

# The reference engine's header is public, but is kept free of compiler extensions for the provers.
$(REF_OBJECTS): CFLAGS += -fvisibility=default

$(LIB): $(REF_OBJECTS) $(FAST_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

$(SHARED): $(REF_OBJECTS) $(FAST_OBJECTS) fast/libaddcow.map
	$(CC) $(LDFLAGS) -shared -Wl,-soname,libaddcow.so.$(SOVERSION) -Wl,--version-script=fast/libaddcow.map \
	    $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -o $@ $(REF_OBJECTS) $(FAST_OBJECTS)

$(B)/addcow: $(TOOL_OBJECTS) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -ljansson
