/* SIOCETHTOOL on the loopback, and options of sockets that name no interface and filter ICMP (netdevice(7)). */
#include "report.h"

#include <linux/ethtool.h>
#include <linux/icmp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { SOL_RAW_LEVEL = 255 };

static int fd;

static void ask(const char *name, uint32_t command, void *data) {
    struct ifreq request = {.ifr_data = data};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (data != WILD) {
        *(uint32_t *)data = command;
    }
    printf("%s %x: ", name, (unsigned)command);
    CALL(ioctl(fd, SIOCETHTOOL, &request));
}

int main(void) {
    char space[512] = {0};
    struct ethtool_value value = {0};
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    fd = CALL(socket(AF_INET, SOCK_DGRAM, 0));
    ask("lo", ETHTOOL_GLINK, &value);
    printf("%u\n", value.data);
    ask("lo", ETHTOOL_GDRVINFO, space);
    ask("lo", ETHTOOL_GSET, space);
    ask("lo", ETHTOOL_GLINKSETTINGS, space);
    ask("no-such", ETHTOOL_GLINK, &value);
    ask("lo", ETHTOOL_GLINK, WILD);
    CALL(ioctl(fd, SIOCETHTOOL, WILD));
    fd = CALL(socket(AF_UNIX, SOCK_DGRAM, 0));
    ask("lo", ETHTOOL_GLINK, &value);
    socklen_t length = sizeof space;
    fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, space, &length));
    printf("%d\n", (int)length);
    struct icmp_filter filter = {.data = ~0U};
    CALL(setsockopt(fd, SOL_RAW_LEVEL, ICMP_FILTER, &filter, sizeof filter));
    fd = CALL(socket(AF_INET6, SOCK_STREAM, 0));
    CALL(setsockopt(fd, SOL_RAW_LEVEL, 7, &filter, sizeof filter));
    CALL(setsockopt(fd, IPPROTO_ICMPV6, 1, &filter, sizeof filter));
    return 0;
}
