"""What the folder of an application brings to the peer, before anything is carried there."""

from dataclasses import replace
from pathlib import Path

from hapair.model.application import Application, Script
from hapair.model.storage import NodeStorage
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.jobs.parcel import ParcelError, pack


def must_be_packable(folder: Path) -> None:
    """Raise RpcError where a folder holds what cannot be carried to the peer."""
    try:
        pack(folder)
    except (ParcelError, OSError) as error:
        mend = "move what is no configuration and no script of it to another folder"
        raise RpcError(str(error), mend, exit_code=ExitCode.USAGE) from None


def with_brought(
    peer: NodeStorage, here: NodeStorage, application: Application, folder: Path
) -> NodeStorage:
    """Return what the peer will be like once the folder is there, with a script that lies in it."""
    program = application.program
    if not peer.program_error or here.program_error or not isinstance(program, Script):
        return peer
    try:
        brought = {str(folder / file.name) for file in pack(folder)}
    except (ParcelError, OSError):  # It is told by itself.
        return peer
    return replace(peer, program_error="", program_mend="") if program.path in brought else peer
