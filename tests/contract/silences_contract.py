"""What every alert manager has to hold to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from adapters.silences.base import EFFECT_EXPIRE, EFFECT_SILENCE, LONGEST, Matcher, SilencesPort
from domain.errors import InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

MATCHERS = [Matcher(name="alertname", value="SignalBreached"), Matcher(name="target", value='se"ar\\ch')]
MINUTE = timedelta(minutes=1)
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class SilencesContract(EffectContract):
    """A vendor gives `silences`, and `now`: the present by the alert manager's clock."""

    @pytest.fixture
    def silences(self, office: PermitOffice) -> SilencesPort:
        raise NotImplementedError

    @pytest.fixture
    def now(self) -> Callable[[], datetime]:
        raise NotImplementedError

    @pytest.fixture
    def silence(
        self, silences: SilencesPort, office: PermitOffice, now: Callable[[], datetime]
    ) -> Callable[[str], str]:
        """Put up a silence of five minutes under a key."""

        def put_up(key: str) -> str:
            permit = permit_for(office, EFFECT_SILENCE, key)
            return silences.silence(MATCHERS, now(), now() + 5 * MINUTE, "a watch", key=key, permit=permit)

        return put_up

    @pytest.fixture
    def effects(
        self, silences: SilencesPort, now: Callable[[], datetime], silence: Callable[[str], str]
    ) -> list[Effect]:
        before = len(silences.active())
        standing = silence("standing")
        return [
            Effect(
                name=EFFECT_SILENCE,
                act=lambda key, permit: silences.silence(
                    MATCHERS, now(), now() + MINUTE, "a watch", key=key, permit=permit
                ),
                # What the other effect takes down is counted by its end.
                count=lambda: len(silences.active()) - before + silences.ended(standing),
            ),
            Effect(
                name=EFFECT_EXPIRE,
                act=lambda key, permit: silences.expire(standing, key=key, permit=permit),
                count=lambda: int(silences.ended(standing)),
            ),
        ]

    def test_a_silence_is_in_force_as_it_was_asked_for(
        self, silences: SilencesPort, silence: Callable[[str], str], now: Callable[[], datetime]
    ) -> None:
        made = silence("k1")
        (found,) = [s for s in silences.active() if s.id == made]
        assert sorted(found.matchers, key=lambda m: m.name) == MATCHERS
        assert abs(found.ends_at - found.starts_at - 5 * MINUTE) < timedelta(seconds=1)
        assert abs(found.starts_at - now()) < timedelta(seconds=10)
        assert found.comment.startswith("a watch")
        assert not silences.ended(made)

    def test_the_same_key_is_one_silence_and_another_is_another(
        self, silences: SilencesPort, silence: Callable[[str], str]
    ) -> None:
        first, again, other = silence("k1"), silence("k1"), silence("k2")
        assert first == again != other
        assert {first, other} <= {s.id for s in silences.active()}

    def test_what_was_silenced_can_be_observed(self, silences: SilencesPort, silence: Callable[[str], str]) -> None:
        assert silences.observe("k1").seen is Seen.ABSENT
        made = silence("k1")
        assert silences.observe("k1").outcome == {"id": made}
        assert silences.observe("k").seen is Seen.ABSENT
        assert silences.observe("k11").seen is Seen.ABSENT

    def test_a_silence_that_was_taken_down_is_over_and_still_found(
        self, silences: SilencesPort, silence: Callable[[str], str], office: PermitOffice
    ) -> None:
        made = silence("k1")
        for key in ("e1", "e2"):
            silences.expire(made, key=key, permit=permit_for(office, EFFECT_EXPIRE, key))
            assert silences.ended(made)
        assert made not in {s.id for s in silences.active()}
        assert silences.observe("k1").outcome == {"id": made}
        assert silence("k1") == made

    def test_a_silence_nobody_put_up_is_an_error(self, silences: SilencesPort, office: PermitOffice) -> None:
        for unknown in (UNKNOWN, "../../api/v2/status"):
            with pytest.raises(InvalidInput, match="silence"):
                silences.expire(unknown, key="e1", permit=permit_for(office, EFFECT_EXPIRE, "e1"))
            with pytest.raises(InvalidInput, match="silence"):
                silences.ended(unknown)

    def test_a_silence_without_bounds_is_refused(
        self, silences: SilencesPort, office: PermitOffice, now: Callable[[], datetime]
    ) -> None:
        before, at = len(silences.active()), now()
        pattern = Matcher(name="alertname", value=".+", regex=True)
        other = Matcher(name="alertname", value="A", equal=False)
        for matchers, length, field in (
            ([], MINUTE, "matchers"),
            ([pattern], MINUTE, "matchers"),
            ([other], MINUTE, "matchers"),
            ([Matcher(name="alertname", value="")], MINUTE, "matchers"),
            ([*MATCHERS, MATCHERS[0]], MINUTE, "matchers"),
            (MATCHERS, timedelta(), "ends"),
            (MATCHERS, LONGEST + MINUTE, "ends"),
        ):
            permit = permit_for(office, EFFECT_SILENCE, "k1")
            with pytest.raises(InvalidInput, match=field):
                silences.silence(matchers, at, at + length, "a watch", key="k1", permit=permit)
        assert len(silences.active()) == before

    def test_check_says_what_it_is(self, silences: SilencesPort) -> None:
        assert "silences" in silences.check() or "active" in silences.check()
