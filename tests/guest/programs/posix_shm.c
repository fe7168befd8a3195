/* POSIX shared memory and named semaphores: files of the C library's below /dev/shm. */
#include "report.h"

#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

int main(int argc, char **argv) {
    char name[32], semaphore[32];
    enter_scratch(argc, argv);
    snprintf(name, sizeof name, "/memory-%d", getpid());
    snprintf(semaphore, sizeof semaphore, "/semaphore-%d", getpid());
    CALL(shm_open(name, O_RDWR, 0));
    CALL(shm_open("/a/b", O_RDWR | O_CREAT, 0600));
    CALL(shm_unlink(name));
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CALL(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
    CALL(ftruncate(fd, 4096));
    int *here = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CALL(sem_open(semaphore, 0) == SEM_FAILED);
    sem_t *turn = sem_open(semaphore, O_CREAT | O_EXCL, 0600, 0);
    CALL(sem_open(semaphore, O_CREAT | O_EXCL, 0600, 0) == SEM_FAILED);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int *there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shm_open(name, O_RDWR, 0), 0);
        sem_t *same = sem_open(semaphore, 0);
        for (int i = 0; i < 100; i++) {
            there[i] = i * i;
            sem_post(same);
        }
        _exit(0);
    }
    long sum = 0;
    for (int i = 0; i < 100; i++) {
        sem_wait(turn);
        sum += here[i];
    }
    int status = -1, value = -1;
    waitpid(pid, &status, 0);
    CALL(sem_getvalue(turn, &value));
    printf("sum %ld, status %d, value %d\n", sum, status, value);
    CALL(sem_trywait(turn));
    CALL(sem_timedwait(turn, &(struct timespec){1, 0}) == -1 && errno == ETIMEDOUT);
    CALL(sem_post(turn));
    CALL(sem_trywait(turn));
    CALL(sem_close(turn));
    CALL(sem_unlink(semaphore));
    CALL(sem_unlink(semaphore));
    CALL(shm_unlink(name));
    CALL(shm_open(name, O_RDWR, 0));
    printf("still %d\n", here[9]);
    return leave_scratch();
}
