"""The dependency rule, as a test. ``MAY_IMPORT`` is the architecture diagram."""

import ast
import itertools
import sys
from pathlib import Path
from typing import Final

import pytest

SRC: Final = Path(__file__).parents[2] / "src"
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "model": set(),
    "durable": set(),
    "config": {"model"},
    "core": {"model"},
    "migrate": {"model", "config", "core"},
    "ports": {"model"},
    "adapters": {"model", "durable", "ports"},
    "rpc": {"model"},
    "runtime": {"model", "durable", "config", "core", "ports", "adapters", "rpc"},
    "lems": {"model", "config", "adapters"},
    "cli": {"model", "config", "core", "migrate", "rpc", "runtime"},
    "alerts": {"model", "durable", "config", "core", "ports", "adapters", "rpc", "cli"},
    "web": {"model", "rpc"},
    "witness": {"model", "durable", "rpc", "cli"},
}
# Each layer that has rooms, from its lowest floor up. A room, or a file at the door, imports what
# lies on lower floors: nothing of its own floor and nothing above it, so there are no circles.
FLOORS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "core": (
        ("words",),
        ("alerts", "copies"),
        ("right",),
        ("applications",),
        ("members",),
        ("explain", "invariants"),
        ("node", "plan"),
    ),
    "runtime": (
        ("codec", "only_one", "pauses", "places", "priority", "verbs"),
        ("building", "history"),
        ("node",),
        ("guardians", "lems"),
        ("jobs",),
        ("control",),
        ("wiring",),
        ("daemon",),
    ),
    "cli": (
        ("screen",),
        ("main",),
        ("common",),
        ("pages",),
        ("sessions",),
        (
            "clalert", "clbuild", "clbuildapp", "clconfirm", "clevents", "clform", "clhalt",
            "clhaltapp", "clmaintain", "clmoveapp", "clnewapp", "clresolve", "clrestore",
            "clrunapp", "clscan", "clstartup", "clstat", "lemsctl",
        ),
    ),
}  # fmt: skip
# clwitness describes itself and ends as all commands do; it knows nothing of a node's commands.
WITNESS_MAY_USE_OF_CLI: Final = {"main", "screen"}
# What is told of is what clstat shows.
ALERTS_MAY_USE_OF_CLI: Final = {"pages"}
PURE: Final = {"model", "config", "core", "migrate"}
# Clocks, chance, the outside world: their results come into the pure layers as data.
IMPURE_MODULES: Final = {
    "asyncio", "concurrent", "datetime", "fcntl", "glob", "io", "logging", "multiprocessing",
    "os", "pathlib", "random", "secrets", "select", "selectors", "shutil", "signal", "socket",
    "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
IMPURE_CALLS: Final = {"breakpoint", "eval", "exec", "globals", "input", "open", "print"}
MAY_NAME_ADAPTERS: Final = {
    "alerts/main.py",
    "runtime/wiring.py",
    "runtime/building/wiring.py",
    "lems/main.py",
}
# The hands know nothing of each other; what several of them need has a place of its own.
SHARED_BY_ADAPTERS: Final = {"shared"}
# Nodes are servers: beyond Python's own library they need nothing, and use this where it is there.
OPTIONAL: Final = {"rich"}
# The lab sees the product as an administrator does: as a package, commands and files.
LAB_MAY_IMPORT: Final = {"model"}


def imports_of(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write absolute imports, so that this test can read them"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def our_parts(names: set[str]) -> list[list[str]]:
    """Split ``hapair.core.words.events`` and the like; the bare package is no layer."""
    return [name.split(".") for name in sorted(names) if name.startswith("hapair.")]


def modules_of(package: str) -> list[Path]:
    return sorted((SRC / package).rglob("*.py"))


def name_of(file: Path) -> str:
    return str(file.relative_to(SRC))


@pytest.mark.parametrize("file", modules_of("hapair"), ids=name_of)
def test_imports_point_downwards_only(file: Path) -> None:
    place = file.relative_to(SRC / "hapair")
    layer = place.parts[0].removesuffix(".py")
    tree = ast.parse(file.read_text())
    names = imports_of(tree)
    ours = our_parts(names)
    if layer == "__init__":
        assert not names, "importing the package must cost nothing"
        return

    allowed = MAY_IMPORT[layer] | {layer, "__version__"}
    assert {part[1] for part in ours} <= allowed
    assert not {name for name in names if name.split(".")[0] == "hapair_lab"}
    if layer == "witness":
        assert {part[2] for part in ours if part[1] == "cli"} <= WITNESS_MAY_USE_OF_CLI
    if layer == "alerts":
        assert {part[2] for part in ours if part[1] == "cli"} <= ALERTS_MAY_USE_OF_CLI
    if layer in PURE:
        assert not {name.split(".")[0] for name in names} & IMPURE_MODULES
    if layer == "adapters":
        siblings = {part[2] for part in ours if part[1] == "adapters"}
        assert siblings <= SHARED_BY_ADAPTERS | {place.parts[1].removesuffix(".py")}
    elif str(place) not in MAY_NAME_ADAPTERS:
        assert "adapters" not in {part[1] for part in ours}


def in_rooms(layer: str) -> list[Path]:
    return [file for file in modules_of(f"hapair/{layer}") if room_of(file) != "__init__"]


def room_of(file: Path) -> str:
    """Return the folder of the layer that a file lies in; a file at the door is its own room."""
    return file.relative_to(SRC / "hapair").parts[1].removesuffix(".py")


@pytest.mark.parametrize("layer", FLOORS)
def test_every_room_has_its_floor(layer: str) -> None:
    assert sorted(itertools.chain(*FLOORS[layer])) == sorted(set(map(room_of, in_rooms(layer))))
    assert not imports_of(ast.parse((SRC / "hapair" / layer / "__init__.py").read_text()))


@pytest.mark.parametrize("file", [file for each in FLOORS for file in in_rooms(each)], ids=name_of)
def test_a_room_imports_from_lower_floors_only(file: Path) -> None:
    layer, room = file.relative_to(SRC / "hapair").parts[0], room_of(file)
    floor_of = {name: number for number, floor in enumerate(FLOORS[layer]) for name in floor}
    ours = our_parts(imports_of(ast.parse(file.read_text())))
    used = {part[2] for part in ours if part[1] == layer} - {room}
    assert not {other for other in used if floor_of[other] >= floor_of[room]}


@pytest.mark.parametrize(
    "file", [file for layer in sorted(PURE) for file in modules_of(f"hapair/{layer}")], ids=name_of
)
def test_the_pure_layers_call_nothing_that_reaches_outside(file: Path) -> None:
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & IMPURE_CALLS


@pytest.mark.parametrize("file", modules_of("hapair_lab"), ids=name_of)
def test_the_lab_does_not_look_inside_the_product(file: Path) -> None:
    ours = our_parts(imports_of(ast.parse(file.read_text())))
    assert {part[1] for part in ours} <= LAB_MAY_IMPORT


@pytest.mark.parametrize("file", modules_of("hapair") + modules_of("hapair_lab"), ids=name_of)
def test_only_pythons_own_library_is_needed(file: Path) -> None:
    outside = {name.split(".")[0] for name in imports_of(ast.parse(file.read_text()))}
    outside -= sys.stdlib_module_names | {"hapair", "hapair_lab"}
    assert outside <= (OPTIONAL if file.is_relative_to(SRC / "hapair" / "cli") else set())
