"""clwitness: a third place that records which node of a cluster may act alone."""

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hapair.cli.main import run
from hapair.cli.screen import parsers
from hapair.rpc.messages import ExitCode, RpcError
from hapair.witness import codes, page, service, tls
from hapair.witness.book import FILE_NAME, Book
from hapair.witness.wire import CLUSTER_NAME

FOLDER: Final = "/var/lib/hapair-witness"
CODE_LIFE_MIN: Final = 15
CODE_LIFE_MAX_MIN: Final = 24 * 60
SECONDS: Final = 60
PORTS: Final = 1 << 16

PAGE: Final = parsers.Page(
    name="clwitness",
    summary="the witness: a third machine that says which of two nodes may act alone",
    does="""
        Two nodes that no longer hear each other cannot know whether the other one is dead or only
        out of reach. A witness knows nothing of it either, but it can be asked by both, and it
        says yes once: it records one holder per epoch and cluster, on the disk before it answers.
        Run it on any machine that does not fail together with the nodes. It is small, and one
        serves thousands of clusters.

        On the witness machine: install the package, then systemctl enable --now hapair-witness,
        then clwitness invite NAME-OF-THE-CLUSTER. That prints the line for clconf.xml and a code
        that admits the cluster once. On a node: put the line in, then clbuild --witness-code CODE.

        serve is what the service runs. invite, status and remove may be given while it runs. All
        of it stays in one folder, /var/lib/hapair-witness.
    """,
    never=(
        "It never names a second holder of an epoch, and never goes back to an earlier one.",
        "It never answers before its answer is on the disk.",
        (
            "It never shows or changes one cluster's record for another one: each is known by its"
            " nodes' certificates."
        ),
        "It never asks a node anything: nodes call it, on TCP port 7790, and that is all.",
    ),
    examples=(
        parsers.Example("clwitness invite shop", "the line for clconf.xml, and a one-time code"),
        parsers.Example("clwitness status", "every cluster: its epoch, its holder, who asked when"),
        parsers.Example("curl http://127.0.0.1:7791/status.json", "the same, for programs"),
        parsers.Example(
            "clwitness serve --folder ~/witness --listen 10.0.0.9:7790", "run it by hand"
        ),
    ),
    files=(
        (f"{FOLDER}/{FILE_NAME}", "the records, and which certificates belong to which cluster"),
        (f"{FOLDER}/server.key, server.crt", "made at the first start; pin= is the latter's hash"),
    ),
    see_also=("clbuild(8)", "clstat(1)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    verbs = made.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=parsers.WordsParser
    )
    shared = parsers.WordsParser(add_help=False)
    shared.add_argument(
        "--folder",
        type=Path,
        default=Path(FOLDER),
        metavar="FOLDER",
        help=f"where the witness keeps everything (without it: {FOLDER})",
    )

    def add(name: str, text: str) -> parsers.WordsParser:
        return verbs.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[shared]
        )

    serve = add("serve", "run the service until it is ended")
    serve.add_argument(
        "--listen",
        type=_listen,
        default=("", service.PORT),
        metavar="[ADDRESS:]PORT",
        help=f"where nodes call (without it: port {service.PORT} of all addresses)",
    )
    serve.add_argument(
        "--status-port",
        type=_port,
        default=service.STATUS_PORT,
        metavar="PORT",
        help=f"loopback port of /status and /status.json (without it: {service.STATUS_PORT})",
    )
    invite = add("invite", "print the line for clconf.xml and a code that admits a cluster once")
    invite.add_argument("cluster", metavar="CLUSTER", type=_cluster, help="its name in clconf.xml")
    invite.add_argument(
        "--address", metavar="HOST", help="how nodes reach this machine (without it: its name)"
    )
    invite.add_argument(
        "--minutes",
        type=_minutes,
        default=CODE_LIFE_MIN,
        metavar="N",
        help=f"how long the code lives (without it: {CODE_LIFE_MIN})",
    )
    parsers.add_json(invite)
    parsers.add_json(add("status", "show every cluster: epoch, holder, who asked when"))
    remove = add("remove", "forget a cluster; it is refused until it is invited again")
    remove.add_argument("cluster", metavar="CLUSTER", type=_cluster, help="its name")
    return made


def _cluster(text: str) -> str:
    if not CLUSTER_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a cluster; write one like shop")
    return text


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text[:6]) < PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number like 7790")
    return int(text)


def _listen(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.removeprefix("[").removesuffix("]"), _port(port)


def _minutes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) <= CODE_LIFE_MAX_MIN:
        raise argparse.ArgumentTypeError(f"write minutes from 1 to {CODE_LIFE_MAX_MIN}")
    return int(text)


@contextmanager
def _opened(folder: Path) -> Iterator[Book]:
    """Open the records as their owner, so that root leaves no file that the service cannot read."""
    _become_owner(folder)
    try:
        if not (folder / FILE_NAME).exists() or not tls.certificate_file(folder).exists():
            raise RpcError(
                f"no witness has run with {folder} yet",
                "systemctl enable --now hapair-witness",
                exit_code=ExitCode.NOT_NOW,
            )
        book = Book(folder)
    except (OSError, sqlite3.Error) as error:
        raise RpcError(f"{folder} cannot be read: {error}", "run it as root") from None
    try:
        yield book
    except sqlite3.Error as error:
        raise RpcError(f"{folder / FILE_NAME}: {error}", "see its disk, then try again") from None
    finally:
        book.close()


def _become_owner(folder: Path) -> None:
    if os.geteuid() == 0 and folder.exists():
        owner = folder.stat()
        if owner.st_uid != 0:
            os.setgroups([])
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)


def line_for_clconf(host: str, port: str, pin: str) -> str:
    host = f"[{host}]" if ":" in host else host
    return f'<witness kind="clwitness" at="{host}:{port}" pin="{pin}"/>'


def _invite(options: argparse.Namespace) -> None:
    cluster, code, host = options.cluster, codes.new_code(), options.address or socket.getfqdn()
    if host.startswith("localhost"):
        raise RpcError(
            f"nodes cannot reach this machine by the name {host}",
            f"clwitness invite {cluster} --address HOST, as the nodes know it",
            exit_code=ExitCode.USAGE,
        )
    with _opened(options.folder) as book:
        known = book.invite(cluster, code, time.time() + SECONDS * options.minutes)
        port = book.setting(service.PORT_SETTING) or str(service.PORT)
    line = line_for_clconf(host, port, tls.pin(options.folder))
    if options.json:
        print(json.dumps({"format": 1, "cluster": cluster, "line": line, "code": code}))
        return
    print(f'In clconf.xml of {cluster}, inside of <arbitration by="witness">:\n\n  {line}\n')
    print(f"Then, on one of its nodes, within {options.minutes} minutes:\n")
    print(f"  clbuild --witness-code {code}")
    if known:
        print(
            f"\n{cluster} is known here already: it keeps its record; the certificates that"
            " clbuild\nbrings replace its former ones."
        )


def _status(options: argparse.Namespace) -> None:
    with _opened(options.folder) as book:
        rows, port = book.rows(), book.setting(service.PORT_SETTING)
    facts: dict[str, object] = {"pin": tls.pin(options.folder), "port": int(port or service.PORT)}
    show = page.as_json(rows, facts) if options.json else page.text(rows, facts, time.time())
    print(show, end="")


def _remove(options: argparse.Namespace) -> None:
    with _opened(options.folder) as book:
        row = book.remove(options.cluster)
    if row is None:
        raise RpcError(f"{options.cluster} is not known here", "see: clwitness status")
    record = f"epoch {row.epoch} of {row.holder}" if row.epoch else "no epoch"
    print(f"{row.cluster} is forgotten; it had recorded {record}")


def _serve(options: argparse.Namespace) -> None:
    address, port = options.listen
    settings = service.Settings(options.folder, address, port, options.status_port)
    try:
        asyncio.run(service.serve(settings, lambda text: print(f"clwitness {text}", flush=True)))
    except sqlite3.Error as error:
        raise RpcError(f"{options.folder / FILE_NAME}: {error}", "see its disk") from None


def body(options: argparse.Namespace) -> int:
    verbs = {"serve": _serve, "invite": _invite, "status": _status, "remove": _remove}
    verbs[options.verb](options)
    return int(ExitCode.DONE)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)


if __name__ == "__main__":
    sys.exit(main())
