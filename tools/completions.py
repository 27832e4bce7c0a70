"""Turn a command's argument parser into completions for bash and zsh.

An argument whose destination is ``application`` completes to the applications configured on this
node, one whose destination is ``node`` to the nodes of the cluster.
"""

import argparse
from typing import Final

import shtab

BASH_PREAMBLE: Final = """\
_hapair_applications() {
    local file
    for file in /etc/cluster/*/appconf.xml; do
        [ -e "$file" ] && file=${file%/appconf.xml} && printf '%s\\n' "${file##*/}"
    done | { local cur="$1"; compgen -W "$(cat)" -- "$cur"; }
}
_hapair_nodes() {
    compgen -W "$(sed -n 's/.*<node[^>]* name="\\([^"]*\\)".*/\\1/p' /etc/cluster/clconf.xml \\
        2>/dev/null)" -- "$1"
}
"""
ZSH_PREAMBLE: Final = """\
_hapair_applications() {
  local -a names=(/etc/cluster/*/appconf.xml(N:h:t))
  compadd -a names
}
_hapair_nodes() {
  local -a names=(${(f)"$(sed -n 's/.*<node[^>]* name="\\([^"]*\\)".*/\\1/p' \\
    /etc/cluster/clconf.xml 2>/dev/null)"})
  compadd -a names
}
"""
PREAMBLE: Final = {"bash": BASH_PREAMBLE, "zsh": ZSH_PREAMBLE}
COMPLETED_BY: Final = {"application": "_hapair_applications", "node": "_hapair_nodes"}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion script of one command for ``bash`` or ``zsh``."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them.
        function = COMPLETED_BY.get(action.dest)
        if function is not None:
            action.complete = dict.fromkeys(PREAMBLE, function)  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell, preamble=PREAMBLE[shell])
