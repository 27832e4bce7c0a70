"""Turn a command's argument parser into its page of the manual.

The parser's description begins with one line that says what the command does; that line becomes
the NAME section. The epilog may hold blocks, each under a line of its own such as ``Examples:`` or
``Exit status:``, indented; each becomes a section.
"""

import argparse
import re
from typing import Final

from argparse_manpage.manpage import Manpage

HEADING: Final = re.compile(r"^(?P<heading>[A-Z][A-Za-z ]+):$")
USUAL_HEADING: Final = {"Exit codes": "exit status"}
MAN_TITLE: Final = "The hapair manual"
FILES: Final = """\
.TP
.I /etc/cluster
the configuration and everything allocated for it; a copy of this folder is a full backup
.TP
.I /var/lib/hapair
what the node must remember over a restart
"""
SEE_ALSO: Final = {
    "hapaird": "8", "clbuild": "8", "clform": "8", "clhalt": "8", "clbuildapp": "8",
    "clrunapp": "8", "clhaltapp": "8", "clmoveapp": "8", "clstat": "1", "clevents": "1",
    "drbdadm": "8", "lvm": "8",
}  # fmt: skip


def escaped(text: str) -> str:
    """Keep roff from reading text as commands."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def name_line(description: str) -> str:
    """Return the first line of a description as the NAME section wants it: no capital, no stop."""
    lines = description.strip().splitlines()
    sentence = (lines[0] if lines else "").rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def epilog_sections(epilog: str) -> dict[str, list[str]]:
    """Split an epilog at its headings; what stands before the first one is ``Notes``."""
    sections: dict[str, list[str]] = {}
    heading = "Notes"
    for line in epilog.strip("\n").splitlines():
        if match := HEADING.match(line):
            heading = match["heading"]
        else:
            sections.setdefault(heading, []).append(line.removeprefix("  "))
    return sections


def page(parser: argparse.ArgumentParser, section: int, version: str) -> str:
    """Return the manual page of one command as roff text."""
    epilog, parser.epilog = parser.epilog or "", None
    description = parser.description or ""
    made = Manpage(
        parser,
        {
            "project_name": "hapair",
            "version": version,
            "manual_title": MAN_TITLE,
            "manual_section": section,
            "description": name_line(description),
        },
    )
    for heading, lines in epilog_sections(epilog).items():
        content = escaped("\n".join(lines).strip("\n"))
        if content:
            made.add_section(USUAL_HEADING.get(heading, heading), "=", f".nf\n{content}\n.fi")
    if made.get_extra_section("files") is None:
        made.add_section("files", "=", FILES.rstrip())
    if made.get_extra_section("see also") is None:
        others = [
            f".BR {name} ({where})" for name, where in SEE_ALSO.items() if name != parser.prog
        ]
        made.add_section("see also", "=", ",\n".join(others))
    text = str(made)
    parser.epilog = epilog
    return text
