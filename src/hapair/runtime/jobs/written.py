"""What an administrator wrote of an application, checked together with what is built."""

from hapair.config.appconf import examine_appconf
from hapair.config.complaints import meant
from hapair.config.fingerprint import fingerprint
from hapair.config.together import check_demands, check_together, in_subnets
from hapair.model.application import Application
from hapair.model.built import Built
from hapair.model.problem import Problem
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.building.files import read_written
from hapair.runtime.jobs.answers import refused
from hapair.runtime.places import Places


def written(
    places: Places, built: Built, name: str, text: bytes | None = None
) -> tuple[Application, str, tuple[Problem, ...]]:
    """Return the application of an appconf.xml, the fingerprint of what is written, and warnings.

    ``text`` stands for the file, which is not read then.

    Raises RpcError: the file cannot be read, or what it says cannot be built.
    """
    path = places.appconf(name)
    try:
        text = read_written(path) if text is None else text
    except OSError as error:
        mend = "write it; samples: /usr/share/hapair/samples"
        if question := meant(name, _known(places)):
            mend = f"{question} Else {mend}"
        raise RpcError(f"{path}: {error.strerror}", mend, exit_code=ExitCode.USAGE) from None
    reading = examine_appconf(text, file=str(path))
    if reading.value is None:
        raise refused(name, reading.problems)
    found = reading.value
    others = tuple(b.application for b in built.applications if b.application.name != found.name)
    together = check_together(built.cluster, (*others, found), places={found.name: reading.places})
    demands = check_demands(found, tuple(built.by_name), _known(places), reading.places)
    problems = (*reading.problems, *together, *demands)
    if any(not problem.warning for problem in problems):
        raise refused(name, problems)
    return in_subnets(built.cluster, found), fingerprint(found), problems


def _known(places: Places) -> tuple[str, ...]:
    """Return the applications that have an appconf.xml."""
    return tuple(sorted(each.parent.name for each in places.configuration.glob("*/appconf.xml")))
