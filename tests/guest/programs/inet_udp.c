/* Internet datagrams over the loopback, and what interfaces there are. */
#include "report.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char text[70000];

static struct sockaddr *loopback(struct sockaddr_in *address, int port) {
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address->sin_port = htons(port);
    return (struct sockaddr *)address;
}

static int bound(void) {
    struct sockaddr_in address;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    OK(bind(s, loopback(&address, 0), sizeof address));
    return s;
}

static int port_of(int s) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    return getsockname(s, (struct sockaddr *)&name, &length) < 0 ? -1 : ntohs(name.sin_port);
}

static void datagrams(void) {
    struct sockaddr_in address, peer;
    socklen_t length = sizeof peer;
    int a = bound(), b = bound(), port = port_of(b), queued;
    CALL(listen(a, 1));
    CALL(accept(a, NULL, NULL));
    CALL(send(a, "x", 1, 0));
    CALL(sendto(a, "one", 3, 0, loopback(&address, port), sizeof address));
    CALL(sendto(a, "", 0, 0, loopback(&address, port), sizeof address));
    CALL(sendto(a, "three", 5, 0, loopback(&address, port), 8));
    CALL(sendto(a, text, sizeof text, 0, loopback(&address, port), sizeof address));
    address.sin_family = AF_UNIX;
    CALL(sendto(a, "x", 1, 0, (struct sockaddr *)&address, sizeof address));
    CALL(poll(&(struct pollfd){b, POLLIN, 0}, 1, -1));
    CALL(ioctl(b, FIONREAD, &queued));
    printf("%d queued\n", queued);
    CALL(recvfrom(b, text, 2, MSG_PEEK | MSG_TRUNC, (struct sockaddr *)&peer, &length));
    printf("%u %d\n", length, ntohs(peer.sin_port) == port_of(a));
    struct iovec vector = {text, 2};
    struct msghdr message = {.msg_name = &peer, .msg_namelen = 4, .msg_iov = &vector, .msg_iovlen = 1};
    CALL(recvmsg(b, &message, 0));
    printf("%x %u\n", (unsigned)message.msg_flags, message.msg_namelen);
    CALL(recv(b, text, 10, 0));
    CALL(recv(b, text, 10, MSG_DONTWAIT));
    CALL(connect(a, loopback(&address, port), sizeof address));
    CALL(send(a, "connected", 9, 0));
    CALL(recv(b, text, 100, 0));
    CALL(getpeername(a, (struct sockaddr *)&peer, &length));
    printf("%u %d\n", length, ntohs(peer.sin_port) == port);
    memset(&address, 0, sizeof address);
    CALL(connect(a, (struct sockaddr *)&address, sizeof address));
    CALL(getpeername(a, (struct sockaddr *)&peer, &length));
    CALL(shutdown(a, SHUT_RD));
    int c = bound(); /* before b's port may be had again */
    CALL(close(b));
    CALL(connect(c, loopback(&address, port), sizeof address));
    CALL(send(c, "lost", 4, 0));
    struct pollfd entry = {c, POLLIN, 0};
    CALL(poll(&entry, 1, -1));
    CALL(recv(c, text, 1, 0));
    CALL(close(a)), CALL(close(c));
}

static void control_messages(void) {
    struct sockaddr_in address;
    char control[256];
    int a = bound(), b = bound(), on = 1;
    CALL(setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
    CALL(setsockopt(b, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    CALL(sendto(a, "x", 1, 0, loopback(&address, port_of(b)), sizeof address));
    struct iovec vector = {text, 2};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 256};
    CALL(recvmsg(b, &message, 0));
    printf("%zu %x\n", (size_t)message.msg_controllen, (unsigned)message.msg_flags);
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        printf("%d %d %zu\n", head->cmsg_level, head->cmsg_type, (size_t)head->cmsg_len);
    }
    CALL(sendto(a, "x", 1, 0, loopback(&address, port_of(b)), sizeof address));
    message.msg_controllen = 20;
    CALL(recvmsg(b, &message, 0));
    printf("%zu %x\n", (size_t)message.msg_controllen, (unsigned)message.msg_flags);
    CALL(recv(a, text, 1, MSG_ERRQUEUE));
    CALL(close(a)), CALL(close(b));
}

static void interfaces(void) {
    struct ifaddrs *all;
    struct ifreq request;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    CALL(getifaddrs(&all));
    for (struct ifaddrs *entry = all; entry; entry = entry->ifa_next) {
        printf("%s %d\n", entry->ifa_name, entry->ifa_addr ? entry->ifa_addr->sa_family : -1);
    }
    freeifaddrs(all);
    strcpy(request.ifr_name, "lo");
    CALL(ioctl(s, SIOCGIFINDEX, &request));
    CALL(ioctl(s, SIOCGIFMTU, &request));
    printf("%d\n", request.ifr_mtu);
    CALL(ioctl(s, SIOCGIFADDR, &request));
    strcpy(request.ifr_name, "none0");
    CALL(ioctl(s, SIOCGIFFLAGS, &request));
    CALL(ioctl(s, SIOCGIFFLAGS, WILD));
    struct ifconf all_of_them = {.ifc_len = sizeof text, .ifc_buf = text};
    CALL(ioctl(s, SIOCGIFCONF, &all_of_them));
    printf("%d\n", all_of_them.ifc_len);
    all_of_them.ifc_len = 50;
    CALL(ioctl(s, SIOCGIFCONF, &all_of_them));
    printf("%d %s\n", all_of_them.ifc_len, text);
    CALL(socket(AF_NETLINK, SOCK_STREAM, 0));
    printf("%u %u\n", if_nametoindex("lo"), if_nametoindex("none0"));
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(request.ifr_name, "lo");
    CALL(ioctl(local, SIOCGIFMTU, &request));
    CALL(ioctl(local, SIOCGIFADDR, &request));
    CALL(close(local));
    CALL(close(s));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    datagrams();
    control_messages();
    interfaces();
    return leave_scratch();
}
