"""Send a letter by SMTP."""

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import partial
from typing import Final

from hapair.adapters.alerts.means import UndeliveredError, host_and_port
from hapair.model.alerts import Letter, Receiver, Security

PERMANENT: Final = range(500, 600)
TOO_LARGE: Final = 552


def send(receiver: Receiver, letter: Letter, secret: str) -> None:
    """Return when the server has taken it for one of the addresses; UndeliveredError."""
    host, port = host_and_port(receiver.server)
    context = ssl.create_default_context()
    connect: Callable[..., smtplib.SMTP] = smtplib.SMTP
    if receiver.security is Security.TLS:
        connect = partial(smtplib.SMTP_SSL, context=context)
    try:
        # Its own name is given: looking it up may hang.
        with connect(host, port, letter.node, timeout=receiver.timeout_s) as server:
            if receiver.security is Security.STARTTLS:
                server.starttls(context=context)
            if receiver.user:
                server.login(receiver.user, secret)
            server.send_message(mail_of(receiver, letter), to_addrs=receiver.to.split(" "))
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        text = f"{receiver.server} answered {error.smtp_code} {text}"
        raise UndeliveredError(text, refused=_is_of_the_letter(error)) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        text = f"{receiver.server} answered {code} {said.decode(errors='replace')}"
        raise UndeliveredError(text) from None
    except smtplib.SMTPException as error:
        raise UndeliveredError(f"{receiver.server}: {error}") from None


def _is_of_the_letter(error: smtplib.SMTPResponseException) -> bool:
    """Tell a letter that is refused for good from a sender, a password or a moment that is."""
    match error:
        case smtplib.SMTPDataError():
            return error.smtp_code in PERMANENT
        case smtplib.SMTPSenderRefused():
            return error.smtp_code == TOO_LARGE  # Its size is told beforehand.
        case _:
            return False


def mail_of(receiver: Receiver, letter: Letter) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = receiver.sender or f"hapair@{letter.node}"
    mail["To"] = receiver.to.replace(" ", ", ")
    mail["Subject"] = letter.subject
    mail["Date"] = formatdate(letter.messages[0].at_s)
    mail["Message-ID"] = make_msgid(domain=letter.node)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notes, please.
    mail.set_content("\n".join(letter.lines()) + "\n")
    return mail
