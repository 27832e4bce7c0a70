"""A small agent that conforms to the fence agent API, for tests: its power is a file.

It answers as ``fence_dummy`` of the fence-agents package does, which is too large to be installed
for tests; both were compared by hand.
"""

from pathlib import Path
from typing import Final

NAME: Final = "fence_state"
AGENT: Final = r'''#!/usr/bin/python3 -IS
import sys, time
from pathlib import Path

given = dict(line.strip().partition("=")[::2] for line in sys.stdin if line.strip())
action = given.pop("action", "reboot")
Path("@seen@").open("a").write(f"{action} {sorted(given.items())} {sys.argv[1:]}\n")
if action == "metadata":
    print("""<?xml version="1.0" ?>
<resource-agent name="fence_state" shortdesc="A file" >
<parameters>
<parameter name="status_file" required="1"><content type="string" /></parameter>
<parameter name="passwd" required="0" deprecated="1"><content type="string" /></parameter>
<parameter name="password" required="0" obsoletes="passwd"><content type="string" /></parameter>
<parameter name="behave" required="0"><content type="string" /></parameter>
</parameters>
<actions><action name="on" automatic="0"/><action name="off" /><action name="status" /></actions>
</resource-agent>""")
    sys.exit(0)
behave = given.get("behave", "")
if behave == f"hang at {action}":
    time.sleep(1000)
if behave == f"fail at {action}":
    print(f"login with {given.get('password')!r} denied", file=sys.stderr)
    sys.exit(1)
state = Path(given["status_file"])
if action == "off":
    if behave != "lie":
        state.write_text("off")
    print("Success: Powered OFF")
    sys.exit(0)
if action == "status":
    off = state.exists() and state.read_text() == "off"
    print("Status:", "OFF" if off else "ON")
    sys.exit(2 if off else 0)
sys.exit(1)
'''


def install_agent(folder: Path, *, name: str = NAME, text: str = AGENT) -> Path:
    """Write an agent into a folder; return the file in which it notes what it was asked."""
    folder.mkdir(exist_ok=True)
    seen = folder / f"{name}.seen"
    agent = folder / name
    agent.write_text(text.replace("@seen@", str(seen)))
    agent.chmod(0o755)
    return seen
