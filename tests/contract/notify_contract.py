"""What every notifier has to hold to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.notify.base import EFFECT_SEND, Message, NotifyPort
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

MESSAGE = Message(title="Promoted ✓", body="ndcg up\nby 4 %", severity="info", cycle_id="si_2026_01_31_001")


class NotifyContract(EffectContract):
    """A vendor gives `notify` and `sent`: the titles that people got, in order."""

    @pytest.fixture
    def notify(self, office: PermitOffice) -> NotifyPort:
        raise NotImplementedError

    @pytest.fixture
    def sent(self, notify: NotifyPort) -> Callable[[], list[str]]:
        raise NotImplementedError

    @pytest.fixture
    def effects(self, notify: NotifyPort, sent: Callable[[], list[str]]) -> list[Effect]:
        return [
            Effect(
                name=EFFECT_SEND,
                act=lambda key, permit: notify.send(MESSAGE, key=key, permit=permit),
                count=lambda: len(sent()),
            )
        ]

    def test_the_same_key_is_sent_once(
        self, notify: NotifyPort, office: PermitOffice, sent: Callable[[], list[str]]
    ) -> None:
        for title in ("first", "second"):
            message = MESSAGE.model_copy(update={"title": title})
            notify.send(message, key="k1", permit=permit_for(office, EFFECT_SEND, "k1"))
        notify.send(MESSAGE, key="k2", permit=permit_for(office, EFFECT_SEND, "k2"))
        assert sent() == ["first", MESSAGE.title]

    def test_what_was_sent_can_be_observed(self, notify: NotifyPort, office: PermitOffice) -> None:
        assert notify.observe("k1").seen is Seen.ABSENT
        notify.send(MESSAGE, key="k1", permit=permit_for(office, EFFECT_SEND, "k1"))
        assert notify.observe("k1").seen is Seen.DONE
        assert notify.observe("k").seen is Seen.ABSENT

    def test_check_says_what_it_is(self, notify: NotifyPort) -> None:
        assert notify.check().startswith("notify: ")
