"""Make a cluster known to a clwitness with the code that its administrator was given."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from hapair.adapters.witness.clwitness import dial, refuse
from hapair.adapters.witness.words import NoAnswer
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done, Outcome, Refused, Unknown


async def join(
    witness: Witness,
    cluster: str,
    code: str,
    certificate_paths: Sequence[Path],
    *,
    timeout_s: float = 15.0,
) -> Outcome:
    """Register the certificates of the cluster's nodes, all of them at once.

    They replace the cluster's former ones; its record stays. Unknown: ask again with the same
    code and certificates, that is harmless.
    """
    if witness.kind is not WitnessKind.CLWITNESS:
        return Refused(f"a witness of the kind {witness.kind} has no codes; leave the code away")
    where = f"witness at {witness.at}"
    try:
        certificates = [path.read_text() for path in certificate_paths]
    except (OSError, ValueError) as error:
        return Refused(f"{error}; clbuild makes the nodes' certificates")
    asked = False
    try:
        async with asyncio.timeout(timeout_s):
            line = await dial(witness, None)
            asked = True
            try:
                reply = await line.ask(
                    {"ask": "join", "cluster": cluster, "code": code, "certificates": certificates}
                )
                asked = reply.get("answer") == "failed"
                refuse(reply)
            finally:
                line.close()
    except (NoAnswer, OSError, UnicodeError) as error:  # Includes the time-out.
        text = f"{where}: {str(error) or f'no answer within {timeout_s:g} s'}"
        return Unknown(f"{text}; try again") if asked else Refused(text)
    if reply.get("answer") != "joined":
        return Unknown(f"{where}: its reply makes no sense: {str(reply)[:200]}")
    return Done(f"{cluster} is known to the {where}")
