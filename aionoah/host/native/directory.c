// Reading directories without an object for each entry. Source: getdents64(2).

#define _GNU_SOURCE
#include "directory.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry {
    uint64_t number;
    int64_t next;
    uint16_t size;
    uint8_t kind;
    char name[];
};

static int is_hidden(uint64_t number, const uint64_t *hidden, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (hidden[i] == number)
            return 1;
    return 0;
}

int directory_read(int fd, uint64_t first, uint8_t *out, uint64_t room, uint32_t *ends,
                   const uint64_t *hidden, uint32_t hidden_count, struct directory_part *part)
{
    uint64_t used = 0;
    uint32_t count = 0;
    part->is_last = part->has_special = 0;
    for (;;) {
        long got = syscall(SYS_getdents64, fd, out + used, room - used);
        if (got < 0 && errno == EINVAL && used)
            break;  // no room for one more
        if (got < 0)
            return -errno;
        if (got == 0) {
            part->is_last = 1;
            break;
        }
        const uint8_t *from = out + used, *end = from + got;
        while (from < end) {
            struct entry *entry = (struct entry *)from;
            uint16_t size = entry->size;
            if (!is_hidden(entry->number, hidden, hidden_count)) {
                part->has_special |= entry->kind == DT_CHR || entry->kind == DT_UNKNOWN;
                entry->next = (int64_t)(first + count + 1);
                memmove(out + used, from, size);
                used += size;
                ends[count++] = (uint32_t)used;
            }
            from += size;
        }
    }
    part->size = used;
    part->count = count;
    return 0;
}
