/* Who has left a guest waits here, with its processor, for another one that is about to go back.
 *
 * What follows an exit needs the interpreter and the kernel lock, and both are waited for by sleeping, which takes
 * longer than most calls do; and whoever holds the lock and lets the interpreter go for a moment gets it back only
 * after the others have found the lock taken. The doorway is no lock, for it only holds up: for as long as most
 * calls take, and not more threads than there are other processors. */
#define _GNU_SOURCE
#include "kvm_internal.h"

#include <sched.h>

enum { QUICK_NS = 100000, PATIENCE_NS = 200000, TURNS = 8 }; /* of who is inside; of who waits; between looks at the clock */

static const void *inside; /* the last to come in, until it is known to have gone */
static uint64_t since_ns;
static int n_guests, n_spinning;

int kvm_n_cpus(void) {
    static int known; /* threads that are faster find the same */
    int n = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (n) return n;
    cpu_set_t cpus;
    n = sched_getaffinity(0, sizeof cpus, &cpus) ? 1 : CPU_COUNT(&cpus);
    __atomic_store_n(&known, n, __ATOMIC_RELAXED);
    return n;
}

static int has_entered(const void *who, uint64_t now) {
    const void *other = __atomic_load_n(&inside, __ATOMIC_ACQUIRE);
    uint64_t since = __atomic_load_n(&since_ns, __ATOMIC_RELAXED);
    if (other && now < since + QUICK_NS) return 0;
    if (!__atomic_compare_exchange_n(&inside, &other, who, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return 0;
    __atomic_store_n(&since_ns, now, __ATOMIC_RELAXED);
    return 1;
}

void kvm_doorway_wait(const void *who) {
    uint64_t begin = now_ns(CLOCK_MONOTONIC), now = begin;
    if (has_entered(who, now)) return;
    int spinning = __atomic_add_fetch(&n_spinning, 1, __ATOMIC_RELAXED);
    while (spinning < kvm_n_cpus() && now < begin + PATIENCE_NS) {
        for (int turn = 0; turn < TURNS; turn++) __builtin_ia32_pause();
        now = now_ns(CLOCK_MONOTONIC);
        if (has_entered(who, now)) break;
    }
    __atomic_sub_fetch(&n_spinning, 1, __ATOMIC_RELAXED);
}

void kvm_doorway_leave(const void *who) { __atomic_compare_exchange_n(&inside, &who, NULL, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED); }

void kvm_doorway_go_out(const void *who) {
    kvm_doorway_leave(who);
    __atomic_add_fetch(&n_guests, 1, __ATOMIC_RELAXED);
}

void kvm_doorway_come_in(const void *who) {
    __atomic_sub_fetch(&n_guests, 1, __ATOMIC_RELAXED);
    kvm_doorway_wait(who);
}

const int *kvm_doorway_spinners(void) { return &n_spinning; }

int kvm_doorway_guests(void) { return __atomic_load_n(&n_guests, __ATOMIC_RELAXED); }
