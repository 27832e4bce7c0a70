"""The program itself, beside a scripted daemon and a real web server."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.alerts.main import Configuration
from hapair.config.built_json import dumps
from hapair.model.alerts import Alerts, Method, Receiver
from hapair.model.built import Built
from hapair.rpc.messages import JsonObject
from tests.alerts.receivers import LOOPBACK, WebServer, web
from tests.cli import situations
from tests.cli.fake_daemon import FakeDaemon, Talk
from tests.config.reference import BUILT
from tests.processes import PATIENCE_S, Started

PROGRAM: Final = (sys.executable, "-m", "hapair.alerts.main", "--root")


def configured(url: str) -> Built:
    alerts = Alerts((Receiver("chat", Method.WEBHOOK, url, timeout_s=5.0),))
    return replace(BUILT, cluster=replace(BUILT.cluster, alerts=alerts))


def lay(root: Path, built: Built) -> Path:
    file = root / "etc/cluster/built/built.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name("new")
    beside.write_bytes(dumps(built))
    beside.replace(file)
    return file


def rounds(told: threading.Event, orders: list[JsonObject]) -> Callable[[Talk], JsonObject]:
    def answer(talk: Talk) -> JsonObject:
        if talk.args["done"]:
            told.set()
        sending, orders[:] = list[object](orders), []
        told.wait(0.2)
        return {"node": "node1", "status": situations.status(), "events": [], "newest": 0,
                "peer": None, "orders": sending}  # fmt: skip

    return answer


def start(root: Path) -> Started:
    return Started((*PROGRAM, str(root)), stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def posted(server: WebServer) -> list[str]:
    return [json.loads(body)["messages"][0]["kind"] for _, _, body in server.posts]


def test_it_sends_what_is_asked_for_until_nobody_is_to_be_told_any_more(tmp_path: Path) -> None:
    told, orders = threading.Event(), [JsonObject(id=1, order="test", receiver="")]
    with FakeDaemon(tmp_path) as daemon, web() as server:
        lay(tmp_path, configured(f"http://{LOOPBACK}:{server.server_port}/"))
        daemon.scripts["alerts-round"] = rounds(told, orders)
        with start(tmp_path) as process:
            assert told.wait(PATIENCE_S)
            lay(tmp_path, BUILT)
            process.ended()
            assert process.returncode == 0
        assert posted(server) == ["test"]
    assert (tmp_path / "var/lib/hapair/alerts.json").stat().st_mode & 0o077 == 0


def test_a_daemon_that_is_gone_does_not_end_it(tmp_path: Path) -> None:
    lay(tmp_path, configured(f"http://{LOOPBACK}:1/"))
    with start(tmp_path) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        process.send_signal(signal.SIGTERM)
        _, errors = process.ended()
        assert (process.returncode, errors) == (-signal.SIGTERM, "")


def test_it_ends_at_once_where_nobody_is_named(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        process.ended()
        assert process.returncode == 0


def test_a_memory_that_cannot_be_read_is_kept_and_told(tmp_path: Path) -> None:
    memory = tmp_path / "var/lib/hapair"
    memory.mkdir(parents=True)
    (memory / "alerts.json").write_bytes(b'{"format": 99}')
    with start(tmp_path) as process:
        _, errors = process.ended()
    assert [file.read_bytes() for file in memory.glob("alerts.json.aside_*")] == [b'{"format": 99}']
    assert errors.startswith(f"hapair-alerts: {memory}/alerts.json cannot be read")
    assert errors.count("\n") == 1


def test_a_configuration_that_cannot_be_read_leaves_the_former_one(tmp_path: Path) -> None:
    built = configured("http://x/")
    file = lay(tmp_path, built)
    read = Configuration(file)
    assert read() == built
    file.unlink()
    file.write_bytes(b"{")
    assert read() == built
    file.unlink()
    assert read() is None


def test_it_loads_nothing_for_sending_before_it_sends() -> None:
    """Its memory is spent on every node that has receivers, day and night."""
    ask = "import sys, hapair.alerts.main; print(*sys.modules)"
    loaded = subprocess.run((sys.executable, "-c", ask), capture_output=True, check=True, text=True)
    heavy = {"asyncio", "smtplib", "ssl", "http.client", "email", "subprocess", "lxml"}
    assert not heavy & set(loaded.stdout.split())
