"""Whatever is given as a configuration ends as drafts, or as one error with file and line."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.migrate.drafts import TOOLS, Drafts, drafts_from
from hapair.migrate.lines import Place, Source, UnreadableError
from tests.migrate.samples import SAMPLES, problems_of, sources_of, tool_of

SECONDS_MAX = 20.0  # On a machine that does something else as well.
NAMES = ("cib.xml", "corosync.conf", "r0.res", "ha.cf", "haresources", "keepalived.conf")
# Signs that mean something to one of the formats.
SIGNS = " \t\n\r\\\"'{}();:=#!@$<>&/*-.,[]0129aX\u00e9\u2028\x1b"
WORDS = (
    "primitive", "group", "ms", "location", "colocation", "order", "node", "property", "params",
    "op", "meta", "resource", "on", "volume", "disk", "address", "totem", "nodelist",
    "vrrp_instance", "virtual_ipaddress", "track_script", "include", "notify_master", "IPaddr2",
    "Filesystem", "inf:", "CHANGE:", "10.0.0.1/24", "300.1.1.1", "::", "a=b", "x" * 70,
)  # fmt: skip


def nothing(_pattern: str, _place: Place) -> tuple[Source, ...]:
    return ()


def came(tool: str, sources: tuple[Source, ...]) -> Drafts | UnreadableError:
    """Return what came of it; an error names a file, a line, what is wrong and the mend."""
    try:
        drafts = drafts_from(tool, sources, nothing)
    except UnreadableError as error:
        problem = error.problem
        assert re.fullmatch(r"[^\n]+:[1-9][0-9]*", problem.where)
        assert problem.where.rpartition(":")[0] in {each.name for each in sources}
        assert problem.what.isprintable()
        assert problem.mend
        return error
    for draft in drafts.files:
        wrong = [each.what for each in problems_of(draft)]
        assert [each for each in wrong if "this cannot be read" in each] == []
    for note in drafts.notes:
        assert str(note).isprintable()
    return drafts


@given(
    st.sampled_from(TOOLS),
    st.sampled_from(NAMES),
    st.binary(max_size=300) | st.text(SIGNS, max_size=200).map(str.encode),
)
def test_any_bytes(tool: str, name: str, content: bytes) -> None:
    came(tool, (Source(name, content),))


@given(
    st.sampled_from(TOOLS),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(WORDS) | st.text(SIGNS, max_size=6), max_size=40),
)
def test_any_words_in_any_order(tool: str, name: str, words: list[str]) -> None:
    came(tool, (Source(name, " ".join(words).encode()),))


@given(st.sampled_from(SAMPLES), st.data())
def test_a_file_that_was_cut_or_changed_anywhere(sample: str, data: st.DataObject) -> None:
    sources = list(sources_of(sample))
    place = data.draw(st.integers(0, len(sources) - 1))
    content = sources[place].content
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.sampled_from((begin, begin + 1, begin + 9, len(content))))
    instead = data.draw(st.text(SIGNS, max_size=3)).encode()
    changed = content[:begin] + instead + content[end:]
    sources[place] = Source(sources[place].name, changed)
    came(tool_of(sample), tuple(sources))


LARGE = {
    "words without end": ("haresources", b"a " + b"b::c " * 18_000),
    "lines without end": ("haresources", b"a 10.0.0.1 b\n" * 18_000),
    "a block that never ends": ("keepalived.conf", b"a {\n" * 18_000),
    "a statement that never ends": ("r0.res", b"word\n" * 18_000),
    "many resources": ("r0.res", b"resource r { on a { address 1.1.1.1:1; } }\n" * 9_000),
    "many primitives": (
        "x.crm",
        b"".join(b"primitive p%d IPaddr2 ip=10.%d.%d.1\n" % (n, n >> 8, n & 255)
                 for n in range(9_000)),
    ),
    "one long chain": (
        "x.crm",
        b"".join(b"primitive p%d Dummy\n" % n for n in range(4_000))
        + b"".join(b"colocation c%d inf: p%d p%d\n" % (n, n + 1, n) for n in range(3_999)),
    ),
    "one large group": (
        "x.crm",
        b"".join(b"primitive p%d IPaddr2 ip=10.%d.%d.1 cidr_netmask=%d\n"
                 % (n, n >> 8, n & 255, n % 32) for n in range(1_500))
        + b"group g " + b" ".join(b"p%d" % n for n in range(1_500)) + b"\n",
    ),
    "many locations": (
        "x.crm",
        b"".join(b"primitive p%d Dummy\n" % n for n in range(400))
        + b"".join(b"location l%d p%d %d: a\n" % (n, n % 400, n) for n in range(9_000)),
    ),
    "a group in itself": ("x.crm", b"primitive a Dummy\ngroup g g a\nclone c g\nclone g c\n"),
    "deep XML": ("cib.xml", b"<a>" * 18_000),
    "wide XML": (
        "cib.xml",
        b"<cib><configuration><resources>"
        + b"".join(b'<primitive id="p%d" class="ocf" provider="heartbeat" type="Dummy"/>' % n
                   for n in range(9_000))
        + b"</resources></configuration></cib>",
    ),
    "more than anybody wrote": ("x.crm", b"# \n" * (3 << 20)),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_a_large_input_ends_soon(name: str) -> None:
    file, content = LARGE[name]
    tool = {"haresources": "heartbeat", "keepalived.conf": "keepalived"}.get(file, "pacemaker")
    began_s = time.monotonic()
    came(tool, (Source(file, content),))
    assert time.monotonic() - began_s < SECONDS_MAX


@pytest.mark.parametrize(
    ("tool", "file", "text", "line", "what"),
    [
        ("pacemaker", "x.crm", 'node a\nprimitive p x params a="b\n', 2, "never ended"),
        ("pacemaker", "x.crm", "node a\n\npassword=x\n", 3, '"password" begins no statement'),
        ("pacemaker", "x.crm", "group g\n", 1, "group is not complete"),
        ("pacemaker", "cib.xml", "<cib>\n<configuration>\n", 3, "not closed"),
        ("pacemaker", "cib.xml", "<cib/>", 1, "holds no <configuration>"),
        ("pacemaker", "corosync.conf", "totem {\n a: 1\n", 1, "totem is begun here and never"),
        ("pacemaker", "r0.res", "resource r {\n}\n}\n", 3, "ends nothing"),
        ("keepalived", "k.conf", "\n{\n", 2, "no name in front"),
        ("heartbeat", "ha.cf", "node a b\ndeadtime\n", 2, "deadtime has no value"),
        ("heartbeat", "haresources", "alone\n", 1, "the one word alone"),
        ("heartbeat", "haresources", "", 1, "the file is empty"),
    ],
)
def test_an_error_names_its_line(tool: str, file: str, text: str, line: int, what: str) -> None:
    error = came(tool, (Source(file, text.encode()),))
    assert isinstance(error, UnreadableError)
    assert error.problem.where == f"{file}:{line}"
    assert what in error.problem.what


def test_two_configurations_are_not_mixed() -> None:
    one = Source("a.crm", b"node a\n")
    error = came("pacemaker", (one, Source("b.crm", b"node b\n")))
    assert isinstance(error, UnreadableError)
    assert error.problem.where == "b.crm:1"


def test_files_that_include_themselves_end() -> None:
    again = Source("k.conf", b"include k.conf\n")
    with pytest.raises(UnreadableError, match="more than 4 deep"):
        drafts_from("keepalived", (again,), lambda _pattern, _place: (again,))
    many = Source("k.conf", b"include a\n" * 100)
    with pytest.raises(UnreadableError, match="more than 64 files"):
        drafts_from("keepalived", (many,), lambda _pattern, _place: (Source("a", b"x y\n"),))
