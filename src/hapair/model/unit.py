"""What is seen of an application's program on a node, mostly of a unit. Facts only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Starter:
    """Another unit that starts it: a trigger (socket, timer, path), or one that wants it."""

    name: str
    trigger: bool  # It waits for something and starts it then; else it starts it with itself.
    at_boot: bool = False  # It is enabled.
    active: bool = False
    pulled: bool = False  # It is started whenever the program's unit is,
    follows: bool = False  # and stopped whenever that is.


@dataclass(frozen=True, slots=True)
class ProgramUnit:
    name: str  # By which systemd itself knows it; appconf.xml may have another one.
    file_state: str = ""  # Whether a boot starts it, e.g. "enabled" or "static".
    active: bool = False
    starters: tuple[Starter, ...] = ()


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a program cannot be run on a node; ``mend`` is empty where it is merely not there."""

    what: str
    mend: str = ""
