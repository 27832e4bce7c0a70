"""Runs of pytest with our plugins, of some tests in a folder of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]


class Project:
    """Some tests, and a cache in which nothing is."""

    def __init__(self, folder: Path, tests: str) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        (folder / "test_it.py").write_text(tests)
        (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n lab(seconds)\n")

    def run(self, *words: str, kind: str = "") -> subprocess.CompletedProcess[str]:
        """Run them; ``kind`` is that of the guests which somebody asks for."""
        settings = {
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(self.cache),
            "HAPAIR_LAB_GUESTS": kind,
        }
        environment = {**os.environ, **settings}
        for inherited in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
            environment.pop(inherited, None)
        return subprocess.run(
            (sys.executable, "-m", "pytest", "-p", "tests.guests", "-p", "tests.labs", *words, "."),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            check=False,
            text=True,
        )
