"""A Prometheus server on loopback: scraping, rules, alert managers, basic authentication and TLS as asked for."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from testbed.servers.base import Server, ServerError, find, free_port

PACKAGE = "prometheus"


@dataclass(frozen=True)
class Tls:
    """The server's certificate and key; with `client_ca` clients have to show a certificate signed by it."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass
class Prometheus(Server):
    """Runs `prometheus` over `folder`.

    `targets` are jobs by name, each with the host:port of its /metrics; `rules` is the text of a rules file,
    `alertmanagers` are host:port, `users` passwords by name. Samples are taken, and rules evaluated, every `interval`
    seconds.
    """

    folder: Path
    targets: Mapping[str, str] = field(default_factory=dict)
    rules: str = ""
    alertmanagers: Sequence[str] = ()
    users: Mapping[str, str] = field(default_factory=dict)
    tls: Tls | None = None
    interval: float = 0.5
    retention: str = "15d"
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _command(self) -> Sequence[str]:
        config = self.folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
        (self.folder / "rules.yml").write_text(self.rules or "groups: []\n", encoding="utf-8")
        web = web_config(self.folder, self.users, self.tls)
        return [
            find("prometheus", PACKAGE),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--storage.tsdb.retention.time={self.retention}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--web.external-url={self.url}",
            "--web.enable-lifecycle",
            "--rules.alert.resend-delay=1s",
            *([f"--web.config.file={web}"] if web else []),
        ]

    def _ready(self) -> bool:
        log = self.folder / "log"
        return "ready to receive web requests" in log.read_text(encoding="utf-8", errors="replace")

    def _config(self) -> dict[str, Any]:
        every = f"{round(self.interval * 1000)}ms"
        return {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(self.folder / "rules.yml")],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in self.targets.items()
            ],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(self.alertmanagers)}]}]},
        }


def web_config(folder: Path, users: Mapping[str, str], tls: Tls | None) -> Path | None:
    """Write what Prometheus' servers call a web configuration file, and return it; None where nothing is asked for.

    Raises:
        ServerError: there are users, and the package that hashes their passwords is not installed.
    """
    if not users and tls is None:
        return None
    content: dict[str, Any] = {}
    if users:
        content["basic_auth_users"] = {name: _hashed(password) for name, password in users.items()}
    if tls is not None:
        content["tls_server_config"] = {"cert_file": str(tls.cert), "key_file": str(tls.key)}
        if tls.client_ca is not None:
            asked = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(tls.client_ca)}
            content["tls_server_config"].update(asked)
    path = folder / "web.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def answers(url: str) -> bool:
    """Return whether a GET of the address succeeds, without looking at certificates."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urlopen(url, timeout=1, context=context) as response:
            return int(response.status) == 200
    except OSError:
        return False


def _hashed(password: str) -> str:
    try:
        import bcrypt
    except ImportError as missing:
        raise ServerError("bcrypt is not installed: pip install bcrypt") from missing
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
