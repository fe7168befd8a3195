"""unshare(1), nsenter(1) and bubblewrap say and do the same as natively, for root and for ordinary users."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.guest import STATIC, need_backend, need_tool

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.geteuid() != 0, reason="the oracle mounts and becomes another user"),
]
AIONOAH = Path(sys.executable).with_name("aionoah")
USER = 4321
CAPABILITIES = 'grep -E "^Cap(Prm|Eff|Bnd)" /proc/self/status'

BY_ROOT = f"""
unshare -m sh -c 'mount -t tmpfs mine /mnt; touch /mnt/file; ls /mnt; findmnt -no SOURCE,PROPAGATION /mnt'
findmnt /mnt || echo gone
mount -t tmpfs outer /mnt; mkdir /mnt/shared; mount -t tmpfs all /mnt/shared; mount --make-shared /mnt/shared
mkdir /mnt/shared/a /mnt/shared/b
unshare -m --propagation unchanged sh -c 'mount -t tmpfs told /mnt/shared/a; touch /mnt/shared/a/seen'; ls /mnt/shared/a
unshare -m --propagation slave sh -c 'mount -t tmpfs untold /mnt/shared/b; touch /mnt/shared/b/unseen'; ls /mnt/shared/b
mkfifo /mnt/up /mnt/down
unshare -m sh -c 'mount -t tmpfs kept /mnt/shared/b; echo kept >/mnt/shared/b/file; echo >/mnt/up; read x </mnt/down' &
read x </mnt/up; nsenter -t $! -m cat /mnt/shared/b/file; cat /proc/$!/root/mnt/shared/b/file; ls /mnt/shared/b
touch /mnt/keeper; mount --bind /proc/$!/ns/mnt /mnt/keeper; echo >/mnt/down; wait
nsenter --mount=/mnt/keeper cat /mnt/shared/b/file; umount /mnt/keeper
nsenter --mount=/mnt/keeper true || echo ended
unshare -r sh -c 'id -u; {CAPABILITIES}; cat /proc/self/uid_map'
umount -l /mnt
bwrap --ro-bind / / --tmpfs /mnt sh -c 'touch /mnt/file /etc/file; ls /mnt'
"""

BY_USER = f"""
id -u; cat /proc/self/uid_map
unshare -r sh -c 'id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; {CAPABILITIES}'
unshare -U sh -c 'id -u; id -g; {CAPABILITIES}'
unshare -r sh -c 'stat -c %u:%g / /proc/self/status; chown 1 /tmp; chown 0:0 /etc/passwd; mount -t tmpfs x /mnt; hostname x'
unshare -rm sh -c 'mount -t tmpfs x /mnt && touch /mnt/f && stat -c %u:%g:%a /mnt /mnt/f; umount /mnt; umount /proc'
unshare -rm sh -c 'mount --bind /etc /mnt; test -f /mnt/passwd && mount -o remount,bind,ro /mnt; findmnt -no PROPAGATION /mnt'
unshare -rm sh -c 'mount -t tmpfs x /mnt; mount --make-shared /mnt; unshare -m --propagation unchanged mount -t tmpfs y /mnt; findmnt -no SOURCE /mnt'
unshare -ru sh -c 'hostname other; hostname'
unshare -r unshare -r sh -c 'id -u; cat /proc/self/uid_map'
unshare -r setpriv --reuid=5 id
unshare -r setpriv --groups=5 id
unshare -rm sh -c 'mount -t proc p /proc; mount -t sysfs s /mnt; mknod /tmp/node c 1 3'
unshare -rm chroot / id -u
bwrap --ro-bind / / --tmpfs /mnt --dev /dev --proc /proc sh -c 'id -u; touch /mnt/file /etc/file; ls /mnt; ls /dev; {CAPABILITIES}'
bwrap --unshare-user --uid 77 --gid 78 --ro-bind / / sh -c 'id -u; id -g; cat /proc/self/uid_map; {CAPABILITIES}'
bwrap --unshare-ipc --unshare-uts --hostname box --bind / / --dev-bind /dev /dev --bind /etc /mnt --chdir /mnt sh -c 'pwd; hostname; test -f passwd && ls -d /mnt'
bwrap --bind / / --dev-bind /dev /dev --unshare-user --uid 0 --gid 0 --cap-add ALL sh -c 'id -u; umount /proc; mount -t tmpfs x /mnt; umount /mnt; {CAPABILITIES}'
"""

FOR_ALL = 'echo 1 >/proc/sys/kernel/unprivileged_userns_clone; exec "$@"'


def run(command: list[str | Path]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


@pytest.mark.parametrize(("user", "script"), [(0, BY_ROOT), (USER, BY_USER)], ids=["root", "user"])
def test_as_natively(user: int, script: str) -> None:
    need_backend(STATIC)
    for tool in ("bwrap", "findmnt", "nsenter", "setpriv", "taskset", "unshare"):
        need_tool(tool)
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    # Linux tells younger name spaces from older ones by numbers that ascend on each CPU.
    apart = ["taskset", "1", "unshare", "-m", "-u", "-i", "--propagation", "private", *become]
    expected = run([*apart, "sh", "-c", f"cd /; {script}"])
    found = run(
        [AIONOAH, "run", "-u", "0:0", "--", "sh", "-c", FOR_ALL, "sh", *become, "sh", "-c", f"cd /; {script}"]
    )
    assert expected.count("\n") > 15
    assert found == expected
