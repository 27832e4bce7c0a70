"""Whether the files of the administrator still say what was built."""

import hashlib
import json
from enum import StrEnum
from typing import Final

from hapair.config.appconf import read_appconf
from hapair.config.clconf import read_clconf
from hapair.config.codec import encode
from hapair.model.application import Application
from hapair.model.built import Built
from hapair.model.cluster import Cluster

_DIGEST_BYTES: Final = 16


class Drift(StrEnum):
    OK = "ok"  # The file says what was built; comments and layout may differ.
    CHANGED = "changed"
    MISSING = "missing"
    INVALID = "invalid"


def fingerprint(value: Cluster | Application) -> str:
    """Return a short name of the meaning, of the value exactly as its reader returned it.

    Layout, comments and written-out defaults make no difference.
    """
    meaning = {type(value).__name__: encode(value, defaults=False)}
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.blake2b(canonical, digest_size=_DIGEST_BYTES).hexdigest()


def drift_of_clconf(text: bytes | None, built: Built) -> Drift:
    """Compare the text of clconf.xml (None: there is no file) with what was built."""
    if text is None:
        return Drift.MISSING
    cluster = read_clconf(text, file="clconf.xml")
    if isinstance(cluster, tuple):
        return Drift.INVALID
    return Drift.OK if fingerprint(cluster) == built.fingerprint else Drift.CHANGED


def drift_of_appconf(text: bytes | None, name: str, built: Built) -> Drift:
    """Compare the text of an application's appconf.xml with what was built.

    An application that was never built has changed.
    """
    if text is None:
        return Drift.MISSING
    application = read_appconf(text, file=f"{name}/appconf.xml")
    if isinstance(application, tuple):
        return Drift.INVALID
    for one in built.applications:
        if one.application.name == name and one.fingerprint == fingerprint(application):
            return Drift.OK
    return Drift.CHANGED
