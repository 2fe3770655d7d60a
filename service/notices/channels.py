"""The channels of a configuration."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr, ValidationError

from adapters.notices.base import NoticesPort
from adapters.notify.base import NotifyPort
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.permit import PermitVerifier
from service.notify_sections import EmailConfig, NotifyConfig, WebhookConfig
from service.settings import Settings

if TYPE_CHECKING:
    from adapters.rest import Endpoint
    from service.sections import Reached

_SLACK = "EVERCREW_NOTIFY_SLACK_URL"


def channels_of(
    config: NotifyConfig,
    settings: Settings,
    register: NoticesPort,
    permits: PermitVerifier,
    clock: Clock,
    closing: ExitStack,
) -> dict[str, NotifyPort]:
    """Return the channels by name.

    Raises:
        ConfigurationError: a secret is missing, or a field cannot be used; names it and the remedy.
    """
    found: dict[str, NotifyPort] = {}
    if config.slack is not None:
        from adapters.notify.slack import SlackNotify

        if not settings.notify_slack_url:
            raise ConfigurationError(_SLACK, "is not set", "Set it to the address of the incoming webhook")
        slack = SlackNotify(
            address=SecretStr(settings.notify_slack_url),
            reached=_reached(config.slack),
            register=register,
            permits=permits,
        )
        closing.callback(slack.close)
        found["slack"] = slack
    if config.email is not None:
        found["email"] = _email(config.email, settings, register, permits, clock)
    if config.webhook is not None:
        found["webhook"] = _webhook(config.webhook, settings, register, permits, clock, closing)
    return found


def _email(
    section: EmailConfig, settings: Settings, register: NoticesPort, permits: PermitVerifier, clock: Clock
) -> NotifyPort:
    from adapters.notify.email import EmailNotify, Mailbox

    fields = section.model_dump(exclude={"timeout_s"})
    try:
        mailbox = Mailbox(**fields, timeout=timedelta(seconds=section.timeout_s))
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(["notify.email", *map(str, first["loc"])])
        raise ConfigurationError(field, first["msg"], "See docs/integrations/email.md") from None
    password = settings.notify_email_password
    return EmailNotify(
        mailbox=mailbox,
        password=SecretStr(password) if password else None,
        register=register,
        permits=permits,
        clock=clock,
    )


def _webhook(
    section: WebhookConfig,
    settings: Settings,
    register: NoticesPort,
    permits: PermitVerifier,
    clock: Clock,
    closing: ExitStack,
) -> NotifyPort:
    from adapters.notify.webhook import WebhookNotify

    webhook = WebhookNotify(
        address=SecretStr(section.url),
        secret=SecretStr(settings.notify_webhook_secret),
        reached=_reached(section),
        register=register,
        permits=permits,
        clock=clock,
    )
    closing.callback(webhook.close)
    return webhook


def _reached(section: Reached) -> Endpoint:
    from adapters.rest import Endpoint

    return Endpoint(
        url="https://channel.invalid",  # the address itself is a secret, and not kept here
        ca=section.ca,
        cert=section.cert,
        key=section.key,
        verify=section.verify,
        timeout=timedelta(seconds=section.timeout_s),
    )
