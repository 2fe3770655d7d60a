"""An Alertmanager on loopback that sends every alert on to one webhook, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from testbed.servers.base import Server, find, free_port
from testbed.servers.prometheus import Tls, answers, web_config

PACKAGE = "prometheus-alertmanager"
RECEIVER = "evercrew"


@dataclass
class Alertmanager(Server):
    """Runs `prometheus-alertmanager` over `folder`.

    `webhook` is the address alerts are sent to (none: they are only kept), with the bearer `token` where there is one;
    `users` and `tls` as `Prometheus` has them.
    """

    folder: Path
    webhook: str = ""
    token: str = ""
    users: Mapping[str, str] = field(default_factory=dict)
    tls: Tls | None = None
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    @property
    def address(self) -> str:
        """Host and port, as Prometheus names its alert managers."""
        return f"127.0.0.1:{self.port}"

    def _command(self) -> Sequence[str]:
        config = self.folder / "alertmanager.yml"
        config.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
        web = web_config(self.folder, self.users, self.tls)
        return [
            find("prometheus-alertmanager", PACKAGE),
            f"--config.file={config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            f"--web.external-url={self.url}",
            "--cluster.listen-address=",
            *([f"--web.config.file={web}"] if web else []),
        ]

    def _ready(self) -> bool:
        if not self.users and (self.tls is None or self.tls.client_ca is None):
            return answers(f"{self.url}/-/ready")
        log = self.folder / "log"
        return "Listening on" in log.read_text(encoding="utf-8", errors="replace")

    def _config(self) -> dict[str, Any]:
        route = {
            "receiver": RECEIVER,
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        }
        hook: dict[str, Any] = {"url": self.webhook, "send_resolved": True}
        if self.token:
            hook["http_config"] = {"authorization": {"credentials": self.token}}
        hooks = [hook] if self.webhook else []
        return {"route": route, "receivers": [{"name": RECEIVER, "webhook_configs": hooks}]}
