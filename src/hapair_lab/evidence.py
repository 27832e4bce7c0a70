"""Keeps what a failed scenario leaves: one folder with all that a person needs to understand it."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.lab import Lab, in_parallel
from hapair_lab.machine import Machine
from hapair_lab.room import host_room

COMMAND_TIMEOUT_S: Final = 20.0
# What the host has anyway, also of a guest without power.
HOST_FILES: Final = ("console", "journal", "emulator")
HIDDEN: Final = "sed 's/shared-secret .*/shared-secret (not shown)/'"
# What each guest that still answers is asked; of a missing command the complaint is kept.
QUESTIONS: Final = {
    "journal-of-hapair": "journalctl --no-pager -o short-precise -u 'hapair*' --since -1day",
    "journal-all": "journalctl --no-pager -o short-precise -n 5000",
    "drbd": f"cat /proc/drbd; drbdsetup show | {HIDDEN}; drbdsetup events2 --now",
    "drbd-resources": f"cat /etc/drbd.d/*.res | {HIDDEN}",
    "storage": "lsblk; vgs; lvs; dmsetup table; mount; df -h",
    "network": "ip -s address; ip route; ip -6 route; ip neighbour; ss -tanp; nft list ruleset",
    "processes": "ps axfww -o pid,ppid,stat,wchan:20,etime,rss,cgroup:40,args",
    "units": "systemctl --no-pager --failed; systemctl --no-pager status 'hapair*'",
    "clstat": "clstat --json",
    "clevents": "clevents --json",
    "etc-cluster": "tail -n +1 /etc/cluster/*.xml /etc/cluster/*/*.xml",
}


def keep(lab: Lab, target: Path, *, why: str, replay: str) -> Path:
    """Collect the evidence of a failure into ``target`` and return the folder.

    A guest that does not answer (frozen, off, hung) leaves what the host has of it. ``replay`` is
    the command that plays the same again.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "why.txt").write_text(f"{why}\n\nreplay:\n  {replay}\n\n{host_room()}\n")
    for machine in lab.machines:
        for kind in HOST_FILES:
            with contextlib.suppress(OSError):
                shutil.copyfile(machine.plan.path(kind), target / f"{machine.name}-{kind}.txt")
    in_parallel(lambda machine: _ask(machine, target), lab.machines)
    (target / "timeline.txt").write_text(timeline(lab))
    return target


def _ask(machine: Machine, target: Path) -> None:
    try:
        answers = machine.is_on() and machine.channel().answers_hello()
    except LabError:
        answers = False
    if not answers:
        (target / f"{machine.name}-does-not-answer.txt").write_text("")
        return
    for name, command in QUESTIONS.items():
        try:
            finished = machine.run(command, timeout_s=COMMAND_TIMEOUT_S)
        except LabError as error:
            text = str(error)
        else:
            text = finished.stdout + finished.stderr
        (target / f"{machine.name}-{name}.txt").write_text(text)


def timeline(lab: Lab) -> str:
    """Return what was done to the lab, one line each, with the host's clock."""
    path = lab.folder / "timeline.jsonl"
    lines = []
    for line in path.read_text().splitlines() if path.exists() else ():
        fact = json.loads(line)
        at_s = float(fact["wall_clock_s"])
        clock = time.strftime("%H:%M:%S", time.gmtime(at_s)) + f"{at_s % 1:.3f}"[1:]
        lines.append(f"{clock}  {fact['what']}")
    return "\n".join(lines) + "\n"
