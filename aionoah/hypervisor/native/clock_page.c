/* Telling guests the time: see clock_page.h.
 *
 * The host turns its counter into its clocks by lines too, whose slope changes a little whenever NTP adjusts
 * it. We do not see that line, only clock_gettime between two readings of the counter; so the slope is taken
 * from two such samples a quarter of a second or more apart, and the line is started again from a fresh sample
 * before WINDOW_NS are over. Even if NTP turns to its fastest correction, 500 ppm, at the worst moment, guests
 * are then wrong by a microsecond at most.
 *
 * Time never goes back, on no CPU: a new line starts where the old one is if that is ahead of the host, and then
 * is less steep, so that both meet at the end of the window. That moment is read from the counter after
 * `sequence` has become odd, so that nobody has a later one together with the old line. Only REALTIME and TAI
 * go back, when somebody sets the host's clock.
 *
 * Nothing here has a timer: an idle guest costs nothing, and one that finds its page too old asks the kernel,
 * on the way back from which the page is made right.
 */
#define _GNU_SOURCE
#include "clock_page.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined __x86_64__
#include <cpuid.h>
#endif

#define WINDOW_NS 2000000.0
#define SHORTEST_BASELINE_NS 100000.0 /* between the samples that give a slope */
#define BASELINE_NS 250000000.0       /* after so long the next one begins */
#define BEND_NS 200.0                 /* a line that missed by more has a new slope */
#define WORST_GAP_NS 1000.0           /* of a sample; a host whose clocks are slower to read has nothing to offer */
#define ONE 4294967296.0              /* 2^32 */

enum { TRIES = 3 };

/* Darwin's CLOCK_MONOTONIC goes on in sleep, and Python's monotonic clock, by which our sleepers wake, is another. */
#if defined __APPLE__
enum { HOST_MONOTONIC = CLOCK_UPTIME_RAW, HOST_RAW = CLOCK_UPTIME_RAW, HOST_BOOTTIME = CLOCK_MONOTONIC, HOST_TAI = CLOCK_REALTIME };
#else
enum { HOST_MONOTONIC = CLOCK_MONOTONIC, HOST_RAW = CLOCK_MONOTONIC_RAW, HOST_BOOTTIME = CLOCK_BOOTTIME, HOST_TAI = CLOCK_TAI };
#endif

struct sample {
    uint64_t at, gap; /* ticks: when, and how long it took */
    uint64_t ns;
};

/* A clock of its own speed. */
struct line {
    struct sample older, newer, last;
    uint64_t floor; /* ns that guests may have seen */
    double slope;   /* ns a tick, of the host's clock */
};

/* A clock that is another one's plus a number, until somebody sets it. */
struct offset {
    int host_clock, index;
    int is_known;
    int64_t ns;
};

struct clocks {
    struct clock_page *page;
    pthread_mutex_t mutex;
    uint64_t best_gap;
    struct line monotonic, raw;
    struct offset offsets[3];
};

uint64_t clocks_counter(void) {
#if defined __x86_64__
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
    return low | (uint64_t)high << 32;
#elif defined __aarch64__
    uint64_t value;
    __asm__ volatile("isb; mrs %0, cntvct_el0; isb" : "=r"(value)::"memory");
    return value;
#else
    return 0;
#endif
}

int clocks_counter_is_steady(void) {
#if defined __x86_64__
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) && edx >> 8 & 1;
#elif defined __aarch64__
    return 1;
#else
    return 0;
#endif
}

/* ---- asking the host ---------------------------------------------------------------------------------- */

static struct sample read_once(int clock) {
    struct timespec t;
    uint64_t before = clocks_counter();
    clock_gettime((clockid_t)clock, &t);
    uint64_t gap = clocks_counter() - before;
    return (struct sample){before + gap / 2, gap, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec};
}

/* The tightest of some readings. Another thread's turn, an interrupt or a cold cache makes one loose. */
static struct sample read_clock(struct clocks *c, int clock, int tries) {
    struct sample best = read_once(clock);
    while (--tries > 0 || (tries > -TRIES && best.gap > 4 * c->best_gap)) {
        struct sample next = read_once(clock);
        if (next.gap < best.gap) best = next;
    }
    if (best.gap < c->best_gap) c->best_gap = best.gap;
    return best;
}

/* ---- what the host's clocks are ------------------------------------------------------------------------ */

static double line_at(const struct line *l, uint64_t counter) {
    return (double)(int64_t)(counter - l->last.at) * l->slope; /* ns after last.ns */
}

static int start_again(struct line *l, struct sample now) {
    l->older = l->newer = l->last = now;
    l->slope = 0;
    return 0;
}

/* Take a sample up. Whether the slope is known: not at first, nor after the host has slept, when its counter
 * was reset, or went on while the clock did not. */
static int follow(struct line *l, struct sample now) {
    if (!l->last.ns || now.at <= l->last.at || now.ns < l->last.ns) return start_again(l, now);
    double error = line_at(l, now.at) - (double)(now.ns - l->last.ns);
    int is_recent = now.ns - l->last.ns < 2 * WINDOW_NS;
    if (l->slope && is_recent && (error > BEND_NS || error < -BEND_NS)) l->older = l->newer = l->last;
    if ((double)(now.ns - l->newer.ns) > BASELINE_NS) {
        l->older = l->newer;
        l->newer = now;
    }
    double baseline = (double)(now.ns - l->older.ns);
    double slope = baseline >= SHORTEST_BASELINE_NS ? baseline / (double)(now.at - l->older.at) : l->slope;
    if (l->slope && (slope < l->slope * 0.8 || slope > l->slope * 1.25)) return start_again(l, now);
    l->last = now;
    l->slope = slope;
    return slope != 0;
}

/* The monotonic clock's line says how late `now` is; noise must not move the offset. */
static void follow_offset(struct clocks *c, struct offset *o) {
    const struct line *l = &c->monotonic;
    struct sample now = read_clock(c, o->host_clock, 1);
    int64_t ns = (int64_t)(now.ns - l->last.ns) - (int64_t)line_at(l, now.at);
    int64_t noise = (int64_t)((double)(now.gap + l->last.gap) * l->slope) + 1;
    if (o->is_known && ns - o->ns <= noise && o->ns - ns <= noise) return;
    o->ns = ns;
    o->is_known = 1;
}

/* ---- what guests are told ------------------------------------------------------------------------------ */

/* Ticks of the page's line that have gone by, as far as guests follow it. */
static uint64_t age(const struct clock_page *p, uint64_t now) {
    return now - p->start < p->window ? now - p->start : p->window;
}

/* Start a line at `now` that meets the host's clock at the end of the window: its base in ns and its scale. */
static uint64_t start_line(struct line *l, uint64_t now, uint64_t window, uint64_t old_base, uint64_t old_scale,
                           uint64_t old_age, uint64_t *scale) {
    uint64_t seen = old_base + (old_age * old_scale >> 32);
    if (seen > l->floor) l->floor = seen;
    uint64_t host = l->last.ns + (uint64_t)line_at(l, now);
    uint64_t base = host > l->floor ? host : l->floor;
    double slope = l->slope - (double)(base - host) / (double)window;
    if (slope < l->slope / 2) slope = l->slope / 2; /* far ahead: it takes several windows */
    *scale = (uint64_t)(slope * ONE);
    return base;
}

static void publish(struct clocks *c) {
    struct clock_page *p = c->page, next = {0};
    double baseline = (double)(c->monotonic.last.ns - c->monotonic.older.ns);
    double window_ns = baseline < WINDOW_NS ? baseline : WINDOW_NS;
    next.window = (uint64_t)(window_ns / c->monotonic.slope);
    __atomic_store_n(&p->sequence, p->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t now = clocks_counter(), old = age(p, now);
    next.base_ns[CLOCK_PAGE_MONOTONIC] =
        start_line(&c->monotonic, now, next.window, p->base_ns[CLOCK_PAGE_MONOTONIC], p->scale, old, &next.scale);
    next.base_ns[CLOCK_PAGE_RAW] =
        start_line(&c->raw, now, next.window, p->base_ns[CLOCK_PAGE_RAW], p->raw_scale, old, &next.raw_scale);
    for (size_t i = 0; i < sizeof c->offsets / sizeof *c->offsets; i++)
        next.base_ns[c->offsets[i].index] = next.base_ns[CLOCK_PAGE_MONOTONIC] + (uint64_t)c->offsets[i].ns;
    p->start = now;
    p->window = next.window;
    p->scale = next.scale;
    p->raw_scale = next.raw_scale;
    memcpy(p->base_ns, next.base_ns, sizeof p->base_ns);
    __atomic_store_n(&p->sequence, p->sequence + 1, __ATOMIC_RELEASE);
}

/* Without a slope or good samples the page is left to grow old. */
static void ask_host(struct clocks *c) {
    struct sample monotonic = read_clock(c, HOST_MONOTONIC, TRIES);
    struct sample raw = read_clock(c, HOST_RAW, TRIES);
    if (monotonic.gap > 4 * c->best_gap || raw.gap > 4 * c->best_gap) {
        c->best_gap += c->best_gap / 8 + 1; /* the CPU may have become slower for good */
        return;
    }
    int is_known = follow(&c->monotonic, monotonic);
    is_known &= follow(&c->raw, raw);
    if (!is_known || (double)c->best_gap * c->monotonic.slope > WORST_GAP_NS) return;
    for (size_t i = 0; i < sizeof c->offsets / sizeof *c->offsets; i++) follow_offset(c, &c->offsets[i]);
    publish(c);
}

void clocks_refresh(struct clocks *c) {
    const struct clock_page *p = c->page;
    /* Without the lock these may belong to two lines; it costs a refresh too many or one too few. */
    uint64_t start = __atomic_load_n(&p->start, __ATOMIC_RELAXED), window = __atomic_load_n(&p->window, __ATOMIC_RELAXED);
    if (clocks_counter() - start < window / 2 || pthread_mutex_trylock(&c->mutex)) return;
    if (clocks_counter() - p->start >= p->window / 2) ask_host(c);
    pthread_mutex_unlock(&c->mutex);
}

struct clocks *clocks_open(struct clock_page *page) {
    struct clocks *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->page = page;
    c->best_gap = UINT64_MAX / 4;
    pthread_mutex_init(&c->mutex, NULL);
    c->offsets[0] = (struct offset){.host_clock = CLOCK_REALTIME, .index = CLOCK_PAGE_REALTIME};
    c->offsets[1] = (struct offset){.host_clock = HOST_BOOTTIME, .index = CLOCK_PAGE_BOOTTIME};
    c->offsets[2] = (struct offset){.host_clock = HOST_TAI, .index = CLOCK_PAGE_TAI};
    clocks_refresh(c);
    return c;
}

pthread_mutex_t *clocks_mutex(struct clocks *c) { return &c->mutex; }

void clocks_close(struct clocks *c) {
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
