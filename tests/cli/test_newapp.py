"""clnewapp as an administrator types it."""

import stat
from pathlib import Path

import pytest

from hapair.cli.clnewapp import refuse_without_root
from hapair.rpc.messages import ExitCode, RpcError
from tests.cli.commands import given

CRM = """node alpha
node beta
primitive fs Filesystem params device=/dev/vg_web/lv directory=/srv/web fstype=xfs
primitive ip IPaddr2 params ip=10.0.0.50 cidr_netmask=24 nic=eth0
primitive web systemd:nginx
group shop fs ip web
location home shop 100: beta
"""


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    file = tmp_path / "shop.crm"
    file.write_text(CRM)
    return file


def test_drafts_go_to_the_screen_and_the_notes_beside_them(crm: Path) -> None:
    came = given("clnewapp", "--from", "pacemaker", str(crm))
    assert came.code == ExitCode.DONE
    assert '<application name="shop" preferred="beta" failback="yes">' in came.out
    assert f"{crm}:5: web systemd:nginx: taken over: <run><unit>" in came.err
    assert "shop/appconf.xml; nothing is left open. Review it." in came.err


def test_drafts_are_written_as_etc_cluster_has_them(crm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drafts"
    line = ("clnewapp", "--from", "pacemaker", str(crm), "--output", str(folder))
    came = given(*line)
    assert came.code == ExitCode.DONE
    assert f"{folder}/shop/appconf.xml: written" in came.out
    written = folder / "clconf.xml"
    assert written.read_text().startswith("<?xml")
    assert stat.S_IMODE(written.stat().st_mode) == 0o600

    written.write_text("mine")
    again = given(*line)
    assert again.code == ExitCode.REFUSED
    assert f"{written} exists; nothing was written" in again.err
    assert written.read_text() == "mine"
    assert given(*line, "--force").code == ExitCode.DONE
    assert written.read_text() != "mine"


def test_nothing_is_written_when_one_of_the_files_is_in_the_way(crm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drafts"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop/appconf.xml").write_text("mine")
    came = given("clnewapp", "--from", "pacemaker", str(crm), "--output", str(folder))
    assert came.code == ExitCode.REFUSED
    assert not (folder / "clconf.xml").exists()


def test_everything_is_told_as_json_too(crm: Path) -> None:
    told = given("clnewapp", "--from", "pacemaker", str(crm), "--json").json
    files, notes = told["files"], told["notes"]
    assert isinstance(files, list)
    assert isinstance(notes, list)
    assert [each["name"] for each in files] == ["clconf.xml", "shop/appconf.xml"]
    assert files[1]["open"] == []
    assert {"where": f"{crm}:1", "what": "node alpha", "taken": True,
            "text": '<node name="alpha"/>'} in notes  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (("--from", "pacemaker", "no-such-file"), ExitCode.REFUSED, "No such file"),
        (("--from", "pacemaker", "/dev/zero"), ExitCode.REFUSED, "Not a regular file"),
        (("--from", "heartbeat", "{crm}", "--name", "x"), ExitCode.USAGE, "would be ignored"),
        (("--from", "keepalived", "{crm}", "--output", "{crm}"), ExitCode.USAGE, "is no folder"),
        (("--from", "corosync", "{crm}"), ExitCode.USAGE, "invalid choice"),
        (("one", "two"), ExitCode.USAGE, "two is one too many"),
        (("a/b",), ExitCode.USAGE, "is not the name of a systemd service"),
        (("ocf:a",), ExitCode.USAGE, "is not the name of an OCF agent"),
        (("nginx", "--name", "1"), ExitCode.USAGE, "--name"),
    ],
)
def test_what_cannot_be_done_is_said_in_two_lines(
    line: tuple[str, ...], code: ExitCode, said: str, crm: Path
) -> None:
    came = given("clnewapp", *(each.replace("{crm}", str(crm)) for each in line))
    assert came.code == code
    error, mend = came.err.splitlines()
    assert error.startswith("clnewapp: error: ")
    assert said in error
    assert mend.startswith("clnewapp: mend: ")


def test_an_unreadable_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text("vrrp_instance A {\n  priority 1\n")
    came = given("clnewapp", "--from", "keepalived", str(file), "--json")
    assert came.code == ExitCode.USAGE
    assert came.json["error"] == (
        f"{file}:1: the block vrrp_instance is begun here and never ended; nothing was written"
    )


def test_files_that_keepalived_includes_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.conf").write_text(
        "vrrp_instance A {\n interface eth0\n virtual_ipaddress { 10.0.0.7 }\n}\n"
    )
    file = tmp_path / "keepalived.conf"
    file.write_text("include conf.d/*.conf\ninclude other/*.conf\n")
    came = given("clnewapp", "--from", "keepalived", str(file))
    assert "<address>10.0.0.7</address>" in came.out
    file.write_text("include missing.conf\n")
    came = given("clnewapp", "--from", "keepalived", str(file))
    assert f"{file}:1: there is no file missing.conf" in came.err


def test_only_root_sees_a_service_whole() -> None:
    refuse_without_root(0)
    with pytest.raises(RpcError, match="only root"):
        refuse_without_root(1000)
