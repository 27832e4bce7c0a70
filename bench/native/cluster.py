"""A cluster of two machines of name spaces, and a client outside of it.

The nodes run the real daemon, which is asked over its control socket with the verbs that the
commands use. The application has a service address and a script, but no replicated data: that
needs kernels of their own, which the guests of the lab have.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from bench.native.machines import Machine, Switch, checked, machine, switch
from hapair.config.appconf import read_appconf
from hapair.config.built_json import dumps
from hapair.config.clconf import read_clconf
from hapair.config.fingerprint import fingerprint
from hapair.model.application import Application
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import Cluster

NODES: Final = ("node1", "node2")
SERVICE: Final = "10.77.1.50"
OUTSIDE: Final = "10.77.1.254"
PORT: Final = 7070
APPLICATION: Final = "orders"
WAIT_S: Final = 120.0  # A fuse: the tests play this on busy hosts too.
LOOK_S: Final = 0.02
HERE: Final = Path(__file__).parent

CLCONF: Final = """\
<cluster name="shop" ports="7700-7799" devices="16">
  <node name="node1"/> <node name="node2"/>
  <network name="public" reference="10.77.1.254">
    <on node="node1" address="10.77.1.1/24" cards="pub0"/>
    <on node="node2" address="10.77.1.2/24" cards="pub0"/>
  </network>
  <network name="private" replication="yes">
    <on node="node1" address="10.77.2.1/24" cards="priv0"/>
    <on node="node2" address="10.77.2.2/24" cards="priv0"/>
  </network>
  <arbitration by="paths"/>
  <timing detection="{detection_s:g}s" heartbeat="{heartbeat_ms:.0f}ms"/>
</cluster>
"""
APPCONF: Final = """\
<application name="orders" preferred="node1">
  <network name="public"><address>10.77.1.50</address></network>
  <run><script path="{script}"/></run>
  <limits start="10s" stop="5s"/>
</application>
"""
# From whatever it is here to the priority that its unit gives it, or as near as is permitted.
LIKE_ITS_UNIT: Final = ("nice", "-n", "-40")


@dataclass(frozen=True, slots=True)
class Timings:
    detection_s: float = 1.0
    heartbeat_s: float = 0.2


def built(timings: Timings) -> tuple[Built, str, str]:
    """Return what clbuild and clbuildapp would commit, and the two files it comes from."""
    clconf = CLCONF.format(detection_s=timings.detection_s, heartbeat_ms=timings.heartbeat_s * 1000)
    appconf = APPCONF.format(script=HERE / "service.sh")
    cluster = read_clconf(clconf.encode(), file="clconf.xml")
    application = read_appconf(appconf.encode(), file="appconf.xml")
    if not isinstance(cluster, Cluster) or not isinstance(application, Application):
        raise TypeError(f"{cluster} {application}")
    made = BuiltApplication(application, (), fingerprint(application))
    return Built(1, cluster, fingerprint(cluster), 0, (made,)), clconf, appconf


def write_configuration(folder: Path, timings: Timings) -> None:
    """Give each node its root folder below ``folder``, as clbuild leaves it."""
    committed, clconf, appconf = built(timings)
    key = "7f" * 32
    for node in NODES:
        configuration = folder / node / "etc/cluster"
        (configuration / "built").mkdir(parents=True)
        (configuration / "keys").mkdir()
        (configuration / APPLICATION).mkdir()
        (configuration / "clconf.xml").write_text(clconf)
        (configuration / APPLICATION / "appconf.xml").write_text(appconf)
        (configuration / "built/built.json").write_bytes(dumps(committed))
        (configuration / "keys/cluster.key").write_text(key)
        _make_certificate(configuration / "keys", node)
    for node, peer in (NODES, NODES[::-1]):
        certificate = (folder / peer / "etc/cluster/keys/node.crt").read_text()
        (folder / node / "etc/cluster/keys/peer.crt").write_text(certificate)


def _make_certificate(keys: Path, node: str) -> None:
    checked(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "36500", "-subj", f"/CN={node}",
        "-keyout", str(keys / "node.key"), "-out", str(keys / "node.crt"),
    )  # fmt: skip


@dataclass(slots=True)
class Node:
    """One node: its machine, its folder and its daemon."""

    machine: Machine
    root: Path
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.machine.name

    def start_daemon(self, *options: str) -> None:
        argv = (sys.executable, "-m", "hapair.runtime.daemon", "--root", str(self.root))
        self.daemon = self.machine.start(
            (*LIKE_ITS_UNIT, *argv, *options), self.root / "daemon.log"
        )

    def daemon_pid(self) -> int:
        """Return the daemon's process identifier as the host sees it."""
        if self.daemon is None:
            raise RuntimeError(f"no daemon was started on {self.name}")
        # What was started is the program that entered the name spaces; the daemon is its child.
        children = Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children")
        return int(children.read_text())

    def ask(self, verb: str, **args: object) -> dict[str, object]:
        """Ask the daemon over its control socket; raises RuntimeError when it refuses."""
        text = "import json,sys; from hapair.rpc.client import call; "
        text += "print(json.dumps(call(sys.argv[1], json.loads(sys.argv[2]))))"
        done = self.run(sys.executable, "-c", text, verb, json.dumps(args))
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} {verb}: {done.stderr.strip().splitlines()[-1]}")
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run("env", f"HAPAIR_ROOT={self.root}", *argv)


@dataclass(slots=True)
class Pair:
    """Two nodes, their networks, and a machine that is a client and the reference address."""

    nodes: dict[str, Node]
    outside: Machine
    public: Switch
    private: Switch
    options: tuple[str, ...] = ()  # Of the daemons.
    _cards: dict[str, str] = field(default_factory=lambda: {"node1": "1", "node2": "2"})

    def power_on(self, name: str) -> None:
        node, number = self.nodes[name], self._cards[name]
        if not node.machine.running:
            node.machine.power_on()
            shutil.rmtree(node.root / "run", ignore_errors=True)
        self.public.plug(node.machine, "pub0", f"10.77.1.{number}/24")
        self.private.plug(node.machine, "priv0", f"10.77.2.{number}/24")
        node.start_daemon(*self.options)

    def power_off(self, name: str) -> float:
        """Pull the power: no cable and no process is left. Return when (CLOCK_MONOTONIC).

        The cables go first, so that nothing that the dying processes say is heard.
        """
        machine = self.nodes[name].machine
        at_s = time.monotonic()
        self.public.unplug(machine, "pub0")
        self.private.unplug(machine, "priv0")
        machine.power_off()
        for network in (self.public, self.private):
            network.forget(machine)
        return at_s

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        until_s = time.monotonic() + WAIT_S
        while not holds():
            if time.monotonic() > until_s:
                raise RuntimeError(f"it is not so after {WAIT_S:.0f} s: {what}")
            time.sleep(LOOK_S)

    def standing(self, name: str) -> str:
        with contextlib.suppress(RuntimeError):
            status = self.nodes[name].ask("status")
            nodes = status["nodes"]
            if isinstance(nodes, dict):
                return str(nodes[name]["standing"])
        return ""

    def _answers(self, name: str) -> bool:
        return self.standing(name) != ""

    def phase(self, name: str) -> str:
        with contextlib.suppress(RuntimeError):
            nodes = self.nodes[name].ask("status")["nodes"]
            if isinstance(nodes, dict):
                return str(nodes[name]["applications"][0]["phase"])
        return ""

    def form(self) -> None:
        """Start the cluster and the application, which then runs on node1."""
        for name in NODES:
            self.wait_until(partial(self._answers, name), f"{name} answers")
        first = self.nodes["node1"]
        first.ask("form", node="both", timeout_s=WAIT_S)
        first.ask("introduce", application=APPLICATION, wanted="up")
        self.wait_until(lambda: self.phase("node1") == "running", "the application runs on node1")

    def logs(self) -> str:
        """Return what the daemons said, for a failed measurement."""
        parts = [
            f"--- {name}\n{(node.root / 'daemon.log').read_text()}"
            for name, node in self.nodes.items()
        ]
        return "\n".join(parts)


@contextlib.contextmanager
def pair(folder: Path, timings: Timings, *options: str) -> Iterator[Pair]:
    """Build both machines with their configuration and start the daemons; not yet formed."""
    write_configuration(folder, timings)
    with contextlib.ExitStack() as stack:
        public, private = (stack.enter_context(switch(n)) for n in ("public", "private"))
        first, second, outside = (
            stack.enter_context(machine(name)) for name in (*NODES, "outside")
        )
        public.plug(outside, "eth0", f"{OUTSIDE}/24")
        nodes = {made.name: Node(made, folder / made.name) for made in (first, second)}
        made = Pair(nodes, outside, public, private, options)
        for name in NODES:
            made.power_on(name)
        yield made
