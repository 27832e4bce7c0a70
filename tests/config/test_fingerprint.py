"""Drift is a change of the meaning, not of the text."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.config.appconf import read_appconf
from hapair.config.clconf import read_clconf
from hapair.config.fingerprint import Drift, drift_of_appconf, drift_of_clconf, fingerprint
from hapair.model.built import BuiltApplication
from tests.config.reference import BUILT, CLUSTER, FILES

SAMPLES: Final = Path(__file__).parents[2] / "packaging/samples"
CLCONF: Final = (SAMPLES / "clconf-minimal.xml").read_text()
APPCONF: Final = (SAMPLES / "appconf-minimal.xml").read_text()
BUILT_NOW: Final = replace(
    BUILT,
    fingerprint=fingerprint(CLUSTER),
    applications=(BuiltApplication(FILES, (), fingerprint(FILES)),),
)


def clconf_drift(text: str) -> Drift:
    return drift_of_clconf(text.encode(), BUILT_NOW)


def test_the_samples_are_what_the_tests_speak_of() -> None:
    assert read_clconf(CLCONF.encode(), file="clconf.xml") == CLUSTER
    assert read_appconf(APPCONF.encode(), file="files/appconf.xml") == FILES


SAME: Final[dict[str, Callable[[str], str]]] = {
    "unchanged": str,
    "a comment": lambda text: text.replace("<node", "<!-- the old one --><node", 1),
    "layout": lambda text: text.replace("\n", "\n\n  "),
    "quotes": lambda text: text.replace('"', "'"),
    "a default written out": lambda text: text.replace(
        "<arbitration", '<timing detection="2s" heartbeat="0.4s"/><arbitration'
    ),
    "the nodes of a network in another order": lambda text: text.replace(
        '    <on node="node1" address="10.77.2.1/24" cards="eth2 eth3"/>\n', ""
    ).replace(
        '<on node="node2" address="10.77.2.2/24" cards="eth2 eth3"/>',
        '<on node="node2" address="10.77.2.2/24" cards="eth2 eth3"/>'
        '<on node="node1" address="10.77.2.1/24" cards="eth2 eth3"/>',
    ),
    "elements in another order": lambda text: text.replace(
        '  <arbitration by="paths"/>\n', ""
    ).replace('<node name="node1"/>', '<arbitration by="paths"/><node name="node1"/>'),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_the_same_meaning_is_no_drift(change: Callable[[str], str]) -> None:
    assert clconf_drift(change(CLCONF)) is Drift.OK


def test_another_meaning_is_drift() -> None:
    assert clconf_drift(CLCONF.replace("eth2 eth3", "eth3 eth2", 1)) is Drift.CHANGED


def test_a_missing_or_broken_file_is_drift_of_its_own_kind() -> None:
    assert drift_of_clconf(None, BUILT_NOW) is Drift.MISSING
    assert clconf_drift("") is Drift.INVALID


def test_applications_drift_each_for_itself() -> None:
    text = APPCONF.encode()
    assert drift_of_appconf(text, "files", BUILT_NOW) is Drift.OK
    assert drift_of_appconf(text.replace(b".90", b".91"), "files", BUILT_NOW) is Drift.CHANGED
    assert drift_of_appconf(None, "files", BUILT_NOW) is Drift.MISSING
    assert drift_of_appconf(b"<application/>", "files", BUILT_NOW) is Drift.INVALID


def test_an_application_that_was_never_built_has_changed() -> None:
    text = APPCONF.replace("files", "mail").encode()
    assert drift_of_appconf(text, "mail", BUILT_NOW) is Drift.CHANGED


def test_a_fingerprint_is_short_and_tells_kinds_apart() -> None:
    assert len(fingerprint(CLUSTER)) == 32
    assert fingerprint(CLUSTER) != fingerprint(FILES)
