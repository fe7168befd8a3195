/* Says that it runs, then sleeps until its standard input ends. */
#include <unistd.h>

int main(void) {
    char byte;
    if (write(1, "r", 1) != 1)
        return 1;
    while (read(0, &byte, 1) > 0)
        continue;
    return 0;
}
