/* Not the real header. flock is not in POSIX, but in every system without open file description locks. */
#pragma once
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
int flock(int descriptor, int operation);
