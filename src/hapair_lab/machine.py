"""A guest as the author of a scenario sees it: it runs commands, loses power, loses cables."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from hapair_lab.acceleration import Acceleration
from hapair_lab.channel import Answer, Channel, Finished
from hapair_lab.emulator import Emulator, EmulatorPlan
from hapair_lab.errors import LabError
from hapair_lab.qemu import Qemu
from hapair_lab.uml import Uml

BOOT_TIMEOUT_S: Final = 600.0
SHUTDOWN_TIMEOUT_S: Final = 300.0
COMMAND_TIMEOUT_S: Final = 180.0
CARRIER_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.1
LINE_BYTES: Final = 2048  # Half of what the terminal of a guest without virtio keeps.
ASK_TIMEOUT_S: Final = 60.0
CONSOLE_END: Final = 1500  # So many characters of it are quoted.
CONTROL_SOCKET: Final = "/run/hapair/control.sock"

Note = Callable[[str], None]


class Cable:
    """The cable of one card."""

    def __init__(self, machine: Machine, card: str) -> None:
        if card not in {c.name for c in machine.plan.guest.cards}:
            names = ", ".join(c.name for c in machine.plan.guest.cards)
            raise LabError(f"{machine.name} has no card {card!r}", hint=f"its cards: {names}")
        self._machine = machine
        self._card = card

    def pull(self) -> None:
        """Take the cable out: the guest's card has no carrier at once."""
        self._set(plugged=False)

    def plug(self) -> None:
        """Put the cable in again."""
        self._set(plugged=True)

    def _set(self, *, plugged: bool) -> None:
        verb = "plugged in" if plugged else "pulled"
        self._machine.note(f"{self._machine.name}: cable of {self._card} {verb}")
        self._machine.emulator.set_cable(self._card, plugged=plugged)


class Machine:
    """One guest of a lab."""

    def __init__(self, plan: EmulatorPlan, note: Note) -> None:
        self.plan = plan
        self.name = plan.guest.name
        self.emulator: Emulator = (
            Uml(plan, self) if plan.acceleration is Acceleration.UML else Qemu(plan)
        )
        self.note = note
        self._channel: Channel | None = None
        self._channel_lock = threading.Lock()  # Who samples a guest does it in another thread.

    # Commands and files.

    def run(
        self,
        command: str | Sequence[str],
        *,
        timeout_s: float = COMMAND_TIMEOUT_S,
        stdin: bytes = b"",
    ) -> Finished:
        """Run a command (a text goes through the shell) and return how it ended, well or not."""
        return self.channel().run(_argv(command), timeout_s=timeout_s, stdin=stdin)

    def check(
        self,
        command: str | Sequence[str],
        *,
        timeout_s: float = COMMAND_TIMEOUT_S,
        stdin: bytes = b"",
    ) -> str:
        """Run a command that must succeed, and return what it printed; LabError if it fails."""
        finished = self.run(command, timeout_s=timeout_s, stdin=stdin)
        if not finished.ok:
            how = "ran into its time limit" if finished.timed_out else f"gave {finished.exit_code}"
            said = f"{finished.stdout}{finished.stderr}".strip()
            raise LabError(f"{self.name}: {command!r} {how}:\n{said}")
        return finished.stdout

    def begin(self, command: str | Sequence[str], *, timeout_s: float) -> Future[Answer]:
        """Start a command and return at once; the guest goes on when the caller does other things.

        Use it for what is expected to be cut short by a fault. The future holds the raw answer.
        """
        request = {"do": "run", "argv": list(_argv(command)), "timeout_s": timeout_s}
        return self.channel().ask(request)

    def put(self, path: str, content: bytes | str, *, mode: int = 0o644) -> None:
        """Write a file in the guest."""
        data = content.encode() if isinstance(content, str) else content
        self.channel().put(path, data, mode)

    def get(self, path: str, offset: int = 0) -> bytes:
        """Read a file of the guest, from ``offset`` on; LabError if there is none."""
        return self.channel().get(path, offset)

    def ask_daemon(self, verb: str, *, timeout_s: float = ASK_TIMEOUT_S) -> dict[str, object]:
        """Ask the guest's daemon at its control socket; LabError when it gives no good answer.

        To look again and again in this way costs the guest nothing. A command of ours would be a
        new interpreter each time, which takes an emulated processor a second.
        """
        line = json.dumps({"verb": verb, "args": {}}).encode() + b"\n"
        said = self.channel().ask_server(CONTROL_SOCKET, line, timeout_s)
        answer = json.loads(said) if said.endswith(b"\n") else {}
        if not answer.get("ok"):
            raise LabError(f"{self.name}: the daemon answers {verb} with {said.decode()!r}")
        return dict(answer["result"])

    def set_clock(self, wall_clock_s: float) -> None:
        """Set the guest's wall clock. The monotonic clock goes on undisturbed."""
        self.channel().set_clock(wall_clock_s)

    def channel(self) -> Channel:
        """Return the connection to the agent, made when it is first needed."""
        with self._channel_lock:
            if self._channel is not None and not self._channel.is_open():
                # The power strip, or the guest itself, took the power.
                self._channel.close()
                self._channel = None
            if self._channel is None:
                if not self.emulator.is_running():
                    raise LabError(
                        f"{self.name} is powered off\n{self.emulator.process.last_words()}".strip()
                    )
                window_bytes = LINE_BYTES if self.plan.acceleration is Acceleration.UML else None
                path = self.plan.path("agent")
                self._channel = Channel(
                    self.name, path, window_bytes=window_bytes, is_on=self.emulator.is_running
                )
            return self._channel

    def close_channel(self) -> None:
        """Drop the connection to the agent, e.g. because the emulator is about to end."""
        with self._channel_lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None

    # Power.

    def is_on(self) -> bool:
        """Tell whether the machine has power."""
        return self.emulator.is_running()

    def power_off(self) -> None:
        """Pull the plug: nothing is told to the guest, what it had not flushed is lost."""
        self.note(f"{self.name}: power off")
        self.emulator.kill()
        self.close_channel()

    def power_on(self, *, wait: bool = True) -> None:
        """Give power again, and wait until the machine has booted unless told not to."""
        self.note(f"{self.name}: power on")
        self.close_channel()
        self.emulator.start()
        if wait:
            self.wait_until_booted()

    def reset(self, *, wait: bool = True) -> None:
        """Press the reset button."""
        self.note(f"{self.name}: reset")
        self.emulator.reset()
        self.close_channel()
        if wait:
            self.wait_until_booted()

    def freeze(self) -> None:
        """Stop the processor: nothing runs, nothing answers, cards keep their carrier."""
        self.note(f"{self.name}: frozen")
        self.emulator.pause()

    def thaw(self) -> None:
        """Let the processor go on as if nothing had happened."""
        self.note(f"{self.name}: thawed")
        self.emulator.resume()

    def wait_until_booted(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Wait until systemd says that the boot is over."""
        deadline_s = time.monotonic() + timeout_s
        while not self._answers():
            if not self.is_on():
                words = self.emulator.process.last_words() or "it said nothing"
                raise self._not_booted(f"its emulator ended: {words}")
            if time.monotonic() > deadline_s:
                raise self._not_booted(f"no answer within {timeout_s:.0f} s")
        left_s = max(deadline_s - time.monotonic(), 1.0)
        state = self.run(["systemctl", "is-system-running", "--wait"], timeout_s=left_s)
        if state.stdout.strip() not in {"running", "degraded"}:
            raise LabError(f"{self.name} did not boot: systemd says {state.stdout.strip()!r}")
        self.emulator.has_booted()

    def _answers(self) -> bool:
        try:
            return self.channel().answers_hello()
        except LabError:
            if self.is_on():
                raise
            return False

    def _not_booted(self, why: str) -> LabError:
        """Return the error with the end of the console: the lab's folder is about to be removed."""
        console = self.plan.path("console")
        said = console.read_text(errors="replace").strip() if console.exists() else ""
        end = said[-CONSOLE_END:] or "nothing"
        return LabError(f"{self.name} did not boot: {why}\nthe end of its console:\n{end}")

    def wait_until_off(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        """Wait until the guest has powered itself off."""
        deadline_s = time.monotonic() + timeout_s
        while self.is_on():
            if time.monotonic() > deadline_s:
                raise LabError(f"{self.name} did not power itself off within {timeout_s:.0f} s")
            time.sleep(POLL_S)
        self.close_channel()

    def halt(self) -> None:
        """Tell the guest to power itself off in order; ``wait_until_off`` waits for it."""
        self.begin(["systemctl", "poweroff"], timeout_s=COMMAND_TIMEOUT_S)

    # Cables.

    def set_carriers(self, cards: Mapping[str, bool]) -> None:
        """Let a guest that has no emulated cards see which of its cards have a carrier.

        One that does not answer sees it when it is thawed, or boots.
        """
        commands = "; ".join(
            f"ip -n cables link set {card} {'up' if up else 'down'}" for card, up in cards.items()
        )
        with contextlib.suppress(LabError):
            self.check(commands, timeout_s=CARRIER_TIMEOUT_S)

    def cable(self, card: str) -> Cable:
        """Return the cable of a card, to pull or plug it."""
        return Cable(self, card)


def _argv(command: str | Sequence[str]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
