"""The environment of what a Lems runs."""

from collections.abc import Mapping
from typing import Final

# Programs speak English, and find only system commands.
PLAIN: Final[Mapping[str, str]] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "LANG": "C",
    "HOME": "/root",
    "SHELL": "/bin/sh",
}
