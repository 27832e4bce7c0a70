"""Everything that is broken on purpose, by kind."""

from typing import Final

from tests.sim.mutants import Mutant
from tests.sim.mutants_of_copies import MUTANTS_OF_COPIES
from tests.sim.mutants_of_evidence import MUTANTS_OF_EVIDENCE
from tests.sim.mutants_of_full_disks import MUTANTS_OF_FULL_DISKS
from tests.sim.mutants_of_halted_peers import MUTANTS_OF_HALTED_PEERS
from tests.sim.mutants_of_health import MUTANTS_OF_HEALTH
from tests.sim.mutants_of_messages import MUTANTS_OF_MESSAGES
from tests.sim.mutants_of_nesting import MUTANTS_OF_NESTING
from tests.sim.mutants_of_others import MUTANTS_OF_OTHERS
from tests.sim.mutants_of_parts import MUTANTS_OF_PARTS
from tests.sim.mutants_of_rights import MUTANTS_OF_RIGHTS
from tests.sim.mutants_of_running import MUTANTS_OF_RUNNING
from tests.sim.mutants_of_starts import MUTANTS_OF_STARTS
from tests.sim.mutants_of_terms import MUTANTS_OF_TERMS
from tests.sim.mutants_of_times import MUTANTS_OF_TIMES
from tests.sim.mutants_of_versions import MUTANTS_OF_VERSIONS

EVERY: Final = (
    *MUTANTS_OF_COPIES,
    *MUTANTS_OF_EVIDENCE,
    *MUTANTS_OF_FULL_DISKS,
    *MUTANTS_OF_HALTED_PEERS,
    *MUTANTS_OF_HEALTH,
    *MUTANTS_OF_MESSAGES,
    *MUTANTS_OF_NESTING,
    *MUTANTS_OF_OTHERS,
    *MUTANTS_OF_PARTS,
    *MUTANTS_OF_RIGHTS,
    *MUTANTS_OF_RUNNING,
    *MUTANTS_OF_STARTS,
    *MUTANTS_OF_TERMS,
    *MUTANTS_OF_TIMES,
    *MUTANTS_OF_VERSIONS,
)


def mutant_named(name: str) -> Mutant:
    return next(each for each in EVERY if each.name == name)
