"""The scanner on a machine made of files and captured answers."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hapair.adapters.scan import arbitration, network, software, storage
from hapair.adapters.scan.scanner import Scanner
from hapair.adapters.ssh import SshMachine
from hapair.model.node_facts import (
    BusyPort,
    Kernel,
    PhysicalVolume,
    Protocols,
    ScanRequest,
    SecretFile,
    SshTry,
    StorageKind,
    WatchdogFacts,
)
from hapair.ports.programs import Finished, TimedOut
from tests.build.test_scan_parse import IP_JSON, MOUNTINFO, PROC_NET_TCP


def says(stdout: str) -> Finished:
    return Finished(0, stdout, "")


PVS = (
    '{"report":[{"pv":[{"pv_name":"/dev/vdb","vg_name":"vg_orders","vg_uuid":"u",'
    '"vg_size":"100","vg_free":"50"}]}]}'
)


@dataclass(slots=True)
class Answers:
    """Answers commands by the words that they begin with; the longest match wins."""

    answers: dict[str, Finished | TimedOut] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del timeout_s, stdin
        self.calls.append(tuple(argv))
        line = " ".join(argv)
        found = [words for words in self.answers if line.startswith(words)]
        return self.answers[max(found, key=len)] if found else Finished(127, "", "not found")


HEALTHY: dict[str, Finished | TimedOut] = {
    "ip -json": says(IP_JSON),
    "lvm version": says("  LVM version:     2.03.16(2) (2022-05-18)\n"),
    "pvs": says(PVS),
    "lvmconfig": Finished(5, "", "not found"),
    "modprobe --dry-run": says(""),
    "modinfo": says("8.4.11\n"),
    "getent ahosts node1": says("10.77.1.1 STREAM node1\n"),
    "systemctl is-active": says("inactive\ninactive\ninactive\ninactive\nactive\nactive\n"),
    "systemctl is-enabled": says("enabled\nenabled\nenabled\n"),
}


def write(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "proc/self/mountinfo", MOUNTINFO)
    write(
        tmp_path, "etc/drbd.conf", 'include "drbd.d/global_common.conf";\ninclude "drbd.d/*.res";'
    )
    return tmp_path


async def test_a_whole_scan(root: Path) -> None:
    write(root, "etc/machine-id", "77\n")
    write(root, "proc/sys/kernel/random/boot_id", "b1\n")
    write(root, "proc/sys/net/ipv4/ip_local_port_range", "1024\t65000\n")
    write(root, "proc/sys/net/ipv4/ip_local_reserved_ports", "7700-7799\n")
    write(root, "usr/sbin/drbdadm").chmod(0o755)
    write(root, "usr/sbin/lvs").chmod(0o644)
    answers = Answers(HEALTHY)
    facts = await Scanner(answers, root).scan(ScanRequest(names=("node1", "node2")))
    assert (facts.machine_id, facts.boot_id) == ("77", "b1")
    assert (facts.ephemeral_first, facts.ephemeral_last) == (1024, 65000)
    assert facts.reserved_ports == "7700-7799"
    assert facts.tools == ("drbdadm",)
    assert [name.addresses for name in facts.names] == [("10.77.1.1",), ()]
    assert facts.other_managers == ("pacemaker",)
    assert facts.daemon.running
    assert facts.daemon.enabled
    assert facts.firewall == ""
    assert [space.folder for space in facts.spaces] == ["/etc", "/var/lib", "/cmbackup"]
    assert [card.name for card in facts.cards] == ["pub0", "pub1", "eth2", "eth3.7", "veth0"]


async def test_a_scan_changes_nothing(root: Path) -> None:
    """Every program that it starts only reads."""
    answers = Answers(HEALTHY)
    await Scanner(answers, root).scan(ScanRequest(names=("node1",), login_addresses=("10.0.0.1",)))
    reading = {
        "getent ahosts", "ip -json", "lvm systemid", "lvm version", "lvmconfig --typeconfig",
        "lvmconfig devices/global_filter", "modinfo -F", "modprobe --dry-run", "nft list",
        "pvs --foreign", "ssh -oBatchMode=yes",
        "systemctl is-active", "systemctl is-enabled",
    }  # fmt: skip
    assert {" ".join(call[:2]) for call in answers.calls} == reading


async def test_a_machine_without_anything_gives_facts_too(root: Path) -> None:
    facts = await Scanner(Answers(), root).scan(ScanRequest())
    assert facts.lvm.error == "not found"
    assert facts.drbd.error == "not found"
    assert facts.cards == ()
    assert not facts.daemon.enabled


async def test_a_machine_that_answers_nothing_in_time(root: Path) -> None:
    answers = Answers(dict.fromkeys(HEALTHY, TimedOut(20.0)))
    facts = await Scanner(answers, root).scan(ScanRequest(names=("node1",)))
    assert facts.lvm.error == "no answer within 20 s"
    assert facts.drbd.error == "modprobe gave no answer within 20 s"
    assert facts.names[0].addresses == ()


# --- DRBD ----------------------------------------------------------------------------------------


async def test_a_loaded_module(root: Path) -> None:
    write(root, "sys/module/drbd/version", "8.4.11\n")
    write(root, "sys/module/drbd/parameters/usermode_helper", "/sbin/drbdadm\n")
    write(root, "proc/drbd", "version: 8.4.11 (api:1/proto:86-101)\n")
    write(root, "etc/drbd.d/hapair-orders.data.res")
    write(root, "etc/drbd.d/web.res", "resource web { device minor 4; }")
    events = (
        "exists device name:orders.data volume:0 minor:10 disk:UpToDate\n"
        "exists device name:mail volume:0 minor:5 disk:UpToDate\n"
    )
    facts = await software.drbd(Answers({"drbdsetup events2 --now": says(events)}), root)
    assert facts.loaded
    assert facts.protocols == (Protocols(86, 101),)
    assert facts.minors == (4, 5), "of strangers only"
    assert facts.ours_up
    assert facts.reads_our_folder
    assert facts.helper == "/sbin/drbdadm"


@pytest.mark.parametrize("answer", [TimedOut(20), Finished(20, "", "no netlink")])
async def test_a_kernel_that_does_not_tell_has_devices_in_use_all_the_same(
    root: Path, answer: Finished | TimedOut
) -> None:
    write(root, "sys/module/drbd/version", "8.4.11\n")
    facts = await software.drbd(Answers({"drbdsetup events2 --now": answer}), root)
    assert facts.version == "8.4.11"
    assert facts.error.startswith("drbdsetup events2")


@pytest.mark.parametrize(
    ("options", "helper"),
    [
        ("", ""),
        (" disable_sendpage=1", ""),
        (" usermode_helper=disabled", "disabled"),
        (' minor_count=9 usermode_helper="/bin/true" usermode_helper=/bin/false', "/bin/false"),
    ],
)
async def test_a_module_that_would_call_another_helper(
    root: Path, options: str, helper: str
) -> None:
    would_do = f"insmod /lib/modules/6.1/lru_cache.ko \ninsmod /lib/modules/6.1/drbd.ko{options}\n"
    answers = Answers({"modprobe --dry-run --verbose drbd": says(would_do)})
    assert (await software.drbd(answers, root)).helper == helper


@pytest.mark.parametrize(
    ("said", "at_boot"),
    [("enabled\n", True), ("disabled\n", False), ("masked\n", False), ("", False)],
)
async def test_a_service_that_brings_resources_up_at_boot(
    root: Path, said: str, *, at_boot: bool
) -> None:
    answers = Answers({"systemctl is-enabled drbd.service": says(said)})
    assert (await software.drbd(answers, root)).at_boot is at_boot


async def test_units_and_options_of_others_that_touch_ours(root: Path) -> None:
    write(root, "etc/drbd.d/hapair-orders.data.res")
    write(root, "etc/drbd.d/global_common.conf", "common { disk { size 1G; } }")
    for unit in ("drbd@orders.data.target", "drbd@web.target", "drbd.service", "ssh.service"):
        write(root, f"etc/systemd/system/multi-user.target.wants/{unit}")
    write(root, "etc/systemd/system/a.target.requires/drbd-promote@orders.data.service")
    for loaded in (False, True):
        if loaded:
            write(root, "sys/module/drbd/version", "8.4.11\n")
        facts = await software.drbd(Answers(HEALTHY), root)
        assert facts.loaded is loaded
        assert facts.units_at_boot == (
            "drbd-promote@orders.data.service", "drbd@orders.data.target",
        )  # fmt: skip
        assert facts.common_disk == ("size",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("periodic_e2scrub=1\nscrub_all=1\n", True),
        ('  periodic_e2scrub="1" # monthly\nscrub_all=0\nscrub_all=1\n', True),
        ("# periodic_e2scrub=1\nscrub_all=1\n", False),
        ("periodic_e2scrub=1\n# scrub_all=1\n", False),
        ("periodic_e2scrub=1\nscrub_all=1\nscrub_all=0\n", False),
        ("", False),
    ],
)
def test_a_check_of_all_volumes(root: Path, text: str, *, found: bool) -> None:
    write(root, "etc/e2scrub.conf", text)
    assert software.scrubs_unmounted(root) is found


async def test_a_module_that_is_not_loaded_yet(root: Path) -> None:
    write(root, "etc/drbd.conf", "# nothing\n")
    (root / "var/lib/dkms/drbd").mkdir(parents=True)
    facts = await software.drbd(Answers(HEALTHY), root)
    assert (facts.version, facts.loaded, facts.error) == ("8.4.11", False, "")
    assert facts.dkms
    assert not facts.reads_our_folder


async def test_a_module_that_does_not_exist(root: Path) -> None:
    missing = Finished(1, "", "modprobe: FATAL: Module drbd not found\n")
    facts = await software.drbd(Answers({"modprobe": missing}), root)
    assert (facts.version, facts.error) == ("", "modprobe: FATAL: Module drbd not found")


def test_kernels_that_could_be_booted(root: Path) -> None:
    write(root, "lib/modules/6.1.0-37/modules.dep", "kernel/drivers/block/drbd/drbd.ko:\n")
    write(root, "boot/vmlinuz-6.1.0-37")
    write(root, "lib/modules/6.12.0-1/modules.dep")
    write(root, "lib/modules/6.12.0-1/vmlinuz")
    write(root, "lib/modules/5.10.0-9/modules.dep")
    assert software.kernels(root) == (
        Kernel("6.1.0-37", has_drbd=True),
        Kernel("6.12.0-1", has_drbd=False),
    )


@pytest.mark.parametrize(
    ("active", "rules", "name"),
    [
        (("ufw",), "", "ufw"),
        ((), "chain a {hook output policy drop", ""),
        ((), "chain a {hook input policy drop", "nftables"),
    ],
)
async def test_what_filters_packets(active: tuple[str, ...], rules: str, name: str) -> None:
    assert await software.firewall(Answers({"nft": says(rules)}), active) == name


async def test_units_must_all_be_enabled() -> None:
    half = Answers({"systemctl is-enabled": says("enabled\ndisabled\nenabled\n")})
    assert not await software.units_enabled(half)


# --- Arbitration ---------------------------------------------------------------------------------


def test_fence_agents_are_programs(root: Path) -> None:
    write(root, "usr/sbin/fence_x").chmod(0o755)
    write(root, "usr/sbin/fence_y").chmod(0o644)
    assert arbitration.fence_agents(root, ("fence_z", "fence_y", "fence_x")) == ("fence_x",)


@pytest.mark.parametrize("held", ["/dev/watchdog", "/dev/watchdog0"])
def test_both_names_of_the_first_watchdog_are_one_device(root: Path, held: str) -> None:
    write(root, "dev/watchdog")
    write(root, "proc/1/comm", "systemd\n")
    (root / "proc/1/fd").mkdir()
    (root / "proc/1/fd/7").symlink_to(held)
    assert arbitration.watchdog(root, "/dev/watchdog") == WatchdogFacts(
        exists=True, holder="systemd"
    )


def test_a_watchdog_that_nobody_holds(root: Path) -> None:
    write(root, "dev/watchdog1")
    write(root, "proc/1/comm", "systemd\n")
    (root / "proc/1/fd").mkdir()
    (root / "proc/1/fd/7").symlink_to("/dev/watchdog")
    assert arbitration.watchdog(root, "/dev/watchdog1") == WatchdogFacts(exists=True)
    assert arbitration.watchdog(root, "/dev/watchdog") == WatchdogFacts()
    assert arbitration.watchdog(root, "") == WatchdogFacts()


@pytest.mark.parametrize(("mode", "private"), [(0o600, True), (0o400, True), (0o640, False)])
def test_who_can_read_a_secret(root: Path, mode: int, *, private: bool) -> None:
    write(root, "etc/cluster/fence.secret", "geheim").chmod(mode)
    path = "/etc/cluster/fence.secret"
    assert arbitration.secret_file(root, path) == SecretFile(path, exists=True, private=private)


def test_a_secret_that_is_not_there(root: Path) -> None:
    assert arbitration.secret_file(root, "/nowhere/secret") == SecretFile("/nowhere/secret")
    (root / "etc/folder").mkdir()
    assert not arbitration.secret_file(root, "/etc/folder").exists


async def test_a_scan_looks_for_what_it_was_asked_for(root: Path) -> None:
    write(root, "usr/sbin/fence_x").chmod(0o755)
    write(root, "dev/watchdog")
    request = ScanRequest(
        fence_agents=("fence_x",), watchdog="/dev/watchdog", secret_files=("/etc/secret",)
    )
    facts = await Scanner(Answers(HEALTHY), root).scan(request)
    assert facts.fence_agents == ("fence_x",)
    assert facts.watchdog.exists
    assert facts.secret_files == (SecretFile("/etc/secret"),)


# --- LVM -----------------------------------------------------------------------------------------


async def test_a_group_with_its_filter(root: Path) -> None:
    answers = Answers(HEALTHY | {"lvmconfig": says('global_filter="r|^/dev/drbd|"\n')})
    facts = await storage.lvm(answers, root)
    assert facts.global_filter == ("r|^/dev/drbd|",)
    (group,) = facts.groups
    assert (group.name, group.size_bytes, group.free_bytes) == ("vg_orders", 100, 50)
    assert group.physical_volumes == (PhysicalVolume("/dev/vdb", StorageKind.LOCAL),)


FULL = "lvmconfig --typeconfig full"


async def test_what_lvm_gives_to_whom(root: Path) -> None:
    pvs = PVS.replace('"vg_free"', '"vg_systemid":"old","vg_exported":"exported","vg_free"')
    settings = 'use_devicesfile=1\ndevicesfile="system.devices"\nvolume_list=[]\n'
    answers = Answers(
        HEALTHY
        | {"pvs": says(pvs), "lvm systemid": says("  system ID: new\n"), FULL: says(settings)}
    )
    facts = await storage.lvm(answers, root)
    assert (facts.system_id, facts.volume_list, facts.read_only_volume_list) == ("new", (), ())
    assert facts.devices is None, "the file is not there: LVM looks at all disks"
    (group,) = facts.groups
    assert (group.system_id, group.lock_type, group.exported) == ("old", "", True)
    write(root, "etc/lvm/devices/system.devices", "IDTYPE=devname DEVNAME=/dev/vdb PVID=x\n")
    assert (await storage.lvm(answers, root)).devices == ("/dev/vdb",)
    off = answers.answers | {FULL: says(settings.replace("file=1", "file=0"))}
    assert (await storage.lvm(Answers(off), root)).devices is None


async def test_an_lvm_that_says_nothing_of_its_settings_restricts_nothing(root: Path) -> None:
    facts = await storage.lvm(Answers(HEALTHY), root)
    assert (facts.volume_list, facts.devices, facts.system_id) == (None, None, "")


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (TimedOut(30.0), "pvs gave no answer within 30 s: a disk may hang"),
        (Finished(5, "", "no permission"), "no permission"),
        (Finished(5, "", ""), "pvs ended with 5"),
    ],
)
async def test_it_says_why_lvm_cannot_be_read(
    root: Path, result: Finished | TimedOut, error: str
) -> None:
    assert (await storage.lvm(Answers(HEALTHY | {"pvs": result}), root)).error == error


def device(root: Path, name: str, *below: str) -> None:
    folder = root / "sys/class/block" / name
    folder.mkdir(parents=True)
    for each in below:
        (folder / "slaves").mkdir(exist_ok=True)
        (folder / "slaves" / each).mkdir()


def origin(root: Path, name: str) -> tuple[StorageKind, str]:
    return storage.origin_of(name, root / "sys/class/block", MOUNTINFO)


def test_a_disk_is_local(root: Path) -> None:
    device(root, "vdb")
    assert origin(root, "vdb") == (StorageKind.LOCAL, "")


def test_a_raid_of_local_disks_is_local(root: Path) -> None:
    device(root, "md0", "sda", "sdb")
    device(root, "sda")
    device(root, "sdb")
    assert origin(root, "md0")[0] is StorageKind.LOCAL


def test_one_network_disk_in_a_raid_is_enough(root: Path) -> None:
    device(root, "md0", "sda", "nbd3")
    device(root, "sda")
    device(root, "nbd3")
    assert origin(root, "md0") == (StorageKind.NETWORK_BLOCK, "nbd3")


def test_a_partition_of_a_network_disk(root: Path) -> None:
    disk = root / "sys/devices/block/rbd0"
    write(disk, "rbd0p1/partition", "1\n")
    (root / "sys/class/block").mkdir(parents=True)
    (root / "sys/class/block/rbd0p1").symlink_to(disk / "rbd0p1")
    assert origin(root, "rbd0p1")[0] is StorageKind.NETWORK_BLOCK
    (root / "sys/class/block/p1").symlink_to(disk / "rbd0p1")
    assert origin(root, "p1") == (StorageKind.NETWORK_BLOCK, "rbd0")


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/mnt/with space/disk.img", StorageKind.NETWORK_FILE),
        ("/var/disk.img", StorageKind.LOCAL),
    ],
)
def test_a_loop_device_lies_where_its_file_lies(root: Path, file: str, kind: StorageKind) -> None:
    device(root, "loop0")
    write(root, "sys/class/block/loop0/loop/backing_file", f"{file}\n")
    assert origin(root, "loop0")[0] is kind


def test_drbd_below_a_group(root: Path) -> None:
    assert origin(root, "drbd3") == (StorageKind.REPLICATED, "drbd3")


def test_a_ring_of_devices_ends(root: Path) -> None:
    device(root, "dm-0", "dm-1")
    device(root, "dm-1", "dm-0")
    assert origin(root, "dm-0")[0] is StorageKind.LOCAL


# --- Network -------------------------------------------------------------------------------------


def test_ports_with_the_names_of_their_owners(root: Path) -> None:
    write(root, "proc/net/tcp", PROC_NET_TCP)
    write(root, "proc/net/udp", PROC_NET_TCP.replace("1E14", "0016"))
    write(root, "proc/4711/comm", "hapaird\n")
    (root / "proc/4711/fd").mkdir()
    (root / "proc/4711/fd/3").symlink_to("socket:[17301]")
    (root / "proc/4712").mkdir()
    assert network.busy_ports(root, 7700, 7799) == (
        BusyPort("tcp", 7700, "hapaird"),
        BusyPort("tcp", 7701),
        BusyPort("udp", 7701),
    )


def test_free_ports_cost_nothing(root: Path) -> None:
    assert network.busy_ports(root, 7700, 7799) == ()


def test_real_ports_of_this_machine() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        (found,) = network.busy_ports(Path("/"), port, port)
    assert (found.protocol, found.port) == ("tcp", port)
    assert found.owner


@pytest.mark.parametrize(
    ("result", "seen"),
    [
        (says("Welcome\nb1\n"), SshTry("10.0.0.1", "b1", "")),
        (says(""), SshTry("10.0.0.1", "", "no answer")),
        (
            Finished(255, "", "\nssh: connect: Connection refused\n"),
            SshTry("10.0.0.1", "", "ssh: connect: Connection refused"),
        ),
        (Finished(1, "", ""), SshTry("10.0.0.1", "", "exit code 1")),
        (TimedOut(30.0), SshTry("10.0.0.1", "", "no answer within 30 s")),
    ],
)
async def test_a_login_tells_who_answered(result: Finished | TimedOut, seen: SshTry) -> None:
    (found,) = await network.logins(Answers({"ssh": result}), ["10.0.0.1"])
    assert found == seen


async def test_only_a_few_logins_at_once() -> None:
    """Sshd drops connections when too many are unauthenticated."""
    now = most = 0

    async def counting(
        argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del argv, timeout_s, stdin
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return says("b1")

    await network.logins(counting, [f"10.0.0.{number}" for number in range(20)])
    assert most == network.LOGINS_AT_ONCE


async def test_commands_reach_the_other_machine_by_one_shared_connection(tmp_path: Path) -> None:
    answers = Answers({"ssh": says("yes")})
    machine = SshMachine(answers, "10.77.1.2", tmp_path)
    assert await machine(("clscan", "--json", "a b"), timeout_s=1.0) == says("yes")
    await machine.close()
    argv, closing = answers.calls
    assert argv[-3:-1] == ("root@10.77.1.2", "--")
    assert argv[-1].endswith("clscan --json 'a b'")
    assert "-oBatchMode=yes" in argv
    assert "-oControlMaster=auto" in argv
    assert closing[-3:] == ("-O", "exit", "root@10.77.1.2")
