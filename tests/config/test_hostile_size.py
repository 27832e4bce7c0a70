"""Files made to keep their reader busy: each is answered in about a second."""

from collections.abc import Callable
from typing import Final

import pytest

from hapair.config.appconf import read_appconf
from hapair.config.clconf import read_clconf
from hapair.config.document import FILE_BYTES_MAX

ROOM: Final = FILE_BYTES_MAX - 200


def cluster(content: str) -> object:
    return read_clconf(f'<cluster name="a">{content}</cluster>'.encode(), file="clconf.xml")


def attached(attribute: str) -> object:
    return cluster(f'<network name="a"><on node="a" {attribute}/></network>')


def application(content: str) -> object:
    text = f'<application name="a" preferred="n">{content}</application>'
    return read_appconf(text.encode(), file="appconf.xml")


def addressed(text: str) -> object:
    return application(f'<network name="n">{text}</network>')


HOSTILE: Final[dict[str, Callable[[], object]]] = {
    "elements": lambda: cluster("<x/>" * (ROOM // 4)),
    "misspelt elements": lambda: cluster("".join(f"<netw{n}rk/>" for n in range(3900))),
    "attributes": lambda: attached(" ".join(f'a{n}=""' for n in range(80_000))),
    "cards": lambda: attached(f'cards="{" ".join(f"e{n}" for n in range(90_000))}"'),
    "node addresses": lambda: attached(f'address="{"10.0.0.1/24 " * 80_000}"'),
    "a name": lambda: attached(f'node="{"a-" * (ROOM // 2)}"'),
    "a number": lambda: cluster(f'<timing detection="{"9" * ROOM}s"/>'),
    "an address": lambda: addressed(f"<address>{'f' * ROOM}</address>"),
    "a range": lambda: addressed(f"<address>{'1-' * (ROOM // 2)}</address>"),
    "a range of IPv6": lambda: addressed("<address>::2-ffff:ffff:ffff:ffff::</address>"),
    "ranges": lambda: addressed("<address>10.0.0.1-10.0.3.232</address>" * 3900),
    "a unit": lambda: application(f'<run><unit name="{"a@" * (ROOM // 2)}"/></run>'),
    "a path": lambda: application(f'<run><script path="{"/." * (ROOM // 2)}"/></run>'),
    "text": lambda: cluster("x " * (ROOM // 2)),
    "comments": lambda: cluster("<!---->" * (ROOM // 7)),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("read", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_soon(read: Callable[[], object]) -> None:
    assert isinstance(read(), tuple)
