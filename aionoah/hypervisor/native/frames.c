#define _GNU_SOURCE
#include "frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach/mach.h>
#include <mach/mach_vm.h>
#else
#include <sys/uio.h>
#endif

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static void *reserve(uint64_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Where one mapping of the host ends and the next begins, in all regions: a host has only so many mappings for
 * a process, and what guests map of files must leave the others their share. */
static uint64_t borders;
uint64_t frames_most_borders = UINT64_MAX;

static uint64_t find_most_borders(void) {
    uint64_t most = UINT64_MAX;
#ifdef __linux__
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file) {
        if (fscanf(file, "%lu", &most) == 1) most = most / 4 * 3;
        fclose(file);
    }
#endif
    return most;
}

/* Those before each frame of a range and behind the last one. */
static uint64_t count_borders(const struct frames *f, uint64_t first, uint64_t count) {
    uint64_t found = 0;
    for (uint64_t i = first; i <= first + count && i < f->count; i++) {
        int is_file = f->kinds[i] & FRAME_FILE, was_file = f->kinds[i - 1] & FRAME_FILE;
        found += is_file != was_file || (is_file && f->kinds[i] & FRAME_FIRST);
    }
    return found;
}

/* Note that a range has become a mapping of a file, or that it no longer is one. */
static void set_kind(struct frames *f, uint64_t first, uint64_t count, uint8_t kind) {
    uint64_t before = count_borders(f, first, count), end = first + count;
    memset(f->kinds + first, kind & ~FRAME_FIRST, count);
    f->kinds[first] = kind;
    if (end < f->count && f->kinds[end] & FRAME_FILE) f->kinds[end] |= FRAME_FIRST;
    uint64_t change = count_borders(f, first, count) - before; /* modulo 2^64 */
    f->borders += change;
    borders += change;
}

struct frames *frames_open(uint64_t count, uint64_t limit) {
    struct frames *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    *f = (struct frames){.count = count, .limit = limit, .first_gap = 1};
    pthread_mutex_init(&f->tables, NULL);
    if (frames_most_borders == UINT64_MAX) frames_most_borders = find_most_borders();
    f->base = reserve(count << PAGE_SHIFT);
    f->refs = reserve(count * sizeof *f->refs);
    f->kinds = reserve(count);
    f->bitmap = reserve(count / 8);
    if (!f->base || !f->refs || !f->kinds || !f->bitmap) {
        frames_close(f);
        return NULL;
    }
    /* A child that the application forks must not turn our memory into copy-on-write. */
#ifdef __APPLE__
    minherit(f->base, count << PAGE_SHIFT, VM_INHERIT_NONE);
#else
    madvise(f->base, count << PAGE_SHIFT, MADV_DONTFORK);
#endif
    f->bitmap[0] = 1;
    return f;
}

void frames_close(struct frames *f) {
    borders -= f->borders;
    if (f->base) munmap(f->base, f->count << PAGE_SHIFT);
    if (f->refs) munmap(f->refs, f->count * sizeof *f->refs);
    if (f->kinds) munmap(f->kinds, f->count);
    if (f->bitmap) munmap(f->bitmap, f->count / 8);
    free(f);
}

/* Index of the first bit at or after `from` that equals `value`, or `end`. */
static uint64_t find_bit(const uint64_t *map, uint64_t from, uint64_t end, int value) {
    while (from < end) {
        uint64_t word = map[from / 64];
        if (!value) word = ~word;
        word &= ~0ull << (from % 64);
        if (word) {
            uint64_t at = (from & ~63ull) + (uint64_t)__builtin_ctzll(word);
            return at < end ? at : end;
        }
        from = (from | 63) + 1;
    }
    return end;
}

static void set_bits(uint64_t *map, uint64_t first, uint64_t count, int value) {
    for (uint64_t i = first; i < first + count; i++) {
        if (i % 64 == 0 && first + count - i >= 64) {
            map[i / 64] = value ? ~0ull : 0;
            i += 63;
        } else if (value) {
            map[i / 64] |= 1ull << (i % 64);
        } else {
            map[i / 64] &= ~(1ull << (i % 64));
        }
    }
}

/* First fit: the lowest gap keeps the number of memory slots of each VM small. */
static uint64_t take(struct frames *f, uint64_t count, uint8_t kind) {
    uint64_t first = find_bit(f->bitmap, f->first_gap, f->count, 0), lowest = first;
    while (first < f->count && count <= f->count - first) {
        uint64_t end = find_bit(f->bitmap, first, first + count, 1);
        if (end == first + count) {
            set_bits(f->bitmap, first, count, 1);
            if (kind & FRAME_FILE) set_kind(f, first, count, kind | FRAME_FIRST);
            for (uint64_t i = first; i < end; i++) f->refs[i] = 1;
            f->first_gap = first == lowest ? end : lowest;
            if (!(kind & FRAME_UNCOUNTED)) f->in_use += count;
            return first;
        }
        first = find_bit(f->bitmap, end, f->count, 0);
    }
    errno = ENOMEM;
    return 0;
}

uint64_t frames_allocate(struct frames *f, uint64_t count) {
    if (count == 0 || count > f->limit || f->in_use > f->limit - count) {
        errno = ENOMEM;
        return 0;
    }
    return take(f, count, 0);
}

uint64_t frames_allocate_file(struct frames *f, int fd, uint64_t offset, uint64_t count, int shared, int writable) {
    /* Private pages count: the guest may write to each of them. Shared ones are the host's page cache. */
    uint8_t kind = FRAME_FILE | (shared ? FRAME_UNCOUNTED : 0) | (shared && !writable ? FRAME_READ_ONLY : 0);
    if (count == 0 || count > f->count || borders >= frames_most_borders
        || (!shared && (count > f->limit || f->in_use > f->limit - count))) {
        errno = ENOMEM;
        return 0;
    }
    uint64_t first = take(f, count, kind);
    if (!first) return 0;
    int prot = kind & FRAME_READ_ONLY ? PROT_READ : PROT_READ | PROT_WRITE;
    void *at = mmap(f->base + (first << PAGE_SHIFT), count << PAGE_SHIFT, prot,
                    MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE), fd, (off_t)offset);
    if (at == MAP_FAILED) {
        int error = errno;
        frames_drop(f, first, count);
        errno = error;
        return 0;
    }
#ifndef __APPLE__
    madvise(at, count << PAGE_SHIFT, MADV_DONTFORK);
#endif
    return first;
}

void frames_hold(struct frames *f, uint64_t first, uint64_t count) {
    for (uint64_t i = first; i < first + count; i++) f->refs[i]++;
}

/* Whether anonymous memory could take the place of file frames without more mappings than we may have. */
static int may_split(const struct frames *f, uint64_t first, uint64_t count) {
    uint64_t end = first + count;
    uint64_t after = !!(f->kinds[first - 1] & FRAME_FILE) + (end < f->count && f->kinds[end] & FRAME_FILE);
    return borders < frames_most_borders || after <= count_borders(f, first, count);
}

/* File frames without a reference. Those that would cut a mapping in two when there are too many of them
 * stay as they are, and go together with a neighbour. */
static void release_file(struct frames *f, uint64_t first, uint64_t count) {
    uint64_t end = first + count, uncounted = 0;
    while (f->kinds[first - 1] & FRAME_LEFT) first--;
    while (end < f->count && f->kinds[end] & FRAME_LEFT) end++;
    count = end - first;
    void *at = may_split(f, first, count)
        ? mmap(f->base + (first << PAGE_SHIFT), count << PAGE_SHIFT, PROT_READ | PROT_WRITE,
               MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        : MAP_FAILED;
    if (at == MAP_FAILED) {
        for (uint64_t i = first; i < end; i++) f->kinds[i] |= FRAME_LEFT;
        return;
    }
#ifndef __APPLE__
    madvise(at, count << PAGE_SHIFT, MADV_DONTFORK);
#endif
    for (uint64_t i = first; i < end; i++) uncounted += !!(f->kinds[i] & FRAME_UNCOUNTED);
    f->in_use -= count - uncounted;
    set_kind(f, first, count, 0);
    set_bits(f->bitmap, first, count, 0);
    if (first < f->first_gap) f->first_gap = first;
}

/* Neighbouring frames of one kind have lost their last reference. */
static void release(struct frames *f, uint64_t first, uint64_t count) {
    if (f->kinds[first] & FRAME_FILE) {
        release_file(f, first, count);
        return;
    }
    frames_discard(f, first, count);
    f->in_use -= count;
    set_bits(f->bitmap, first, count, 0);
    if (first < f->first_gap) f->first_gap = first;
}

void frames_drop(struct frames *f, uint64_t first, uint64_t count) {
    uint64_t start = first, end = first + count;
    for (uint64_t i = first; i < end; i++) {
        int freed = --f->refs[i] == 0;
        if (freed && (f->kinds[i] & ~FRAME_FIRST) == (f->kinds[start] & ~FRAME_FIRST)) continue;
        if (i > start) release(f, start, i - start);
        start = freed ? i : i + 1;
    }
    if (end > start) release(f, start, end - start);
}

void frames_guard(struct frames *f, uint64_t frame, pthread_mutex_t *guard) {
    f->guarded = guard ? frame : 0;
    f->guard = guard;
}

void frames_invalidate(struct frames *f, uint64_t first, uint64_t count) {
    int is_guarded = f->guard && first <= f->guarded && f->guarded < first + count;
    if (is_guarded) pthread_mutex_lock(f->guard);
    f->invalidations++;
    for (uint64_t end = first + count, next; first < end; first = next) {
        int read_only = f->kinds[first] & FRAME_READ_ONLY;
        for (next = first; next < end && (f->kinds[next] & FRAME_READ_ONLY) == read_only;) next++;
        uint8_t *at = f->base + (first << PAGE_SHIFT);
        size_t length = (next - first) << PAGE_SHIFT;
        mprotect(at, length, read_only ? PROT_NONE : PROT_READ);
        mprotect(at, length, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
    }
    if (is_guarded) pthread_mutex_unlock(f->guard);
}

void frames_discard(struct frames *f, uint64_t first, uint64_t count) {
    uint8_t *at = f->base + (first << PAGE_SHIFT);
#ifdef __APPLE__
    /* MADV_DONTNEED does not promise zeroes there: put fresh memory in place. */
    mmap(at, count << PAGE_SHIFT, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
    madvise(at, count << PAGE_SHIFT, MADV_DONTNEED);
#endif
}

void frames_populate(void *at, size_t length) {
#ifdef MADV_POPULATE_WRITE /* Linux 5.14; without it the memory comes at the first touch */
    madvise(at, length, MADV_POPULATE_WRITE);
#else
    (void)at;
    (void)length;
#endif
}

int frames_copy(void *to, const void *from, size_t length) {
#ifdef __APPLE__
    mach_vm_size_t done = 0;
    return mach_vm_read_overwrite(mach_task_self(), (mach_vm_address_t)from, length, (mach_vm_address_t)to, &done)
               == KERN_SUCCESS && done == length ? 0 : -1;
#else
    struct iovec local = {to, length}, remote = {(void *)from, length};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)length ? 0 : -1;
#endif
}

/* Whether a page of a file is there still; only another program that cuts the file short in this very
 * instant could prove the answer wrong. */
static int is_lost(const uint32_t *word, int is_file) {
    uint32_t copy;
    return is_file && frames_copy(&copy, word, sizeof copy);
}

int64_t frames_load(const uint32_t *word, int is_file) {
    return is_lost(word, is_file) ? -1 : (int64_t)__atomic_load_n(word, __ATOMIC_SEQ_CST);
}

int64_t frames_compare_exchange(uint32_t *word, uint32_t expected, uint32_t desired, int is_file) {
    if (is_lost(word, is_file)) return -1;
    __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}
