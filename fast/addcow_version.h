/*
 * The version of add-cow, and how its interface grows.
 *
 * The version stands here and nowhere else: the Makefile reads the three numbers, and names the libraries and the
 * pkg-config file by them. fast/libaddcow.abi records the interface of a version; `make lint` refuses another one under
 * the same version.
 *
 * A newer version may add members at the end of a public struct whose first member is struct_size. It still serves
 * programs that were compiled with the shorter struct, as they say its size there. In C, such a struct begins as
 * `= ADDCOW_ERROR_INIT` and the like, or with `.struct_size = sizeof(struct addcow_create_options)`. In C++ it needs
 * nothing: the member has that value by itself.
 */
#ifndef ADDCOW_VERSION_H
#define ADDCOW_VERSION_H

#define ADDCOW_VERSION_MAJOR 0
#define ADDCOW_VERSION_MINOR 8
#define ADDCOW_VERSION_PATCH 0

/* To compare: 200 is 0.2.0. */
#define ADDCOW_VERSION_NUMBER (ADDCOW_VERSION_MAJOR * 10000 + ADDCOW_VERSION_MINOR * 100 + ADDCOW_VERSION_PATCH)

/* As text, such as "0.2.0". */
#define ADDCOW_VERSION ADDCOW_DOTTED(ADDCOW_VERSION_MAJOR, ADDCOW_VERSION_MINOR, ADDCOW_VERSION_PATCH)
#define ADDCOW_DOTTED(major, minor, patch) ADDCOW_TEXT_OF(major) "." ADDCOW_TEXT_OF(minor) "." ADDCOW_TEXT_OF(patch)
#define ADDCOW_TEXT_OF(number) #number

/* The value that a member has in C++ without saying so, and the initialiser of a struct that says it in C. */
#ifdef __cplusplus
#define ADDCOW_INITIALLY(value) = value
#define ADDCOW_INIT(...)                                                                                               \
    {                                                                                                                  \
    }
#else
#define ADDCOW_INITIALLY(value)
#define ADDCOW_INIT(...) {__VA_ARGS__}
#endif

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* what the shared library exports */

/* The ADDCOW_VERSION of the library that runs, which may be newer than that of this header. Static storage. */
const char *addcow_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
