/* Clocks as the C library reads them: they agree with each other, and none goes back.
 *
 *   clock_order [directory [readings]]
 */
#include "report.h"

#include <sys/time.h>
#include <time.h>

static int64_t now_ns(int clock) {
    struct timespec t;
    if (clock_gettime(clock, &t)) perror("clock_gettime");
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static void never_goes_back(int clock, const char *name, long readings) {
    long backwards = 0;
    int64_t last = now_ns(clock);
    for (long i = 0; i < readings; i++) {
        int64_t now = now_ns(clock);
        backwards += now < last;
        last = now;
    }
    printf("%s went back %ld times\n", name, backwards);
}

struct range {
    int64_t lowest_ns, highest_ns;
};

/* One clock is another plus a number, which does not change while we look. It is in the range that is returned. */
static struct range keep_distance(int clock, int other, const char *names) {
    int64_t lowest = INT64_MIN, highest = INT64_MAX;
    for (int i = 0; i < 2000; i++) {
        int64_t before = now_ns(clock), between = now_ns(other), after = now_ns(clock);
        if (between - after > lowest) lowest = between - after;
        if (between - before < highest) highest = between - before;
    }
    printf("%s: %s\n", names, lowest <= highest + 1000 ? "steady" : "they drift");
    return (struct range){lowest - 1000, highest + 1000};
}

static int holds_whole_second(struct range range) {
    int64_t second = (range.lowest_ns + 999999999) / 1000000000;
    return second * 1000000000 <= range.highest_ns;
}

int main(int argc, char **argv) {
    long readings = argc > 2 ? atol(argv[2]) : 5000;
    never_goes_back(CLOCK_MONOTONIC, "MONOTONIC", readings);
    never_goes_back(CLOCK_MONOTONIC_RAW, "MONOTONIC_RAW", readings);
    never_goes_back(CLOCK_BOOTTIME, "BOOTTIME", readings);
    never_goes_back(CLOCK_MONOTONIC_COARSE, "MONOTONIC_COARSE", readings);
    keep_distance(CLOCK_MONOTONIC, CLOCK_REALTIME, "REALTIME");
    keep_distance(CLOCK_MONOTONIC, CLOCK_BOOTTIME, "BOOTTIME");
    struct range tai = keep_distance(CLOCK_REALTIME, CLOCK_TAI, "TAI");
    printf("TAI is whole seconds from UTC: %s\n", holds_whole_second(tai) ? "yes" : "no");
    time_t seconds = time(NULL);
    struct timeval day;
    gettimeofday(&day, NULL);
    printf("time and gettimeofday agree: %s\n", seconds <= day.tv_sec && day.tv_sec - seconds < 60 ? "yes" : "no");
    return 0;
}
