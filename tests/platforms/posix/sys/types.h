/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. */
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef int64_t off_t;
typedef ptrdiff_t ssize_t;
typedef int pid_t;
typedef uint32_t uid_t;
typedef uint32_t gid_t;
typedef uint32_t mode_t;
