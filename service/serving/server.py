"""The HTTP server of `evercrew serve`: uvicorn on a socket that is bound before anything is built."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from domain.errors import ConfigurationError, DependencyUnavailable
from service.serve_sections import ServeConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

_LOG = logging.getLogger(__name__)
_KEEP_ALIVE_S = 75
_BACKLOG = 2048
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """A server that ends when it is told, and calls back when it answers.

    Signals are taken by `Service`, not here: after an orderly end the process exits with 0 and not by the signal.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def end(self) -> None:
        """Ask for the end; from any thread."""
        self.handle_exit(signal.SIGTERM, None)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that nobody else has; connections come once the server listens.

    Raises:
        ConfigurationError: the address is none of this machine. DependencyUnavailable: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except socket.gaierror as problem:
        made.close()
        raise ConfigurationError("serve.host", f"{host!r}: {problem}", "Name an address of this machine") from None
    except OSError as problem:
        made.close()
        remedy = "End what listens there, or name another port"
        raise DependencyUnavailable("serve", f"{host}:{port} cannot be listened on: {problem}", remedy) from None
    made.set_inheritable(False)
    return made


def server_of(app: FastAPI, config: ServeConfig, *, grace_s: int, ready: Callable[[], None]) -> Server:
    """Return a server; `grace_s` is how long requests in flight may take once it ends.

    Raises:
        ConfigurationError: the certificate or its key cannot be used.
    """
    tls = config.tls
    made = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace_s,
        proxy_headers=bool(config.proxies),
        forwarded_allow_ips=list(config.proxies) or None,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=str(tls.client_ca) if tls and tls.client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE,
    )
    try:
        made.load()
    except (OSError, ssl.SSLError) as problem:
        remedy = "Name PEM files that this user may read; the key has no passphrase"
        raise ConfigurationError("serve.tls", f"cannot be used: {problem}", remedy) from None
    return Server(made, ready)


@contextmanager
def signals(told: Callable[[int], None]) -> Iterator[None]:
    """Call `told` at SIGTERM and SIGINT, for as long as the context is."""

    def handler(number: int, _frame: FrameType | None) -> None:
        told(number)

    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)
