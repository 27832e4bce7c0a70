"""What each subcommand of ``cllab`` does. They return the exit code."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Final

from hapair_lab import cluster, current, evidence, faults, snapshots
from hapair_lab.acceleration import Acceleration
from hapair_lab.choosing import chain_end, named
from hapair_lab.errors import LabError
from hapair_lab.folders import cache_folder
from hapair_lab.guests import wanted
from hapair_lab.keys import lab_keys
from hapair_lab.lab import Lab
from hapair_lab.machine import LINE_BYTES, Machine
from hapair_lab.packages import install_package, package_file
from hapair_lab.progress import say
from hapair_lab.saved import BY_HAND, Saved, all_saved, find
from hapair_lab.scenario import all_scenarios, scenario_named
from hapair_lab.topology import Segment
from hapair_lab.tunnel import carry

DONE: Final = 0
FAILED: Final = 1
FAILURES: Final = "lab-failures"


def up(options: Namespace) -> int:
    """Start the person's lab, or say that it is up."""
    with current.alone():
        current.sweep()
        saved = named(options.snapshot) if options.snapshot else None
        if (lab := current.running()) is not None:
            return up_already(lab, saved)
        current.bring_down()
        if saved is None:
            saved = snapshots.ensure(chain_end())
        begun_s = time.monotonic()
        cluster.go_on(current.bring_up(saved))
    took_s = time.monotonic() - begun_s
    say(f"up from snapshot {saved.name} in {took_s:.1f} s: cllab ssh node1, cllab status")
    return DONE


def up_already(lab: Lab, wished: Saved | None) -> int:
    """Say that a lab is up; LabError if another snapshot than its own is wished for."""
    origin = lab.description.origin
    if wished is not None and str(wished.folder) != lab.description.origin_folder:
        raise LabError(
            f"the lab is up already, from another snapshot {origin}",
            hint=f"cllab restore {wished.name} throws away what is, and goes on from that one",
        )
    say(f"the lab is up already, from snapshot {origin}")
    return DONE


def down(_options: Namespace) -> int:
    """End the person's lab."""
    with current.alone():
        say("the lab is down" if current.bring_down() else "the lab was not up")
    return DONE


def _state(machine: Machine) -> str:
    if not machine.is_on():
        return "off"
    return "frozen" if machine.emulator.is_paused() else "on"


def status(options: Namespace) -> int:
    """Print what runs."""
    folder = current.current_folder()
    lab = Lab.attach(folder) if folder is not None else None
    guests = {
        machine.name: {
            "state": _state(machine),
            "ssh_port": machine.plan.ssh_port
            if machine.plan.acceleration is not Acceleration.UML
            else None,
            "console": str(machine.plan.path("console")),
            "journal": str(machine.plan.path("journal")),
        }
        for machine in (lab.machines if lab else ())
    }
    if options.json:
        origin = lab.description.origin if lab else None
        facts = {"up": lab is not None, "snapshot": origin, "guests": guests}
        print(json.dumps(facts, indent=2))
    elif lab is None:
        print("the lab is not up (cllab up)")
    else:
        acceleration = lab.description.acceleration
        print(f"from snapshot {lab.description.origin}, {acceleration}, in {lab.folder}")
        for name, guest in guests.items():
            print(f"{name:8} {guest['state']:7} cllab ssh {name}")
        print(f"consoles: {lab.folder}/*.console, journals: {lab.folder}/*.journal")
    return DONE


def ssh(options: Namespace) -> int:
    """Become an ssh client in the guest."""
    lab = current.current()
    machine = lab.machine(options.node)
    if not machine.is_on():
        raise LabError(f"{machine.name} is powered off", hint=f"cllab power on {machine.name}")
    keys = lab_keys()
    way = ["-p", str(machine.plan.ssh_port)]
    if machine.plan.acceleration is Acceleration.UML:
        proxy = (sys.executable, "-m", "hapair_lab", "tunnel", machine.name)
        way = ["-o", f"ProxyCommand={shlex.join(proxy)}"]
    argv = [
        "ssh",
        *("-i", str(keys.private), *way, "-q"),
        *("-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={keys.known_hosts}"),
        *("-o", "GlobalKnownHostsFile=/dev/null", "root@127.0.0.1", *options.command),
    ]
    os.execvp("ssh", argv)  # noqa: S606 - it takes the terminal, there is nothing left for us.


def tunnel(options: Namespace) -> int:
    """Be the proxy of an ssh client."""
    machine = current.current().machine(options.node)
    carry(machine.name, machine.plan.path("ssh"), LINE_BYTES)
    return DONE


def install(options: Namespace) -> int:
    """Install a package on both nodes of the person's lab."""
    package = Path(options.package) if options.package else package_file()
    if not package.is_file():
        raise LabError(f"there is no file {package}")
    install_package(current.current(), package)
    say(f"{package.name} is installed on node1 and node2")
    return DONE


def power(options: Namespace) -> int:
    """Pull the plug, give power, or press reset."""
    machine = current.current().machine(options.node)
    match options.what:
        case "off":
            machine.power_off()
            say(f"{machine.name} is without power")
        case "on" if machine.is_on():
            say(f"{machine.name} has power already")
        case "on":
            machine.power_on()
            say(f"{machine.name} has power and has booted")
        case _:
            machine.reset()
            say(f"{machine.name} was reset and has booted")
    return DONE


def freeze(options: Namespace) -> int:
    """Stop a machine's processor."""
    current.current().machine(options.node).freeze()
    return DONE


def thaw(options: Namespace) -> int:
    """Let it go on."""
    current.current().machine(options.node).thaw()
    return DONE


def cable(options: Namespace) -> int:
    """Pull or plug a cable."""
    chosen = current.current().machine(options.node).cable(options.card)
    if options.what == "pull":
        chosen.pull()
        say(f"the cable of {options.card} of {options.node} is pulled")
    else:
        chosen.plug()
        say(f"the cable of {options.card} of {options.node} is plugged in")
    return DONE


def cut(options: Namespace) -> int:
    """Cut one direction in the switch."""
    lab = current.current()
    source, target = lab.machine(options.source), lab.machine(options.target)
    lab.cut(source, target, segment=Segment(options.segment))
    return DONE


def mend(_options: Namespace) -> int:
    """Mend all cuts."""
    current.current().mend_all_cuts()
    return DONE


def disk(options: Namespace) -> int:
    """Let a disk fail, or mend it."""
    machine = current.current().machine(options.node)
    match options.what:
        case "error":
            faults.disk_errors(machine, options.device)
        case "write-error":
            faults.disk_errors(machine, options.device, faults.DiskErrors.WRITES)
        case "hang":
            faults.disk_hang(machine, options.device)
        case "unplug":
            faults.disk_unplug(machine, options.device)
        case _:
            faults.mend_disk(machine, options.device)
    return DONE


def kill(options: Namespace) -> int:
    """Send a signal to a process."""
    who = int(options.who) if options.who.isdecimal() else options.who
    faults.signal_process(current.current().machine(options.node), who, options.signal)
    return DONE


def snapshot(options: Namespace) -> int:
    """Save the person's lab and go on."""
    lab = current.current()
    saved = snapshots.save(lab, options.name, BY_HAND)
    lab.continue_from(saved)
    cluster.go_on(lab)
    say(f"saved; return to it with: cllab restore {options.name}")
    return DONE


def restore(options: Namespace) -> int:
    """Go back to a snapshot."""
    with current.alone():
        saved = named(options.name)
        begun_s = time.monotonic()
        current.bring_down()
        cluster.go_on(current.bring_up(saved))
    say(f"restored {saved.name} in {time.monotonic() - begun_s:.1f} s")
    return DONE


def forget(options: Namespace) -> int:
    """Remove a snapshot."""
    snapshots.forget(find(options.name, wanted()))
    return DONE


def clean(options: Namespace) -> int:
    """Remove what nobody uses."""
    current.sweep()
    removed = snapshots.clean(everything=options.all, older_s=options.older)
    say(
        f"removed {len(removed)}: {', '.join(removed)}" if removed else "there is nothing to remove"
    )
    return DONE


def prepare(options: Namespace) -> int:
    """Build what scenarios start from, so that they do not wait for it."""
    current.sweep()
    last = cluster.formed_step() if options.cluster else chain_end()
    saved = snapshots.ensure(last)
    snapshots.prune()
    say(f"ready: {saved.name} (cache: {cache_folder()})")
    return DONE


def listing(options: Namespace) -> int:
    """Print the scenarios and snapshots."""
    stories = {each.name: each.summary for each in all_scenarios()}
    saved = [
        {"name": each.name, "key": each.key, "size_bytes": each.size_bytes()}
        for each in all_saved()
    ]
    if options.json:
        print(json.dumps({"scenarios": stories, "snapshots": saved}, indent=2))
        return DONE
    print("scenarios (cllab run NAME):")
    for name, summary in stories.items():
        print(f"  {name:24} {summary}")
    print("snapshots (cllab restore NAME), the last used first:")
    for each in all_saved():
        print(f"  {each.name:24} {each.size_bytes() / 1024**2:.0f} MiB  {each.key}")
    return DONE


def play(options: Namespace) -> int:
    """Play a scenario in a lab of its own; a failure leaves its evidence in a folder."""
    story = scenario_named(options.scenario)
    with snapshots.lab_from(story.starts_from()) as lab:
        try:
            story.play(lab)
        except (LabError, AssertionError) as error:
            target = Path.cwd() / "build" / FAILURES / story.name
            replay = f"cllab run {story.name}"
            evidence.keep(lab, target, why=str(error), replay=replay)
            say(f"{story.name} failed: {error}")
            say(f"evidence: {target}; replay: {replay}")
            return FAILED
    shutil.rmtree(Path.cwd() / "build" / FAILURES / story.name, ignore_errors=True)
    return DONE
