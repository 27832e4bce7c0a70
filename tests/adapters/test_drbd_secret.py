"""The secret of DRBD's connections: in the file, and nowhere else."""

from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.drbd.adapter import Drbd
from hapair.adapters.drbd.connections import DrbdConnections, option_commands
from hapair.adapters.drbd.maker import DrbdMaker
from hapair.adapters.files import FileStorage
from hapair.model.built import Built
from hapair.model.outcome import Done, Refused, Unknown
from hapair.ports.programs import Finished, TimedOut
from tests.adapters.clusters import cluster
from tests.adapters.loops import volume_at
from tests.fakes.small import FakeRunner

SECRET: Final = "5ec7e7"  # noqa: S105 - An example.
VOLUME: Final = volume_at(Path("/srv/orders"), minor=10)
BUILT: Final = Built(1, cluster(), "", 10, secret_number=1)
# As drbdadm of drbd-utils 9.22 prints it before a kernel with DRBD 8.4.
DRY: Final = (
    "drbdsetup-84 resource-options orders.data --set-defaults --on-no-data-accessible=io-error\n"
    "drbdsetup-84 disk-options 10 --set-defaults --disk-flushes=yes --resync-rate=30M\n"
    "drbdsetup-84 net-options ipv4:10.77.1.1:7701 ipv4:10.77.1.2:7701 --set-defaults"
    f" --csums-alg= --shared-secret={SECRET}\n"
)
OTHERS: Final = (
    "drbdmeta 10 v08 /dev/vg/data_meta flex-external apply-al\n"
    "drbdsetup-84 attach 10 /dev/vg/data /dev/vg/data_meta flexible --on-io-error=detach\n"
    "drbdsetup-84 connect orders.data ipv4:10.77.1.1:7701 ipv4:10.77.1.2:7701\n"
    "drbdsetup-84 disconnect ipv4:10.77.1.1:7701 ipv4:10.77.1.2:7701\n"
    "\n"
    "an 'unbalanced line\n"
)
FAILURE: Final = (
    f"10: Failure: (139) Authentication algorithm unknown\nCommand 'drbdsetup-84 net-options"
    f" ipv4:10.77.1.1:7701 --cram-hmac-alg=sha256 --shared-secret={SECRET}' terminated with exit"
    " code 10\n"
)


def test_options_are_set_and_nothing_is_attached_or_connected() -> None:
    found = option_commands(OTHERS + DRY + OTHERS)
    assert [words[:2] for words in found] == [
        ("/lib/drbd/drbdsetup-84", "resource-options"),
        ("/lib/drbd/drbdsetup-84", "disk-options"),
        ("/lib/drbd/drbdsetup-84", "net-options"),
    ]
    assert found[2][-2:] == ("--csums-alg=", f"--shared-secret={SECRET}")
    assert option_commands("drbdsetup net-options orders.data 1 --ko-count=7\n") == (
        ("drbdsetup", "net-options", "orders.data", "1", "--ko-count=7"),
    )


async def test_a_resource_follows_its_file() -> None:
    run = FakeRunner({"drbdadm": Finished(0, OTHERS + DRY, "")})
    done = await DrbdConnections(run).follow_file(VOLUME, connection=True, timeout_s=5)
    assert done == Done("resource-options, disk-options, net-options")
    assert run.ran[0] == "drbdadm --dry-run adjust orders.data"
    assert len(run.ran) == 4


async def test_a_connection_that_is_being_made_is_made_anew_with_its_options() -> None:
    """With the former ones it would wait for ever for a peer that has the new secret."""
    run = FakeRunner({"drbdadm": Finished(0, DRY, "")})
    done = await DrbdConnections(run).follow_file(VOLUME, connection=False, timeout_s=5)
    assert done == Done("resource-options, disk-options, net-options")
    assert not any("net-options" in line for line in run.ran)
    made_anew = [line.split()[1] for line in run.ran if line.startswith("drbdadm ")][1:]
    assert made_anew == ["disconnect", "connect"]


async def test_a_connection_that_is_being_made_as_in_the_file_is_left_alone() -> None:
    dry = "\n".join(line for line in DRY.splitlines() if "net-options" not in line)
    run = FakeRunner({"drbdadm": Finished(0, dry, "")})
    await DrbdConnections(run).follow_file(VOLUME, connection=False, timeout_s=5)
    assert [line for line in run.ran if line.startswith("drbdadm ")][1:] == []


async def test_nothing_is_set_when_all_is_as_in_the_file() -> None:
    run = FakeRunner({"drbdadm": Finished(0, "", "")})
    assert await DrbdConnections(run).follow_file(VOLUME, connection=True, timeout_s=5) == Done()
    assert len(run.ran) == 1


async def test_what_drbdadm_does_not_see_is_not_called_as_in_the_file() -> None:
    """It cannot read every name that drbdsetup prints, and then would make what is there."""
    dry = "drbdsetup-84 new-resource orders.data --on-no-data-accessible=io-error\n"
    run = FakeRunner({"drbdadm": Finished(0, dry, "")})
    outcome = await DrbdConnections(run).follow_file(VOLUME, connection=True, timeout_s=5)
    assert outcome == Refused("drbdadm does not see that orders.data is up")
    assert len(run.ran) == 1


@pytest.mark.parametrize("program", ["drbdadm", "/lib/drbd/drbdsetup-84"])
@pytest.mark.parametrize(
    ("answer", "kind"), [(Finished(10, "", FAILURE), Refused), (TimedOut(5.0), Unknown)]
)
async def test_a_failure_names_the_option_and_no_secret(
    program: str, answer: Finished | TimedOut, kind: type[Refused | Unknown]
) -> None:
    run = FakeRunner({"drbdadm": Finished(0, DRY, ""), program: answer})
    outcome = await DrbdConnections(run).follow_file(VOLUME, connection=True, timeout_s=5)
    assert isinstance(outcome, kind)
    assert "orders.data" in outcome.why
    assert SECRET not in outcome.why


async def test_drbdadm_repeats_a_command_and_we_do_not_repeat_its_secret(tmp_path: Path) -> None:
    run = FakeRunner({"drbdadm": Finished(20, "", FAILURE)})
    (tmp_path / "filesystems").write_text(f"nodev\t{VOLUME.file_system}\n\t{VOLUME.file_system}\n")
    for name in (VOLUME.logical_volume, VOLUME.meta_volume):
        device = tmp_path / VOLUME.volume_group / name
        device.parent.mkdir(exist_ok=True)
        device.touch()
    drbd = Drbd(run, module=tmp_path, file_systems=tmp_path / "filesystems", devices=tmp_path)
    said = [
        await drbd.bring_up(VOLUME, timeout_s=5),
        await DrbdConnections(run).connect(VOLUME, timeout_s=5),
        await DrbdMaker(run, FileStorage(tmp_path), tmp_path).make_meta_data(VOLUME),
    ]
    for outcome in said:
        assert isinstance(outcome, Refused | Unknown)
        assert "--shared-secret=(secret)" in outcome.why
        assert SECRET not in outcome.why


def test_the_file_is_for_root_alone_and_not_written_anew(tmp_path: Path) -> None:
    maker = DrbdMaker(FakeRunner(), FileStorage(tmp_path), tmp_path, lambda _: SECRET)
    assert maker.write(BUILT, VOLUME) == Done()
    file = tmp_path / "hapair-orders.data.res"
    assert file.stat().st_mode & 0o777 == 0o600
    assert f'shared-secret "{SECRET}";' in file.read_text()
    before = file.stat().st_ino
    assert maker.write(BUILT, VOLUME) == Done()
    assert file.stat().st_ino == before


@pytest.mark.parametrize("error", [OSError(2, "No such file", "cluster.key"), ValueError("none")])
def test_without_its_secret_no_file_is_written(tmp_path: Path, error: Exception) -> None:
    def secret(_: Built) -> str:
        raise error

    maker = DrbdMaker(FakeRunner(), FileStorage(tmp_path), tmp_path, secret)
    assert isinstance(maker.write(BUILT, VOLUME), Refused)
    assert list(tmp_path.iterdir()) == []
