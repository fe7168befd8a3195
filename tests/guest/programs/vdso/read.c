/* read CLOCK READINGS: reads a clock, and nothing else, between two marks in the list of system calls. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct timespec t;
    if (argc != 3) return 2;
    getppid();
    for (long i = atol(argv[2]); i > 0; i--)
        if (clock_gettime((clockid_t)atol(argv[1]), &t)) return 1;
    getppid();
    return 0;
}
