"""The sections of `evercrew.yaml` about being reached: `serve`, and `routes` from labels to our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field, model_validator

from cycles.intake import Route, Routing
from domain.errors import ConfigurationError
from policies.durations import Duration, parse_duration
from service.sections import Section

Auth = Literal["bearer", "signature", "either"]


class TlsConfig(Section):
    """PEM files of the certificate (with its chain) and its key; `client_ca` asks clients for certificates too."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class SenderConfig(Section):
    """How the senders of one endpoint prove themselves, and how many requests one of them may send.

    `busy_status` is what they are told when they have to come again: Alertmanager gives up on a 429.
    """

    auth: Auth = "either"
    per_minute: int = Field(default=1200, ge=1)
    burst: int = Field(default=200, ge=1)
    busy_status: Literal[429, 503] = 503


class GenericConfig(SenderConfig):
    """As `SenderConfig`, for senders that know what a 429 is."""

    busy_status: Literal[429, 503] = 429


class WebhooksConfig(Section):
    """Limits of a body in bytes, as it is sent and unpacked, and of time: how old a signature may be, for how long a
    body may be on its way, and from what on a sender's clock counts as wrong.
    """

    alertmanager: SenderConfig = SenderConfig()
    grafana: SenderConfig = SenderConfig()
    generic: GenericConfig = GenericConfig()
    max_bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    window: Duration = parse_duration("5m")
    body_timeout: Duration = parse_duration("10s")
    skew: Duration = parse_duration("5m")


class ServeConfig(Section):
    """`evercrew serve`: where it listens, by what address people and notices reach it, and its limits.

    `public_url` is the address in links; over https, cookies are for https only. `proxies` are the addresses of
    reverse proxies whose word about the client is taken. `shutdown` bounds an orderly end, and `slots` the cycles that
    are worked on at once.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str = Field(default="", pattern=r"^(https?://[^@\s]+[^/@\s])?$")
    tls: TlsConfig | None = None
    proxies: tuple[str, ...] = ()
    metrics_open: bool = False
    slots: int = Field(default=8, ge=1, le=64)
    shutdown: Duration = parse_duration("25s")
    webhooks: WebhooksConfig = WebhooksConfig()


class RouteConfig(Section):
    """Alerts whose labels match, and what they mean: a signal of the contract, a target, or both.

    A pattern may hold ``*``. The first route that matches counts, before the labels of the alert.
    """

    match: Mapping[str, str] = Field(min_length=1)
    signal: str = ""
    target: str = ""

    @model_validator(mode="after")
    def _means_something(self) -> RouteConfig:
        if not self.signal and not self.target and "environment" not in self.match:
            raise ValueError("names neither a signal nor a target")
        return self


def routing_of(
    signals: Sequence[str],
    alert_names: Mapping[str, str],
    target: str,
    environment: str,
    routes: Sequence[RouteConfig],
    further: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Routing:
    """Return how labels become names of ours.

    Args:
        signals: those of `target`'s contract. further: the further targets, with the signals of theirs; looked up when
            an alert comes.

    Raises:
        ConfigurationError: a route names a signal or a target that there is not.
    """
    targets = [target, *further]
    made = [Route(match=dict(route.match), signal=route.signal, target=route.target) for route in routes]
    routing = Routing(list(signals), alert_names, targets, environment, made, further)
    for number, route in enumerate(routes):
        known = routing.signals_of(route.target) if route.target else routing.known
        if route.target and route.target not in targets:
            problem = f"{route.target!r} is not what this configuration looks after"
            raise ConfigurationError(f"routes.{number}.target", problem, f"Use {' or '.join(targets)}, or leave it out")
        if route.signal and route.signal not in known:
            remedy = f"Use one of: {', '.join(sorted(known))}"
            raise ConfigurationError(f"routes.{number}.signal", f"{route.signal!r} is not a signal", remedy)
    return routing
