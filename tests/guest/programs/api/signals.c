/* Say which signals arrive, one line each; SIGTERM ends it with status 7. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void say(int signal)
{
    char line[32];
    int length = snprintf(line, sizeof line, "signal %d\n", signal);
    if (write(1, line, length) != length || signal == SIGTERM)
        _exit(7);
}

int main(void)
{
    struct sigaction action = {.sa_handler = say};
    for (int signal = 1; signal < 64; signal++)
        if (signal != SIGKILL && signal != SIGSTOP)
            sigaction(signal, &action, 0);
    say(0);
    for (;;)
        pause();
}
