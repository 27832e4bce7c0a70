"""What clbuild and clrestore share: one at a time, and what can go wrong with the other node."""

from collections.abc import Iterator
from contextlib import contextmanager

from hapair.cli.pages.build_report import problems_json
from hapair.core.plan.network_checks import unreachable
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.building.change import ChangeError
from hapair.runtime.building.files import BUSY, BUSY_MEND, BusyError, only_builder
from hapair.runtime.building.hands import UnreachableError
from hapair.runtime.places import Places


@contextmanager
def alone(where: Places) -> Iterator[None]:
    """Hold this node's build lock, or refuse."""
    try:
        with only_builder(where):
            yield
    except BusyError:
        raise RpcError(BUSY, BUSY_MEND) from None
    except PermissionError as error:
        raise RpcError(f"{error.filename}: {error.strerror}", "run it as root") from None


@contextmanager
def explained(me: str, peer: str) -> Iterator[None]:
    """Say in words what went wrong with the other node, and what that leaves."""
    try:
        yield
    except UnreachableError as error:
        raise RpcError(
            f"root cannot log in to {peer} over SSH without a prompt; nothing was changed",
            f"start {peer}, or mend the logins",
            exit_code=ExitCode.NOT_NOW,
            problems=tuple(problems_json(unreachable(me, peer, error.tries))),
        ) from None
    except ChangeError as error:
        state, code = "both nodes are as they were before", ExitCode.REFUSED
        if not error.undone:
            state, code = f"it is not known whether {peer} has it", ExitCode.UNFINISHED
        raise RpcError(f"{error}; {state}", error.mend, exit_code=code) from None
