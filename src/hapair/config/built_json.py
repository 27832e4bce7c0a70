"""built.json: what clbuild and clbuildapp committed, as a file."""

import json
from dataclasses import replace
from typing import Final, cast

from hapair.config.codec import DamagedError, decode, encode, kept
from hapair.config.codec import loads as loads_json
from hapair.model.alerts import Alerts
from hapair.model.built import Built

FORMAT: Final = 1  # Grows when an older version could misread what a newer one wrote.


def dumps(built: Built) -> bytes:
    """Return the file's content; the same value gives the same bytes.

    What the previous version did not know is left out as long as nobody uses it: the other node may
    still have that version. What a newer version wrote of it stays.
    """
    encoded = _encoded(built)
    if built.read_from:
        encoded = kept(Built, loads_json(built.read_from), encoded)
    if not built.secret_number:
        del encoded["secret_number"]
    if built.cluster.alerts == Alerts():
        del cast("dict[str, object]", encoded["cluster"])["alerts"]
    document = {"format": FORMAT, "built": encoded}
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def loads(content: bytes) -> Built:
    """Return what was dumped; DamagedError says in one sentence why that is impossible."""
    document = loads_json(content)
    if not isinstance(document, dict) or not {"format", "built"} <= set(document):
        raise DamagedError('it does not consist of "format" and "built"')
    written = document["format"]
    if written != FORMAT:
        raise DamagedError(
            f"it has format {written!r}, this version of hapair reads format {FORMAT}: "
            "install the version that wrote it, or run clbuild"
        )
    written = document["built"]
    built = decode(Built, written)
    if contradiction := _contradiction(built):
        raise DamagedError(contradiction)
    ours = _encoded(built)
    if kept(Built, written, ours) != ours:
        return replace(built, read_from=json.dumps(written))
    return built


def _encoded(built: Built) -> dict[str, object]:
    encoded = encode(built)
    del encoded["read_from"]
    return encoded


def _contradiction(built: Built) -> str:
    """Say what no build can have made; empty when it is consistent in itself."""
    cluster = built.cluster
    first, second = cluster.nodes
    if first == second:
        return f"both nodes are called {first}"
    if sum(network.replication for network in cluster.networks) != 1:
        return "not exactly one network replicates"
    for network in cluster.networks:
        if tuple(attachment.node for attachment in network.attachments) != cluster.nodes:
            return f"network {network.name} does not attach both nodes"
    numbers = (built.generation, built.secret_number)
    if not cluster.ports.first < cluster.ports.last or min(numbers) < 0:
        return "the ports, the generation or the number of the secret are impossible"
    return built.allocated_twice()
