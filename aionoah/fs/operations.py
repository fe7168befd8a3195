"""What system-call handlers do with paths, in one place to import from.

Everything takes the calling task's FsContext first and, where there is a path, the position that a
relative one begins at. Errors are LinuxError.
"""

from aionoah.fs.attributes import (
    access,
    chmod,
    chown,
    filesystem_status,
    readlink,
    require_enterable,
    set_times,
    truncate,
)
from aionoah.fs.creation import link_dentry, mkdir, mknod, require_node_mode, symlink
from aionoah.fs.opening import open_dentry, open_file, open_path
from aionoah.fs.path import path_of, stat, walk
from aionoah.fs.removal import rename, require_rename_flags, rmdir, unlink

__all__ = [
    "access",
    "chmod",
    "chown",
    "filesystem_status",
    "link_dentry",
    "mkdir",
    "mknod",
    "open_dentry",
    "open_file",
    "open_path",
    "path_of",
    "readlink",
    "rename",
    "require_enterable",
    "require_node_mode",
    "require_rename_flags",
    "rmdir",
    "set_times",
    "stat",
    "symlink",
    "truncate",
    "unlink",
    "walk",
]
