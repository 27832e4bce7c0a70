"""What the readers make of files that are right, and of files that nobody would write."""

from ipaddress import IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from hapair.config.appconf import examine_appconf, read_appconf
from hapair.config.clconf import examine_clconf, read_clconf
from hapair.config.clstart import examine_clstart, read_clstart
from hapair.config.complaints import PROBLEMS_MAX
from hapair.config.document import FILE_BYTES_MAX, parse
from hapair.config.format_clconf import CLUSTER_NAME
from hapair.config.grammar import must
from hapair.config.together import check_together, in_subnets
from hapair.model.application import Application, OcfAgent, TimeLimits, Unit
from hapair.model.cluster import ArbitrationKind, Cluster, Timing
from hapair.model.problem import Problem
from hapair.model.startup import Startup
from tests.config.reference import CLUSTER, FILES
from tools.config_schema import FOLDER

SAMPLES: Final = Path(__file__).parents[2] / "packaging/samples"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
MINIMAL: Final = (SAMPLES / "clconf-minimal.xml").read_text()


def cluster(text: str) -> Cluster:
    value = read_clconf(text.encode(), file="clconf.xml")
    assert isinstance(value, Cluster), value
    return value


def application(text: str) -> Application:
    value = read_appconf(text.encode(), file="appconf.xml")
    assert isinstance(value, Application), value
    return value


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.xml")), ids=lambda file: file.name)
def test_an_installed_sample_is_accepted(file: Path) -> None:
    text, kind = file.read_bytes(), file.stem.partition("-")[0]
    match kind:
        case "clconf":
            assert examine_clconf(text, file="clconf.xml").value is not None
        case "appconf":
            assert not examine_appconf(text, file="appconf.xml").problems
        case _:
            assert not examine_clstart(text, file="clstart.xml").problems
    etree.XMLSchema(etree.parse(FOLDER / f"{kind}.xsd")).assertValid(etree.fromstring(text))


def test_the_commented_sample_of_the_start_holds_the_defaults() -> None:
    text = (SAMPLES / "clstart.xml").read_bytes()
    assert read_clstart(text, file="clstart.xml") == Startup()
    assert read_clstart(b"<clstart/>", file="clstart.xml") == Startup()


def test_the_reference_cluster_takes_few_lines() -> None:
    assert len(MINIMAL.splitlines()) <= 25
    assert len((SAMPLES / "appconf-minimal.xml").read_text().splitlines()) <= 20


def test_the_samples_go_together() -> None:
    read = cluster((SAMPLES / "clconf.xml").read_text())
    texts = (file.read_text() for file in sorted(SAMPLES.glob("appconf*.xml")))
    assert not check_together(read, tuple(application(text) for text in texts))


def test_ipv6_stands_beside_ipv4() -> None:
    text = MINIMAL.replace('10.77.1.1/24"', '10.77.1.1/24 fd77:1::1/64"').replace(
        '10.77.1.2/24"', '10.77.1.2/24 fd77:1::2/64"'
    )
    read = cluster(text)
    attachment = read.network("public").attachment("node2")
    assert attachment.address == IPv4Interface("10.77.1.2/24")
    assert attachment.further == (IPv6Interface("fd77:1::2/64"),)
    assert read.network("public").subnet_of(IPv6Address("fd77:1::50")) is not None
    service = application(
        '<application name="web" preferred="node1"><network name="public">'
        "<address>fd77:1::50 - fd77:1::52</address></network></application>"
    )
    assert not check_together(read, (service,))
    built = in_subnets(read, service)
    assert [str(one.address) for one in built.addresses] == [
        f"fd77:1::{number}/64" for number in (50, 51, 52)
    ]


def test_two_machines_may_share_the_smallest_subnet() -> None:
    text = MINIMAL.replace("10.77.2.1/24", "10.77.2.0/31").replace("10.77.2.2/24", "10.77.2.1/31")
    assert str(cluster(text).replication_network.attachments[0].address) == "10.77.2.0/31"


def test_the_heartbeat_follows_the_detection() -> None:
    text = MINIMAL.replace("<arbitration", '<timing detection="1s"/><arbitration')
    assert cluster(text).timing == Timing(detection_s=1.0, heartbeat_s=0.2)


def test_the_only_network_replicates() -> None:
    begin, end = MINIMAL.index('  <network name="private"'), MINIMAL.index("  <arbitration")
    text = (MINIMAL[:begin] + MINIMAL[end:]).replace("paths", "operator")
    read = cluster(text)
    assert read.replication_network.name == "public"
    assert read.arbitration is ArbitrationKind.OPERATOR


def test_units_agents_and_limits_are_taken() -> None:
    unit = application((SAMPLES / "appconf-unit.xml").read_text())
    assert unit.program == Unit("postgresql@15-main.service")
    assert unit.limits == TimeLimits(start_s=300, stop_s=120, mount_s=1800)
    agent = application((SAMPLES / "appconf-ocf.xml").read_text()).program
    assert agent == OcfAgent("heartbeat", "nginx", (("configfile", "/srv/web/nginx.conf"),))


@pytest.mark.parametrize(("written", "resets"), [("", False), ("alarm", False), ("reset", True)])
def test_a_node_is_reset_only_where_that_is_written(written: str, *, resets: bool) -> None:
    when = f'<when stop_hangs="{written}"/>' if written else ""
    text = (
        f'<application name="orders" preferred="node1"><volumegroup name="vg"/>{when}</application>'
    )
    assert application(text).resets_node is resets


def test_what_an_application_demands_of_others_is_taken() -> None:
    text = (
        '<application name="orders" preferred="node1" priority="7"><volumegroup name="vg"/>'
        '<after application="db"/><after application="mail"/><with application="db"/>'
        '<apart-from application="test"/></application>'
    )
    read = application(text)
    assert (read.after, read.with_) == (("db", "mail"), ("db",))
    assert (read.apart_from, read.priority) == (("test",), 7)


def test_an_application_without_program_is_data_and_addresses() -> None:
    text = '<application name="a" preferred="node1"><volumegroup name="vg"/></application>'
    assert application(text).program is None


def test_white_space_counts_only_in_the_values_of_parameters() -> None:
    text = """<application name=" a " preferred="node1
      "><run><ocf agent=" ocf:heartbeat:x "><parameter name="o" value="  two  words "/></ocf></run>
      <network name="public"><address>
        10.77.1.50
      </address></network></application>"""
    read = application(text)
    assert (read.name, read.preferred) == ("a", "node1")
    assert isinstance(read.program, OcfAgent)
    assert read.program.parameters == (("o", "  two  words "),)
    assert str(read.addresses[0].address) == "10.77.1.50/32"


@pytest.mark.parametrize(
    "root",
    [
        f'<clstart xmlns:xsi="{XSI}" xsi:noNamespaceSchemaLocation="/usr/share/clstart.xsd"/>',
        '<?xml-model href="/usr/share/hapair/schema/clstart.xsd"?><clstart/>',
        '\ufeff<?xml version="1.0" encoding="utf-8"?><clstart/>',
        '<?xml version="1.0"?><clstart/>',
    ],
)
def test_what_editors_write_for_themselves_is_accepted(root: str) -> None:
    assert read_clstart(root.encode(), file="clstart.xml") == Startup()


def only_problem(text: bytes) -> str:
    reading = examine_clconf(text, file="clconf.xml")
    assert reading.value is None
    (problem,) = reading.problems
    return str(problem)


def test_other_encodings_are_refused_in_one_sentence() -> None:
    assert "1: error: encoding: byte 0xff is not UTF-8" in only_problem("<a/>".encode("utf-16"))
    assert "2: error: encoding: byte 0xe9" in only_problem("<!--\né--><a/>".encode("latin-1"))


def test_a_huge_file_is_refused_unread() -> None:
    text = b"<cluster>" + b" " * FILE_BYTES_MAX
    assert "1: error: size: the file has 1,048,585 bytes" in only_problem(text)


def test_text_of_a_message_is_short_and_printable() -> None:
    name = "\N{BELL}" * 300 + "\u202e"
    what = only_problem(MINIMAL.replace('name="shop"', f'name="{name}"').encode())
    assert "\u202e" not in what
    assert len(what) < 300


def test_a_thousand_problems_are_summed_up() -> None:
    text = f"<cluster>{'<x/>' * 1000}</cluster>".encode()
    reading = examine_clconf(text, file="clconf.xml")
    assert len(reading.problems) == PROBLEMS_MAX + 1
    assert reading.problems[-1].what == "904 more problems are not shown"


def test_the_places_of_an_application_are_its_lines() -> None:
    text = (SAMPLES / "appconf-minimal.xml").read_bytes()
    places = examine_appconf(text, file="files/appconf.xml").places
    assert places == {
        "": "files/appconf.xml:1",
        "preferred": "files/appconf.xml:1",
        "volumegroup vg_files": "files/appconf.xml:2",
        "network public": "files/appconf.xml:3",
        "address 10.77.1.90": "files/appconf.xml:3",
    }


def test_without_places_a_problem_names_the_file() -> None:
    twice = check_together(CLUSTER, (FILES, FILES))
    assert str(twice[0]).startswith('files/appconf.xml: error: <application> name: "files" exists')


def test_subnets_of_different_families_and_ranges_do_not_meet() -> None:
    text = MINIMAL.replace("10.77.2.1/24", "fd77:2::1/64").replace("10.77.2.2/24", "fd77:2::2/64")
    assert cluster(text).replication_network.subnets[0].version == 6
    both = application(
        '<application name="web" preferred="node1"><network name="public">'
        "<address>10.77.1.50</address><address>fd77:1::50</address></network></application>"
    )
    assert len(both.addresses) == 2


def test_two_ipv6_networks_need_two_subnets() -> None:
    text = MINIMAL
    for old, new in (("10.77.1.", "fd77:1::"), ("10.77.2.", "fd77:1::4"), ("/24", "/64")):
        text = text.replace(old, new)
    reading = examine_clconf(text.encode(), file="clconf.xml")
    assert any("overlaps fd77:1::/64" in problem.what for problem in reading.problems)


def test_a_value_is_taken_only_from_a_checked_document() -> None:
    root = parse(b"<cluster/>", file="clconf.xml")
    assert not isinstance(root, Problem)
    with pytest.raises(ValueError, match="<cluster> name was not checked"):
        must(root, CLUSTER_NAME)


def test_an_address_without_subnet_is_never_built() -> None:
    text = (SAMPLES / "appconf-minimal.xml").read_text().replace("10.77.1.90", "10.77.9.90")
    with pytest.raises(ValueError, match="is in no subnet of network public"):
        in_subnets(CLUSTER, application(text))
