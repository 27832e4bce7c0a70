"""The one door of all commands: whatever happens ends as clear lines and an exit code."""

import argparse
import errno
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Final, TypeVar

from hapair.cli.screen.output import Output
from hapair.cli.screen.terminal import Style, paint_for
from hapair.rpc.messages import ExitCode, RpcError

Body = Callable[[argparse.Namespace], int]
T = TypeVar("T")
BUG_MEND: Final = "this is a bug in hapair; please report it together with the lines above"


class Interrupted(Exception):  # noqa: N818 - a fact, not an error
    """Ctrl-C came while the daemon was working; the text says what goes on and how to undo it."""


def run(parser: argparse.ArgumentParser, body: Body, arguments: Sequence[str] | None = None) -> int:
    """Parse, carry out ``body`` and return the exit code.

    ``body`` returns an exit code, or raises RpcError (also for refusals of its own), OSError of
    a file, or Interrupted.
    """
    words = sys.argv[1:] if arguments is None else arguments
    printed = Output(sys.stdout)
    with redirect_stdout(printed), redirect_stderr(Output(sys.stderr)):
        try:
            code = _carried_out(parser, body, words)
        finally:
            printed.flush()
            sys.stderr.flush()
        if printed.trouble is None or printed.reader_left:
            return code
        # stdout takes no JSON either.
        _show_error(parser.prog, _unwritten(printed.trouble), wants_json=False)
        return code or int(ExitCode.REFUSED)


def _carried_out(parser: argparse.ArgumentParser, body: Body, words: Sequence[str]) -> int:
    wants_json = "--json" in words
    try:
        return body(parser.parse_args(words))
    except SystemExit as end:  # That is how argparse ends after --help.
        return int(end.code or 0)
    except RpcError as error:
        _show_error(parser.prog, error, wants_json=wants_json)
        return int(error.exit_code)
    except Interrupted as error:
        print(f"\n{parser.prog}: interrupted. {error}", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted; nothing was left behind", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except OSError as error:
        _show_error(parser.prog, about_file(error), wants_json=wants_json)
        return int(ExitCode.REFUSED)
    except Exception as error:
        traceback.print_exc()
        bug = RpcError(f"unexpected {type(error).__name__}: {error}", BUG_MEND)
        _show_error(parser.prog, bug, wants_json=wants_json)
        return int(ExitCode.REFUSED)


def outcome(work: Callable[[], T]) -> T | Exception:
    """Return what ``work`` returned or raised: for a thread, where nobody else would notice."""
    try:
        return work()
    except Exception as error:
        return error


def about_file(
    error: OSError, exit_code: ExitCode = ExitCode.REFUSED, *, place: object = None
) -> RpcError:
    """Say in words why a file or folder could not be used."""
    place = error.filename or place or "a file"
    match error.errno:
        case errno.EACCES | errno.EPERM:
            mend = "run it as root"
        case errno.ENOSPC | errno.EDQUOT:
            mend = "make room there: df -h"
        case _:
            mend = f"look what lies there: ls -ld {place}"
    return RpcError(f"{place}: {error.strerror or error}", mend, exit_code=exit_code)


def _unwritten(error: OSError) -> RpcError:
    return RpcError(
        f"what it says could not be written to stdout ({error.strerror or error})",
        "make room there; what it did is told by: clevents",
    )


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
