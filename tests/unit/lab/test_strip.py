"""The power strip, with real sockets and without emulators; and the agent that speaks to it."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hapair.adapters.fencing.metadata import MetaData, parse
from hapair_lab.payload.fence_lab import META_DATA, read_options
from hapair_lab.strip import (
    AGENT,
    LINE_MAX_BYTES,
    READ_BYTES,
    Manner,
    Setting,
    Strip,
    read_setting,
    set_strip,
    socket_path,
)

TURN_S = 1.0
QUIET_S = 0.05


@dataclass
class Outlet:
    on: bool = True
    switched: list[str] = field(default_factory=list)

    def is_on(self) -> bool:
        return self.on

    def power_off(self) -> None:
        self.on = False
        self.switched.append("off")

    def power_on(self, *, wait: bool) -> None:
        assert not wait, "the others must not wait for a boot"
        self.on = True
        self.switched.append("on")


class Room:
    """A strip, and the line of node2 to it. Time passes when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 100.0
        self.outlets = {"node1": Outlet(), "node2": Outlet()}
        self.strip = Strip(
            folder, self.outlets, guests=("node1", "node2"), now_s=lambda: self.now_s
        )
        self.line = self.plug_in()

    def plug_in(self) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(QUIET_S)
        line.connect(str(socket_path(self.folder, "node2")))
        self.strip.turn(TURN_S)
        return line

    def send(self, data: bytes) -> None:
        self.line.sendall(data)
        self.strip.turn(TURN_S)

    def ask(self, action: str, plug: str = "node1") -> dict[str, object]:
        self.send(json.dumps({"id": 7, "action": action, "plug": plug}).encode() + b"\n")
        return self.answer()

    def answer(self) -> dict[str, object]:
        answer = json.loads(self.line.recv(4096))
        assert isinstance(answer, dict)
        return answer

    def is_silent(self) -> bool:
        try:
            self.line.recv(1)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self.strip.close()
        self.line.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.close()


def test_it_switches_off_and_on_and_tells_the_state(room: Room) -> None:
    assert room.ask("status") == {"id": 7, "state": "on"}
    assert room.ask("off") == {"id": 7, "state": "off"}
    assert room.ask("status") == {"id": 7, "state": "off"}
    assert room.ask("on") == {"id": 7, "state": "on"}
    assert room.outlets["node1"].switched == ["off", "on"]
    assert room.outlets["node2"].switched == []


def test_what_is_off_stays_off_when_it_is_asked_again(room: Room) -> None:
    room.ask("off")
    assert room.ask("off") == {"id": 7, "state": "off"}
    assert room.outlets["node1"].switched == ["off"]


def test_it_lists_its_plugs_and_refuses_what_it_has_not(room: Room) -> None:
    assert room.ask("list") == {"id": 7, "plugs": ["node1", "node2"]}
    assert "node1, node2" in str(room.ask("off", "node3")["error"])
    assert "dance" in str(room.ask("dance")["error"])


def test_without_power_it_neither_answers_nor_switches(room: Room) -> None:
    room.strip.setting = Setting(Manner.DEAD)
    room.send(b'{"id": 7, "action": "off", "plug": "node1"}\n')
    assert room.is_silent()
    assert room.outlets["node1"].on


def test_what_it_had_not_done_when_its_power_went_is_never_done(room: Room) -> None:
    room.strip.setting = Setting(delay_s=5.0)
    room.send(b'{"id": 7, "action": "off", "plug": "node1"}\n')
    room.strip.setting = Setting(Manner.DEAD)
    room.now_s += 5
    room.strip.turn(0)
    assert room.is_silent()
    assert room.outlets["node1"].on


def test_it_may_refuse(room: Room) -> None:
    room.strip.setting = Setting(Manner.REFUSES)
    assert "locked" in str(room.ask("off")["error"])
    assert room.outlets["node1"].on


def test_a_slow_one_switches_when_the_time_has_come(room: Room) -> None:
    room.strip.setting = Setting(delay_s=5.0)
    room.send(b'{"id": 7, "action": "off", "plug": "node1"}\n')
    assert room.is_silent()
    assert room.outlets["node1"].on
    room.now_s += 5
    room.strip.turn(TURN_S)
    assert room.answer() == {"id": 7, "state": "off"}


def test_half_a_request_of_a_killed_agent_spoils_nothing(room: Room) -> None:
    room.send(b'{"id": 6, "action": "off", "pl')
    room.send(b"\n[]\n")
    assert room.ask("status") == {"id": 7, "state": "on"}


def test_a_guest_that_starts_again_gets_a_new_line(room: Room) -> None:
    room.line.close()
    room.line = room.plug_in()
    room.strip.turn(0)
    assert room.ask("status") == {"id": 7, "state": "on"}


def test_what_never_ends_is_cut_off(room: Room) -> None:
    for _ in range(LINE_MAX_BYTES // READ_BYTES + 1):
        room.send(b"x" * READ_BYTES)
    assert room.line.recv(1) == b""


def test_its_manner_is_set_from_outside(room: Room) -> None:
    setting = Setting(Manner.REFUSES, 1.5)
    caller = threading.Thread(target=set_strip, args=(room.folder, setting))
    caller.start()
    room.strip.turn(TURN_S)
    caller.join()
    assert room.strip.setting == setting
    assert read_setting(setting.line()) == setting


def test_the_agent_describes_itself_as_fence_agents_do() -> None:
    described = parse("fence_lab", META_DATA)
    assert isinstance(described, MetaData)
    assert described.knows("plug")
    assert {"off", "status"} <= set(described.actions)


def test_the_agent_reads_options_as_fence_agents_do() -> None:
    lines = ["# a comment\n", "\n", "shell-timeout=5\n", "plug=node=1\n"]
    assert read_options(lines) == {"shell_timeout": "5", "plug": "node=1"}


def run_agent(*lines: str) -> tuple[int, str]:
    finished = subprocess.run(
        (str(AGENT),), input="\n".join(lines), capture_output=True, check=False, text=True
    )
    return finished.returncode, finished.stdout + finished.stderr


def test_the_agent_ends_with_the_exit_codes_of_the_api() -> None:
    assert run_agent("action=metadata")[0] == 0
    assert run_agent("action=off")[0] == 1
    assert run_agent("action=dance", "plug=node1")[0] == 1
    assert run_agent("action=on", "plug=node1", "shell_timeout=soon")[0] == 1
    code, said = run_agent("action=status", "plug=node1")
    assert code == 1
    assert "guest of the lab" in said
