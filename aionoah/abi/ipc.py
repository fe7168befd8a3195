"""System V shared memory, semaphores and message queues (uapi linux/ipc.h, shm.h, sem.h, msg.h; sysvipc(7)).

One structure differs between architectures, semid64_ds: SEMID_STRUCTS has both. They are all here because few
programs want any of them, and the architectures' modules are loaded for every program.
"""

from typing import Annotated, Final

from aionoah.abi.cstruct import I16, I32, I64, U16, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags

IPC_PRIVATE = 0


class IPC(Flags):
    """Flags of shmget, semget, msgget and of the operations; the low nine bits are a mode."""

    CREAT = 0o1000
    EXCL = 0o2000
    NOWAIT = 0o4000


class SHM_CMD(Choice):  # noqa: N801
    """Commands of shmctl."""

    RMID = 0
    SET = 1
    STAT = 2
    INFO = 3
    LOCK = 11
    UNLOCK = 12
    STAT_INDEX = 13  # SHM_STAT
    INFO_USED = 14  # SHM_INFO
    STAT_ANY = 15


class SHM(Flags):
    """Flags of shmget (HUGETLB, NORESERVE) and shmat, and those that stand in the mode (DEST, LOCKED)."""

    HUGETLB = 0o4000
    NORESERVE = 0o10000
    RDONLY = 0o10000
    RND = 0o20000
    REMAP = 0o40000
    EXEC = 0o100000
    DEST = 0o1000
    LOCKED = 0o2000


SEM_UNDO = 0x1000


class SEM_CMD(Choice):  # noqa: N801
    """Commands of semctl."""

    RMID = 0
    SET = 1
    STAT = 2
    INFO = 3
    GETPID = 11
    GETVAL = 12
    GETALL = 13
    GETNCNT = 14
    GETZCNT = 15
    SETVAL = 16
    SETALL = 17
    STAT_INDEX = 18  # SEM_STAT
    INFO_USED = 19  # SEM_INFO
    STAT_ANY = 20


class MSG_CMD(Choice):  # noqa: N801
    """Commands of msgctl."""

    RMID = 0
    SET = 1
    STAT = 2
    INFO = 3
    STAT_INDEX = 11  # MSG_STAT
    INFO_USED = 12  # MSG_INFO
    STAT_ANY = 13


class MSGRCV(Flags):
    """Flags of msgrcv."""

    NOWAIT = 0o4000
    NOERROR = 0o10000
    EXCEPT = 0o20000
    COPY = 0o40000


class IpcPerm(Struct):
    """struct ipc64_perm."""

    key: I32
    uid: U32
    gid: U32
    cuid: U32
    cgid: U32
    mode: U32
    seq: Annotated[int, "H22x"]


class ShmidDs(Struct):
    """struct shmid64_ds; times are seconds since the epoch."""

    shm_perm: IpcPerm
    shm_segsz: U64
    shm_atime: I64
    shm_dtime: I64
    shm_ctime: I64
    shm_cpid: I32
    shm_lpid: I32
    shm_nattch: Annotated[int, "Q16x"]


class Shminfo(Struct):
    """struct shminfo64: limits."""

    shmmax: U64
    shmmin: U64
    shmmni: U64
    shmseg: U64
    shmall: Annotated[int, "Q32x"]


class ShmInfo(Struct):
    """struct shm_info: what is in use, in pages."""

    used_ids: I32
    shm_tot: U64
    shm_rss: U64
    shm_swp: U64
    swap_attempts: U64
    swap_successes: U64


class Sembuf(Struct):
    """One operation of semop."""

    sem_num: U16
    sem_op: I16
    sem_flg: I16


class SemidDs(Struct):
    """struct semid64_ds (asm-generic/sembuf.h)."""

    sem_perm: IpcPerm
    sem_otime: I64
    sem_ctime: I64
    sem_nsems: Annotated[int, "Q16x"]


class SemidDsX86(Struct):
    """The same with gaps (arch/x86/include/uapi/asm/sembuf.h)."""

    sem_perm: IpcPerm
    sem_otime: Annotated[int, "q8x"]
    sem_ctime: Annotated[int, "q8x"]
    sem_nsems: Annotated[int, "Q16x"]


SEMID_STRUCTS: Final[dict[str, type[SemidDs] | type[SemidDsX86]]] = {
    "x86_64": SemidDsX86,
    "aarch64": SemidDs,
}


class Seminfo(Struct):
    """Limits, or with SEM_INFO what is in use."""

    semmap: I32
    semmni: I32
    semmns: I32
    semmnu: I32
    semmsl: I32
    semopm: I32
    semume: I32
    semusz: I32
    semvmx: I32
    semaem: I32


class MsqidDs(Struct):
    """struct msqid64_ds."""

    msg_perm: IpcPerm
    msg_stime: I64
    msg_rtime: I64
    msg_ctime: I64
    msg_cbytes: U64
    msg_qnum: U64
    msg_qbytes: U64
    msg_lspid: I32
    msg_lrpid: Annotated[int, "i16x"]


class Msginfo(Struct):
    """Limits, or with MSG_INFO what is in use."""

    msgpool: I32
    msgmap: I32
    msgmax: I32
    msgmnb: I32
    msgmni: I32
    msgssz: I32
    msgtql: I32
    msgseg: U16
