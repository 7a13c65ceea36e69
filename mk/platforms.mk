# Other platforms: `make check-platforms`. scripts/check-platforms says how each is built and run.

# What runs unless PLATFORMS says otherwise: both orders of bytes, 32 and 64 bits, two C libraries, and only POSIX.
PLATFORMS := s390x armhf musl posix

# A header that changes what the library finds in the headers of the system, such as tests/platforms/only_posix.h.
PLATFORM :=
$(FAST_OBJECTS) $(B)/tests/unit/engine/test_storage_posix.o $(B)/tests/unit/kernel/test_posix_calls.o: \
    NEEDED_CPPFLAGS += $(PLATFORM:%=-include %)
# For all tests: what only Linux has is not there.
NEEDED_CPPFLAGS += $(if $(PLATFORM),-DONLY_POSIX=1)
