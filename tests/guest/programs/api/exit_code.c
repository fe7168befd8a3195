/* Exit with a number that may be larger than a status; with a second argument, end only the thread. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    syscall(argc > 2 ? SYS_exit : SYS_exit_group, strtoll(argv[1], 0, 0));
    return 98;
}
