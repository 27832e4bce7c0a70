"""Archives: what goes in comes out, and a changed byte is noticed."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hapair.config import built_json
from hapair.runtime.building import archive
from hapair.runtime.building.archive import ArchiveError
from hapair.runtime.places import Places
from tests.build.material import EMPTY

NAME = "cluster-20260801-101500-3.tar.gz"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.built.parent.mkdir(parents=True)
    made.built.write_bytes(built_json.dumps(EMPTY))
    made.clconf.write_bytes("<cluster näme>".encode("latin-1"))
    made.keys.mkdir(mode=0o700)
    made.node_key.write_text("secret")
    made.node_key.chmod(0o600)
    (made.configuration / ".staging-4").mkdir()
    (made.configuration / ".staging-4" / "new-0").write_text("not yet")
    (made.configuration / "link").symlink_to("/etc/passwd")
    return made


def make(places: Places) -> Path:
    return archive.make(places, NAME, node="node1", version="0.1.0")


def test_everything_comes_back_with_its_mode(places: Places) -> None:
    found = archive.read(make(places))
    assert [(file.path, file.mode) for file in found.files] == [
        ("etc/cluster/built/built.json", 0o644),
        ("etc/cluster/clconf.xml", 0o644),
        ("etc/cluster/keys/node.key", 0o600),
    ]
    assert found.files[1].content == places.clconf.read_bytes()
    assert found.built == EMPTY
    assert found.manifest.node == "node1"


def test_an_archive_is_for_root_alone(places: Places) -> None:
    assert make(places).stat().st_mode & 0o777 == 0o600


def test_archives_are_listed_newest_first(places: Places) -> None:
    for name in ("cluster-20250101-000000-1.tar.gz", NAME):
        archive.make(places, name, node="node1", version="0.1.0")
    (places.archives / "cluster-notes.tar.gz").write_text("of somebody else")
    found = archive.listed(places)
    assert [(each.name, each.generation) for each in found] == [
        (NAME, 3),
        ("cluster-20250101-000000-1.tar.gz", 1),
    ]


def test_without_a_folder_there_is_no_archive(tmp_path: Path) -> None:
    assert archive.listed(Places(tmp_path)) == ()


def test_before_the_first_build_there_is_nothing_to_restore(places: Places) -> None:
    places.built.unlink()
    assert archive.read(make(places)).built is None


def rewritten(file: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """Change the content of an archive as somebody with an editor would."""
    with tarfile.open(file) as tar:
        content = {entry.name: _bytes(tar, entry) for entry in tar}
    change(content)
    with tarfile.open(file, "w:gz") as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return file


def _bytes(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    reader = tar.extractfile(entry)
    assert reader is not None
    return reader.read()


CLCONF = "etc/cluster/clconf.xml"
DAMAGES: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "a changed file": (lambda c: c.update({CLCONF: b"x"}), "clconf.xml in it is not what"),
    "a lost file": (lambda c: c.pop(CLCONF), "clconf.xml is missing"),
    "an added file": (lambda c: c.update({"etc/shadow": b"x"}), "etc/shadow in it is not what"),
    "no manifest": (lambda c: c.pop("MANIFEST.json"), "no manifest"),
    "a damaged manifest": (lambda c: c.update({"MANIFEST.json": b"{}"}), "manifest is damaged"),
    "another format": (
        lambda c: c.update(
            {"MANIFEST.json": c["MANIFEST.json"].replace(b'"format":1', b'"format":7')}
        ),
        "format 7",
    ),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_an_archive_that_was_changed_is_refused(
    places: Places, damage: Callable[[dict[str, bytes]], object], words: str
) -> None:
    file = rewritten(make(places), damage)
    with pytest.raises(ArchiveError, match=words):
        archive.read(file)


def test_a_damaged_record_inside_is_named(places: Places) -> None:
    places.built.write_text("{}")
    with pytest.raises(ArchiveError, match=r"its built\.json cannot be used"):
        archive.read(make(places))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / NAME
    with pytest.raises(ArchiveError, match="no such file"):
        archive.read(file)
    file.write_text("no tar")
    with pytest.raises(ArchiveError, match="cannot be read"):
        archive.read(file)


def test_a_truncated_archive_is_refused(places: Places) -> None:
    file = make(places)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ArchiveError, match="cannot be read"):
        archive.read(file)


def test_links_in_an_archive_are_refused(places: Places) -> None:
    file = make(places)
    with tarfile.open(file, "w:gz") as tar:
        entry = tarfile.TarInfo("etc/cluster/clconf.xml")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(entry)
    with pytest.raises(ArchiveError, match="no plain file"):
        archive.read(file)
