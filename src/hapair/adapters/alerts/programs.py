"""Tell a letter by a program: the administrator's own, or snmptrap."""

import json
import os
import select
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from hapair.adapters.alerts.means import Means, UndeliveredError
from hapair.adapters.alerts.words import letter_object
from hapair.model.alerts import Letter, Receiver

SAID_MAX: Final = 200
PIPE_BYTES: Final = 1 << 16  # What a pipe holds.
# net-snmp's netSnmpPlaypen, which everybody may use for private purposes.
OID: Final = "1.3.6.1.4.1.8072.9999.9999"
TEXT_MAX: Final = 400  # A trap is one datagram.
# There snmptrap keeps who it is; a receiver of SNMPv3 has to know that.
KEPT_OF_SNMP: Final = "/var/lib/snmp"


def hook(receiver: Receiver, letter: Letter, means: Means) -> None:
    """Run the program; return when it ended with 0. UndeliveredError.

    It ends with 65, which sysexits.h names EX_DATAERR, when it will never take this letter.
    """
    environment = {
        **means.environment(),
        "HAPAIR_SUBJECT": letter.subject,
        "HAPAIR_LEVEL": letter.level,
        "HAPAIR_KIND": letter.messages[0].kind,
        "HAPAIR_NODE": letter.node,
        "HAPAIR_CLUSTER": letter.cluster,
    }
    _run((receiver.to,), environment, json.dumps(letter_object(letter)).encode())


def trap(receiver: Receiver, letter: Letter, means: Means) -> None:
    """Send one trap; nobody tells whether it arrived, unless it is an inform. UndeliveredError."""
    place = f"udp6:{receiver.to}" if receiver.to.startswith("[") else receiver.to
    values = {
        1: letter.cluster,
        2: letter.node,
        3: letter.level,
        4: letter.messages[0].kind,
        5: letter.subject,
        6: "; ".join(letter.lines())[:TEXT_MAX],
    }
    # Receivers show anything but ASCII as numbers.
    plain = {n: text.encode("ascii", "replace").decode() for n, text in values.items()}
    bound = [word for n, text in plain.items() for word in (f"{OID}.{n}", "s", text)]
    kind = ("-Ci",) if receiver.inform else ()
    with tempfile.TemporaryDirectory(prefix="hapair-trap-") as folder:
        # A community or a password on the command line could be read by everybody.
        who = () if receiver.secret else ("-v", "2c", "-c", "public")
        if receiver.secret:
            Path(folder, "snmp.conf").symlink_to(receiver.secret)
        environment = {
            **means.environment(),
            "MIBS": "",
            "SNMPCONFPATH": f"{folder}:{KEPT_OF_SNMP}",
        }
        _run(("snmptrap", *kind, *who, place, "", f"{OID}.0.1", *bound), environment, b"")


def _run(argv: tuple[str, ...], environment: dict[str, str], given: bytes) -> None:
    """Whoever started us ends it, with us, when it takes too long."""
    with ExitStack() as stack:
        # Not on a disk, which may be full, and no pipe, which somebody must read.
        letter = stack.enter_context(os.fdopen(os.memfd_create("letter"), "w+b"))
        letter.write(given)
        letter.seek(0)
        try:
            program = subprocess.Popen(
                argv,
                stdin=letter,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
            )
        except FileNotFoundError:
            raise UndeliveredError(f"there is no {argv[0]}") from None
        said = _said_until_its_end(stack.enter_context(program)).decode(errors="replace").split()
        code = program.wait()
    if code:
        text = f"{argv[0]} ended with {code}: {' '.join(said)[-SAID_MAX:]}"
        raise UndeliveredError(text.rstrip(": "), refused=code == os.EX_DATAERR)


def _said_until_its_end(program: subprocess.Popen[bytes]) -> bytes:
    """Return the last of what it prints. What it leaves behind may hold the pipe for ever."""
    output = program.stdout.fileno() if program.stdout else -1
    exited = os.pidfd_open(program.pid)
    watched = select.poll()
    for each in (output, exited):
        watched.register(each, select.POLLIN)
    said, ready = b"", set[int]()
    while exited not in ready:
        ready = {each for each, _ in watched.poll()}
        if output in ready:
            content = os.read(output, PIPE_BYTES)
            said = (said + content)[-PIPE_BYTES:]
            if not content:
                watched.unregister(output)
    os.close(exited)
    return said
