"""The part of clconf.xml that says who decides: <arbitration> with witnesses and fencing."""

from typing import Final

from hapair.config import kinds
from hapair.config.grammar import MANY, Attribute, Child, Element
from hapair.model.cluster import ArbitrationKind, WitnessKind

WITNESSES_MAX: Final = 3
METHODS_MAX: Final = 16

WITNESS_KIND: Final = Attribute(
    "kind",
    kinds.choice(*WitnessKind),
    "`clwitness`: hapair's own small service on a third machine. `etcd`: a store that exists "
    "already. `file`: a folder on a mount that both nodes share.",
    required=True,
)
WITNESS_AT: Final = Attribute(
    "at",
    kinds.text(),
    "Where it is. `clwitness`: host:port (an IPv6 address in brackets). `etcd`: the URLs of its "
    "members, separated by spaces. `file`: the full path of the folder.",
    required=True,
)
WITNESS_TIMEOUT: Final = Attribute(
    "timeout", kinds.duration(0.1, 60), "How long to wait for its answer.", default="1s"
)
WITNESS_PIN: Final = Attribute(
    "pin",
    kinds.PIN,
    "The SHA-256 of the witness's certificate: no other one is believed. `clwitness` needs it, and "
    "`clwitness invite NAME` prints the whole line. `etcd` may have it where all its URLs are "
    "https; without it the certificate must be one that the system trusts. `file` has none.",
)
WITNESS: Final = Element(
    "witness",
    "A third place that records which node holds the right to act alone. With several, more than "
    "half of them must grant: the only one, both of two, two of three.",
    (WITNESS_KIND, WITNESS_AT, WITNESS_TIMEOUT, WITNESS_PIN),
    example='<witness kind="clwitness" at="witness.example.net:7790" pin="..."/>',
)

PARAMETER_NAME: Final = Attribute(
    "name",
    kinds.PARAMETER_NAME,
    "The parameter's name, as the agent's meta-data lists it (`fence_ipmilan -o metadata`).",
    required=True,
)
PARAMETER_VALUE: Final = Attribute("value", kinds.text(), "Its value.")
PARAMETER_FILE: Final = Attribute(
    "file",
    kinds.absolute_path(),
    "A file that holds the value, for passwords; on both nodes, readable by root only.",
)
PARAMETER: Final = Element(
    "parameter",
    "A parameter of the agent. It has either a value or a file.",
    (PARAMETER_NAME, PARAMETER_VALUE, PARAMETER_FILE),
    example='<parameter name="ip" value="10.0.0.5"/>',
    private=True,
)
METHOD_NODE: Final = Attribute(
    "node", kinds.NODE_NAME, "The node that it switches off.", required=True
)
METHOD_AGENT: Final = Attribute(
    "agent", kinds.FENCE_AGENT, "A program of the fence-agents package.", required=True
)
METHOD_TIMEOUT: Final = Attribute(
    "timeout", kinds.duration(1, 600), "How long to wait for its answer.", default="60s"
)
METHOD: Final = Element(
    "method",
    "One way to switch a node off. Those of a node are tried in the written order.",
    (METHOD_NODE, METHOD_AGENT, METHOD_TIMEOUT),
    (Child(PARAMETER, 0, MANY, PARAMETER_NAME),),
    example='<method node="node1" agent="fence_ipmilan"/> with its <parameter .../>s',
    private=True,
)

ARBITRATION_BY: Final = Attribute(
    "by",
    kinds.choice(*ArbitrationKind),
    "`witness`: a third place records which node may go on; nothing else is needed, and it is "
    "safe against every cut. `fencing`: the other node is switched off first, by a fence agent. "
    "`paths`: the node acts alone when at least two networks are silent, its own links are up and "
    "a reference address still answers; two cables cut at once can leave both sides running, "
    "and their data then diverges. `operator`: a person types `clconfirm` after each loss of a "
    "node.",
    required=True,
)
ARBITRATION_WINDOW: Final = Attribute(
    "window",
    kinds.duration(0, 60),
    "How long a node that runs nothing lets the other one go first, at the witness and in "
    "fencing. With a witness shorter than `detection` and `lease`; with fencing longer than the "
    "agents of the other node take.",
    default_about="two heartbeats with a witness, 5s with fencing",
)
ARBITRATION: Final = Element(
    "arbitration",
    "Who gives one node the right to act alone when it no longer hears the other one. "
    "There is no default: it is your choice.",
    (ARBITRATION_BY, ARBITRATION_WINDOW),
    (Child(WITNESS, 0, WITNESSES_MAX), Child(METHOD, 0, METHODS_MAX)),
    example='<arbitration by="witness"> with a <witness .../>, or <arbitration by="operator"/>',
    private=True,
)
