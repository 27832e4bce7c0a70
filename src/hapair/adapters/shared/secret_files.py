"""Files that hold a secret: nobody but their owner may be able to read them."""

import os
import stat
from pathlib import Path
from typing import Final

from hapair.model.outcome import Refused

SECRET_BYTES_MAX: Final = 4096


def read_secret(path: Path, owner: int) -> str | Refused:
    """Read a secret; Refused when anybody but its owner could read it as well."""
    if not path.is_absolute():
        return Refused(f"{path} is no full path: write it from / on")
    try:
        # Opening must not wait, whatever kind of file is there.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Refused(f"{path} cannot be read: {error.strerror}; make it on both nodes")
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return Refused(f"{path} is no ordinary file")
        if facts.st_uid != owner or facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return Refused(f"others may read {path}: chown root:root {path}; chmod 600 {path}")
        content = os.read(descriptor, SECRET_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if not content.strip() or len(content) > SECRET_BYTES_MAX:
        return Refused(f"{path} is to hold one line of at most {SECRET_BYTES_MAX} bytes")
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        return Refused(f"{path} holds bytes that are no UTF-8 text")
