"""Numbers of the configuration: what is no finite number is a wrong entry, and never a limit that nothing reaches."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from domain.errors import ConfigurationError
from service.sections import JobsConfig, Reached
from service.settings import PREFIX, load


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "1e400"])
@pytest.mark.parametrize("name", ["MODEL_TIMEOUT_S", "MODEL_USD_PER_1M_TOKENS"])
def test_a_setting_that_is_no_finite_number_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load({PREFIX + name: value})


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_price_or_a_limit_of_time_that_is_no_finite_number_is_refused(value: float) -> None:
    for section, field in ((JobsConfig, "cpu_second_usd"), (Reached, "timeout_s")):
        with pytest.raises(ValidationError, match=field):
            section.model_validate({field: value})
