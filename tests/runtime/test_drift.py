"""What the administrator's files are compared with, and how often they are read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.config.clconf import read_clconf
from hapair.config.fingerprint import Drift, fingerprint
from hapair.model.built import Built
from hapair.model.cluster import Cluster
from hapair.rpc.messages import RpcError
from hapair.runtime.building.drift import DriftWatch, refuse_drift
from hapair.runtime.places import Places
from tests.runtime.fakes import built

CLCONF = b"""\
<cluster name="shop" ports="7700-7799" devices="16">
  <node name="node1"/> <node name="node2"/>
  <network name="public">
    <on node="node1" address="10.77.1.1/24" cards="pub0"/>
    <on node="node2" address="10.77.1.2/24" cards="pub0"/>
  </network>
  <network name="private" replication="yes">
    <on node="node1" address="10.77.2.1/24" cards="priv0"/>
    <on node="node2" address="10.77.2.2/24" cards="priv0"/>
  </network>
  <arbitration by="operator"/>
</cluster>
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.configuration.mkdir(parents=True)
    made.clconf.write_bytes(CLCONF)
    return made


@pytest.fixture
def accepted() -> Built:
    """Return what clbuild made of the file."""
    cluster = read_clconf(CLCONF, file="clconf.xml")
    assert isinstance(cluster, Cluster), cluster
    return replace(built(), cluster=cluster, fingerprint=fingerprint(cluster))


async def test_what_never_ends_is_no_file(places: Places, accepted: Built) -> None:
    """A pipe, or a link to a device, must not hold the thread in which every status is made."""
    places.clconf.unlink()
    os.mkfifo(places.clconf)
    assert (await DriftWatch(places).look(accepted)).clconf is Drift.MISSING
    places.clconf.unlink()
    places.clconf.symlink_to("/dev/zero")
    assert (await DriftWatch(places).look(accepted)).clconf is Drift.MISSING


async def test_each_word_for_a_file(places: Places, accepted: Built) -> None:
    watch = DriftWatch(places)
    assert (await watch.look(accepted)).clconf is Drift.OK
    places.clconf.write_bytes(CLCONF.replace(b"7799", b"7798"))
    assert (await watch.look(accepted)).clconf is Drift.CHANGED
    places.clconf.write_bytes(b"<cluster")
    assert (await watch.look(accepted)).clconf is Drift.INVALID
    places.clconf.unlink()
    assert (await watch.look(accepted)).clconf is Drift.MISSING


async def test_comments_are_no_drift(places: Places, accepted: Built) -> None:
    places.clconf.write_bytes(b"<!-- mine -->\n" + CLCONF)
    assert (await DriftWatch(places).look(accepted)).clconf is Drift.OK


async def test_a_new_configuration_is_compared_anew(places: Places, accepted: Built) -> None:
    watch = DriftWatch(places)
    await watch.look(accepted)
    assert (await watch.look(replace(accepted, fingerprint="other"))).clconf is Drift.CHANGED


async def test_a_file_that_has_not_changed_is_not_read_again(
    places: Places, accepted: Built
) -> None:
    watch = DriftWatch(places)
    await watch.look(accepted)
    before = places.clconf.stat()
    places.clconf.write_bytes(b"x" * before.st_size)
    os.utime(places.clconf, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (await watch.look(accepted)).clconf is Drift.OK


async def test_files_of_applications_are_compared_each(places: Places, accepted: Built) -> None:
    place = places.appconf("orders")
    place.parent.mkdir()
    place.write_text("<application")
    found = await DriftWatch(places).look(accepted)
    assert found.applications == {"orders": Drift.INVALID, "plain": Drift.MISSING}


@pytest.mark.parametrize("drift", [Drift.CHANGED, Drift.MISSING, Drift.INVALID])
def test_every_drift_is_refused_with_its_mend(drift: Drift) -> None:
    with pytest.raises(RpcError, match=r"clconf\.xml") as caught:
        refuse_drift(drift)
    assert "cl" in caught.value.mend


def test_no_drift_is_not_refused() -> None:
    assert refuse_drift(Drift.OK) is None  # type: ignore[func-returns-value]
