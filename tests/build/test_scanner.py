"""The scanner on a machine made of files and captured answers."""

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.scan import arbitration, network, software
from hapair.adapters.scan.scanner import Scanner
from hapair.adapters.ssh import SshMachine
from hapair.model.node_facts import (
    BusyPort,
    HookFile,
    Kernel,
    Protocols,
    ScanRequest,
    SecretFile,
    SshTry,
    WatchdogFacts,
)
from hapair.ports.programs import Finished, TimedOut
from tests.build.scanned import HEALTHY, Answers, says, write
from tests.build.test_scan_parse import PROC_NET_TCP

HOOK: Final = "/etc/cluster/pager"


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


@pytest.mark.parametrize(
    ("mode", "seen"),
    [
        (0o755, HookFile(HOOK, exists=True, executable=True, protected=True)),
        (0o644, HookFile(HOOK, exists=True, protected=True)),
        (0o757, HookFile(HOOK, exists=True, executable=True)),
    ],
)
def test_what_a_program_that_tells_alerts_is_like(root: Path, mode: int, seen: HookFile) -> None:
    write(root, HOOK.lstrip("/")).chmod(mode)
    assert arbitration.hook_file(root, HOOK) == seen


def test_a_program_of_a_foreign_group_or_owner_is_not_roots_own(root: Path) -> None:
    file = write(root, HOOK.lstrip("/"))
    file.chmod(0o775)
    assert arbitration.hook_file(root, HOOK).protected
    os.chown(file, -1, 4711)
    assert not arbitration.hook_file(root, HOOK).protected
    os.chown(file, 4711, 0)
    assert not arbitration.hook_file(root, HOOK).protected


def test_a_program_that_tells_alerts_is_a_file(root: Path) -> None:
    assert arbitration.hook_file(root, HOOK) == HookFile(HOOK)
    write(root, "usr/bin/pager").chmod(0o755)
    (root / "etc/cluster").mkdir(parents=True)
    (root / "etc/cluster/pager").symlink_to(root / "usr/bin/pager")
    assert arbitration.hook_file(root, HOOK).executable
    assert not arbitration.hook_file(root, "/etc/cluster").exists


async def test_a_scan_looks_for_what_it_was_asked_for(root: Path) -> None:
    write(root, "usr/sbin/fence_x").chmod(0o755)
    write(root, "dev/watchdog")
    request = ScanRequest(
        fence_agents=("fence_x",),
        watchdog="/dev/watchdog",
        secret_files=("/etc/secret",),
        hooks=(HOOK,),
    )
    facts = await Scanner(Answers(HEALTHY), root).scan(request)
    assert facts.fence_agents == ("fence_x",)
    assert facts.watchdog.exists
    assert facts.secret_files == (SecretFile("/etc/secret"),)
    assert facts.hooks == (HookFile(HOOK),)


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
