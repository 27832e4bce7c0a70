"""What a node tells of its kernel, its tools and its volumes before anything is planned."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hapair.model.application import Application
from hapair.model.node_facts import Lvm
from hapair.model.storage import (
    GroupStorage,
    LogicalVolume,
    NativeMount,
    NodeStorage,
    UseKind,
    VolumeUse,
)
from hapair.ports.programs import Finished, TimedOut
from hapair.runtime.jobs import survey as surveys
from hapair.runtime.jobs.survey import survey
from hapair.runtime.jobs.workshop import Workshop
from tests.fakes.storage import FakeLogicalVolumes
from tests.jobs.hosts import Natives
from tests.jobs.troubles import tools

__all__ = ["tools"]
NAMES = ("mounted", "replicated", "used", "old")
USES = (VolumeUse("replicated", UseKind.DRBD, "drbd7"), VolumeUse("used", UseKind.LUKS, "cx"))


class Looked(FakeLogicalVolumes):
    async def look(
        self, group: str, volume: LogicalVolume, *, whole: bool = False
    ) -> LogicalVolume:
        del group, whole
        return replace(volume, content="seen")


class Stacked(Natives):
    def __init__(self) -> None:
        """Do without a host."""

    def mounts(self, group: GroupStorage) -> tuple[NativeMount, ...]:
        del group
        return (NativeMount("mounted", "/srv/x", "ext4"),)

    def uses(self, group: GroupStorage) -> tuple[VolumeUse, ...]:
        del group
        return USES


async def told(answer: Finished | TimedOut) -> NodeStorage:
    """Return the survey of a node whose programs all give one answer."""

    async def run(
        argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del argv, timeout_s, stdin
        return answer

    async def scan() -> Lvm:
        return Lvm()

    volumes = tuple(LogicalVolume(name, 1, in_use=name != "old") for name in NAMES)
    groups = {"vg": GroupStorage("vg", exists=True, volumes=volumes)}
    application = Application("x", "node1", volume_groups=("vg",))
    tools: list[Any] = [Looked(groups), Stacked(), scan, None, None, None]
    return await survey("node1", application, Workshop(*tools), run)


@pytest.mark.usefixtures("tools")
async def test_only_what_may_be_frozen_or_is_known_anyway_is_not_looked_at() -> None:
    group = (await told(Finished(0, "", ""))).group("vg")
    assert [v.name for v in group.volumes if v.content == "seen"] == ["used", "old"]
    assert group.uses == USES


@pytest.mark.usefixtures("tools")
async def test_a_file_system_counts_when_the_kernel_has_it_or_can_load_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """FAIL: a take-over finds that the other node's kernel cannot mount the copy."""
    known = tmp_path_factory.mktemp("proc") / "filesystems"
    known.write_text("nodev\tproc\n\text4\n")
    monkeypatch.setattr(surveys, "KERNELS_FILE_SYSTEMS", known)
    assert (await told(Finished(1, "", ""))).file_systems == ("ext4",)
    assert (await told(TimedOut(10.0))).file_systems == ("ext4",)
    assert (await told(Finished(0, "", ""))).file_systems == ("ext4", "xfs")


@pytest.mark.usefixtures("tools")
async def test_versions_are_told_as_the_programs_say_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    features = tmp_path_factory.mktemp("features")
    (features / "encryption").touch()
    monkeypatch.setattr(surveys, "EXT4_FEATURES", features)
    storage = await told(Finished(0, "", "e2fsck 1.47.0 (5-Feb-2023)\n"))
    assert storage.version("e2fsck") == "1.47.0"
    assert storage.version("Linux")
    assert storage.kernel_options == ("encrypt",)
    assert (await told(Finished(127, "", "not found"))).version("e2fsck") == ""
    assert (await told(TimedOut(10.0))).version("xfs_repair") == ""
