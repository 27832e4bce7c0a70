"""How each fault is done to a lab, and how it is mended. Mending twice does no harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hapair_lab import faults, witness_service
from hapair_lab.faults import Direction, Packets
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.soak.words import Kind
from hapair_lab.topology import Segment

DAEMON: Final = "hapaird.service"
ORDERS_VOLUME: Final = "/dev/vg_orders/data"
ORDER_TIMEOUT_S: Final = 300.0
BUSY_PROCESSES: Final = 4
JUMP_S: Final = 3600.0
HEARTBEATS: Final = Packets(protocol="udp", port=7700)


@dataclass(frozen=True, slots=True)
class Hit:
    """Whom a fault befalls: a node, and the other one."""

    lab: Lab
    node: Machine
    other: Machine


Deed = Callable[[Hit], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a fault does, and what mends it."""

    strike: Deed
    mend: Deed


def _nothing(_: Hit) -> None:
    """Do nothing: the fault mends itself, or is mended when the machine has booted."""


def _replace_disk(hit: Hit) -> None:
    """Mend the volume, and let DRBD use it again, as the operator does who replaced a disk."""
    faults.mend_disk(hit.node, ORDERS_VOLUME)
    attach = f"blockdev --setrw {ORDERS_VOLUME}; drbdadm attach orders.data"  # It is guarded.
    hit.node.run(f"if grep -q ds:Diskless /proc/drbd; then {attach}; fi")


def _power_on(hit: Hit) -> None:
    if not hit.node.is_on():
        hit.node.power_on(wait=False)


def _thaw(hit: Hit) -> None:
    if hit.node.is_on():
        hit.node.thaw()


def _cables(*cards: str) -> Entry:
    def pull(hit: Hit) -> None:
        for card in cards:
            hit.node.cable(card).pull()

    def plug(hit: Hit) -> None:
        for card in cards:
            hit.node.cable(card).plug()

    return Entry(pull, plug)


def _switch(*segments: Segment, one_way: bool = False) -> Entry:
    def cut(hit: Hit) -> None:
        for segment in segments:
            hit.lab.cut(hit.node, hit.other, segment=segment)
            if not one_way:
                hit.lab.cut(hit.other, hit.node, segment=segment)

    return Entry(cut, lambda hit: hit.lab.mend_all_cuts())


def _filter_heartbeats(hit: Hit) -> None:
    for direction in Direction:
        faults.drop_packets(hit.node, HEARTBEATS, direction)


def _type(command: str) -> Deed:
    def typed(hit: Hit) -> None:
        hit.node.note(f"{hit.node.name}# {command}")
        hit.node.begin(command, timeout_s=ORDER_TIMEOUT_S)

    return typed


def _bad_line(hit: Hit) -> None:
    faults.bad_line(hit.node, "priv0", loss_percent=5, delay_s=0.03, jitter_s=0.02)


def _good_line(hit: Hit) -> None:
    if hit.node.is_on():
        faults.good_line(hit.node, "priv0")


def _signal_daemon(signal: str) -> Deed:
    def send(hit: Hit) -> None:
        hit.node.note(f"{hit.node.name}: signal {signal} to {DAEMON}")
        hit.node.run(["systemctl", "kill", "--kill-whom=main", f"--signal={signal}", DAEMON])

    return send


MENU: Final[dict[Kind, Entry]] = {
    Kind.POWER_OFF: Entry(lambda hit: hit.node.power_off(), _power_on),
    Kind.RESET: Entry(lambda hit: hit.node.reset(wait=False), _nothing),
    Kind.FREEZE: Entry(lambda hit: hit.node.freeze(), _thaw),
    Kind.REBOOT: Entry(_type("systemctl reboot"), _nothing),
    Kind.PUBLIC_CABLE: _cables("pub0", "pub1"),
    Kind.PRIVATE_CABLE: _cables("priv0", "priv1"),
    Kind.PUBLIC_SWITCH: _switch(Segment.PUBLIC),
    Kind.PRIVATE_SWITCH: _switch(Segment.PRIVATE),
    Kind.PUBLIC_ONE_WAY: _switch(Segment.PUBLIC, one_way=True),
    Kind.PRIVATE_ONE_WAY: _switch(Segment.PRIVATE, one_way=True),
    Kind.BOTH_SWITCHES: _switch(Segment.PUBLIC, Segment.PRIVATE),
    Kind.HEARTBEATS: Entry(_filter_heartbeats, lambda hit: faults.pass_packets(hit.node)),
    Kind.BAD_LINE: Entry(_bad_line, _good_line),
    Kind.DISK: Entry(
        lambda hit: faults.disk_errors(hit.node, ORDERS_VOLUME),
        _replace_disk,
    ),
    Kind.KILL_DAEMON: Entry(_signal_daemon("KILL"), _nothing),
    Kind.HANG_DAEMON: Entry(_signal_daemon("STOP"), _signal_daemon("CONT")),
    Kind.LOAD: Entry(
        lambda hit: faults.load(hit.node, BUSY_PROCESSES), lambda hit: faults.unload(hit.node)
    ),
    Kind.CLOCK: Entry(
        lambda hit: faults.clock_jump(hit.node, JUMP_S), lambda hit: faults.right_clock(hit.node)
    ),
    Kind.MOVE: Entry(_type("clmoveapp orders"), _nothing),
    Kind.WITNESS_KILLED: Entry(
        lambda hit: witness_service.kill(hit.lab.outside),
        lambda hit: witness_service.start(hit.lab.outside),
    ),
    Kind.WITNESS_HUNG: Entry(
        lambda hit: witness_service.hang(hit.lab.outside),
        lambda hit: witness_service.go_on(hit.lab.outside),
    ),
    Kind.WITNESS_CUT: Entry(
        lambda hit: witness_service.cut_from(hit.node), lambda hit: faults.pass_packets(hit.node)
    ),
}
