"""Configurations of other tools as administrators have them, and what comes of them."""

from pathlib import Path
from typing import Final

from hapair.config.appconf import examine_appconf
from hapair.config.clconf import examine_clconf
from hapair.migrate.drafts import Draft, Drafts, drafts_from
from hapair.migrate.lines import Place, Source
from hapair.model.problem import Problem

FOLDER: Final = Path(__file__).parent / "samples"
SAMPLES: Final = tuple(sorted(each.name for each in FOLDER.iterdir()))
EXPECTED: Final = "drafts.txt"


def tool_of(sample: str) -> str:
    return sample.partition("-")[0]


def sources_of(sample: str) -> tuple[Source, ...]:
    files = [each for each in sorted((FOLDER / sample).iterdir()) if each.is_file()]
    return tuple(Source(f.name, f.read_bytes()) for f in files if f.name != EXPECTED)


def drafts_of(sample: str) -> Drafts:
    def include(pattern: str, _place: Place) -> tuple[Source, ...]:
        found = sorted((FOLDER / sample).glob(pattern))
        return tuple(Source(each.name, each.read_bytes()) for each in found)

    return drafts_from(tool_of(sample), sources_of(sample), include)


def problems_of(draft: Draft) -> tuple[Problem, ...]:
    """Return what our own readers find wrong with a draft."""
    content = draft.text.encode()
    if draft.name == "clconf.xml":
        found = examine_clconf(content, file=draft.name).problems
    else:
        found = examine_appconf(content, file=f"/etc/cluster/{draft.name}").problems
    return tuple(e for e in found if not e.warning)
