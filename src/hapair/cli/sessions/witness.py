"""clbuild --check-witness: a whole grant cycle on a scratch record of each witness."""

import argparse
from typing import Final

from hapair.cli.common import REFERENCE, ExitCode, print_json
from hapair.model.cluster import ArbitrationKind
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.building.build import Wanted
from hapair.runtime.building.hands import Hands
from hapair.runtime.building.witness_work import SCRATCH, Trial, try_grants
from hapair.runtime.places import Places

WIDTH: Final = 34


def no_witness(option: str) -> RpcError:
    return RpcError(
        f"{option}: clconf.xml names no witness",
        f'write <arbitration by="witness"> with a <witness .../>, see {REFERENCE}',
        exit_code=ExitCode.USAGE,
    )


async def check_witnesses(
    options: argparse.Namespace, wanted: Wanted, where: Places, hands: Hands
) -> int:
    """Try each witness and show what it answered and how fast; refuse when one did not pass."""
    cluster = wanted.cluster
    if cluster.arbitration is not ArbitrationKind.WITNESS:
        raise no_witness("--check-witness")
    peer = cluster.peer_of(wanted.me)
    scratch = f"{cluster.name}{SCRATCH}"
    own = hands.witnesses(scratch, wanted.me, where)
    other = hands.witnesses(scratch, peer, where)
    try:
        trials = [
            await try_grants(each, own, other, (wanted.me, peer)) for each in cluster.witnesses
        ]
    finally:
        own.close()
        other.close()
    failed = sum(not trial.passed for trial in trials)
    if options.json:
        print_json({"node": wanted.me, "witnesses": [_as_json(trial) for trial in trials]})
        return int(ExitCode.REFUSED if failed else ExitCode.DONE)
    for trial in trials:
        print("\n".join(_lines(trial)))
    if failed:
        raise RpcError(
            f"{failed} of {len(trials)} witnesses did not pass",
            "mend what is said above; a witness that does not know the cluster: clbuild(8),"
            " --witness-code",
        )
    print(f"all is well, seen from {wanted.me}; type it on {peer} too")
    return int(ExitCode.DONE)


def _lines(trial: Trial) -> list[str]:
    lines = [f"witness {trial.witness.kind.value} at {trial.witness.at}"]
    for step in trial.steps:
        words = f"  {step.what:<{WIDTH}} {step.took_s * 1000:6.0f} ms"
        lines.append(
            f"{words}  {f'failed: {step.why}' if step.why else _judged(trial, step.took_s)}"
        )
    return lines


def _judged(trial: Trial, took_s: float) -> str:
    limit_s = trial.witness.timeout_s
    return "ok" if took_s <= limit_s else f"ok, but later than its timeout of {limit_s:g} s"


def _as_json(trial: Trial) -> JsonObject:
    return {
        "kind": trial.witness.kind.value,
        "at": trial.witness.at,
        "passed": trial.passed,
        "steps": [
            {"what": step.what, "why": step.why, "took_ms": round(step.took_s * 1000, 1)}
            for step in trial.steps
        ],
    }
