"""The schemas for editors are fresh, and never stricter than our own reader."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hapair.config.appconf import examine_appconf
from hapair.config.clconf import examine_clconf
from tools.config_schema import FOLDER, FORMATS, schema

SAMPLES: Final = Path(__file__).parents[2] / "packaging/samples"
CLCONF_SCHEMA: Final = etree.XMLSchema(etree.fromstring(schema(FORMATS["clconf"])))
APPCONF_SCHEMA: Final = etree.XMLSchema(etree.fromstring(schema(FORMATS["appconf"])))
# Pieces of values that are right somewhere: chance alone finds nothing that is accepted.
PIECES: Final = st.lists(
    st.sampled_from(
        ["yes", "no", "node1", "eth0", "10.77.1.9", "/24", "/etc/run", "7800", "-", " ", ".", "s",
         "2", "400m", "ocf:a:b", "x.service", "@", ":", "\\", "_", "é", "\u00a0", "\t", "fd77::",
         "http://", "file", "witness", "fence_x"]
    ),
    max_size=4,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_schema_is_fresh(name: str, request: pytest.FixtureRequest) -> None:
    file, fresh = FOLDER / f"{name}.xsd", schema(FORMATS[name])
    if request.config.getoption("--rewrite"):
        file.write_bytes(fresh)
    assert file.read_bytes() == fresh, "run python tools/config_schema.py and read the diff"


def changed(file: str, data: st.DataObject) -> etree._Element:
    """Return a sample with some values, texts or elements that chance changed."""
    root = etree.parse(SAMPLES / file, etree.XMLParser(remove_comments=True)).getroot()
    for _ in range(data.draw(st.integers(1, 3))):
        element = data.draw(st.sampled_from(list(root.iter())))
        change = data.draw(st.sampled_from(["value", "remove", "copy", "text", "move"]))
        parent = element.getparent()
        match change:
            case "value" if element.attrib:
                name = data.draw(st.sampled_from(sorted(element.attrib)))
                element.set(name, data.draw(PIECES))
            case "remove" if parent is not None:
                parent.remove(element)
            case "copy" if parent is not None:
                parent.append(etree.fromstring(etree.tostring(element)))
            case "move" if parent is not None:
                parent.append(element)
            case "text":
                element.text = data.draw(PIECES)
            case _:  # There is nothing to change here in this way.
                pass
    for element in root.iter():
        # A schema knows no white space inside an element without content; we do not mind it.
        if not len(element) and not (element.text or "").strip():
            element.text = None
    return root


@given(st.data())
def test_the_schema_of_the_cluster_refuses_nothing_that_we_accept(data: st.DataObject) -> None:
    sample = st.sampled_from(["clconf-minimal.xml", "clconf-witness.xml", "clconf-fencing.xml"])
    root = changed(data.draw(sample), data)
    if examine_clconf(etree.tostring(root), file="clconf.xml").value is not None:
        CLCONF_SCHEMA.assertValid(root)


@given(st.data())
def test_the_schema_of_applications_refuses_nothing_that_we_accept(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(["appconf-unit.xml", "appconf-ocf.xml", "appconf.xml"]))
    root = changed(file, data)
    if examine_appconf(etree.tostring(root), file="appconf.xml").value is not None:
        APPCONF_SCHEMA.assertValid(root)


def test_editors_are_told_what_is_missing_misspelt_or_twice() -> None:
    good = (SAMPLES / "clconf-minimal.xml").read_text()
    for before, after in (
        ('name="shop"', ""),
        ('name="shop"', 'name="shop" nmae="x"'),
        ('by="paths"', 'by="dice"'),
        ('"10.77.1.1/24"', '"10.77.1.1"'),
        ('name="node2"', 'name="node1"'),
        ('name="private"', 'name="public"'),
        ("<arbitration", "<alert/><arbitration"),
        ('by="paths"/>', 'by="witness"><witness kind="dice" at="x"/></arbitration>'),
        ('by="paths"/>', 'by="fencing"><method node="node1" agent="ipmilan"/></arbitration>'),
    ):
        assert not CLCONF_SCHEMA.validate(etree.fromstring(good.replace(before, after, 1)))
