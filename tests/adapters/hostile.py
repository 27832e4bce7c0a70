"""A ``common`` section that sets everything which could do harm, and what drbdadm makes of it."""

import re
from typing import Final

# As /etc/drbd.d/global_common.conf for DRBD 8.4: all that its drbdadm understands, but for what
# only costs or saves speed and memory (TUNING), and for UNSAYABLE.
COMMON: Final = """\
global {
    usage-count no;
}
common {
    options {
        on-no-data-accessible suspend-io;
    }
    handlers {
        fence-peer "/bin/false";
        before-resync-target "/bin/false";
        after-resync-target "/bin/false";
        before-resync-source "/bin/false";
        unfence-peer "touch /run/handler-ran";
        local-io-error "touch /run/handler-ran";
        pri-on-incon-degr "touch /run/handler-ran";
        pri-lost "touch /run/handler-ran";
        pri-lost-after-sb "touch /run/handler-ran";
        initial-split-brain "touch /run/handler-ran";
        split-brain "touch /run/handler-ran";
        out-of-sync "touch /run/handler-ran";
    }
    net {
        protocol A;
        allow-two-primaries yes;
        always-asbp yes;
        after-sb-0pri discard-zero-changes;
        after-sb-1pri discard-secondary;
        after-sb-2pri call-pri-lost-after-sb;
        rr-conflict violently;
        on-congestion pull-ahead;
        timeout 600;
        ko-count 0;
        ping-int 120;
        ping-timeout 300;
        connect-int 120;
        cram-hmac-alg md5;
        shared-secret "known to everybody";
        csums-alg crc32c;
        verify-alg crc32c;
        data-integrity-alg crc32c;
    }
    disk {
        on-io-error pass_on;
        fencing dont-care;
        disk-barrier yes;
        disk-flushes no;
        disk-drain no;
        md-flushes no;
        al-updates no;
        disk-timeout 50;
        rs-discard-granularity 65536;
        resync-rate 1K;
        c-plan-ahead 0;
        c-fill-target 0;
        c-min-rate 4M;
        c-max-rate 4M;
    }
}
"""
TUNING: Final = (
    "cpu-mask", "sndbuf-size", "rcvbuf-size", "max-buffers", "max-epoch-size", "unplug-watermark",
    "tcp-cork", "socket-check-timeout", "congestion-fill", "congestion-extents", "use-rle",
    "csums-after-crash-only", "al-extents", "read-balancing", "discard-zeroes-if-aligned",
    "disable-write-same", "c-delay-target", "max-bio-bvecs",
)  # fmt: skip
# What no file of a resource can take back: there is no word for "all of it" and for "nobody".
UNSAYABLE: Final = ("size", "resync-after")
# By section, as ``drbdsetup-84 xml-help resource-options|connect|attach`` of drbd-utils 9.22.0 has
# them, without those that are only typed; handlers as drbd.conf(5) has them.
OPTIONS_OF_8_4: Final = {
    "options": ("cpu-mask", "on-no-data-accessible"),
    "handlers": (
        "after-resync-target", "before-resync-source", "before-resync-target", "fence-peer",
        "initial-split-brain", "local-io-error", "out-of-sync", "pri-lost", "pri-lost-after-sb",
        "pri-on-incon-degr", "split-brain", "unfence-peer",
    ),
    "net": (
        "after-sb-0pri", "after-sb-1pri", "after-sb-2pri", "allow-two-primaries", "always-asbp",
        "congestion-extents", "congestion-fill", "connect-int", "cram-hmac-alg",
        "csums-after-crash-only", "csums-alg", "data-integrity-alg", "ko-count", "max-buffers",
        "max-epoch-size", "on-congestion", "ping-int", "ping-timeout", "protocol", "rcvbuf-size",
        "rr-conflict", "shared-secret", "sndbuf-size", "socket-check-timeout", "tcp-cork",
        "timeout", "unplug-watermark", "use-rle", "verify-alg",
    ),
    "disk": (
        "al-extents", "al-updates", "c-delay-target", "c-fill-target", "c-max-rate", "c-min-rate",
        "c-plan-ahead", "disable-write-same", "discard-zeroes-if-aligned", "disk-barrier",
        "disk-drain", "disk-flushes", "disk-timeout", "fencing", "max-bio-bvecs", "md-flushes",
        "on-io-error", "read-balancing", "resync-after", "resync-rate", "rs-discard-granularity",
        "size",
    ),
}  # fmt: skip
_LINE: Final = re.compile(
    r"^\s*(?P<words>[^\s{}#][^{}]*?)\s*(?P<end>[{;])\s*$|^\s*(?P<close>\})\s*$"
)

Options = dict[tuple[str, str], str]  # By section and name.


def options_of(text: str) -> Options:
    """Return the options of one resource or of ``common``; what a node alone says is left out."""
    found: Options = {}
    depth: list[str] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match["close"]:
            depth.pop()
        elif match["end"] == "{":
            depth.append(match["words"])
        elif len(depth) == 2 and " " in match["words"]:
            name, _, value = match["words"].partition(" ")
            found[depth[1], name] = value.strip('"')
    return found


def effective(text: str, common: str) -> Options:
    """Return what drbdadm tells the kernel: of ``common`` only what the resource does not say."""
    return options_of(common) | options_of(text)
