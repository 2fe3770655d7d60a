"""Environment profiles: the same code in seconds or in days."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError, InvalidInput
from policies.contract import load_contract
from policies.durations import parse_duration
from policies.flags import FlagSet
from policies.packaged import ENVIRONMENTS, packaged_contract, packaged_profile
from policies.profiles import Profile, load_profile


def profile(name: str) -> Profile:
    return load_profile(packaged_profile(name), file=f"{name}.yaml")


DEV = profile("dev")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_packaged_profile_loads_and_fits_the_contract(name: str) -> None:
    loaded = profile(name)
    assert loaded.name == name
    assert load_contract(packaged_contract()).with_overrides(loaded.signals).signals


def test_the_three_contours_grow_in_risk() -> None:
    dev, staging, production = map(profile, ENVIRONMENTS)
    assert (dev.contour, staging.contour, production.contour) == ("mac", "oracle", "nvidia")
    assert dev.mock_signals
    assert not staging.mock_signals
    assert (dev.automation, staging.automation, production.automation) == ("mock", "staging", "full")
    assert staging.ab.split == production.ab.split == 0.2


def test_in_staging_a_person_promotes_and_in_production_nobody_has_to() -> None:
    for name, expected in (("dev", True), ("staging", False), ("production", True)):
        flags = FlagSet(defaults=profile(name).flag_defaults())
        assert flags.enabled("auto_promote", name) is expected
        assert flags.enabled("self_improvement_enabled", name)
        assert not flags.killed(name)


def test_production_takes_days_where_dev_takes_seconds() -> None:
    dev, production = profile("dev"), profile("production")
    assert production.ab.window == timedelta(days=7)
    assert production.watch.window == timedelta(hours=2)
    assert (production.watch.checks, production.watch.interval) == (12, timedelta(minutes=10))
    assert production.cycle_interval == timedelta(hours=4)
    assert production.max_cycles_per_day == 6
    assert production.budget.alert_share == 0.8
    assert production.ab.looks == 14
    assert dev.ab.window <= timedelta(seconds=60)
    assert dev.watch.window <= timedelta(seconds=30)


def test_a_required_approval_switches_automatic_promotion_off() -> None:
    text = packaged_profile("production").replace("manual_approval_required: false", "manual_approval_required: true")
    assert load_profile(text, file="p.yaml").flag_defaults()["auto_promote"] is False


def test_the_kill_switch_of_a_profile_reaches_the_flags() -> None:
    text = packaged_profile("production").replace("kill_switch: false", "kill_switch: true")
    assert FlagSet(defaults=load_profile(text, file="p.yaml").flag_defaults()).killed("production")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("checks: 12", "checks: 13", "watch"),
        ("split: 0.2", "split: 1.2", "ab.split"),
        ("window: 7d", "window: 7", "ab.window"),
        ("window: 7d", "window: 1h", "poll"),
        ("name: production", "name: prod", "name"),
        ("auto_promote: true", "auto_promotion: true", "features.auto_promot"),
        ("max_cycles_per_day: 6", "max_cycles_per_day: 0", "max_cycles_per_day"),
        ("cycle_usd: 50", "cycle_usd: .inf", "budget.cycle_usd"),
    ],
)
def test_a_broken_profile_is_refused_with_file_field_and_remedy(old: str, new: str, said: str) -> None:
    text = packaged_profile("production")
    assert old in text
    with pytest.raises(ConfigurationError, match=said) as raised:
        load_profile(text.replace(old, new, 1), file="mine.yaml")
    assert raised.value.field.startswith("mine.yaml")
    assert raised.value.remedy


def test_an_override_of_an_unknown_signal_is_refused_when_it_meets_the_contract() -> None:
    text = packaged_profile("staging") + "\nsignals:\n  mood:\n    limits:\n      - {kind: absolute, threshold: 1}\n"
    loaded = load_profile(text, file="p.yaml")
    with pytest.raises(InvalidInput, match="mood"):
        load_contract(packaged_contract()).with_overrides(loaded.signals)


def test_there_is_no_profile_but_the_three() -> None:
    with pytest.raises(FileNotFoundError):
        packaged_profile("moon")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("300ms", 0.3),
        ("1h30m", 5400),
        ("7d", 604800),
        ("PT2H", 7200),
        ("P7D", 604800),
        ("P1DT12H", 129600),
        ("PT0.5S", 0.5),
    ],
)
def test_durations_are_read_in_both_forms(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "5", "5 s", "P", "PT", "1h 30m", "-5s", "s5", 5, 5.0, None, "9999999999999d"])
def test_a_duration_without_a_unit_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@given(st.integers(0, 10**6))
def test_a_profile_round_trips_its_durations(seconds: int) -> None:
    loaded = DEV.model_copy(update={"cycle_interval": timedelta(seconds=seconds)})
    assert parse_duration(loaded.model_dump(mode="json")["cycle_interval"]) == timedelta(seconds=seconds)


@pytest.mark.parametrize("share", [0.125, 0.333, 0.005, 0.9999])
def test_a_share_of_users_that_would_be_rounded_is_refused(share: float) -> None:
    """The platform serves whole percents, and a rounded share would read as a broken split and cost the test."""
    with pytest.raises(ConfigurationError, match=r"mine\.yaml: ab\.split: must be whole percents"):
        load_profile(with_test(split=share), file="mine.yaml")


@pytest.mark.parametrize("percent", range(1, 100))
def test_every_whole_percent_is_a_share(percent: int) -> None:
    assert load_profile(with_test(split=percent / 100), file="mine.yaml").ab.split == percent / 100


def test_a_test_no_candidate_could_win_in_time_is_refused() -> None:
    window = int(DEV.ab.window.total_seconds())
    with pytest.raises(ConfigurationError, match=r"mine\.yaml: ab\.min_window: .* no candidate could ever win"):
        load_profile(with_test(min_window=f"{window + 1}s"), file="mine.yaml")
    assert load_profile(with_test(min_window=f"{window}s"), file="mine.yaml").ab.min_window == DEV.ab.window


def test_a_profile_that_was_recorded_before_it_would_be_refused_is_read_as_it_was() -> None:
    plain = DEV.model_dump(mode="json")
    recorded = {**plain, "ab": {**plain["ab"], "split": 0.125, "min_window": "30d"}}
    read = Profile.model_validate_json(json.dumps(recorded)).ab
    assert (read.split, read.min_window) == (0.125, timedelta(days=30))


def with_test(**changed: object) -> str:
    """Return the file of dev with another A/B test."""
    plain = yaml.safe_load(packaged_profile("dev"))
    return yaml.safe_dump({**plain, "ab": {**plain["ab"], **changed}})
