/* LD_PRELOAD: servers without a bind-address option (Orthanc 1.10, dcmqrscp) listen on loopback only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

typedef int (*bind_function)(int, const struct sockaddr *, socklen_t);

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    bind_function next = (bind_function)dlsym(RTLD_NEXT, "bind");
    struct sockaddr_storage copy;

    if (address == NULL || length > sizeof copy)
        return next(fd, address, length);
    memcpy(&copy, address, length);
    if (copy.ss_family == AF_INET)
        ((struct sockaddr_in *)&copy)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (copy.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&copy)->sin6_addr = in6addr_loopback;
    return next(fd, (struct sockaddr *)&copy, length);
}
