"""What an unfinished build left is known by its marks; nothing that may be the only copy goes."""

from dataclasses import replace
from typing import Final

from hapair.core.plan.remnants import Remnant, Remnants, way_back
from hapair.core.plan.steps import TAKES_BACK, Work
from hapair.model.application import FileSystem, Volume

X: Final = Volume(
    "x.data", 10, 7700, "vg_x", "data", "data_drbdmeta", 2**26, "/srv/x", FileSystem.EXT4
)
OTHER: Final = replace(X, resource="y.data", volume_group="vg_y")


def undone(here: Remnants, peer: Remnants | None, *, noted: bool = True) -> list[tuple[str, Work]]:
    way = way_back(here, peer, noted=noted)
    return [(step.node, work) for step in reversed(way.steps) for work in step.undo]


GIVEN: Final = Remnant(X, made=True, released="x", owner="node2")


def test_a_release_is_brought_to_its_end_and_no_copy_is_removed() -> None:
    """FAIL: it is taken for a build, whose copy on the other node goes."""
    here, there = node("node2", GIVEN), node("node1", Remnant(X, held=True))
    for one, other, noted in ((here, there, True), (there, here, False)):
        way = way_back(one, other, noted=noted)
        works = undone(one, other, noted=noted)
        assert Work.REMOVE_DATA_VOLUME not in {work for _, work in works}
        assert works.index(("node2", Work.MOUNT_NATIVE)) < works.index(("node1", Work.TAKE_DOWN))
        assert ("node2", Work.RESTORE_FSTAB) in works
        assert ("node1", Work.RETIRE_FSTAB) in works
        assert ("node1", Work.RESTORE_FSTAB) not in works
        assert {name for name, work in works if work is Work.FORGET} == {"node1", "node2"}
        assert (way.home, way.released) == ("node2", (GIVEN,))
        assert "node1: vg_x/data keeps the former copy" in way.told[0]


def test_a_release_ends_on_one_node_while_the_other_is_away_or_done() -> None:
    for peer in (None, node("node1")):
        works = undone(node("node2", GIVEN), peer)
        assert {name for name, _ in works} == {"node2"}
        assert ("node2", Work.MOUNT_NATIVE) in works
    of_node1 = replace(GIVEN, owner="node1", made=False)
    works = undone(node("node2", of_node1), None, noted=False)
    assert {name for name, _ in works} == {"node2"}
    assert ("node2", Work.MOUNT_NATIVE) not in works


def test_a_release_that_the_other_node_does_not_know_yet_waits() -> None:
    way = way_back(node("node2", GIVEN), node("node1", used=("x.data",)), noted=True)
    assert (way.steps, way.released) == ((), ())
    (told,) = way.told
    assert "x was on its way out of the cluster" in told
    assert "type again: clbuildapp --abandon" in told


def test_a_record_that_an_earlier_release_left_says_nothing_of_a_build() -> None:
    """The note lies where the data is; the record says that it was elsewhere."""
    here = node("node1", replace(GIVEN, held=True, made=False))
    works = undone(here, node("node2", GIVEN))
    assert ("node1", Work.MOUNT_NATIVE) in works
    assert ("node2", Work.REMOVE_DATA_VOLUME) in works


def node(name: str, *found: Remnant, used: tuple[str, ...] = ()) -> Remnants:
    return Remnants(name, found, used)


def test_the_data_is_back_at_home_before_the_peer_loses_anything() -> None:
    works = undone(node("node1", Remnant(X, held=True)), node("node2", Remnant(X, made=True)))
    home, peer = [w for n, w in works if n == "node1"], [w for n, w in works if n == "node2"]
    assert works[: len(home)] == [("node1", work) for work in home]
    assert home.index(Work.MOUNT_NATIVE) < home.index(Work.REMOVE_META_VOLUME)
    assert home[-1] is Work.REMOVE_RESOURCE
    assert Work.REMOVE_DATA_VOLUME not in home
    assert peer[-3:] == [Work.REMOVE_DATA_VOLUME, Work.RESTORE_FSTAB, Work.REMOVE_RESOURCE]
    assert Work.MOUNT_NATIVE not in peer
    assert set(home + peer) <= TAKES_BACK
    assert node("node1", Remnant(X)).volumes() == (X,)
    assert X.shares_disk_with((OTHER, X))
    assert not X.shares_disk_with((OTHER,))


def test_what_either_node_uses_is_never_touched() -> None:
    left = Remnant(X, made=True)
    assert undone(node("node1", used=("x.data",)), node("node2", left)) == []
    assert undone(node("node1", left, used=("x.data",)), None) == []


def test_a_made_volume_stays_unless_its_home_answers() -> None:
    """Typed on the node that was to get a copy, with the other node lost."""
    here = node("node2", Remnant(X, made=True))
    way = way_back(here, None, noted=False)
    assert Work.REMOVE_DATA_VOLUME not in {work for step in way.steps for work in step.undo}
    assert any("may be the only copy" in sentence for sentence in way.told)
    both = way_back(here, node("node1", Remnant(X, made=True)), noted=False)
    assert Work.REMOVE_DATA_VOLUME not in {work for step in both.steps for work in step.undo}


def test_a_volume_that_stays_here_is_no_longer_ours_to_remove() -> None:
    """Its home comes back some day, with a note by which it would remove the copy."""
    here = node("node2", Remnant(X, made=True))
    for peer in (None, node("node1"), node("node1", Remnant(X, made=True))):
        works = undone(here, peer, noted=False)
        assert ("node2", Work.LEAVE_DATA_VOLUME) in works
        assert ("node1", Work.LEAVE_DATA_VOLUME) not in works
    in_use = undone(node("node2", Remnant(X, held=True, made=True)), None, noted=False)
    assert ("node2", Work.LEAVE_DATA_VOLUME) in in_use


def test_a_line_of_fstab_on_both_nodes_does_not_hide_where_the_data_is() -> None:
    """A volume that the build made on the other node cannot be where the data was."""
    here, there = node("node1", Remnant(X, held=True)), Remnant(X, held=True, made=True)
    works = undone(here, node("node2", there), noted=False)
    assert ("node2", Work.REMOVE_DATA_VOLUME) in works
    assert {name for name, work in works if work is Work.RESTORE_FSTAB} == {"node1", "node2"}
    assert {name for name, work in works if work is Work.MOUNT_NATIVE} == {"node1"}


def test_a_note_alone_does_not_prove_that_its_node_has_the_data() -> None:
    """Its disk was replaced: without the file, nothing would try to mount what is lost."""
    lost = Remnant(X, described=False)
    works = undone(node("node1", lost), node("node2", Remnant(X, made=True)), noted=True)
    assert Work.REMOVE_DATA_VOLUME not in {work for _, work in works}


def test_the_note_lies_where_the_data_was_at_home() -> None:
    works = undone(node("node1", Remnant(X, made=True)), node("node2", Remnant(X, made=True)))
    assert ("node1", Work.MOUNT_NATIVE) in works
    assert ("node1", Work.REMOVE_DATA_VOLUME) not in works
    assert ("node2", Work.REMOVE_DATA_VOLUME) in works


def test_a_home_that_is_as_before_already_still_answers_for_the_copy() -> None:
    home = node("node1", Remnant(X, held=True, described=False))
    works = undone(home, node("node2", Remnant(X, made=True)), noted=False)
    assert {name for name, _ in works} == {"node2"}
    assert ("node2", Work.REMOVE_DATA_VOLUME) in works


def test_a_home_that_nobody_knows_is_told() -> None:
    way = way_back(node("node1", Remnant(X)), node("node2", Remnant(X)), noted=False)
    assert all("mount /dev/vg_x/data /srv/x" in sentence for sentence in way.told)
    assert way.home == "node1"


def test_a_file_that_says_nothing_is_named_and_left() -> None:
    here = Remnants("node1", (Remnant(OTHER, held=True),), nameless=("/etc/drbd.d/hapair-q.res",))
    way = way_back(here, node("node2"), noted=False)
    assert "hapair-q.res" in way.told[0]
    assert {step.node for step in way.steps} == {"node1"}
    assert way.home == "node1"


def test_where_nothing_is_left_nothing_is_done() -> None:
    assert way_back(node("node1"), node("node2"), noted=True).steps == ()
