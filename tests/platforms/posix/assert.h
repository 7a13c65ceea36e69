/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. */
void assertion_failed(const char *text);
#undef assert
#define assert(condition) ((condition) ? (void)0 : assertion_failed(#condition))
