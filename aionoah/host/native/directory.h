// Directories of the host, read in the form in which getdents64 gives them to guests.

#ifndef AIONOAH_DIRECTORY_H
#define AIONOAH_DIRECTORY_H

#include <stdint.h>

// What one call of directory_read has found.
struct directory_part {
    uint64_t size;    // of the entries, in bytes
    uint32_t count;   // of them
    int is_last;      // nothing comes behind them
    int has_special;  // some are devices, or of a kind that the file system does not tell
};

// Reads entries of an open directory until `room` is used up: struct linux_dirent64, d_off being the position behind
// each, counted from `first` on. `ends` gets the offset behind each; there must be room / 24 of them. Entries with one
// of the inode numbers of `hidden` are left out. Returns 0 or -errno.
int directory_read(int fd, uint64_t first, uint8_t *out, uint64_t room, uint32_t *ends,
                   const uint64_t *hidden, uint32_t hidden_count, struct directory_part *part);

#endif
