"""The environment of what hapair runs."""

from collections.abc import Mapping
from typing import Final

SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Programs speak English, and find only system commands.
PLAIN: Final[Mapping[str, str]] = {
    "PATH": SEARCH_PATH,
    "LC_ALL": "C",
    "LANG": "C",
    "HOME": "/root",
    "SHELL": "/bin/sh",
}
