"""What the kernel tells of a device in use, read from its own words."""

from pathlib import Path

import pytest

from hapair.adapters.filesystem import uses
from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.filesystem.uses import in_kernel
from hapair.adapters.shared.mounts import Mount
from hapair.adapters.shared.spaces import Process, Space, leaving_with, other_spaces, process_of
from tests.adapters.loops import volume_at

OURS = Mount((147, 3), "/srv/orders", "/dev/drbd3", "ext4", "/", 40, 22)


def test_swap_exports_and_devices_above_are_named_with_their_mend(tmp_path: Path) -> None:
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    (proc / "fs/nfsd").mkdir(parents=True)
    (proc / "swaps").write_text(
        "Filename\tType\n/srv/orders/swap\t4\n/srv/orders2/swap\t4\n/dev/vda9\t4\n"
    )
    (proc / "fs/nfsd/exports").write_text(
        "# Version 1.1\n/srv/orders\t10.0.0.0/8(ro,root_squash,sync,no_wdelay,v4root,fsid=0)\n"
        "/srv/orders/out\t10.0.0.0/8(rw,sync)\n/srv/other\t*(ro)\n"
    )
    above = sys / "dev/block/147:3/holders"
    (above / "dm-5/dm").mkdir(parents=True)
    (above / "dm-5/dm/name").write_text("vg-guest\n")
    (above / "md0").mkdir()
    told = {each.what: each.mend for each in in_kernel(OURS, proc, sys)}
    assert list(told.values())[-1] == "exportfs -f", "clients come anew while there is an export"
    assert told == {
        "the device-mapper map vg-guest": "dmsetup remove vg-guest",
        "the device md0": "stop what uses /dev/md0",
        "the swap space /srv/orders/swap": "swapoff /srv/orders/swap",
        "the NFS export of /srv/orders/out to 10.0.0.0/8(rw,sync)":
            "exportfs -u 10.0.0.0/8:/srv/orders/out",
        "the way of NFS clients through /srv/orders to what is exported in it": "exportfs -f",
    }  # fmt: skip


def test_what_lies_on_a_loop_device_is_named_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``losetup -d`` says nothing and does nothing while a map or another one has it open."""
    for name, number, file in (("loop0", "7:0", "/srv/orders/pv"), ("loop1", "7:1", "/dev/vg/a")):
        (tmp_path / "block" / name / "loop").mkdir(parents=True)
        (tmp_path / "block" / name / "loop/backing_file").write_text(f"{file}\n")
        (tmp_path / "block" / name / "dev").write_text(f"{number}\n")
    above = tmp_path / "dev/block/7:0/holders/dm-5/dm"
    above.mkdir(parents=True)
    (above / "name").write_text("vg-a\n")
    below = {"loop0": OURS.device, "loop1": (7, 0)}
    monkeypatch.setattr(uses, "_backing", lambda node: below[node.name])
    told = [each.mend for each in in_kernel(OURS, tmp_path, tmp_path)]
    assert told == [
        "dmsetup remove vg-a",
        "unmount what is on it, then: losetup -d /dev/loop1",
        "unmount what is on it, then: losetup -d /dev/loop0",
    ]


def test_names_with_blanks_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "fs/nfsd").mkdir(parents=True)
    (tmp_path / "swaps").write_text("Filename\tType\n/srv/my\\040orders/swap file\n")
    (tmp_path / "fs/nfsd/exports").write_text("/srv/my\\040orders/out\t*(ro)\n")
    ours = Mount(OURS.device, "/srv/my orders", "/dev/drbd3", "ext4", "/", 40, 22)
    told = [each.what for each in in_kernel(ours, tmp_path, tmp_path)]
    assert told == [
        "the swap space /srv/my orders/swap",
        "the NFS export of /srv/my orders/out to *(ro)",
    ]


def test_what_init_keeps_open_is_named_because_nothing_may_end_it(tmp_path: Path) -> None:
    init = tmp_path / "1"
    init.mkdir()
    (init / "maps").write_text("00-01 r--s 00 93:03 5 /srv/orders/fifo\n")
    (init / "comm").write_text("systemd\n")
    (told,) = in_kernel(OURS, tmp_path, tmp_path)
    assert told.what == "a socket or a file of it that systemd (1) keeps open"
    assert "list-sockets" in told.mend


def test_a_process_is_named_in_one_line_whatever_it_calls_itself(tmp_path: Path) -> None:
    process(tmp_path, 9, "mnt:[2]", "")
    (tmp_path / "9/comm").write_bytes(b"a\x1b[2J\nb")
    assert str(process_of(9, tmp_path)) == "a\ufffd[2J\ufffdb (9 of second.service)"


def test_a_machine_without_swap_and_nfs_tells_nothing(tmp_path: Path) -> None:
    assert not list(in_kernel(OURS, tmp_path, tmp_path))


def process(proc: Path, pid: int, space: str, mountinfo: str, *, root: str = "/") -> None:
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/mnt").symlink_to(space)
    (folder / "root").symlink_to(root)
    (folder / "comm").write_text("sleep\n")
    (folder / "cgroup").write_text("0::/system.slice/second.service\n")
    if mountinfo:
        (folder / "mountinfo").write_text(mountinfo)


def test_each_name_space_is_read_once_as_one_who_sees_all_of_it(tmp_path: Path) -> None:
    line = "50 22 147:3 / /data rw - ext4 /dev/drbd3 rw\n"
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/mnt").symlink_to("mnt:[1]")
    process(tmp_path, 7, "mnt:[1]", line)
    process(tmp_path, 8, "mnt:[2]", "", root="/chroot")
    process(tmp_path, 9, "mnt:[2]", line)
    process(tmp_path, 10, "mnt:[3]", "")  # It ended while we looked.
    (space,) = other_spaces(tmp_path)
    assert sorted(space.pids) == [8, 9]
    assert [each.mount_point for each in space.mounts] == ["/data"]
    assert str(process_of(9, tmp_path)) == "sleep (9 of second.service)"
    assert str(process_of(99, tmp_path)) == "ended (99)"


def mount(point: str, *numbers: int, shared: int = 0, master: int = 0) -> Mount:
    number, parent = numbers
    return Mount(OURS.device, point, "", "", "/", number, parent, shared, master)


def test_a_mount_goes_with_ours_along_a_chain_of_followers() -> None:
    here = (mount("/", 22, 1, shared=5), OURS)
    middle = (mount("/", 60, 1, shared=6, master=5), mount("/srv/orders", 61, 60))
    last = (mount("/", 70, 1, master=6), mount("/srv/orders", 71, 70), mount("/x", 72, 70))
    apart = (mount("/", 80, 1), mount("/srv/orders", 81, 80))
    goes = leaving_with(OURS, here, ())
    assert not goes(middle[1], (middle[1],))  # What it is mounted on is not known.
    assert goes(middle[1], middle)
    from_all = {"middle": middle, "last": last, "apart": apart}
    spaces = tuple(Space((1,), each) for each in from_all.values())
    goes = leaving_with(OURS, here, spaces)
    assert [goes(each[1], each) for each in from_all.values()] == [True, True, False]
    assert not goes(last[2], last)  # Another place than ours.
    assert not leaving_with(mount("/srv/orders", 0, 0), here, ())(middle[1], middle)


def test_without_a_device_nothing_is_mounted(tmp_path: Path) -> None:
    gone = volume_at(tmp_path, minor=1_000_003)
    assert MountedFileSystems().mounted(gone) is False


@pytest.mark.parametrize(
    ("group", "typed"),
    [
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service",
         "systemctl stop postgresql@15-main.service"),
        ("/system.slice/docker-4711.scope", "systemctl stop docker-4711.scope"),
        ("/system.slice/incus.service/lxc/web", "systemctl stop incus.service"),
        ("/system.slice/ssh.service", "kill 7"),
        ("/system.slice/system-sshd.slice/sshd@1-10.0.1.1:22-10.0.1.9:4711.service", "kill 7"),
        ("/user.slice/user-0.slice/session-3.scope", "kill 7"),
        ("/hapair.slice/hapair-apps.service/orders", "kill 7"),
        ("/system.slice/system-sshd.slice/sshd@3-10.0.0.1:22-10.0.0.2:4711.service", "kill 7"),
        ("/system.slice/cron.service", "kill 7"),
        ("", "kill 7"),
    ],
)  # fmt: skip
def test_a_process_of_a_service_is_ended_with_it(group: str, typed: str) -> None:
    """What systemd started, it might start again."""
    assert Process(7, "python3", group).end == typed


def test_the_shell_of_a_person_is_ended_by_what_it_does_not_ignore() -> None:
    assert Process(7, "bash", "/user.slice/user-0.slice/session-3.scope").end == "kill -HUP 7"
    assert Process(7, "bash", "/system.slice/x.service").end == "systemctl stop x.service"
