/*
 * The version of add-cow. It stands here and nowhere else: the Makefile reads the three numbers, and names the
 * libraries and the pkg-config file by them.
 *
 * While MAJOR is 0, a new MINOR may change anything. A change of the interface always changes MINOR or PATCH.
 */
#ifndef ADDCOW_VERSION_H
#define ADDCOW_VERSION_H

#define ADDCOW_VERSION_MAJOR 0
#define ADDCOW_VERSION_MINOR 2
#define ADDCOW_VERSION_PATCH 0

/* To compare: 200 is 0.2.0. */
#define ADDCOW_VERSION_NUMBER (ADDCOW_VERSION_MAJOR * 10000 + ADDCOW_VERSION_MINOR * 100 + ADDCOW_VERSION_PATCH)

/* As text, such as "0.2.0". */
#define ADDCOW_VERSION ADDCOW_DOTTED(ADDCOW_VERSION_MAJOR, ADDCOW_VERSION_MINOR, ADDCOW_VERSION_PATCH)
#define ADDCOW_DOTTED(major, minor, patch) ADDCOW_TEXT_OF(major) "." ADDCOW_TEXT_OF(minor) "." ADDCOW_TEXT_OF(patch)
#define ADDCOW_TEXT_OF(number) #number

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
