"""What every inbox has to hold to, whatever handles its letters."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from adapters.inbox.base import Fate, Handled, Held, InboxFull, InboxPort, Incident, Letter, NewLetter, Opener, Settled
from adapters.store.base import StorePort
from domain.alert import Alert, AlertStatus
from domain.errors import DependencyUnavailable, InvalidInput

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def letter(fingerprint: str = "f1", *, target: str = "search", after: int = 0) -> NewLetter:
    """A firing alert that started `after` seconds past noon."""
    alert = Alert(
        fingerprint=fingerprint,
        name="RelevanceDropped",
        status=AlertStatus.FIRING,
        signal="ndcg_at_10",
        target=target,
        environment="dev",
        starts_at=NOON + after * SECOND,
        labels={"alertname": "RelevanceDropped"},
    )
    return NewLetter(alert=alert)


def incident(of: Letter, cycle_id: str = "", letters: int = 1) -> Incident:
    start = of.alert.starts_at
    return Incident(
        fingerprint=of.alert.fingerprint,
        status=AlertStatus.FIRING,
        starts_at=start,
        changed_at=start,
        cycle_id=cycle_id,
        letters=letters,
    )


class Clerk:
    """Opens a cycle for every letter, and notes what it was given."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.numbers: list[int] = []

    def __call__(self, of: Letter, known: Incident | None, opener: Opener) -> Handled:
        self.seen.append(of.alert.fingerprint)
        self.numbers.append(of.number)
        cycle, new = opener.open(of.alert)
        counted = incident(of, cycle.id, known.letters + 1 if known else 1)
        return Settled(incident=counted, fate=Fate.OPENED if new else Fate.JOINED, cycle_id=cycle.id)


class InboxContract:
    """A vendor gives `store`, and `inbox`: one on it, that takes ten thousand letters."""

    @pytest.fixture
    def store(self) -> StorePort:
        raise NotImplementedError

    @pytest.fixture
    def inbox(self, store: StorePort) -> InboxPort:
        raise NotImplementedError

    @pytest.fixture
    def small(self, store: StorePort) -> InboxPort:
        """An inbox with room for ten."""
        raise NotImplementedError

    def test_what_was_put_in_is_handled_once(self, inbox: InboxPort, store: StorePort) -> None:
        inbox.put([letter("f1"), letter("f2")])
        assert inbox.counts().waiting == 2
        clerk = Clerk()
        turn = inbox.turn(clerk, now=NOON)
        assert turn is not None
        [cycle] = store.cycles()
        assert (turn.lane, turn.fates, turn.opened) == ("dev/search", {Fate.OPENED: 1, Fate.JOINED: 1}, (cycle.id,))
        assert (turn.joined, turn.handled) == ((cycle.id,), 2)
        assert inbox.turn(clerk, now=NOON) is None
        assert clerk.seen == ["f1", "f2"]
        counts = inbox.counts()
        assert (counts.waiting, counts.settled) == (0, {Fate.OPENED: 1, Fate.JOINED: 1})

    def test_an_empty_inbox_has_no_turns(self, inbox: InboxPort) -> None:
        inbox.put([])
        assert inbox.turn(Clerk(), now=NOON) is None
        assert inbox.counts().waiting == 0
        assert inbox.incident("dev/search", "f1") is None

    def test_letters_of_a_lane_are_handled_in_the_order_they_came(self, inbox: InboxPort) -> None:
        for number in range(7):
            inbox.put([letter(f"f{number}")])
        clerk = Clerk()
        while inbox.turn(clerk, now=NOON, most=3):
            pass
        assert clerk.seen == [f"f{number}" for number in range(7)]
        assert clerk.numbers == sorted(clerk.numbers)

    def test_what_is_known_of_an_incident_is_given_with_its_next_letter(self, inbox: InboxPort) -> None:
        inbox.put([letter("f1"), letter("f1"), letter("f2")])
        inbox.turn(Clerk(), now=NOON)
        inbox.put([letter("f1", after=5)])
        inbox.turn(Clerk(), now=NOON)
        known = inbox.incident("dev/search", "f1")
        assert known is not None
        assert (known.letters, known.starts_at) == (3, NOON + 5 * SECOND)
        assert known.status is AlertStatus.FIRING

    def test_a_lane_with_many_letters_does_not_keep_others_waiting(self, inbox: InboxPort) -> None:
        inbox.put([letter(f"n{number}", target="noisy") for number in range(40)])
        inbox.put([letter("q1", target="quiet"), letter("r1", target="rare")])
        lanes = []
        while turn := inbox.turn(Clerk(), now=NOON, most=5):
            lanes.append(turn.lane)
        assert set(lanes[:3]) == {"dev/noisy", "dev/quiet", "dev/rare"}
        assert lanes[3:] == ["dev/noisy"] * 7

    def test_a_letter_that_cannot_be_handled_is_set_aside_and_blocks_nothing(
        self, inbox: InboxPort, store: StorePort
    ) -> None:
        clerk = Clerk()

        def picky(of: Letter, known: Incident | None, opener: Opener) -> Handled:
            if of.alert.fingerprint == "poison":
                raise InvalidInput("labels", "they are odd", "Send others")
            return clerk(of, known, opener)

        inbox.put([letter("f1"), letter("poison"), letter("f2")])
        turn = inbox.turn(picky, now=NOON)
        assert turn is not None
        assert turn.fates == {Fate.OPENED: 1, Fate.POISON: 1, Fate.JOINED: 1}
        assert inbox.turn(picky, now=NOON) is None
        [aside] = inbox.aside()
        assert "they are odd" in aside.reason
        assert "poison" in aside.text
        assert len(store.cycles()) == 1

    def test_when_a_part_does_not_answer_everything_goes_on_waiting(self, inbox: InboxPort) -> None:
        def away(of: Letter, _known: Incident | None, _opener: Opener) -> Handled:
            if of.alert.fingerprint == "f1":
                return Settled(incident=incident(of), fate=Fate.DUPLICATE)
            raise DependencyUnavailable("rules", "they are away")

        inbox.put([letter("f1"), letter("f2")])
        with pytest.raises(DependencyUnavailable, match="away"):
            inbox.turn(away, now=NOON)
        assert inbox.counts().waiting == 2
        assert inbox.incident("dev/search", "f1") is None
        clerk = Clerk()
        inbox.turn(clerk, now=NOON)
        assert clerk.seen == ["f1", "f2"]

    def test_a_held_letter_waits_for_its_time_and_lets_others_pass(self, inbox: InboxPort) -> None:
        clerk = Clerk()

        def patient(of: Letter, known: Incident | None, opener: Opener) -> Handled:
            if of.alert.fingerprint == "f1" and known is None:
                held = incident(of).model_copy(update={"held_until": NOON + 60 * SECOND})
                return Held(incident=held, again=NOON + 60 * SECOND)
            return clerk(of, known, opener)

        inbox.put([letter("f1"), letter("f2")])
        turn = inbox.turn(patient, now=NOON)
        assert turn is not None
        assert (turn.held, turn.handled, clerk.seen) == (1, 1, ["f2"])
        assert inbox.turn(patient, now=NOON + 59 * SECOND) is None
        assert inbox.counts().waiting == 1
        inbox.turn(patient, now=NOON + 60 * SECOND)
        assert clerk.seen == ["f2", "f1"]
        assert inbox.counts().waiting == 0

    def test_over_its_limit_it_refuses_and_takes_none_of_it(self, small: InboxPort) -> None:
        small.put([letter(f"f{number}") for number in range(8)])
        with pytest.raises(InboxFull, match="8 alerts wait and 10 may") as refusal:
            small.put([letter("x1"), letter("x2"), letter("x3")])
        assert refusal.value.retry_after > timedelta()
        assert small.counts().waiting == 8
        small.turn(Clerk(), now=NOON)
        small.put([letter("x1"), letter("x2"), letter("x3")])
        assert small.counts().waiting == 3

    def test_what_is_no_letter_is_kept_with_the_reason(self, inbox: InboxPort) -> None:
        first = inbox.set_aside('{"version": "9"}', "version: unknown")
        second = inbox.set_aside("nul \x00 " + "x" * 100_000, "body: is not JSON")
        assert second > first
        newest, oldest = inbox.aside()
        assert (oldest.number, oldest.reason, oldest.text) == (first, "version: unknown", '{"version": "9"}')
        assert len(newest.text) == 64 * 1024
        assert inbox.counts().aside == 2

    def test_old_letters_that_are_settled_go_and_those_that_wait_stay(self, inbox: InboxPort) -> None:
        inbox.put([letter("f1")])
        inbox.turn(Clerk(), now=NOON)
        inbox.put([letter("f2")])
        inbox.set_aside("odd", "odd")
        assert inbox.prune(datetime(2020, 1, 1, tzinfo=UTC)) == 0
        assert inbox.prune(datetime(2100, 1, 1, tzinfo=UTC)) == 2
        counts = inbox.counts()
        assert (counts.waiting, counts.settled, counts.aside) == (1, {}, 0)
        assert inbox.incident("dev/search", "f1") is not None  # it fires still

    def test_a_cycle_is_released_once_none_of_its_alerts_fires_and_a_turn_is_told(
        self, inbox: InboxPort, store: StorePort
    ) -> None:
        inbox.put([letter("f1")])
        inbox.turn(Clerk(), now=NOON)
        [cycle] = store.cycles()
        assert inbox.fires("dev/search", cycle.id) is True
        assert not inbox.release("dev/search", cycle.id)
        told: list[bool] = []

        def over(of: Letter, known: Incident | None, opener: Opener) -> Handled:
            assert known is not None
            told.append(opener.released(cycle.id))
            gone = known.model_copy(update={"status": AlertStatus.RESOLVED})
            return Settled(incident=gone, fate=Fate.RESOLVED, cycle_id=cycle.id)

        inbox.put([letter("f1")])
        inbox.turn(over, now=NOON)
        assert inbox.fires("dev/search", cycle.id) is False
        assert inbox.release("dev/search", cycle.id)
        assert inbox.release("dev/search", cycle.id)
        inbox.put([letter("f1")])
        inbox.turn(over, now=NOON)
        assert told == [False, True]
        assert inbox.fires("dev/other", cycle.id) is None

    def test_many_put_in_and_take_at_once_and_each_letter_is_handled_once(
        self, inbox: InboxPort, store: StorePort
    ) -> None:
        lock, handled = threading.Lock(), [0]
        clerk, done = Clerk(), threading.Event()

        def counting(of: Letter, known: Incident | None, opener: Opener) -> Handled:
            return clerk(of, known, opener)

        def put(name: int) -> None:
            for number in range(10):
                inbox.put([letter(f"f{name}-{number}", target=f"t{number % 3}")])

        def take() -> None:
            while True:
                over = done.is_set()
                turn = inbox.turn(counting, now=NOON, most=4)
                with lock:
                    handled[0] += turn.handled if turn else 0
                if turn is None and over:
                    return

        senders = [threading.Thread(target=put, args=(name,)) for name in range(6)]
        takers = [threading.Thread(target=take) for _ in range(3)]
        for thread in (*senders, *takers):
            thread.start()
        for thread in senders:
            thread.join()
        done.set()
        for thread in takers:
            thread.join()
        assert handled == [60]
        assert len(store.cycles()) == 3
        assert inbox.counts().waiting == 0
