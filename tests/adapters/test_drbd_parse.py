"""What DRBD 8.4.11 with drbd-utils 9.22 printed on real guests, and what we make of it."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.adapters.drbd.parse import (
    Picture,
    agrees,
    connection_of,
    disk_of,
    events_line,
    proc_devices,
    proc_version,
    remote_addresses,
    role_of,
    tells_loss,
)
from hapair.model.data import Connection, Disk, Role, VolumeFacts

RESYNC_OF_A_NEW_TARGET: Final = """\
exists -
create resource name:orders.data role:Secondary suspended:no write-ordering:flush
create device name:orders.data volume:0 minor:10 disk:Diskless size:0 read:0 written:0 al-writes:0 bm-writes:0 upper-pending:0 lower-pending:0 al-suspended:no blocked:no
change device name:orders.data volume:0 minor:10 disk:Attaching size:0 read:0 written:0 al-writes:0 bm-writes:0 upper-pending:0 lower-pending:1 blocked:upper
change device name:orders.data volume:0 minor:10 disk:Inconsistent size:65536 read:0 written:0 al-writes:8 bm-writes:0 upper-pending:0 lower-pending:2 blocked:no
create connection name:orders.data peer-node-id:0 conn-name:peer connection:StandAlone role:Unknown congested:no
create peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:Off peer-disk:DUnknown resync-suspended:no received:0 sent:0 out-of-sync:65280 pending:0 unacked:0
change connection name:orders.data peer-node-id:0 conn-name:peer connection:Unconnected
change connection name:orders.data peer-node-id:0 conn-name:peer connection:Connecting
change connection name:orders.data peer-node-id:0 conn-name:peer connection:Connected
change connection name:orders.data peer-node-id:0 conn-name:peer role:Secondary
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:Established peer-disk:Inconsistent received:0 sent:0 out-of-sync:65280 pending:0 unacked:0
change connection name:orders.data peer-node-id:0 conn-name:peer role:Primary
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 peer-disk:UpToDate received:0 sent:0 out-of-sync:65280 pending:0 unacked:0
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:WFBitMapT received:0 sent:0 out-of-sync:65536 pending:0 unacked:0
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:WFSyncUUID received:0 sent:0 out-of-sync:65536 pending:0 unacked:0
call helper name:orders.data peer-node-id:0 conn-name:peer volume:0 minor:10 helper:before-resync-target
response helper name:orders.data peer-node-id:0 conn-name:peer volume:0 minor:10 helper:before-resync-target status:0
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:SyncTarget received:0 sent:0 out-of-sync:65536 pending:0 unacked:0
"""  # noqa: E501 - Captured text.
RESYNC_DONE: Final = """\
call helper name:orders.data peer-node-id:0 conn-name:peer volume:0 minor:10 helper:after-resync-target
response helper name:orders.data peer-node-id:0 conn-name:peer volume:0 minor:10 helper:after-resync-target status:0
change device name:orders.data volume:0 minor:10 disk:UpToDate size:65536 read:0 written:65536 al-writes:8 bm-writes:0 upper-pending:0 lower-pending:0
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:Established received:65536 sent:0 out-of-sync:0 pending:0 unacked:0
change connection name:orders.data peer-node-id:0 conn-name:peer role:Secondary
"""  # noqa: E501 - Captured text.
PEER_LOST: Final = """\
change connection name:orders.data peer-node-id:0 conn-name:peer connection:TearDown role:Unknown
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:Off peer-disk:DUnknown received:0 sent:65858 out-of-sync:0 pending:0 unacked:0
change connection name:orders.data peer-node-id:0 conn-name:peer
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 received:0 sent:65858 out-of-sync:0 pending:0 unacked:0
change connection name:orders.data peer-node-id:0 conn-name:peer connection:Unconnected
change connection name:orders.data peer-node-id:0 conn-name:peer connection:Connecting
"""  # noqa: E501 - Captured text.
TAKEN_DOWN: Final = """\
change connection name:orders.data peer-node-id:0 conn-name:peer connection:Disconnecting role:Unknown
change connection name:orders.data peer-node-id:0 conn-name:peer connection:StandAlone
destroy peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0
destroy connection name:orders.data peer-node-id:0 conn-name:peer
change device name:orders.data volume:0 minor:10 disk:Failed size:65536 read:0 written:135559 al-writes:8 bm-writes:0 upper-pending:0 lower-pending:1 blocked:upper
change device name:orders.data volume:0 minor:10 disk:Diskless size:65536 read:0 written:135559 al-writes:8 bm-writes:0 upper-pending:0 lower-pending:1
destroy device name:orders.data volume:0 minor:10
"""  # noqa: E501 - Captured text.
# mail.data goes first; seen of orders.data, on the node whose copy misses writes.
RESYNC_WAITS: Final = """\
exists connection name:orders.data peer-node-id:0 conn-name:peer connection:Connected role:Primary congested:no
exists device name:orders.data volume:0 minor:0 disk:Outdated size:65536 read:0 written:65551 al-writes:8 bm-writes:0 upper-pending:0 lower-pending:0 al-suspended:no blocked:no
exists peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:WFSyncUUID peer-disk:UpToDate resync-suspended:no received:65551 sent:0 out-of-sync:12312 pending:0 unacked:0
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 resync-suspended:dependency received:65551 sent:0 out-of-sync:12312 pending:0 unacked:0
change device name:orders.data volume:0 minor:0 disk:Inconsistent size:65536 read:0 written:65551 al-writes:8 bm-writes:0 upper-pending:0 lower-pending:4 blocked:no
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:PausedSyncT received:65551 sent:0 out-of-sync:12312 pending:0 unacked:0
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 resync-suspended:peer,dependency received:65559 sent:0 out-of-sync:12312 pending:0 unacked:8
"""  # noqa: E501 - Captured text.
RESYNC_GOES_ON: Final = """\
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 resync-suspended:peer received:65559 sent:0 out-of-sync:12312 pending:0 unacked:0
change peer-device name:orders.data peer-node-id:0 conn-name:peer volume:0 replication:SyncTarget resync-suspended:no received:65559 sent:0 out-of-sync:12312 pending:0 unacked:0
"""  # noqa: E501 - Captured text.
PROC_SYNCING: Final = """\
version: 8.4.11 (api:1/proto:86-101)
srcversion: F73C670A7EC572DB9CF3E5B
 0: cs:Unconfigured

10: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
    ns:54272 nr:0 dw:0 dr:54272 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:11264
\t[================>...] sync'ed: 88.3% (11264/65536)K
\tfinish: 0:00:00 speed: 54,272 (54,272) K/sec
11: cs:StandAlone ro:Primary/Unknown ds:UpToDate/DUnknown   s-----
    ns:0 nr:65288 dw:66333 dr:1185 al:4 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:1060
"""
DRBD_9: Final = """\
exists resource name:r0 role:Primary suspended:quorum force-io-failures:no may_promote:no promotion_score:10101
exists connection name:r0 peer-node-id:1 conn-name:node2 connection:Connected role:Secondary
exists device name:r0 volume:0 minor:0 backing_dev:/dev/vg/data disk:UpToDate client:no quorum:yes
exists peer-device name:r0 peer-node-id:1 conn-name:node2 volume:0 replication:SyncSource peer-disk:Inconsistent peer-client:no resync-suspended:no received:0 sent:0 out-of-sync:512 pending:0 unacked:0 done:87.50
exists path name:r0 peer-node-id:1 conn-name:node2 local:ipv4:10.0.0.1:7000 peer:ipv4:10.0.0.2:7000 established:yes
exists -
"""  # noqa: E501 - As its manual shows it.


def read(text: str, picture: Picture | None = None) -> Picture:
    picture = picture or Picture()
    for line in text.splitlines():
        if parsed := events_line(line):
            picture = picture.after(parsed)
    return picture


def only(picture: Picture) -> VolumeFacts:
    (facts,) = picture.facts()
    return facts


def test_a_sync_target_is_not_current_until_the_resync_is_done() -> None:
    during = read(RESYNC_OF_A_NEW_TARGET)
    assert only(during) == VolumeFacts(
        "orders.data",
        role=Role.SECONDARY,
        peer_role=Role.PRIMARY,
        disk=Disk.INCONSISTENT,
        peer_disk=Disk.UP_TO_DATE,
        connection=Connection.SYNC_TARGET,
        out_of_sync_bytes=65536 * 1024,
    )
    assert not only(during).current
    after = read(RESYNC_DONE, during)
    assert only(after).current
    assert only(after).connection is Connection.CONNECTED
    assert only(after).out_of_sync_bytes == 0


def test_a_resync_waits_from_the_moment_that_the_first_one_begins_until_it_is_complete() -> None:
    lines = RESYNC_WAITS.splitlines()
    assert not only(read("\n".join(lines[:3]))).waits
    waiting = read("\n".join(lines[:3]))
    for line in lines[3:]:
        waiting = read(line, waiting)
        assert only(waiting).waits
        assert not only(waiting).current
    first, last = RESYNC_GOES_ON.splitlines()
    nearly = read(first, waiting)
    assert only(nearly).waits, "the peer still holds it back"
    assert not only(read(last, nearly)).waits
    gone = read("destroy peer-device name:orders.data peer-node-id:0 volume:0", waiting)
    assert gone.resources["orders.data"].paused_by == "no"


def test_only_a_resync_that_the_order_holds_back_waits() -> None:
    """A device is marked while another one goes first, also when it misses nothing itself."""
    waiting = read(RESYNC_WAITS)
    complete = "change peer-device name:orders.data volume:0 replication:Established received:1"
    assert not only(read(complete, waiting)).waits
    by_a_person = "change peer-device name:orders.data volume:0 resync-suspended:user received:1"
    assert not only(read(by_a_person, waiting)).waits


def test_every_prefix_of_the_events_makes_facts_and_none_is_current_too_early() -> None:
    """The daemon may read between any two lines."""
    picture = Picture()
    for line in RESYNC_OF_A_NEW_TARGET.splitlines():
        picture = read(line, picture)
        assert all(not facts.current for facts in picture.facts())


def test_a_lost_peer_does_not_answer_from_the_first_line_on() -> None:
    picture = read(RESYNC_DONE, read(RESYNC_OF_A_NEW_TARGET))
    assert only(picture).kernel_answers
    for line in PEER_LOST.splitlines():
        picture = read(line, picture)
        assert not only(picture).kernel_answers
    assert only(picture).connection is Connection.CONNECTING
    assert only(picture).peer_role is Role.UNKNOWN
    assert only(picture).peer_disk is Disk.UNKNOWN
    assert only(picture).current


def test_a_resource_that_was_taken_down_is_gone() -> None:
    picture = read(TAKEN_DOWN, read(RESYNC_DONE, read(RESYNC_OF_A_NEW_TARGET)))
    assert only(picture).disk is Disk.DISKLESS
    assert only(picture).connection is Connection.STAND_ALONE
    assert read("destroy resource name:orders.data", picture).facts() == ()


def test_the_first_dump_is_complete_at_its_last_line() -> None:
    assert not read("exists resource name:r0 role:Secondary suspended:no").complete
    assert read("exists -").complete


def test_drbd_9_says_the_same_and_more() -> None:
    picture = read(DRBD_9)
    facts = only(picture)
    assert picture.complete
    assert (facts.role, facts.disk) == (Role.PRIMARY, Disk.UP_TO_DATE)
    assert facts.connection is Connection.SYNC_SOURCE
    assert facts.suspended
    assert facts.sync_done == 0.875
    assert facts.out_of_sync_bytes == 512 * 1024
    renamed = read("rename resource name:r0 new_name:r1", picture)
    assert only(renamed).resource == "r1"


@pytest.mark.parametrize(
    "text",
    ["", "\n", "- skipped 3", "2024-01-01 nonsense", "call helper name:r0", "change x name:"],
)
def test_lines_without_a_state_change_nothing(text: str) -> None:
    picture = read(RESYNC_OF_A_NEW_TARGET)
    assert read(text, picture).facts() == picture.facts()


NUMBERS: Final = st.text(max_size=12) | st.sampled_from(["", ".", "-1", "1e9", "nan", "9" * 5000])


@given(number=NUMBERS)
def test_a_number_that_is_none_ends_nothing(number: str) -> None:
    """The stream is what every decision rests on: what is not understood changes nothing."""
    word = "".join(number.split())
    picture = Picture()
    for text in (
        "exists resource name:r role:Primary suspended:no",
        "exists device name:r volume:0 minor:7 disk:UpToDate",
        f"change device name:r volume:0 minor:{word} disk:Failed",
        f"change peer-device name:r peer-disk:UpToDate done:{word} out-of-sync:{word}",
    ):
        line = events_line(text)
        assert line is not None
        picture = picture.after(line)
    (facts,) = picture.facts()
    assert facts.disk is Disk.FAILED
    assert facts.peer_disk is Disk.UP_TO_DATE
    proc_devices(
        f"{word}: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r---\n"
        f" 7: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r---\n"
        f"    oos:{word}\n sync'ed: {word}% done\n"
    )


def test_lost_events_are_noticed() -> None:
    assert tells_loss("- skipped 3")
    assert not tells_loss("exists -")


@pytest.mark.parametrize(
    ("connection", "replication", "ours"),
    [
        ("StandAlone", "Off", Connection.STAND_ALONE),
        ("Disconnecting", "Established", Connection.STAND_ALONE),
        ("Connecting", "Off", Connection.CONNECTING),
        ("NetworkFailure", "Established", Connection.CONNECTING),
        ("Connected", "Off", Connection.CONNECTING),
        ("Connected", "Established", Connection.CONNECTED),
        ("Connected", "VerifyS", Connection.CONNECTED),
        ("Connected", "PausedSyncS", Connection.SYNC_SOURCE),
        ("Connected", "WFBitMapT", Connection.SYNC_TARGET),
        ("Connected", "Behind", Connection.SYNC_TARGET),
        ("Connected", "SomethingNew", Connection.CONNECTING),
    ],
)
def test_drbds_words_for_the_connection(
    connection: str, replication: str, ours: Connection
) -> None:
    assert connection_of(connection, replication) is ours


def test_words_that_we_do_not_know_prove_nothing() -> None:
    assert role_of("Emperor") is Role.UNKNOWN
    assert disk_of("Haunted") is Disk.UNKNOWN
    assert disk_of("UpToDate") is Disk.UP_TO_DATE


def test_proc_drbd_tells_the_progress_of_a_resync() -> None:
    assert proc_version(PROC_SYNCING) == "8.4.11"
    assert proc_version("") is None
    devices = proc_devices(PROC_SYNCING)
    assert sorted(devices) == [10, 11]
    assert devices[10].sync_done == 0.883
    assert devices[10].out_of_sync_bytes == 11264 * 1024
    assert not devices[10].suspended
    assert devices[11].suspended
    assert devices[11].connection == "StandAlone"


def test_the_two_sources_are_compared_in_one_language() -> None:
    resource = read(DRBD_9).resources["r0"]
    device = proc_devices(PROC_SYNCING)[10]
    assert not agrees(resource, device)  # It is suspended in one of them only.
    alone = proc_devices(PROC_SYNCING)[11]
    connected = read(RESYNC_DONE, read(RESYNC_OF_A_NEW_TARGET)).resources["orders.data"]
    assert not agrees(connected, alone)


@pytest.mark.parametrize(
    ("said", "kernel"),
    [
        ("ds:UpToDate/UpToDate", "ds:UpToDate/Outdated"),
        ("ds:UpToDate/UpToDate", "ds:UpToDate/Diskless"),
        ("ro:Secondary/Secondary", "ro:Secondary/Primary"),
        ("cs:Connected", "cs:SyncTarget"),
        ("cs:Connected", "cs:SyncSource"),
    ],
)
def test_what_is_said_of_the_peer_is_compared_too(said: str, kernel: str) -> None:
    """A move relies on it: the peer's copy is complete, and it is no Primary."""
    connected = read(RESYNC_DONE, read(RESYNC_OF_A_NEW_TARGET)).resources["orders.data"]
    text = "10: cs:Connected ro:Secondary/Secondary ds:UpToDate/UpToDate C r-----"
    assert agrees(connected, proc_devices(text)[10])
    assert not agrees(connected, proc_devices(text.replace(said, kernel))[10])


def test_of_a_peer_that_is_gone_the_words_may_differ() -> None:
    lost = read(PEER_LOST, read(RESYNC_DONE, read(RESYNC_OF_A_NEW_TARGET)))
    text = "10: cs:WFConnection ro:Secondary/Unknown ds:UpToDate/Outdated C r-----"
    assert agrees(lost.resources["orders.data"], proc_devices(text)[10])


SHOWN: Final = """\
resource orders.data {
    net {
        cram-hmac-alg   \t"sha256";
    }
    _remote_host {
        address\t\t\tipv4 10.77.2.2:7701;
    }
    _this_host {
        address\t\t\tipv4 10.77.2.1:7701;
        volume 0 {
            device\t\t\tminor 10;
            disk {
                size            \t0s;
            }
        }
    }
}

resource backup {
    _remote_host {
        address\t\t\tipv6 [fd00::0009]:7000;
    }
    _this_host {
        address\t\t\tipv6 [fd00::1]:7000;
        volume 0 {
            device\t\t\tminor 4;
        }
        volume 1 {
            device\t\t\tminor 5;
        }
    }
}

resource alone {
    _this_host {
        volume 0 {
            device\t\t\tminor 6;
        }
    }
}
"""


def test_the_addresses_of_connections_are_read_as_8_4_shows_them() -> None:
    assert remote_addresses(SHOWN) == {"orders.data": "10.77.2.2", "backup": "fd00::9"}
    assert remote_addresses(SHOWN.replace("[fd00::0009]", "by:hand"))["backup"] == "?"


@given(st.text() | st.lists(st.sampled_from(SHOWN.splitlines())).map("\n".join))
def test_no_text_of_drbdsetup_show_is_an_error(text: str) -> None:
    remote_addresses(text)


def test_drbd_9_tells_the_address_itself() -> None:
    picture = read(DRBD_9)
    assert picture.resources["r0"].address == "10.0.0.2"
    assert not picture.unknown()


def test_a_path_that_is_not_understood_leads_nowhere() -> None:
    path = "exists path name:r0 peer-node-id:1 conn-name:node2 peer:{}\n"
    for endpoint in ("ipv4:1:2:3", "rdma", ""):
        assert read(path.format(endpoint)).resources["r0"].address == ""


def test_volumes_but_the_first_change_only_who_has_the_devices() -> None:
    one = read("exists device name:r0 volume:0 minor:4 disk:UpToDate")
    two = read("exists device name:r0 volume:1 minor:5 disk:Failed", one)
    assert two.facts() == one.facts()
    assert two.holder(5) == "r0"
    gone = read("destroy device name:r0 volume:1 minor:5", two)
    assert (gone.holder(5), gone.holder(4)) == ("", "r0")
    assert read("destroy peer-device name:r0 volume:1", gone) == gone
    assert read("destroy device name:r0 volume:0 minor:4", gone).holder(4) == ""
