"""Which places lie inside which others, by the parts of their paths."""

from collections.abc import Iterable


def parts(place: str) -> tuple[str, ...]:
    """Return the names on the way to a place; sorted by them, what lies inside it follows it."""
    return tuple(name for name in place.split("/") if name)


def lies_inside(inner: str, outer: str) -> bool:
    """Tell whether ``inner`` is a place below ``outer``, and not ``outer`` itself."""
    above, whole = parts(outer), parts(inner)
    return len(above) < len(whole) and whole[: len(above)] == above


def enclosing(place: str, places: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``places`` that ``place`` lies inside, the nearest one first."""
    known = {parts(each): each for each in places}
    whole = parts(place)
    above = (whole[:length] for length in range(len(whole) - 1, -1, -1))
    return tuple(known[each] for each in above if each in known)
