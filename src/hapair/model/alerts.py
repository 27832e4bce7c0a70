"""Who is told what needs a person, and what is told."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    WARNING = "warning"  # Everything runs, but the next failure may stop it.
    ALARM = "alarm"  # Something that should run does not, or data is in question.


class Method(StrEnum):
    HOOK = "hook"
    MAIL = "mail"
    WEBHOOK = "webhook"
    SYSLOG = "syslog"
    TRAP = "trap"


class Security(StrEnum):
    """How a connection to a mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"  # From its first byte on.


class Carrier(StrEnum):
    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Receiver:
    """One who is told; which members mean something depends on the method."""

    name: str
    method: Method
    to: str = ""  # A program, mail addresses, a URL, or host:port; empty: this machine's syslog.
    least: Level = Level.WARNING
    timeout_s: float = 30.0
    secret: str = ""  # The file that holds it.
    server: str = ""  # Of mail: host:port.
    sender: str = ""  # Of mail; empty: made from the node's name.
    security: Security = Security.NONE
    user: str = ""
    header: str = ""  # Of a webhook: its name; the value is the secret.
    carrier: Carrier = Carrier.UDP
    inform: bool = False  # Of a trap: it is one that the receiver has to answer.
    url_file: str = ""  # Of a webhook: the file that holds its URL, which is a secret then.


@dataclass(frozen=True, slots=True)
class Alerts:
    receivers: tuple[Receiver, ...] = ()
    repeat_s: float = 3600.0  # How often what nobody has answered is told again.

    @property
    def hooks(self) -> tuple[str, ...]:
        """Return the programs, each once."""
        hooks = (each.to for each in self.receivers if each.method is Method.HOOK)
        return tuple(dict.fromkeys(hooks))


NO_ALERTS: Final = Alerts()
SUBJECT_MAX: Final = 200


class Kind(StrEnum):
    BEGIN = "begin"
    REPEAT = "repeat"
    OVER = "over"
    EVENT = "event"  # It happened; there is nothing that could be over.
    FAILOVER = "failover"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Message:
    kind: Kind
    level: Level
    about: str  # An application, a network, a node or the configuration.
    text: str
    at_s: float  # Wall clock.
    node: str  # Who tells it.
    to_do: str = ""
    number: int = 0  # What `clalert answer` takes; 0: it cannot be answered.


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent at once: usually one message, more after a storm or a silence."""

    cluster: str
    node: str
    messages: tuple[Message, ...]
    left_out: int = 0  # Messages that are in no letter since the last one.

    @property
    def level(self) -> Level:
        alarms = any(message.level is Level.ALARM for message in self.messages)
        return Level.ALARM if alarms else Level.WARNING

    @property
    def subject(self) -> str:
        """Say in one line what it is about."""
        first = self.messages[0]
        more = len(self.messages) - 1 + self.left_out
        also = f" (and {more} more)" if more else ""
        over = "over: " if first.kind is Kind.OVER else ""
        word = first.kind if first.kind in {Kind.FAILOVER, Kind.TEST} else first.level
        text = " ".join(f"{over}{first.about}: {first.text}".split())[:SUBJECT_MAX]
        return f"[{self.cluster}] {word}: {text}{also}"

    def lines(self) -> tuple[str, ...]:
        """Return it for people, a message after the other."""
        found: list[str] = []
        for each in self.messages:
            number = f" [{each.number}]" if each.number else ""
            found.append(f"{each.kind} {each.level}{number} {each.about}: {each.text}")
            if each.to_do and each.kind is not Kind.OVER:
                found.append(f"  to do: {each.to_do}")
        if self.left_out:
            found.append(f"{self.left_out} more were left out; see: clevents")
        return tuple(found)
