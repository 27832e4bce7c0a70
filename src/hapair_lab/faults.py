"""What can go wrong, on demand. Power, reset, freeze and cables are methods of ``Machine``.

Each fault here is a function of the machine it befalls, says in the lab's timeline what it does,
and has a counterpart that mends it. What mending needs is kept inside the guest, so that another
process (``cllab``) can mend what this one broke.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.machine import Machine

KEPT_FOLDER: Final = "/run/hapair-lab"
LOAD_UNIT: Final = "lab-load-{number}"


class Direction(StrEnum):
    """Which packets of a machine a rule catches."""

    IN = "ingress"
    OUT = "egress"


class DiskErrors(StrEnum):
    """Which requests to a device fail."""

    ALL = "all"
    WRITES = "writes"


# Processes.


def process_id(machine: Machine, who: int | str) -> int:
    """Return a process number: ``who`` is one, a pid file, or a systemd unit."""
    match who:
        case int():
            return who
        case path if path.startswith("/"):
            found = machine.check(["cat", path])
        case unit:
            found = machine.check(["systemctl", "show", "--value", "--property=MainPID", unit])
    pid = int(found.strip() or 0)
    if pid == 0:
        raise LabError(f"{machine.name}: {who} has no process")
    return pid


def signal_process(machine: Machine, who: int | str, signal: str) -> None:
    """Send a signal (``KILL``, ``STOP``, ``CONT``) to a process; see ``process_id``."""
    pid = process_id(machine, who)
    machine.note(f"{machine.name}: signal {signal} to {who} (pid {pid})")
    machine.check(["kill", f"-{signal}", str(pid)])


def kill_process(machine: Machine, who: int | str) -> None:
    """End a process at once."""
    signal_process(machine, who, "KILL")


def hang_process(machine: Machine, who: int | str) -> None:
    """Let a process stand still; ``continue_process`` mends it."""
    signal_process(machine, who, "STOP")


def continue_process(machine: Machine, who: int | str) -> None:
    """Let a process that stands still go on."""
    signal_process(machine, who, "CONT")


# Disks. A logical volume is a device-mapper device, so its table can be exchanged under load.


def _mapper_name(machine: Machine, device: str) -> str:
    finished = machine.run(["dmsetup", "info", "-c", "--noheadings", "-o", "name", device])
    if not finished.ok:
        raise LabError(
            f"{machine.name}: {device} is no device-mapper device",
            hint="name a logical volume such as /dev/vg/data; for a whole disk use disk unplug",
        )
    return finished.stdout.strip()


def _exchange_table(machine: Machine, name: str, table: str) -> None:
    machine.check(f"dmsetup load {name}", stdin=table.encode())
    machine.check(f"dmsetup suspend --noflush --nolockfs {name} && dmsetup resume {name}")
    # Until udev has looked at the new table, the volume's names may be gone.
    machine.run("udevadm settle --timeout=10")


def disk_errors(machine: Machine, device: str, which: DiskErrors = DiskErrors.ALL) -> None:
    """Let requests to a logical volume fail with an I/O error until ``mend_disk``."""
    name = _mapper_name(machine, device)
    table = machine.check(["dmsetup", "table", name]).strip()
    kept = f"{KEPT_FOLDER}/{name}.table"
    if machine.run(["test", "-e", kept]).ok:
        raise LabError(f"{machine.name}: {device} fails already")
    machine.put(kept, f"{table}\n")
    machine.note(f"{machine.name}: {which} requests to {device} fail")
    _exchange_table(machine, name, failing_table(table, which))


def failing_table(table: str, which: DiskErrors) -> str:
    """Return the device-mapper table that replaces ``table`` (lines of linear targets)."""
    lines = []
    for line in table.splitlines():
        start, length, target, *arguments = line.split()
        if which is DiskErrors.ALL:
            lines.append(f"{start} {length} error")
        elif target == "linear":
            # Never up, down for an hour: only the writes fail meanwhile.
            place = " ".join(arguments)
            lines.append(f"{start} {length} flakey {place} 0 3600 1 error_writes")
        else:
            raise LabError(f"only linear volumes can fail for writes alone, this is {target}")
    return "\n".join(lines) + "\n"


def disk_hang(machine: Machine, device: str) -> None:
    """Let requests to a logical volume wait for ever, until ``mend_disk``."""
    name = _mapper_name(machine, device)
    machine.note(f"{machine.name}: requests to {device} hang")
    machine.check(["dmsetup", "suspend", "--noflush", "--nolockfs", name])


def mend_disk(machine: Machine, device: str) -> None:
    """Undo ``disk_errors`` or ``disk_hang``; nothing happens if the device is well."""
    name = _mapper_name(machine, device)
    machine.note(f"{machine.name}: {device} is mended")
    kept = f"{KEPT_FOLDER}/{name}.table"
    if machine.run(["test", "-e", kept]).ok:
        _exchange_table(machine, name, machine.get(kept).decode())
        machine.check(["rm", kept])
        return  # It goes on, and what LVM suspends from now on, e.g. for a snapshot, is LVM's.
    # LVM of the node may resume it in the same moment: then there is nothing left to resume.
    resumed = machine.run(["dmsetup", "resume", name])
    shown = machine.check(["dmsetup", "info", "-c", "--noheadings", "-o", "suspended", name])
    if shown.strip() != "Active":
        raise LabError(f"{machine.name}: {device} cannot be resumed: {resumed.stderr.strip()}")


def disk_unplug(machine: Machine, disk: str) -> None:
    """Take a whole disk (``data``, ``spare``) out of the machine until its power was off."""
    machine.note(f"{machine.name}: disk {disk} is unplugged")
    machine.emulator.unplug_disk(disk)


def fill_file_system(machine: Machine, folder: str) -> None:
    """Use up the space of the file system that holds ``folder``; ``free_file_system`` mends it."""
    machine.note(f"{machine.name}: the file system of {folder} is filled")
    machine.run(f"dd if=/dev/zero of={folder}/hapair-lab-fill bs=1M", timeout_s=300)


def free_file_system(machine: Machine, folder: str) -> None:
    """Remove what ``fill_file_system`` wrote."""
    machine.check(f"rm -f {folder}/hapair-lab-fill")


# Networks, inside the guest. ``Lab.cut`` cuts in the switch, where no guest can see it.


@dataclass(frozen=True, slots=True)
class Packets:
    """Which IPv4 packets a rule catches: all of what is given must fit.

    ``peer`` is the address of the other end, ``port`` the one that the packet is sent to.
    """

    peer: str = ""
    protocol: str = ""  # "tcp", "udp" or "icmp".
    port: int = 0

    def match(self, direction: Direction) -> str:
        """Return it in the words of tc's classifier ``flower``."""
        address = "src_ip" if direction is Direction.IN else "dst_ip"
        words = (
            f"ip_proto {self.protocol}" if self.protocol else "",
            f"{address} {self.peer}" if self.peer else "",
            f"dst_port {self.port}" if self.port else "",
        )
        return " ".join(word for word in words if word)


def drop_packets(machine: Machine, what: Packets, direction: Direction) -> None:
    """Drop such packets on all cards but the lab's own; rules add up until ``pass_packets``."""
    machine.note(f"{machine.name}: {direction} packets are dropped: {what.match(direction)}")
    for card in _cabled_cards(machine):
        machine.check(
            f"tc qdisc add dev {card} clsact 2>/dev/null; "
            f"tc filter add dev {card} {direction} protocol ip flower {what.match(direction)} "
            "action drop"
        )


def pass_packets(machine: Machine) -> None:
    """Remove all rules of ``drop_packets``."""
    machine.note(f"{machine.name}: no packets are dropped any more")
    for card in _cabled_cards(machine):
        machine.run(f"tc qdisc delete dev {card} clsact")


def _cabled_cards(machine: Machine) -> tuple[str, ...]:
    return tuple(card.name for card in machine.plan.guest.cards if card.segment is not None)


def bad_line(
    machine: Machine, card: str, *, loss_percent: float = 0, delay_s: float = 0, jitter_s: float = 0
) -> None:
    """Lose and delay what the machine sends through a card, until ``good_line``."""
    machine.note(f"{machine.name}: {card} loses {loss_percent} % and delays by {delay_s} s")
    delay = f"delay {delay_s * 1000:.0f}ms {jitter_s * 1000:.0f}ms" if delay_s else ""
    loss = f"loss {loss_percent}%" if loss_percent else ""
    machine.check(f"tc qdisc replace dev {card} root netem limit 10000 {delay} {loss}")


def good_line(machine: Machine, card: str) -> None:
    """Undo ``bad_line``."""
    machine.note(f"{machine.name}: {card} is well again")
    machine.run(f"tc qdisc delete dev {card} root")


# Clock and load.


def clock_jump(machine: Machine, by_s: float) -> None:
    """Set the wall clock forward, or back, by some seconds."""
    machine.note(f"{machine.name}: the wall clock jumps by {by_s} s")
    machine.set_clock(float(machine.check(["date", "+%s.%N"])) + by_s)


def right_clock(machine: Machine) -> None:
    """Set the wall clock to the host's."""
    machine.note(f"{machine.name}: the wall clock is right again")
    machine.set_clock(time.time())


def load(machine: Machine, processes: int) -> None:
    """Keep the processor busy with so many processes, until ``unload``."""
    machine.note(f"{machine.name}: {processes} busy processes")
    for number in range(processes):
        unit = LOAD_UNIT.format(number=number)
        machine.check(
            ["systemd-run", f"--unit={unit}", "--collect", "sh", "-c", "while :; do :; done"]
        )


def unload(machine: Machine) -> None:
    """End what ``load`` began."""
    machine.note(f"{machine.name}: the busy processes end")
    machine.check(["systemctl", "stop", LOAD_UNIT.format(number="*")])
