"""Let many clusters ask one witness at once: is every grant unique, and how long does it take?

    python -m bench.witness [--clusters N] [--at-once N] [--json FILE]

The service runs in a process of its own, on loopback, with its records on this machine's disk.
Clusters come in waves of --at-once: all of a wave connect, then all of them ask at the same
moment; both of a cluster's nodes ask for the same epoch.
"""

import argparse
import asyncio
import json
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from hapair.adapters.witness.clwitness import Line, WitnessFiles, dial
from hapair.model.cluster import Witness, WitnessKind
from hapair.witness.book import Book, fingerprint
from hapair.witness.wire import Join, Joined

DIALS_AT_ONCE: Final = 32  # Below the service's limit for handshakes from one address.
DIAL_TIMEOUT_S: Final = 60.0
NODES: Final = ("node1", "node2")
TEMPLATE: Final = "cluster-00000"


@dataclass(slots=True)
class Seen:
    dial_s: list[float] = field(default_factory=list)
    grant_s: list[float] = field(default_factory=list)
    asking_s: float = 0.0  # The time in which the waves asked, without connecting.
    holders: dict[str, list[str]] = field(default_factory=dict)
    memory_bytes: int = 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--clusters", type=int, default=10_000, help="default: 10000")
    made.add_argument("--at-once", type=int, default=250, help="clusters in a wave; default: 250")
    made.add_argument("--json", type=Path, help="write the figures into this file")
    return made


def template(folder: Path) -> bytes:
    """Make one key and certificate; return the certificate's bytes."""
    subprocess.run(
        (
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-noenc", "-days", "2", "-subj", f"/CN={TEMPLATE}",
            "-keyout", str(folder / "key"), "-out", str(folder / "certificate"),
        ),
        check=True,
        capture_output=True,
    )  # fmt: skip
    return ssl.PEM_cert_to_DER_cert((folder / "certificate").read_text())


def certificate(der: bytes, number: int) -> str:
    """Return a certificate of the same key with another name: quicker than making 10,000 keys.

    Its signature is wrong, but that of a certificate that is itself trusted is not looked at.
    """
    name = f"cluster-{number:05}"
    return ssl.DER_cert_to_PEM_cert(der.replace(TEMPLATE.encode(), name.encode()))


def admit(folder: Path, clusters: int) -> list[str]:
    """Make the clusters known as their joining would; return their names."""
    der = template(folder)
    names = []
    with closing(Book(folder / "witness")) as book:
        for number in range(clusters):
            name = f"cluster-{number:05}"
            pem = certificate(der, number)
            (folder / f"{name}.crt").write_text(pem)
            book.invite(name, "code", time.time() + 3600)
            if not isinstance(book.join(Join(name, "code", (pem,)), time.time()), Joined):
                raise ValueError(f"{name} was not admitted")  # noqa: TRY004 - no type of ours
            names.append(name)
    return names


async def connected(witness: Witness, folder: Path, name: str, seen: Seen) -> Line:
    begun_s = time.perf_counter()
    async with asyncio.timeout(DIAL_TIMEOUT_S):
        line = await dial(witness, WitnessFiles(folder / f"{name}.crt", folder / "key"))
        await line.ask({"ask": "look", "cluster": name})
    seen.dial_s.append(time.perf_counter() - begun_s)
    return line


async def grant(line: Line, name: str, node: str, seen: Seen) -> None:
    begun_s = time.perf_counter()
    reply = await line.ask({"ask": "grant", "cluster": name, "epoch": 1, "node": node})
    seen.grant_s.append(time.perf_counter() - begun_s)
    if reply["answer"] == "granted":
        seen.holders.setdefault(name, []).append(node)


async def wave(witness: Witness, folder: Path, names: list[str], seen: Seen) -> None:
    turns = asyncio.Semaphore(DIALS_AT_ONCE)

    async def one(name: str) -> Line:
        async with turns:
            return await connected(witness, folder, name, seen)

    asks = [(name, node) for name in names for node in NODES]
    lines = await asyncio.gather(*(one(name) for name, _ in asks))
    begun_s = time.perf_counter()
    await asyncio.gather(*(grant(line, *ask, seen) for line, ask in zip(lines, asks, strict=True)))
    seen.asking_s += time.perf_counter() - begun_s
    for line in lines:
        line.close()
    await asyncio.sleep(0)


async def measure(folder: Path, clusters: int, at_once: int) -> Seen:
    (folder / "witness").mkdir()
    names = admit(folder, clusters)
    argv = (
        sys.executable, "-m", "hapair.witness.clwitness", "serve",
        "--folder", str(folder / "witness"), "--listen", "127.0.0.1:0", "--status-port", "0",
    )  # fmt: skip
    service = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        if service.stdout is None:
            raise RuntimeError("the service has no output")
        await service.stdout.readline()  # Printed once it listens.
        with closing(Book(folder / "witness")) as book:
            at = f"127.0.0.1:{book.setting('port')}"
        pin = fingerprint((folder / "witness" / "server.crt").read_text())
        witness = Witness(WitnessKind.CLWITNESS, at, pin=pin)
        seen = Seen()
        for start in range(0, clusters, at_once):
            await wave(witness, folder, names[start : start + at_once], seen)
        seen.memory_bytes = peak_memory(service.pid)
    finally:
        service.terminate()
        await service.wait()
    return seen


def peak_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def row(name: str, values: list[float]) -> str:
    ordered = sorted(values)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    figures = (ordered[0], median(ordered), late, ordered[-1])
    return f"| {name} | " + " | ".join(f"{1000 * value:.1f}" for value in figures) + " |"


def main() -> int:
    options = parser().parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(measure(Path(folder), options.clusters, options.at_once))
    unique = all(len(nodes) == 1 for nodes in seen.holders.values())
    if not unique or len(seen.holders) != options.clusters:
        print(f"WRONG: {options.clusters} clusters, {len(seen.holders)} granted, once: {unique}")
        return 1
    rate = len(seen.grant_s) / seen.asking_s
    print(f"{options.clusters} clusters, each granted to exactly one of its two nodes")
    print("\n| milliseconds | min | median | p99 | max |\n|---|---|---|---|---|")
    print(row("grant on a kept connection", seen.grant_s))
    print(row("connect and look", seen.dial_s))
    print(f"\n{rate:.0f} requests per second; peak memory {seen.memory_bytes / 2**20:.0f} MB")
    if options.json:
        content = {"grant_s": seen.grant_s, "dial_s": seen.dial_s, "rate": rate}
        options.json.write_text(json.dumps(content))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
