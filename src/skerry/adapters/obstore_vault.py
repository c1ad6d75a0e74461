"""Object stores as a vault, through obstore: S3, a local directory, Azure, GCS.

Owns the translation: names below the prefix, conditions, ranges, and errors at the seam, whose
messages carry no credential and no more of the store's words than its error code. Dials what is
configured and nothing else. Never retries (the outbox does) and never sees a plain byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from skerry.cdn.vault.ports import (
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    Offer,
    VaultRefused,
    VaultUnavailable,
    require_public,
)

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Credential

CHUNK_BYTES_MIN = 64 << 10
STALL_SECONDS = 30.0
"""Between two reads of a body, and for a whole small call."""
PUT_SECONDS = 300.0
CONNECT_SECONDS = 3.0

_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_STATUS = re.compile(r"status code: ([1-5][0-9]{2})")
_OURS = frozenset({
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "AuthorizationHeaderMalformed",
    "ExpiredToken", "InvalidAccessKeyId", "InvalidBucketName", "InvalidToken", "NoSuchBucket",
    "PermanentRedirect", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
})  # fmt: skip
_STEPS = {
    "NoSuchBucket": "create the bucket, or correct vault.url",
    "InvalidAccessKeyId": "correct the access key in vault.credentials_file",
    "SignatureDoesNotMatch": "correct the secret key in vault.credentials_file",
    "ExpiredToken": "renew the session token in vault.credentials_file",
    "RequestTimeTooSkewed": "set the node's clock",
    "AccessDenied": "let this key read, write, list and delete below the prefix",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the vault is.

    Attributes:
        url: `s3://bucket/prefix`, `file:///dir`, `az://container/prefix`, `gs://bucket/prefix`.
        endpoint: of an S3 that is not Amazon's.
        proxy_url: everything is dialled through it: the library follows redirects to anywhere.
        credentials: as the store calls them; never shown.
    """

    url: str
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    plain_http: bool = False
    ca_file: str = ""
    proxy_url: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


def open_vault(place: Place) -> ObstoreVault:
    """The vault; nothing is dialled yet. Raises VaultRefused for what obstore will not take."""
    if place.endpoint.startswith("http://") and not place.plain_http:
        step = "use https, or set vault.plain_http = true if that network may be trusted"
        raise VaultRefused("the vault's endpoint is not encrypted", next_step=step)
    parts = urlsplit(place.url)
    prefix = unquote(parts.path).strip("/") or None
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=PUT_SECONDS),
        "allow_http": place.plain_http,
        "user_agent": "skerry",
    }
    try:
        if place.proxy_url:
            options["proxy_url"] = place.proxy_url
        if place.ca_file:
            options["root_certificate"] = Path(place.ca_file).read_bytes()
        with _without_environment():
            return _opened(place, parts.scheme, parts.netloc, prefix, options)
    except (BaseError, ValueError, OSError) as error:
        raise VaultRefused(
            f"the vault cannot be set up ({type(error).__name__})",
            next_step="correct [vault] and its credentials_file; see docs/reference/settings.md",
        ) from error


def _opened(
    place: Place, scheme: str, bucket: str, prefix: str | None, options: ClientConfig
) -> ObstoreVault:
    if scheme == "file":
        folder = Path(unquote(urlsplit(place.url).path))
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        return ObstoreVault(LocalStore(folder, automatic_cleanup=True), reads_back=True)
    if scheme == "s3":
        return ObstoreVault(_s3(place, bucket, prefix, options))
    given = dict(place.credentials)
    if scheme == "gs":
        config = {**given, **({"base_url": place.endpoint} if place.endpoint else {})}
        gcs = GCSStore(
            bucket, prefix=prefix, config=config,  # type: ignore[arg-type]
            client_options=options, retry_config=_NO_RETRY,
        )  # fmt: skip
        return ObstoreVault(gcs, reads_back=True)
    config = {**given, **({"endpoint": place.endpoint} if place.endpoint else {})}
    azure = AzureStore(
        bucket, prefix=prefix, config=config,  # type: ignore[arg-type]
        client_options=options, retry_config=_NO_RETRY,
    )  # fmt: skip
    return ObstoreVault(azure, reads_back=True)


@contextmanager
def _without_environment() -> Iterator[None]:
    """The library takes endpoints, proxies and switches from there, some of them before what it is
    given: whoever sets a variable must not turn the node to another address."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_TAKEN)}
    try:
        yield
    finally:
        os.environ.update(taken)


_TAKEN = ("AWS_", "AZURE_", "GOOGLE_", "GCP_", "OBJECT_STORE_")
_NO_RETRY: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}


def _s3(place: Place, bucket: str, prefix: str | None, options: ClientConfig) -> S3Store:
    given = place.credentials

    def credentials() -> S3Credential:
        # Handed over by us at each call: the environment and the cloud's metadata address, which
        # the library would otherwise ask, are nothing that was configured.
        return {
            "access_key_id": given.get("access_key_id", ""),
            "secret_access_key": given.get("secret_access_key", ""),
            "token": given.get("session_token") or None,
            "expires_at": None,
        }

    endpoint = place.endpoint or f"https://s3.{place.region}.amazonaws.com"
    return S3Store(
        bucket,
        prefix=prefix,
        config={
            "endpoint": endpoint,
            "region": place.region,
            "virtual_hosted_style_request": not place.path_style,
            # The store checks what it got before it says that it has it.
            "checksum_algorithm": "SHA256",
            "conditional_put": "etag",
        },
        client_options=options,
        retry_config=_NO_RETRY,
        credential_provider=credentials,
    )


class ObstoreVault:
    """`cdn.vault.ports.Vault` over one obstore store.

    With `reads_back` a put is believed once the bytes were read again: such a store takes no
    checksum of ours.
    """

    def __init__(
        self, store: S3Store | LocalStore | AzureStore | GCSStore, *, reads_back: bool = False
    ) -> None:
        self._store = store
        self._reads_back = reads_back

    async def put(self, offer: Offer, *, replace: bool = False) -> ObjectInfo:
        require_public(offer.data_class)
        mode: Literal["create", "overwrite"] = "overwrite" if replace else "create"
        try:
            async with asyncio.timeout(PUT_SECONDS):
                put = await obstore.put_async(
                    self._store, offer.name, offer.data, mode=mode, use_multipart=False
                )
        except (BaseError, OSError, TimeoutError) as error:
            raise _translated(error) from error
        if self._reads_back:
            await self._same(offer)
        return ObjectInfo(offer.name, len(offer.data), put["e_tag"] or "")

    async def head(self, name: str) -> ObjectInfo | None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                return _info(await obstore.head_async(self._store, name))
        except FileNotFoundError:
            return None
        except (BaseError, OSError, TimeoutError) as error:
            raise _translated(error) from error

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        if stop <= start:
            return
        try:
            async with asyncio.timeout(STALL_SECONDS):
                got = await obstore.get_async(self._store, name, options={"range": (start, stop)})
            chunks = got.stream(min_chunk_size=CHUNK_BYTES_MIN).__aiter__()
            while True:
                async with asyncio.timeout(STALL_SECONDS):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield bytes(chunk)
        except (BaseError, OSError, TimeoutError) as error:
            raise _translated(error) from error

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        try:
            pages = obstore.list(self._store, prefix or None, chunk_size=1000).__aiter__()
            while True:
                async with asyncio.timeout(STALL_SECONDS):
                    page = await anext(pages, None)
                if page is None:
                    return
                for meta in page:
                    yield _info(meta)
        except FileNotFoundError:
            return  # a directory that nothing was written to yet
        except (BaseError, OSError, TimeoutError) as error:
            raise _translated(error) from error

    async def delete(self, name: str) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await obstore.delete_async(self._store, name)
        except FileNotFoundError:
            return
        except (BaseError, OSError, TimeoutError) as error:
            raise _translated(error) from error

    async def close(self) -> None:
        """The library's pools end with the store."""

    async def _same(self, offer: Offer) -> None:
        hasher = hashlib.sha256()
        async for chunk in self.read(offer.name, 0, len(offer.data) + 1):
            hasher.update(chunk)
        if hasher.digest() != hashlib.sha256(offer.data).digest():
            raise VaultUnavailable(
                "the vault holds something else than what was written to it",
                next_step="check the store's disk; it is written again",
            )


def _info(meta: ObjectMeta) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["e_tag"] or "")


def _translated(error: BaseException) -> Exception:
    """Our error for one of the library's, whose text may quote requests at length."""
    if isinstance(error, AlreadyExistsError | PreconditionError):
        return ObjectExists("an object of that name is in the vault already")
    text = str(error)
    code, status = _CODE.search(text), _STATUS.search(text)
    said = code[1] if code else f"status {status[1]}" if status else ""
    denied = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
    if denied or said in _OURS:
        step = _STEPS.get(said, "check vault.url, its credentials and their rights")
        return VaultRefused(f"the vault refuses this node ({said or 'denied'})", next_step=step)
    if isinstance(error, FileNotFoundError):
        return ObjectMissing("there is no such object in the vault", next_step=_LOST)
    how = "took too long" if isinstance(error, TimeoutError) else said or _kind(text)
    return VaultUnavailable(
        f"the vault cannot be reached now ({how})",
        next_step="check the link and vault.url; what waits is sent when it answers",
    )


_LOST = "run `skerry vault repair`"


def _kind(text: str) -> str:
    """What the library says of a failed exchange, without its text."""
    kinds = ("Connect", "Timeout", "Body", "Decode", "Request", "No space left", "Read-only")
    return next((kind.lower() for kind in kinds if kind in text), "failed")
