"""What an application demands of the others of its cluster, and cannot have."""

from collections.abc import Iterator

from hapair.model.application import Application
from hapair.model.dependencies import circle, dependencies
from hapair.model.problem import Problem


def refused(wanted: Application, others: tuple[Application, ...], file: str) -> Iterator[Problem]:
    """Yield what is wrong with the demands that an application's file makes.

    A name that is not built yet is no error: the two may be built in any order.
    """
    demands = {"after": wanted.after, "with": wanted.with_, "apart-from": wanted.apart_from}
    for field, names in demands.items():
        if wanted.name in names:
            what = f"{wanted.name} names itself"
            yield Problem(file, field, what, f"leave {wanted.name} out")
    every = (wanted, *(each for each in others if each.name != wanted.name))
    if wanted.name not in wanted.after and (found := circle(every)):
        first, second = found
        what = f"{first} and {second} start after each other, by way of others or not"
        yield Problem(file, "after", what, "leave one of these demands out")
    known = dependencies(every)
    together = known.together.get(wanted.name, ())
    for name in known.apart.get(wanted.name, ()):
        if name in together:
            what = f"{wanted.name} and {name} are to be on one node, and never on one node"
            yield Problem(file, "apart-from", what, f"leave {name} out, here or in with")
