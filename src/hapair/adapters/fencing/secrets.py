"""Parameters of an agent: read from where they are kept, and kept out of every text of ours."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from hapair.adapters.shared.secret_files import read_secret
from hapair.model.cluster import FenceMethod
from hapair.model.outcome import Refused
from hapair.model.secret import IN_FILE, NOT_TO_BE_SET, file_of, named_like_a_secret

HIDDEN: Final = "(hidden)"
TEXT_MAX: Final = 400
# A longer output is not shown at all: where it was cut, a part of a secret could remain.
OUTPUT_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True, repr=False)
class Parameters:
    """What one agent reads from its standard input, besides the action."""

    lines: tuple[str, ...]
    secrets: tuple[str, ...]

    def stdin(self, action: str) -> bytes:
        return "".join(f"{line}\n" for line in (f"action={action}", *self.lines)).encode()

    def shown(self, text: str) -> str:
        """Return the end of what an agent said, in one line and without any secret."""
        if len(text) > OUTPUT_MAX:
            return "(it said too much to be shown)"
        for form in _forms(self.secrets):
            text = text.replace(form, HIDDEN)
        words = " ".join(text.split())
        return words if len(words) <= TEXT_MAX else f"...{words[-TEXT_MAX:]}"


def read_parameters(method: FenceMethod, *, owner: int) -> Parameters | Refused:
    """Return what the agent is told, with the secrets from their files; Refused names the mend.

    ``owner`` is the user to whom the files of secrets must belong.
    """
    lines: list[str] = []
    secrets: list[str] = []
    for name, written in method.parameters:
        if name.replace("-", "_") in NOT_TO_BE_SET or not name or not _plain(name):
            return Refused(f"parameter {name!r} of {method.agent} is not for clconf.xml: remove it")
        if written.startswith(IN_FILE):
            value = read_secret(Path(file_of(written)), owner)
            if isinstance(value, Refused):
                return Refused(f"parameter {name} of {method.agent}: {value.why}")
            secrets.append(value)
        else:
            value = written
            if named_like_a_secret(name):
                secrets.append(value)
        if not _passes(value):
            return Refused(
                f"parameter {name} of {method.agent} begins or ends with a space or a quotation "
                f"mark, or holds a control character: agents would read something else; change it"
            )
        lines.append(f"{name}={value}")
    return Parameters(tuple(lines), tuple(secret for secret in secrets if secret))


def _plain(name: str) -> bool:
    return name.isascii() and name.replace("_", "").replace("-", "").isalnum()


def _passes(value: str) -> bool:
    """Tell whether an agent reads the value unchanged: it strips blanks and quotation marks."""
    return value == value.strip().strip('"') and value.isprintable()


def _forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return all forms in which programs print a value, the longest first."""
    found: list[str] = []
    for secret in secrets:
        found += [
            secret,
            repr(secret)[1:-1],
            secret.replace("'", "'\"'\"'"),  # As a shell reads it.
            secret.replace("'", "'\\''"),
            quote(secret),
            quote(secret, safe=""),
            quote_plus(secret),
            secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
            base64.b64encode(secret.encode()).decode(),
        ]
    return tuple(sorted(set(found), key=lambda form: (-len(form), form)))
