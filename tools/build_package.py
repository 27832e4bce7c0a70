"""Build the Debian package of this clone: ``python -m tools.build_package``.

The same sources give the same bytes, whoever builds them, wherever and whenever; what installs the
package (the lab, for one) may therefore remember it by its hash. One line is printed: its path.
"""

import argparse
import hashlib
import os
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools import package_tree

ROOT: Final = Path(__file__).parents[1]
# Every file carries this time, unless SOURCE_DATE_EPOCH says otherwise: 1 January 2026. A commit's
# time would change the package with every commit, also one that changes nothing in it.
DEFAULT_EPOCH: Final = "1767225600"
# Width to which argparse wraps text in pages of the manual.
COLUMNS: Final = "100"


def nfpm_configuration(version: str, tree: Path) -> str:
    template = string.Template((ROOT / "packaging" / "nfpm.yaml").read_text())
    return template.substitute(VERSION=version, TREE=tree)


def _nothing(_: Path) -> None:
    pass


def build(version: str, folder: Path, change: Callable[[Path], None] = _nothing) -> Path:
    """Build ``hapair_VERSION_all.deb`` in ``folder`` and return its path.

    It is put in place complete, so that a build that was interrupted leaves the former one.
    ``change`` may alter what goes in, in the folder that will be the node's root.
    """
    epoch = os.environ.setdefault("SOURCE_DATE_EPOCH", DEFAULT_EPOCH)
    os.environ["COLUMNS"] = COLUMNS
    name = f"hapair_{version}_all.deb"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as work:
        tree = Path(work, "tree")
        package_tree.lay(tree, version, time_s=int(epoch))
        change(tree)
        configuration = Path(work, "nfpm.yaml")
        configuration.write_text(nfpm_configuration(version, tree))
        made = Path(work, name)
        nfpm = Path(sys.executable).with_name("nfpm")
        options = ("--packager", "deb", "--config", configuration, "--target", made)
        subprocess.run((nfpm, "package", *options), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return made.replace(folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", default=package_tree.version_of_sources())
    arguments = parser.parse_args()
    package = build(arguments.version, ROOT / "dist")
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    print(f"{package.relative_to(ROOT)} sha256:{digest[:16]}")


if __name__ == "__main__":
    main()
