"""What every ``FileSystems`` promises; the real one on a loop device of this machine."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hapair.adapters.filesystem import calls
from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.model.application import Volume
from hapair.model.outcome import Done, Refused
from hapair.ports.data import FileSystems
from tests.adapters.loops import loop_device, make_image, volume_at
from tests.adapters.namespaces import need_root, own_mounts
from tests.fakes.hands import FakeFileSystems
from tests.processes import PATIENCE_S


@dataclass(frozen=True, slots=True)
class World:
    file_systems: FileSystems
    volume: Volume
    missing: Volume
    held: Callable[[], AbstractContextManager[object]]  # A process "sleep" holds the mount.
    vanish: Callable[[Volume], object]  # Somebody unmounts it.
    bind: Callable[[], str]  # Mount it a second time; returns where.
    fill: Callable[[], object]  # Somebody takes all the room that it has.


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.native)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    volume = volume_at(tmp_path / "mnt")
    missing = volume_at(tmp_path / "mnt", minor=volume.minor + 1, resource="orders.missing")
    if request.param == "fake":
        fake = FakeFileSystems(missing={missing.resource})

        @contextmanager
        def noted() -> Iterator[None]:
            fake.held_by[volume.resource] = "sleep (4711)"
            yield

        def second() -> str:
            fake.seconds[volume.resource] = ("the mount on /export",)
            return "/export"

        filled = lambda: fake.no_room.add(volume.resource)  # noqa: E731
        yield World(fake, volume, missing, noted, fake.vanish, second, filled)
        return
    need_root()

    @contextmanager
    def held() -> Iterator[None]:
        with subprocess.Popen(("sleep", "1000"), cwd=volume.mount_point) as process:
            try:
                yield
            finally:
                process.kill()

    def bind() -> str:
        export = tmp_path / "export"
        export.mkdir()
        subprocess.run(("mount", "--bind", volume.mount_point, str(export)), check=True)
        return str(export)

    def fill() -> None:
        with (
            contextlib.suppress(OSError),
            Path(volume.mount_point, "all").open("wb", buffering=0) as file,
        ):
            while True:
                file.write(bytes(1 << 20))

    with loop_device(make_image(tmp_path), Path(volume.device)), own_mounts():
        made = MountedFileSystems()
        vanish = lambda one: calls.unmount(one.mount_point)  # noqa: E731
        yield World(made, volume, missing, held, vanish, bind, fill)
        made.close()


async def test_it_is_mounted_from_mount_to_unmount(world: World) -> None:
    assert not world.file_systems.mounted(world.volume)
    assert isinstance(await world.file_systems.mount(world.volume, timeout_s=PATIENCE_S), Done)
    assert world.file_systems.mounted(world.volume)
    assert isinstance(await world.file_systems.unmount(world.volume, timeout_s=PATIENCE_S), Done)
    assert not world.file_systems.mounted(world.volume)


async def test_every_action_may_be_repeated(world: World) -> None:
    for _ in range(2):
        assert isinstance(await world.file_systems.mount(world.volume, timeout_s=PATIENCE_S), Done)
    for _ in range(2):
        assert isinstance(
            await world.file_systems.unmount(world.volume, timeout_s=PATIENCE_S), Done
        )
    assert isinstance(
        await world.file_systems.end_holders(world.volume, timeout_s=PATIENCE_S), Done
    )


async def test_a_missing_device_is_refused(world: World) -> None:
    outcome = await world.file_systems.mount(world.missing, timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert world.missing.device in outcome.why
    assert not world.file_systems.mounted(world.missing)


async def test_a_held_mount_is_refused_until_its_holders_are_ended(world: World) -> None:
    await world.file_systems.mount(world.volume, timeout_s=PATIENCE_S)
    with world.held():
        refused = await world.file_systems.unmount(world.volume, timeout_s=PATIENCE_S)
        assert isinstance(refused, Refused)
        assert "sleep (" in refused.why
        assert world.file_systems.mounted(world.volume)
        ended = await world.file_systems.end_holders(world.volume, timeout_s=PATIENCE_S)
        assert isinstance(ended, Done)
        assert "sleep (" in ended.note
    assert isinstance(await world.file_systems.unmount(world.volume, timeout_s=PATIENCE_S), Done)


async def test_an_unmount_by_somebody_is_told(world: World) -> None:
    told = asyncio.Event()
    assert isinstance(await world.file_systems.mount(world.volume, timeout_s=PATIENCE_S), Done)
    world.file_systems.on_change(told.set)
    world.vanish(world.volume)
    async with asyncio.timeout(PATIENCE_S):
        await told.wait()
    assert not world.file_systems.mounted(world.volume)


async def test_a_second_mount_is_told_until_the_holders_are_ended(world: World) -> None:
    await world.file_systems.mount(world.volume, timeout_s=PATIENCE_S)
    assert not (await world.file_systems.held(world.volume, None, timeout_s=PATIENCE_S)).found
    where = world.bind()
    (held,) = (await world.file_systems.held(world.volume, None, timeout_s=PATIENCE_S)).found
    assert where in held.what
    assert where in held.mend
    assert isinstance(
        await world.file_systems.end_holders(world.volume, timeout_s=PATIENCE_S), Done
    )
    assert not (await world.file_systems.held(world.volume, None, timeout_s=PATIENCE_S)).found
    assert world.file_systems.mounted(world.volume)


async def test_it_is_full_once_nobody_finds_room_and_only_where_it_is_mounted(world: World) -> None:
    file_systems, volume = world.file_systems, world.volume
    assert isinstance(await file_systems.mount(volume, timeout_s=PATIENCE_S), Done)
    assert not await file_systems.full(volume, timeout_s=PATIENCE_S)
    world.fill()
    assert await file_systems.full(volume, timeout_s=PATIENCE_S)
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
    assert not await file_systems.full(volume, timeout_s=PATIENCE_S)
