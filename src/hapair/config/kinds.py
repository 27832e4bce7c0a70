"""What may be written as the value of an attribute, and how it is read.

A Kind serves three readers: our own parser, the XML schema (pattern, choices) and the reference
documentation (about). Values are trimmed and inner white space counts as one space.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from hapair.config.complaints import did_you_mean
from hapair.config.document import collapsed, shown

T_co = TypeVar("T_co", covariant=True)

UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a value cannot be taken."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    about: str  # For the reference: "a duration, e.g. 400ms, 2s or 10m".
    read: Callable[[str], T_co | Wrong]
    pattern: str = ""  # A regular expression that both Python and XML Schema understand.
    choices: tuple[str, ...] = ()
    length_max: int | None = None
    free: bool = False  # Any text, white space is kept.

    def take(self, written: str) -> T_co | Wrong:
        return self.read(written if self.free else collapsed(written))


def text() -> Kind[str]:
    return Kind("any text", str, free=True)


def matching(pattern: str, about: str, mend: str, *, length_max: int) -> Kind[str]:
    """Make the kind of a word that must match ``pattern`` and be at most ``length_max`` long."""
    compiled = re.compile(pattern, re.ASCII)

    def read(written: str) -> str | Wrong:
        if len(written) > length_max:
            return Wrong(f"{shown(written)} is longer than {length_max} characters", "shorten it")
        if not compiled.fullmatch(written):
            return Wrong(f"{shown(written)} is not {about}" if written else "it is empty", mend)
        return written

    return Kind(f"{about}; at most {length_max} characters", read, pattern, length_max=length_max)


def choice(*names: str) -> Kind[str]:
    """Make the kind of one of ``names``."""
    possible = " or ".join(f'"{name}"' for name in names)

    def read(written: str) -> str | Wrong:
        if written in names:
            return written
        return Wrong(f"{shown(written)} is not {possible}", did_you_mean(written, names))

    return Kind(possible, read, choices=names)


def flag() -> Kind[bool]:
    meanings = {"true": "yes", "1": "yes", "on": "yes", "false": "no", "0": "no", "off": "no"}

    def read(written: str) -> bool | Wrong:
        if written in {"yes", "no"}:
            return written == "yes"
        meant = meanings.get(written.lower(), written.lower())
        mend = f'write "{meant}"' if meant in {"yes", "no"} else 'write "yes" or "no"'
        return Wrong(f"{shown(written)} is neither yes nor no", mend)

    return Kind('"yes" or "no"', read, choices=("yes", "no"))


def whole(least: int, most: int) -> Kind[int]:
    bounds = f"a whole number from {least} to {most}"

    def read(written: str) -> int | Wrong:
        # No longer number is allowed anywhere, and int() is slow with a megabyte of digits.
        mend = f"write a number from {least} to {most}"
        if not re.fullmatch("[0-9]{1,9}", written):
            return Wrong(f"{shown(written)} is no whole number", mend)
        if not least <= int(written) <= most:
            return Wrong(f"{shown(written)} is out of bounds", mend)
        return int(written)

    return Kind(bounds, read, "[0-9]{1,9}")


def duration_text(seconds: float) -> str:
    """Return a duration as an administrator writes it, e.g. 400ms, 1.5s, 60s, 10m."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit in ("h", "m"):
        if seconds > UNIT_SECONDS[unit] and seconds % UNIT_SECONDS[unit] == 0:
            return f"{seconds / UNIT_SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"


def duration(least_s: float, most_s: float) -> Kind[float]:
    """Make the kind of a duration in seconds."""
    bounds = f"{duration_text(least_s)} to {duration_text(most_s)}"
    pattern = r"[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)"

    def read(written: str) -> float | Wrong:
        if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", written):
            return Wrong(f"{shown(written)} has no unit", f'write "{written}s" for seconds')
        if not re.fullmatch(pattern, written):
            return Wrong(f"{shown(written)} is no duration", "write it like 400ms, 2s, 10m or 1h")
        number = written.rstrip("mhs")
        seconds = round(float(number) * UNIT_SECONDS[written.removeprefix(number)], 6)
        if not least_s <= seconds <= most_s:
            return Wrong(f"{shown(written)} is out of bounds", f"write a duration from {bounds}")
        return seconds

    return Kind(f"a duration from {bounds}", read, pattern)


_PROGRAM: Final = re.compile("/[^/]+(/[^/]+)*")


def absolute_path() -> Kind[str]:
    """Make the kind of a file's full path, without links to the parent folder."""

    def read(written: str) -> str | Wrong:
        if not written.startswith("/"):
            return Wrong(f"{shown(written)} is no full path", "write the path from / on")
        if not _PROGRAM.fullmatch(written) or {".", ".."} & set(written.split("/")):
            return Wrong(
                f"{shown(written)} is no plain path of a file",
                'write it without "//", "." and ".." and without a "/" at its end',
            )
        return written

    return Kind("the full path of a file", read, "(/[^/]+)+")


NODE_NAME: Final = matching(
    r"[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?",
    "a host name (letters, digits, hyphens, dots)",
    "write what `uname -n` prints on that machine",
    length_max=63,
)
# Becomes part of DRBD resource names, control groups and file names.
SIMPLE_NAME: Final = matching(
    r"[A-Za-z][A-Za-z0-9_\-]*",
    "a name of letters, digits, _ and - that begins with a letter",
    'write a name like "shop" or "web-1"',
    length_max=32,
)
VOLUME_GROUP: Final = matching(
    r"(\.*[A-Za-z0-9_+]|\.+-)[A-Za-z0-9_+.\-]*",  # "." and ".." are folders.
    "the name of an LVM volume group",
    "write a name that `vgs` prints",
    length_max=127,
)
UNIT_NAME: Final = matching(
    r"[A-Za-z0-9:_\\][A-Za-z0-9:_.\\\-]*(@[A-Za-z0-9:_.\\\-]+)?\.(service|target)",
    "the name of a systemd service or target",
    'write its full name, e.g. "nginx.service" or "postgresql@15-main.service"',
    length_max=255,
)
OCF_AGENT: Final = matching(
    r"ocf:[A-Za-z0-9_][A-Za-z0-9_.\-]*:[A-Za-z0-9_][A-Za-z0-9_.\-]*",
    "the name of an OCF agent",
    'write it like "ocf:heartbeat:pgsql": standard, provider, agent',
    length_max=128,
)
PARAMETER_NAME: Final = matching(
    r"[A-Za-z_][A-Za-z0-9_\-]*",
    "the name of a parameter",
    "write a name that the agent's meta-data lists",
    length_max=64,
)
FENCE_AGENT: Final = matching(
    r"fence_[A-Za-z0-9_\-]+",
    "the name of a fence agent",
    'write it like "fence_ipmilan"; all of them: ls /usr/sbin/fence_*',
    length_max=64,
)
PIN: Final = matching(
    r"[0-9A-Fa-f]{64}",
    "a pin of 64 hexadecimal digits",
    "copy the line that `clwitness invite NAME` prints on the witness",
    length_max=64,
)

RATE_UNITS: Final = {"K": 1024, "M": 1024**2, "G": 1024**3}
RATE_MIN: Final = 256 * 1024  # DRBD takes no smaller one.
RATE_MAX: Final = 4 * 1024**3


def _read_rate(written: str) -> int | Wrong:
    mend = 'write it like "100M": from 256K to 4G bytes each second'
    if not re.fullmatch("[0-9]{1,9}[KMG]", written):
        return Wrong(f"{shown(written)} is no rate", mend)
    rate_bytes = int(written[:-1]) * RATE_UNITS[written[-1]]
    if not RATE_MIN <= rate_bytes <= RATE_MAX:
        return Wrong(f"{shown(written)} is out of bounds", mend)
    return rate_bytes


RATE: Final = Kind("bytes each second, e.g. 512K, 100M or 1G", _read_rate, "[0-9]{1,9}[KMG]")

_CARD: Final = re.compile(r"[A-Za-z0-9_.\-]{1,15}", re.ASCII)
CARDS_MAX: Final = 8


def _read_names(
    written: str, each: str, most: int, if_empty: str, flaw: Callable[[str], Wrong | None]
) -> tuple[str, ...] | Wrong:
    """Read names separated by spaces, none of them twice; ``each`` is the word for one."""
    names = tuple(written.split(" ")) if written else ()
    if not names:
        return Wrong("it is empty", if_empty)
    if len(names) > most:
        return Wrong(f"these are {len(names)} {each}s", f"write at most {most}")
    for name in names:
        if (wrong := flaw(name)) is not None:
            return wrong
        if names.count(name) > 1:
            return Wrong(f"{shown(name)} is written twice", f"write each {each} once")
    return names


def _flaw_of_card(card: str) -> Wrong | None:
    if not _CARD.fullmatch(card) or card in {".", ".."}:
        mend = "write the names that `ip link` prints, separated by spaces"
        return Wrong(f"{shown(card)} is not the name of a network card", mend)
    if card == "lo":
        return Wrong('"lo" is the loopback device', "write the cards that have a cable")
    return None


def _read_cards(written: str) -> tuple[str, ...] | Wrong:
    if_empty = 'write the names of the cards, e.g. "eth0 eth1"'
    return _read_names(written, "card", CARDS_MAX, if_empty, _flaw_of_card)


CARDS: Final = Kind(
    "names of network cards separated by spaces, the default card first",
    _read_cards,
    r"[A-Za-z0-9_.\-]{1,15}( [A-Za-z0-9_.\-]{1,15})*",
)

ORDERED_MAX: Final = 64


def _flaw_of_application(name: str) -> Wrong | None:
    if isinstance(wrong := SIMPLE_NAME.read(name), Wrong):
        mend = "write the names of applications, separated by spaces, the first one first"
        return Wrong(wrong.what, mend)
    return None


def _read_applications(written: str) -> tuple[str, ...] | Wrong:
    if_empty = "write names of applications, or remove it"
    return _read_names(written, "application", ORDERED_MAX, if_empty, _flaw_of_application)


APPLICATIONS: Final = Kind(
    "names of applications separated by spaces, the first one first",
    _read_applications,
    r"[A-Za-z][A-Za-z0-9_\-]{0,31}( [A-Za-z][A-Za-z0-9_\-]{0,31})*",
)


@dataclass(frozen=True, slots=True)
class Ports:
    first: int
    last: int


PORT_MIN: Final = 1024
PORT_MAX: Final = 65535


def _read_ports(written: str) -> Ports | Wrong:
    found = re.fullmatch("([0-9]{1,5})-([0-9]{1,5})", written)
    if not found:
        return Wrong(f"{shown(written)} is no range of ports", 'write it like "7700-7799"')
    first, last = int(found.group(1)), int(found.group(2))
    if first > last:
        return Wrong(f"{shown(written)} runs backwards", f'write "{last}-{first}"')
    if first < PORT_MIN or last > PORT_MAX:
        bounds = f"take ports from {PORT_MIN} to {PORT_MAX}"
        return Wrong(f"{shown(written)} is out of bounds", bounds)
    return Ports(first, last)


PORTS: Final = Kind(
    "a range of TCP and UDP ports: first-last", _read_ports, "[0-9]{1,5}-[0-9]{1,5}"
)
