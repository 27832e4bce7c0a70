#!/usr/bin/python3 -IS
"""The fence agent of the lab: asks the power strip on the host to switch a node off or on.

It conforms to the fence agent API: options as ``name=value`` lines on standard input; exit code 0
says success (of ``status``: on), 2 says off (of ``status`` only), 1 is a failure.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import select
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path

PORTS = "/sys/class/virtio-ports"
PORT = "hapair.fence"
LINE = "/dev/ttyS2"  # In a guest without virtio.
READ_BYTES = 4096
RETRY_S = 0.1
TIMEOUT_S = 10.0
OK, FAILED, OFF = 0, 1, 2
BUSY = (errno.EBUSY, errno.EAGAIN)

META_DATA = """<?xml version="1.0" ?>
<resource-agent name="fence_lab" shortdesc="Fence agent for the lab's power strip" >
<longdesc>Switches the guests of the lab off and on.</longdesc>
<parameters>
\t<parameter name="action" unique="0" required="1">
\t\t<content type="string" default="reboot" />
\t\t<shortdesc lang="en">Fencing action</shortdesc>
\t</parameter>
\t<parameter name="plug" unique="0" required="1" obsoletes="port">
\t\t<content type="string" />
\t\t<shortdesc lang="en">Name of the guest</shortdesc>
\t</parameter>
\t<parameter name="port" unique="0" required="0" deprecated="1">
\t\t<content type="string" />
\t\t<shortdesc lang="en">Name of the guest</shortdesc>
\t</parameter>
\t<parameter name="shell_timeout" unique="0" required="0">
\t\t<content type="second" default="10" />
\t\t<shortdesc lang="en">How long the strip may take for an answer</shortdesc>
\t</parameter>
</parameters>
<actions>
\t<action name="on" automatic="0" />
\t<action name="off" />
\t<action name="reboot" />
\t<action name="status" />
\t<action name="list" />
\t<action name="monitor" />
\t<action name="metadata" />
</actions>
</resource-agent>
"""

Message = dict[str, object]


class StripError(Exception):
    """The strip gave no answer, or a bad one."""


def read_options(lines: list[str]) -> dict[str, str]:
    """Read the lines of standard input; comments and empty lines say nothing."""
    options: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            options[name.replace("-", "_")] = value
    return options


def open_port(deadline_s: float) -> int:
    """Open the line to the strip; only one process at a time can."""
    if Path(LINE).exists() and not Path(PORTS).exists():
        return open_line(deadline_s)
    names = (path for path in Path(PORTS).glob("*/name") if path.read_text().strip() == PORT)
    found = next(names, None)
    if found is None:
        raise StripError(f"there is no virtio port {PORT}: is this a guest of the lab?")
    while True:
        try:
            return os.open(f"/dev/{found.parent.name}", os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            if error.errno not in BUSY or time.monotonic() > deadline_s:
                raise StripError(f"the line to the strip: {error.strerror}") from error
            time.sleep(RETRY_S)


def open_line(deadline_s: float) -> int:
    """Open the serial line and lock it, as a virtio port is by itself."""
    line = os.open(LINE, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    while True:
        try:
            fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline_s:
                os.close(line)
                raise StripError(f"the line to the strip: {error.strerror}") from error
            time.sleep(RETRY_S)
        else:
            tty.setraw(line)
            return line


def ask(request: Message, timeout_s: float) -> Message:
    """Send a request and return its answer; what comes for somebody else is ignored."""
    deadline_s = time.monotonic() + timeout_s
    number = secrets.randbits(48)
    # Whatever half a line a killed agent left, it ends here.
    request_line = b"\n" + json.dumps({"id": number, **request}).encode() + b"\n"
    port = open_port(deadline_s)
    try:
        send(port, request_line, deadline_s)
        for line in lines_from(port, deadline_s):
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict) and answer.get("id") == number:
                    return answer
    finally:
        os.close(port)
    raise StripError("Connection timed out")


def send(port: int, data: bytes, deadline_s: float) -> None:
    """Write all; the line takes nothing while the strip is away."""
    while data and time.monotonic() < deadline_s:
        try:
            data = data[os.write(port, data) :]
        except BlockingIOError:
            time.sleep(RETRY_S)


def lines_from(port: int, deadline_s: float) -> Iterator[bytes]:
    """Yield whole lines as they come, until the deadline."""
    rest = b""
    while (left_s := deadline_s - time.monotonic()) > 0:
        ready, _, _ = select.select([port], [], [], left_s)
        try:
            data = os.read(port, READ_BYTES) if ready else b""
        except BlockingIOError:
            data = b""
        if not data:  # The strip is away; it may come back.
            time.sleep(RETRY_S)
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def switched(plug: str, action: str, timeout_s: float) -> str:
    """Do ``off``, ``on`` or ``status``, and return in which state the plug is then."""
    answer = ask({"action": action, "plug": plug}, timeout_s)
    if "error" in answer:
        raise StripError(str(answer["error"]))
    return str(answer.get("state"))


def perform(options: dict[str, str]) -> int:
    """Do what the options say and return the exit code."""
    action = options.get("action", "reboot")
    if action in {"metadata", "meta-data"}:
        print(META_DATA)
        return OK
    timeout_s = float(options.get("shell_timeout", TIMEOUT_S))
    if action in {"list", "monitor"}:
        answer = ask({"action": "list"}, timeout_s)
        plugs = answer.get("plugs")
        if not isinstance(plugs, list):
            raise StripError(str(answer.get("error")))
        print("\n".join(f"{plug}," for plug in plugs))
        return OK
    plug = options.get("plug") or options.get("port")
    if not plug:
        raise StripError("You have to enter plug number or machine identification")
    if action == "status":
        state = switched(plug, "status", timeout_s)
        print(f"Status: {state.upper()}")
        return OFF if state == "off" else OK
    steps = {"on": ("on",), "off": ("off",), "reboot": ("off", "on")}.get(action)
    if steps is None:
        raise StripError(f"Unrecognised action '{action}'")
    for step in steps:
        if switched(plug, step, timeout_s) != step:
            raise StripError(f"Timed out waiting to power {step.upper()}")
    print(f"Success: {'Rebooted' if action == 'reboot' else f'Powered {action.upper()}'}")
    return OK


def main() -> None:
    """Read the options from standard input, as all fence agents do."""
    try:
        code = perform(read_options(sys.stdin.readlines()))
    except (StripError, OSError, ValueError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        code = FAILED
    sys.exit(code)


if __name__ == "__main__":
    main()
