/* Forks for ever, and so does everybody that it makes. */
#include <errno.h>
#include <unistd.h>

int main(void) {
    for (int is_told = 0;;) {
        if (fork() < 0 && !is_told) {
            is_told = 1;
            write(1, errno == EAGAIN ? "EAGAIN\n" : "another\n", errno == EAGAIN ? 7 : 8);
        }
    }
}
