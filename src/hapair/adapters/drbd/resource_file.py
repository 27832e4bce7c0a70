"""The text of one resource in DRBD's own language, so that drbdadm works as everywhere.

An administrator's ``common`` section holds for whatever a resource leaves unsaid, so everything
that safety rests on is said here, also where it is DRBD's default.
"""

import json
from dataclasses import asdict, fields
from typing import Final

from hapair.adapters.drbd.argv import Dialect
from hapair.model.application import FileSystem, Volume
from hapair.model.built import Built
from hapair.model.cluster import Attachment, Interface, Resync
from hapair.model.drbd_timing import DrbdTiming, drbd_timing

FOLDER: Final = "/etc/drbd.d"
DESCRIPTION: Final = "# Volume: "  # By it a build is taken back whose note cannot be read.
KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024**2
LIMIT_MIB: Final = 4096  # DRBD takes no higher rate.
# A Primary that loses its peer freezes its writes and runs the handler, which asks the daemon.
FENCING: Final = "resource-and-stonith"
FENCE_PEER: Final = "/usr/lib/hapair/fence-peer"
# Nothing is ever discarded automatically: a person resolves a split brain.
SPLIT_BRAIN: Final = "disconnect"
# A handler that fails would end the connection: better a resync without a snapshot than none.
RESYNC_HANDLER: Final = "/usr/lib/hapair/resync-target {} || true"
# Handlers of a "common" section end the machine or the connection, or hold up a thread of the
# kernel: for our resources they do nothing, because hapair sees and tells these things itself.
UNUSED_HANDLERS: Final = (
    "before-resync-source",
    "unfence-peer",
    "local-io-error",
    "pri-on-incon-degr",
    "pri-lost",
    "pri-lost-after-sb",
    "initial-split-brain",
    "split-brain",
    "out-of-sync",
)
UNUSED_HANDLERS_OF_V9: Final = ("disconnected", "quorum-lost")
# Where drbd.service is enabled, it would wait without an end for the other node at a boot, and
# our daemon is started after it. No kernel is told of these.
START_WAITS: Final = ("wfc-timeout", "degr-wfc-timeout", "outdated-wfc-timeout")
START_WAITS_S: Final = 5
NOTHING: Final = "true"
# For proving the secret as well as for comparing copies: a kernel needs one algorithm, not two.
DIGEST: Final = "sha256"


def file_name(resource: str) -> str:
    return f"hapair-{resource}.res"


def resource_text(
    built: Built,
    volume: Volume,
    *,
    dialect: Dialect = Dialect.V8_4,
    secret: str = "",
    fence_peer: str = FENCE_PEER,
) -> str:
    """Return the file for ``volume``; the same on both nodes when their DRBDs are alike.

    With a ``secret`` the two kernels prove to each other that they know it, and can compare their
    copies; the file must then be readable by root only. Without one the file leaves out what the
    other node's, which may be of an older version, leaves out too: DRBD 8.4 connects no two nodes
    that differ in these options.
    ``fence_peer`` is the command line of the handler.
    """
    network = built.cluster.replication_network
    nodes = (
        _node(attachment, number, volume, dialect)
        for number, attachment in enumerate(network.attachments)
    )
    return (
        "# Written by hapair. clbuild and clbuildapp replace it: do not edit it here.\n"
        f"{DESCRIPTION}{json.dumps(asdict(volume))}\n"
        f'resource "{volume.resource}" {{\n'
        + _section("options", _options(dialect))
        + _section("handlers", _handlers(fence_peer, dialect))
        + _section("net", _net(drbd_timing(built.cluster.timing), dialect, secret))
        + _section("startup", [f"{name} {START_WAITS_S}" for name in START_WAITS])
        + _section("disk", [*_disk(dialect, built.cluster.resync), *_order(built, volume)])
        + "".join(nodes)
        + "}\n"
    )


def described(text: str) -> Volume | None:
    """Return the volume that a file of ours is for; None when it does not say so.

    What a newer version says beyond what this one knows is passed over.
    """
    lines = (line for line in text.splitlines() if line.startswith(DESCRIPTION))
    try:
        values = json.loads(next(lines).removeprefix(DESCRIPTION))
        known = {each.name: values[each.name] for each in fields(Volume) if each.name in values}
        volume = Volume(**known | {"file_system": FileSystem(values["file_system"])})
    except (StopIteration, ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers = {"minor", "port", "size_bytes"}
    right = all(type(value) is (int if name in numbers else str) for name, value in known.items())
    return volume if right else None


def _section(name: str, lines: list[str]) -> str:
    body = "".join(f"        {line};\n" for line in lines)
    return f"    {name} {{\n{body}    }}\n"


def _handlers(fence_peer: str, dialect: Dialect) -> list[str]:
    newer = UNUSED_HANDLERS_OF_V9 if dialect is Dialect.V9 else ()
    return [
        f'fence-peer "{fence_peer}"',
        f'before-resync-target "{RESYNC_HANDLER.format("begins")}"',
        f'after-resync-target "{RESYNC_HANDLER.format("ended")}"',
        *(f'{name} "{NOTHING}"' for name in (*UNUSED_HANDLERS, *newer)),
    ]


def _options(dialect: Dialect) -> list[str]:
    """Let a Primary without any UpToDate copy fail its writes instead of hanging for ever."""
    common = ["on-no-data-accessible io-error"]
    match dialect:
        case Dialect.V8_4:
            return common
        case Dialect.V9:
            # Opening the device must never promote: only hapair decides who is Primary.
            return [*common, "auto-promote no", "quorum off"]


def _net(timing: DrbdTiming, dialect: Dialect, secret: str) -> list[str]:
    lines = [
        "protocol C",
        "allow-two-primaries no",
        f"timeout {timing.write_timeout_tenths}",
        f"ko-count {timing.slow_writes_max}",
        f"ping-int {timing.ping_interval_s}",
        f"ping-timeout {timing.ping_timeout_tenths}",
        f"connect-int {timing.connect_interval_s}",
        f"after-sb-0pri {SPLIT_BRAIN}",
        f"after-sb-1pri {SPLIT_BRAIN}",
        f"after-sb-2pri {SPLIT_BRAIN}",
        "rr-conflict disconnect",
        "always-asbp no",
        "on-congestion block",
    ]
    if dialect is Dialect.V9:
        lines.append(f"fencing {FENCING}")
    if secret:
        lines += [
            f"cram-hmac-alg {DIGEST}",
            f'shared-secret "{secret}"',
            f"verify-alg {DIGEST}",
            # A digest that different blocks may share must not decide what a resync leaves out.
            'csums-alg ""',
            'data-integrity-alg ""',
        ]
    return lines


def _disk(dialect: Dialect, resync: Resync) -> list[str]:
    """Let a resync use what the application leaves over, within its rate, and never starve."""
    lines = [
        "on-io-error detach",
        # What is said to be written is on the disk; barriers are no longer of any disk.
        "disk-barrier no",
        "disk-flushes yes",
        "disk-drain yes",
        "md-flushes yes",
        # After a crash it tells what may differ from the peer's copy.
        "al-updates yes",
        # A disk that answers after DRBD gave it up writes into memory that is in use again.
        "disk-timeout 0",
        # Zeroes are written: what a disk reads after a discard may be anything.
        "rs-discard-granularity 0",
        f"resync-rate {_at_most(30, resync)}",
        "c-plan-ahead 20",
        "c-fill-target 1M",
        f"c-min-rate {_at_most(10, resync)}",
        f"c-max-rate {_at_most(1000 if resync.rate_bytes is None else LIMIT_MIB, resync)}",
    ]
    if dialect is Dialect.V8_4:
        lines.append(f"fencing {FENCING}")
    return lines


def _order(built: Built, volume: Volume) -> list[str]:
    """Name only a volume that is built: drbdadm refuses a file that names an unknown one."""
    after = built.resynced_after(volume.resource)
    return [f'resync-after "{after.resource}/0"'] if after else []


def _at_most(mebibytes: int, resync: Resync) -> str:
    """Return a rate as DRBD reads it: this one, or the configured one where that is lower."""
    if resync.rate_bytes is None or resync.rate_bytes >= mebibytes * MEBIBYTE:
        return f"{mebibytes}M"
    return f"{resync.rate_bytes // KIBIBYTE}K"


def _node(attachment: Attachment, number: int, volume: Volume, dialect: Dialect) -> str:
    node_id = f"        node-id {number};\n" if dialect is Dialect.V9 else ""
    return (
        f'    on "{attachment.node}" {{\n'
        + node_id
        + f"        address {_endpoint(attachment.address, volume.port)};\n"
        + "        volume 0 {\n"
        + f"            device {volume.device} minor {volume.minor};\n"
        + f'            disk "{volume.backing_device}";\n'
        + f'            meta-disk "{volume.meta_device}";\n'
        + "        }\n    }\n"
    )


def _endpoint(address: Interface, port: int) -> str:
    if address.version == 6:  # noqa: PLR2004 - The protocol's own name.
        return f"ipv6 [{address.ip}]:{port}"
    return f"ipv4 {address.ip}:{port}"
