"""Runs inside a guest: do the deeds named on the command line, print one JSON object for each.

A deed is a method of the adapters, with its time limit: ``promote:5 mount:10 facts``.
"""

import asyncio
import dataclasses
import json
import sys
from pathlib import Path

from hapair.adapters.drbd.adapter import Drbd
from hapair.adapters.drbd.maker import DrbdMaker
from hapair.adapters.files import FileStorage
from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.shared.process import ProcessRunner
from hapair.config.built_json import loads
from hapair.model.built import Built
from hapair.model.outcome import Outcome

FOLDER = Path("/etc/drbd.d")
BUILT = Path("/etc/cluster/built/built.json")
LIMIT_S = 60.0
SETTLE_LIMIT_S = 400.0  # Emulated guests are slow, and slower when the host is busy.


async def wait_for_facts(drbd: Drbd, resource: str, words: str) -> None:
    """Wait until the facts contain all of the words, e.g. ``UpToDate,SyncTarget``."""
    async with asyncio.timeout(SETTLE_LIMIT_S):
        async for facts in drbd.watch():
            said = [str(value) for one in facts if one.resource == resource
                    for value in dataclasses.astuple(one)]  # fmt: skip
            if all(word in said for word in words.split(",")):
                return


async def main(built: Built, deeds: list[str]) -> None:
    volume = built.applications[0].volumes[0]
    run = ProcessRunner()
    drbd, file_systems = Drbd(run), MountedFileSystems()
    maker = DrbdMaker(run, FileStorage(FOLDER), FOLDER)
    for deed in deeds:
        name, _, argument = deed.partition(":")
        result: Outcome | bool | str | None
        match name:
            case "write":
                result = maker.write(built, volume)
            case "make_meta_data":
                result = await maker.make_meta_data(volume)
            case "mounted":
                result = file_systems.mounted(volume)
            case "wait":
                await wait_for_facts(drbd, volume.resource, argument)
                result = argument
            case "force":
                result = await drbd.promote(volume, timeout_s=LIMIT_S, force=True)
            case "mount" | "unmount" | "end_holders":
                act = getattr(file_systems, name)
                result = await act(volume, timeout_s=float(argument or LIMIT_S))
            case _:
                result = await getattr(drbd, name)(volume, timeout_s=float(argument or LIMIT_S))
        kind = type(result).__name__
        said = result if isinstance(result, bool | str | None) else dataclasses.astuple(result)[0]
        print(json.dumps({"deed": deed, "kind": kind, "said": said}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(loads(BUILT.read_bytes()), sys.argv[1:]))
