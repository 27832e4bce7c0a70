"""Times as other tools write them."""

import re
from typing import Final

from hapair.config.kinds import duration_text

_UNITS: Final = {
    "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 0.001, "msec": 0.001,
    "us": 1e-6, "usec": 1e-6, "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0,
    "hr": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0,
}  # fmt: skip


def seconds_of(text: str) -> float:
    """Return the seconds of "20", "20s", "1min" or "500ms"; 0 when it says none."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-z]*)", text.strip().lower())
    return float(found[1]) * _UNITS.get(found[2], 0.0) if found else 0.0


def written(seconds: float, least_s: float, most_s: float) -> str:
    """Return a duration as our files have it, within its bounds."""
    return duration_text(round(min(max(seconds, least_s), most_s), 3))
