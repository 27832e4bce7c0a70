"""The package that administrators, and the guests of the lab, install."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.programs.commands import OWN_COMMANDS
from hapair.core.plan import machine_checks
from tools import build_package, package_tree

ROOT: Final = Path(__file__).parents[2]
COMMANDS: Final = tuple(package_tree.commands())
SCRIPTS: Final = ("postinst", "prerm", "postrm")
LINK: Final = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_package.build("1.2.3", tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    subprocess.run(("dpkg-deb", "--extract", package, folder), check=True)
    return folder


@pytest.fixture
def other_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("other_umask")
def test_the_same_sources_give_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert build_package.build("1.2.3", tmp_path).read_bytes() == package.read_bytes()


def test_nothing_but_the_package_is_left_behind(package: Path) -> None:
    assert list(package.parent.iterdir()) == [package]


def test_the_version_asked_for_is_the_one_that_the_commands_report(tree: Path) -> None:
    module = tree / package_tree.MODULES / "hapair" / "__init__.py"
    assert '__version__ = "1.2.3"' in module.read_text()
    assert package_tree.version_of_sources() not in {"", "1.2.3"}


def test_every_module_is_packaged_and_the_lab_is_not(tree: Path) -> None:
    """The lab stays out: the package's hash must not change when only the lab does."""
    packaged = tree / package_tree.MODULES
    expected = {str(file.relative_to(ROOT / "src")) for file in package_tree.PACKAGE.rglob("*.py")}
    assert {str(file.relative_to(packaged)) for file in packaged.rglob("*.py")} == expected


def test_it_brings_folder_group_and_units(tree: Path) -> None:
    assert (tree / "etc/cluster").is_dir()
    assert "kernel.panic_on_oops = 1" in (tree / "usr/lib/sysctl.d/60-hapair.conf").read_text()
    assert "g hapair" in (tree / "usr/lib/sysusers.d/hapair.conf").read_text()
    units = {file.name for file in (tree / "usr/lib/systemd/system").iterdir()}
    assert units == {
        "hapair.slice",
        "hapaird.service",
        "hapair-alerts.path",
        "hapair-alerts.service",
        "hapair-apps.service",
        "hapair-lems.service",
        "hapair-node.service",
        "hapair-witness.service",
    }


def test_it_brings_what_the_kernel_calls(tree: Path) -> None:
    """DRBD's handlers name these files."""
    assert os.access(tree / "usr/lib/hapair/resync-target", os.X_OK)


def test_it_brings_what_stands_before_other_commands(tree: Path) -> None:
    for name in ("su", "runuser"):
        assert os.access(tree / OWN_COMMANDS.removeprefix("/") / name, os.X_OK)


def field(package: Path, name: str) -> set[str]:
    """Return the package names in a field of the control file, without their versions."""
    run = subprocess.run(
        ("dpkg-deb", "--field", package, name), capture_output=True, check=True, text=True
    )
    return {entry.split()[0] for entry in run.stdout.split(",")}


def test_it_depends_on_what_brings_the_tools_that_clbuild_looks_for(package: Path) -> None:
    needed = {brought_by for _, brought_by, must in machine_checks.TOOLS if must}
    useful = {brought_by for _, brought_by, must in machine_checks.TOOLS if not must}
    assert needed <= field(package, "Depends")
    assert useful <= field(package, "Recommends")


@pytest.mark.parametrize("root", ["docs", "usr/share/doc/hapair"])
def test_no_link_of_a_document_leads_nowhere(tree: Path, root: str) -> None:
    """In the clone, and on a node, which has some of the documents in other folders."""
    folder = (ROOT if root == "docs" else tree) / root
    files = sorted(folder.rglob("*.md"))
    assert files
    dead = [
        f"{file.name}: {link}"
        for file in files
        for link in LINK.findall(file.read_text())
        if not leads_somewhere(file, link)
    ]
    assert not dead


def leads_somewhere(file: Path, link: str) -> bool:
    """Tell whether there is such a document, with a heading of that name where one is named."""
    name, _, anchor = link.partition("#")
    target = file.parent / name if name else file
    if not target.exists():
        return False
    titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
    heads = {re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-") for title in titles}
    return not anchor or anchor in heads


def test_everything_is_readable_by_all_and_writable_by_root_alone(tree: Path) -> None:
    modes = {file.stat().st_mode & 0o777 for file in tree.rglob("*") if not file.is_symlink()}
    assert modes <= {0o755, 0o644}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_sound_shell(name: str) -> None:
    subprocess.run(("sh", "-n", ROOT / "packaging" / "scripts" / name), check=True)


def test_every_command_that_the_project_promises_exists() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    modules = {target.split(":")[0].replace(".", "/") for target in scripts.values()}
    assert {name for name in modules if not (ROOT / "src" / f"{name}.py").exists()} == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_comes_with_launcher_manual_and_completions(
    command: package_tree.Command, tree: Path
) -> None:
    launcher = tree / command.folder / command.name
    assert launcher.stat().st_mode & 0o111
    section = command.section
    manual = tree / f"usr/share/man/man{section}/{command.name}.{section}.gz"
    assert manual.exists()
    for folder, prefix in (("bash-completion/completions", ""), ("zsh/vendor-completions", "_")):
        completion = tree / "usr/share" / folder / f"{prefix}{command.name}"
        assert command.name in completion.read_text()
    bash = tree / "usr/share/bash-completion/completions" / command.name
    subprocess.run(("bash", "-n", bash), check=True)
