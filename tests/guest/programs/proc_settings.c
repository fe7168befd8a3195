/* Numbers that are written to the small files of /proc/self, as the kernel reads numbers. */
#include "report.h"

#include <sys/prctl.h>
#include <sys/wait.h>

static const char *const NAMES[] = {"oom_score_adj", "oom_adj", "coredump_filter", "timerslack_ns"};

/* Write a value, and show what is read afterwards. */
static void set(const char *name, const char *value, size_t length) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/self/%s", name);
    int fd = open(path, O_RDWR);
    errno = 0;
    ssize_t result = write(fd, value, length);
    printf("  %s: %zd %s, ", name, result, result < 0 ? error_name(errno) : "");
    ssize_t count = pread(fd, text, sizeof text - 1, 0);
    printf("now %.*s", count > 0 ? (int)count : 0, text);
    close(fd);
}

static void numbers(void) {
#define TEXT(text) {text, sizeof text - 1}
    static const struct {
        const char *text;
        size_t length;
    } values[] = {
        TEXT("1"), TEXT("15"), TEXT("400"), TEXT("0x190"), TEXT("0620"), TEXT(" 700 \n"), TEXT("710\0rest"),
        TEXT("7 8"), TEXT("7_8"), TEXT("+720"), TEXT(""), TEXT("\n"),
        TEXT("    900"), TEXT("900    "), TEXT("99999999999"), TEXT("089"), TEXT("0x"), TEXT("730\n\0"), TEXT("1001"),
    };
    for (size_t i = 0; i < LENGTH(values); i++) {
        printf("%zu: %s\n", i, values[i].text);
        for (size_t j = 0; j < LENGTH(NAMES); j++) {
            set(NAMES[j], values[i].text, values[i].length);
        }
    }
}

/* Without privilege it goes down to where it has been, but not below. */
static void lower(void) {
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0) {
        perror("setresuid");
    }
    prctl(PR_SET_DUMPABLE, 1);
    set("oom_score_adj", "500", 3);
    set("oom_score_adj", "600", 3);
    set("oom_adj", "1", 1);
    set("oom_score_adj", "-999", 4);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    fflush(stdout);
    if (fork() == 0) {
        numbers();
        exit(0);
    }
    wait(NULL);
    fflush(stdout);
    if (fork() == 0) {
        set("coredump_filter", "0x21", 4);
        fflush(stdout);
        if (fork() == 0) {
            set("coredump_filter", "x", 1); /* inherited */
            exit(0);
        }
        wait(NULL);
        lower();
        exit(0);
    }
    wait(NULL);
    return leave_scratch();
}
