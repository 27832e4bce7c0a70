"""What is run for which kind of program. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from hapair.model import ocf
from hapair.model.application import OcfAgent, Script, Unit
from hapair.model.environment import SEARCH_PATH

Argv = tuple[str, ...]

# Comes first in the search path of what we start: su and runuser that open no session of logind.
OWN_COMMANDS: Final = "/usr/lib/hapair/commands"
# The shell enters the application's control group, takes off what the daemon has for itself
# (protection from the out-of-memory killer, a strict umask), and becomes the program. Where a disk
# that hung lets it begin only when its daemon is gone, nobody wants it any more: the next daemon
# has not seen it, and the peer may have the application. In the group it is seen.
_ENTER: Final = (
    'echo 0 >"$1" || exit 125; [ "$PPID" = "$2" ] || exit 125; '
    "echo 0 >/proc/self/oom_score_adj; umask 022; cd /; "
)
_BECOME: Final = _ENTER + 'shift 2; exec "$@"'
# A start notes its own success, so that it counts even when the daemon died meanwhile. A note that
# cannot be written, because /run is full for one, does not make it a failure.
_START: Final = _ENTER + 'note=$3; shift 3; "$@" && { echo started >"$note" || :; }'
GROUP_NOT_ENTERED: Final = 125


def search_path(own_commands: str = OWN_COMMANDS) -> str:
    return f"{own_commands}:{SEARCH_PATH}"


def entering(entrance: str, daemon: int, argv: Argv) -> Argv:
    """Run ``argv`` in the control group whose cgroup.procs is ``entrance``, for this process."""
    return ("/bin/sh", "-c", _BECOME, "hapair", entrance, str(daemon), *argv)


def starting(entrance: str, daemon: int, note: str, argv: Argv) -> Argv:
    """Run ``argv`` there, and write ``note`` when it succeeded."""
    return ("/bin/sh", "-c", _START, "hapair", entrance, str(daemon), note, *argv)


def action(program: Script | OcfAgent, verb: str) -> Argv:
    match program:
        case Script(path):
            return (path, verb)
        case OcfAgent():
            return (ocf.path(program), verb)


def environment(
    plain: Mapping[str, str], program: Script | OcfAgent, application: str, node: str
) -> dict[str, str]:
    """Return what a script may rely on; agents get the variables of the OCF standard besides."""
    made = {**plain, "HAPAIR_APPLICATION": application, "HAPAIR_NODE": node}
    if isinstance(program, OcfAgent):
        made |= ocf.variables(program, application, node)
    return made


def limit(program: Script | OcfAgent, timeout_s: float) -> dict[str, str]:
    """Return the variable by which agents learn their time limit, in milliseconds."""
    if isinstance(program, Script):
        return {"HAPAIR_TIMEOUT": f"{timeout_s:g}"}
    return {"OCF_RESKEY_CRM_meta_timeout": str(round(timeout_s * 1000))}


def unit(verb: str, program: Unit) -> Argv:
    return ("systemctl", "--no-ask-password", verb, program.name)


def unit_killed(program: Unit) -> Argv:
    return ("systemctl", "kill", "--signal=SIGKILL", program.name)


def unit_state(program: Unit) -> Argv:
    return unit_shown(program.name, ("LoadState", "ActiveState", "SubState"))


def unit_shown(unit: str, properties: Iterable[str]) -> Argv:
    return ("systemctl", "show", f"--property={','.join(properties)}", unit)


def unit_said(invocation: str) -> Argv:
    """Print the last lines of what a unit said in one of its runs."""
    of_it = f"_SYSTEMD_INVOCATION_ID={invocation}"
    return ("journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=5", of_it)


def jobs() -> Argv:
    return ("systemctl", "list-jobs", "--no-legend", "--plain")
