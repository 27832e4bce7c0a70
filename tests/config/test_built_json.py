"""What was built is read back exactly, or refused with one sentence."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config.built_json import dumps, loads
from hapair.config.codec import DamagedError
from hapair.model.application import Application
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import PortRange
from tests.config.reference import BUILT, CLUSTER
from tests.config.values import builts, volume


@given(builts())
def test_what_is_written_is_read(built: Built) -> None:
    content = dumps(built)
    assert loads(content) == built
    assert dumps(loads(content)) == content


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(DamagedError):
        loads(content)


@given(st.data())
def test_a_damaged_byte_never_raises_anything_else(data: st.DataObject) -> None:
    content = bytearray(dumps(BUILT))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        loads(bytes(content))
    except DamagedError as error:
        assert str(error)  # noqa: PT017 - Most bytes damage it, some are another name.


Edit = Callable[[Any], object]  # Changes the parsed document in place.


def _set(name: str, value: object) -> Edit:
    return lambda built: built.__setitem__(name, value)


def _set_in_cluster(name: str, value: object) -> Edit:
    return lambda built: built["cluster"].__setitem__(name, value)


DAMAGES: list[tuple[Edit, str]] = [
    (lambda built: built.pop("cluster"), "Built: cluster is missing"),
    (_set("format", 2), "Built has format '2', which this version of hapair cannot read"),
    (_set("generation", "7"), "Built.generation: '7' is no int"),
    (_set("generation", True), "Built.generation: 'True' is no int"),  # noqa: FBT003
    (_set("generation", -1), "the ports, the generation or the number of the secret are"),
    (_set("secret_number", -1), "the number of the secret are impossible"),
    (_set("applications", {}), "Built.applications: '{}' is no tuple"),
    (_set("fingerprint", None), "Built.fingerprint: 'None' is no str"),
    (_set_in_cluster("nodes", ["a"]), "Built.cluster.nodes: 1 items instead of 2"),
    (_set_in_cluster("nodes", ["a", "a"]), "both nodes are called a"),
    (_set_in_cluster("nodes", ["a", "b"]), "network public does not attach both nodes"),
    (_set_in_cluster("networks", []), "not exactly one network replicates"),
    (_set_in_cluster("arbitration", "dice"), "Built.cluster.arbitration: 'dice' is no Arbi"),
    (_set_in_cluster("timing", {"detection_s": 10**400}), ".detection_s: the number is too large"),
    (_set_in_cluster("timing", {"detection_s": 1e999}), "this is no JSON: Infinity is no number"),
    (_set_in_cluster("ports", {"first": 2, "last": 1}), "the ports, the generation or the"),
    (
        lambda built: built["cluster"]["networks"][0]["attachments"][0].update(address="x"),
        "attachments[0].address: 'x' is no address",
    ),
    (
        lambda built: built["cluster"]["networks"][0]["attachments"][0].update(address="1.2.3.4"),
        "attachments[0].address: '1.2.3.4' is not written as we do",
    ),
    (
        lambda built: built["applications"][0]["application"]["program"].update({"is": "Pilot"}),
        'program: "is" is none of Script, Unit, OcfAgent',
    ),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[words for _, words in DAMAGES])
def test_damage_is_told_in_one_sentence(damage: Edit, message: str) -> None:
    document = json.loads(dumps(BUILT))
    damage(document["built"])
    with pytest.raises(DamagedError) as caught:
        loads(json.dumps(document).encode())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this is no JSON"),
        (b"[" * 100_000, "this is no JSON"),
        (b"\xff", "this is no JSON"),
        (b"[]", '"format" and "built"'),
        (b'{"format": 1}', '"format" and "built"'),
        (b'{"format": 2, "built": {}}', "it has format 2, this version of hapair reads format 1"),
        (b'{"format": 1, "built": 5}', "Built: '5' is no Built"),
    ],
)
def test_another_file_is_told_from_ours(content: bytes, message: str) -> None:
    with pytest.raises(DamagedError, match=r"^.+$") as caught:
        loads(content)
    assert message in str(caught.value)


def test_a_number_beyond_all_bounds_is_damage() -> None:
    content = dumps(BUILT).replace(b'"detection_s": 2.0', b'"detection_s": 1e999')
    with pytest.raises(DamagedError, match="detection_s: the number is too large"):
        loads(content)


def test_nothing_is_allocated_twice() -> None:
    one = BuiltApplication(Application("one", "node1"), (volume("one", 0),), "f")
    two = BuiltApplication(Application("two", "node1"), (volume("two", 1),), "f")
    taken = [
        ("application one", replace(two, application=Application("one", "node2"))),
        ("resource one.lv0", replace(two, volumes=(volume("one", 0),))),
        ("device /dev/drbd100", replace(two, volumes=(replace(volume("two", 1), minor=100),))),
        ("port 7701", replace(two, volumes=(replace(volume("two", 1), port=7701),))),
        (
            "volume /dev/vg_one/lv0",
            replace(
                two, volumes=(replace(volume("two", 1), volume_group="vg_one", meta_volume="lv0"),)
            ),
        ),
        (
            "mount point /srv/one/0",
            replace(two, volumes=(replace(volume("two", 1), mount_point="/srv/one/0"),)),
        ),
    ]
    for what, second in taken:
        with pytest.raises(DamagedError, match=f"{what} is allocated twice"):
            loads(dumps(replace(BUILT, applications=(one, second))))


def test_what_an_older_version_left_out_takes_its_default() -> None:
    document = json.loads(dumps(BUILT))
    del document["built"]["cluster"]["timing"]
    assert loads(json.dumps(document).encode()) == BUILT


def test_whole_seconds_are_durations_too() -> None:
    document = json.loads(dumps(BUILT))
    document["built"]["cluster"]["timing"]["detection_s"] = 2
    assert loads(json.dumps(document).encode()) == BUILT


def test_a_range_of_ports_holds_more_than_one() -> None:
    ports = PortRange(7700, 7700)
    with pytest.raises(DamagedError, match="the ports"):
        loads(dumps(replace(BUILT, cluster=replace(CLUSTER, ports=ports))))


def test_a_node_of_the_previous_version_can_read_what_uses_nothing_new() -> None:
    assert b"secret_number" not in dumps(replace(BUILT, secret_number=0))
    proved = replace(BUILT, secret_number=2)
    assert loads(dumps(proved)) == proved
