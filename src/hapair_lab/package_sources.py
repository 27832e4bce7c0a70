"""Where the guests' packages come from: the mirror that this host itself uses."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

APT_FOLDER: Final = Path("/etc/apt")
# Settings without which this host's mirror may not be usable at all (a proxy, old snapshots).
PASSED_ON_SETTINGS: Final = ("Acquire::http", "Acquire::https", "Acquire::Check-")


@dataclass(frozen=True, slots=True)
class Source:
    """One archive: where it is, and its suite."""

    address: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in (*text.splitlines(), ""):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line.startswith("#") and ":" in line and not line[0].isspace():
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()


def parse_deb822(text: str) -> Iterator[Source]:
    """Yield the archives of a ``.sources`` file."""
    for stanza in _stanzas(text):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes") == "no":
            continue
        for address in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                components = tuple(stanza.get("components", "").split())
                yield Source(address, suite, components, stanza.get("signed-by", ""))


def parse_list(text: str) -> Iterator[Source]:
    """Yield the archives of a one-line-per-archive ``.list`` file."""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] != "deb":
            continue
        signed_by = ""
        if len(words) > 1 and words[1].startswith("["):
            end = next(i for i, word in enumerate(words) if word.endswith("]"))
            signed_by = " ".join(w for w in words[1 : end + 1] if "signed-by=" in w)
            words = words[:1] + words[end + 1 :]
        match words[1:]:
            case [address, suite, *components]:
                yield Source(address, suite, tuple(components), signed_by)
            case _:
                continue


def host_sources() -> Iterator[Source]:
    """Yield all archives that this host's apt is told to use."""
    folder = APT_FOLDER / "sources.list.d"
    for path in (APT_FOLDER / "sources.list", *sorted(folder.glob("*.list"))):
        if path.is_file():
            yield from parse_list(path.read_text())
    for path in sorted(folder.glob("*.sources")):
        yield from parse_deb822(path.read_text())


def _is_debian(source: Source) -> bool:
    if source.signed_by and "debian-archive" not in source.signed_by:
        return False
    return "main" in source.components


def lines_for(release: str, sources: tuple[Source, ...]) -> tuple[str, ...]:
    """Return the source lines for a guest of ``release``, from this host's mirror if it has one.

    The suite of the host may be another release: the addresses are what counts. Without a
    mirror of the host there are no lines, and mmdebstrap takes its own default.
    """
    debian = [source for source in sources if _is_debian(source)]
    security = [s.address for s in debian if s.suite.endswith("-security")]
    plain = [s.address for s in debian if "-" not in s.suite]
    if not plain:
        return ()
    lines = [f"deb {plain[0]} {release} main", f"deb {plain[0]} {release}-updates main"]
    if security:
        lines.append(f"deb {security[0]} {release}-security main")
    return tuple(lines)


def host_settings() -> tuple[str, ...]:
    """Return this host's apt settings that concern reaching the mirror."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return tuple(line for line in dump.stdout.splitlines() if line.startswith(PASSED_ON_SETTINGS))


def apt_apart(work: Path, lines: Iterable[str]) -> tuple[str, ...]:
    """Return an apt-get that knows these source lines only, and keeps in ``work`` what it gets.

    What apt knows of this host stays untouched. Packages go to ``work/archives``.
    """
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text("".join(f"{line}\n" for line in lines))
    return (
        "apt-get",
        *("-o", f"Dir::Etc::sourcelist={work / 'sources.list'}"),
        *("-o", "Dir::Etc::sourceparts=/dev/null", "-o", f"Dir::State::Lists={work / 'lists'}"),
        *("-o", f"Dir::Cache={work}", "-o", f"Dir::Cache::archives={work / 'archives'}"),
        *("-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=", "-q"),
        *("-o", "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false"),
    )
