#include "space.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

static uint64_t *table_at(struct space *s, uint64_t frame) {
    return (uint64_t *)(s->frames->base + (frame << PAGE_SHIFT));
}

/* Around each change: what is taken away from a program may be in use beside the kernel lock. */
static void begin(struct space *s) { pthread_mutex_lock(&s->frames->tables); }

static int ended(struct space *s, int result) {
    pthread_mutex_unlock(&s->frames->tables);
    return result;
}

static uint64_t new_table(struct space *s) {
    if (s->n_tables == s->max_tables) {
        size_t more = s->max_tables ? 2 * s->max_tables : 16;
        uint64_t *tables = realloc(s->tables, more * sizeof *tables);
        if (!tables) return 0;
        s->tables = tables;
        s->max_tables = more;
    }
    uint64_t frame = frames_allocate(s->frames, 1);
    if (!frame) return 0;
    if (s->cover && s->cover(s, frame, 1)) {
        frames_drop(s->frames, frame, 1);
        return 0;
    }
    return s->tables[s->n_tables++] = frame;
}

int space_init(struct space *s, struct frames *frames, int (*cover)(struct space *, uint64_t, uint64_t)) {
    s->frames = frames;
    s->cover = cover;
    s->tables = NULL;
    s->n_tables = s->max_tables = 0;
    return (s->root = new_table(s)) ? 0 : -1;
}

/* The entries of the last-level table for an address; NULL if there is none (and `make` is 0, or no memory). */
static uint64_t *leaf_table(struct space *s, uint64_t address, int make) {
    uint64_t table = s->root;
    for (int level = 3; level > 0; level--) {
        uint64_t *entry = table_at(s, table) + ((address >> (PAGE_SHIFT + 9 * level)) & 511);
        if (!*entry) {
            uint64_t next = make ? new_table(s) : 0;
            if (!next) return NULL;
            *entry = next << PAGE_SHIFT | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_TOUCHED;
        }
        table = (*entry & PTE_FRAME) >> PAGE_SHIFT;
    }
    return table_at(s, table);
}

static uint64_t bits_of(int prot) {
    return prot == 0 ? 0
                     : PTE_PRESENT | PTE_USER | PTE_TOUCHED | (prot & SPACE_WRITE ? PTE_WRITE : 0)
                           | (prot & SPACE_EXECUTE ? 0 : PTE_NO_EXECUTE);
}

static int prot_of(uint64_t entry) {
    return !(entry & PTE_PRESENT) ? 0
                                  : SPACE_READ | (entry & PTE_WRITE ? SPACE_WRITE : 0)
                                        | (entry & PTE_NO_EXECUTE ? 0 : SPACE_EXECUTE);
}

/* Calls `visit` for each last-level table that the pages touch: entries[first..end) are theirs. */
typedef void visitor(struct space *s, uint64_t *entries, unsigned first, unsigned end, uint64_t done, void *data);

static void for_tables(struct space *s, uint64_t address, uint64_t count, visitor *visit, void *data) {
    for (uint64_t done = 0, step; done < count; done += step) {
        uint64_t at = address + (done << PAGE_SHIFT);
        unsigned first = (at >> PAGE_SHIFT) & 511;
        step = 512 - first < count - done ? 512 - first : count - done;
        uint64_t *entries = leaf_table(s, at, 0);
        if (entries) visit(s, entries, first, first + (unsigned)step, done, data);
    }
}

/* Frames that are neighbours, gathered so that the host is called once for all of them. */
struct run {
    uint64_t first, count;
    int drop; /* a reference was taken away from the page tables: give it back too */
};

static void flush(struct space *s, struct run *run) {
    if (!run->count) return;
    struct frames *f = s->frames;
    for (uint64_t i = run->first, end = run->first + run->count, next; i < end; i = next) {
        /* A frame that dies is forgotten by the hypervisor when the host takes its memory. */
        int dies = run->drop && f->refs[i] == 1;
        for (next = i + 1; next < end && (run->drop && f->refs[next] == 1) == dies;) next++;
        if (!dies) frames_invalidate(f, i, next - i);
    }
    if (run->drop) frames_drop(f, run->first, run->count);
    run->count = 0;
}

static void gather(struct space *s, struct run *run, uint64_t frame) {
    if (run->count && frame != run->first + run->count) flush(s, run);
    if (!run->count) run->first = frame;
    run->count++;
}

static int make_tables(struct space *s, uint64_t address, uint64_t count) {
    uint64_t end = address + (count << PAGE_SHIFT);
    for (uint64_t at = address; at < end; at = (at | 0x1fffff) + 1)
        if (!leaf_table(s, at, 1)) return -1;
    return 0;
}

struct filling {
    uint64_t first, bits;
};

static void fill(struct space *s, uint64_t *entries, unsigned first, unsigned end, uint64_t done, void *data) {
    (void)s;
    struct filling *f = data;
    uint64_t frame = f->first + done;
    for (unsigned i = first; i < end; i++, frame++) entries[i] = frame << PAGE_SHIFT | f->bits;
}

static void count_pages(struct space *s, uint64_t count) {
    s->mapped += count;
    if (s->mapped > s->most_mapped) s->most_mapped = s->mapped;
}

static int map(struct space *s, uint64_t address, uint64_t first, uint64_t count, int prot, int is_file) {
    if (make_tables(s, address, count)) {
        errno = ENOMEM;
        return -1;
    }
    if (s->cover && s->cover(s, first, count)) return -1;
    frames_hold(s->frames, first, count);
    for_tables(s, address, count, fill, &(struct filling){first, bits_of(prot) | (is_file ? PTE_FILE : 0)});
    count_pages(s, count);
    return 0;
}

int space_map(struct space *s, uint64_t address, uint64_t first, uint64_t count, int prot, int is_file) {
    begin(s);
    return ended(s, map(s, address, first, count, prot, is_file));
}

static int map_raw(struct space *s, uint64_t address, uint64_t frame, uint64_t bits) {
    uint64_t *entries = leaf_table(s, address, 1);
    if (!entries || (s->cover && s->cover(s, frame, 1))) return -1;
    frames_hold(s->frames, frame, 1);
    entries[(address >> PAGE_SHIFT) & 511] = frame << PAGE_SHIFT | bits | PTE_TOUCHED;
    return 0;
}

int space_map_raw(struct space *s, uint64_t address, uint64_t frame, uint64_t bits) {
    begin(s);
    return ended(s, map_raw(s, address, frame, bits));
}

static void empty(struct space *s, uint64_t *entries, unsigned first, unsigned end, uint64_t done, void *data) {
    (void)done;
    for (unsigned i = first; i < end; i++) {
        if (!entries[i]) continue;
        uint64_t frame = (entries[i] & PTE_FRAME) >> PAGE_SHIFT;
        entries[i] = 0;
        s->mapped--;
        gather(s, data, frame);
    }
}

void space_unmap(struct space *s, uint64_t address, uint64_t count) {
    struct run run = {.drop = 1};
    begin(s);
    for_tables(s, address, count, empty, &run);
    flush(s, &run);
    ended(s, 0);
}

struct protecting {
    struct run run;
    uint64_t bits;
    int exclusive;
};

static void reprotect(struct space *s, uint64_t *entries, unsigned first, unsigned end, uint64_t done, void *data) {
    (void)done;
    struct protecting *p = data;
    for (unsigned i = first; i < end; i++) {
        uint64_t old = entries[i], frame = (old & PTE_FRAME) >> PAGE_SHIFT;
        if (!old) continue;
        entries[i] = (old & (PTE_FRAME | PTE_FILE)) | p->bits;
        if (p->exclusive && s->frames->refs[frame] > 1) entries[i] &= ~PTE_WRITE;
        /* More rights are noticed at the next fault; fewer must be forced upon the hypervisor. */
        if (prot_of(old) & ~prot_of(entries[i])) gather(s, &p->run, frame);
    }
}

void space_protect(struct space *s, uint64_t address, uint64_t count, int prot, int exclusive) {
    struct protecting p = {.bits = bits_of(prot), .exclusive = exclusive};
    begin(s);
    for_tables(s, address, count, reprotect, &p);
    flush(s, &p.run);
    ended(s, 0);
}

struct forking {
    struct run run;
    struct space *child;
    uint64_t address;
    int share, failed;
};

static void fork_table(struct space *s, uint64_t *entries, unsigned first, unsigned end, uint64_t done, void *data) {
    struct forking *f = data;
    uint64_t *theirs = NULL;
    for (unsigned i = first; i < end && !f->failed; i++) {
        uint64_t frame = (entries[i] & PTE_FRAME) >> PAGE_SHIFT;
        if (!entries[i]) continue;
        if (!theirs) theirs = leaf_table(f->child, f->address + (done << PAGE_SHIFT), 1);
        if (!theirs || (f->child->cover && f->child->cover(f->child, frame, 1))) {
            f->failed = 1;
            break;
        }
        if (!f->share && entries[i] & PTE_WRITE) {
            entries[i] &= ~PTE_WRITE;
            gather(s, &f->run, frame);
        }
        theirs[i] = entries[i];
        s->frames->refs[frame]++;
        count_pages(f->child, 1);
    }
}

int space_fork(struct space *s, struct space *child, uint64_t address, uint64_t count, int share) {
    struct forking f = {.child = child, .address = address, .share = share};
    begin(s);
    for_tables(s, address, count, fork_table, &f);
    flush(s, &f.run);
    if (f.failed) errno = ENOMEM;
    return ended(s, f.failed ? -1 : 0);
}

struct unsharing {
    struct run run;
    uint64_t bits;
    int failed;
};

static void unshare_table(struct space *s, uint64_t *entries, unsigned first, unsigned end, uint64_t done, void *data) {
    (void)done;
    struct unsharing *u = data;
    struct frames *f = s->frames;
    for (unsigned i = first; i < end && !u->failed; i++) {
        uint64_t old = (entries[i] & PTE_FRAME) >> PAGE_SHIFT;
        if (!entries[i]) continue;
        if (f->refs[old] == 1) {
            entries[i] = (entries[i] & (PTE_FRAME | PTE_FILE)) | u->bits;
            continue;
        }
        uint64_t new = frames_allocate(f, 1);
        /* What lies in a file may have vanished with it. */
        if (!new || (s->cover && s->cover(s, new, 1))
            || frames_copy(f->base + (new << PAGE_SHIFT), f->base + (old << PAGE_SHIFT), PAGE_SIZE)) {
            if (new) frames_drop(f, new, 1);
            u->failed = 1;
            break;
        }
        entries[i] = new << PAGE_SHIFT | u->bits;
        gather(s, &u->run, old);
    }
}

int space_unshare(struct space *s, uint64_t address, uint64_t count, int prot) {
    struct unsharing u = {.run.drop = 1, .bits = bits_of(prot)};
    begin(s);
    for_tables(s, address, count, unshare_table, &u);
    flush(s, &u.run);
    return ended(s, u.failed ? -1 : 0);
}

static int move(struct space *s, uint64_t from, uint64_t to, uint64_t count) {
    if (make_tables(s, to, count)) {
        errno = ENOMEM;
        return -1;
    }
    struct run run = {.drop = 0};
    for (uint64_t i = 0; i < count; i++) {
        uint64_t a = from + (i << PAGE_SHIFT), b = to + (i << PAGE_SHIFT), *entries = leaf_table(s, a, 0);
        if (!entries) {
            i |= 511 - ((a >> PAGE_SHIFT) & 511); /* the rest of this table is empty too */
            continue;
        }
        uint64_t *entry = entries + ((a >> PAGE_SHIFT) & 511);
        if (!*entry) continue;
        leaf_table(s, b, 0)[(b >> PAGE_SHIFT) & 511] = *entry;
        if (*entry & PTE_PRESENT) gather(s, &run, (*entry & PTE_FRAME) >> PAGE_SHIFT);
        *entry = 0;
    }
    flush(s, &run);
    return 0;
}

int space_move(struct space *s, uint64_t from, uint64_t to, uint64_t count) {
    begin(s);
    return ended(s, move(s, from, to, count));
}

int space_extent(struct space *s, uint64_t address, struct extent *out) {
    uint64_t *entries = leaf_table(s, address, 0);
    unsigned at = (address >> PAGE_SHIFT) & 511, first = at, end = at + 1;
    if (!entries || !entries[at]) return 0;
    /* Neighbours differ by one frame and in nothing else. */
    while (first > 0 && entries[first - 1] && entries[first - 1] + PAGE_SIZE == entries[first]) first--;
    while (end < 512 && entries[end] == entries[end - 1] + PAGE_SIZE) end++;
    uint64_t table_start = address & ~0x1fffffull;
    out->start = table_start + ((uint64_t)first << PAGE_SHIFT);
    out->end = table_start + ((uint64_t)end << PAGE_SHIFT);
    out->frame = (entries[first] & PTE_FRAME) >> PAGE_SHIFT;
    out->prot = prot_of(entries[at]);
    out->is_file = !!(entries[at] & PTE_FILE);
    return 1;
}

int space_pieces(struct space *s, uint64_t address, uint64_t length, int for_writing, struct iovec *pieces, int most) {
    uint64_t wanted = PTE_PRESENT | PTE_USER | (for_writing ? PTE_WRITE : 0), end = address + length;
    const uint64_t *entries = NULL;
    int n = 0;
    for (uint64_t at = address, next; at < end; at = next) {
        next = (at | (PAGE_SIZE - 1)) + 1;
        if (next > end) next = end;
        if (at == address || !(at & 0x1fffff)) entries = leaf_table(s, at, 0);
        uint64_t entry = entries ? entries[(at >> PAGE_SHIFT) & 511] : 0;
        if ((entry & (wanted | PTE_FILE)) != wanted) return 0;
        uint8_t *memory = s->frames->base + (entry & PTE_FRAME) + (at & (PAGE_SIZE - 1));
        if (n && (uint8_t *)pieces[n - 1].iov_base + pieces[n - 1].iov_len == memory) {
            pieces[n - 1].iov_len += next - at;
            continue;
        }
        if (n == most) return 0;
        pieces[n++] = (struct iovec){memory, next - at};
    }
    return n;
}

static void note(struct space *s, uint64_t *entries, unsigned first, unsigned end, uint64_t done, void *data) {
    (void)s;
    uint8_t *out = (uint8_t *)data + done;
    for (unsigned i = first; i < end; i++) *out++ = entries[i] != 0;
}

void space_resident(struct space *s, uint64_t address, uint64_t count, uint8_t *out) {
    for_tables(s, address, count, note, out);
}

uint64_t space_next(struct space *s, uint64_t address, uint64_t end) {
    while (address < end) {
        uint64_t table = s->root, entry = 0, size = 0;
        for (int level = 3; level >= 0; level--, table = (entry & PTE_FRAME) >> PAGE_SHIFT) {
            size = 1ull << (PAGE_SHIFT + 9 * level);
            entry = table_at(s, table)[(address / size) & 511];
            if (!entry) break;
        }
        if (entry) return address;
        address = (address | (size - 1)) + 1;
    }
    return end;
}

static void drop_tree(struct space *s, uint64_t table, int level) {
    uint64_t *entries = table_at(s, table);
    struct run run = {.drop = 1};
    for (unsigned i = 0; i < 512; i++) {
        if (!entries[i]) continue;
        uint64_t frame = (entries[i] & PTE_FRAME) >> PAGE_SHIFT;
        if (level > 0) {
            drop_tree(s, frame, level - 1);
        } else {
            if (run.count && frame != run.first + run.count) {
                frames_drop(s->frames, run.first, run.count);
                run.count = 0;
            }
            if (!run.count) run.first = frame;
            run.count++;
        }
    }
    if (run.count) frames_drop(s->frames, run.first, run.count);
}

/* The hypervisor has gone already, so nothing needs to be forgotten. */
void space_fini(struct space *s) {
    drop_tree(s, s->root, 3);
    for (size_t i = 0; i < s->n_tables; i++) frames_drop(s->frames, s->tables[i], 1);
    free(s->tables);
}
