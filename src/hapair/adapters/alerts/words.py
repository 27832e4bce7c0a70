"""A letter as JSON, for webhooks and hooks."""

from dataclasses import asdict
from typing import Final

from hapair.model.alerts import Letter

FORMAT: Final = 1  # Grows when a member changes its meaning.


def letter_object(letter: Letter) -> dict[str, object]:
    return {
        "format": FORMAT,
        "cluster": letter.cluster,
        "node": letter.node,
        "level": letter.level,
        "subject": letter.subject,
        "left_out": letter.left_out,
        "messages": [asdict(message) for message in letter.messages],
    }
