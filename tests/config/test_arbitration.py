"""Witnesses, fencing, the watchdog and their durations, as clconf.xml says them."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.config.appconf import examine_appconf
from hapair.config.built_json import dumps, loads
from hapair.config.clconf import examine_clconf, read_clconf
from hapair.config.fingerprint import fingerprint
from hapair.config.grammar import checked
from hapair.config.kinds import Wrong
from hapair.config.witness_place import LENGTH_MAX, is_loopback, place_of
from hapair.model.cluster import (
    ArbitrationKind,
    Cluster,
    FenceMethod,
    Resync,
    Timing,
    Watchdog,
    Witness,
    WitnessKind,
)
from hapair.model.secret import (
    for_root_only,
    named_like_a_secret,
    secret_files,
    written_secrets,
)
from tests.config.reference import BUILT, CLUSTER

SAMPLES: Final = Path(__file__).parents[2] / "packaging/samples"
MINIMAL: Final = (SAMPLES / "clconf-minimal.xml").read_text()
IN_FILE: Final = FenceMethod("node1", "fence_x", parameters=(("passwd", "file:/etc/secret"),))
WRITTEN: Final = FenceMethod("node2", "fence_x", parameters=(("passwd", "geheim"), ("ip", "a")))

FENCED: Final = """<cluster name="shop">
<arbitration by="fencing">
<method node="node1" agent="fence_x"{}>{}</method>
</arbitration></cluster>"""
WITH_AGENT: Final = """<application name="web" preferred="node1">
<run><ocf agent="ocf:heartbeat:web"{}>{}</ocf></run></application>"""


def read(text: str) -> Cluster:
    value = read_clconf(text.encode(), file="clconf.xml")
    assert isinstance(value, Cluster), value
    return value


def sample(name: str) -> Cluster:
    return read((SAMPLES / name).read_text())


def minimal(arbitration: str) -> Cluster:
    return read(MINIMAL.replace('<arbitration by="paths"/>', arbitration))


def test_the_sample_of_a_witness_says_what_its_comments_say() -> None:
    cluster = sample("clconf-witness.xml")
    assert cluster.arbitration is ArbitrationKind.WITNESS
    assert cluster.witnesses == (
        Witness(WitnessKind.CLWITNESS, "witness.example.net:7790", 1.0, "0" * 64),
    )
    assert (cluster.window_s, cluster.lead_s) == (0.8, 0.8)
    assert cluster.timing == Timing(2.0, 0.4, 6.0)
    assert cluster.watchdog == Watchdog("/dev/watchdog", 6.0)
    assert cluster.resync == Resync(snapshot=True, rate_bytes=100 * 1024**2)


def test_the_sample_of_fencing_says_what_its_comments_say() -> None:
    cluster = sample("clconf-fencing.xml")
    assert cluster.arbitration is ArbitrationKind.FENCING
    (method,) = cluster.methods_against("node2")
    assert (method.agent, method.timeout_s) == ("fence_ipmilan", 30.0)
    assert method.parameters == (
        ("ip", "10.77.3.12"),
        ("username", "hapair"),
        ("password", "file:/etc/cluster/fence-node2.secret"),
        ("lanplus", "1"),
    )
    assert (cluster.watchdog, cluster.lease_s) == (None, 6.0)
    assert cluster.resync == Resync()


def test_the_samples_bring_no_warning_about_their_arbitration() -> None:
    for name in ("clconf-witness.xml", "clconf-fencing.xml"):
        assert not examine_clconf((SAMPLES / name).read_bytes(), file="clconf.xml").problems


def test_pins_are_kept_in_lower_case_and_addresses_as_written() -> None:
    cluster = minimal(
        '<arbitration by="witness"><witness kind="clwitness" '
        f'at=" [FD77::9]:7790 " pin="{"AB" * 32}" timeout="500ms"/></arbitration>'
    )
    assert cluster.witnesses == (Witness(WitnessKind.CLWITNESS, "[FD77::9]:7790", 0.5, "ab" * 32),)


def test_an_etcd_behind_tls_may_have_a_pin() -> None:
    cluster = minimal(
        '<arbitration by="witness"><witness kind="etcd" '
        f'at="https://10.0.0.7:2379" pin="{"ab" * 32}"/></arbitration>'
    )
    assert cluster.witnesses[0].pin == "ab" * 32
    assert loads(dumps(replace(BUILT, cluster=cluster))).cluster == cluster


def test_several_witnesses_of_all_kinds() -> None:
    cluster = minimal(
        '<arbitration by="witness"><witness kind="file" at="/mnt/witness"/>'
        '<witness kind="etcd" at="https://e1:2379\n https://[fd77::9]/ "/>'
        f'<witness kind="clwitness" at="w:7790" pin="{"1" * 64}"/></arbitration>'
    )
    assert [witness.at for witness in cluster.witnesses] == [
        "/mnt/witness",
        "https://e1:2379 https://[fd77::9]/",
        "w:7790",
    ]


@pytest.mark.parametrize(
    ("timing", "timeout_s"),
    [
        ("", 6.0),
        ('<timing detection="500ms"/>', 1.0),
        ('<timing detection="10s"/>', 10.0),
        ('<timing lease="7.9s"/>', 7.0),
    ],
)
def test_a_watchdog_follows_the_lease(timing: str, timeout_s: float) -> None:
    cluster = minimal(f'<arbitration by="paths"/>{timing}<watchdog/>')
    assert cluster.watchdog == Watchdog("/dev/watchdog", timeout_s)


def test_a_file_in_place_of_a_resync_snapshot_and_rate() -> None:
    cluster = minimal('<arbitration by="paths"/><resync snapshot="no"/>')
    assert cluster.resync == Resync(snapshot=False)


def test_a_cluster_without_the_new_words_has_its_old_fingerprint() -> None:
    """What an earlier version built is no drift after an upgrade."""
    assert fingerprint(CLUSTER) == "9b8db5a83d016c49221fef3d4cbec23a"
    assert loads(dumps(BUILT)) == BUILT


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("w", False),
        ("0.0.0.0", True), ("::", True),  # noqa: S104 - No socket is bound to it.
        ("ip6-localhost", True), ("localhost.localdomain", True),
        ("own.localhost", True), ("localhost.example.net", False), ("fd77::9", False),
    ],
)  # fmt: skip
def test_a_host_that_each_machine_has(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_place_is_short() -> None:
    assert isinstance(place_of(WitnessKind.FILE, "/" + "w" * LENGTH_MAX), Wrong)


def test_places_that_look_different_are_the_same() -> None:
    places = [place_of(WitnessKind.CLWITNESS, at) for at in ("[FD77:0::9]:7790", "[fd77::9]:07790")]
    assert not any(isinstance(place, Wrong) for place in places)
    assert len({getattr(place, "ends", None) for place in places}) == 1


@pytest.mark.parametrize(
    ("at", "host"),
    [
        ("[::ffff:127.0.0.1]:7790", "127.0.0.1"),
        ("[::FFFF:10.77.1.1]:7790", "10.77.1.1"),
        ("[0:0::0]:7790", "::"),
        ("Witness.Example.NET:7790", "witness.example.net"),
        ("4th.example.net:7790", "4th.example.net"),
        ("0xbeef.example.net:7790", "0xbeef.example.net"),
    ],
)
def test_a_host_is_known_in_its_usual_form(at: str, host: str) -> None:
    for kind, place in ((WitnessKind.CLWITNESS, at), (WitnessKind.ETCD, f"https://{at}")):
        assert getattr(place_of(kind, place), "hosts", None) == (host,)


@pytest.mark.parametrize(
    "host",
    ["0x7f000001", "0x7f.1", "witness.7", "a..b", "224.0.0.1", "255.255.255.255", "[ff02::1]",
     "[::ffff:224.0.0.1]", "2130706433"],
)  # fmt: skip
def test_a_host_that_is_no_machine_s_own_is_refused(host: str) -> None:
    """Resolvers take numbers in many forms; each node could mean itself by them."""
    assert isinstance(place_of(WitnessKind.CLWITNESS, f"{host}:7790"), Wrong)


def test_a_place_is_kept_only_when_it_was_checked() -> None:
    for wrong in (place_of(WitnessKind.FILE, "witness"), None):
        with pytest.raises(ValueError, match="was not checked"):
            checked(wrong)


# --- Secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("passwd", True),
        ("password", True),
        ("snmp_priv_passwd", True),
        ("snmp-community", True),
        ("api_key", True),
        ("token", True),
        ("passwd_script", False),
        ("private-key-path", False),
        ("ip", False),
        ("username", False),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, *, secret: bool) -> None:
    assert named_like_a_secret(name) is secret


def test_secrets_in_files_are_told_from_written_ones() -> None:
    cluster = replace(CLUSTER, fence_methods=(IN_FILE, WRITTEN, IN_FILE))
    assert secret_files(cluster) == ("/etc/secret",)
    assert written_secrets(cluster) == ((WRITTEN, "passwd"),)


def test_parameters_are_for_root_only_whatever_they_are_called() -> None:
    plain = FenceMethod("node1", "fence_x", parameters=(("ip", "10.0.0.5"),))
    assert for_root_only(replace(CLUSTER, fence_methods=(plain,)))
    assert not for_root_only(replace(CLUSTER, fence_methods=(FenceMethod("node1", "fence_x"),)))


def test_no_message_holds_a_value_of_a_parameter() -> None:
    """Wherever in a parameter something is wrong, what it holds is not shown."""
    good = (SAMPLES / "clconf-fencing.xml").read_text()
    file = 'file="/etc/cluster/fence-node1.secret"'
    for written in (
        'value="geh&eim"', 'value="geh<eim"', 'value="geheim', 'value="geheim" value="geheim"',
        'value="geheim" file="/geheim"', 'value="geheim&#9;"', 'value="file:geheim"',
        'vaule="geheim"', ">geheim<!-- -->", 'value="geheim"',
    ):  # fmt: skip
        reading = examine_clconf(good.replace(file, written).encode(), file="clconf.xml")
        assert reading.problems, written
        assert not [each for each in reading.problems if "heim" in str(each)], written


@pytest.mark.parametrize(
    ("attribute", "inside"),
    [
        ("", '<parameter name="password" value="geheim"/>'),
        ("", '<parameter name="password"' + " " * 80 + 'value="geheim"/>'),
        ("", "<password>geheim</password>"),
        (' password="geheim"', ""),
    ],
    ids=("value", "far away", "text", "attribute"),
)
def test_no_slip_of_the_hand_shows_a_password(attribute: str, inside: str) -> None:
    """One letter too many, or one missing, at any place of what may hold a password."""
    for examine, text in (
        (examine_clconf, FENCED.format(attribute, inside)),
        (examine_appconf, WITH_AGENT.format(attribute, inside)),
    ):
        for slip in ("&", "<", ">", '"', "=", "--", " ", "\0", ""):
            for place in range(text.index("<a"), len(text)):
                rest = text[place:] if slip else text[place + 1 :]
                wrong = (text[:place] + slip + rest).encode()
                told = [str(each) for each in examine(wrong, file="x.xml").problems]
                assert not [each for each in told if "heim" in each], wrong


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_file_in_another_encoding_is_not_read_and_shows_nothing(encoding: str) -> None:
    for text in (MINIMAL, FENCED.format("", '<parameter value="gehei&m"/>')):
        problem, *more = examine_clconf(text.encode(encoding), file="clconf.xml").problems
        assert not more
        assert problem.mend == "save the file as UTF-8"
        assert "heim" not in str(problem)
