"""What is seen of an application's program on a node, mostly of a unit. Facts only."""

from dataclasses import dataclass
from typing import Final

UNIT_RUNS: Final = ("active", "reloading", "refreshing")  # Its ActiveState while it runs.


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
    kind: str = ""  # The Type= of a service, e.g. "oneshot".
    stays: bool = True  # A oneshot: it counts as active once it has ended well.
    guessed: bool = False  # It forks, and systemd has to guess which process is the main one.
    lasting: tuple[str, ...] = ()  # A target: what it starts and does not stop.
    stopped_by: tuple[str, ...] = ()  # When one of these stops, or is restarted, so is this.
    source: str = ""  # The file that it is made from.
    digest: str = ""  # Of that file and what is added to it; empty: not known.
    image: str = ""  # Of the container that it runs.
    has_image: bool = True  # False: known not to be here.


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a program cannot be run on a node; ``mend`` is empty where it is merely not there."""

    what: str
    mend: str = ""
