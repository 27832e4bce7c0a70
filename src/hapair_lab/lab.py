"""The lab as a ``with`` block: three guests, the cables between them, and their snapshots."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hapair_lab import emulator, hub, relay, strip, topology
from hapair_lab.acceleration import Acceleration, acceleration_for
from hapair_lab.emulator import EmulatorPlan
from hapair_lab.errors import LabError
from hapair_lab.folders import SOCKET_PATH_MAX_BYTES, new_run_folder
from hapair_lab.guests import Guests, uml_kernel
from hapair_lab.images import Image, image_for, images_from_json, images_to_json
from hapair_lab.machine import Machine
from hapair_lab.process import Process
from hapair_lab.progress import say
from hapair_lab.room import refuse_without_room
from hapair_lab.saved import Saved, find
from hapair_lab.turns import turn_of

POLL_S: Final = 0.1
POLL_MAX_S: Final = 2.0
# How long a story waits for what it expects. It is a fuse: emulated guests are slow, and beside a
# whole run of the tests four times slower. How long things take is measured in ``bench``.
PATIENCE_S: Final = 480.0
PLANT_START_TIMEOUT_S: Final = 60.0
DESCRIPTION: Final = "lab.json"
CUTS: Final = "cuts.json"

# Which Debian release each guest runs; a pair in the middle of an upgrade has two of them.
BOOKWORM: Final = {guest.name: "bookworm" for guest in topology.GUESTS}
TRIXIE: Final = {**BOOKWORM, "node1": "trixie", "node2": "trixie"}
MIXED: Final = {**BOOKWORM, "node2": "trixie"}


@dataclass(frozen=True, slots=True)
class Description:
    """What another process must know to use a running lab."""

    images: dict[str, Image]
    acceleration: Acceleration
    ssh_ports: dict[str, int]
    origin: str
    origin_folder: str


class Lab:
    """Three guests that run, or can be made to run.

    Use ``Lab.from_snapshot`` or ``Lab.cold``; as a ``with`` block it leaves nothing behind.
    """

    def __init__(
        self,
        folder: Path,
        description: Description,
        *,
        dies_with_parent: bool,
        takes_turn: bool | None = None,
    ) -> None:
        longest = folder / "outside.uml" / "uml" / "mconsole"
        if len(str(longest)) > SOCKET_PATH_MAX_BYTES:
            raise LabError(
                f"{folder} is too long a path for sockets", hint="set XDG_CACHE_HOME to a short one"
            )
        self.folder = folder
        self.description = description
        self._dies_with_parent = dies_with_parent
        self._has_turn = dies_with_parent if takes_turn is None else takes_turn
        self._turn = turn_of(description.acceleration)
        if self._has_turn:
            self._turn.take()
        folder.mkdir(exist_ok=True)  # Somebody may have tidied up while we waited.
        self.machines = tuple(
            Machine(
                EmulatorPlan(
                    guest=guest,
                    folder=folder,
                    image=description.images[guest.name],
                    acceleration=description.acceleration,
                    ssh_port=description.ssh_ports[guest.name],
                    dies_with_parent=dies_with_parent,
                ),
                self.note,
            )
            for guest in topology.GUESTS
        )
        self.node1, self.node2, self.outside = self.machines
        self.nodes = (self.node1, self.node2)
        lifetime = "yes" if dies_with_parent else "no"
        is_uml = description.acceleration is Acceleration.UML
        frames = "packets" if is_uml else "stream"
        self._hub = plant_in(folder, "hub", "hub", frames, hub.CONTROL)
        self._strip = plant_in(folder, "strip", "strip_process", lifetime, strip.CONTROL)
        self._plants: tuple[Plant, ...] = (self._hub, self._strip)
        if is_uml:
            self._plants += (plant_in(folder, "relay", "relay", "", relay.READY),)

    # Making one.

    @classmethod
    def cold(
        cls,
        releases: Mapping[str, str] = BOOKWORM,
        kind: Guests | None = None,
        *,
        dies_with_parent: bool = True,
    ) -> Lab:
        """Return a lab whose guests have just booted from the bare images of their releases."""
        images, acceleration = equipment(releases, kind)
        refuse_without_room(acceleration)
        description = Description(images, acceleration, ssh_ports(), "cold", "")
        lab = cls(new_run_folder(), description, dies_with_parent=dies_with_parent)
        with ClosingOnError(lab):
            lab.boot()
        return lab

    @classmethod
    def from_snapshot(cls, name: str, *, dies_with_parent: bool = True) -> Lab:
        """Return a lab that continues from the snapshot of that name that was used last."""
        return cls.from_saved(find(name), dies_with_parent=dies_with_parent)

    @classmethod
    def at_rest(cls, saved: Saved, *, dies_with_parent: bool) -> Lab:
        """Return a lab that shall continue from ``saved``: others can find it, nothing runs yet."""
        refuse_without_room(saved.acceleration)
        description = Description(
            saved.images, saved.acceleration, ssh_ports(), saved.name, str(saved.folder)
        )
        lab = cls(new_run_folder(), description, dies_with_parent=dies_with_parent)
        with ClosingOnError(lab):
            write_description(lab.folder, description)
        return lab

    @classmethod
    def from_saved(cls, saved: Saved, *, dies_with_parent: bool = True) -> Lab:
        """Return a lab that continues where ``saved`` was taken; the saved one stays as it is."""
        lab = cls.at_rest(saved, dies_with_parent=dies_with_parent)
        with ClosingOnError(lab):
            lab.continue_from(saved)
        return lab

    @classmethod
    def attach(cls, folder: Path, *, guests_die_with_us: bool = False) -> Lab:
        """Return the lab that another process started in ``folder``."""
        description = read_description(folder)
        return cls(folder, description, dies_with_parent=guests_die_with_us, takes_turn=False)

    def boot(self) -> None:
        """Boot all guests from new disks on the bare image."""
        write_description(self.folder, self.description)
        for machine in self.machines:
            machine.emulator.create_disks(None)
        self._start_plants()
        for machine in self.machines:
            machine.power_on(wait=False)
        in_parallel(Machine.wait_until_booted, self.machines)

    def _start_plants(self) -> None:
        """Start what stands beside the guests: the cable plant and the power strip."""
        source = str(Path(hub.__file__).parent.parent)
        started = [plant for plant in self._plants if plant.process.pid() is None]
        for plant in started:
            shutil.rmtree(plant.sockets, ignore_errors=True)
            plant.sockets.mkdir()
            plant.process.start(
                [sys.executable, "-c", plant.program, source, str(plant.sockets), plant.word],
                dies_with_parent=self._dies_with_parent,
            )
        for plant in started:
            self.wait_until(
                f"{plant.sockets.name} listens ({plant.process.log})",
                (plant.sockets / plant.ready).exists,
                timeout_s=PLANT_START_TIMEOUT_S,
            )

    def continue_from(self, saved: Saved) -> None:
        """Throw away what the guests are now, and let all go on at once from a saved state."""
        self.description = replace(
            self.description, origin=saved.name, origin_folder=str(saved.folder)
        )
        write_description(self.folder, self.description)
        for machine in self.machines:
            machine.emulator.kill()
            machine.close_channel()
            machine.emulator.create_disks(saved.folder)
            copy_if_there(saved.folder / machine.plan.path(emulator.PULLED).name, self.folder)
        self._start_plants()
        self._set_cuts(frozenset())
        self.set_strip(strip.Setting())
        running = [machine for machine in self.machines if machine.name in saved.running]
        for machine in running:
            machine.emulator.start_saved(saved.folder)
        in_parallel(lambda machine: machine.emulator.wait_until_loaded(), running)
        for machine in running:
            machine.emulator.resume()
        in_parallel(lambda machine: machine.set_clock(time.time()), running)
        self.note(f"continues from snapshot {saved.name}")

    # Snapshots.

    def save_to(self, folder: Path) -> tuple[str, ...]:
        """Move the frozen lab into ``folder``; afterwards the lab has no guests that run.

        Returns the names of the guests that had power. The caller continues from the saved state
        with ``Lab.from_saved``, or closes the lab.
        """
        running = [machine for machine in self.machines if machine.is_on()]
        for machine in running:
            machine.emulator.begin_saving()
        in_parallel(lambda machine: machine.emulator.save(folder), running)
        for machine in self.machines:
            machine.close_channel()
            machine.emulator.keep_disks(folder)
            copy_if_there(machine.plan.path(emulator.PULLED), folder)
        return tuple(machine.name for machine in running)

    # Its life.

    def is_running(self) -> bool:
        """Tell whether any process of the lab lives."""
        return any(plant.process.pid() is not None for plant in self._plants) or any(
            machine.is_on() for machine in self.machines
        )

    def close(self, after: BaseException | None = None) -> None:
        """End all processes of the lab and remove its folder. May be called again.

        ``after`` is what made an end of it: whoever interrupts is told what goes on, because a
        second Ctrl-C ends nothing any sooner.
        """
        with uninterrupted():
            if isinstance(after, KeyboardInterrupt):
                say("ending the guests ...")
            self._close()

    def _close(self) -> None:
        self._strip.process.kill()  # First, so that it switches nothing on meanwhile.
        for machine in self.machines:
            machine.emulator.kill()
            machine.close_channel()
        for plant in self._plants:
            plant.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._has_turn:
            self._has_turn = False
            self._turn.give()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(error)

    # The story.

    def prefer(self) -> None:
        """Let its guests go before the host's other work: what is seen is then their own doing."""
        for machine in self.machines:
            machine.emulator.process.prefer()
        for plant in self._plants:
            plant.process.prefer()

    def machine(self, name: str) -> Machine:
        """Return the guest called ``name``."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        names = ", ".join(machine.name for machine in self.machines)
        raise LabError(f"there is no guest {name!r}", hint=f"the guests are {names}")

    def note(self, text: str) -> None:
        """Write a line into the lab's own timeline, with the wall clock of host and guests."""
        line = json.dumps({"wall_clock_s": time.time(), "what": text})
        with (self.folder / "timeline.jsonl").open("a") as timeline:
            timeline.write(f"{line}\n")

    def wait_until(self, what: str, holds: Callable[[], bool], *, timeout_s: float) -> float:
        """Wait until ``holds()``; return the seconds it took. LabError names ``what`` if it never.

        ``what`` is a sentence: "node2 runs the application".
        """
        begun_s = time.monotonic()
        looked_s = begun_s
        while not holds():
            now_s = time.monotonic()
            if now_s - begun_s > timeout_s:
                raise LabError(f"not within {timeout_s:.0f} s: {what}")
            # Looking takes time from what is waited for.
            time.sleep(min(max(POLL_S, now_s - looked_s), POLL_MAX_S))
            looked_s = time.monotonic()
        return time.monotonic() - begun_s

    def cut(self, source: Machine, target: Machine, *, segment: topology.Segment) -> None:
        """Let the switch lose all frames from ``source`` to ``target`` on a segment: one way."""
        self._set_cuts(self.cuts() | {hub.Cut(source.name, target.name, segment)})

    def mend_all_cuts(self) -> None:
        """Let the switches carry everything again."""
        self._set_cuts(frozenset())

    def cuts(self) -> frozenset[hub.Cut]:
        """Return what the switches lose at the moment."""
        kept = self.folder / CUTS
        return hub.read_cuts(kept.read_bytes()) if kept.exists() else frozenset()

    def _set_cuts(self, cuts: frozenset[hub.Cut]) -> None:
        said = ", ".join(f"{c.source} to {c.target} ({c.segment})" for c in sorted(cuts))
        self.note(f"network cut: {said or 'none'}")
        (self.folder / CUTS).write_bytes(hub.write_cuts(cuts))
        hub.set_cuts(self.folder / "hub", cuts)

    def set_strip(self, setting: strip.Setting) -> None:
        """Let the power strip behave like this from now on; see ``strip.Manner``."""
        self.note(f"power strip: {setting.manner}, {setting.delay_s:g} s for each request")
        strip.set_strip(self.folder / "strip", setting)

    def install_fence_agent(self) -> None:
        """Give both nodes the agent with which they can switch each other off."""
        for node in self.nodes:
            node.put(strip.AGENT_PATH, strip.AGENT.read_bytes(), mode=0o755)


PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from hapair_lab import {module}; {module}.main()"
)


@dataclass(frozen=True, slots=True)
class Plant:
    """A process that stands beside the guests; ``ready`` appears in ``sockets`` when it serves."""

    process: Process
    program: str
    sockets: Path
    word: str
    ready: str


def plant_in(folder: Path, name: str, module: str, word: str, ready: str) -> Plant:
    """Return a plant of the lab in ``folder`` whose program is ``main`` of one of our modules."""
    sockets = folder / name
    process = Process(folder / f"{name}.pid", str(sockets), folder / f"{name}.log")
    return Plant(process, PROGRAM.format(module=module), sockets, word, ready)


class ClosingOnError:
    """Close a lab whose making fails, so that nothing is left running."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._lab.close(error)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Take no notice of Ctrl-C meanwhile: what is half ended would run for ever.

    Only the main thread is ever interrupted, and only it may say so.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def in_parallel(work: Callable[[Machine], object], machines: Iterable[Machine]) -> None:
    """Do the same for several machines at once; the first error is raised when all are done.

    A Ctrl-C waits for none of them: what they wait for is about to be ended.
    """
    chosen = tuple(machines)
    pool = ThreadPoolExecutor(max_workers=max(len(chosen), 1))
    try:
        futures = [pool.submit(work, machine) for machine in chosen]
        wait(futures)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for future in futures:
        future.result()


def equipment(
    releases: Mapping[str, str], kind: Guests | None = None
) -> tuple[dict[str, Image], Acceleration]:
    """Return each guest's image, built now where the cache has none, and what executes them.

    Without a ``kind`` it is the one that ``guests`` finds.
    """
    kernel = uml_kernel(kind)
    images = {guest.name: image_for(releases[guest.name], kernel) for guest in topology.GUESTS}
    if kernel is not None:
        return images, Acceleration.UML
    return images, acceleration_for(images[topology.OUTSIDE.name])


def copy_if_there(source: Path, folder: Path) -> None:
    """Copy a file into a folder, in place of an older one; without a source there is none."""
    target = folder / source.name
    target.unlink(missing_ok=True)
    if source.exists():
        shutil.copyfile(source, target)


def ssh_ports() -> dict[str, int]:
    """Return for each guest a port of the loopback address that nobody listens on at the moment."""
    sockets = {guest.name: socket.socket() for guest in topology.GUESTS}
    try:
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        return {name: int(each.getsockname()[1]) for name, each in sockets.items()}
    finally:
        for each in sockets.values():
            each.close()


def write_description(folder: Path, description: Description) -> None:
    """Leave in the lab's folder what ``attach`` reads."""
    content = {
        "images": images_to_json(description.images),
        "acceleration": description.acceleration,
        "ssh_ports": description.ssh_ports,
        "origin": description.origin,
        "origin_folder": description.origin_folder,
    }
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=2))


def read_description(folder: Path) -> Description:
    """Read what ``write_description`` left; LabError if there is no lab."""
    try:
        content = json.loads((folder / DESCRIPTION).read_text())
        return Description(
            images=images_from_json(content["images"]),
            acceleration=Acceleration(content["acceleration"]),
            ssh_ports=dict(content["ssh_ports"]),
            origin=content["origin"],
            origin_folder=content["origin_folder"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"there is no lab in {folder}: {error}", hint="cllab up") from error
