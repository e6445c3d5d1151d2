"""Where access keys of AWS come from: environment, shared files, and when asked for the container or instance."""

from __future__ import annotations

import configparser
import datetime as dt
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, UsageError
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.kms.calling import Caller, Fault, Request, text
from chopmark.keys.kms.sigv4 import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.core.contracts import Web

_INSTANCE = "http://169.254.169.254"
_CONTAINER = "http://169.254.170.2"
_CONTAINER_HOSTS = frozenset({"127.0.0.1", "localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
_HINT = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in ~/.aws/credentials, or ?credentials=metadata"


class Source:
    """Credentials when they are needed, fetched again before they end."""

    def __init__(self, profile: str, web: Web, now: Callable[[], dt.datetime], *, metadata: bool) -> None:
        self._profile = profile
        self._now = now
        self._metadata = metadata
        self._caller = Caller(web, "AWS metadata", lambda _: Fault("", ""))
        self._held: Credentials | None = None

    def __call__(self) -> Credentials:
        """Some that are good for a while. Raises UsageError, UnusableKeyError without any, UnavailableError."""
        spare = dt.timedelta(seconds=limits.KMS_TOKEN_SPARE)
        if self._held is None or (self._held.until and self._now() > self._held.until - spare):
            self._held = self._found()
        return self._held

    def _found(self) -> Credentials:
        if self._metadata:
            return self._container() or self._instance()
        if found := _environment() or _file(self._profile):
            return found
        message = f"awskms: no credentials ({_HINT})"
        raise UnusableKeyError(message)

    def _container(self) -> Credentials | None:
        """ECS and EKS say where."""
        url = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
        if relative := os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ""):
            url = _CONTAINER + "/" + relative.lstrip("/")
        if not url:
            return None
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in _CONTAINER_HOSTS:
            message = "awskms: AWS_CONTAINER_CREDENTIALS_FULL_URI leads away from this machine"
            raise UsageError(message)
        token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if path := os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""):
            token = read_small(path, limits.KEY_FILE_MAX).decode("utf-8", "replace").strip()
        self._caller.secrets[:] = [token]
        headers = {"Authorization": token} if token else {}
        return _read(self._caller.json(lambda: Request("GET", url, headers, direct=True)))

    def _instance(self) -> Credentials:
        """IMDSv2: a session token first, then the role, then its keys."""
        base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _INSTANCE).rstrip("/")
        asked = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        answer = self._caller.answer(lambda: Request("PUT", f"{base}/latest/api/token", asked, direct=True))
        token = answer.body.decode("ascii", "replace").strip()
        self._caller.secrets[:] = [token]
        shown = {"X-aws-ec2-metadata-token": token}
        roles = f"{base}/latest/meta-data/iam/security-credentials/"
        listed = self._caller.answer(lambda: Request("GET", roles, shown, direct=True)).body
        role = listed.split(b"\n")[0].decode("ascii", "replace").strip()
        if not role.isprintable() or not role or set(role) & set("/?#"):
            message = "AWS metadata: the instance has no role"
            raise UnusableKeyError(message)
        return _read(self._caller.json(lambda: Request("GET", roles + role, shown, direct=True)))


def _read(found: dict[str, Any]) -> Credentials:
    where = "AWS metadata"
    until = text(found, "Expiration", where)
    try:
        ends = dt.datetime.fromisoformat(until).astimezone(dt.UTC)
    except ValueError:
        message = f"{where}: the credentials end at no time"
        raise UnusableKeyError(message) from None
    return Credentials(
        text(found, "AccessKeyId", where), text(found, "SecretAccessKey", where), text(found, "Token", where), ends
    )


def _environment() -> Credentials | None:
    access, secret = (os.environ.get(f"AWS_{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    return Credentials(access, secret, os.environ.get("AWS_SESSION_TOKEN", "")) if access and secret else None


def _file(profile: str) -> Credentials | None:
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    section = _section(path, profile)
    access, secret = section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
    return Credentials(access, secret, section.get("aws_session_token", "")) if access and secret else None


def region(profile: str) -> str:
    """That of a profile in the shared files; empty without."""
    path = os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    name = profile if profile == "default" else f"profile {profile}"
    return _section(path, name).get("region", "")


def _section(path: str, name: str) -> dict[str, str]:
    """A section of an INI file, empty where there is none. Raises UsageError, which never repeats what is in it."""
    try:
        data = read_small(os.path.expanduser(path), limits.KEY_FILE_MAX)
    except InputError:
        return {}
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(data.decode())
    except (configparser.Error, UnicodeDecodeError):
        message = f"{path}: not a file of AWS profiles"
        raise UsageError(message) from None
    return dict(parser[name]) if parser.has_section(name) else {}
