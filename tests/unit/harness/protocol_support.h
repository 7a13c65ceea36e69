/*
 * What an adapter declares, for tests of the protocol.
 */
#ifndef TESTS_PROTOCOL_SUPPORT_H
#define TESTS_PROTOCOL_SUPPORT_H

#include "adapters/adapter_exec.h"
#include "base/report.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ABILITIES(concurrency)                                                                                         \
    "layouts=r20,r9 operations=write,zero,discard,map,flush,resize,stream,commit,create granularity=1 "                \
    "concurrency=" concurrency " level=durable lacks="

#endif
