"""clwitness as an administrator types it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.witness.join import join
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done
from hapair.witness.clwitness import main
from tests.processes import PATIENCE_S, Started
from tests.witness.parties import NODES, TIMEOUT_S, asker


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """Run ``clwitness serve``; yield its folder when it takes connections."""
    folder = tmp_path / "witness"
    argv = ("-m", "hapair.witness.clwitness", "serve", "--folder", str(folder))
    with Started(
        (sys.executable, *argv, "--listen", "127.0.0.1:0", "--status-port", "0"),
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert "listens on port" in service.line()
        yield folder
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE_S) == 0


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


async def test_the_tour_from_invitation_to_removal(
    served: Path, certificates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--folder", str(served))
    code, out, _ = typed(capsys, "invite", "shop", "--address", "127.0.0.1", *folder)
    assert code == 0
    line = re.search(r'<witness kind="clwitness" at="([^"]+)" pin="([0-9a-f]{64})"/>', out)
    typed_code = re.search(r"clbuild --witness-code (\S+)", out)
    assert line is not None
    assert typed_code is not None
    witness = Witness(WitnessKind.CLWITNESS, line[1], TIMEOUT_S, line[2])
    paths = [certificates / f"{node}.crt" for node in NODES]
    assert isinstance(await join(witness, "shop", typed_code[1], paths), Done)
    node = asker(certificates, "node1")
    await node.grant(witness, 2, timeout_s=TIMEOUT_S)

    code, out, _ = typed(capsys, "status", *folder)
    assert (code, "shop" in out, "node1" in out) == (0, True, True)
    code, out, _ = typed(capsys, "status", "--json", *folder)
    (shop,) = json.loads(out)["clusters"]
    assert (shop["epoch"], shop["holder"], shop["certificates"]) == (2, "node1", 2)

    assert "is known here already" in typed(capsys, "invite", "shop", "--address", "w", *folder)[1]
    assert "epoch 2 of node1" in typed(capsys, "remove", "shop", *folder)[1]
    assert "does not belong" in (await node.look(witness, timeout_s=TIMEOUT_S)).why
    code, _, error = typed(capsys, "remove", "shop", *folder)
    assert (code, "is not known here" in error) == (1, True)
    node.close()


def test_an_invitation_for_programs_is_json(
    served: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = typed(
        capsys, "invite", "shop", "--json", "--address", "2001:db8::7", "--folder", str(served)
    )
    content = json.loads(out)
    assert 'at="[2001:db8::7]:' in content["line"]
    assert len(content["code"]) == 19


def test_an_address_that_no_node_can_use_is_not_printed(
    served: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("invite", "shop", "--address", "localhost", "--folder", str(served))
    code, _, error = typed(capsys, *words)
    assert (code, "--address HOST" in error) == (2, True)


def test_the_key_is_for_its_owner_alone_and_no_code_is_stored(
    served: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (served / "server.key").stat().st_mode & 0o077 == 0
    assert served.stat().st_mode & 0o077 == 0
    words = ("invite", "shop", "--json", "--address", "w", "--folder", str(served))
    _, out, _ = typed(capsys, *words)
    code = json.loads(out)["code"].encode()
    assert not [file.name for file in served.iterdir() if code in file.read_bytes()]


@pytest.mark.parametrize(
    "verb", [("invite", "shop", "--address", "w"), ("status",), ("remove", "shop")]
)
def test_before_the_first_start_it_says_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    code, _, error = typed(capsys, *verb, "--folder", str(tmp_path))
    assert code == 3
    assert "systemctl enable --now hapair-witness" in error


@pytest.mark.parametrize(
    "words",
    [
        ("invite", "../shop"),
        ("invite", "shop", "--minutes", "0"),
        ("invite", "shop", "--minutes", "100000"),
        ("serve", "--listen", "host"),
        ("serve", "--status-port", "70000"),
        (),
    ],
)
def test_wrong_arguments_end_with_2(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "clwitness: error: " in err
    assert "clwitness: mend: " in err


def test_a_port_that_is_taken_is_named(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = typed(capsys, "status", "--json", "--folder", str(served))
    port = json.loads(out)["port"]
    folder = str(tmp_path / "second")
    code, _, error = typed(capsys, "serve", "--folder", folder, "--listen", f"127.0.0.1:{port}")
    assert code == 1
    assert f"port {port}" in error
