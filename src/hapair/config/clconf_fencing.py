"""What must be true of the methods of fencing besides their grammar."""

from typing import Final

from hapair.config import format_arbitration as fmt
from hapair.config.complaints import Complaints, did_you_mean
from hapair.config.document import Node, shown
from hapair.config.grammar import value_of
from hapair.model.secret import IN_FILE, NOT_TO_BE_SET, named_like_a_secret

NODES: Final = 2


def check_methods(arbitration: Node, nodes: tuple[str, ...], complaints: Complaints) -> None:
    """Report methods against strangers, nodes without a method, and wrong parameters."""
    methods = arbitration.named("method")
    against = [value_of(method, fmt.METHOD_NODE) for method in methods]
    if len(set(nodes)) == NODES:
        for method, name in zip(methods, against, strict=True):
            if name is not None and name not in nodes:
                what = f"{shown(name)} is not one of the cluster's nodes"
                mend = did_you_mean(name, nodes)
                complaints.error(method.line_of("node"), "<method> node", what, mend)
        if all(name in nodes for name in against):
            lacking = [node for node in nodes if node not in against]
            _check_all_nodes(arbitration, lacking, complaints)
    for method in methods:
        for parameter in method.named("parameter"):
            _check_parameter(parameter, complaints)


def _check_all_nodes(arbitration: Node, lacking: list[str], complaints: Complaints) -> None:
    if lacking:
        what = f'"fencing" needs a <method> that switches {" and ".join(lacking)} off'
        mend = f'add <method node="{lacking[0]}" agent="fence_..."/>'
        complaints.error(arbitration.line_of("by"), "<arbitration> by", what, mend)


def _check_parameter(parameter: Node, complaints: Complaints) -> None:
    """Report a wrong parameter, without its value: it may be a password."""
    name, value = value_of(parameter, fmt.PARAMETER_NAME), value_of(parameter, fmt.PARAMETER_VALUE)
    in_file = "file" in parameter.attributes
    line, field = parameter.line, "<parameter>"
    if value is None and not in_file:
        what, mend = "it has neither a value nor a file", 'add value="...", or file="/..."'
        complaints.error(line, field, what, mend)
    elif value is not None and in_file:
        complaints.error(line, field, "it has a value and a file", "keep one of the two")
    if name is not None and name.replace("-", "_") in NOT_TO_BE_SET:
        what = f"{shown(name)} is hapair's part: it says what an agent does, and writes down"
        complaints.error(parameter.line_of("name"), f"{field} name", what, "remove it")
    if value is None:
        return
    line, field = parameter.line_of("value"), "<parameter> value"
    if value.startswith(IN_FILE):
        what = f'it begins with "{IN_FILE}", by which hapair marks values that are in a file'
        complaints.error(line, field, what, 'write file="/..." instead')
    elif not value.isprintable():
        what = "it holds a line break, or another character that cannot be printed"
        complaints.error(line, field, what, "write it in one line")
    elif value != value.strip().strip('"'):
        what = "it begins or ends with a space or a quotation mark, which agents take away"
        complaints.error(line, field, what, "write it without, or set another one on the device")
    elif name is not None and named_like_a_secret(name):
        complaints.warning(
            line,
            field,
            f"{shown(name)} looks like a secret, and stands in a file that is copied and archived",
            "write it into a file that only root can read (mode 0600, on both nodes), and here "
            'file="/etc/cluster/fence.secret" in place of the value',
        )
