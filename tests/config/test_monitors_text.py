"""Monitors are written into an appconf.xml that keeps everything else as it is."""

import pytest

from hapair.config.appconf import read_appconf
from hapair.config.monitors_text import with_monitors
from hapair.model.application import Application

TCP = '<tcp name="port" address="127.0.0.1" port="5432"/>'
FULL = b"""<?xml version="1.0" encoding="UTF-8"?>
<application name="orders" preferred="node1">
  <!-- what we watch: \xc3\xbc -->
  <monitors restarts="2">
    <!-- the page -->
    <http url="http://127.0.0.1/?a=1>2"/>
    <check path="/bin/true"></check>
  </monitors>
  <limits start="5s"/>
</application>
"""


def names(content: bytes) -> list[str]:
    read = read_appconf(content, file="orders/appconf.xml")
    assert isinstance(read, Application), read
    return [each.name for each in read.monitors.each]


def test_an_added_one_gets_its_line_at_the_end() -> None:
    new = with_monitors(FULL, (), (TCP,))
    assert new == FULL.replace(b"  </monitors>", f"    {TCP}\n  </monitors>".encode())
    assert names(new) == ["http", "check", "port"]


def test_a_removed_one_goes_with_its_line() -> None:
    new = with_monitors(FULL, ("http", "never"), ())
    assert new == FULL.replace(b'    <http url="http://127.0.0.1/?a=1>2"/>\n', b"")
    assert names(with_monitors(FULL, ("http", "check"), ())) == []
    assert names(with_monitors(FULL, ("http",), (TCP,))) == ["check", "port"]


@pytest.mark.parametrize(
    "written",
    [
        '<application name="orders" preferred="node1"/>',
        '<application name="orders" preferred="node1"></application>',
        '<application name="orders" preferred="node1">\n</application>\n',
        '<application name="orders" preferred="node1">\n  <monitors/>\n</application>',
        '<application name="orders" preferred="node1"><monitors period="5m" /></application>',
        '<application name="orders" preferred="node1"><monitors></monitors></application>',
        '<application name="orders" preferred="node1"><limits/><monitors/></application>',
        '<application name="orders" preferred="node1"><monitors>\n  </monitors></application>',
    ],
)
def test_where_there_was_none_it_is_made(written: str) -> None:
    new = with_monitors(written.encode(), (), (TCP,))
    assert names(new) == ["port"]
    assert f"\n    {TCP}\n" in new.decode()
    assert names(with_monitors(new, ("port",), ())) == []


def test_several_on_one_line_are_told_apart() -> None:
    one = b'<application name="orders" preferred="node1"><monitors><ocf/><check path="/a"/>'
    new = with_monitors(one + b"</monitors></application>", ("ocf",), ())
    assert new == one.replace(b"<ocf/>", b"") + b"</monitors></application>"
