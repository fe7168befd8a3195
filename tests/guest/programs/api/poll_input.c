/* What poll says of standard input: to one who waits a moment for urgent data, and to one who waits for any. */
#include <poll.h>
#include <stdio.h>

int main(void)
{
    struct pollfd urgent = {.fd = 0, .events = POLLPRI}, any = {.fd = 0, .events = POLLIN | POLLOUT};
    int urgent_ones = poll(&urgent, 1, 20), others = poll(&any, 1, 20);
    printf("%d %x, %d %x\n", urgent_ones, urgent.revents, others, any.revents);
    return 0;
}
