"""Parameters under /proc/sys that never change here: their values, and nothing else (proc_sys(5)).

Some say what is so here (there is no io_uring, no BPF), the others what a freshly booted Linux says.
"""

from typing import Final

from aionoah.process.kernel import DEFAULT_MAX_TASKS

Table = dict[str, "bytes | int | Table"]

_KEYS: Final[Table] = {"maxbytes": 20000, "maxkeys": 200, "root_maxbytes": 25000000, "root_maxkeys": 1000000}
_SECCOMP: Final[Table] = {
    "actions_avail": b"kill_process kill_thread trap errno trace log allow",
    "actions_logged": b"",
}

_KERNEL: Final[Table] = {
    "acct": b"4\t2\t30",
    "auto_msgmni": 0,
    "ctrl-alt-del": 0,
    "dmesg_restrict": 0,
    "io_uring_disabled": 2,
    "io_uring_group": -1,
    "keys": _KEYS,
    "kptr_restrict": 2,
    "nmi_watchdog": 0,
    "numa_balancing": 0,
    "panic": 0,
    "panic_on_oops": 0,
    "perf_event_max_sample_rate": 100000,
    "perf_event_mlock_kb": 516,
    "perf_event_paranoid": 4,
    "printk": b"4\t4\t1\t7",
    "pty": {"max": 4096, "nr": 0, "reserve": 1024},
    "sched_autogroup_enabled": 0,
    "sched_rr_timeslice_ms": 100,
    "sched_rt_period_us": 1000000,
    "sched_rt_runtime_us": 950000,
    "seccomp": _SECCOMP,
    "shm_rmid_forced": 0,
    "sysctl_writes_strict": 1,
    "sysrq": 0,
    "unprivileged_bpf_disabled": 2,
    "yama": {"ptrace_scope": 0},
}

_VM: Final[Table] = {
    "admin_reserve_kbytes": 8192,
    "compaction_proactiveness": 20,
    "dirty_background_bytes": 0,
    "dirty_background_ratio": 10,
    "dirty_bytes": 0,
    "dirty_expire_centisecs": 3000,
    "dirty_ratio": 20,
    "dirty_writeback_centisecs": 500,
    "hugetlb_shm_group": 0,
    "laptop_mode": 0,
    "legacy_va_layout": 0,
    "memfd_noexec": 0,
    "min_free_kbytes": 67584,
    "mmap_rnd_bits": 28,
    "mmap_rnd_compat_bits": 8,
    "nr_hugepages": 0,
    "nr_overcommit_hugepages": 0,
    "numa_stat": 1,
    "oom_dump_tasks": 1,
    "oom_kill_allocating_task": 0,
    "overcommit_kbytes": 0,
    "page-cluster": 3,
    "panic_on_oom": 0,
    "stat_interval": 1,
    "swappiness": 60,
    "unprivileged_userfaultfd": 0,
    "user_reserve_kbytes": 131072,
    "vfs_cache_pressure": 100,
    "watermark_boost_factor": 15000,
    "watermark_scale_factor": 10,
    "zone_reclaim_mode": 0,
}

_FS: Final[Table] = {
    "aio-max-nr": 65536,
    "dentry-state": b"0\t0\t45\t0\t0\t0",
    "dir-notify-enable": 1,
    "epoll": {"max_user_watches": 3694694},
    "inode-nr": b"0\t0",
    "inode-state": b"0\t0\t0\t0\t0\t0\t0",
    "lease-break-time": 45,
    "leases-enable": 1,
    "pipe-user-pages-hard": 0,
    "pipe-user-pages-soft": 16384,
    "protected_fifos": 0,
    "protected_hardlinks": 0,
    "protected_regular": 0,
    "protected_symlinks": 0,
}

_CORE: Final[Table] = {
    "default_qdisc": b"pfifo_fast",
    "netdev_max_backlog": 1000,
    "optmem_max": 131072,
    "rmem_default": 212992,
    "rmem_max": 212992,
    "wmem_default": 212992,
    "wmem_max": 212992,
}

_IPV4: Final[Table] = {
    "icmp_echo_ignore_all": 0,
    "icmp_echo_ignore_broadcasts": 1,
    "ip_default_ttl": 64,
    "ip_forward": 0,
    "ip_local_port_range": b"32768\t60999",
    "ip_local_reserved_ports": b"",
    "ip_nonlocal_bind": 0,
    "ip_unprivileged_port_start": 1024,
    "ping_group_range": b"1\t0",
    "tcp_available_congestion_control": b"reno cubic",
    "tcp_congestion_control": b"cubic",
    "tcp_ecn": 2,
    "tcp_fastopen": 1,
    "tcp_fin_timeout": 60,
    "tcp_keepalive_intvl": 75,
    "tcp_keepalive_probes": 9,
    "tcp_keepalive_time": 7200,
    "tcp_max_syn_backlog": 4096,
    "tcp_max_tw_buckets": 262144,
    "tcp_mem": b"767796\t1023729\t1535592",
    "tcp_rmem": b"4096\t131072\t6291456",
    "tcp_sack": 1,
    "tcp_slow_start_after_idle": 1,
    "tcp_syn_retries": 6,
    "tcp_synack_retries": 5,
    "tcp_syncookies": 1,
    "tcp_timestamps": 1,
    "tcp_tw_reuse": 2,
    "tcp_window_scaling": 1,
    "tcp_wmem": b"4096\t16384\t4194304",
    "udp_mem": b"1535595\t2047459\t3071190",
}

_IPV6_CONF: Final[Table] = {"accept_ra": 1, "autoconf": 1, "disable_ipv6": 0, "forwarding": 0}

_NET: Final[Table] = {
    "core": _CORE,
    "ipv4": _IPV4,
    "ipv6": {"bindv6only": 0, "conf": {"all": _IPV6_CONF, "default": _IPV6_CONF, "lo": _IPV6_CONF}},
    "unix": {"max_dgram_qlen": 512},
}

_USER: Final[Table] = {
    **{f"max_{kind}_namespaces": 0 for kind in ("cgroup", "net", "pid", "time")},
    **{f"max_{kind}_namespaces": DEFAULT_MAX_TASKS for kind in ("ipc", "mnt", "user", "uts")},
}

PARAMETERS: Final[Table] = {"fs": _FS, "kernel": _KERNEL, "net": _NET, "user": _USER, "vm": _VM}
