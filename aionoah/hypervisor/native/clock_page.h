/* The page by which guests tell the time without leaving: every clock as a line through the last time that the
 * host was asked. Written by clock_page.c, read by the code of clocks/vdso/src, which is compiled for each guest.
 *
 *   ns = base_ns[clock] + ((counter - start) * scale >> 32)      while counter - start < window
 *
 * Outside the window, and always on a page of zeros, whoever wants to know the time asks the kernel.
 */
#ifndef AIONOAH_CLOCK_PAGE_H
#define AIONOAH_CLOCK_PAGE_H

#include <stdint.h>

/* By the numbers that Linux gives its clocks; the others' elements are unused. */
enum { CLOCK_PAGE_REALTIME = 0, CLOCK_PAGE_MONOTONIC = 1, CLOCK_PAGE_RAW = 4, CLOCK_PAGE_BOOTTIME = 7, CLOCK_PAGE_TAI = 11, CLOCK_PAGE_CLOCKS = 12 };

struct clock_page {
    uint32_t sequence; /* odd while the rest is being written */
    uint32_t has_cpu;  /* RDPID and RDTSCP tell the number of the CPU, as in Linux */
    uint64_t start;    /* the counter: the x86 time-stamp counter, or CNTVCT_EL0 */
    uint64_t window;   /* for how many ticks it is good */
    uint64_t scale;    /* ns a tick, times 2^32 */
    uint64_t raw_scale; /* of CLOCK_PAGE_RAW, which nobody adjusts */
    uint64_t base_ns[CLOCK_PAGE_CLOCKS];
};

#if __STDC_HOSTED__ /* guests read the page only */

#include <pthread.h>

/* Keeps one page right. Any thread may call clocks_refresh. */
struct clocks;

/* Whether this host's counter runs at one speed whatever the CPU does. */
int clocks_counter_is_steady(void);
uint64_t clocks_counter(void);

/* NULL if there is no memory. The page stays as it is until the first refresh. */
struct clocks *clocks_open(struct clock_page *page);
void clocks_close(struct clocks *c);

/* Held while the page is written. */
pthread_mutex_t *clocks_mutex(struct clocks *c);

/* To be called before a guest is entered: asks the host again if half the window has gone by. */
void clocks_refresh(struct clocks *c);

#endif

#endif
