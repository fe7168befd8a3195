/* Filters of sockets: which packets come in, how much of them, and who may change that. */
#include "report.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef SO_GET_FILTER
#define SO_GET_FILTER SO_ATTACH_FILTER
#endif

static int pair[2];

static long attach(int fd, const struct sock_filter *code, unsigned count) {
    struct sock_fprog program = {count, (struct sock_filter *)code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static long set(int fd, int option, int value) { return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value); }

static void receive(void) {
    char text[32];
    for (;;) {
        errno = 0;
        long count = recv(pair[0], text, sizeof text, MSG_DONTWAIT);
        printf("  %ld '%.*s' %s\n", count, count < 0 ? 0 : (int)count, text, count < 0 ? error_name(errno) : "");
        if (count < 0) {
            return;
        }
    }
}

static void datagrams(void) {
    static const struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr_in name = {0};
    socklen_t size = sizeof name;
    for (int i = 0; i < 2; i++) {
        pair[i] = CALL(socket(AF_INET, SOCK_DGRAM, 0) < 0);
    }
    pair[0] = socket(AF_INET, SOCK_DGRAM, 0), pair[1] = socket(AF_INET, SOCK_DGRAM, 0);
    CALL(bind(pair[0], (const struct sockaddr *)&any, sizeof any));
    getsockname(pair[0], (struct sockaddr *)&name, &size);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CALL(connect(pair[1], (struct sockaddr *)&name, sizeof name));
}

static void rights(void) {
    static const struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 100)};
    struct sock_filter got[4];
    socklen_t length = LENGTH(got);
    int one = 0;
    CALL(getsockopt(pair[0], SOL_SOCKET, SO_GET_FILTER, got, &length));
    printf("%u instructions\n", length);
    CALL(set(pair[0], SO_DETACH_FILTER, 0));
    CALL(setsockopt(pair[0], SOL_SOCKET, SO_DETACH_FILTER, &one, 0));
    CALL(attach(pair[0], all, 1));
    length = 0;
    CALL(getsockopt(pair[0], SOL_SOCKET, SO_GET_FILTER, WILD, &length));
    printf("%u instructions\n", length);
    length = LENGTH(got);
    CALL(getsockopt(pair[0], SOL_SOCKET, SO_GET_FILTER, got, &length));
    printf("%u: %x %x\n", length, got[0].code, got[0].k);
    CALL(set(pair[0], SO_DETACH_FILTER, 0));
    CALL(attach(pair[0], all, 1));
    length = sizeof one;
    CALL(set(pair[0], SO_LOCK_FILTER, 0));
    CALL(set(pair[0], SO_LOCK_FILTER, 7));
    CALL(getsockopt(pair[0], SOL_SOCKET, SO_LOCK_FILTER, &one, &length));
    printf("locked: %d\n", one);
    CALL(set(pair[0], SO_LOCK_FILTER, 0));
    CALL(set(pair[0], SO_DETACH_FILTER, 0));
    CALL(attach(pair[0], all, 1));
}

/* `at`: where the data begin, behind what the filter sees of headers. */
static void filter(unsigned at) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, at),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
        BPF_STMT(BPF_ST, 3),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'x', 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 4, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xFFFFFFFF),
        BPF_STMT(BPF_LD | BPF_MEM, 3),
        BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 'a'),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog wild = {1, WILD}, none = {1, 0}, empty = {0, code}, huge = {4097, code};
    CALL(attach(pair[0], code, LENGTH(code)));
    CALL(send(pair[1], "four", 4, 0));
    CALL(send(pair[1], "xylophone", 9, 0));
    CALL(send(pair[1], "careful", 7, 0));
    CALL(send(pair[1], "", 0, 0));
    receive();
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &wild, sizeof wild));
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &none, sizeof none));
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &empty, sizeof empty));
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &huge, sizeof huge));
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &huge, sizeof huge - 1));
    CALL(attach(pair[1], code, LENGTH(code) - 1));         /* no end */
    CALL(attach(pair[1], code + LENGTH(code) - 4, 4));     /* memory that nobody has written */
    code[3].jt = 200, CALL(attach(pair[1], code, LENGTH(code)));
    code[3].code = 0xFFFF, CALL(attach(pair[1], code, LENGTH(code)));
}

int main(void) {
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
    for (unsigned i = 0; i < LENGTH(types); i++) {
        CALL(socketpair(AF_UNIX, types[i], 0, pair));
        filter(0);
        CALL(set(pair[0], SO_DETACH_FILTER, 0));
        rights();
        close(pair[0]), close(pair[1]);
    }
    datagrams();
    filter(8);
    CALL(set(pair[0], SO_DETACH_FILTER, 0));
    rights();
    return 0;
}
