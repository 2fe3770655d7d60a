"""Addresses and keys of HTTP services as an operator writes them."""

from __future__ import annotations

import httpx

from domain.errors import ConfigurationError


def http_address(url: str, *, field: str) -> httpx.URL:
    """Return the address, without the slash at its end.

    Raises:
        ConfigurationError: it is none; names the field, and shows nothing of credentials.
    """
    shown = url.rpartition("@")[2]
    remedy = "Write e.g. https://service.example:8443"
    try:
        parsed = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ConfigurationError(field, f"{shown!r} is no address ({error})", remedy) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(field, f"{shown!r} is no address of an HTTP service", remedy)
    return parsed


def plain_key(key: str, *, field: str) -> str:
    """Return the key, fit to stand in a header.

    Raises:
        ConfigurationError: it is empty, or holds what no header may; names the field and shows nothing of the key.
    """
    if not key.strip() or not (key.isascii() and key.isprintable()):
        problem = "is empty, or holds characters that no key has"
        raise ConfigurationError(field, problem, "Set the key as its service shows it, without spaces and line ends")
    return key
