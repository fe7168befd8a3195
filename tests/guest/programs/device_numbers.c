/* The number of a file system is the same wherever it is told, and no two types of file systems have one. */
#include "report.h"

#include <sys/mman.h>
#include <sys/sysmacros.h>

struct mount {
    int identifier;
    dev_t device;
    char type[32];
};

static struct mount mounts[512];
static int count;

static void read_mounts(void) {
    char line[8192], *type;
    FILE *file = fopen("/proc/self/mountinfo", "r");
    while (file && count < 512 && fgets(line, sizeof line, file)) {
        struct mount *mount = &mounts[count];
        unsigned first, second;
        if (sscanf(line, "%d %*d %u:%u", &mount->identifier, &first, &second) != 3 || !(type = strstr(line, " - ")))
            continue;
        mount->device = makedev(first, second);
        count += sscanf(type, " - %31s", mount->type) == 1;
    }
    if (file)
        fclose(file);
}

static int is_one_type_for_each_number(void) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            if (mounts[i].device == mounts[j].device && strcmp(mounts[i].type, mounts[j].type))
                return 0;
    return count > 0;
}

static dev_t of_mount(int identifier) {
    for (int i = 0; i < count; i++)
        if (mounts[i].identifier == identifier)
            return mounts[i].device;
    return 0;
}

static void look(const char *name) {
    struct stat facts = {0};
    struct statx more = {0};
    int done = stat(name, &facts) | statx(AT_FDCWD, name, 0, STATX_BASIC_STATS | STATX_MNT_ID, &more);
    printf("%s: %d, statx the same: %d, mountinfo: %d\n", strchr(name, '/') ? name : "a file", done,
           makedev(more.stx_dev_major, more.stx_dev_minor) == facts.st_dev, of_mount(more.stx_mnt_id) == facts.st_dev);
}

static void mapped(const char *name) {
    struct stat facts;
    char line[8192];
    unsigned first, second;
    unsigned long start, number, is_there = 0;
    int fd = CALL(open(name, O_RDONLY));
    char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    CALL(fstat(fd, &facts));
    FILE *file = fopen("/proc/self/maps", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%lx-%*x %*s %*x %x:%x %lu", &start, &first, &second, &number) == 4 && start == (unsigned long)map)
            is_there = makedev(first, second) == facts.st_dev && number == facts.st_ino;
    if (file)
        fclose(file);
    printf("mapped: %lu\n", is_there);
    close(fd);
}

int main(int argc, char **argv) {
    static const char *places[] = {"/", "/proc", "/proc/self/status", "/dev", "/dev/null", "/dev/shm", "/sys", "/usr", "file"};
    enter_scratch(argc, argv);
    read_mounts();
    printf("told apart: %d\n", is_one_type_for_each_number());
    make_file("file", "text");
    for (size_t i = 0; i < LENGTH(places); i++)
        look(places[i]);
    mapped("file");
    mapped("/proc/self/exe");
    unlink("file");
    return leave_scratch();
}
