"""Whatever two nodes ask in whatever order: an epoch has one holder, and none comes back."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hapair.adapters.witness.file import FolderLog, ask
from hapair.adapters.witness.words import Record
from hapair.model.witness import Answer
from hapair.rpc.messages import Malformed
from hapair.witness.book import Ask, Book, fingerprint
from hapair.witness.codes import digest
from hapair.witness.wire import Grant, Join, Joined, Look, Recorded, parse
from tests.runtime.conftest import make_certificate
from tests.witness.parties import CLUSTER, NODES

ASKS = st.lists(st.tuples(st.sampled_from(NODES), st.integers(1, 6)), max_size=30)
ASK_OF_FEW = st.tuples(st.sampled_from(NODES), st.integers(1, 3))
FEW_ASKS = st.lists(ASK_OF_FEW, max_size=12)
Granted = list[tuple[int, str]]


def check(granted: Granted) -> None:
    """Grants in the order in which they were given."""
    assert len(dict(granted)) == len(set(granted)), "one epoch was given to two nodes"
    epochs = [epoch for epoch, _ in granted]
    assert epochs == sorted(epochs), "an epoch was given after a later one"


@contextmanager
def book_of_shop(certificates: Path) -> Iterator[tuple[Book, dict[str, str]]]:
    """Open an empty book that knows the cluster; yield the nodes' fingerprints as well."""
    pems = {node: (certificates / f"{node}.crt").read_text() for node in NODES}
    with TemporaryDirectory() as folder, closing(Book(Path(folder))) as book:
        book.invite(CLUSTER, "code", 100.0)
        assert isinstance(book.join(Join(CLUSTER, "code", tuple(pems.values())), 0.0), Joined)
        yield book, {node: fingerprint(pem) for node, pem in pems.items()}


@settings(max_examples=60, deadline=None)
@given(asks=ASKS, together=st.integers(1, 5))
def test_a_book_gives_no_epoch_twice_however_requests_share_commits(
    certificates: Path, asks: list[tuple[str, int]], together: int
) -> None:
    granted: Granted = []
    with book_of_shop(certificates) as (book, prints):
        for start in range(0, len(asks), together):
            batch = [
                Ask(Grant(CLUSTER, epoch, node), prints[node])
                for node, epoch in asks[start : start + together]
            ]
            for reply in book.settle(batch, {}, 0.0):
                assert isinstance(reply, Recorded)
                if reply.answer == "granted":
                    granted.append((reply.epoch, reply.holder))
    check(granted)


@dataclass
class SharedLog:
    """A folder as the worst mount shows it: files that exist are not seen for a while.

    Only ``append`` knows the truth, and what it refused can be read from then on. Between any two
    steps of a node the other one may ask, from the first step to the last.
    """

    records: list[Record] = field(default_factory=list)
    hidden: Iterator[int] = field(default_factory=lambda: iter(()))
    others: Iterator[tuple[str, int] | None] = field(default_factory=lambda: iter(()))
    proven: int = 0  # So many are seen for sure: somebody was refused, or shown the last of them.

    def _seen(self) -> int:
        if (other := next(self.others, None)) is not None:
            node, epoch = other
            ask(self, epoch, node)
        return max(self.proven, len(self.records) - next(self.hidden, 0))

    def last_hint(self) -> int:
        self.proven = self._seen()
        return self.proven

    def read(self, number: int) -> Record | None:
        return self.records[number - 1] if number <= self._seen() else None

    def append(self, number: int, record: Record) -> bool:
        if number <= max(self._seen(), len(self.records)):
            self.proven = max(self.proven, number)
            return False
        assert number == len(self.records) + 1, "the log has a gap"
        self.records.append(record)
        return True


# The first node asks again for what it was granted, and does not see that it is over.
LATE: Final = [0] * 7 + [1] * 4


@settings(max_examples=300, deadline=None)
@given(
    asks=FEW_ASKS,
    others=st.lists(st.none() | ASK_OF_FEW, max_size=20),
    hidden=st.lists(st.integers(0, 3), min_size=10, max_size=60),
)
@example(asks=[("node1", 1), ("node2", 2), ("node1", 1)], others=[], hidden=LATE)
def test_a_folder_gives_no_epoch_twice_even_when_its_mount_shows_old_things(
    asks: list[tuple[str, int]], others: list[tuple[str, int] | None], hidden: list[int]
) -> None:
    log = SharedLog(hidden=iter(hidden), others=iter(others))
    for node, epoch in asks:
        answer = ask(log, epoch, node)
        if answer.answer is Answer.GRANTED:
            assert log.records[-1] == Record(epoch, node)
        else:
            assert answer.epoch > epoch or (answer.epoch == epoch and answer.holder != node)
    check([(record.epoch, record.holder) for record in log.records])


@settings(max_examples=30, deadline=None)
@given(asks=ASKS)
def test_a_real_folder_gives_no_epoch_twice_and_overwrites_nothing(
    asks: list[tuple[str, int]],
) -> None:
    granted: Granted = []
    with TemporaryDirectory() as folder:
        before: dict[str, bytes] = {}
        for node, epoch in asks:
            if ask(FolderLog(Path(folder)), epoch, node).answer is Answer.GRANTED:
                granted.append((epoch, node))
            now = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
            assert before.items() <= now.items()
            before = now
        assert len(before) == len(granted)
    check(granted)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = ("ask", "cluster", "epoch", "node", "code", "certificates")
LINES = st.binary(max_size=200) | st.builds(
    lambda content: json.dumps(content).encode(),
    JSON | st.fixed_dictionaries({"ask": st.sampled_from(["grant", "look", "join"])},
                                 optional=dict.fromkeys(KEYS[1:], JSON)),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(line=LINES)
def test_a_line_is_a_request_or_malformed_and_never_anything_else(line: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(parse(line), Grant | Look | Join)


@settings(max_examples=200, deadline=None)
@example(code="\ud800")
@given(code=st.text(min_size=1, max_size=30))
def test_whatever_passes_for_a_code_can_be_compared(code: str) -> None:
    """A stranger's words end in an answer, not in the journal."""
    asked = {"ask": "join", "cluster": CLUSTER, "code": code, "certificates": ["-----BEGIN"]}
    with suppress(Malformed):
        request = parse(json.dumps(asked).encode())
        assert isinstance(request, Join)
        assert len(digest(request.code, request.cluster)) == 64


def test_the_certificates_of_these_tests_differ(tmp_path: Path) -> None:
    make_certificate(tmp_path, "one")
    make_certificate(tmp_path, "two")
    prints = {fingerprint((tmp_path / f"{name}.crt").read_text()) for name in ("one", "two")}
    assert len(prints) == 2
    assert fingerprint("no certificate") == ""
