"""What a look at a mount, or at addresses, found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether something is on this machine, in its place, and serves."""

    up: bool | None  # All of it is in its place; nothing is here; None: some is, or elsewhere.
    trouble: str = ""  # What keeps it from serving, for people.
