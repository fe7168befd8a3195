/* Files of the host that guests read and write while Python looks on.
 *
 * An open file is lent with its position, and belongs to its borrowers until the loan ends: the vCPUs that know it by
 * a number. The server makes their reads and writes of it by itself, without the interpreter. Whatever is not plain it
 * leaves to Python: pages that are not there, contents that are not in the host's memory, errors.
 */
#define _GNU_SOURCE
#include "kvm_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SEEKS = 4 }; /* behind reads and writes, without and with a place */
enum { MOST_BYTES = 1 << 20, MOST_PIECES = 64 };

struct kvm_loan {
    int64_t position;
    int fd, may_read, may_write;
};

/* Held while a borrower uses a loan: so whoever ends a loan, or has all vCPUs forget theirs, is the only one to have it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t generation = 1; /* of what vCPUs know */

struct kvm_loan *kvm_loan_begin(int fd, int may_read, int may_write, int64_t position) {
    struct kvm_loan *l = malloc(sizeof *l);
    if (l) *l = (struct kvm_loan){.position = position, .fd = fd, .may_read = may_read, .may_write = may_write};
    return l;
}

int64_t kvm_loan_end(struct kvm_loan *l) {
    kvm_loans_forget();
    int64_t position = l->position;
    free(l);
    return position;
}

void kvm_loans_forget(void) {
    pthread_mutex_lock(&mutex);
    generation++;
    pthread_mutex_unlock(&mutex);
}

void kvm_vcpu_lend(struct kvm_vcpu *v, int number, struct kvm_loan *l) {
    pthread_mutex_lock(&mutex);
    struct kvm_borrowed *free = v->borrowed;
    for (struct kvm_borrowed *b = v->borrowed; b < v->borrowed + N_BORROWED; b++)
        if (b->generation != generation || b->number == number) free = b;
    *free = (struct kvm_borrowed){.generation = generation, .number = number, .loan = l};
    pthread_mutex_unlock(&mutex);
}

void kvm_vcpu_take_moved(struct kvm_vcpu *v, uint64_t *moved) {
    pthread_mutex_lock(&mutex);
    memcpy(moved, v->moved, sizeof v->moved);
    memset(v->moved, 0, sizeof v->moved);
    pthread_mutex_unlock(&mutex);
}

static struct kvm_loan *find(const struct kvm_vcpu *v, int number) {
    for (const struct kvm_borrowed *b = v->borrowed; b < v->borrowed + N_BORROWED; b++)
        if (b->generation == generation && b->number == number) return b->loan;
    return NULL;
}

/* What is transferred, or -1 if Python is to try. Less than everything is read at the end of the file only. */
static int64_t read_at(const struct kvm_loan *l, const struct iovec *pieces, int n, uint64_t count, int64_t position) {
    int64_t done = preadv2(l->fd, pieces, n, position, RWF_NOWAIT);
    if (done < 0 || (uint64_t)done == count) return done;
    uint8_t more;
    return preadv2(l->fd, &(struct iovec){&more, 1}, 1, position + done, RWF_NOWAIT) == 0 ? done : -1;
}

static int64_t transfer(struct kvm_vcpu *v, const uint64_t *words, int is_write, int is_placed) {
    struct kvm_loan *l = find(v, (int)words[1]);
    uint64_t count = words[3];
    if (!l || !(is_write ? l->may_write : l->may_read) || count == 0 || count > MOST_BYTES) return -1;
    int64_t position = is_placed ? (int64_t)words[4] : l->position;
    if (position < 0 || position > INT64_MAX - MOST_BYTES) return -1;
    struct iovec pieces[MOST_PIECES];
    struct space *s = &v->space->tables;
    if (words[2] > KERNEL_BASE - count) return -1;
    pthread_mutex_lock(&s->frames->tables);
    int n = space_pieces(s, words[2], count, !is_write, pieces, MOST_PIECES);
    int64_t done = n <= 0 ? -1 : is_write ? pwritev(l->fd, pieces, n, position) : read_at(l, pieces, n, count, position);
    pthread_mutex_unlock(&s->frames->tables);
    if (done < 0) return -1;
    v->moved[2 * is_write]++;
    v->moved[2 * is_write + 1] += (uint64_t)done;
    if (!is_placed) l->position = position + done;
    return done;
}

void kvm_machine_set_lent_calls(struct kvm_machine *m, const int *numbers) { memcpy(m->lent_calls, numbers, sizeof m->lent_calls); }

/* To a place that is told, or from the present one. */
static int64_t seek(const struct kvm_vcpu *v, const uint64_t *words) {
    struct kvm_loan *l = find(v, (int)words[1]);
    int64_t position = (int64_t)words[2];
    if (!l || (uint32_t)words[3] > SEEK_CUR) return -1;
    if ((uint32_t)words[3] == SEEK_CUR && __builtin_add_overflow(position, l->position, &position)) return -1;
    return position < 0 ? -1 : (l->position = position);
}

int kvm_loans_answer(struct kvm_vcpu *v, const uint64_t *words, uint64_t *result) {
    const int *calls = v->space->machine->lent_calls;
    int which = 0;
    while (which < N_LENT_CALLS && words[0] != (uint64_t)calls[which]) which++;
    if (which == N_LENT_CALLS) return 0;
    pthread_mutex_lock(&mutex);
    int64_t done = which == SEEKS ? seek(v, words) : transfer(v, words, which & 1, which >= 2);
    pthread_mutex_unlock(&mutex);
    *result = (uint64_t)done;
    return done >= 0;
}
