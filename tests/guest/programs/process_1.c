/* Process 1 is a process like any other, root's: what can be asked of it, and what may be done to it by a stranger. */
#include "report.h"

#include <ctype.h>
#include <dirent.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static void calls(void) {
    cpu_set_t cpus;
    struct sched_param param;
    OK(getpgid(1));
    OK(getsid(1));
    OK(sched_getscheduler(1));
    OK(sched_getparam(1, &param));
    OK(sched_getaffinity(1, sizeof cpus, &cpus));
    CALL((getpriority(PRIO_PROCESS, 1), errno));
    CALL(waitpid(1, NULL, 0));
    CALL(setpgid(1, 1));
    CALL(setpgid(0, 1));
    CALL(syscall(SYS_tgkill, 2, 1, 0));
    CALL(kill(1, 65));
    struct pollfd poller = {syscall(SYS_pidfd_open, 1, 0), POLLIN, 0};
    printf("pidfd: %d\n", poller.fd > 0);
    CALL(poll(&poller, 1, 0));
    close(poller.fd);
}

static void files(void) {
    char line[512], name[64], state;
    int pid = 0, parent = -1;
    FILE *file = fopen("/proc/1/stat", "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        exit(1);
    }
    fclose(file);
    CALL(sscanf(line, "%d (%63[^)]) %c %d", &pid, name, &state, &parent));
    printf("%d %d %d\n", pid, parent, strlen(name) > 0 && isalpha(state));
    CALL(access("/proc/1/task/1/status", R_OK));
    CALL(access("/proc/1/comm", R_OK));
    CALL(access("/proc/1/cmdline", R_OK));
    DIR *directory = opendir("/proc");
    int is_listed = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        is_listed |= strcmp(entry->d_name, "1") == 0;
    }
    closedir(directory);
    printf("listed: %d\n", is_listed);
}

/* By somebody without rights. */
static void stranger(void) {
    char text[8];
    struct iovec local = {text, sizeof text}, remote = {&local, sizeof text};
    if (fork() == 0) {
        if (getuid() == 0 && (setgroups(0, NULL) || setresgid(1234, 1234, 1234) || setresuid(1234, 1234, 1234))) {
            _exit(1);
        }
        CALL(kill(1, 0));
        CALL(kill(1, SIGTERM));
        CALL(syscall(SYS_tkill, 1, SIGTERM));
        CALL(setpriority(PRIO_PROCESS, 1, 5));
        CALL(process_vm_readv(1, &local, 1, &remote, 1, 0));
        CALL(process_vm_writev(1, &local, 1, &remote, 1, 0));
        CALL(readlink("/proc/1/exe", text, sizeof text));
        CALL(readlink("/proc/1/cwd", text, sizeof text));
        CALL(open("/proc/1/environ", O_RDONLY));
        CALL(access("/proc/1/fd", R_OK));
        exit(0);
    }
    CALL(wait(NULL) > 0);
}

int main(void) {
    calls();
    files();
    fflush(stdout);
    stranger();
}
