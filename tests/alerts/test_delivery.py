"""Every way to tell somebody, against real receivers that take it, refuse it, are slow or hang."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.alerts.means import Means
from hapair.adapters.alerts.sending import Sending, begin
from hapair.model.alerts import (
    Carrier,
    Kind,
    Letter,
    Level,
    Message,
    Method,
    Receiver,
    Security,
)
from tests.alerts.receivers import LOOPBACK, MailServer, listening, program, web
from tests.processes import PATIENCE_S

ALARM: Final = Message(
    Kind.BEGIN, Level.ALARM, "orders", "the disk of node2 is lost", 5.0, "node1", "replace it", 7
)
OVER: Final = replace(ALARM, kind=Kind.OVER, level=Level.WARNING, text="no link ü")
LETTER: Final = Letter("shop", "node1", (ALARM, OVER), 3)
SECRET: Final = "a secret of mine"  # noqa: S105 - of the test


def outcome(receiver: Receiver, means: Means) -> str:
    return sent(receiver, means)[0]


def sent(receiver: Receiver, means: Means, letter: Letter = LETTER) -> tuple[str, bool]:
    """Return what came of it, and whether it was refused for good."""
    sending = begin(receiver, letter, means)
    assert isinstance(sending, Sending)
    until_s = time.monotonic() + PATIENCE_S
    while (said := sending.outcome()) is None:
        assert time.monotonic() < until_s
        time.sleep(0.01)
    return said, sending.refused


@pytest.fixture
def means(tmp_path: Path) -> Means:
    return Means(os.geteuid(), f"{tmp_path}:/usr/bin:/bin", tmp_path / "log")


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    return str(file)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key and a certificate of localhost in one file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", str(file), "-out", f"{file}.crt"),
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Let the system trust that certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def mail(port: int, host: str = LOOPBACK, **more: object) -> Receiver:
    made = Receiver("admins", Method.MAIL, "a@x b@x", server=f"{host}:{port}", timeout_s=5.0)
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_mail_says_everything_to_everybody(means: Means) -> None:
    server = MailServer()
    with listening(server.serve) as port:
        assert outcome(mail(port), means) == ""
    (told,) = server.mails
    assert "Subject: [shop] alarm: orders: the disk of node2 is lost (and 4 more)" in told
    assert "From: hapair@node1" in told
    assert [line for line in server.heard if line.startswith("rcpt")] == [
        "rcpt TO:<a@x>", "rcpt TO:<b@x>",
    ]  # fmt: skip
    assert not [line for line in server.heard if "AUTH" in line]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_mail_goes_by_tls_and_with_a_password(
    at_once: bool,  # noqa: FBT001 - parametrized
    means: Means,
    tls: ssl.SSLContext,
    secret: str,
) -> None:
    server = MailServer(tls, at_once)
    security = Security.TLS if at_once else Security.STARTTLS
    with listening(server.serve) as port:
        receiver = mail(port, "localhost", security=security, user="me", secret=secret)
        assert outcome(receiver, means) == ""
    assert len(server.mails) == 1
    words = [line.split(" ")[0].upper() for line in server.heard]
    assert words.index("AUTH") > (-1 if at_once else words.index("STARTTLS"))


def test_a_mail_server_whose_certificate_nobody_trusts_gets_no_password(
    means: Means, tls: ssl.SSLContext, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    server = MailServer(tls)
    with listening(server.serve) as port:
        receiver = mail(port, "localhost", security=Security.STARTTLS, user="me", secret=secret)
        assert "certificate verify failed" in outcome(receiver, means)
    assert not [line for line in server.heard if "AUTH" in line]


def test_a_mail_server_that_refuses_is_quoted(means: Means) -> None:
    server = MailServer(answer="452 no room")
    with listening(server.serve) as port:
        assert outcome(mail(port), means) == f"{LOOPBACK}:{port} answered 452 no room"


@pytest.mark.parametrize(
    ("answers", "is_refused"),
    [
        ({"answer": "552 5.3.4 too large"}, True),
        ({"answer": "554 5.7.1 looks like spam"}, True),
        ({"answer": "451 later"}, False),
        ({"to_sender": "552 5.3.4 too large"}, True),
        ({"to_sender": "550 who are you"}, False),
    ],
)
def test_a_mail_that_is_refused_for_good_is_told_from_one_that_is_not_taken_now(
    answers: dict[str, str],
    is_refused: bool,  # noqa: FBT001 - parametrized
    means: Means,
) -> None:
    server = MailServer(**answers)  # type: ignore[arg-type]
    with listening(server.serve) as port:
        said, refused = sent(mail(port), means)
    assert (next(iter(answers.values())) in said, refused) == (True, is_refused)


def test_what_no_mail_can_hold_is_refused_for_good(means: Means) -> None:
    broken = replace(LETTER, messages=(replace(ALARM, text="half a sign: \udcff"),))
    with listening(MailServer().serve) as port:
        said, refused = sent(mail(port), means, broken)
    assert refused, said


def hangs(connection: socket.socket) -> None:
    while connection.recv(1 << 20):
        continue


@pytest.mark.parametrize("method", [Method.MAIL, Method.WEBHOOK])
def test_a_receiver_that_hangs_ends_with_its_time_limit(method: Method, means: Means) -> None:
    with listening(hangs) as port:
        made = replace(mail(port), method=method, timeout_s=0.5, to=f"http://{LOOPBACK}:{port}/")
        assert "timed out" in outcome(made, means)


def test_one_that_drips_forever_is_killed(means: Means) -> None:
    """Each byte begins the library's time limit anew."""

    def drips(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"2")
            time.sleep(0.05)

    with listening(drips) as port:
        assert outcome(mail(port, timeout_s=0.5), means) == "it was not taken within 0.5 s"


@pytest.mark.parametrize("method", [Method.MAIL, Method.WEBHOOK, Method.SYSLOG])
def test_nobody_there_is_said(method: Method, means: Means) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
    to = f"http://{LOOPBACK}:{port}/" if method is Method.WEBHOOK else f"{LOOPBACK}:{port}"
    made = replace(mail(port), method=method, to=to, carrier=Carrier.TCP)
    assert "Connection refused" in outcome(made, means)


def test_a_name_that_nobody_knows_is_said(means: Means) -> None:
    assert "ame" in outcome(mail(25, "nowhere.invalid"), means)


def test_a_webhook_gets_json_and_its_secret(means: Means, tls: ssl.SSLContext, secret: str) -> None:
    with web(tls) as server:
        url = f"https://localhost:{server.server_port}/alerts?to=me"
        receiver = Receiver("chat", Method.WEBHOOK, url, header="X-Token", secret=secret)
        assert outcome(receiver, means) == ""
    ((path, headers, body),) = server.posts
    assert (path, headers["X-Token"]) == ("/alerts?to=me", SECRET)
    told = json.loads(body)
    assert (told["format"], told["left_out"], told["level"]) == (1, 3, "alarm")
    assert told["messages"][0]["to_do"] == "replace it"


@pytest.mark.parametrize("status", [301, 404, 500])
def test_a_webhook_that_answers_otherwise_did_not_take_it(status: int, means: Means) -> None:
    with web() as server:
        server.status = status
        url = f"http://{LOOPBACK}:{server.server_port}"
        assert f"answered {status}" in outcome(Receiver("chat", Method.WEBHOOK, url), means)


@pytest.mark.parametrize("status", [400, 403, 413, 401, 404, 429, 503])
def test_a_webhook_that_refuses_the_letter_is_told_from_one_that_fails(
    status: int, means: Means
) -> None:
    with web() as server:
        server.status = status
        url = f"http://{LOOPBACK}:{server.server_port}"
        _, refused = sent(Receiver("chat", Method.WEBHOOK, url), means)
    assert refused == (status in {400, 403, 413})


def test_no_error_shows_a_secret(means: Means, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\r\nEvil: yes")
    file.chmod(0o600)
    with web() as server:
        url = f"http://{LOOPBACK}:{server.server_port}"
        receiver = Receiver("chat", Method.WEBHOOK, url, header="X-Token", secret=str(file))
        said = outcome(receiver, means)
    assert said == "the secret is no value of a header X-Token"
    assert server.posts == []


def in_file(place: str, url: str) -> Receiver:
    Path(place).write_text(f"{url}\n")
    return Receiver("chat", Method.WEBHOOK, url_file=place)


def test_a_url_can_stand_in_a_file(means: Means, tls: ssl.SSLContext, secret: str) -> None:
    with web(tls) as server:
        url = f"https://localhost:{server.server_port}/T0/B1/xyz?token=1"
        assert outcome(in_file(secret, url), means) == ""
        ((path, _, _),) = server.posts
        assert path == "/T0/B1/xyz?token=1"
        server.status = 403
        assert "xyz" not in (said := outcome(in_file(secret, url), means))
        assert "answered 403" in said


@pytest.mark.parametrize(
    "url",
    ["http://x/xyz", "https://xyz:xyz@x/", "https:///xyz", "https://x:99999/xyz", "https://[xyz/",
     "https://x/xyz y", "https://x/xyzü", "xyz"],
)  # fmt: skip
def test_a_file_that_holds_no_url_of_https_is_named_and_not_shown(
    url: str, means: Means, secret: str
) -> None:
    said = outcome(in_file(secret, url), means)
    assert said == f"{secret} holds no URL of https, or a user's name in it"


def test_a_file_of_a_url_that_others_may_read_is_not_used(means: Means, secret: str) -> None:
    receiver = in_file(secret, "https://x/xyz")
    Path(secret).chmod(0o640)
    said = outcome(receiver, means)
    assert "others may read" in said
    assert "xyz" not in said


def test_a_secret_that_others_may_read_is_not_used(means: Means, secret: str) -> None:
    Path(secret).chmod(0o644)
    receiver = mail(25, security=Security.TLS, user="me", secret=secret)
    assert "others may read" in outcome(receiver, means)


def test_a_syslog_server_gets_each_message_as_rfc_5424_says(means: Means) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind((LOOPBACK, 0))
        log.settimeout(PATIENCE_S)
        to = f"{LOOPBACK}:{log.getsockname()[1]}"
        assert outcome(Receiver("log", Method.SYSLOG, to), means) == ""
        first, second = log.recv(4096).decode(), log.recv(4096).decode()
    assert first == (
        "<26>1 1970-01-01T00:00:05.000+00:00 node1 hapair - begin - \ufeffbegin alarm: orders: the"
        " disk of node2 is lost - replace it"
    )
    assert second.startswith("<29>1 ")
    assert "no link ü" in second


def test_a_syslog_server_by_tcp_is_told_where_a_message_ends(means: Means) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            for _ in range(2):
                count = b""
                while not count.endswith(b" "):
                    count += stream.read(1)
                heard.append(stream.read(int(count)))

    with listening(serve) as port:
        receiver = Receiver("log", Method.SYSLOG, f"{LOOPBACK}:{port}", carrier=Carrier.TCP)
        assert outcome(receiver, means) == ""
        until_s = time.monotonic() + PATIENCE_S
        while len(heard) < 2 and time.monotonic() < until_s:
            time.sleep(0.01)
    assert [frame[:5] for frame in heard] == [b"<26>1", b"<29>1"]


def test_this_machines_syslog_is_told(means: Means) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(means.log))
        log.settimeout(PATIENCE_S)
        assert outcome(Receiver("log", Method.SYSLOG), means) == ""
        assert log.recv(4096).decode().startswith("<26>hapair: begin alarm: orders:")


def test_a_trap_is_sent_by_snmptrap_and_its_secret_stands_on_no_command_line(
    means: Means, secret: str, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    program(
        tmp_path, "snmptrap", f'echo "$@" >>{said}; cat ${{SNMPCONFPATH%%:*}}/snmp.conf >>{said}'
    )
    assert "snmptrap ended with 1" in outcome(Receiver("nms", Method.TRAP, "nms:162"), means)
    assert said.read_text().startswith("-v 2c -c public nms:162  1.3.6.1.4.1.8072.9999.9999.0.1 ")
    said.unlink()
    assert outcome(Receiver("nms", Method.TRAP, "[::1]:162", secret=secret), means) == ""
    command, conf = said.read_text().splitlines()
    assert command.startswith("udp6:[::1]:162  1.3.6.1.4.1.8072.9999.9999.0.1 ")
    assert "[shop] alarm: orders: the disk of node2 is lost" in command
    assert "no link ?" in command, "receivers show what is not ASCII as numbers"
    assert conf == SECRET
    said.unlink()
    nms = Receiver("nms", Method.TRAP, "nms:162", secret=secret, inform=True)
    assert outcome(nms, means) == ""
    assert said.read_text().startswith("-Ci nms:162  ")


def test_a_machine_without_snmptrap_is_told_so(means: Means) -> None:
    alone = replace(means, search_path="/nowhere")
    assert outcome(Receiver("nms", Method.TRAP, "nms:162"), alone) == "there is no snmptrap"


def test_a_hook_gets_the_letter_and_its_failure_is_quoted(means: Means, tmp_path: Path) -> None:
    said = tmp_path / "said"
    hook = program(tmp_path, "hook", f'echo "$HAPAIR_SUBJECT" >{said}; cat >>{said}')
    assert outcome(Receiver("pager", Method.HOOK, str(hook)), means) == ""
    subject, body = said.read_text().split("\n", 1)
    assert subject.startswith("[shop] alarm: orders")
    assert len(json.loads(body)["messages"]) == 2
    broken = program(tmp_path, "broken", "echo no line >&2; exit 3")
    said_of = outcome(Receiver("pager", Method.HOOK, str(broken)), means)
    assert said_of == f"{broken} ended with 3: no line"


def test_a_hook_that_hangs_is_killed_with_what_it_started(means: Means, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    hook = program(tmp_path, "hook", f"sleep 600 & echo $! >{mark}; wait")
    receiver = Receiver("pager", Method.HOOK, str(hook), timeout_s=0.5)
    assert outcome(receiver, means) == "it was not taken within 0.5 s"
    child = Path("/proc", mark.read_text().strip())
    until_s = time.monotonic() + PATIENCE_S
    while child.exists() and "Z" not in (child / "stat").read_text().split()[2]:
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.mark.parametrize("code", [0, 1])
def test_what_a_hook_leaves_running_keeps_nobody_waiting(
    code: int, means: Means, tmp_path: Path
) -> None:
    """FAIL: it has its standard output for a minute, so the letter counts as not taken."""
    mark = tmp_path / "mark"
    hook = program(tmp_path, "hook", f"echo well\nsleep 600 & echo $! >{mark}; exit {code}")
    said = outcome(Receiver("pager", Method.HOOK, str(hook), timeout_s=PATIENCE_S), means)
    left = int(mark.read_text())
    if code:
        assert said == f"{hook} ended with 1: well"
        return
    assert said == ""
    os.kill(left, signal.SIGKILL)  # What it left may still be telling it, and goes on.


def test_a_hook_that_says_much_and_reads_nothing_is_no_hook_that_hangs(
    means: Means, tmp_path: Path
) -> None:
    hook = program(
        tmp_path, "hook", "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; exit 3"
    )
    many = replace(LETTER, messages=20 * (replace(ALARM, text="x" * 20_000),))
    said, refused = sent(Receiver("pager", Method.HOOK, str(hook)), means, many)
    assert said.endswith("x end")
    assert not refused


def test_a_hook_can_refuse_a_letter_for_good(means: Means, tmp_path: Path) -> None:
    hook = program(tmp_path, "hook", "exit 65")
    assert sent(Receiver("pager", Method.HOOK, str(hook)), means)[1]


def test_a_letter_over_which_the_attempt_crashes_is_refused_for_good(
    means: Means, tmp_path: Path
) -> None:
    hook = program(tmp_path, "hook", "exit 0")
    broken = replace(LETTER, cluster="no\0environment")
    assert sent(Receiver("pager", Method.HOOK, str(hook)), means, broken) == (
        "the attempt crashed", True,
    )  # fmt: skip
