/* See curl_open.h. The library stays open until the process ends. */
#include "net/curl_open.h"
#include <dlfcn.h>
#include <stdbool.h>

#ifdef __APPLE__
#define CURL_LIBRARY "libcurl.4.dylib"
#else
#define CURL_LIBRARY "libcurl.so.4"
#endif

const struct curl_api *curl_open(struct err *err)
{
    static struct curl_api api;
    static bool ready;
    if (ready)
        return &api;
    void *library = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        err_set(err, ERR_IO,
                "cannot open " CURL_LIBRARY " (%s); to install it: sudo apt install libcurl4",
                dlerror());
        return NULL;
    }
#define CURL_LOAD(name)                                                          \
    api.name = (__typeof__(&curl_##name))dlsym(library, "curl_" #name);          \
    if (!api.name) {                                                             \
        err_set(err, ERR_IO, CURL_LIBRARY " is too old: it has no curl_" #name); \
        return NULL;                                                             \
    }
    CURL_FUNCTIONS(CURL_LOAD)
#undef CURL_LOAD
    if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        err_set(err, ERR_IO, CURL_LIBRARY " does not start");
        return NULL;
    }
    ready = true;
    return &api;
}
