# Every C file through the compiler with -Werror, whether it is built already or not.
WARNINGS_CHECKED := $(patsubst %.c,%.warnings,$(wildcard $(patsubst %,%/*.c,ref fast tools harness/* tests/unit/* \
    bench fuzz/lib fuzz/targets fuzz/mutator)))
warnings: $(WARNINGS_CHECKED)
	@echo "warnings: none in $(words $(WARNINGS_CHECKED)) files"
$(WARNINGS_CHECKED): %.warnings: %.c
	$(CC) $(CPPFLAGS) $(filter-out -MMD -MP,$(CFLAGS)) -Werror -fsyntax-only $<
.PHONY: warnings $(WARNINGS_CHECKED)
