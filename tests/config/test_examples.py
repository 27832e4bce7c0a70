"""Each example of a real application is taken by clbuildapp, whole, and played on guests."""

import re
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from hapair.config.appconf import examine_appconf
from hapair.config.clconf import read_clconf
from hapair.config.together import check_together
from hapair.model.application import Application
from hapair.model.cluster import Cluster
from hapair_lab.applications import ALL
from tools.config_schema import FOLDER

PACKAGING: Final = Path(__file__).parents[2] / "packaging"
EXAMPLES: Final = {folder.name: folder for folder in (PACKAGING / "examples").iterdir()}


def read(example: Path) -> Application:
    """Return what the example says; nothing may be wrong with it, or doubtful."""
    reading = examine_appconf((example / "appconf.xml").read_bytes(), file="appconf.xml")
    assert reading.problems == ()
    assert reading.value is not None
    return reading.value


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_accepted(name: str) -> None:
    assert read(EXAMPLES[name]).name == name
    schema = etree.XMLSchema(etree.parse(FOLDER / "appconf.xsd"))
    schema.assertValid(etree.parse(EXAMPLES[name] / "appconf.xml"))


def test_the_examples_go_together() -> None:
    cluster = read_clconf((PACKAGING / "samples/clconf.xml").read_bytes(), file="clconf.xml")
    assert isinstance(cluster, Cluster)
    assert not check_together(cluster, tuple(map(read, EXAMPLES.values())))


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_an_example_speaks_of_is_in_its_folder(name: str) -> None:
    example = EXAMPLES[name]
    steps = (example / "README.md").read_text()
    called = re.findall(rf"/etc/cluster/{name}/(\w+)", (example / "appconf.xml").read_text())
    copied = re.findall(rf"/usr/share/hapair/samples/{name}/([\w.]+)", steps)
    files = {file.name for file in example.iterdir()} - {"README.md"}
    assert set(copied) == files, "the steps say where each file goes, and no other"
    assert {file for file in called if file != "appconf"} <= files


def test_every_example_is_played_on_guests_and_nothing_else_is() -> None:
    assert set(ALL) == set(EXAMPLES)
    for name, played in ALL.items():
        assert played.address in {str(each.address.ip) for each in read(EXAMPLES[name]).addresses}
