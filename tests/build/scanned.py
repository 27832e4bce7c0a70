"""A machine made of files and captured answers, as a scan sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hapair.ports.programs import Finished, TimedOut
from tests.build.test_scan_parse import IP_JSON


def says(stdout: str) -> Finished:
    return Finished(0, stdout, "")


PVS = (
    '{"report":[{"pv":[{"pv_name":"/dev/vdb","vg_name":"vg_orders","vg_uuid":"u",'
    '"vg_size":"100","vg_free":"50"}]}]}'
)


@dataclass(slots=True)
class Answers:
    """Answers commands by the words that they begin with; the longest match wins."""

    answers: dict[str, Finished | TimedOut] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del timeout_s, stdin
        self.calls.append(tuple(argv))
        line = " ".join(argv)
        found = [words for words in self.answers if line.startswith(words)]
        return self.answers[max(found, key=len)] if found else Finished(127, "", "not found")


HEALTHY: dict[str, Finished | TimedOut] = {
    "ip -json": says(IP_JSON),
    "lvm version": says("  LVM version:     2.03.16(2) (2022-05-18)\n"),
    "pvs": says(PVS),
    "lvmconfig": Finished(5, "", "  Configuration node devices/global_filter not found\n"),
    "modprobe --dry-run": says(""),
    "modinfo": says("8.4.11\n"),
    "getent ahosts node1": says("10.77.1.1 STREAM node1\n"),
    "systemctl is-active": says("inactive\n" * 6 + "active\n" * 2),
    "systemctl is-enabled": says("enabled\nenabled\nenabled\n"),
}


def write(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file
