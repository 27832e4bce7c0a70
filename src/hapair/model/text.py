"""Names that come from outside, for people."""


def shown(name: str) -> str:
    """Return a name as one line of text: it may have any bytes in it."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)
