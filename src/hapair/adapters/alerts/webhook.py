"""Post a letter as JSON."""

import http.client
import json
import ssl
from typing import Final
from urllib.parse import urlsplit

from hapair.adapters.alerts.means import UndeliveredError
from hapair.adapters.alerts.words import letter_object
from hapair.model.alerts import Letter, Receiver

TAKEN: Final = range(200, 300)
# What is wrong with this letter. 403 is what filters of contents say, too; the other answers tell
# of the receiver, or of another time.
REFUSED: Final = frozenset({400, 403, 406, 413, 414, 415, 422, 431, 451})


def url_of(receiver: Receiver, secret_url: str) -> str:
    """Return where to post; UndeliveredError tells nothing of a URL that stands in a file."""
    if not receiver.url_file:
        return receiver.to
    url = secret_url.strip()
    if not _is_secure(url):
        raise UndeliveredError(f"{receiver.url_file} holds no URL of https, or a user's name in it")
    return url


def _is_secure(url: str) -> bool:
    try:
        parts = urlsplit(url)
        names_host = bool(parts.hostname) and (parts.port or 1) > 0 and "@" not in parts.netloc
    except ValueError:
        return False
    whole = url.isascii() and url.isprintable() and " " not in url
    return whole and names_host and parts.scheme == "https"


def send(receiver: Receiver, letter: Letter, secret: str) -> None:
    """Return when it was answered with 2xx; UndeliveredError."""
    url = urlsplit(receiver.to)
    host, timeout_s = url.hostname or "", receiver.timeout_s
    if url.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, url.port, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, url.port, timeout=timeout_s)
    headers = {"Content-Type": "application/json", "User-Agent": "hapair"}
    if receiver.header:
        headers[receiver.header] = secret
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        connection.request("POST", target, json.dumps(letter_object(letter)), headers)
        answer = connection.getresponse()
    except http.client.HTTPException as error:
        text = f"{host} gave no answer of HTTP: {type(error).__name__}"
        raise UndeliveredError(text) from None
    except ValueError:  # It would name the secret.
        raise UndeliveredError(f"the secret is no value of a header {receiver.header}") from None
    finally:
        connection.close()
    if answer.status not in TAKEN:
        text = f"{host} answered {answer.status} {answer.reason}"
        raise UndeliveredError(text, refused=answer.status in REFUSED)
