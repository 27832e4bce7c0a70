"""What drbd-utils said, for people: never with the secret of a connection in it."""

import re
from typing import Final

from hapair.ports.programs import Finished

# drbdadm repeats the whole command line of a drbdsetup that failed.
_SECRET: Final = re.compile(r"(--shared-secret[= ])\S+")


def said(finished: Finished) -> str:
    """Return its output in one line."""
    text = " ".join((finished.stderr or finished.stdout).split())
    return _SECRET.sub(r"\1(secret)", text)
