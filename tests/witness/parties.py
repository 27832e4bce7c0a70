"""Witnesses that really run, and nodes that ask them."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hapair.adapters.witness.client import WitnessClients
from hapair.adapters.witness.clwitness import WitnessFiles
from hapair.adapters.witness.join import join
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done
from hapair.witness import codes
from hapair.witness.book import Book
from hapair.witness.server import Limits
from hapair.witness.service import Running, Settings
from tests.ports import free_port
from tests.processes import PATIENCE_S

CLUSTER = "shop"
NODES = ("node1", "node2")
TIMEOUT_S = PATIENCE_S


def files_of(certificates: Path, node: str) -> WitnessFiles:
    return WitnessFiles(certificates / f"{node}.crt", certificates / f"{node}.key")


def asker(certificates: Path, node: str, cluster: str = CLUSTER) -> WitnessClients:
    return WitnessClients(cluster, node, files_of(certificates, node))


def settings(folder: Path, limits: Limits | None = None) -> Settings:
    return Settings(folder, "127.0.0.1", 0, 0, limits or Limits())


def witness_at(run: Running, *, timeout_s: float = TIMEOUT_S) -> Witness:
    return Witness(WitnessKind.CLWITNESS, f"127.0.0.1:{run.port}", timeout_s, run.pin)


def invited(folder: Path, cluster: str = CLUSTER, *, life_s: float = 900.0) -> str:
    """Do what ``clwitness invite`` does; return the code."""
    code = codes.new_code()
    book = Book(folder)
    book.invite(cluster, code, time.time() + life_s)
    book.close()
    return code


async def joined(run: Running, folder: Path, certificates: Path, cluster: str = CLUSTER) -> Witness:
    """Admit the cluster with the certificates of both nodes."""
    witness = witness_at(run)
    paths = [certificates / f"{node}.crt" for node in NODES]
    outcome = await join(witness, cluster, invited(folder, cluster), paths)
    assert isinstance(outcome, Done), outcome
    return witness


@contextmanager
def etcd(folder: Path, *options: str, scheme: str = "http") -> Iterator[str]:
    """Run one member of etcd, with further options; yield its URL."""
    peers, health = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        member = subprocess.Popen(
            (
                "etcd", "--name", "one", "--data-dir", str(folder / "data"),
                "--listen-client-urls", url, "--advertise-client-urls", url,
                "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                "--initial-cluster", f"one={peers}", "--listen-metrics-urls", health, *options,
            ),
            stdout=log,
            stderr=log,
        )  # fmt: skip
        try:
            _wait_for(health, folder / "log")
            yield url
        finally:
            member.kill()
            member.wait()


def _wait_for(url: str, log: Path) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1.0) as answer:  # noqa: S310 - ours
                if b"true" in answer.read():
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(log.read_text()[-2000:])
