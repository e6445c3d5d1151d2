"""Opening keys wherever they are: the place where keys meet the network."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from chopmark import keys

if TYPE_CHECKING:
    from chopmark.core.contracts import Signer, Web


def open_key(uri: str, passphrase: keys.Passphrase = keys.nothing) -> Signer:
    """As `keys.open_key`, keys in clouds included."""
    return keys.open_key(uri, passphrase, _web)


def _web() -> Web:
    from chopmark.net import http  # most keys are nearer

    fetcher = http.HttpFetcher()
    atexit.register(fetcher.close)
    return fetcher
