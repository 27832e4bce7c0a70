"""The lab's hand inside a guest: runs commands that the host sends over a virtio serial port.

It is faster than ssh (no login), works without any network, and survives a snapshot: the port is
a device of the guest, so the next emulator process finds the same agent waiting.

The protocol is one JSON object per line in both directions. Requests carry an ``id``; answers
repeat it. After a restore the host may see the tail of an old line: it ignores what it did not
ask for, and so does the agent with what it cannot parse.

A serial line of User Mode Linux stands still when more comes than its buffer takes, so on one the
agent says what it took, and the host waits: {"took_bytes": 2048}.

Now and then such a line loses bytes. The host asks again for an answer that does not come; an agent
that has not seen the request says so, and the host sends it once more, to the same agent only.

    {"id": 1, "do": "again"}
      -> the answer; nothing while it is at work; or {"id": 1, "unknown": true, "agent": "7.1"}

    {"id": 1, "do": "run", "argv": [..], "stdin": base64, "timeout_s": 30}
      -> {"id": 1, "exit_code": 0, "stdout": base64, "stderr": base64, "timed_out": false}
    {"id": 2, "do": "put", "path": "/x", "mode": 420, "data": base64, "append": false}
    {"id": 3, "do": "get", "path": "/x", "offset": 0, "size": 262144}
    {"id": 4, "do": "clock", "wall_clock_s": 1700000000.0}
    {"id": 5, "do": "hello"}
    {"id": 7, "do": "connect", "port": 22}            -> {"id": 7, "stream": 1}
    {"id": 8, "do": "send", "stream": 1, "data": base64}     empty: nothing more will be sent
    {"id": 9, "do": "receive", "stream": 1}           -> {"id": 9, "data": base64}: empty at its end
    {"id": 6, "do": "ask", "path": "/run/x.sock", "data": base64, "timeout_s": 5}
      -> {"id": 6, "data": base64}: the first line that the server there says
"""

from __future__ import annotations

import base64
import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import tty
from pathlib import Path
from typing import BinaryIO

PORTS = "/sys/class/virtio-ports"
PORT = "hapair-lab"
LINE = "/dev/ttyS1"
SSH_LINE = "/dev/ttyS3"  # For ``cllab ssh`` alone, which holds it as long as it likes.
ROOT_DISK = "/dev/ubda"
STIR_S = 0.1
BLOCK_BYTES = 4096
IDLE_S = 0.05
KEPT_ANSWERS_MAX = 16
OPEN_TRIES_MAX = 600
READ_BYTES = 65536
ALL_BYTES = 2**32  # A guest that has just booted: what was sent to the one before is gone.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LANG": "C.UTF-8",
}

Message = dict[str, object]


def open_port() -> int:
    """Return the port's file descriptor; the device may take a moment to appear at boot.

    It is looked up in sysfs: udev would give it a name later than needed. A guest without virtio
    has a serial line instead.
    """
    if has_lines():
        return open_line(LINE)
    for _ in range(OPEN_TRIES_MAX):
        for name in Path(PORTS).glob("*/name"):
            if name.read_text().strip() == PORT:
                return os.open(f"/dev/{name.parent.name}", os.O_RDWR)
        time.sleep(IDLE_S)
    sys.exit(f"there is no virtio port {PORT}")


def has_lines() -> bool:
    """Tell whether this guest has serial lines in place of virtio ports."""
    return Path(LINE).exists() and not Path(PORTS).exists()


def open_line(path: str) -> int:
    """Return the file descriptor of a serial line that carries bytes as they are."""
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line, termios.TCSANOW)  # What the host said already stays.
    return line


def text_of(data: bytes) -> str:
    """Return bytes as JSON can carry them."""
    return base64.b64encode(data).decode()


def bytes_of(request: Message, name: str) -> bytes:
    """Return the bytes that a field of a request carries."""
    return base64.b64decode(str(request.get(name) or ""))


def number_of(request: Message, name: str) -> float:
    """Return a number that a request carries; ValueError if it is none."""
    return float(str(request[name]))


def run(request: Message) -> Message:
    """Run a command in a session of its own; after ``timeout_s`` the whole session is killed.

    It is over when the command itself ends, even if something that it left in the background still
    holds its output open: so the output goes into files in memory, not into pipes.
    """
    argv = request["argv"]
    if not isinstance(argv, list):
        return {"error": "argv is no list"}
    stdin, stdout, stderr = (memory_file(name) for name in ("stdin", "stdout", "stderr"))
    with stdin, stdout, stderr:
        stdin.write(bytes_of(request, "stdin"))
        stdin.seek(0)
        with subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            cwd="/",
            env=ENVIRONMENT,
        ) as child:
            timed_out = False
            try:
                child.wait(number_of(request, "timeout_s"))
            except subprocess.TimeoutExpired:
                timed_out = True
                os.killpg(child.pid, signal.SIGKILL)
        stdout.seek(0)
        stderr.seek(0)
        return {
            "exit_code": -1 if timed_out else child.returncode,
            "stdout": text_of(stdout.read()),
            "stderr": text_of(stderr.read()),
            "timed_out": timed_out,
        }


def memory_file(name: str) -> BinaryIO:
    """Return a file that is nowhere on a disk."""
    return os.fdopen(os.memfd_create(name), "w+b", buffering=0)


def put(request: Message) -> Message:
    """Write a file to the disk, or append to one that an earlier request began.

    A scenario may cut the power at once, and nobody's editor is that quick.
    """
    path = Path(str(request["path"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab" if request["append"] else "wb") as target:
        target.write(bytes_of(request, "data"))
        target.flush()
        os.fsync(target.fileno())
    path.chmod(int(number_of(request, "mode")))
    return {}


def get(request: Message) -> Message:
    """Read a part of a file."""
    with Path(str(request["path"])).open("rb") as source:
        source.seek(int(number_of(request, "offset")))
        return {"data": text_of(source.read(int(number_of(request, "size"))))}


def ask(request: Message) -> Message:
    """Send a line to the server behind a socket and return its first one: no process is started."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.settimeout(number_of(request, "timeout_s"))
        server.connect(str(request["path"]))
        server.sendall(bytes_of(request, "data"))
        with server.makefile("rb") as lines:
            return {"data": text_of(lines.readline())}


STREAMS: dict[int, socket.socket] = {}


def connect(request: Message) -> Message:
    """Connect to a TCP server of this guest; what comes and goes is asked for by the number."""
    link = socket.create_connection(("127.0.0.1", int(number_of(request, "port"))))
    STREAMS[link.fileno()] = link
    return {"stream": link.fileno()}


def send(request: Message) -> Message:
    """Send to a server; nothing says that nothing more will come."""
    link, data = STREAMS[int(number_of(request, "stream"))], bytes_of(request, "data")
    if data:
        link.sendall(data)
    else:
        link.shutdown(socket.SHUT_WR)
    return {}


def receive(request: Message) -> Message:
    """Wait for something from a server; nothing is its end."""
    stream = int(number_of(request, "stream"))
    data = STREAMS[stream].recv(READ_BYTES)
    if not data:
        STREAMS.pop(stream).close()
    return {"data": text_of(data)}


def answer(request: Message) -> Message:
    """Do what one request asks and return the answer."""
    try:
        match request.get("do"):
            case "run":
                return run(request)
            case "put":
                return put(request)
            case "get":
                return get(request)
            case "ask":
                return ask(request)
            case "clock":
                time.clock_settime(time.CLOCK_REALTIME, number_of(request, "wall_clock_s"))
                return {}
            case "connect":
                return connect(request)
            case "send":
                return send(request)
            case "receive":
                return receive(request)
            case "hello":
                return {"hello": os.uname().nodename}
            case other:
                return {"error": f"unknown request {other}"}
    except (OSError, KeyError, ValueError) as error:
        return {"error": str(error)}


class Agent:
    """Reads requests from the port, answers each in a thread of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.name = f"{os.getpid()}.{time.time_ns()}"
        self.writing = threading.Lock()
        self.handling = threading.Lock()
        self.at_work: set[object] = set()
        self.answered: dict[object, Message] = {}

    def send(self, message: Message) -> None:
        """Write one line; blocks while no host listens, and that is right."""
        data = json.dumps(message).encode() + b"\n"
        with self.writing:
            while data:
                data = data[os.write(self.port, data) :]

    def handle(self, line: bytes) -> None:
        """Start a thread for one request; what is no request is the rest of an old one."""
        try:
            request = json.loads(line)
        except ValueError:
            return
        if not isinstance(request, dict) or "id" not in request:
            return

        if self.is_new(request):
            threading.Thread(target=self.work, args=(request,), daemon=True).start()

    def is_new(self, request: Message) -> bool:
        """Tell whether this is to be done; what was done already is only answered again."""
        number = request["id"]
        with self.handling:
            if number in self.at_work:
                return False
            told = self.answered.get(number)
            if told is None and request.get("do") == "again":
                told = {"id": number, "unknown": True, "agent": self.name}
            if told is None:
                self.at_work.add(number)
                return True
        threading.Thread(target=self.send, args=(told,), daemon=True).start()
        return False

    def work(self, request: Message) -> None:
        """Do what is asked, answer, and keep the answer for a while."""
        number = request["id"]
        told = {"id": number, "agent": self.name, **answer(request)}
        with self.handling:
            self.answered[number] = told
            if len(self.answered) > KEPT_ANSWERS_MAX:
                del self.answered[next(iter(self.answered))]
            self.at_work.discard(number)
        self.send(told)

    def serve(self) -> None:
        """Read for ever; reading nothing means that no host is connected at the moment.

        On a serial line it means that the line was hung up: the next agent opens it anew.
        """
        rest = b""
        says_what_it_took = os.isatty(self.port)
        if says_what_it_took:
            self.send({"took_bytes": ALL_BYTES})
        while True:
            data = os.read(self.port, READ_BYTES)
            if says_what_it_took:
                if not data:
                    return
                self.send({"took_bytes": len(data)})
            if not data:
                rest = b""
                time.sleep(IDLE_S)
                continue
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.handle(line)


def keep_disks_moving(disk: str, pause_s: float = STIR_S) -> None:
    """Read a block past the cache, for ever.

    The kernel of User Mode Linux at times leaves a request in its queue for seconds, until another
    one comes: a client would see gaps that no machine has (docs/decisions/0029).
    """
    block = mmap.mmap(-1, BLOCK_BYTES)  # Direct reads want aligned memory.
    with open(disk, "rb", buffering=0, opener=opened_past_the_cache) as raw:
        while True:
            with contextlib.suppress(OSError):
                os.preadv(raw.fileno(), [block], 0)
            time.sleep(pause_s)


def opened_past_the_cache(path: str, flags: int) -> int:
    """Open a file so that reads go to the disk."""
    return os.open(path, flags | os.O_DIRECT)


def tell_systemd() -> None:
    """Report readiness, as ``sd_notify`` does."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", "\0" + path[1:] if path[0] == "@" else path)


def main() -> None:
    """Serve the host until the guest ends."""
    agent = Agent(open_port())
    if has_lines():
        threading.Thread(target=Agent(open_line(SSH_LINE)).serve, daemon=True).start()
        threading.Thread(target=keep_disks_moving, args=(ROOT_DISK,), daemon=True).start()
    tell_systemd()
    agent.serve()


if __name__ == "__main__":
    main()
