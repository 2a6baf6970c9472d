/* What a static program must not do: glibc's look-ups of users, hosts and services load shared
 * libraries of the very version that was linked, and a host has another. Nothing here needs them,
 * but libuv, SQLite and libcrypto have functions that would; the linker sends their calls here
 * (`--wrap`, in src/node/meson.build), and fails the build where one is not caught.
 *
 * Uid, gid and home come from the environment and from node.json; see login.h. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/socket.h>

struct passwd *__wrap_getpwuid(uid_t uid);
int __wrap_getpwuid_r(uid_t uid, struct passwd *pw, char *room, size_t size, struct passwd **out);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
void __wrap_freeaddrinfo(struct addrinfo *list);
int __wrap_getnameinfo(const struct sockaddr *address, socklen_t size, char *host,
                       socklen_t host_size, char *service, socklen_t service_size, int flags);
struct hostent *__wrap_gethostbyname(const char *name);
void *__wrap_dlopen(const char *path, int flags);
void *__wrap_dlsym(void *handle, const char *name);
int __wrap_dlclose(void *handle);
char *__wrap_dlerror(void);
int __wrap_dladdr(const void *address, Dl_info *out);
void *__wrap___libc_dlopen_mode(const char *path, int flags); /* of iconv's modules */

struct passwd *__wrap_getpwuid(uid_t uid)
{
    (void)uid;
    return NULL;
}

int __wrap_getpwuid_r(uid_t uid, struct passwd *pw, char *room, size_t size, struct passwd **out)
{
    (void)uid, (void)pw, (void)room, (void)size;
    *out = NULL;
    return ENOENT;
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    (void)node, (void)service, (void)hints, (void)out;
    return EAI_FAIL;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

int __wrap_getnameinfo(const struct sockaddr *address, socklen_t size, char *host,
                       socklen_t host_size, char *service, socklen_t service_size, int flags)
{
    (void)address, (void)size, (void)host, (void)host_size, (void)service, (void)service_size;
    (void)flags;
    return EAI_FAIL;
}

struct hostent *__wrap_gethostbyname(const char *name)
{
    (void)name;
    return NULL;
}

void *__wrap_dlopen(const char *path, int flags)
{
    (void)path, (void)flags;
    return NULL;
}

void *__wrap_dlsym(void *handle, const char *name)
{
    (void)handle, (void)name;
    return NULL;
}

int __wrap_dlclose(void *handle)
{
    (void)handle;
    return -1;
}

char *__wrap_dlerror(void)
{
    static char text[] = "a static program loads no libraries";
    return text;
}

int __wrap_dladdr(const void *address, Dl_info *out)
{
    (void)address, (void)out;
    return 0;
}

void *__wrap___libc_dlopen_mode(const char *path, int flags)
{
    (void)path, (void)flags;
    return NULL;
}
