"""What the witnesses answered while clbuild looked at them, and what it means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hapair.core.plan.situation import Problems, on
from hapair.model.cluster import Cluster, Witness, WitnessKind
from hapair.model.problem import Problem
from hapair.model.witness import Answer, WitnessAnswer

# With curl, as this node itself asks: the pin in clconf.xml, not an authority, proves the server.
CLIENT: Final = "-k -E /etc/cluster/keys/node.crt --key /etc/cluster/keys/node.key "
CODE_OPTION: Final = "clbuild --witness-code CODE"


@dataclass(frozen=True, slots=True)
class WitnessLook:
    witness: Witness
    answer: WitnessAnswer
    took_s: float


def majority(count: int) -> int:
    """Return how many of ``count`` witnesses must grant."""
    return count // 2 + 1


def named(witness: Witness) -> str:
    return f"witness {witness.at}"


def looks_problems(me: str, cluster: Cluster, looks: Sequence[WitnessLook]) -> Problems:
    """Say which witnesses do not answer; those that are joined later are not in ``looks``."""
    silent = sum(look.answer.answer is Answer.UNREACHABLE for look in looks)
    count = len(cluster.witnesses)
    enough = count - silent >= majority(count)
    for look in looks:
        if look.answer.answer is Answer.UNREACHABLE:
            yield Problem(
                me,
                named(look.witness),
                f"it does not answer: {look.answer.why}"
                + ("" if enough else "; without a majority of witnesses no node may act alone"),
                _mend(me, cluster, look.witness),
                warning=enough,
            )
        elif look.answer.holder and look.answer.holder not in cluster.nodes:
            yield Problem(
                me,
                named(look.witness),
                f"it has recorded {look.answer.holder} as the holder of epoch"
                f" {look.answer.epoch}: another cluster that is called {cluster.name} uses it",
                "give this cluster another name, or take another witness",
            )
        elif look.took_s > look.witness.timeout_s:
            yield Problem(
                me,
                named(look.witness),
                f"it answered after {look.took_s:.1f} s, and is waited for"
                f" {look.witness.timeout_s:g} s only when it matters",
                'find out what is slow on the way, or write a longer timeout="..." for it',
                warning=True,
            )


def _mend(me: str, cluster: Cluster, witness: Witness) -> str:
    match witness.kind:
        case WitnessKind.CLWITNESS:
            return (
                "on the witness: systemctl status clwitness; where it does not know the cluster:"
                f" clwitness invite {cluster.name}, then " + on(me, CODE_OPTION)
            )
        case WitnessKind.ETCD:
            url = witness.at.split(" ")[0].rstrip("/")
            return on(me, f"curl {CLIENT if url.startswith('https:') else ''}{url}/health")
        case WitnessKind.FILE:
            return on(me, f"findmnt -T {witness.at}; the same folder must be there on both nodes")


def unknown_certificates(cluster: Cluster, nodes: Sequence[str]) -> Problems:
    """A clwitness knows a cluster by the certificates of its nodes: new ones are told with a code.

    ``nodes`` are those that get a new pair of keys now.
    """
    for witness in cluster.witnesses:
        if nodes and witness.kind is WitnessKind.CLWITNESS:
            yield Problem(
                " and ".join(nodes),
                named(witness),
                "it does not know the certificate that is made now",
                f"on the witness: clwitness invite {cluster.name}; then here: {CODE_OPTION}",
            )
