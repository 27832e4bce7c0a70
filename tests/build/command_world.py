"""Two nodes on which commands run as whole: their folders, their wire, what they printed."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from hapair.cli import clbuild
from hapair.cli.main import run
from hapair.cli.sessions.build import build
from hapair.config import built_json
from hapair.model.built import Built
from tests.build.two_nodes import FakeHands, FakeNode, Wire

CLCONF: Final = """\
<cluster name="shop" ports="7700-7799" devices="16">
  <node name="node1"/> <node name="node2"/>
  <network name="public" reference="10.77.1.254">
    <on node="node1" address="10.77.1.1/24" cards="pub0 pub1"/>
    <on node="node2" address="10.77.1.2/24" cards="pub0 pub1"/>
  </network>
  <network name="private" replication="yes">
    <on node="node1" address="10.77.2.1/24" cards="priv0"/>
    <on node="node2" address="10.77.2.2/24" cards="priv0"/>
  </network>
  <arbitration by="paths"/>
  <watchdog/>
</cluster>
"""


@dataclass
class World:
    """node1, on which the commands run, and node2."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    nodes: tuple[FakeNode, FakeNode] = field(init=False)
    wire: Wire = field(init=False)
    hands: FakeHands = field(init=False)
    out: str = ""
    err: str = ""

    def __post_init__(self) -> None:
        self.nodes = (FakeNode("node1", self.folder / "1"), FakeNode("node2", self.folder / "2"))
        self.wire = Wire(self.nodes[1])
        self.hands = FakeHands(self.nodes, self.wire)
        self.edit(CLCONF)

    def edit(self, text: str) -> None:
        self.nodes[0].places.clconf.write_text(text)

    def clbuild(self, *words: str) -> int:
        places = self.nodes[0].places
        return self.run(
            clbuild.parser(),
            lambda options: build(options, places, self.hands),
            *words,
        )

    def run(
        self,
        parser: argparse.ArgumentParser,
        body: Callable[[argparse.Namespace], int],
        *words: str,
    ) -> int:
        code = run(parser, body, words)
        self.out, self.err = self.capture.readouterr()
        return code

    def let_daemons_say(self, standing: str = "halted") -> None:
        """Let the daemons say this standing of themselves."""
        for node in self.nodes:
            node.daemon.standing = standing

    def built(self) -> list[Built]:
        return [built_json.loads(node.places.built.read_bytes()) for node in self.nodes]

    def files(self) -> list[dict[str, tuple[int, str]]]:
        return [node.files() for node in self.nodes]

    def archives(self) -> list[list[str]]:
        return [sorted(each.name for each in n.places.archives.glob("*")) for n in self.nodes]
