"""The identifiers of a copy's past, as drbdmeta of DRBD 8.4 prints and takes them."""

import secrets
from typing import Final

IDENTIFIERS: Final = 4  # Current, bitmap, two of history; then flags.
FLAGS: Final = 7
CONSISTENT: Final = 4  # Places of flags among all.
FULL_SYNC: Final = 8
NONE: Final = "0" * 16
BITS: Final = 64
ROLE_BIT: Final = 1


def newer(text: str) -> str | None:
    """Return a generation that follows the printed one and has no block on the peer.

    None when the copy is not complete, or nothing of that kind was printed.
    """
    fields = text.split(":")
    fields = [each.strip() for each in fields]
    if len(fields) != IDENTIFIERS + FLAGS or fields[CONSISTENT] != "1":
        return None
    if fields[1] == NONE:
        fields[1] = fields[0]
    fields[0] = f"{secrets.randbits(BITS) & ~ROLE_BIT:016X}"
    fields[FULL_SYNC] = "1"
    return ":".join(fields)
