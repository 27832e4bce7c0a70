"""The one door of all commands: whatever happens ends as clear lines and an exit code."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from hapair.cli.screen.terminal import Style, paint_for
from hapair.rpc.messages import ExitCode, RpcError

Body = Callable[[argparse.Namespace], int]
BUG_MEND: Final = "this is a bug in hapair; please report it together with the lines above"


class Interrupted(Exception):  # noqa: N818 - a fact, not an error
    """Ctrl-C came while the daemon was working; the text says what goes on and how to undo it."""


def run(parser: argparse.ArgumentParser, body: Body, arguments: Sequence[str] | None = None) -> int:
    """Parse, carry out ``body`` and return the exit code.

    ``body`` returns an exit code, or raises RpcError (also for refusals of its own) or
    Interrupted. Wrong arguments end the process with 2, as argparse does it.
    """
    options = parser.parse_args(arguments)
    wants_json = bool(getattr(options, "json", False))
    try:
        code = body(options)
        sys.stdout.flush()
    except RpcError as error:
        _show_error(parser.prog, error, wants_json=wants_json)
        return int(error.exit_code)
    except Interrupted as error:
        print(f"\n{parser.prog}: interrupted. {error}", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted; nothing was left behind", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader has seen enough, e.g. `clevents | head`. Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except Exception as error:
        traceback.print_exc()
        bug = RpcError(f"unexpected {type(error).__name__}: {error}", BUG_MEND)
        _show_error(parser.prog, bug, wants_json=wants_json)
        return int(ExitCode.REFUSED)
    return code


def _show_error(program: str, error: RpcError, *, wants_json: bool) -> None:
    """Say what is wrong and the mend on stderr; with --json the same on stdout as JSON."""
    paint = paint_for(sys.stderr)
    print(f"{program}: {paint(Style.ALARM, 'error')}: {error.error}", file=sys.stderr)
    for problem in error.problems:
        where, what, mend = (problem.get(key, "") for key in ("where", "what", "mend"))
        field = problem.get("field", "")
        print(f"  {where}: {field}: {what}. Mend: {mend}", file=sys.stderr)
    if error.mend:
        print(f"{program}: mend: {error.mend}", file=sys.stderr)
    if wants_json:
        content = {
            "error": error.error,
            "mend": error.mend,
            "problems": list(error.problems),
            "exit_code": int(error.exit_code),
        }
        print(json.dumps(content, indent=2))
