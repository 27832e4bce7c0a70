"""How fast a resync is, from two looks at how much is left."""

import time
from collections.abc import Callable
from typing import Final

from hapair.cli.pages.status import Status, VolumeStatus

SAMPLE_S: Final = 1.0


def syncing_volumes(status: Status) -> dict[str, VolumeStatus]:
    return {
        volume.resource: volume
        for application in status.local.applications
        for volume in application.volumes
        if volume.syncing and not volume.waits_for
    }


def rates(before: Status, after: Status, passed_s: float) -> dict[str, float]:
    """Return bytes per second for each resource whose resync went on between two looks."""
    later = syncing_volumes(after)
    found: dict[str, float] = {}
    for name, volume in syncing_volumes(before).items():
        if name in later and passed_s > 0:
            done_bytes = volume.out_of_sync_bytes - later[name].out_of_sync_bytes
            if done_bytes > 0:
                found[name] = done_bytes / passed_s
    return found


def measured_rates(status: Status, look_again: Callable[[], Status]) -> dict[str, float]:
    """Return what the daemon measured, or wait a second and look again."""
    syncing = syncing_volumes(status)
    told = {name: volume.resync_bytes_s for name, volume in syncing.items()}
    if all(told.values()):
        return told
    begun_s = time.monotonic()
    time.sleep(SAMPLE_S)
    return rates(status, look_again(), time.monotonic() - begun_s)
