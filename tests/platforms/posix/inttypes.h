/* Not the real header: what the library uses of C, for tests/setup/platforms.bats. */
#pragma once
#include <stdint.h>
#ifdef __LP64__
#define PRIu64 "lu"
#define PRIx64 "lx"
#else
#define PRIu64 "llu"
#define PRIx64 "llx"
#endif
#define PRIu32 "u"
#define PRIx32 "x"
