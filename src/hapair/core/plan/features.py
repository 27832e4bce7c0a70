"""Features of a file system that the other node may be too old for.

What this node has mounted its kernel knows, so a peer that is no older knows it, too. An older one
knows what had come up to its time; kernels of distributions may have been given more, so that only
where the peer is older anything is refused.
"""

import re
from collections.abc import Iterator
from typing import Final

from hapair.model.problem import Problem
from hapair.model.storage import NativeMount, NodeStorage

KERNEL: Final = "Linux"
TOOLS: Final = {"ext4": "e2fsck", "xfs": "xfs_repair"}
Number = tuple[int, ...]
# From which release on the kernel knows a feature, and the tools.
SINCE: Final[dict[str, tuple[Number, Number]]] = {
    "encrypt": ((4, 1), (1, 43)),
    "stable_inodes": ((5, 5), (1, 45, 5)),
    "verity": ((5, 4), (1, 45, 2)),
    "casefold": ((5, 2), (1, 45)),
    "fast_commit": ((5, 10), (1, 46)),
    "orphan_file": ((5, 15), (1, 47)),
    # Of more bytes than a page of memory: the tools always knew them.
    "large blocks of ext4": ((6, 19), ()),
    "large blocks of XFS": ((6, 12), ()),
    # The tools of XFS are numbered after the kernel.
    "bigtime": ((5, 10), (5, 10)),
    "inobtcount": ((5, 10), (5, 10)),
    "nrext64": ((5, 19), (5, 19)),
    "exchange": ((6, 10), (6, 10)),
    "parent": ((6, 10), (6, 10)),
    "metadir": ((6, 13), (6, 13)),
    "zoned": ((6, 15), (6, 15)),
}
# Kernels of these are built with them or without, whatever their release.
OPTIONAL: Final = ("casefold", "encrypt", "verity")


def unknown_there(
    mount: NativeMount, where: str, here: NodeStorage, peer: NodeStorage
) -> Iterator[Problem]:
    """Return the features with which the peer could not mount or check the file system."""
    for feature in mount.features:
        for place, program in enumerate((KERNEL, TOOLS.get(mount.file_system, ""))):
            mine, theirs = (_number(node.version(program)) for node in (here, peer))
            needed = min(SINCE[feature][place], mine) if feature in SINCE else mine
            if mine and theirs and theirs < needed:
                has = f"{program} {peer.version(program)}"
                what = f"{where} has the feature {feature}, which {has} does not know"
                mend = f"use {program} {_text(needed)} or later there, as on {here.node}"
                yield Problem(peer.node, "file system", what, mend)
        built = (here.kernel_options, peer.kernel_options)
        if feature in OPTIONAL and feature in built[0] and built[1] and feature not in built[1]:
            what = f"{where} has the feature {feature}, without which the kernel there is built"
            yield Problem(peer.node, "file system", what, f"use the same kernel as {here.node}")


def _number(version: str) -> Number:
    """Return the numbers at the beginning of a version; none of one that is not known."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _text(number: Number) -> str:
    return ".".join(map(str, number))
