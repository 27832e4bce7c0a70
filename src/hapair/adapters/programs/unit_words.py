"""Why a systemd unit failed, and what its start or its stop waits for, in words for people."""

from typing import Final

from hapair.adapters.programs import commands
from hapair.model.text import shown
from hapair.ports.programs import CommandRunner, Finished

# A node that failed to start something gives it to its peer: nobody waits long for words.
LIMIT_S: Final = 2.0
SIGNS_MAX: Final = 400
# Results that say nothing beyond the exit code, or that all went well.
SAY_NOTHING: Final = ("", "success", "exit-code")
PHASES: Final = {
    "start-pre": "for its ExecStartPre=",
    "start-post": "for its ExecStartPost=",
    "condition": "for its ExecCondition=",
    "auto-restart": "for its next start (RestartSec=)",
    "stop": "for its ExecStop=",
    "stop-sigterm": "for its processes to end, which were sent SIGTERM",
    "stop-sigkill": "for its processes to end, which were sent SIGKILL",
    "stop-post": "for its ExecStopPost=",
    "final-sigterm": "for what is left of its last run to end",
    "final-sigkill": "for what is left of its last run to end",
}
ASKED: Final = (
    "ActiveState", "SubState", "Type", "Job", "After", "Before", "StatusText", "ControlPID",
)  # fmt: skip
STARTING: Final = "activating"
CHANGING: Final = (STARTING, "deactivating", "reloading")
READY: Final = {
    "notify": "for it to say that it is ready (Type=notify)",
    "notify-reload": "for it to say that it is ready (Type=notify-reload)",
    "forking": "for its start command to return (Type=forking)",
    "dbus": "for its name on the bus (Type=dbus)",
    "oneshot": "for its command to end (Type=oneshot)",
}


async def why_failed(run: CommandRunner, unit: str) -> str:
    """Return the last that a unit said in its last run; empty where nothing is known.

    One line of bounded length: what a program prints may have any bytes in it.
    """
    told = await _show(run, unit, ("Result", "InvocationID"))
    result, invocation = told.get("Result", ""), told.get("InvocationID", "")
    words = [] if result in SAY_NOTHING else [result]
    if invocation:
        seen = await run(commands.unit_said(invocation), timeout_s=LIMIT_S)
        if isinstance(seen, Finished) and seen.exit_code == 0:
            words += [shown(line.strip()) for line in seen.stdout.splitlines() if line.strip()]
    text = " / ".join(words)
    return text if len(text) <= SIGNS_MAX else "..." + text[-SIGNS_MAX:]


async def waits_for(run: CommandRunner, unit: str) -> str:
    """Return what the start or the stop of a unit waits for just now; empty: for nothing known."""
    told = await _show(run, unit, ASKED)
    state, phase = told.get("ActiveState", ""), told.get("SubState", "")
    if state in CHANGING:
        ready = READY.get(told.get("Type", "")) if state == STARTING else None
        what = PHASES.get(phase) or ready or f"({phase})"
        pid = told.get("ControlPID", "0")
        process = f", process {pid}" if pid not in ("", "0") else ""
        said = f"; it says: {shown(status)}" if (status := told.get("StatusText")) else ""
        return f"{unit} waits {what}{process}{said}"[:SIGNS_MAX]
    if told.get("Job", "0") in ("", "0"):
        return ""
    jobs = await run(commands.jobs(), timeout_s=LIMIT_S)
    listed = jobs.stdout.splitlines() if isinstance(jobs, Finished) else []
    # What runs is to be stopped: that is the other way round.
    before = told.get("Before" if state == "active" else "After", "").split()
    others = [words[1] for line in listed if (words := line.split())[1:] and words[1] in before]
    return f"{unit} waits for {', '.join(others) or 'other jobs of systemd: systemctl list-jobs'}"


async def _show(run: CommandRunner, unit: str, properties: tuple[str, ...]) -> dict[str, str]:
    seen = await run(commands.unit_shown(unit, properties), timeout_s=LIMIT_S)
    text = seen.stdout if isinstance(seen, Finished) and seen.exit_code == 0 else ""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
