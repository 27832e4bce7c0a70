"""What the package does to LVM's local configuration when it is purged."""

import re
import subprocess
from pathlib import Path

from hapair.runtime.building.node_side import LVM_BLOCK

POSTRM = Path(__file__).parents[2] / "packaging/scripts/postrm"


def test_a_purge_takes_back_exactly_our_lines(tmp_path: Path) -> None:
    """The command of the package's script is run on a copy of the file."""
    command = re.search(r"sed -i (\S+ ?\S*'[^']*'|'[^']*')", POSTRM.read_text())
    assert command is not None
    file = tmp_path / "lvmlocal.conf"
    file.write_text(f"local {{\n}}\n{LVM_BLOCK}# of the administrator\n")
    subprocess.run(("sh", "-c", f'{command.group()} "$1"', "sh", str(file)), check=True)
    assert file.read_text() == "local {\n}\n# of the administrator\n"
