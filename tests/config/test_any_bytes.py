"""Whatever the files hold: a value or problems, never an exception, and soon."""

from pathlib import Path
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from hapair.config.appconf import read_appconf
from hapair.config.clconf import read_clconf
from hapair.config.clstart import read_clstart
from hapair.model.problem import Problem

SAMPLES: Final = Path(__file__).parents[2] / "packaging/samples"
READERS: Final = {
    "clconf.xml": read_clconf,
    "appconf.xml": read_appconf,
    "clstart.xml": read_clstart,
}
PIECES: Final = st.sampled_from(
    [b"<", b">", b"/>", b'"', b"&", b"&lt;", b"<!--", b"-->", b"<!DOCTYPE a [", b"<![CDATA[",
     b"]]>", b"<?", b"\xff", b"\0", b"\n", b"yes", b"10.77.1.1", b"-", b"/24", b"network",
     b"name=", b"9" * 50]
)  # fmt: skip


def check(content: bytes) -> None:
    for file, read in READERS.items():
        answer: object = read(content, file=file)
        if isinstance(answer, tuple):
            assert answer
            for problem in answer:
                assert isinstance(problem, Problem)
                assert problem.where.startswith(f"{file}:")
                assert problem.what
                assert problem.mend
                assert str(problem).isprintable()


@given(st.binary())
def test_bytes_of_any_kind(content: bytes) -> None:
    check(content)


@given(st.lists(PIECES | st.binary(max_size=4)).map(b"".join))
def test_bytes_that_look_like_xml(content: bytes) -> None:
    check(content)


@given(st.sampled_from(sorted(SAMPLES.glob("*.xml"))), st.data())
def test_samples_with_a_piece_replaced(sample: Path, data: st.DataObject) -> None:
    content = sample.read_bytes()
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(len(content), begin + 20)))
    check(content[:begin] + data.draw(PIECES) + content[end:])
