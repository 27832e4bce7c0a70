"""One monitor by its kind and keys: the same rules as in appconf.xml."""

import pytest

from hapair.config.appconf import read_appconf
from hapair.config.kinds import Wrong
from hapair.config.one_monitor import ELEMENTS, as_element, keys_of, read_monitor
from hapair.model.application import Application, OcfAgent, Script
from hapair.model.monitor import HttpProbe, Monitor, OcfProbe, ProcessProbe, TcpProbe

PLAIN = Application("orders", "node1")
WHOLE = Application(
    "orders", "node1", program=OcfAgent("heartbeat", "pgsql"), volume_groups=("vg_orders",)
)


def test_a_monitor_is_read_as_from_appconf_xml() -> None:
    found = read_monitor("tcp", {"address": "127.0.0.1", "port": "5432", "interval": "5s"}, PLAIN)
    assert found == Monitor("tcp", TcpProbe("127.0.0.1", 5432), interval_s=5.0)
    assert read_monitor("ocf", {"name": "deep"}, WHOLE) == Monitor("deep", OcfProbe())
    script = Application("orders", "node1", program=Script("/run"))
    assert read_monitor("process", {}, script) == Monitor("process", ProcessProbe())


@pytest.mark.parametrize(
    ("kind", "keys", "what", "mend"),
    [
        ("ping", {}, 'there is no kind "ping" of monitors', "the kinds: filesystem, process, tcp"),
        ("tcp", {"prt": "5"}, 'tcp has no key "prt"', 'did you mean "port"'),
        ("tcp", {"prt": "5"}, "prt", "its keys: name, interval, timeout"),
        ("tcp", {"address": "127.0.0.1"}, "port: it is missing", "port (needed)"),
        ("tcp", {"address": "127.0.0.1", "port": "0"}, "out of bounds", "1 to 65535"),
        ("ocf", {}, "the application's program is no OCF agent", "use another monitor"),
        ("process", {}, "the application has no program", "add a <run>"),
        ("resources", {"out_of_memory": "no"}, "it watches nothing", "write memory or cpu"),
    ],
)
def test_what_is_wrong_is_named_with_all_that_may_be_written(
    kind: str, keys: dict[str, str], what: str, mend: str
) -> None:
    application = WHOLE if kind == "resources" else PLAIN
    found = read_monitor(kind, keys, application)
    assert isinstance(found, Wrong)
    assert what in found.what
    assert mend in found.mend


def test_what_is_taken_over_into_the_file_means_the_same() -> None:
    keys = {"name": "page", "url": "http://h/", "text": 'a "b" & <c>\n'}
    text = f"""<application name="orders" preferred="node1">
      <monitors>{as_element("http", keys)}</monitors></application>"""
    read = read_appconf(text.encode(), file="orders/appconf.xml")
    assert isinstance(read, Application)
    assert read.monitors.each == (Monitor("page", HttpProbe("http://h/", text=keys["text"])),)
    assert read.monitors.each == (read_monitor("http", keys, PLAIN),)


def test_every_kind_has_its_keys() -> None:
    assert all("name" in keys_of(kind) for kind in ELEMENTS)
