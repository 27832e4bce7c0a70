"""Keys that openssl makes are what the daemons' connection needs."""

import ssl
from pathlib import Path

import pytest

from hapair.adapters.shared.process import ProcessRunner
from hapair.ports.programs import Finished, TimedOut
from hapair.runtime.building import keys, keys_seen
from hapair.runtime.building.keys import KeysError
from hapair.runtime.places import Places
from tests.build.two_nodes import FakeCommands


async def pair(places: Places, node: str) -> None:
    places.keys.mkdir(parents=True)
    await keys.make_pair(ProcessRunner(), places.keys, node=node, cluster="shop")


def context(purpose: int, own: Places, peer: Places) -> ssl.SSLContext:
    made = ssl.SSLContext(purpose)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_cert_chain(own.node_certificate, own.node_key)
    made.load_verify_locations(peer.node_certificate)
    return made


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Connect them in memory; ssl.SSLError when one does not accept the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    # In TLS 1.3 the server's verdict on the client is read with the first data.
    ends[1].write(b"hello")
    assert ends[0].read(5) == b"hello"


async def test_two_nodes_trust_each_other_and_nobody_else(tmp_path: Path) -> None:
    first, second, stranger = (Places(tmp_path / name) for name in ("1", "2", "3"))
    for places, node in ((first, "node1"), (second, "node2"), (stranger, "node2")):
        await pair(places, node)
    client = context(ssl.PROTOCOL_TLS_CLIENT, first, second)
    shake_hands(client, context(ssl.PROTOCOL_TLS_SERVER, second, first))
    with pytest.raises(ssl.SSLError):
        shake_hands(client, context(ssl.PROTOCOL_TLS_SERVER, stranger, first))
    with pytest.raises(ssl.SSLError):
        shake_hands(
            context(ssl.PROTOCOL_TLS_CLIENT, stranger, second),
            context(ssl.PROTOCOL_TLS_SERVER, second, first),
        )


async def test_a_private_key_is_for_root_alone(tmp_path: Path) -> None:
    places = Places(tmp_path)
    await pair(places, "node1")
    assert places.node_key.stat().st_mode & 0o777 == 0o600


async def test_a_look_tells_no_secret(tmp_path: Path) -> None:
    places = Places(tmp_path)
    await pair(places, "node1")
    secret = keys.new_cluster_key()
    places.cluster_key.write_text(secret)
    places.cluster_key.chmod(0o600)
    seen = await keys_seen.look(ProcessRunner(), places)
    assert seen.pair_matches
    assert seen.private
    assert seen.node_certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert secret.strip() not in repr(seen)
    assert places.node_key.read_text().splitlines()[1] not in repr(seen)


async def test_a_key_of_another_pair_is_noticed(tmp_path: Path) -> None:
    first, second = Places(tmp_path / "1"), Places(tmp_path / "2")
    await pair(first, "node1")
    await pair(second, "node1")
    first.node_key.write_bytes(second.node_key.read_bytes())
    assert not (await keys_seen.look(ProcessRunner(), first)).pair_matches


@pytest.mark.parametrize("mode", [0o644, 0o640])
async def test_a_key_that_others_can_read_is_noticed(tmp_path: Path, mode: int) -> None:
    places = Places(tmp_path)
    await pair(places, "node1")
    places.node_key.chmod(mode)
    assert not (await keys_seen.look(ProcessRunner(), places)).private


async def test_without_keys_there_is_nothing_to_see(tmp_path: Path) -> None:
    seen = await keys_seen.look(FakeCommands(), Places(tmp_path))
    assert (seen.cluster_key_digest, seen.node_certificate, seen.pair_matches) == ("", "", False)


async def test_a_key_without_its_other_half_does_not_match(tmp_path: Path) -> None:
    places = Places(tmp_path)
    await pair(places, "node1")
    places.node_key.unlink()
    assert not (await keys_seen.look(ProcessRunner(), places)).pair_matches


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Finished(1, "", "noise\nno such curve"), "openssl req: no such curve"),
        (Finished(1, "", ""), "openssl req: failed"),
        (TimedOut(60.0), "no answer within 60 s"),
    ],
)
async def test_it_says_why_openssl_failed(
    tmp_path: Path, result: Finished | TimedOut, words: str
) -> None:
    with pytest.raises(KeysError, match=words):
        await keys.make_pair(
            FakeCommands(failing={"openssl": result}), tmp_path, node="node1", cluster="shop"
        )


def test_cluster_keys_are_never_the_same() -> None:
    first, second = keys.new_cluster_key(), keys.new_cluster_key()
    assert first != second
    assert len(bytes.fromhex(first)) == 32


def test_drbds_secret_follows_from_the_key_and_tells_nothing_of_it() -> None:
    key, other = (keys.new_cluster_key().encode() for _ in range(2))
    made = [keys.replication_secret(key, number) for number in (1, 2)]
    made.append(keys.replication_secret(other, 1))
    assert len(set(made)) == 3
    assert all(len(each) == keys.SECRET_DIGITS and each.isalnum() for each in made)
    assert not any(each in key.decode() for each in made)
    assert keys.replication_secret(key, 1) == made[0]


def test_without_a_key_there_is_no_secret_rather_than_an_empty_one() -> None:
    """A file without a secret would let anybody connect."""
    assert keys.replication_secret(b"", 0) == ""
    with pytest.raises(keys.KeysError, match="no cluster key"):
        keys.replication_secret(b"\n", 1)
