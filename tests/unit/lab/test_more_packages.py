"""Packages that few scenarios want are fetched once, and are in no image."""

from pathlib import Path

import pytest

from hapair_lab import more_packages, package_sources, recipe
from hapair_lab.errors import LabError

MIRROR = package_sources.Source("http://mirror.invalid/debian", "bookworm", ("main",))

# What a boot would start of each package, if anything.
SERVICES = {
    "apache2": "apache2",
    "dovecot-imapd": "dovecot",
    "dovecot-lmtpd": "dovecot",
    "mariadb-server": "mariadb",
    "postfix": "postfix",
    "samba": "smbd",
    "smbclient": "",
}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the tools of the host were asked, in a cache of its own."""
    asked: list[tuple[str, ...]] = []

    def run_tool(*argv: str) -> str:
        asked.append(argv)
        if "-cf" in argv:
            Path(argv[argv.index("-cf") + 1]).write_text("packages")
        if "--download-only" in argv:
            archives = next(a for a in argv if a.startswith("Dir::Cache::archives="))
            (Path(archives.partition("=")[2]) / "galera-4_1_amd64.deb").touch()
        return ""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(more_packages, "run_tool", run_tool)
    monkeypatch.setattr(more_packages, "packages_tar", lambda _: tmp_path / "packages-image.tar")
    monkeypatch.setattr(package_sources, "host_sources", lambda: iter([MIRROR]))
    return asked


def test_they_are_fetched_once_by_what_the_image_lacks(asked: list[tuple[str, ...]]) -> None:
    got = more_packages.archives("bookworm")
    assert got.read_text() == "packages"
    install = next(argv for argv in asked if "--download-only" in argv)
    assert install[-len(more_packages.PACKAGES) :] == more_packages.PACKAGES
    assert any(a.startswith("Dir::State::status=") and "build-" in a for a in install)
    assert "galera-4_1_amd64.deb" in asked[-1], "what they need is packed, too"
    count = len(asked)
    assert more_packages.archives("bookworm") == got
    assert len(asked) == count
    assert more_packages.archives("bookworm", ("rsync",)) != got
    assert asked[-2][-1] == "rsync"
    assert not list(got.parent.glob("build-*"))


def test_a_host_without_a_mirror_is_told(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_sources, "host_sources", lambda: iter(()))
    with pytest.raises(LabError, match="no mirror"):
        more_packages.archives("bookworm")
    assert asked == []


def test_no_image_has_them_and_none_is_started_by_a_boot() -> None:
    further = (*more_packages.PACKAGES, *more_packages.AGENT_PACKAGES)
    assert not set(further) & set(recipe.PACKAGES)
    assert set(more_packages.PACKAGES) == set(SERVICES)
    for service in filter(None, SERVICES.values()):
        assert f"{service}.service" in more_packages.MASKED_UNITS, "else a boot starts it"
    assert "podman" not in recipe.PACKAGES
    assert "snmptrapd" not in recipe.PACKAGES
    for unit in more_packages.AGENT_UNITS:
        assert f" {unit} " in more_packages.AGENTS_BOOTED.ingredients[1]
