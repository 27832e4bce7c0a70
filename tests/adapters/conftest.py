"""What all tests of adapters share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.model.application import Volume
from tests.adapters.loops import loop_device, make_image, volume_at
from tests.adapters.namespaces import need_root, own_mounts


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    need_root()
    made = volume_at(tmp_path / "srv" / "orders")
    with loop_device(make_image(tmp_path), Path(made.device)), own_mounts():
        yield made


@pytest.fixture
def file_systems() -> MountedFileSystems:
    return MountedFileSystems()
