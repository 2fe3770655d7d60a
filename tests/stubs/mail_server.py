"""A real SMTP server on loopback that keeps what it is given, with TLS, users and refusals as asked for."""

from __future__ import annotations

import email
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from testbed.servers.base import free_port

_PATIENCE_S = 30.0


@dataclass
class MailServer:
    """Serves SMTP while it is entered.

    Args:
        cert: certificate and key; with it STARTTLS is offered, or, with `at_once`, TLS from the start.
        users: passwords by name; with any, nobody else may send.
        refuses: addresses that get no mail, each with the reply.
        reply: said to every message in place of taking it.
    """

    cert: tuple[Path, Path] | None = None
    at_once: bool = False
    users: dict[str, str] = field(default_factory=dict)
    refuses: dict[str, str] = field(default_factory=dict)
    reply: str = ""
    port: int = field(default_factory=free_port)
    letters: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    def __enter__(self) -> MailServer:
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": self.port, "ready_timeout": _PATIENCE_S}
        if self.cert is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.cert)
            options["ssl_context" if self.at_once else "tls_context"] = context
            options["require_starttls"] = not self.at_once
        if self.users:
            options |= {"authenticator": self._known, "auth_required": True, "auth_require_tls": not self.at_once}
        self._controller = Controller(self, **options)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    def subjects(self) -> list[str]:
        """Return the subjects of the letters, in order."""
        return [str(letter["Subject"]).strip() for letter in self.letters]

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Answer for one address."""
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take a letter."""
        if self.reply:
            return self.reply
        letter = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        self.encrypted.append(session.ssl is not None or self.at_once)
        return "250 taken"

    def _known(self, server: Any, session: Any, envelope: Any, mechanism: str, told: Any) -> AuthResult:
        known = isinstance(told, LoginPassword) and self.users.get(told.login.decode()) == told.password.decode()
        return AuthResult(success=known, handled=False)
