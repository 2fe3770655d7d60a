"""What libraries read from the environment while they are imported: set once, before anything is built."""

from __future__ import annotations

from agents.build import REQUIRED_ENVIRONMENT
from service.config import Config
from service.settings import Settings

HOUSEKEEPING = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DVC_NO_ANALYTICS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LANGSMITH_USE_DAEMON": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def environment_of(config: Config, settings: Settings) -> dict[str, str]:
    """Return the variables by name; a folder that one of them names is made."""
    return {**HOUSEKEEPING, **_crewai(settings), **_mlflow(config, settings)}


def _mlflow(config: Config, settings: Settings) -> dict[str, str]:
    """MLflow takes its credentials and the address of an S3 store from the environment."""
    told = {
        "MLFLOW_S3_ENDPOINT_URL": config.tracking.s3_endpoint_url,
        "MLFLOW_TRACKING_TOKEN": settings.tracking_token,
        "MLFLOW_TRACKING_USERNAME": config.tracking.username,
        "MLFLOW_TRACKING_PASSWORD": settings.tracking_password,
    }
    return {name: value for name, value in told.items() if value}


def _crewai(settings: Settings) -> dict[str, str]:
    storage = settings.home.expanduser().resolve() / "crewai"
    storage.mkdir(parents=True, exist_ok=True)
    return {**REQUIRED_ENVIRONMENT, "CREWAI_STORAGE_DIR": str(storage)}
