"""<alerts> as values, and what becomes of them in built.json."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from hapair.config.built_json import dumps, loads
from hapair.config.clconf import read_clconf
from hapair.model.alerts import Alerts, Carrier, Level, Method, Receiver, Security
from hapair.model.cluster import Cluster
from hapair.model.secret import secret_files
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
        '<syslog name="b"/><mail name="c" to="a@x.net b@y" sender="h@z"/></alerts>'
    ).alerts
    assert alerts.repeat_s == 600.0
    there, here, mail = alerts.receivers
    assert (there.to, there.carrier, there.timeout_s) == ("[fd77::9]:601", Carrier.TCP, 5.0)
    assert here.to == ""
    assert (mail.to, mail.server, mail.sender) == ("a@x.net b@y", "localhost:25", "h@z")


def test_a_url_that_is_a_secret_stands_in_a_file_that_clbuild_looks_after() -> None:
    told = with_alerts('<alerts><webhook name="a" url-file="/etc/hapair/chat.url"/></alerts>')
    (receiver,) = told.alerts.receivers
    assert (receiver.to, receiver.url_file) == ("", "/etc/hapair/chat.url")
    assert secret_files(told) == ("/etc/hapair/chat.url",)


def test_an_older_version_sees_nothing_of_alerts_as_long_as_nobody_uses_them() -> None:
    assert "alerts" not in json.loads(dumps(BUILT))["built"]["cluster"]
    used = replace(
        BUILT,
        cluster=replace(BUILT.cluster, alerts=Alerts((Receiver("log", Method.SYSLOG),), 60.0)),
    )
    assert loads(dumps(used)) == used
