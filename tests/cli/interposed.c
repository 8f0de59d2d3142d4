/* Logs to $INTERPOSED_LOG, in order: each thread that Python starts, and each name added to the environment or
   removed from it. A new value for a name that is there moves nothing, and is not logged. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void tell(const char *what, const char *name)
{
    const char *log = getenv("INTERPOSED_LOG");
    char line[256];
    int length = snprintf(line, sizeof line, "%s %s\n", what, name);
    int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0 && write(file, line, length) >= 0)
        close(file);
}

int setenv(const char *name, const char *value, int overwrite)
{
    int (*real)(const char *, const char *, int) = dlsym(RTLD_NEXT, "setenv");
    if (!getenv(name))
        tell("add", name);
    return real(name, value, overwrite);
}

int unsetenv(const char *name)
{
    int (*real)(const char *) = dlsym(RTLD_NEXT, "unsetenv");
    if (getenv(name))
        tell("remove", name);
    return real(name);
}

int putenv(char *text)
{
    int (*real)(char *) = dlsym(RTLD_NEXT, "putenv");
    tell("add", text);
    return real(text);
}

int clearenv(void)
{
    int (*real)(void) = dlsym(RTLD_NEXT, "clearenv");
    tell("remove", "*");
    return real();
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *given)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    Dl_info caller;
    if (dladdr(__builtin_return_address(0), &caller) && caller.dli_fname) {
        const char *slash = strrchr(caller.dli_fname, '/');
        const char *file = slash ? slash + 1 : caller.dli_fname;
        if (!strncmp(file, "libpython", 9) || !strncmp(file, "python", 6))
            tell("thread", file);
    }
    return real(thread, attributes, start, given);
}
