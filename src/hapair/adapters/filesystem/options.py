"""Which options a mount has in force, and which of them can be given again to a later mount."""

import re
from typing import Final

# What every mount shows although nobody asked for it, or what says no more than the kind does.
SILENT: Final = frozenset({"rw", "relatime", "seclabel"})
# Shown for every XFS: the kernel's own choice, which some kernels do not take as a word.
SILENT_OF: Final = {
    "xfs": frozenset({"attr2", "inode64", "noquota", "logbufs=8", "logbsize=32k"}),
}
READ_ONLY: Final = "ro"
ATIMES: Final = frozenset({"relatime", "noatime"})
OF_A_MOUNT: Final = frozenset(
    {"ro", "nosuid", "nodev", "noexec", "sync", "dirsync", "noatime", "nodiratime", "strictatime",
     "lazytime", "nosymfollow"}
)  # fmt: skip
# Words that mount(2) takes from ext4 and XFS in the form in which the kernel shows them.
TAKEN: Final = {
    "ext4": frozenset(
        {"acl", "noacl", "user_xattr", "nouser_xattr", "auto_da_alloc", "noauto_da_alloc",
         "barrier", "nobarrier", "block_validity", "noblock_validity", "bsddf", "minixdf", "commit",
         "data", "data_err", "debug", "delalloc", "nodelalloc", "dioread_lock", "dioread_nolock",
         "nodioread_nolock", "discard", "nodiscard", "errors", "grpid", "bsdgroups", "nogrpid",
         "sysvgroups",
         "grpjquota", "usrjquota", "jqfmt", "grpquota", "usrquota", "prjquota", "quota",
         "noquota", "i_version", "init_itable", "noinit_itable", "inode_readahead_blks",
         "journal_async_commit", "journal_checksum", "nojournal_checksum", "journal_ioprio",
         "max_batch_time", "min_batch_time", "max_dir_size_kb", "mb_optimize_scan", "nombcache",
         "no_mbcache", "prefetch_block_bitmaps", "no_prefetch_block_bitmaps", "resgid", "resuid",
         "stripe"}
    ),
    "xfs": frozenset(
        {"allocsize", "attr2", "noattr2", "discard", "nodiscard", "filestreams", "grpid",
         "bsdgroups", "nogrpid", "sysvgroups", "gquota", "gqnoenforce", "grpquota", "ikeep",
         "noikeep", "inode32", "inode64", "largeio", "nolargeio", "logbsize", "logbufs",
         "noalign", "noquota", "nouuid", "pquota", "pqnoenforce", "prjquota", "quota", "qnoenforce",
         "sunit", "swidth",
         "swalloc", "uquota", "uqnoenforce", "usrquota", "wsync"}
    ),
}  # fmt: skip
# Labels of SELinux are taken by every file system; a label with a comma would need quotes.
CONTEXTS: Final = re.compile(r"(fs|def|root)?context=[^\",]+")


# Of ext4: quotas that are in force, or would be after ``quotaon``.
QUOTAS: Final = frozenset(
    {"quota", "usrquota", "grpquota", "prjquota", "usrjquota", "grpjquota", "jqfmt"}
)


def of_quotas(kept: tuple[str, ...]) -> tuple[str, ...]:
    """Return those options that mean quotas."""
    return tuple(word for word in kept if word.partition("=")[0] in QUOTAS)


def in_force(
    kind: str, of_mount: str, of_file_system: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options to mount with, and those that cannot be carried over.

    ``of_mount`` and ``of_file_system`` are the two lists of the kernel's mountinfo.
    """
    shown = [*of_mount.split(","), *of_file_system.split(",")]
    words = list(dict.fromkeys(word for word in shown if word))
    if not ATIMES & set(words):
        words.append("strictatime")  # The kernel shows it by showing nothing.
    silent = SILENT | SILENT_OF.get(kind, frozenset())
    asked = [word for word in words if word not in silent]
    kept = tuple(word for word in asked if _is_taken(kind, word))
    lost = [word for word in asked if word not in kept]
    if READ_ONLY in of_file_system.split(",") and READ_ONLY not in of_mount.split(","):
        lost.append(READ_ONLY)  # The kernel made it so after an error.
    return kept, tuple(lost)


def _is_taken(kind: str, word: str) -> bool:
    name = word.partition("=")[0]
    taken = TAKEN.get(kind, frozenset())
    return word in OF_A_MOUNT or name in taken or CONTEXTS.fullmatch(word) is not None
