"""The parts of the guests' image that are made of data alone."""

import io
import lzma
import tarfile
from pathlib import Path

from hapair_lab import recipe, topology
from hapair_lab.initrd import Member, build, cpio, module_files
from hapair_lab.package_sources import Source, lines_for, parse_deb822, parse_list


def test_an_archive_for_the_kernel_has_names_contents_and_an_end() -> None:
    archive = cpio([Member("init", 0o100755, b"#!/bin/sh\n"), Member("dev", 0o040755)])
    assert archive.startswith(b"070701")
    assert archive.count(b"070701") == 3
    assert b"init\0" in archive
    assert b"#!/bin/sh\n" in archive
    assert archive.rstrip(b"\0").endswith(b"TRAILER!!!")
    assert len(archive) % 4 == 0


def make_modules(folder: Path) -> Path:
    for name in ("virtio.ko", "ring.ko", "virtio_pci.ko", "virtio-blk.ko.xz"):
        content = f"code of {name}".encode()
        (folder / name).write_bytes(lzma.compress(content) if name.endswith("xz") else content)
    (folder / "modules.dep").write_text(
        "virtio_pci.ko: virtio.ko ring.ko\nvirtio-blk.ko.xz: virtio.ko ring.ko\n"
        "virtio.ko: ring.ko\nring.ko:\n"
    )
    return folder


def test_modules_are_loaded_after_what_they_need_and_once(tmp_path: Path) -> None:
    names = [path.name for path in module_files(make_modules(tmp_path))]
    assert names == ["ring.ko", "virtio.ko", "virtio_pci.ko", "virtio-blk.ko.xz"]


def test_the_initial_ram_disk_loads_unpacked_modules(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"a shell")
    ram_disk = build(busybox, make_modules(tmp_path))
    assert b"in ring.ko virtio.ko virtio_pci.ko virtio_blk.ko;" in ram_disk
    assert b"code of virtio-blk.ko.xz" in ram_disk


def test_the_hosts_mirror_is_used_for_another_release_too() -> None:
    text = """Types: deb
# A comment.
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://elsewhere.example/repo
Suites: stable
Components: main
Signed-By: /usr/share/keyrings/elsewhere.gpg
"""
    assert lines_for("trixie", tuple(parse_deb822(text))) == (
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/security trixie-security main",
    )


def test_old_lists_are_read_and_third_parties_left_out() -> None:
    text = """# deb http://commented.example bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/other.gpg] http://other.example stable main
deb [arch=amd64] http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb http://incomplete.example
"""
    sources = tuple(parse_list(text))
    assert Source("http://mirror.example/debian", "bookworm", ("main", "contrib")) in sources
    assert lines_for("bookworm", sources) == (
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
    )


def test_a_host_without_debian_sources_leaves_the_mirror_to_mmdebstrap() -> None:
    assert lines_for("bookworm", ()) == ()


def test_the_key_of_an_image_depends_on_the_release_and_nothing_that_changes() -> None:
    assert recipe.key_of("bookworm") == recipe.key_of("bookworm")
    assert recipe.key_of("bookworm") != recipe.key_of("trixie")


def test_the_files_of_a_guest_are_roots_and_units_are_linked() -> None:
    with tarfile.open(fileobj=io.BytesIO(recipe.tar_of(recipe.guest_files(uml=False)))) as tar:
        by_name = {member.name: member for member in tar.getmembers()}
    assert all(member.uid == 0 for member in by_name.values())
    assert by_name["etc/systemd/system/getty.target"].linkname == "/dev/null"
    assert "usr/local/lib/hapair-lab/agent.py" in by_name
    agent = by_name["etc/systemd/system/sysinit.target.wants/lab-agent.service"]
    assert agent.linkname == "/etc/systemd/system/lab-agent.service"


def test_cards_have_addresses_of_their_own() -> None:
    macs = [card.mac for guest in topology.GUESTS for card in guest.cards]
    assert len(macs) == len(set(macs))
    named = topology.card_names_by_mac()
    assert sorted(mac for card in named.values() for mac in card) == sorted(macs)


def test_the_addresses_are_those_of_the_documents() -> None:
    hosts = topology.hosts_file()
    for line in ("10.77.1.1 node1", "10.77.1.254 outside", "fd77:1::2 node2"):
        assert line in hosts.splitlines()
    commands = topology.address_commands(topology.NODE2)
    assert "address add 10.77.2.2/24 dev priv0 brd +" in commands
    assert "route add default via 10.77.1.254" in commands
    assert "default" not in topology.address_commands(topology.OUTSIDE)
