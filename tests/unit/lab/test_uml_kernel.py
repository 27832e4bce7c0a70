"""Which kernel of User Mode Linux works here: the kernels are little programs that say so, or not.

Also the choice between the kinds of guests, which asks for it.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hapair_lab import guests, uml_kernel
from hapair_lab.errors import LabError
from hapair_lab.folders import BOOT_ID
from hapair_lab.guests import Guests
from hapair_lab.initrd import PROBE_ANSWER, PROBE_WORD
from hapair_lab.tools import TOOLS
from hapair_lab.uml_kernel import (
    MODULES,
    NONE_HOLDS_S,
    REMEMBERED,
    SUITES,
    UmlKernel,
    kept,
    working_kernel,
)
from tests.processes import PATIENCE_S

WORKS = f'case "$*" in *{PROBE_WORD}*) echo {PROBE_ANSWER};; esac'
DIES = "echo ptrace set fp regs failed; exit 1"
HANGS = "sleep 600 & echo $! >{children}; wait"


class Shop:
    """Where kernels come from: which suites have one, and what it does."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self.cache = cache
        self.folder = folder
        self.kernels: dict[str, str] = {}
        self.fetched: list[str] = []
        self.probed = 0

    def unpacked(self, suite: str, does: str) -> Path:
        """Lay out the packages of a suite, as they are unpacked."""
        tree = self.folder / suite / "tree"
        for name in ("usr/bin", f"usr/lib/uml/modules/7-{suite}", "lib/x86_64-linux-gnu"):
            (tree / name).mkdir(parents=True)
        listed = "".join(f"kernel/drivers/{name}.ko:\n" for name in MODULES)
        (tree / f"usr/lib/uml/modules/7-{suite}" / "modules.dep").write_text(listed)
        (tree / "usr/bin/linux.uml").write_text(f"#!/bin/sh\n{does}\n# {suite}\n")
        for name in ("ld-linux-x86-64.so.2", "libc.so.6"):
            (tree / "lib/x86_64-linux-gnu" / name).write_text(name)
        return tree.parent

    def fetch(self, suite: str) -> UmlKernel:
        self.fetched.append(suite)
        if suite not in self.kernels:
            raise LabError("no such package")
        kernel = kept(self.unpacked(f"{suite}-{len(self.fetched)}", self.kernels[suite]))
        assert (kernel.folder / "linux").exists()
        return kernel

    def busybox(self) -> Path:
        self.probed += 1
        path = self.folder / "busybox"
        path.write_bytes(b"a shell")
        return path

    def working(self) -> UmlKernel | None:
        return working_kernel(self.busybox, self.fetch)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Open the shop; the tool that would change the kernels does nothing to these."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(guests.VARIABLE, raising=False)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "patchelf").write_text("#!/bin/sh\n")
    (tools / "patchelf").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    (tmp_path / "shop").mkdir()
    return Shop(tmp_path / "cache" / "hapair", tmp_path / "shop")


def test_the_suites_are_tried_in_turn_until_one_boots(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.kernels = {SUITES[1]: DIES, SUITES[2]: WORKS, SUITES[3]: WORKS}
    kernel = shop.working()
    assert kernel is not None
    assert shop.fetched == list(SUITES[:3])
    assert kernel.modules.name.startswith(f"7-{SUITES[2]}")
    assert [path.name for path in shop.cache.glob("uml-*-*")] == [kernel.key], "no other is kept"
    said = capsys.readouterr().err
    assert f"no User Mode Linux from Debian {SUITES[0]}" in said
    assert "does not work here" in said


def test_what_boots_is_found_once_and_remembered(shop: Shop) -> None:
    shop.kernels = {SUITES[0]: WORKS}
    first = shop.working()
    assert first is not None
    assert shop.working() == first
    assert (shop.fetched, shop.probed) == ([SUITES[0]], 1)


def test_that_nothing_boots_is_remembered_too(shop: Shop) -> None:
    shop.kernels = dict.fromkeys(SUITES, DIES)
    assert shop.working() is None
    assert shop.working() is None
    assert (shop.fetched, shop.probed) == (list(SUITES), 1)
    assert not list(shop.cache.glob("uml-*-*"))


def test_that_nothing_boots_is_not_believed_for_ever(shop: Shop) -> None:
    shop.kernels = dict.fromkeys(SUITES, DIES)
    assert shop.working() is None
    long_ago_s = time.time() - NONE_HOLDS_S - 1
    os.utime(shop.cache / REMEMBERED, (long_ago_s, long_ago_s))
    shop.kernels = {SUITES[0]: WORKS}
    assert shop.working() is not None


def test_after_another_boot_of_the_host_the_kept_one_is_probed_first(shop: Shop) -> None:
    shop.kernels = {SUITES[0]: WORKS}
    first = shop.working()
    remembered = shop.cache / REMEMBERED
    answer = json.loads(remembered.read_text())
    assert answer["boot_id"] == BOOT_ID.read_text().strip()
    remembered.write_text(json.dumps({**answer, "boot_id": "another"}))
    assert shop.working() == first
    assert (shop.fetched, shop.probed) == ([SUITES[0]], 2)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"boot_id": 7', "null"])
def test_an_answer_that_cannot_be_read_is_looked_for_again(shop: Shop, content: str) -> None:
    shop.cache.mkdir(parents=True)
    (shop.cache / REMEMBERED).write_text(content)
    shop.kernels = {SUITES[0]: WORKS}
    assert shop.working() is not None


def test_a_kernel_that_somebody_removed_is_fetched_again(shop: Shop) -> None:
    shop.kernels = {SUITES[0]: WORKS}
    first = shop.working()
    assert first is not None
    first.folder.rename(shop.folder / "gone")
    assert shop.working() is not None
    assert shop.fetched == [SUITES[0], SUITES[0]]


def test_a_kernel_that_hangs_is_killed_with_its_programs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uml_kernel, "PROBE_TIMEOUT_S", 5.0)  # A busy host is slow to begin it
    children = shop.folder / "children"
    shop.kernels = {SUITES[0]: HANGS.format(children=children)}
    assert shop.working() is None
    status = Path(f"/proc/{children.read_text().strip()}/stat")
    until_s = time.monotonic() + PATIENCE_S
    state = "alive"
    while state != "Z" and time.monotonic() < until_s:  # Its end is not collected yet, perhaps.
        try:
            state = status.read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
    assert state == "Z"


def without_binary(tree: Path) -> None:
    (tree / "usr/bin/linux.uml").unlink()


def without_modules(tree: Path) -> None:
    (tree / "usr/lib/uml/modules").rename(tree / "elsewhere")


def without_a_release(tree: Path) -> None:
    for path in (tree / "usr/lib/uml/modules").iterdir():
        shutil.rmtree(path)


def without_library(tree: Path) -> None:
    (tree / "lib/x86_64-linux-gnu/libc.so.6").unlink()


@pytest.mark.parametrize(
    "spoil", [without_binary, without_modules, without_a_release, without_library]
)
def test_packages_that_are_laid_out_in_an_unknown_way_are_told(
    shop: Shop, spoil: Callable[[Path], None]
) -> None:
    work = shop.unpacked("forky", WORKS)
    spoil(work / "tree")
    with pytest.raises(LabError, match="unknown way"):
        kept(work)
    assert not list(shop.cache.glob("uml-*-*"))


def test_a_kernel_without_drbd_is_of_no_use(shop: Shop) -> None:
    work = shop.unpacked("forky", WORKS)
    for folder in (work / "tree/usr/lib/uml/modules").iterdir():
        (folder / "modules.dep").write_text("kernel/drivers/net/veth.ko:\n")
        (folder / "modules.builtin").write_text("kernel/drivers/md/dm-mod.ko\n")
    with pytest.raises(LabError, match="it has no drbd"):
        kept(work)
    assert not list(shop.cache.glob("uml-*-*"))


def test_half_a_kernel_in_the_cache_is_not_used_and_goes(shop: Shop) -> None:
    """A removal by ``rm`` may have been interrupted, or by a version that did not take care."""
    shop.kernels = {SUITES[0]: WORKS}
    for half in ("linux", "modules/*/modules.dep"):
        kernel = shop.working()
        assert kernel is not None
        for missing in kernel.folder.glob(half):
            missing.unlink()
        another = shop.working()
        assert another is not None
        assert another.lacks() == ()
        assert not kernel.folder.exists()


def test_the_kernel_is_probed_where_guests_run_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary files often lie where no program may be started."""
    monkeypatch.setattr(tempfile, "tempdir", str(shop.folder / "nowhere"))
    shop.kernels = {SUITES[0]: WORKS}
    assert shop.working() is not None


def test_older_packages_have_the_kernel_under_another_name(shop: Shop) -> None:
    work = shop.unpacked("bookworm", WORKS)
    (work / "tree/usr/bin/linux.uml").rename(work / "tree/usr/bin/linux")
    assert (kept(work).folder / "linux").exists()


def test_the_same_kernel_fetched_twice_is_one(shop: Shop) -> None:
    first = kept(shop.unpacked("forky", WORKS))
    (shop.folder / "forky").rename(shop.folder / "first")
    assert kept(shop.unpacked("forky", WORKS)) == first


def test_the_variable_names_the_kind_of_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    for named, expected in (("", None), ("qemu", Guests.QEMU), ("uml", Guests.UML)):
        monkeypatch.setenv(guests.VARIABLE, named)
        assert guests.wanted() is expected
    monkeypatch.setenv(guests.VARIABLE, "vmware")
    with pytest.raises(LabError, match="vmware") as error:
        guests.wanted()
    assert error.value.hint == "use qemu or uml"
    monkeypatch.delenv(guests.VARIABLE)
    assert guests.wanted() is None


def test_where_qemu_was_asked_for_nothing_is_probed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guests.uml_kernel(Guests.QEMU) is None
    monkeypatch.setenv(guests.VARIABLE, "qemu")
    assert guests.uml_kernel() is None
    assert not shop.cache.exists()


@pytest.fixture
def all_tools(shop: Shop) -> Shop:
    """Pretend that the host has all tools, and that no kernel booted since it was switched on."""
    for name in TOOLS:
        (shop.folder.parent / "tools" / name).write_text("#!/bin/sh\n")
        (shop.folder.parent / "tools" / name).chmod(0o755)
    shop.cache.mkdir(parents=True)
    boot_id = BOOT_ID.read_text().strip()
    (shop.cache / REMEMBERED).write_text(json.dumps({"boot_id": boot_id, "kernel": ""}))
    return shop


@pytest.mark.parametrize(("places", "probed"), [(0, 0), (1, 1)])
@pytest.mark.usefixtures("all_tools")
def test_where_memory_is_too_small_for_one_lab_nothing_is_probed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    places: int,
    probed: int,
) -> None:
    """Docker gives 64 MiB: the kernel boots, and each lab would be refused."""
    asked = []

    def works(_: object) -> None:
        asked.append(places)

    monkeypatch.setattr(guests, "working_kernel", works)
    monkeypatch.setattr(guests, "memory_places", lambda: places)
    guests.has_memory.cache_clear()
    assert guests.uml_kernel() is None
    assert guests.uml_kernel() is None
    assert len(asked) == 2 * probed
    assert capsys.readouterr().err.count("too small for User Mode Linux") == 1 - probed
    guests.has_memory.cache_clear()


def test_where_none_boots_the_guests_are_those_of_qemu(all_tools: Shop) -> None:
    assert guests.uml_kernel() is None
    assert not list(all_tools.cache.glob("tmp*")), "nothing is left of the probe"


def test_who_asks_for_user_mode_linux_is_told_that_it_does_not_work(
    all_tools: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabError, match="no User Mode Linux boots") as error:
        guests.uml_kernel(Guests.UML)
    assert error.value.hint == "HAPAIR_LAB_GUESTS=qemu"
    monkeypatch.setenv(guests.VARIABLE, "uml")
    with pytest.raises(LabError, match="no User Mode Linux boots"):
        guests.uml_kernel()
    assert all_tools.probed == 0


def test_the_kind_that_is_passed_beats_the_variable(
    all_tools: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(guests.VARIABLE, "uml")
    assert guests.uml_kernel(Guests.QEMU) is None
    assert all_tools.fetched == []
