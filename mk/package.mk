# The gate for machines without this tree and without a compiler: `make install-gate`. The tarball: `make dist`.
#
# Installs the programs gate and hunt as addcow-gate and addcow-hunt, the corpus, the protocol and the specification.
# addcow-gate finds the corpus relative to its own directory, so that the whole may be moved.

GATE_DATA := $(DATADIR)/addcow
TO_GATE_DATA = $(call to,$(GATE_DATA))
INSTALLED_PROGRAMS := $(patsubst %,$(B)/install/addcow-%,gate hunt)
INSTALLED_OBJECTS := $(patsubst harness/programs/%.c,$(B)/install/%.o,\
    $(wildcard harness/programs/gate.c harness/programs/hunt*.c))
GATE_CORPUS = $(shell realpath -m --relative-to=$(call quote,$(BINDIR)) -- $(call quote,$(GATE_DATA)/corpus))

# They are compiled each time, as they depend on the directories.
always:
$(INSTALLED_OBJECTS): NEEDED_CPPFLAGS += -DPROGRAM_PREFIX='"addcow-"'
$(B)/install/gate.o: NEEDED_CPPFLAGS += -DGATE_CORPUS=$(call quote,"$(GATE_CORPUS)")
$(INSTALLED_OBJECTS): $(B)/install/%.o: harness/programs/%.c always
	$(compile)

# The library of the harness has the other objects of hunt, too, for the program that is not installed.
$(INSTALLED_PROGRAMS): $(B)/install/addcow-%: $(HARNESS_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(HARNESS_LIB) $(LIB) $(JANSSON_LIBS) $(LDLIBS)
$(B)/install/addcow-gate: $(filter %/gate.o,$(INSTALLED_OBJECTS))
$(B)/install/addcow-hunt: $(filter-out %/gate.o,$(INSTALLED_OBJECTS))

install-gate-files: $(INSTALLED_PROGRAMS)
	$(INSTALL) -d $(TO_BIN) $(TO_MAN) $(TO_GATE_DATA)/corpus/example $(TO_GATE_DATA)/spec
	$(INSTALL) -m 755 $(INSTALLED_PROGRAMS) $(TO_BIN)
	@if $(HAS_LIBNBD); then \
	    $(MAKE) --no-print-directory $(NBD_DOOR) && $(INSTALL) -m 755 $(NBD_DOOR) $(TO_BIN)/addcow-gate-nbd; \
	else \
	    echo "left out: addcow-gate --impl nbd: (it needs libnbd.h, 1.4 or newer)"; \
	fi
	$(INSTALL) -m 644 $(patsubst $(B)/install/%,harness/programs/%.1,$(INSTALLED_PROGRAMS)) $(TO_MAN)
	$(INSTALL) -m 644 spec/add-cow.md $(TO_GATE_DATA)/spec
	$(INSTALL) -m 644 $(addprefix corpus/,LICENSE PROTOCOL.md README.md corpus.json schema.json) $(TO_GATE_DATA)/corpus
	$(INSTALL) -m 644 $(wildcard corpus/example/*.py) $(TO_GATE_DATA)/corpus/example
	rm -rf $(TO_GATE_DATA)/corpus/cases
	cp -R corpus/cases $(TO_GATE_DATA)/corpus
	chmod -R u=rwX,go=rX $(TO_GATE_DATA)/corpus/cases

uninstall-gate-files:
	rm -f $(foreach name,$(notdir $(INSTALLED_PROGRAMS)),$(TO_BIN)/$(name) $(TO_MAN)/$(name).1)
	rm -f $(TO_BIN)/addcow-gate-nbd
	rm -rf $(TO_GATE_DATA)/corpus $(TO_GATE_DATA)/spec
	! [ -d $(TO_GATE_DATA) ] || rmdir $(TO_GATE_DATA)

.PHONY: always install-gate-files uninstall-gate-files
