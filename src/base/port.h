/* What Linux's C library has and macOS's has not, or has by another name. `flambe` uses these in
 * place of the calls themselves; the sandbox is of Linux alone. */
#ifndef FLAMBE_BASE_PORT_H
#define FLAMBE_BASE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* The last byte `c` of `n`, or NULL. */
void *port_memrchr(const void *p, int c, size_t n);
/* Zeroes, and no optimizer leaves it out. */
void port_wipe(void *p, size_t n);

/* No exec passes these on; writing to one whose other end is gone is an error and no signal, where
 * the call has PORT_NO_SIGNAL. -1 with errno. */
int port_socket(int domain, int type, bool nonblocking);
int port_socketpair(int type, int fds[2]);

#ifdef __APPLE__
#define PORT_NO_SIGNAL 0 /* the socket's own option says it */
#define st_mtim st_mtimespec
#ifndef F_OFD_SETLK /* older headers do not name what the kernel has */
#define F_OFD_SETLK 90
#define F_OFD_GETLK 92
#endif
extern char **environ;
#else
#define PORT_NO_SIGNAL MSG_NOSIGNAL
#endif

#endif
