"""What drbdadm reads for one of our resources: its own file and the common section.

DRBD runs drbdadm for every handler, and udev's rule runs it for every change of a device. Both take
the file with which the resource was adjusted last (``/run/drbd``), so a take-over of 29 volumes
reads 29 files and not 29 times 29, and a broken file of somebody else's resource stops none of it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hapair.adapters.drbd.resource_file import file_name
from hapair.adapters.shared.apart import apart
from hapair.adapters.shared.passing import unstarted
from hapair.ports.programs import CommandRunner, Finished, TimedOut

ETC: Final = Path("/etc")
MADE: Final = Path("/run/hapair/drbd")
COMMON: Final = "drbd.d/global_common.conf"
# All that drbd-utils says in drbd.conf. Where somebody says more there, it is read as it is.
AS_SHIPPED: Final = (f'include "{COMMON}";', 'include "drbd.d/*.res";')


class OwnFiles:
    """Runs programs; drbdadm for our resource, its last argument, with the files of that one."""

    def __init__(self, run: CommandRunner, *, etc: Path = ETC, made: Path = MADE) -> None:
        self._run = run
        self._etc = etc
        self._made = made

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        if argv[0] == "drbdadm":
            try:
                files = await asyncio.wait_for(
                    apart(COMMON, lambda: self._files(argv[-1])), timeout_s
                )
            except TimeoutError:  # Of a disk that hangs.
                return TimedOut(timeout_s)
            except OSError as error:
                return unstarted(argv[0], error)
            argv = (argv[0], *files, *argv[1:])
        return await self._run(argv, timeout_s=timeout_s, stdin=stdin)

    def _files(self, resource: str) -> tuple[str, ...]:
        """Return the option that names the files; none where they cannot be told apart."""
        own = self._etc / "drbd.d" / file_name(resource)
        file = self._made / f"{resource}.conf"
        try:
            if _statements(self._etc / "drbd.conf") != AS_SHIPPED or not own.exists():
                return ()
            text = f'include "{self._etc / COMMON}";\ninclude "{own}";\n'
            if not file.exists() or file.read_text() != text:
                self._made.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        except (OSError, ValueError):
            return ()  # drbdadm reads all then, as it does for everybody.
        return ("-c", str(file))


def _statements(file: Path) -> tuple[str, ...]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return tuple(line for line in lines if line)
