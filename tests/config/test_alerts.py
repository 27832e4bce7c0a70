"""<alerts> as values, and what becomes of them in built.json."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.config.built_json import dumps, loads
from hapair.config.clconf import examine_clconf, read_clconf
from hapair.model.alerts import Alerts, Carrier, Level, Method, Receiver, Security
from hapair.model.cluster import Cluster
from hapair.model.secret import for_root_only, secret_files
from tests.config.reference import BUILT

# ruff: noqa: S106 - the place of a secret is none.

SAMPLE: Final = Path(__file__).parents[2] / "packaging/samples/clconf.xml"


def cluster(text: str) -> Cluster:
    found = read_clconf(text.encode(), file="clconf.xml")
    assert isinstance(found, Cluster), found
    return found


def with_alerts(alerts: str) -> Cluster:
    return cluster(SAMPLE.read_text().replace("</cluster>", f"{alerts}</cluster>"))


def test_the_sample_holds_a_receiver_of_each_kind_once_its_comment_is_taken_away() -> None:
    text = SAMPLE.read_text()
    start, end = text.index("<alerts"), text.index("</alerts>") + len("</alerts>")
    told = with_alerts(text[start:end])
    assert told.alerts == Alerts(
        (
            Receiver(
                "admins", Method.MAIL, "admin@example.net", secret="/etc/cluster/mail.secret",
                server="mail.example.net:587", security=Security.STARTTLS, user="hapair",
            ),
            Receiver(
                "chat", Method.WEBHOOK, "https://hooks.example.net/hapair",
                secret="/etc/cluster/hook.secret", header="Authorization",
            ),
            Receiver("log", Method.SYSLOG, "log.example.net:514"),
            Receiver("monitoring", Method.TRAP, "nms.example.net:162", Level.ALARM),
            Receiver("pager", Method.HOOK, "/etc/cluster/pager", Level.ALARM),
        ),
        3600.0,
    )  # fmt: skip
    assert secret_files(told) == ("/etc/cluster/mail.secret", "/etc/cluster/hook.secret")
    assert cluster(text).alerts == Alerts()


def test_what_is_written_otherwise_is_read_so() -> None:
    alerts = with_alerts(
        '<alerts repeat="10m"><syslog name="a" to="[fd77::9]:601" protocol="tcp" timeout="5s"/>'
        '<syslog name="b"/><mail name="c" to="a@x.net b@y" sender="h@z"/>'
        '<trap name="d" to="nms:162" inform="yes"/></alerts>'
    ).alerts
    assert alerts.repeat_s == 600.0
    there, here, mail, trap = alerts.receivers
    assert (there.to, there.carrier, there.timeout_s) == ("[fd77::9]:601", Carrier.TCP, 5.0)
    assert here.to == ""
    assert (mail.to, mail.server, mail.sender) == ("a@x.net b@y", "localhost:25", "h@z")
    assert trap.inform


def test_a_url_that_is_a_secret_stands_in_a_file_that_clbuild_looks_after() -> None:
    told = with_alerts('<alerts><webhook name="a" url-file="/etc/hapair/chat.url"/></alerts>')
    (receiver,) = told.alerts.receivers
    assert (receiver.to, receiver.url_file) == ("", "/etc/hapair/chat.url")
    assert secret_files(told) == ("/etc/hapair/chat.url",)


@pytest.mark.parametrize(
    ("path", "is_secret"),
    [
        ("hapair", False),
        ("services/monitoring/incoming-webhook-of-the-cluster?to=me", False),
        ("2026/11/30/12345678901234567890", False),
        ("services/T0/B1/AbCdEfGh1jKlMnOpQrStUvWx", True),
        ("api/webhooks/112233445566778899/a-Zk3_9sdfWERT4sdfgh3546GHJK", True),
        ("webhook/3f2504e0-4f89-11d3-9a0c-0305e82c3301", True),
        ("bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage", True),
        ("alert?room=7&token=abc", True),
    ],
)
def test_a_secret_in_a_url_is_told_with_the_way_to_hide_it(
    path: str,
    is_secret: bool,  # noqa: FBT001 - parametrized
) -> None:
    url = f"https://chat12345678901234567890.example.net/{path}"
    written = url.replace("&", "&amp;")
    text = SAMPLE.read_text().replace(
        "</cluster>", f'<alerts><webhook name="a" url="{written}"/></alerts></cluster>'
    )
    found = examine_clconf(text.encode(), file="clconf.xml")
    told = [problem for problem in found.problems if problem.field == "<webhook> url"]
    assert [problem.warning for problem in told] == [True] * is_secret
    assert all("url-file=" in each.mend and path not in str(each) for each in told)
    assert found.value is not None
    assert for_root_only(found.value)  # Whether it was recognized or not.


def test_an_older_version_sees_nothing_of_alerts_as_long_as_nobody_uses_them() -> None:
    assert "alerts" not in json.loads(dumps(BUILT))["built"]["cluster"]
    used = replace(
        BUILT,
        cluster=replace(BUILT.cluster, alerts=Alerts((Receiver("log", Method.SYSLOG),), 60.0)),
    )
    assert loads(dumps(used)) == used
