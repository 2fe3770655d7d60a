"""The site of the whole way: what Evercrew tells its people there comes to the receiver that stands for Slack."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from adapters.notices.memory import MemoryNotices
from adapters.notify.base import EFFECT_SEND
from domain.clock import FrozenClock
from domain.permit import PermitOffice
from evals.e2e_site import NOTIFIED
from service.notices.channels import channels_of
from service.notify_sections import NotifyConfig
from service.settings import Settings
from testbed.servers.webhook import Webhook
from tests.contract.notify_contract import MESSAGE
from tests.contract.permits import permit_for
from tests.integrations.slack.test_slack import problems


def test_its_channel_takes_a_message_as_slack_would() -> None:
    told, office = list[Any](), PermitOffice(FrozenClock())
    with ExitStack() as running:
        channel = running.enter_context(Webhook(told.append))
        settings = Settings(notify_slack_url=channel.url)
        config = NotifyConfig.model_validate({**NOTIFIED, "public_url": "http://127.0.0.1:1"})
        assert config.channels == ("slack",)
        found = channels_of(config, settings, MemoryNotices(), office, FrozenClock(), running)
        assert "answers" in found["slack"].check()
        found["slack"].send(MESSAGE, key="k1", permit=permit_for(office, EFFECT_SEND, "k1"))
    [body] = told
    assert problems(body) == []
    assert MESSAGE.title in str(body)
