"""E-mail over SMTP (RFC 5321), with STARTTLS (RFC 3207), TLS from the start (RFC 8314), or, on request, neither.

A connection that was to be encrypted is never used in the clear: where the server does not offer STARTTLS, nothing is
sent. The Message-ID follows from the key, so that a mailbox that gets a message twice can tell.
"""

from __future__ import annotations

import hashlib
import html
import logging
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from adapters.meter import metered
from adapters.notices.base import NoticesPort
from adapters.notify.base import Message
from adapters.notify.sending import Sending
from adapters.rest import Endpoint, Refused, tls_context
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "email"
FIELD = "notify.email"
PASSWORD = "EVERCREW_NOTIFY_EMAIL_PASSWORD"
_ADDRESS = r"^[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+$"
_SHOWN = 200
_LOG = logging.getLogger(__name__)


class Mailbox(BaseModel):
    """How a mail server is spoken to, from whom and to whom. `security` none sends in the clear, without a user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    sender: str = Field(pattern=_ADDRESS)
    to: tuple[str, ...] = Field(min_length=1)
    ca: Path | None = None
    timeout: timedelta = timedelta(seconds=10)


class EmailNotify:
    """A `NotifyPort` that mails one message to all addresses at once.

    Raises:
        ConfigurationError: an address is none, or a password would be sent in the clear.
    """

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        password: SecretStr | None,
        register: NoticesPort,
        permits: PermitVerifier,
        clock: Clock,
    ) -> None:
        if mailbox.username and (password is None or not password.get_secret_value()):
            raise ConfigurationError(f"{FIELD}.username", f"{PASSWORD} is not set", f"Set {PASSWORD}")
        if mailbox.username and mailbox.security == "none":
            remedy = "Set security to starttls or tls, or leave the user out"
            raise ConfigurationError(f"{FIELD}.security", "would send the password in the clear", remedy)
        self._mailbox = mailbox
        self._password = password
        self._sender = address_of(mailbox.sender, f"{FIELD}.sender")
        self._to = tuple(address_of(given, f"{FIELD}.to") for given in mailbox.to)
        url = "https://mail.invalid"  # only the certificates of it are read
        self._tls = tls_context(Endpoint(url=url, ca=mailbox.ca), FIELD)
        self._sending = Sending(NAME, register, permits)
        self._clock = clock

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """See `NotifyPort.send`.

        Raises:
            Refused: the server does not take our password, or does not encrypt.
            DependencyLied: what answers is no mail server.
        """
        with self._sending.once(message, key, permit) as needed:
            if not needed:
                return
            letter = self._letter(message, key)
            with metered(NAME), self._connected() as server:
                # Whoever cannot be reached is told apart from a server that takes nothing: the others have it.
                to = [address.addr_spec for address in self._to]
                left_out = server.send_message(letter, from_addr=self._sender.addr_spec, to_addrs=to)
                if left_out:
                    _LOG.warning("%s does not take mail to %s; the others have it", NAME, ", ".join(left_out))

    def observe(self, key: str) -> Observation:
        """See `NotifyPort.observe`."""
        return self._sending.observe(key)

    def check(self) -> str:
        """See `NotifyPort.check`; logs in, and sends nothing."""
        with self._connected() as server:
            server.noop()
        how = {"starttls": "STARTTLS", "tls": "TLS", "none": "in the clear"}[self._mailbox.security]
        to = ", ".join(address.addr_spec for address in self._to)
        return f"notify: email by {self._mailbox.host}:{self._mailbox.port} ({how}) to {to}"

    def _letter(self, message: Message, key: str) -> EmailMessage:
        letter = EmailMessage(policy=SMTP)
        letter["Subject"] = f"[evercrew] {message.title}"
        letter["From"] = self._sender
        letter["To"] = self._to
        letter["Date"] = format_datetime(self._clock.now())
        letter["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@evercrew.{self._sender.domain}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter["X-Evercrew-Severity"] = message.severity
        letter["X-Priority"] = {"critical": "1", "warning": "2"}.get(message.severity, "3")
        letter.set_content(as_text(message))
        letter.add_alternative(as_page(message), subtype="html")
        return letter

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        box = self._mailbox
        where = f"{box.host}:{box.port}"
        try:
            with self._opened() as server:
                server.ehlo()
                if box.security == "starttls":
                    if not server.has_extn("starttls"):
                        remedy = f"Set {FIELD}.security to tls if its port speaks TLS at once"
                        raise Refused(NAME, f"{where} does not offer STARTTLS, so nothing was sent", remedy)
                    server.starttls(context=self._context())
                    server.ehlo()
                if box.username and self._password is not None:
                    server.login(box.username, self._password.get_secret_value())
                yield server
        except TimeoutError as error:
            raise DependencyTimeout(NAME, f"{where} did not answer in time") from error
        except ssl.SSLError as error:
            remedy = f"Name the certificate authority in {FIELD}.ca, and check {FIELD}.security and its port"
            raise DependencyUnavailable(NAME, f"{where}: TLS failed: {error}"[:_SHOWN], remedy) from error
        except smtplib.SMTPException as error:
            raise _meant(error, where) from error
        except (OSError, UnicodeError) as error:
            remedy = f"Check that it runs, {FIELD}.host and {FIELD}.port"
            raise DependencyUnavailable(NAME, f"{where}: {error}"[:_SHOWN], remedy) from error

    def _opened(self) -> smtplib.SMTP:
        box, seconds = self._mailbox, self._mailbox.timeout.total_seconds()
        if box.security == "tls":
            return smtplib.SMTP_SSL(box.host, box.port, timeout=seconds, context=self._context())
        return smtplib.SMTP(box.host, box.port, timeout=seconds)

    def _context(self) -> ssl.SSLContext:
        return self._tls if isinstance(self._tls, ssl.SSLContext) else ssl.create_default_context()


def address_of(given: str, field: str) -> Address:
    """Return an address.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return Address(addr_spec=given)
    except (ValueError, IndexError, TypeError, MessageError) as error:
        raise ConfigurationError(field, f"{given!r} is no e-mail address", "Write somebody@example.org") from error


def as_text(message: Message) -> str:
    """Return the plain text of the letter."""
    lines = [message.title, "", message.body]
    lines += ["", *(f"{name}: {value}" for name, value in message.facts)] if message.facts else []
    lines += ["", message.link] if message.link else []
    return "\n".join(lines) + "\n"


def as_page(message: Message) -> str:
    """Return the letter as a page without pictures, scripts or anything from elsewhere; all text is escaped."""
    body = html.escape(message.body).replace("\n", "<br>")
    named = '<td style="color:#5a636e;padding:2px 14px 2px 0">'
    rows = "".join(
        f"<tr>{named}{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in message.facts
    )
    link = html.escape(message.link, quote=True)
    button = f'<p><a href="{link}" style="color:#2c6e8f;font-weight:600">Open in Evercrew</a></p>' if link else ""
    return (
        '<!doctype html><html><body style="font:15px/1.55 system-ui,sans-serif;color:#1d2329">'
        f'<h1 style="font-size:18px">{html.escape(message.title)}</h1><p>{body}</p><table>{rows}</table>{button}'
        "</body></html>\n"
    )


def _meant(error: smtplib.SMTPException, where: str) -> Exception:
    """Return the error of ours that fits."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return Refused(NAME, f"{where} does not take the user and password", f"Check {FIELD}.username and {PASSWORD}")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        who = ", ".join(error.recipients)
        codes = {code for code, _ in error.recipients.values()}
        if all(400 <= code < 500 for code in codes):
            return DependencyUnavailable(NAME, f"{where} does not take mail to {who} now", f"Check {FIELD}.to")
        return InvalidInput(f"{FIELD}.to", f"{where} does not take mail to {who}", "Mend the addresses")
    if isinstance(error, smtplib.SMTPSenderRefused):
        return InvalidInput(f"{FIELD}.sender", f"{where} does not take mail from it", "Use an address it knows")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Refused(NAME, f"{where}: {error}"[:_SHOWN], f"Check {FIELD}.security and {FIELD}.username")
    if isinstance(error, smtplib.SMTPResponseException):
        return _replied(error, where)
    if isinstance(error, smtplib.SMTPServerDisconnected) and "timed out" in str(error):
        return DependencyTimeout(NAME, f"{where} stopped answering in the middle")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return DependencyUnavailable(NAME, f"{where} hung up: {error}"[:_SHOWN], f"Check {FIELD}.security and its port")
    return DependencyUnavailable(NAME, f"{where}: {error}"[:_SHOWN], f"Check {FIELD}")


def _replied(error: smtplib.SMTPResponseException, where: str) -> Exception:
    raw = error.smtp_error
    said = " ".join((raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)).split())[:_SHOWN]
    code = error.smtp_code
    if not 200 <= code < 600:
        return DependencyLied(NAME, f"{where} does not speak SMTP: {said}", f"Check {FIELD}.host and {FIELD}.port")
    if code >= 500 and isinstance(error, smtplib.SMTPDataError):
        return InvalidInput(FIELD, f"{where} refused the message ({code}): {said}", "Mend what its log says of it")
    return DependencyUnavailable(NAME, f"{where} answered {code}: {said}", "See the log of the mail server")
