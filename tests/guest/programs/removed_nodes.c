/* FIFOs and devices that are open while their names go; ports and device nodes that are not for everybody. */
#include "report.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static void show(int fd) {
    struct stat status;
    CALL(fstat(fd, &status));
    printf("%o, %lu links, size %ld\n", status.st_mode, (unsigned long)status.st_nlink, (long)status.st_size);
}

static void fifo(const char *name) {
    char text[8] = "";
    struct timespec times[2] = {{5, 0}, {6, 0}};
    struct stat status;
    CALL(mkfifo(name, 0600));
    int fd = open(name, O_RDWR), path = open(name, O_PATH);
    show(fd);
    CALL(unlink(name));
    show(fd);
    show(path);
    CALL(fchmod(fd, 0640));
    CALL(futimens(fd, times));
    show(fd);
    fstat(fd, &status);
    printf("modified at %ld\n", (long)status.st_mtime);
    CALL(write(fd, "text", 4));
    CALL(read(fd, text, sizeof text));
    puts(text);
    close(fd), close(path);
}

static void device(const char *name) {
    char text[4] = "abc";
    long made = mknod(name, S_IFCHR | 0666, makedev(1, 5));
    if (made < 0) {
        return; /* who may depends on who runs this */
    }
    int fd = open(name, O_RDWR);
    CALL(read(fd, text, 3));
    printf("%d %d\n", text[0], text[2]);
    CALL(unlink(name));
    show(fd);
    close(fd);
}

static void low_ports(void) {
    fflush(stdout);
    if (fork() == 0) {
        if (getuid() == 0 && setuid(65534)) {
            _exit(1);
        }
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 other = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(1023)};
        int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0);
        for (int port = 1; port < 1024; port += 511) {
            address.sin_port = htons(port);
            printf("%d\n", port);
            CALL(bind(tcp, (struct sockaddr *)&address, sizeof address));
            CALL(bind(udp, (struct sockaddr *)&address, sizeof address));
        }
        if (six >= 0) {
            CALL(bind(six, (struct sockaddr *)&other, sizeof other));
        }
        address.sin_port = 0;
        CALL(bind(tcp, (struct sockaddr *)&address, sizeof address));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

int main(int argc, char **argv) {
    char name[64];
    enter_scratch(argc, argv);
    fifo("fifo");
    sprintf(name, "/dev/shm/node-%d", getpid());
    device(name);
    low_ports();
    return leave_scratch();
}
