/* A guest address space as x86-64 four-level page tables in frames. */
#ifndef AIONOAH_SPACE_H
#define AIONOAH_SPACE_H

#include "frames.h"

enum { SPACE_READ = 1, SPACE_WRITE = 2, SPACE_EXECUTE = 4 };

/* Page-table entries. A page without rights keeps its frame with PRESENT clear; an entry of 0 is empty.
 * Accessed and dirty are set from the start, so that the CPU never needs to write an entry. */
#define PTE_PRESENT 1ull
#define PTE_WRITE 2ull
#define PTE_USER 4ull
#define PTE_TOUCHED 0x60ull
#define PTE_FILE (1ull << 9) /* for us: the host may have no page behind the frame */
#define PTE_NO_EXECUTE (1ull << 63)
#define PTE_FRAME 0x000ffffffffff000ull

struct space {
    struct frames *frames;
    uint64_t root;    /* frame of the top table */
    uint64_t *tables; /* all frames that hold tables; they stay where they are until the space is closed */
    size_t n_tables, max_tables;
    uint64_t mapped, most_mapped; /* pages of the program, now and at most so far */
    /* Called before a frame is first used by the space; 0, or -1 with errno. */
    int (*cover)(struct space *s, uint64_t first, uint64_t count);
};

struct extent {
    uint64_t start, end, frame;
    int prot, is_file;
};

int space_init(struct space *s, struct frames *frames, int (*cover)(struct space *, uint64_t, uint64_t));
void space_fini(struct space *s);

int space_map(struct space *s, uint64_t address, uint64_t first, uint64_t count, int prot, int is_file);
int space_map_raw(struct space *s, uint64_t address, uint64_t frame, uint64_t bits);
void space_unmap(struct space *s, uint64_t address, uint64_t count);
/* `exclusive`: a page whose frame others hold too gets no write access; a write to it is to copy it first. */
void space_protect(struct space *s, uint64_t address, uint64_t count, int prot, int exclusive);
/* Show pages in an empty part of another space. Unless `share`, nobody may write to them any more. 0, or -1. */
int space_fork(struct space *s, struct space *child, uint64_t address, uint64_t count, int share);
/* Give the space frames of its own for the pages whose frames others hold too, with these rights. 0, or -1. */
int space_unshare(struct space *s, uint64_t address, uint64_t count, int prot);
int space_move(struct space *s, uint64_t from, uint64_t to, uint64_t count);
int space_extent(struct space *s, uint64_t address, struct extent *out);
/* The memory behind a range, if all of it is there, in no file and may be read, or written. How many pieces, 0 if not,
 * or if there are more than `most`. */
struct iovec;
int space_pieces(struct space *s, uint64_t address, uint64_t length, int for_writing, struct iovec *pieces, int most);
void space_resident(struct space *s, uint64_t address, uint64_t count, uint8_t *out);
/* The first page from an address on that has a frame; `end` if there is none before that. */
uint64_t space_next(struct space *s, uint64_t address, uint64_t end);

#endif
