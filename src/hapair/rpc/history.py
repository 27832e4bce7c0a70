"""Lines of the history as JSON and back."""

from dataclasses import asdict

from hapair.model.timeline import Happening
from hapair.rpc.messages import JsonObject, Malformed


def happening_object(happening: Happening) -> JsonObject:
    value: JsonObject = asdict(happening)
    if happening.took_s is None:
        del value["took_s"]
    return value


def read_happening(value: JsonObject) -> Happening:
    """Read one line; raise Malformed when it is none."""
    took_s = value.get("took_s")
    return Happening(
        number=int(_number(value, "number")),
        wall_s=_number(value, "wall_s"),
        at_s=_number(value, "at_s"),
        node=_text(value, "node"),
        name=_text(value, "name"),
        text=_text(value, "text"),
        application=_text(value, "application"),
        severity=_text(value, "severity"),
        took_s=None if took_s is None else _number(value, "took_s"),
    )


def _number(value: JsonObject, name: str) -> float:
    number = value.get(name)
    # The upper bound refuses the infinities and NaN, which Python's JSON knows.
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < 2**53:
        return number
    raise Malformed(f"{name}: no number")


def _text(value: JsonObject, name: str) -> str:
    text = value.get(name)
    if isinstance(text, str):
        return text
    raise Malformed(f"{name}: no text")
