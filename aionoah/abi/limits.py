"""Lengths of names, and greatest numbers (uapi linux/limits.h)."""

NAME_MAX = 255
PATH_MAX = 4096  # with the NUL
PIPE_BUF = 4096  # what a write to a pipe does not tear; also the unit of its capacity
MAXSYMLINKS = 40  # include/linux/namei.h
TASK_COMM_LEN = 16  # with the NUL (include/linux/sched.h)
ARG_MAX = 131072  # what every program may use for its strings
ARG_STRING_MAX = 131072  # MAX_ARG_STRLEN: one argument or environment string (linux/binfmts.h)
NGROUPS_MAX = 65536
ID_MAX = (1 << 32) - 2  # of users and groups: the next one means "no change" in system calls
