/* Options of sockets that are not for everybody. */
#include "report.h"

#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const struct { const char *name; int option; } options[] = {
    {"SO_DEBUG", SO_DEBUG},           {"SO_PRIORITY", SO_PRIORITY}, {"SO_SNDBUFFORCE", SO_SNDBUFFORCE},
    {"SO_RCVBUFFORCE", SO_RCVBUFFORCE}, {"SO_MARK", SO_MARK},
};
static const int values[] = {0, 1, 6, 7, -1};

int main(void) {
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
    struct ipv6_mreq group = {.ipv6mr_multiaddr = {.s6_addr = {0xfd}}};
    short little = 1;
    if (!geteuid() && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
        return 1;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        int s = socket(families[f], SOCK_DGRAM, 0);
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
            for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
                int result = setsockopt(s, SOL_SOCKET, options[i].option, &values[j], sizeof values[j]);
                printf("%d %s %d: %s\n", families[f], options[i].name, values[j], result ? error_name(errno) : "set");
            }
        int result = setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &little, sizeof little);
        printf("%d too short: %s\n", families[f], result ? error_name(errno) : "set");
        close(s);
    }
    int s = socket(AF_INET6, SOCK_DGRAM, 0);
    int result = setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_ANYCAST, &group, sizeof group);
    printf("anycast: %s\n", result ? error_name(errno) : "joined");
    return 0;
}
