/* Say that it runs, and then run for ever without a system call. */
#include <unistd.h>

int main(void)
{
    if (write(1, "spinning\n", 9) != 9)
        return 1;
    for (volatile unsigned long count = 0;; count++)
        ;
}
