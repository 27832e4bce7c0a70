"""An etcd that lets in nobody but the nodes, as docs/operating/witness.md sets it up."""

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.model.cluster import Witness, WitnessKind
from hapair.model.witness import Answer
from tests.runtime.conftest import make_certificate
from tests.witness.parties import NODES, TIMEOUT_S, asker, etcd

STRANGER = "stranger"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in (*NODES, STRANGER, "etcd"):
        make_certificate(folder, name)
    return folder


@pytest.fixture(scope="module")
def witness(certificates: Path) -> Iterator[Witness]:
    trusted = certificates / "trusted.crt"
    trusted.write_text("".join((certificates / f"{n}.crt").read_text() for n in (*NODES, "etcd")))
    options = (
        "--cert-file", str(certificates / "etcd.crt"), "--key-file", str(certificates / "etcd.key"),
        "--trusted-ca-file", str(trusted), "--client-cert-auth",
    )  # fmt: skip
    presented = ssl.PEM_cert_to_DER_cert((certificates / "etcd.crt").read_text())
    pin = hashlib.sha256(presented).hexdigest()
    with etcd(certificates, *options, scheme="https") as url:
        yield Witness(WitnessKind.ETCD, url, TIMEOUT_S, pin)


async def test_both_nodes_are_let_in(certificates: Path, witness: Witness) -> None:
    first, second = (asker(certificates, node) for node in NODES)
    assert (await first.grant(witness, 5, timeout_s=TIMEOUT_S)).answer is Answer.GRANTED
    answer = await second.grant(witness, 5, timeout_s=TIMEOUT_S)
    assert (answer.answer, answer.holder) == (Answer.DENIED, NODES[0])


async def test_a_stranger_is_told_why_it_is_turned_away(
    certificates: Path, witness: Witness
) -> None:
    """Whoever can write to the key can forge a grant."""
    answer = await asker(certificates, STRANGER).grant(witness, 9, timeout_s=TIMEOUT_S)
    assert answer.answer is Answer.UNREACHABLE
    assert "let nobody in with this node's certificate" in answer.why
    assert "--trusted-ca-file" in answer.why
