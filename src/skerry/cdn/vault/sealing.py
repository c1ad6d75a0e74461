"""The form in which a copy lies in the vault: sealed, and bound to its place.

Owns the format (docs/internals/vault.md, version 1) and the names of objects. AES-256-GCM (NIST SP
800-38D, through `cryptography`) with a random key for each object, itself sealed under the vault's.
Never reads a file, and keeps no plain byte.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from skerry.base.errors import Party, SkerryError

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
CHUNK_BYTES = 256 << 10
PART_CHUNKS = 16
META_BYTES_MAX = 4 << 20
"""Of a record's plain text: a head of 64 KiB, its names, and a list of slices."""

_MAGIC = b"SKVT"
_FORM = struct.Struct(">4sB8s12s48sII16sQI12sI")
HEADER_BYTES = _FORM.size

Draw = Callable[[int], bytes]
"""So many random bytes, as `os.urandom` gives them."""


class Unsealable(SkerryError):
    """What lies in the vault is not what was put there, or not under this key."""

    party = Party.UPSTREAM


@dataclass(frozen=True, slots=True)
class VaultKey:
    """The vault's key, and what is derived from it (RFC 5869): one key for one purpose."""

    secret: bytes = field(repr=False)

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose."""
        info = f"skerry-vault/{VERSION} {purpose}".encode()
        return HKDFExpand(SHA256(), KEY_BYTES, info).derive(self.secret)

    @property
    def id(self) -> bytes:
        """8 bytes that tell keys apart and give none away."""
        return self.derived("id")[:8]

    def name(self, kind: str, text: str) -> str:
        """An object's name: says nothing to whoever has not the key."""
        mac = hmac.new(self.derived("name"), f"{kind}\n{text}".encode(), hashlib.sha256)
        found = mac.hexdigest()
        return f"{kind}/{found[:2]}/{found}"


@dataclass(frozen=True, slots=True)
class Header:
    """The beginning of a sealed object, opened.

    Attributes:
        parts: 0 when the chunks follow in the same object, else how many objects they are in.
        part_chunks: chunks in each part but the last.
        upload: what those are named after.
        size_bytes: of the plain body.
        meta: the plain text sealed in the header.
        sealed: the header as it lies there.
    """

    name: str
    key: bytes = field(repr=False)
    parts: int
    part_chunks: int
    upload: bytes
    size_bytes: int
    chunk_bytes: int
    meta: bytes
    sealed: bytes

    @property
    def chunk_count(self) -> int:
        return -(-self.size_bytes // self.chunk_bytes)

    def part_name(self, number: int) -> str:
        """Of the n-th part, counted from 0."""
        return f"{self.name}.{self.upload.hex()}/{number:06d}"


def seal_header(
    vault: VaultKey,
    name: str,
    meta: bytes,
    *,
    draw: Draw,
    size_bytes: int = 0,
    part_chunks: int = PART_CHUNKS,
    chunk_bytes: int = CHUNK_BYTES,
) -> Header:
    """A new object's header, with a key of its own."""
    key, wrap_nonce, meta_nonce = draw(KEY_BYTES), draw(NONCE_BYTES), draw(NONCE_BYTES)
    chunks = -(-size_bytes // chunk_bytes)
    parts = 0 if chunks <= part_chunks else -(-chunks // part_chunks)
    upload = draw(16)
    wrapped = AESGCM(vault.derived("wrap")).encrypt(wrap_nonce, key, _bound("key", name))
    fixed = _FORM.pack(
        _MAGIC, VERSION, vault.id, wrap_nonce, wrapped, parts, part_chunks, upload,
        size_bytes, chunk_bytes, meta_nonce, len(meta) + TAG_BYTES,
    )  # fmt: skip
    sealed = fixed + AESGCM(key).encrypt(meta_nonce, meta, _bound("meta", name) + fixed)
    return Header(name, key, parts, part_chunks, upload, size_bytes, chunk_bytes, meta, sealed)


def header_length(data: bytes) -> int:
    """How long a header is, by its first `HEADER_BYTES`. Raises Unsealable."""
    if len(data) < HEADER_BYTES or not data.startswith(_MAGIC):
        raise Unsealable("an object in the vault is not a sealed copy", next_step=_REPAIR)
    if data[4] != VERSION:
        raise Unsealable(
            f"an object in the vault has version {data[4]}, this node reads {VERSION}",
            next_step="use a node of that version",
        )
    length: int = _FORM.unpack(data[:HEADER_BYTES])[-1]
    if not TAG_BYTES <= length <= META_BYTES_MAX + TAG_BYTES:
        raise Unsealable("a sealed copy has a damaged header", next_step=_REPAIR)
    return HEADER_BYTES + length


def open_header(vault: VaultKey, name: str, data: bytes) -> Header:
    """The header that an object begins with. Raises Unsealable."""
    stop = header_length(data)
    fixed, sealed = data[:HEADER_BYTES], data[:stop]
    (_, _, key_id, wrap_nonce, wrapped, *form, meta_nonce, _) = _FORM.unpack(fixed)
    parts, part_chunks, upload, size, chunk = form
    if key_id != vault.id:
        raise Unsealable(
            "a copy in the vault is sealed under another key",
            next_step="put the key file back that was in use then (see docs/operating/vault.md)",
        )
    try:
        key = AESGCM(vault.derived("wrap")).decrypt(wrap_nonce, wrapped, _bound("key", name))
        aad = _bound("meta", name) + fixed
        meta = AESGCM(key).decrypt(meta_nonce, sealed[HEADER_BYTES:], aad)
    except InvalidTag as error:
        raise Unsealable("a sealed copy has a damaged header", next_step=_REPAIR) from error
    return Header(name, key, parts, part_chunks, upload, size, chunk, meta, sealed)


class Sealer:
    """Seals or opens the chunks of one object."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._cipher = AESGCM(header.key)

    @property
    def sealed_chunk_bytes(self) -> int:
        """Of every chunk but the last."""
        return NONCE_BYTES + self._header.chunk_bytes + TAG_BYTES

    def seal(self, number: int, plain: bytes, draw: Draw) -> bytes:
        """Chunk `number`, under a nonce of its own: a part that is sent again is sealed anew."""
        nonce = draw(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, self._place(number))

    def open(self, number: int, sealed: bytes) -> bytes:
        """The plain chunk `number`. Raises Unsealable."""
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, body, self._place(number))
        except (InvalidTag, ValueError) as error:
            raise Unsealable(
                "a sealed copy is damaged, cut or not in its place", next_step=_REPAIR
            ) from error

    def _place(self, number: int) -> bytes:
        """Where a chunk belongs: moved, swapped, cut off or of another object, it does not open."""
        count = self._header.chunk_count
        last = number == count - 1
        return _bound("chunk", self._header.name) + struct.pack(">QQ?", number, count, last)


_REPAIR = "run `skerry vault repair`: it is sent again from this node, if it has it"


def _bound(what: str, name: str) -> bytes:
    return f"skerry-vault/{VERSION} {what}\n{name}\n".encode()
