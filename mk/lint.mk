# Compiles every C file with -Werror, whether it is built already or not.
C_FOLDERS := ref fast tools harness/* tests/unit/* bench fuzz/lib fuzz/targets fuzz/mutator
WARNINGS_CHECKED := $(patsubst %.c,%.warnings,$(wildcard $(patsubst %,%/*.c,$(C_FOLDERS))))
warnings: $(WARNINGS_CHECKED)
	@echo "warnings: none in $(words $(WARNINGS_CHECKED)) files"
$(WARNINGS_CHECKED): %.warnings: %.c
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Werror -fsyntax-only $<
.PHONY: warnings $(WARNINGS_CHECKED)
