"""How a parser becomes a page of the manual and a completion script."""

import argparse
import subprocess
from pathlib import Path

import pytest

from tools import completions, manual

EPILOG = """\
Examples:
  cltry --hard mail    try it
  .hidden is no roff command

Exit status:
  0  it worked
"""


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="cltry",
        description="Try something.\n\nThis says more about it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("application", metavar="APP", help="the application")
    made.add_argument("--hard", action="store_true", help="try harder")
    made.add_argument("--node", metavar="N", help="where")
    return made


def test_the_page_says_what_the_parser_says(parser: argparse.ArgumentParser) -> None:
    page = manual.page(parser, 8, "1.2.3")
    assert r".SH NAME" + "\n" + r"cltry \- try something" in page
    assert "This says more about it." in page
    assert r"\-\-hard" in page
    assert ".SH EXIT STATUS\n.nf\n0  it worked\n.fi" in page
    assert r"\&.hidden" in page
    assert ".SH SEE ALSO" in page
    assert ".SH COMMENTS" not in page


def test_making_the_page_leaves_the_parser_as_it_was(parser: argparse.ArgumentParser) -> None:
    manual.page(parser, 8, "1.2.3")
    assert parser.epilog == EPILOG


def completed(script: str, word_list: str, folder: Path) -> list[str]:
    """Return what bash offers for the last of ``words``, with applications in ``folder``."""
    file = folder / "completion"
    file.write_text(script.replace("/etc/cluster", str(folder)))
    typed = f"source {file}; COMP_WORDS=({word_list}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
    offer = "_shtab_cltry; printf '%s\\n' \"${COMPREPLY[@]}\""
    run = subprocess.run(
        ("bash", "-c", f"{typed}; {offer}"), capture_output=True, check=True, text=True
    )
    return run.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("cltry --ha", ["--hard"]),
        ("cltry ''", ["mail", "web"]),
        ("cltry w", ["web"]),
        ("cltry --node ''", ["alpha", "beta"]),
    ],
)
def test_bash_completes_options_applications_and_nodes(
    parser: argparse.ArgumentParser, tmp_path: Path, typed: str, offered: list[str]
) -> None:
    for application in ("mail", "web"):
        (tmp_path / application).mkdir()
        (tmp_path / application / "appconf.xml").touch()
    (tmp_path / "clconf.xml").write_text('<node name="alpha"/>\n<node name="beta"/>\n')
    assert completed(completions.script(parser, "bash"), typed, tmp_path) == offered
