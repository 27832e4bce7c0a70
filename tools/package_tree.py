"""Lay out the files of the package below a folder, as they shall lie below ``/``.

Everything comes from the sources of this clone: the commands, man pages and completions from the
entry points in pyproject.toml, the rest by copying. The same sources give the same bytes.
"""

import argparse
import ast
import gzip
import importlib
import os
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.programs.commands import OWN_COMMANDS
from tools import completions, manual

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "src" / "hapair"
MODULES: Final = "usr/lib/python3/dist-packages"
# Members of the group `hapair` may run these; they have no /usr/sbin in their PATH.
COMMANDS_FOR_EVERYBODY: Final = frozenset({"clevents", "clstat"})
# The package needs neither caches nor what is there for type checkers.
LEFT_OUT: Final = ("__pycache__", "py.typed")

LAUNCHER: Final = """\
#!/usr/bin/python3 -IS
# Starts quickly, and nothing in the caller's environment changes what runs: -I ignores it, -S
# leaves out the search for packages. The distribution's own packages are all that is needed.
import sys

sys.path.append("/usr/lib/python3/dist-packages")
from {module} import {function}

sys.exit({function}())
"""
# NEWS.gz says what changed; Debian's tools want a file of this form as well.
DEBIAN_CHANGELOG: Final = """\
hapair ({version}) unstable; urgency=medium

  * See NEWS.gz.

 -- The hapair developers <developers@hapair.invalid>  Thu, 01 Jan 2026 00:00:00 +0000
"""


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    module: str
    function: str

    @property
    def section(self) -> int:
        """The section of the manual: 1 for everybody's commands, 8 for the administrator's."""
        return 1 if self.name in COMMANDS_FOR_EVERYBODY else 8

    @property
    def folder(self) -> str:
        return "usr/bin" if self.section == 1 else "usr/sbin"

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser that the module's function ``parser`` makes."""
        made = importlib.import_module(self.module).parser()
        if not isinstance(made, argparse.ArgumentParser):
            message = f"{self.module}.parser() must return an ArgumentParser"
            raise TypeError(message)
        made.prog = self.name
        return made


def version_of_sources() -> str:
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name("__version__")], value=ast.Constant(str(version))):
                return version
            case _:
                pass
    message = "src/hapair/__init__.py names no __version__"
    raise ValueError(message)


def commands() -> Iterator[Command]:
    """Yield the commands of pyproject.toml that run on nodes and whose module exists."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in sorted(scripts.items()):
        module, function = target.split(":")
        file = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
        if file.is_relative_to(PACKAGE) and file.exists():
            yield Command(name, module, function)


def write(file: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)


def write_compressed(file: Path, text: str) -> None:
    """Write ``text`` as gzip does, without the time of day."""
    write(file, gzip.compress(text.encode(), compresslevel=9, mtime=0))


def lay_modules(tree: Path, version: str) -> None:
    target = tree / MODULES / "hapair"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    first = target / "__init__.py"
    first.write_text(first.read_text().replace(version_of_sources(), version))


def lay_commands(tree: Path) -> None:
    for command in commands():
        launcher = LAUNCHER.format(module=command.module, function=command.function)
        write(tree / command.folder / command.name, launcher, mode=0o755)
        parser = command.parser()
        page = tree / f"usr/share/man/man{command.section}/{command.name}.{command.section}.gz"
        write_compressed(page, manual.page(parser, command.section, version_of_sources()))
        bash = tree / "usr/share/bash-completion/completions" / command.name
        write(bash, completions.script(parser, "bash"))
        zsh = tree / "usr/share/zsh/vendor-completions" / f"_{command.name}"
        write(zsh, completions.script(parser, "zsh"))


def copy_files(source: Path, pattern: str, target: Path, *, mode: int = 0o644) -> None:
    for file in sorted(source.glob(pattern)):
        write(target / file.name, file.read_bytes(), mode=mode)


def lay_files(tree: Path) -> None:
    packaging = ROOT / "packaging"
    copy_files(packaging / "systemd", "*", tree / "usr/lib/systemd/system")
    copy_files(packaging / "sysusers", "*.conf", tree / "usr/lib/sysusers.d")
    copy_files(packaging / "sysctl", "*.conf", tree / "usr/lib/sysctl.d")
    copy_files(packaging / "helpers", "*", tree / "usr/lib/hapair", mode=0o755)
    own_commands = tree / OWN_COMMANDS.removeprefix("/")
    copy_files(packaging / "commands", "*", own_commands, mode=0o755)
    (own_commands / "runuser").symlink_to("su")
    samples = tree / "usr/share/hapair/samples"
    copy_files(packaging / "samples", "*", samples)
    for folder in (packaging / "examples").iterdir():
        for file in folder.iterdir():
            write(samples / folder.name / file.name, file.read_bytes(), mode=file.stat().st_mode)
    copy_files(PACKAGE, "**/*.xsd", tree / "usr/share/hapair/schema")


def lay_documents(tree: Path, version: str) -> None:
    folder = tree / "usr/share/doc/hapair"
    write(folder / "copyright", (ROOT / "packaging" / "copyright").read_text())
    write_compressed(folder / "changelog.gz", DEBIAN_CHANGELOG.format(version=version))
    write_compressed(folder / "NEWS.gz", (ROOT / "CHANGELOG.md").read_text())
    copy_files(ROOT / "docs" / "reference", "*.md", folder)
    for file in sorted((ROOT / "docs" / "operating").glob("*.md")):
        # On a node both lie in one folder.
        write(folder / file.name, file.read_text().replace("](../reference/", "]("))
    copy_files(ROOT / "docs" / "operating" / "runbooks", "*.md", folder / "runbooks")
    (folder / "examples").symlink_to("../../hapair/samples")
    write(tree / "usr/share/lintian/overrides/hapair", (ROOT / "packaging/lintian").read_text())


def lay(tree: Path, version: str, *, time_s: int) -> None:
    """Make the tree anew; a tree that is there already is removed first.

    Every file gets the time ``time_s`` (seconds since 1970) and a mode that does not depend on
    the builder's umask.
    """
    shutil.rmtree(tree, ignore_errors=True)
    lay_modules(tree, version)
    lay_commands(tree)
    lay_files(tree)
    lay_documents(tree, version)
    for path in sorted(tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            os.utime(path, (time_s, time_s))
