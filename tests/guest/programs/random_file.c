/* A file and a plain array that get the same changes, at random, have to be the same after each: through reads, writes,
 * mappings, holes, shifts and copies, of a file on a disk, in tmpfs, and of one without a name.
 *
 *     random_file DIRECTORY [OPERATIONS] [SEED] [FILE]...
 */
#include "report.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define SIZE (192 * 1024)
#define LONGEST (40 * 1024)
#define PAGE 4096

static unsigned char right[SIZE], found[SIZE], new[LONGEST];
static long size, seed = 1, refused[16];
static int file, other, step;
static char *shown; /* a mapping that stays, of all that the file can be */
static const char *what;

static long any(long limit) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    return limit ? (long)((unsigned long)seed >> 33) % limit : 0;
}

static void fail(const char *why, long where) {
    printf("operation %d, %s: %s at %ld of %ld\n", step, what, why, where, size);
    fflush(stdout);
    exit(1);
}

static void compare(const void *data, long at, long length) {
    if (memcmp(data, right + at, length) == 0)
        return;
    for (long i = 0; i < length; i++)
        if (((unsigned char *)data)[i] != right[at + i])
            fail("a wrong byte", at + i);
}

static void need(long result, long wanted) {
    if (result != wanted)
        fail(result < 0 ? strerror(errno) : "a wrong count", result);
}

static long fill(long length) {
    for (long i = 0; i < length; i++)
        new[i] = (unsigned char)(step * 7 + i);
    return length;
}

/* What writing `length` bytes of `new` at an offset makes of the array. */
static void note(long at, long length) {
    memcpy(right + at, new, length);
    if (size < at + length)
        size = at + length;
}

static long place(long *length) {
    long at = any(SIZE);
    *length = any(LONGEST);
    if (*length > SIZE - at)
        *length = SIZE - at;
    return at;
}

static long inside(long *length) {
    long at = any(size);
    *length = any(LONGEST);
    if (*length > size - at)
        *length = size - at;
    return at;
}

static void do_read(void) {
    long length, at = place(&length), rest = at >= size ? 0 : size - at;
    need(pread(file, found, length, at), length < rest ? length : rest);
    compare(found, at, length < rest ? length : rest);
}

static void do_write(void) {
    long length, at = place(&length);
    fill(length);
    need(pwrite(file, new, length, at), length);
    if (length)
        note(at, length);
}

static void do_vectors(void) {
    long length, at = place(&length), first = any(length + 1);
    fill(length);
    struct iovec parts[] = {{new, first}, {new + first, length - first}};
    need(pwritev(file, parts, 2, at), length);
    if (length)
        note(at, length);
}

static void do_append(void) {
    long length = any(1000);
    if (size + length > SIZE)
        return;
    fill(length);
    need(fcntl(file, F_SETFL, O_APPEND), 0);
    need(write(file, new, length), length);
    need(fcntl(file, F_SETFL, 0), 0);
    note(size, length);
}

static void do_truncate(void) {
    long to = any(SIZE + 1);
    need(ftruncate(file, to), 0);
    if (to < size)
        memset(right + to, 0, size - to);
    size = to;
}

static void do_look(void) {
    long length, at = inside(&length);
    compare(shown + at, at, length);
}

static void do_store(void) {
    long length, at = inside(&length);
    fill(length);
    memcpy(shown + at, new, length);
    memcpy(right + at, new, length);
}

/* A mapping of its own, that starts anywhere and goes again. */
static void do_map(void) {
    long length, at = inside(&length), start = at / PAGE * PAGE;
    if (!length)
        return;
    int is_shared = any(2), is_written = any(2);
    char *map = mmap(NULL, at - start + length, PROT_READ | PROT_WRITE, is_shared ? MAP_SHARED : MAP_PRIVATE, file, start);
    if (map == MAP_FAILED)
        fail("mmap", at);
    compare(map + at - start, at, length);
    if (is_written) {
        fill(length);
        memcpy(map + at - start, new, length);
        if (is_shared)
            memcpy(right + at, new, length);
    }
    if (!any(16))
        need(msync(map, at - start + length, MS_SYNC), 0);
    need(munmap(map, at - start + length), 0);
}

/* Whether the file system can: what it can is the same natively. */
static int allocated(int mode, long at, long length) {
    if (fallocate(file, mode, at, length) == 0)
        return 1;
    if (errno != EOPNOTSUPP)
        need(-1, 0);
    int bit = 0;
    while (mode >> bit)
        bit++;
    refused[bit]++;
    return 0;
}

static void do_reserve(void) {
    long length, at = place(&length);
    int keep = any(2) ? FALLOC_FL_KEEP_SIZE : 0;
    if (length && allocated(keep, at, length) && !keep && size < at + length)
        size = at + length;
}

static void do_punch(void) {
    long length, at = place(&length);
    if (!length || !allocated(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length))
        return;
    memset(right + at, 0, length);
}

static void do_zero(void) {
    long length, at = place(&length);
    int keep = any(2) ? FALLOC_FL_KEEP_SIZE : 0;
    if (!length || !allocated(FALLOC_FL_ZERO_RANGE | keep, at, length))
        return;
    memset(right + at, 0, length);
    if (!keep && size < at + length)
        size = at + length;
}

static void do_collapse(void) {
    long blocks = size / PAGE;
    if (blocks < 3)
        return;
    long at = any(blocks - 2) * PAGE, length = (1 + any((size - 1 - at) / PAGE - 1 > 0 ? (size - 1 - at) / PAGE - 1 : 1)) * PAGE;
    if (at + length >= size || !allocated(FALLOC_FL_COLLAPSE_RANGE, at, length))
        return;
    memmove(right + at, right + at + length, size - at - length);
    memset(right + size - length, 0, length);
    size -= length;
}

static void do_insert(void) {
    long blocks = size / PAGE, length = (1 + any(4)) * PAGE;
    if (blocks < 1 || size + length > SIZE)
        return;
    long at = any(blocks) * PAGE;
    if (!allocated(FALLOC_FL_INSERT_RANGE, at, length))
        return;
    memmove(right + at + length, right + at, size - at);
    memset(right + at, 0, length);
    size += length;
}

/* From another place of the same file, where they do not overlap. */
static void do_copy(void) {
    long length, from = inside(&length), to = any(SIZE - length);
    loff_t start = from, end = to;
    if (!length || (from < to + length && to < from + length))
        return;
    need(copy_file_range(file, &start, file, &end, length, 0), length);
    memmove(new, right + from, length);
    note(to, length);
}

static void do_exchange(void) {
    long length, from = inside(&length), to = any(SIZE - length);
    loff_t start = from;
    need(ftruncate(other, 0), 0);
    need(lseek(other, 0, SEEK_SET), 0);
    if (any(2)) {
        for (long sent = 0; sent < length;) {
            long part = copy_file_range(file, &start, other, NULL, length - sent, 0);
            if (part < 0 && errno == EXDEV)
                part = sendfile(other, file, &start, length - sent);
            if (part <= 0)
                need(part, length - sent);
            sent += part;
        }
    } else
        need(sendfile(other, file, &start, length), length);
    need(pread(other, new, length, 0), length);
    if (memcmp(new, right + from, length))
        fail("a wrong copy", from);
    need(lseek(file, to, SEEK_SET), to);
    start = 0;
    need(sendfile(file, other, &start, length), length);
    if (length)
        note(to, length);
}

/* What is said to be a hole has to be zeros, and the file has to end where it ends. */
static void do_seek(void) {
    long at = any(size + 1), hole = lseek(file, at, SEEK_HOLE), data = lseek(file, at, SEEK_DATA);
    if (at >= size)
        return;
    if (hole < at || hole > size)
        fail("a wrong hole", hole);
    if (data > size)
        fail("data behind the end", data);
    for (long i = at, end = data < 0 ? size : data; i < end; i++)
        if (right[i])
            fail("data in a hole", i);
    need(lseek(file, 0, SEEK_END), size);
}

static void do_sync(void) {
    struct stat facts;
    need(any(2) ? fdatasync(file) : msync(shown, SIZE, MS_ASYNC), 0);
    need(fstat(file, &facts), 0);
    need(facts.st_size, size);
}

static void do_again(void) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int fd = open(link, O_RDWR);
    if (fd < 0)
        fail("open", 0);
    need(dup2(fd, file), file);
    close(fd);
}

static const struct {
    const char *name;
    void (*act)(void);
    int weight;
} operations[] = {
    {"read", do_read, 6},     {"write", do_write, 6},       {"pwritev", do_vectors, 2},  {"append", do_append, 2},
    {"truncate", do_truncate, 2}, {"look", do_look, 4},     {"store", do_store, 4},      {"map", do_map, 3},
    {"reserve", do_reserve, 2},   {"punch", do_punch, 3},   {"zero", do_zero, 3},        {"collapse", do_collapse, 2},
    {"insert", do_insert, 2},     {"copy", do_copy, 3},     {"exchange", do_exchange, 2}, {"seek", do_seek, 3},
    {"sync", do_sync, 1},         {"open again", do_again, 1},
};

static void act(void) {
    long total = 0, chosen;
    for (size_t i = 0; i < LENGTH(operations); i++)
        total += operations[i].weight;
    chosen = any(total);
    size_t i = 0;
    while (chosen >= operations[i].weight)
        chosen -= operations[i++].weight;
    what = operations[i].name;
    operations[i].act();
}

static void run(const char *name, int fd, long count) {
    file = fd;
    other = syscall(SYS_memfd_create, "other", 0);
    memset(right, 0, sizeof right);
    memset(refused, 0, sizeof refused);
    size = 0;
    shown = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || other < 0 || shown == MAP_FAILED)
        fail(name, -1);
    for (step = 0; step < count; step++)
        act();
    need(pread(file, found, SIZE, 0), size);
    compare(found, 0, size);
    printf("%s: %ld bytes are right, refused:", name, size);
    for (size_t i = 0; i < LENGTH(refused); i++)
        printf(" %ld", refused[i]);
    printf("\n");
    munmap(shown, SIZE);
    close(file), close(other);
}

static int new_file(const char *name) {
    unlink(name);
    return open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
}

int main(int argc, char **argv) {
    char name[64];
    long count = argc > 2 ? atol(argv[2]) : 400;
    enter_scratch(argc, argv);
    if (argc > 3)
        seed = atol(argv[3]);
    for (int i = 4; i < argc; i++)
        run(argv[i], open(argv[i], O_RDWR | O_CREAT | O_TRUNC, 0600), count);
    run("on a disk", new_file("file"), count);
    snprintf(name, sizeof name, "/dev/shm/random-file-%d", getpid());
    run("in tmpfs", new_file(name), count);
    unlink(name);
    run("in memory", syscall(SYS_memfd_create, "memory", 0), count);
    run("without a name", open(".", O_TMPFILE | O_RDWR, 0600), count);
    unlink("file");
    return leave_scratch();
}
