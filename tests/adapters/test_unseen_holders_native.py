"""Second holders that no link in /proc and no list of mounts shows by itself.

Real mounts on a loop device, in a mount name space of this test.
"""

import contextlib
import os
import sys
from functools import partial
from pathlib import Path

import pytest

from hapair.adapters.filesystem import calls
from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.model.application import Volume
from hapair.model.outcome import Done, Refused, Unknown
from tests.adapters.holding import KILLED_S, in_own_space, is_asleep, mount_a_file, named, running
from tests.adapters.loops import MINOR, loop_device, make_image, run, volume_at
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native


async def test_a_device_that_is_open_under_another_name_is_named(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    other = tmp_path / "node"
    run("cp", "--archive", volume.device, str(other))
    argv = ("sh", "-c", f"exec sleep 1000 <{other}")
    with running(*argv, ready=is_asleep) as pid:
        (what,) = await named(file_systems, volume)
        assert f"({pid}" in what


SOCKET = """
import os, signal, socket
os.chdir({folder!r})
bound = socket.socket(socket.AF_UNIX)
bound.bind("log")
os.rename("log", "other")
os.chdir("/")
signal.pause()
"""


async def test_a_socket_in_the_file_system_is_held_by_who_has_it(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    """No link of the process leads there, and the name that it was bound to tells nothing."""
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    there = Path(volume.mount_point) / "other"
    code = SOCKET.format(folder=volume.mount_point)
    argv = (sys.executable, "-S", "-c", code)
    with running(*argv, ready=lambda _: there.exists()) as pid:
        refused = await file_systems.unmount(volume, timeout_s=PATIENCE_S)
        assert isinstance(refused, Refused)
        assert f"({pid}" in refused.why
        ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
        assert isinstance(ended, Done)
        assert f"({pid}" in ended.note
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


THREAD = """
import ctypes, os, threading, signal
from tests.processes import PATIENCE_S
os.open({file!r}, os.O_CREAT | os.O_RDWR)
os.chdir("/")
threading.Thread(target=signal.sigwait, args=([signal.SIGUSR1],)).start()
ctypes.CDLL(None).syscall(60, 0)  # Only this thread ends.
"""


async def test_a_process_whose_first_thread_has_ended_is_found(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    code = THREAD.format(file=f"{volume.mount_point}/file")

    def is_headless(pid: int) -> bool:
        return "(zombie)" in Path(f"/proc/{pid}/status").read_text()

    with running(sys.executable, "-S", "-c", code, ready=is_headless) as pid:
        ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
        assert isinstance(ended, Done)
        assert f"({pid}" in ended.note
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


def has_four_files(pid: int) -> bool:
    return len(list(Path(f"/proc/{pid}/fd").iterdir())) > len(("stdin", "stdout", "stderr"))


async def test_a_file_system_that_does_not_answer_hides_and_delays_nothing(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    """A program that has a file of a dead file server is no business of ours."""
    dead = tmp_path / "dead"
    dead.mkdir()
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    server = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        assert calls.mount("dead", str(dead), "fuse", options) == 0
        code = f"import os, signal; os.open({str(dead)!r}, os.O_PATH); signal.pause()"
        using = ("sh", "-c", f"exec sleep 1000 >{volume.mount_point}/file")
        with (
            running(sys.executable, "-S", "-c", code, ready=has_four_files) as other,
            running(*using, ready=is_asleep) as user,
        ):
            ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
            assert isinstance(ended, Done)
            assert f"({user}" in ended.note
            assert f"({other}" not in ended.note
        assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
    finally:
        os.close(server)
        run("umount", "--lazy", str(dead))


async def test_a_copy_with_something_mounted_inside_does_not_go_with_ours(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    """As a unit has it that follows our name space, with a folder that is hidden from it."""
    run("mount", "--make-rshared", "/")
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inner = Path(volume.mount_point) / "inner"
    inner.mkdir()
    script = f"mount -t tmpfs none {inner} && exec sleep 1000"
    argv = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", script)
    with running(*argv, ready=in_own_space) as pid:
        (what,) = await named(file_systems, volume)
        assert f"the mount on {volume.mount_point} in the mount name space of sleep ({pid}" in what
        assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
        assert await named(file_systems, volume) == [what]  # The kernel has left it, too.


async def test_a_copy_that_is_covered_as_a_whole_goes_with_ours(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    run("mount", "--make-rshared", "/")
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    script = f"mount -t tmpfs none {volume.mount_point} && exec sleep 1000"
    argv = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", script)
    with running(*argv, ready=in_own_space):
        assert await named(file_systems, volume) == []
        assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
        assert await named(file_systems, volume) == []


async def test_mounts_on_top_of_one_another_go_at_once(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    export = tmp_path / "export"
    export.mkdir()
    binds = " && ".join(f"mount --bind {volume.mount_point} {export}" for _ in range(3))
    run("sh", "-c", binds)
    argv = (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        f"{binds}; exec sleep 1000",
    )
    with running(*argv, ready=in_own_space):
        assert isinstance(await file_systems.end_holders(volume, timeout_s=PATIENCE_S), Done)
        assert await named(file_systems, volume) == []


async def test_an_overlay_with_a_layer_there_is_named_even_after_the_unmount(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    lower = Path(volume.mount_point) / "lower"
    lower.mkdir()
    over = tmp_path / "over"
    over.mkdir()
    run("mount", "-t", "overlay", "-o", f"lowerdir={lower}:{tmp_path}", "none", str(over))
    (what,) = await named(file_systems, volume)
    assert what == f"the overlay on {over}, which has a layer there"
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
    assert isinstance(await file_systems.end_holders(volume, timeout_s=4), Unknown)
    assert await named(file_systems, volume) == [what]
    run("umount", str(over))
    assert await named(file_systems, volume) == []


async def test_an_overlay_of_a_container_is_named(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    lower = Path(volume.mount_point) / "lower"
    lower.mkdir()
    script = (
        f"mount -t overlay -o lowerdir={lower}:{tmp_path} none /mnt"
        f" && umount {volume.mount_point} && exec sleep 1000"
    )
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
    with running(*argv, ready=in_own_space) as pid:
        (what,) = await named(file_systems, volume)
        assert f"the overlay on /mnt in the mount name space of sleep ({pid}" in what


async def test_what_the_application_itself_mounts_inside_has_a_stop_of_its_own(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    """A volume of another application has none that comes in time."""
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inner = Path(volume.mount_point) / "inner"
    inner.mkdir()
    nested = volume_at(inner, minor=MINOR + 1, resource="orders.log")
    folder = tmp_path / "nested"
    folder.mkdir()
    with loop_device(make_image(folder), Path(nested.device)):
        assert isinstance(await file_systems.mount(nested, timeout_s=PATIENCE_S), Done)
        assert await named(file_systems, volume, nested) == []
        assert await named(file_systems, volume) == [f"the mount on {inner}"]
        assert isinstance(await file_systems.unmount(nested, timeout_s=PATIENCE_S), Done)


STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
file = open({file!r}, "w")
signal.pause()
"""


def exists(place: Path, _: int) -> bool:
    return place.exists()


async def test_no_loop_device_takes_the_time_that_the_other_holders_need(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inside = tmp_path / "inside"
    loop, _ = mount_a_file(volume, inside)
    places = (inside / "file", Path(volume.mount_point) / "file")
    with contextlib.ExitStack() as stack:
        for place in places:
            argv = (sys.executable, "-S", "-c", STUBBORN.format(file=str(place)))
            stack.enter_context(running(*argv, ready=partial(exists, place)))
        ended = await file_systems.end_holders(volume, timeout_s=KILLED_S)
        assert isinstance(ended, Done)
        assert "SIGKILL" in ended.note
        assert f"{loop} detached" in ended.note
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


async def test_names_that_are_too_long_together_leave_the_first_ones(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    deep = tmp_path
    for _ in range(12):
        deep /= "n" * 250
        deep.mkdir()
    for number in range(20):
        at = deep / str(number)
        at.mkdir()
        run("mount", "--bind", volume.mount_point, str(at))
    names = await named(file_systems, volume)
    assert 5 < len(names) < 20


async def test_a_machine_without_room_for_a_child_has_not_looked(
    volume: Volume, file_systems: MountedFileSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", no_room)
    looked = await file_systems.held(volume, None, timeout_s=PATIENCE_S)
    assert not looked.found
    assert looked.not_looked_at
