"""What every client of the platform has to hold to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.logs.base import LogLine
from adapters.platform.base import EFFECT_QUARANTINE, JudgementRow, PlatformDocument, PlatformPort
from domain.candidate import LiveState, VariantState
from domain.errors import ConflictError, InvalidInput
from domain.observation import Seen
from domain.permit import Permit, PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

START = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
STATE = LiveState(
    digest=DIGEST,
    revision="1" * 40,
    mode="balanced",
    mode_source="values",
    tier="standard",
    variants=(VariantState(name="champion", digest=DIGEST, weight=100),),
    index_generation=3,
    applied_at=START,
)
DOCUMENTS = [
    PlatformDocument(
        id=f"d{n}",
        title=f"title {n}",
        text="some\u2028text\nof two lines",
        subject="s",
        arrived_at=START + timedelta(minutes=n),
        seq=n,
    )
    for n in (1, 2, 3)
]
LOGS = [
    LogLine(ts=START, level="info", event="started", fields=""),
    LogLine(ts=START + timedelta(seconds=1), level="error", event="index_read_failed", fields='{"shard": 3}'),
    LogLine(ts=START + timedelta(seconds=2), level="info", event="mode_changed", fields='{"mode": "fast"}'),
]


def judgement(number: int) -> JudgementRow:
    """One session a minute; the odd ones name a document that was neither shown nor clicked.

    The last one fits its query all the same.
    """
    fits = number == 9
    return JudgementRow(
        request_id=f"r{number}",
        ts=START + timedelta(minutes=number),
        user_id="u",
        query="title 3" if fits else f"query {number}",
        doc_id="d3" if fits else "elsewhere" if number % 2 else "d1",
        grade=1,
        clicked=("d1",),
        shown=("d1", "d2"),
        digest=DIGEST,
        variant="champion",
        mode="balanced",
        subject="s",
    )


JUDGEMENTS = [judgement(number) for number in range(10)]


class PlatformContract(EffectContract):
    """A vendor gives `platform` over STATE, DOCUMENTS, JUDGEMENTS and LOGS."""

    @pytest.fixture
    def platform(self, office: PermitOffice) -> PlatformPort:
        raise NotImplementedError

    @pytest.fixture
    def effects(self, platform: PlatformPort) -> list[Effect]:
        keys: set[str] = set()

        def quarantine(key: str, permit: Permit | None) -> int:
            keys.add(key)
            return platform.quarantine(since=START, until=None, rule="click_disagreement", key=key, permit=permit)

        def count() -> int:
            return sum(platform.observe(key).seen is Seen.DONE for key in keys)

        return [Effect(EFFECT_QUARANTINE, quarantine, count)]

    def quarantine(
        self,
        platform: PlatformPort,
        office: PermitOffice,
        since: datetime,
        until: datetime | None = None,
        *,
        rule: str = "click_disagreement",
        key: str = "k1",
    ) -> int:
        permit = permit_for(office, EFFECT_QUARANTINE, key)
        return platform.quarantine(since=since, until=until, rule=rule, key=key, permit=permit)

    def test_the_live_state_is_what_the_platform_says(self, platform: PlatformPort) -> None:
        assert platform.live() == STATE

    def test_documents_come_in_the_order_of_their_arrival(self, platform: PlatformPort) -> None:
        assert list(platform.documents()) == DOCUMENTS
        assert list(platform.documents(since_seq=2)) == DOCUMENTS[2:]
        assert list(platform.documents(since_seq=3)) == []

    def test_judgements_are_of_a_half_open_span(self, platform: PlatformPort) -> None:
        assert list(platform.judgements()) == JUDGEMENTS
        span = platform.judgements(since=JUDGEMENTS[2].ts, until=JUDGEMENTS[5].ts)
        assert list(span) == JUDGEMENTS[2:5]

    def test_a_limit_keeps_the_newest(self, platform: PlatformPort) -> None:
        assert list(platform.judgements(limit=3)) == JUDGEMENTS[-3:]
        assert list(platform.logs(limit=1)) == LOGS[-1:]
        for limit in (0, -1):
            with pytest.raises(InvalidInput, match="limit"):
                platform.judgements(limit=limit)

    def test_logs_are_searched_by_text_level_and_time(self, platform: PlatformPort) -> None:
        assert list(platform.logs()) == LOGS
        assert list(platform.logs(contains="index_read")) == LOGS[1:2]
        assert list(platform.logs(level="info")) == [LOGS[0], LOGS[2]]
        assert list(platform.logs(since=LOGS[1].ts)) == LOGS[1:]

    def test_quarantined_judgements_are_gone(self, platform: PlatformPort, office: PermitOffice) -> None:
        assert self.quarantine(platform, office, JUDGEMENTS[4].ts) == 3
        kept = [row.request_id for row in platform.judgements()]
        assert kept == ["r0", "r1", "r2", "r3", "r4", "r6", "r8"]

    def test_what_a_search_failed_to_show_is_plausible_when_it_fits_the_query(
        self, platform: PlatformPort, office: PermitOffice
    ) -> None:
        assert self.quarantine(platform, office, START, rule="implausible") == 4
        kept = [row.request_id for row in platform.judgements()]
        assert kept == ["r0", "r2", "r4", "r6", "r8", "r9"]

    def test_a_key_stands_for_one_rule(self, platform: PlatformPort, office: PermitOffice) -> None:
        self.quarantine(platform, office, START, rule="implausible")
        with pytest.raises(ConflictError):
            self.quarantine(platform, office, START, rule="click_disagreement")

    def test_a_quarantine_ends_where_it_is_told_to(self, platform: PlatformPort, office: PermitOffice) -> None:
        assert self.quarantine(platform, office, JUDGEMENTS[0].ts, JUDGEMENTS[5].ts) == 2

    def test_one_key_stands_for_one_quarantine(self, platform: PlatformPort, office: PermitOffice) -> None:
        self.quarantine(platform, office, JUDGEMENTS[4].ts)
        with pytest.raises(ConflictError):
            self.quarantine(platform, office, JUDGEMENTS[0].ts)

    def test_a_rule_nobody_knows_is_refused(self, platform: PlatformPort, office: PermitOffice) -> None:
        with pytest.raises(InvalidInput):
            self.quarantine(platform, office, START, rule="everything")
        assert platform.observe("k1").seen is Seen.ABSENT

    def test_a_quarantine_is_found_by_its_key(self, platform: PlatformPort, office: PermitOffice) -> None:
        assert platform.observe("k1").seen is Seen.ABSENT
        self.quarantine(platform, office, JUDGEMENTS[4].ts)
        assert platform.observe("k1").outcome == {"quarantined": 3}
        assert platform.observe("k").seen is Seen.ABSENT

    def test_the_check_answers_in_one_line(self, platform: PlatformPort) -> None:
        assert platform.check()
        assert "\n" not in platform.check()
