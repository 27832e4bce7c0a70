"""What can be said of a node's keys without telling any secret."""

import contextlib

from hapair.model.node_facts import Keys
from hapair.ports.programs import CommandRunner
from hapair.runtime.building.files import OTHERS, digest, mode_of, read_or_empty, to_text
from hapair.runtime.building.keys import KeysError, openssl
from hapair.runtime.places import Places


async def look(run: CommandRunner, places: Places) -> Keys:
    """Look at the keys; of secret ones only digests are returned."""
    certificate = to_text(read_or_empty(places.node_certificate))
    files = (places.cluster_key, places.node_key)
    modes = [mode_of(file) for file in files]
    cluster_key = read_or_empty(places.cluster_key)
    return Keys(
        cluster_key_digest=digest(cluster_key) if cluster_key else "",
        node_certificate=certificate,
        peer_certificate=to_text(read_or_empty(places.peer_certificate)),
        pair_matches=bool(certificate) and await _matches(run, places),
        private=not any(mode & OTHERS for mode in modes),
    )


async def _matches(run: CommandRunner, places: Places) -> bool:
    """Tell whether the certificate was made for the private key."""
    public = ""
    with contextlib.suppress(KeysError):
        public = await openssl(run, "pkey", "-in", str(places.node_key), "-pubout")
        certified = await openssl(
            run, "x509", "-in", str(places.node_certificate), "-noout", "-pubkey"
        )
        return certified == public
    return False
