/* See port.h. What can be written for both is, so that its tests on Linux count for macOS too. */
#include "base/port.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

void *port_memrchr(const void *p, int c, size_t n)
{
    const unsigned char *bytes = p;
    while (n > 0)
        if (bytes[--n] == (unsigned char)c)
            return (void *)(uintptr_t)(bytes + n);
    return NULL;
}

void port_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

static int prepare(int fd, bool nonblocking)
{
    int flags = fcntl(fd, F_GETFL);
    bool done = flags != -1 && fcntl(fd, F_SETFD, FD_CLOEXEC) != -1 &&
                (!nonblocking || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != -1);
#ifdef SO_NOSIGPIPE
    int on = 1;
    done = done && setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) != -1;
#endif
    return done ? 0 : -1;
}

#ifdef SOCK_CLOEXEC /* at once: another thread may be about to exec */
#define TYPE_FLAGS SOCK_CLOEXEC
#else
#define TYPE_FLAGS 0
#endif

int port_socket(int domain, int type, bool nonblocking)
{
    int fd = socket(domain, type | TYPE_FLAGS, 0);
    if (fd < 0 || prepare(fd, nonblocking) == 0)
        return fd;
    int sys = errno;
    close(fd);
    errno = sys;
    return -1;
}

int port_socketpair(int type, int fds[2])
{
    int pair[2];
    if (socketpair(AF_UNIX, type | TYPE_FLAGS, 0, pair) == -1)
        return -1;
    if (prepare(pair[0], false) == 0 && prepare(pair[1], false) == 0) {
        fds[0] = pair[0];
        fds[1] = pair[1];
        return 0;
    }
    int sys = errno;
    close(pair[0]);
    close(pair[1]);
    errno = sys;
    return -1;
}
