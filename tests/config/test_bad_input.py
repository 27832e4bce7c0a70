"""Every message that an administrator may get for a file: tests/config/bad/*.txt.

``pytest --rewrite`` writes the messages of today into the tables; read the diff.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from hapair.config.appconf import examine_appconf
from hapair.config.clconf import examine_clconf
from hapair.config.clstart import examine_clstart
from hapair.config.reading import Reading
from hapair.config.together import check_together
from hapair.model.problem import Problem
from tests.config.transcripts import Case, Table, table, told
from tools.config_schema import FORMATS, schema

SAMPLES: Final = Path(__file__).parents[2] / "packaging/samples"
CLUSTER: Final = (SAMPLES / "clconf-minimal.xml").read_text()
APPLICATION: Final = """\
<application name="orders" preferred="node1" autostart="yes">
  <volumegroup name="vg_orders"/>
  <network name="public">
    <address>10.77.1.50</address>
    <address>10.77.1.60-10.77.1.69</address>
  </network>
  <run><script path="/etc/cluster/orders/run"/></run>
  <limits start="60s" stop="60s"/>
</application>
"""
STARTUP: Final = """\
<clstart allow_single_node="yes" join_existing_cluster="yes" autostart_apps="yes"
         timeout="60s"/>
"""
BILLING: Final = """\
<application name="billing" preferred="node2">
  <volumegroup name="vg_billing"/>
  <network name="public"><address>10.77.1.51</address></network>
</application>
"""

Examine = Callable[[bytes], Reading[object]]


def clconf(text: bytes) -> Reading[object]:
    return examine_clconf(text, file="clconf.xml")


def appconf(text: bytes) -> Reading[object]:
    return examine_appconf(text, file="orders/appconf.xml")


def clstart(text: bytes) -> Reading[object]:
    return examine_clstart(text, file="clstart.xml")


def together(text: bytes) -> tuple[Problem, ...]:
    """Read both applications, which stand one after the other."""
    cluster = examine_clconf(CLUSTER.encode(), file="clconf.xml").value
    assert cluster is not None
    parts = text.split(b"\n\n")
    readings = [
        examine_appconf(part, file=f"{name}/appconf.xml")
        for name, part in zip(("orders", "billing"), parts, strict=True)
    ]
    applications = tuple(reading.value for reading in readings if reading.value is not None)
    assert len(applications) == 2
    places = {a.name: r.places for a, r in zip(applications, readings, strict=True)}
    return check_together(cluster, applications, places=places)


SINGLE_FILES: Final[dict[str, tuple[Examine, str]]] = {
    "xml": (clconf, ""),
    "clconf": (clconf, CLUSTER),
    "appconf": (appconf, APPLICATION),
    "clstart": (clstart, STARTUP),
}
CASES: Final = [(name, case) for name in SINGLE_FILES for case in table(name).cases]


def reading_of(name: str, case: Case) -> Reading[object]:
    examine, base = SINGLE_FILES[name]
    return examine(case.text(base).encode())


def compare(expected: Table, messages: Callable[[Case], tuple[str, ...]], *, rewrite: bool) -> None:
    happened = expected.rewritten(messages)
    if rewrite:
        expected.file.write_text(happened)
    assert expected.file.read_text() == happened, "run pytest with --rewrite and read the diff"


@pytest.mark.parametrize("name", SINGLE_FILES)
def test_the_messages_are_those_of_the_table(name: str, request: pytest.FixtureRequest) -> None:
    rewrite = bool(request.config.getoption("--rewrite"))
    compare(table(name), lambda case: told(reading_of(name, case).problems), rewrite=rewrite)


def test_the_messages_about_several_files_are_those_of_the_table(
    request: pytest.FixtureRequest,
) -> None:
    rewrite = bool(request.config.getoption("--rewrite"))
    base = f"{APPLICATION}\n{BILLING}"
    compare(
        table("together"), lambda case: told(together(case.text(base).encode())), rewrite=rewrite
    )


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda value: getattr(value, "title", value))
def test_a_schema_refuses_nothing_that_we_accept(name: str, case: Case) -> None:
    reading = reading_of(name, case)
    kind = "clconf" if name == "xml" else name
    try:
        document = etree.fromstring(case.text(SINGLE_FILES[name][1]).encode())
    except etree.XMLSyntaxError:
        assert reading.value is None
        return
    if reading.value is not None:
        etree.XMLSchema(etree.fromstring(schema(FORMATS[kind]))).assertValid(document)


def test_the_good_files_are_good() -> None:
    for examine, base in list(SINGLE_FILES.values())[1:]:
        assert examine(base.encode()).value is not None
    assert not together(f"{APPLICATION}\n{BILLING}".encode())


def test_at_least_forty_inputs_are_refused() -> None:
    refused = [title for name, title in CASES if reading_of(name, title).value is None]
    assert len(refused) >= 40
