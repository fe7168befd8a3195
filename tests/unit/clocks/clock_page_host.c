/* A host whose clocks do as they are told, for clock_page.c: linked before it, these `clock_gettime` and
 * `clocks_counter` are what it calls. Guests read the page at random moments meanwhile.
 *
 *   clock_page_host SCENARIO    prints: worst error in ns, times a clock went back, readings, readings that the page could not answer
 */
#include "clock_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICKS_PER_NS 2.6
#define S 1e9L

static struct {
    double ticks;    /* since the host was switched on; never goes back */
    double reset_at; /* ticks when the counter was set to 0 */
    long double ns, raw_ns, realtime, boottime; /* monotonic; the last two are distances from it */
    double speed;    /* of the monotonic clock, 1 = what the counter says */
    int is_slow;     /* reading a clock takes long now and then */
    int is_asleep;
} host = {.ticks = 1e12, .ns = 5e12, .raw_ns = 5e12, .realtime = 1.7e18, .boottime = 3e9, .speed = 1};

static uint32_t state = 1;

static double random_up_to(double limit) {
    state = state * 1664525 + 1013904223;
    return limit * (state >> 8) / (1 << 24);
}

static void pass(double ns) {
    host.ticks += ns * TICKS_PER_NS;
    if (host.is_asleep) {
        host.boottime += ns;
        return;
    }
    host.ns += ns * host.speed;
    host.raw_ns += ns;
}

static uint64_t counter(void) { return (uint64_t)(host.ticks - host.reset_at); }

uint64_t clocks_counter(void) {
    pass(5 + random_up_to(5));
    return counter();
}

static long double time_of(int clock) {
    if (clock == CLOCK_MONOTONIC_RAW) return host.raw_ns;
    if (clock == CLOCK_REALTIME) return host.ns + host.realtime;
    if (clock == CLOCK_TAI) return host.ns + host.realtime + 37 * S;
    return clock == CLOCK_BOOTTIME ? host.ns + host.boottime : host.ns;
}

static void read_all(void);
static int may_go_back; /* REALTIME and TAI have just been set */

int clock_gettime(clockid_t clock, struct timespec *t) {
    if (!may_go_back) read_all(); /* another guest, while this one's page is made right */
    pass(5 + random_up_to(10));
    int64_t now = (int64_t)time_of(clock);
    t->tv_sec = now / 1000000000;
    t->tv_nsec = now % 1000000000;
    pass(5 + random_up_to(10));
    if (host.is_slow && random_up_to(1) < 0.1) pass(random_up_to(3e6)); /* another thread's turn */
    return 0;
}

/* ---- the guest ------------------------------------------------------------------------------------------ */

static struct clock_page page;
static struct clocks *clocks;
static long double worst, last[CLOCK_PAGE_CLOCKS];
static long backwards, readings, refused;

static void read_one(int clock) {
    long double before = time_of(clock);
    uint64_t age = counter() - page.start;
    readings++;
    if (age >= page.window) {
        refused++;
        return;
    }
    uint64_t scale = clock == CLOCK_PAGE_RAW ? page.raw_scale : page.scale;
    long double now = page.base_ns[clock] + (age * scale >> 32), after = time_of(clock);
    long double error = now < before ? before - now : now > after ? now - after : 0;
    if (error > worst) worst = error;
    if (now < last[clock] && !(may_go_back && (clock == CLOCK_PAGE_REALTIME || clock == CLOCK_PAGE_TAI))) backwards++;
    last[clock] = now;
}

static void read_all(void) {
    static const int all[] = {CLOCK_PAGE_REALTIME, CLOCK_PAGE_MONOTONIC, CLOCK_PAGE_RAW, CLOCK_PAGE_BOOTTIME, CLOCK_PAGE_TAI};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) read_one(all[i]);
}

/* A guest that reads clocks and leaves now and then, as long as the host's clock goes on by `ns`. */
static void live(double ns) {
    for (long double end = host.ns + ns; host.ns < end;) {
        clocks_refresh(clocks);
        for (int i = 0; i < 20; i++) {
            read_all();
            pass(1);
            read_all();
            pass(random_up_to(200e3));
        }
    }
}

/* ---- scenarios ------------------------------------------------------------------------------------------ */

static void steady(void) { live(5 * S); }

/* NTP as fast as it gets, beginning and ending at random moments. */
static void slewed(void) {
    for (int i = 0; i < 200; i++) {
        host.speed = i % 2 == 0 ? 1 : i % 4 == 1 ? 1 + 500e-6 : 1 - 500e-6;
        live(random_up_to(0.2 * S));
    }
}

/* A machine whose crystal is off, and one that drifts with its temperature. */
static void drifting(void) {
    for (int i = 0; i < 100; i++) {
        host.speed = 1 + 40e-6 * sin(i / 10.0);
        live(0.1 * S);
    }
}

static void slow(void) {
    host.is_slow = 1;
    live(5 * S);
}

/* Somebody sets the clock; a guest that leaves sees it. */
static void stepped(void) {
    for (int i = 0; i < 50; i++) {
        live(random_up_to(0.1 * S));
        host.realtime += (i % 2 ? 1 : -1) * random_up_to(2 * S);
        pass(1.1e6); /* half the window: the next refresh asks */
        may_go_back = 1;
        clocks_refresh(clocks);
        read_all();
        may_go_back = 0;
    }
}

/* The machine sleeps: the counter goes on, or starts again, while the monotonic clock stands still. */
static void asleep(void) {
    for (int i = 0; i < 20; i++) {
        live(random_up_to(0.5 * S));
        host.is_asleep = 1;
        pass(1 * S + random_up_to(100 * S));
        host.is_asleep = 0;
        if (i % 2) host.reset_at = host.ticks;
        pass(3e6);
    }
    live(0.5 * S);
}

/* Guests that do nothing for long. */
static void idle(void) {
    for (int i = 0; i < 50; i++) {
        live(0.01 * S);
        host.speed = 1 + (i % 3 - 1) * 20e-6;
        pass(random_up_to(100 * S));
    }
}

/* A guest that never leaves but to ask for the time. */
static void busy(void) {
    for (int i = 0; i < 2000; i++) {
        long before = refused;
        while (refused == before) {
            read_all();
            pass(random_up_to(1e4));
        }
        clocks_refresh(clocks);
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } scenarios[] = {{"steady", steady}, {"slewed", slewed}, {"drifting", drifting}, {"slow", slow},
                     {"stepped", stepped}, {"asleep", asleep}, {"idle", idle}, {"busy", busy}};
    clocks = clocks_open(&page);
    if (argc != 2 || page.window != 0) return 2; /* one sample says nothing */
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (!strcmp(argv[1], scenarios[i].name)) scenarios[i].run();
    clocks_close(clocks);
    printf("%.0Lf %ld %ld %ld\n", worst, backwards, readings, refused);
    return 0;
}
