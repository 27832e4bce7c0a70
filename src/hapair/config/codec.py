"""Our values as JSON and back, strictly, led by the types of the dataclasses.

Where several dataclasses are possible (a Union), the chosen one is named by the member "is".
A wrong type or a wrong word is damage. A member that a dataclass works out of its others
(``init=False``) is not part of the JSON.

Two versions read each other's files and messages. A member that is missing takes its default, so
what an older version wrote stays readable. A member that nobody knows is one of a newer version
and is passed over. So a new member has a default, and an older version may do without it; where it
must not, the record that has it is written with the member "format" as well (2 or more, none is
1), and is refused by whoever does not know that format. A word that nobody knows is read as the
safe one of its kind (``model/words.py``), and refused where there is none. What is stored again
keeps both (``kept``).
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from types import NoneType, UnionType
from typing import Final, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hapair.model.words import Word

T = TypeVar("T")

TAG: Final = "is"
FORMAT: Final = "format"
FIRST_FORMAT: Final = 1
_INTERFACES: Final = (IPv4Interface, IPv6Interface)
_SCALARS: Final = (str, int, float, bool)


class DamagedError(ValueError):
    """What was read cannot have been written by us."""


class NewerFormatError(DamagedError):
    """A newer version wrote it, and means by it what this version would not understand."""


def encode(value: object, *, defaults: bool = True) -> dict[str, object]:
    """Return a dataclass as JSON objects.

    Without ``defaults`` members at their default are left out: a form of the meaning that does
    not change when a later version adds a member.
    """
    return _encode_record(value, defaults=defaults)


def decode(kind: type[T], data: object) -> T:
    """Return the value that was encoded; DamagedError when it cannot have been."""
    return cast("T", _decode(kind, data, kind.__name__))


def loads(text: bytes | str) -> object:
    """Return what the JSON says; DamagedError when it is none."""
    try:
        parsed: object = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"this is no JSON: {error}") from error
    return parsed


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


@cache
def _kinds(record: type) -> Mapping[str, object]:
    hints: dict[str, object] = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record) if field.init}


@cache
def _defaults(record: type) -> Mapping[str, object]:
    return {field.name: field.default for field in fields(record) if field.default is not MISSING}


@cache
def _choices(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


@cache
def _records(kind: object) -> Mapping[str, type]:
    """Return the dataclasses that a value of this kind may be, by name."""
    choices = _choices(kind)
    return {c.__name__: c for c in choices if isinstance(c, type) and is_dataclass(c)}


def _encode_record(value: object, *, defaults: bool) -> dict[str, object]:
    record: type = type(value)
    encoded: dict[str, object] = {}
    standard = _defaults(record)
    for name, kind in _kinds(record).items():
        member: object = getattr(value, name)
        if defaults or name not in standard or member != standard[name]:
            encoded[name] = _encode(kind, member, defaults=defaults)
    return encoded


def _encode(kind: object, value: object, *, defaults: bool) -> object:
    match value:
        case StrEnum():
            return value.value
        case None | str() | int() | float():
            return value
        case tuple():
            kinds = _kinds_of_items(kind, len(value))
            pairs = zip(kinds, value, strict=True)
            return [_encode(one, item, defaults=defaults) for one, item in pairs]
        case IPv4Interface() | IPv6Interface():
            return str(value)
        case _:
            tag = {TAG: type(value).__name__} if len(_records(kind)) > 1 else {}
            return tag | _encode_record(value, defaults=defaults)


def _kinds_of_items(kind: object, count: int) -> Sequence[object]:
    """Return the kind of each item of a tuple; of another length when ``count`` is wrong."""
    for choice in _choices(kind):
        if get_origin(choice) is tuple:
            kinds = get_args(choice)
            return kinds[:1] * count if kinds[-1:] == (...,) else kinds
    raise TypeError(f"{kind} is no tuple")


def _decode(kind: object, data: object, where: str) -> object:
    choices = _choices(kind)
    match data:
        case None if NoneType in choices:
            return None
        case dict() if records := _records(kind):
            return _decode_record(_chosen(records, data, where), data, where)
        case list() if any(get_origin(choice) is tuple for choice in choices):
            kinds = _kinds_of_items(kind, len(data))
            if len(kinds) != len(data):
                raise DamagedError(f"{where}: {len(data)} items instead of {len(kinds)}")
            pairs = enumerate(zip(kinds, data, strict=True))
            return tuple(_decode(one, item, f"{where}[{n}]") for n, (one, item) in pairs)
        case str() if _INTERFACES[0] in choices or _INTERFACES[1] in choices:
            return _decode_interface(choices, data, where)
        case int() if not isinstance(data, bool) and float in choices and int not in choices:
            return _decode(kind, _as_float(data, where), where)
        case _:
            return _decode_scalar(choices, data, where)


def _decode_scalar(choices: Sequence[object], data: object, where: str) -> object:
    for choice in choices:
        if isinstance(choice, type) and issubclass(choice, StrEnum) and isinstance(data, str):
            if data in tuple(choice):
                return choice(data)
        elif choice in _SCALARS and type(data) is choice:
            if isinstance(data, float) and not math.isfinite(data):
                raise DamagedError(f"{where}: the number is too large")
            return data
    for choice in choices:
        if isinstance(choice, type) and issubclass(choice, Word) and isinstance(data, str):
            return choice.of_newer()
    names = " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices)
    raise DamagedError(f"{where}: {str(data)[:60]!r} is no {names}")


def _as_float(data: int, where: str) -> float:
    try:
        return float(data)
    except OverflowError as error:
        raise DamagedError(f"{where}: the number is too large") from error


def _decode_interface(choices: Sequence[object], data: str, where: str) -> object:
    try:
        interface = ip_interface(data)
    except ValueError as error:
        raise DamagedError(f"{where}: {data[:60]!r} is no address") from error
    if type(interface) not in choices or str(interface) != data:
        raise DamagedError(f"{where}: {data[:60]!r} is not written as we do")
    return interface


def _chosen(records: Mapping[str, type], data: Mapping[str, object], where: str) -> type:
    only = next(iter(records)) if len(records) == 1 else None
    name = data.get(TAG, only)
    if not isinstance(name, str) or name not in records:
        raise DamagedError(f'{where}: "{TAG}" is none of {", ".join(records)}')
    return records[name]


def _decode_record(record: type, data: Mapping[str, object], where: str) -> object:
    kinds, defaults = _kinds(record), _defaults(record)
    if FORMAT not in kinds and (written := data.get(FORMAT, FIRST_FORMAT)) != FIRST_FORMAT:
        raise NewerFormatError(
            f"{where} has format {str(written)[:60]!r}, which this version of hapair cannot read: "
            "install the version that wrote it"
        )
    members: dict[str, object] = {}
    for name, kind in kinds.items():
        if name in data:
            members[name] = _decode(kind, data[name], f"{where}.{name}")
        elif name not in defaults:
            raise DamagedError(f"{where}: {name} is missing")
    made: object = record(**members)
    return made


def kept(kind: type, written: object, encoded: Mapping[str, object]) -> dict[str, object]:
    """Return what to store: ``encoded``, with what only a newer version knows of ``written``.

    ``written`` is what lies there now, and can be decoded. Of each record the members that this
    version does not know stay; and a word that it reads as another one stays, as long as it would
    write that one. A record in a list is the same one as before if its first member is.
    """
    return cast("dict[str, object]", _kept(kind, written, encoded))


def _kept(kind: object, written: object, encoded: object) -> object:
    match written, encoded:
        case dict(), dict() if records := _records(kind):
            return _kept_members(records, written, encoded)
        case list(), list() if any(get_origin(choice) is tuple for choice in _choices(kind)):
            kinds = _kinds_of_items(kind, len(encoded))
            items = enumerate(zip(kinds, encoded, strict=True))
            return [_kept(one, _former(one, written, n, item), item) for n, (one, item) in items]
        case str(), str() if encoded in _readings(kind, written):
            return written
        case _:
            return encoded


def _kept_members(
    records: Mapping[str, type], written: Mapping[str, object], encoded: Mapping[str, object]
) -> object:
    only = next(iter(records))
    if written.get(TAG, only) != encoded.get(TAG, only):
        return encoded
    record = records[cast("str", encoded.get(TAG, only))]
    kinds, known = _kinds(record), {field.name for field in fields(record)}
    members = {n: _kept(kinds[n], written.get(n), m) for n, m in encoded.items() if n in kinds}
    newer = {n: m for n, m in written.items() if n not in known}
    return {**newer, **encoded, **members}


def _former(kind: object, written: Sequence[object], number: int, item: object) -> object:
    """Return what lay there of an item of a list; None when it is new, or not to be told."""
    name = _name(kind, item)
    if number < len(written) and _name(kind, written[number]) == name:
        return written[number]
    same = [former for former in written if _name(kind, former) == name]
    return same[0] if len(same) == 1 else None


def _name(kind: object, item: object) -> object:
    """Return the first member of a record, or of the record that is its first member."""
    records = _records(kind)
    if not records or not isinstance(item, dict):
        return item
    record = records.get(str(item.get(TAG, next(iter(records)))))
    if record is None:
        return None
    first, inner = next(iter(_kinds(record).items()))
    return _name(inner, item.get(first))


def _readings(kind: object, written: str) -> Iterator[str]:
    """Yield as what a word is read that no kind of it knows."""
    for choice in _choices(kind):
        if isinstance(choice, type) and issubclass(choice, Word) and written not in tuple(choice):
            yield choice.of_newer().value
