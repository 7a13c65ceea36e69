# With CONTRACTS=1, the reference engine checks its own contracts: it is the copy that proofs/at-runtime writes.

ifdef CONTRACTS
$(B)/ref/%.o: $(B)/checked/%.c $(MAKEFILES_READ) proofs/runtime.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) -Iproofs $(filter-out $(WARNINGS),$(ALL_CFLAGS)) -w -MMD -MP -c -o $@ $<

$(B)/runtime_drive: $(B)/proofs/runtime_drive.o $(REF_OBJECTS)
	$(CC) $(ALL_LDFLAGS) -o $@ $^

checked-programs: $(B)/runtime_drive $(B)/hunt $(B)/tests/test_ref
.PHONY: checked-programs
endif
