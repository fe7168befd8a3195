/* Sharing blocks and flags of files, on file systems that mostly cannot; requests of /dev/urandom. */
#include "report.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/random.h>
#include <sys/ioctl.h>

static void cloning(int source, int target) {
    int read_only = CALL(open("source", O_RDONLY)), write_only = CALL(open("source", O_WRONLY));
    int only_path = CALL(open("source", O_PATH)), directory = CALL(open(".", O_RDONLY));
    int elsewhere = CALL(open("/proc/self/status", O_RDONLY)), appending = CALL(open("target", O_WRONLY | O_APPEND));
    int fds[2];
    CALL(pipe(fds));
    CALL(ioctl(target, FICLONE, 99));
    CALL(ioctl(read_only, FICLONE, target));
    CALL(ioctl(target, FICLONE, write_only));
    CALL(ioctl(appending, FICLONE, source));
    CALL(ioctl(target, FICLONE, elsewhere));
    CALL(ioctl(target, FICLONE, directory));
    CALL(ioctl(directory, FICLONE, target));
    CALL(ioctl(target, FICLONE, fds[0]));
    CALL(ioctl(fds[1], FICLONE, source));
    CALL(ioctl(only_path, FICLONE, target));
    CALL(ioctl(target, FICLONE, only_path));
    CALL(ioctl(target, FICLONERANGE, 8));
    CALL(ioctl(fds[0], FICLONERANGE, 8));
    struct file_clone_range range = {99, 0, 0, 0};
    CALL(ioctl(target, FICLONERANGE, &range));
    range.src_fd = directory;
    CALL(ioctl(target, FICLONERANGE, &range));
    int flags = 0;
    CALL(ioctl(fds[0], FS_IOC_GETFLAGS, &flags));
    CALL(ioctl(elsewhere, FS_IOC_GETFLAGS, &flags));
    CALL(ioctl(elsewhere, FS_IOC_SETFLAGS, &flags));
    struct fiemap map = {0, ~0ull};
    CALL(ioctl(fds[0], FS_IOC_FIEMAP, &map));
}

/* A request for the extents of a file, with `room` for that many. */
static void extents(const char *what, int fd, unsigned room, unsigned flags) {
    struct {
        struct fiemap map;
        struct fiemap_extent extents[4];
    } asked = {{.fm_length = ~0ull, .fm_extent_count = room, .fm_flags = flags}, {{0}}};
    errno = 0;
    int done = ioctl(fd, FS_IOC_FIEMAP, &asked);
    printf("%s: %d %s, %u of %u, %x:", what, done, done ? error_name(errno) : "", asked.map.fm_mapped_extents, room,
           asked.map.fm_flags);
    for (unsigned i = 0; i < room && i < asked.map.fm_mapped_extents; i++)
        printf(" %llu+%llu %x", (unsigned long long)asked.extents[i].fe_logical,
               (unsigned long long)asked.extents[i].fe_length, asked.extents[i].fe_flags);
    printf("\n");
}

static void mapping(int file) {
    CALL(ftruncate(file, 0));
    CALL(pwrite(file, "here", 4, 0));
    CALL(pwrite(file, "there", 5, 1 << 20));
    for (unsigned room = 0; room <= 4; room++)
        extents("extents", file, room, FIEMAP_FLAG_SYNC);
    extents("unknown flag", file, 4, 8);
    struct fiemap map = {0, 0};
    CALL(ioctl(file, FS_IOC_FIEMAP, &map));
    map.fm_length = 1, map.fm_extent_count = 1u << 30;
    CALL(ioctl(file, FS_IOC_FIEMAP, &map));
    CALL(ioctl(file, FS_IOC_FIEMAP, 8));
    int memory = CALL(syscall(SYS_memfd_create, "memory", 0));
    extents("memory", memory, 4, 0);
    CALL(close(memory));
}

static int flags_of(int file) {
    int flags = 0;
    CALL(ioctl(file, FS_IOC_GETFLAGS, &flags));
    return flags;
}

/* Which flags there are depends on the file system; only its owner may change them. */
static void marking(int file) {
    int before = flags_of(file), wanted = before | FS_NODUMP_FL;
    struct fsxattr extended = {0};
    CALL(ioctl(file, FS_IOC_SETFLAGS, &before));
    CALL(ioctl(file, FS_IOC_SETFLAGS, &wanted));
    printf("%x\n", (flags_of(file) ^ before) & FS_NODUMP_FL);
    CALL(ioctl(file, FS_IOC_FSGETXATTR, &extended));
    printf("%x\n", extended.fsx_xflags & FS_XFLAG_NODUMP);
    extended.fsx_xflags &= ~FS_XFLAG_NODUMP;
    CALL(ioctl(file, FS_IOC_FSSETXATTR, &extended));
    printf("%x\n", flags_of(file) ^ before);
    CALL(ioctl(file, FS_IOC_SETFLAGS, 8));
    CALL(ioctl(file, FS_IOC_FSGETXATTR, 8));
    CALL(ioctl(file, FS_IOC_FSSETXATTR, 8));
    int memory = CALL(syscall(SYS_memfd_create, "memory", 0));
    wanted = FS_NODUMP_FL | FS_NOATIME_FL;
    CALL(ioctl(memory, FS_IOC_SETFLAGS, &wanted));
    printf("%x\n", flags_of(memory));
    wanted = FS_SYNC_FL;
    CALL(ioctl(memory, FS_IOC_SETFLAGS, &wanted));
    CALL(close(memory));
}

static void comparing(int source, int target) {
    struct {
        struct file_dedupe_range range;
        struct file_dedupe_range_info place;
    } same = {{.src_length = 1, .dest_count = 1}, {.dest_fd = target}};
    int directory = CALL(open(".", O_RDONLY)), only_written = CALL(open("source", O_WRONLY)), device = CALL(open("/dev/null", O_RDWR));
    CALL(ioctl(only_written, FIDEDUPERANGE, &same));
    CALL(ioctl(directory, FIDEDUPERANGE, &same));
    CALL(ioctl(device, FIDEDUPERANGE, &same));
    same.range.reserved1 = 1;
    CALL(ioctl(source, FIDEDUPERANGE, &same));
    same.range.reserved1 = 0, same.range.dest_count = 1000;
    CALL(ioctl(source, FIDEDUPERANGE, &same));
    CALL(ioctl(source, FIDEDUPERANGE, 8));
    CALL(close(directory) | close(only_written) | close(device));
}

static void reserving(int file) {
    struct {
        int16_t type, whence;
        int64_t start, length;
        int32_t more[6];
    } space = {0, SEEK_SET, 1 << 16, 4096, {0}};
    CALL(ftruncate(file, 0));
    for (int whence = SEEK_SET; whence <= SEEK_END + 1; whence++) {
        space.whence = whence;
        CALL(ioctl(file, 0x40305828, &space)); /* FS_IOC_RESVSP */
    }
    struct stat facts;
    CALL(fstat(file, &facts));
    printf("%d bytes, has room: %d\n", (int)facts.st_size, facts.st_blocks >= 8);
    int directory = CALL(open(".", O_RDONLY));
    CALL(ioctl(directory, 0x40305828, &space));
    CALL(ioctl(file, 0x40305828, 8));
    CALL(close(directory));
}

static void sharing_if_it_can(int source, int target) {
    char found[32] = "";
    int done = ioctl(target, FICLONE, source);
    if (done < 0 && errno != EOPNOTSUPP) {
        perror("FICLONE");
    }
    if (!done) {
        done = pread(target, found, 31, 0);
    }
    printf("shared or not: %d\n", done < 0 || !strcmp(found, "contents"));
}

static void random_bytes(void) {
    int urandom = CALL(open("/dev/urandom", O_RDONLY)), zero = CALL(open("/dev/zero", O_RDONLY)), bits = 0;
    CALL(ioctl(urandom, RNDGETENTCNT, &bits));
    printf("%d bits\n", bits);
    CALL(ioctl(urandom, RNDGETENTCNT, WILD));
    CALL(ioctl(zero, RNDGETENTCNT, &bits));
    CALL(isatty(urandom));
    CALL(ioctl(urandom, FIONREAD, &bits));
    int pool[4] = {-1, 8};
    CALL(ioctl(urandom, RNDADDTOENTCNT, pool));
    CALL(ioctl(urandom, RNDADDENTROPY, pool));
    pool[0] = 0;
    CALL(ioctl(urandom, RNDADDENTROPY, pool));
    pool[1] = -1;
    CALL(ioctl(urandom, RNDADDENTROPY, pool));
    CALL(ioctl(urandom, RNDADDENTROPY, WILD));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("source", "contents");
    int source = CALL(open("source", O_RDWR)), target = CALL(open("target", O_RDWR | O_CREAT, 0600));
    cloning(source, target);
    sharing_if_it_can(source, target);
    comparing(source, target);
    mapping(target);
    marking(target);
    reserving(target);
    random_bytes();
    CALL(unlink("source")), CALL(unlink("target"));
    return leave_scratch();
}
