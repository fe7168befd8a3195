/* Guest-physical memory: one reserved, sparse host region cut into 4 KiB frames with reference counts. */
#ifndef AIONOAH_FRAMES_H
#define AIONOAH_FRAMES_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ull

struct frames {
    uint8_t *base;      /* host address of frame 0, which is never handed out */
    uint32_t *refs;     /* references by frame; 0 = free */
    uint8_t *kinds;     /* FRAME_* by frame */
    uint64_t *bitmap;   /* one bit per frame, set = in use */
    uint64_t count;     /* frames in the region */
    uint64_t limit;     /* frames that may be counted at once */
    uint64_t in_use;    /* frames that are counted: all but shared file pages */
    uint64_t invalidations; /* how often frames_invalidate has been called */
    uint64_t borders;   /* between mappings of the host, in this region */
    uint64_t first_gap; /* no frame below it is free */
    pthread_mutex_t tables; /* held while page tables change, and where C uses a program's memory beside the kernel lock */
    uint64_t guarded;   /* a frame that the host itself writes to at any time, or 0 */
    pthread_mutex_t *guard; /* held while it does, and while the frame cannot be written to */
};

enum { FRAME_FILE = 1, FRAME_UNCOUNTED = 2, FRAME_READ_ONLY = 4, FRAME_FIRST = 8 /* of a mapping */, FRAME_LEFT = 16 /* by everybody */ };

/* How many borders there may be between the host's mappings, in all regions of the process; frames_open finds it out. */
extern uint64_t frames_most_borders;

struct frames *frames_open(uint64_t count, uint64_t limit);
void frames_close(struct frames *f);

/* First index of `count` neighbouring zero frames with one reference each, or 0 if there is no room. */
uint64_t frames_allocate(struct frames *f, uint64_t count);

/* The same, being a mapping of a host file. 0 with errno if the host refuses, or has too many mappings already. */
uint64_t frames_allocate_file(struct frames *f, int fd, uint64_t offset, uint64_t count, int shared, int writable);

void frames_hold(struct frames *f, uint64_t first, uint64_t count);
void frames_drop(struct frames *f, uint64_t first, uint64_t count);

/* Make every hypervisor forget its translations to these frames. A running guest may see a host fault
 * meanwhile and must then try again. */
void frames_invalidate(struct frames *f, uint64_t first, uint64_t count);

/* Guests map this frame, and we write to it beside all other locks, but never without this one. */
void frames_guard(struct frames *f, uint64_t frame, pthread_mutex_t *guard);

/* Give the memory of anonymous frames back: they read as zero from now on. */
void frames_discard(struct frames *f, uint64_t first, uint64_t count);

/* Have the host's memory behind anonymous frames ready, which costs less at once than page by page. */
void frames_populate(void *at, size_t length);

/* Copy where one side may have no memory behind it. 0, or -1. */
int frames_copy(void *to, const void *from, size_t length);

/* An aligned word that running guests may change at the same time: its value, or -1 where there is no
 * memory behind it, which is looked at first if it may be so (`is_file`). */
int64_t frames_load(const uint32_t *word, int is_file);

/* The same, and put `desired` in the place of `expected`. Returns what was there before. */
int64_t frames_compare_exchange(uint32_t *word, uint32_t expected, uint32_t desired, int is_file);

#endif
