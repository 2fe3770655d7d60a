"""What the OpenAI SDK, and httpx beneath it, say went wrong, as our errors."""

from __future__ import annotations

import httpx
import openai

from domain.errors import DependencyError, DependencyTimeout, DependencyUnavailable

ADDRESS = "Check OPENAI_BASE_URL, and that EVERCREW_MODEL is a model the endpoint has"
SLOW = "Look at the endpoint's load, or raise EVERCREW_MODEL_TIMEOUT_S"
_REACH = "Check OPENAI_BASE_URL and the network"
_KEY = "Check OPENAI_API_KEY and what it may use"


def explained(name: str, error: openai.OpenAIError | httpx.HTTPError) -> DependencyError:
    """Return what a failed call of the model `name` means."""
    match error:
        case openai.APITimeoutError() | httpx.TimeoutException():
            return DependencyTimeout(name, "it did not answer in time", SLOW)
        case openai.APIConnectionError() | httpx.HTTPError():
            return DependencyUnavailable(name, f"it cannot be reached: {error.__cause__ or error}", _REACH)
        case openai.RateLimitError():
            return DependencyUnavailable(name, "it is limiting our rate", "Lower the load or raise the limit")
        case openai.InternalServerError():
            return DependencyUnavailable(name, f"it answered status {error.status_code}")
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return DependencyUnavailable(name, f"it refused the key (status {error.status_code})", _KEY)
        case openai.APIStatusError():
            return DependencyUnavailable(name, f"it refused the call (status {error.status_code})", ADDRESS)
        case _:
            return DependencyUnavailable(name, f"the call failed: {error}")
