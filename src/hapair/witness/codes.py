"""One-time codes: easy to type, impossible to guess, and not kept."""

import hashlib
import secrets
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # No I, L, O and U: they look like others.
MISREAD: Final = str.maketrans("ILO", "110", "- ")
GROUPS: Final = 4
GROUP_LENGTH: Final = 4  # 16 of 32 signs: 80 bits, far beyond guessing within the code's life.


def new_code() -> str:
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def digest(code: str, cluster: str) -> str:
    """Return what is stored of a code; small letters, hyphens and misread signs do not matter."""
    plain = code.upper().translate(MISREAD)
    return hashlib.sha256(f"hapair invitation\0{cluster}\0{plain}".encode()).hexdigest()
