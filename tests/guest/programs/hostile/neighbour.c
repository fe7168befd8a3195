/* Computes the same thing again and again in many ways, until standard input ends: arithmetic, memory of a child, a
 * pipe, a file, floating point. Says how often when it was always right, else what was wrong. */
#include "hostile.h"

#include <poll.h>

static uint64_t mix(const unsigned char *bytes, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static void must(int is_right, const char *what)
{
    if (!is_right) {
        printf("wrong: %s (errno %d)\n", what, errno);
        exit(1);
    }
}

int main(void)
{
    static unsigned char bytes[1 << 16], again[1 << 16];
    struct pollfd input = {.fd = 0, .events = POLLIN};
    double sum = 0;
    unsigned long turns = 0;
    random_state = 42;
    fill_randomly(bytes, sizeof bytes);
    const uint64_t expected = mix(bytes, sizeof bytes);
    for (int i = 1; i <= 1000; i++)
        sum += 1.0 / i;
    do {
        must(mix(bytes, sizeof bytes) == expected, "memory");
        int ends[2], status;
        must(pipe(ends) == 0, "pipe");
        pid_t child = fork();
        must(child >= 0, "fork");
        if (child == 0) {
            uint64_t hash = mix(bytes, sizeof bytes);
            bytes[0]++;
            _exit(write(ends[1], &hash, sizeof hash) != sizeof hash);
        }
        uint64_t hash;
        must(read(ends[0], &hash, sizeof hash) == sizeof hash && hash == expected, "what the child computed");
        must(waitpid(child, &status, 0) == child && status == 0, "the child's status");
        close(ends[0]);
        close(ends[1]);
        int fd = open("/tmp/neighbour", O_RDWR | O_CREAT | O_TRUNC, 0600);
        must(write(fd, bytes, sizeof bytes) == sizeof bytes, "write");
        must(pread(fd, again, sizeof again, 0) == sizeof again, "pread");
        must(mix(again, sizeof again) == expected, "the file");
        close(fd);
        double other = 0;
        for (int i = 1; i <= 1000; i++)
            other += 1.0 / i;
        must(other == sum, "floating point");
        turns++;
    } while (poll(&input, 1, 0) == 0);
    fprintf(stderr, "%lu turns\n", turns);
    printf("always right\n");
    return 0;
}
