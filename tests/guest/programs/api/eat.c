/* Take memory and touch it until there is no more, then go on with what there is. With an argument, map it all
 * first and touch it then. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PIECE (1UL << 20)

int main(int argc, char **argv)
{
    if (argc > 1) {
        size_t length = strtoul(argv[1], 0, 0);
        char *all = mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED) {
            printf("mmap: %s\n", strerror(errno));
            return 3;
        }
        memset(all, 1, length);
        puts("touched");
        return 0;
    }
    size_t pieces = 0;
    for (char *piece; pieces < 4096; pieces++) {
        piece = mmap(0, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece == MAP_FAILED)
            break;
        memset(piece, 1, PIECE);
    }
    printf("%s after %s\n", strerror(errno), pieces > 0 ? "some" : "nothing");
    return errno == ENOMEM ? 0 : 4;
}
