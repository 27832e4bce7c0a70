"""What one node asks the other to do during a build, and the answers. Travels as JSON."""

from dataclasses import dataclass
from enum import StrEnum

from hapair.runtime.building.files import NewFile


class StepKind(StrEnum):
    BEGIN = "begin"  # Load DRBD, make room for staged files, make a key pair if asked to.
    STAGE = "stage"  # Archive what is there, then stage what is to come.
    COMMIT = "commit"
    UNDO = "undo"
    FINISH = "finish"
    LOOK = "look"  # How far did this generation come?
    READ_ARCHIVE = "read archive"
    ACTIVATE = "activate"  # Forget what was staged; let the daemon take over what is new.


@dataclass(frozen=True, slots=True)
class Step:
    kind: StepKind
    node: str  # The name of the node that carries it out.
    generation: int = 0
    cluster: str = ""
    built_seen: str = ""  # Digest of the built.json that the plan was made for.
    files: tuple[NewFile, ...] = ()
    new_key_pair: bool = False
    lvm_filter: bool = False
    load_drbd: bool = False
    give_cluster_key: bool = False
    archive: str = ""  # The archive to make.
    restore: str = ""  # The archive to take the files from; those that it lacks are removed.
    enable: bool = False  # Let the services start at boot.


@dataclass(frozen=True, slots=True)
class Answer:
    """``error`` is empty when the step was done."""

    error: str = ""
    mend: str = ""
    lost: bool = False  # No answer came: it may have been done.
    certificate: str = ""
    cluster_key: str = ""
    stage: str = ""  # Of LOOK: how far it came; empty: there is no trace of it.
    generation: int = 0  # Of READ_ARCHIVE: what the archive holds.
    cluster: str = ""
    note: str = ""
