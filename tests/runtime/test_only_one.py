"""Two daemons on one node would be worse than none."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from hapair.runtime.only_one import claim
from tests.processes import Started

CLAIM = "import sys; from pathlib import Path; from hapair.runtime.only_one import claim; "


def claims(place: Path) -> str:
    program = CLAIM + "print(claim(Path(sys.argv[1])))"
    done = subprocess.run(
        (sys.executable, "-c", program, str(place)), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_second_process_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    then = "sys.stdout.flush(); sys.stdin.read()"
    program = CLAIM + f"print(claim(Path(sys.argv[1]))); {then}"
    with Started(
        (sys.executable, "-c", program, str(place)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.line().strip() == "True"
        assert claims(place) == "False"
        first.kill()
    assert claims(place) == "True"


def test_a_forked_child_that_hangs_does_not_keep_the_claim(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    fork = """
import os, time
child = os.fork()
if child == 0:
    os.close(1)
    time.sleep(60)
print(child)
"""
    program = CLAIM + "claim(Path(sys.argv[1]))" + fork
    done = subprocess.run(
        (sys.executable, "-c", program, str(place)), stdout=subprocess.PIPE, text=True, check=True
    )
    assert claims(place) == "True"
    os.kill(int(done.stdout.split()[0]), signal.SIGKILL)


def test_the_claim_of_a_dead_process_is_worth_nothing(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    assert claims(place) == "True"
    assert claim(place)


def test_the_daemon_itself_refuses_to_be_the_second(tmp_path: Path) -> None:
    (tmp_path / "run/hapair").mkdir(parents=True)
    assert claim(tmp_path / "run/hapair/hapaird.lock")
    argv = (sys.executable, "-m", "hapair.runtime.daemon", "--root", str(tmp_path))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "another hapaird runs on this node" in done.stderr
    assert not (tmp_path / "var/lib/hapair/incarnation").exists()
