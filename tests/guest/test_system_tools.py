"""Tools that look at processes, memory, processors and files: they find what is there, and have nothing to complain of."""

import os
import re
from pathlib import Path

import pytest
from harness.guest import DYNAMIC, need_backend, need_tool, run_in_guest, run_natively

# A command, the tool that it needs, and what its output must have.
LOOKING = {
    "ps aux | grep -c 'sleep 1000$'": ("/bin/ps", r"^1$"),
    "ps -o pid=,ppid=,stat=,comm= -p $!": ("/bin/ps", r"^ *(\d+) +\d+ S +sleep$"),
    "top -bn1 | head -7": (
        "/usr/bin/top",
        r"(?s)^top - .* load average: .*Tasks: +\d+ total.*MiB Mem :.*PID USER",
    ),
    "free -b | grep Mem": ("/usr/bin/free", r"^Mem: +\d+ +\d+ +\d+"),
    "vmstat | tail -1": ("/usr/bin/vmstat", r"^( *\d+){17}"),
    "lsof -p $$ | tr -s ' '": (
        "/usr/bin/lsof",
        r"(?s)bash \d+ \w+ cwd DIR .*bash \d+ \w+ 9r REG .* /etc/passwd",
    ),
    "fuser /etc/passwd 2>/dev/null | wc -w": ("/usr/bin/fuser", r"^[1-9]"),
    "pstree -p $$": ("/usr/bin/pstree", r"(?s)^bash\(\d+\)-.*sleep\(\d+\)"),
    "pgrep -x sleep | wc -l": ("/usr/bin/pgrep", r"^1$"),
    "pmap -x $! | tail -1": ("/usr/bin/pmap", r"^total kB +\d+ +\d+ +\d+$"),
    "sysctl -n kernel.ostype vm.swappiness": ("/usr/sbin/sysctl", r"^Linux\n60$"),
    "sysctl -a 2>&1 | grep -c '^net\\.'": ("/usr/sbin/sysctl", r"^\d\d"),
    "lsmem -b | tail -1": ("/usr/bin/lsmem", r"^Total offline memory: +0$"),
    "lsns -n -o TYPE | sort -u | tr '\\n' ' '": ("/usr/bin/lsns", r"^cgroup ipc mnt net pid time user uts $"),
    "numactl --membind=0 numactl --show | grep bind: | tr '\\n' ' '": (
        "/usr/bin/numactl",
        r"cpubind: 0 +nodebind: 0 +membind: 0 *$",
    ),
    "unshare --uts sh -c 'hostname elsewhere; uname -n' 2>/dev/null; uname -n | grep -c elsewhere": (
        "/usr/bin/unshare",
        r"^elsewhere\n0$" if os.geteuid() == 0 else r"^0$",
    ),
    "{ >/tmp/n && unshare --uts=/tmp/n hostname kept && nsenter --uts=/tmp/n uname -n; } 2>/dev/null": (
        "/usr/bin/nsenter",
        r"^kept$" if os.geteuid() == 0 else r"^$",
    ),
    "netstat -an | head -1": ("/usr/bin/netstat", r"^Active Internet connections"),
    "ipcmk -M 5000 -p 640 >/dev/null; ipcs -m | grep -w 5000": (
        "/usr/bin/ipcmk",
        r"^0x[0-9a-f]{8} \d+ +\w+ +640 +5000 +0",
    ),
    "ipcmk -S 3 >/dev/null; ipcs -s | grep -w 3": ("/usr/bin/ipcs", r"^0x[0-9a-f]{8} \d+ +\w+ +644 +3 *$"),
    "ipcmk -Q >/dev/null; ipcrm -a; ipcs -u | grep ' = '": ("/usr/bin/ipcrm", r"^allocated queues = 0\n"),
    "uptime": ("/usr/bin/uptime", r"load average: \d"),
    "cat /proc/self/fdinfo/9": ("/bin/cat", r"^pos:\t0\nflags:\t0\d+\nmnt_id:\t\d+\nino:\t\d+$"),
}
# What must be as on the host, on whose processors guests run.
SAME = ("lscpu -p=CPU,CORE,SOCKET,NODE", "nproc", "getconf -a | grep _CACHE", "head -2 /proc/net/dev")


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_they_see_what_is_there(tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    for tool, _ in LOOKING.values():
        need_tool(tool)
    script = (
        "sleep 1000 & exec 9</etc/passwd\n"
        'until [[ $(</proc/$!/stat) == *"(sleep) S"* ]]; do :; done\n'
        + "".join(f"{line}\necho ----\n" for line in LOOKING)
        + "kill $!"
    )
    done = await run_in_guest(DYNAMIC, ["/bin/bash", "-c", script], tmp_path)
    outputs = done.output.split("----\n")
    assert not done.errors
    for (command, (_, wanted)), output in zip(LOOKING.items(), outputs, strict=False):
        assert re.search(wanted, output.rstrip("\n")), f"{command}:\n{output}"


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_processors_are_the_hosts(tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    need_tool("/usr/bin/lscpu")
    command = ["/bin/bash", "-c", "; ".join(SAME)]
    assert await run_in_guest(DYNAMIC, command, tmp_path) == run_natively(command, tmp_path)
