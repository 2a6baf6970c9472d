/* libcurl by dlopen: its functions as a table of typed pointers.
 *
 * Linked, libcurl and the 33 libraries below it cost 3 ms at every start, `flambe --version`
 * included. Its headers are compiled against; the library is opened on the first request. */
#ifndef FLAMBE_NET_CURL_OPEN_H
#define FLAMBE_NET_CURL_OPEN_H

/* CURLOPT_PROTOCOLS is deprecated in favour of a string that libcurl before 7.85 does not know. */
#define CURL_DISABLE_DEPRECATION
/* The type checks wrap the functions' names in macros that do not fit a table of pointers. */
#define CURL_DISABLE_TYPECHECK
#include "base/err.h"
#include <curl/curl.h>

/* Without the macros that curl.h lays over its own functions. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define CURL_FUNCTIONS(X)  \
    X(global_init)         \
    X(easy_init)           \
    X(easy_setopt)         \
    X(easy_getinfo)        \
    X(easy_cleanup)        \
    X(easy_strerror)       \
    X(slist_append)        \
    X(slist_free_all)      \
    X(multi_init)          \
    X(multi_setopt)        \
    X(multi_add_handle)    \
    X(multi_remove_handle) \
    X(multi_socket_action) \
    X(multi_assign)        \
    X(multi_info_read)     \
    X(multi_cleanup)

struct curl_api {
#define CURL_MEMBER(name) __typeof__(&curl_##name) name;
    CURL_FUNCTIONS(CURL_MEMBER)
#undef CURL_MEMBER
};

/* Opens libcurl once in the life of the process and returns its table, or NULL (ERR_IO, with what
 * to install). */
const struct curl_api *curl_open(struct err *err);

#endif
