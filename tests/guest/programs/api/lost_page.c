/* Map a file, have it cut short, and look behind its end. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char page[4096];
    int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    memset(page, 'x', sizeof page);
    for (int i = 0; i < 4; i++)
        if (write(fd, page, sizeof page) != sizeof page)
            return 1;
    volatile char *map = mmap(0, 4 * 4096, PROT_READ | PROT_WRITE, argc > 2 ? MAP_PRIVATE : MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return 2;
    printf("%c\n", map[3 * 4096]);
    fflush(stdout);
    if (ftruncate(fd, 4096))
        return 3;
    printf("%c\n", map[0]);
    fflush(stdout);
    printf("%c\n", map[3 * 4096]);
    return 0;
}
