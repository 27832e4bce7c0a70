"""The identifiers of a copy's past, as drbdmeta of DRBD 8.4 prints and takes them."""

import secrets
from typing import Final

IDENTIFIERS: Final = 4  # Current, bitmap, two of history; then flags.
FLAGS: Final = 7
CONSISTENT: Final = 4  # Places of flags among all.
UP_TO_DATE: Final = 5
FULL_SYNC: Final = 8
NONE: Final = "0" * 16
BITS: Final = 64
ROLE_BIT: Final = 1


def newer(text: str) -> str | None:
    """Return a generation that follows the printed one and has no block on the peer.

    None when the copy is not complete, or known to be Outdated, or nothing of that kind was
    printed: in a generation of its own it would only be of no use to the copy that is newer.
    """
    fields = text.split(":")
    fields = [each.strip() for each in fields]
    if len(fields) != IDENTIFIERS + FLAGS or {fields[CONSISTENT], fields[UP_TO_DATE]} != {"1"}:
        return None
    if fields[1] == NONE:
        fields[1] = fields[0]
    fields[0] = f"{secrets.randbits(BITS) & ~ROLE_BIT:016X}"
    fields[FULL_SYNC] = "1"
    return ":".join(fields)
