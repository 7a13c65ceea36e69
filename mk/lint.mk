# Compiles every C file with -Werror, whether it is built already or not.
C_FOLDERS := ref fast tools harness/* tests/unit/* bench fuzz/lib fuzz/targets fuzz/mutator
# The plugin only where the compiler finds its headers.
C_FOLDERS += $(if $(filter warnings,$(MAKECMDGOALS)),$(shell mk/has-nbdkit $(CC) $(NBDKIT_CFLAGS) && echo nbdkit))
# The same for the adapter of servers of NBD.
WITHOUT_HEADERS := $(if $(filter warnings,$(MAKECMDGOALS)),$(shell $(HAS_LIBNBD) || echo harness/nbd/%),harness/nbd/%)
WARNINGS_CHECKED := $(patsubst %.c,%.warnings,$(filter-out $(WITHOUT_HEADERS),\
    $(wildcard $(patsubst %,%/*.c,$(C_FOLDERS)))))
harness/nbd/%.warnings: NEEDED_CPPFLAGS += $(LIBNBD_CFLAGS)
warnings: $(WARNINGS_CHECKED)
	@echo "warnings: none in $(words $(WARNINGS_CHECKED)) files ($(CC))"
$(WARNINGS_CHECKED): %.warnings: %.c
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Werror -fsyntax-only $<
# The same for a machine of 32 bits, where size_t is shorter than an offset. The headers of the libraries are those of
# this machine, after the C library's.
FOR_32_BITS := CC=i686-linux-gnu-gcc CPPFLAGS='-idirafter /usr/include' CFLAGS=-Wno-psabi
.PHONY: warnings $(WARNINGS_CHECKED)
