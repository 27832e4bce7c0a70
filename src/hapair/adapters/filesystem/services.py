"""Services that a boot starts, and that hold what lies in a volume, or cannot do without it.

A boot starts them before the volume is mounted: they fail, or work in the empty folder. Only those
are meant that a link in a folder of systemd wants; what a person or a script starts is theirs.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem.unit_files import UnitFiles, text_of
from hapair.model.text import shown

_WANTED: Final = ("*.wants/*.service", "*.requires/*.service", "*.upholds/*.service")
_LINE: Final = re.compile(
    r"^\s*(BindPaths|BindReadOnlyPaths|RootDirectory|RootImage|MountImages|ExtensionImages"
    r"|ExtensionDirectories|RequiresMountsFor|WantsMountsFor|WorkingDirectory)\s*=(.*)$",
    re.MULTILINE,
)
_WORD: Final = re.compile(r"""["']([^"']*)["']|(\S+)""")
_SPECIFIER: Final = re.compile("%([iInNp%])")
_ESCAPED: Final = re.compile(r"\\x([0-9a-f]{2})")

IsMeant = Callable[[str], bool]  # Tells whether a path is the volume, or leads into it.


def wanted(files: UnitFiles, is_meant: IsMeant, program: str) -> Iterator[tuple[str, str, str]]:
    """Yield a service, what it says of the volume, and how a boot starts it no more.

    ``program`` is the unit that the application itself starts.
    """
    links: dict[str, Path] = {}
    for link in files.named(*_WANTED):
        links.setdefault(link.name, link)
    for name, link in links.items():
        text = "" if name == program else _text(files, name)
        for key, value in _LINE.findall(text):
            if any(is_meant(path) for path in _paths(value, name)):
                line = shown(f"{key}={value.strip()}")
                yield name, line, _no_more(files, name, link)
                break


def _text(files: UnitFiles, name: str) -> str:
    """Return what counts of a service's files: its own or its template's, then the drop-ins."""
    template = re.sub("@.*", "@.service", name)
    whole = next(files.named(name), None) or next(files.named(template), None)
    parts = files.named(*(f"{each}.d/*.conf" for each in dict.fromkeys((template, name))))
    text = text_of(whole) if whole is not None else ""
    return "\n".join((text, *map(text_of, parts))) if text else ""


def _paths(value: str, name: str) -> Iterator[str]:
    """Yield the paths of a setting's words, without what they are mounted on."""
    prefix, _, instance = name.removesuffix(".service").partition("@")
    plain = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), instance.replace("-", "/"))
    means = {"i": instance, "I": plain, "n": name, "N": name.removesuffix(".service"),
             "p": prefix, "%": "%"}  # fmt: skip
    # Some settings are one path, with its spaces, and some are words.
    for word in (value.strip(), *("".join(each) for each in _WORD.findall(value))):
        path = _SPECIFIER.sub(lambda match: means[match[1]], word)
        yield path.lstrip("-+").split(":")[0]


def _no_more(files: UnitFiles, name: str, link: Path) -> str:
    if files.own in link.parents:
        return f"systemctl disable {name}"
    return f"find out what makes {link}, and tell it not to"
