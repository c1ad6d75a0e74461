"""The vault's port, held by the memory twin and by a local directory. On a real S3: tests/peers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from skerry.adapters.obstore_vault import Place, open_vault
from skerry.cdn.ports import DataClass
from skerry.cdn.vault.ports import NotPublic, Offer, VaultRefused, VaultUnavailable
from skerry.cdn.vault.testing import CHECKS, Check, MemoryVault, offer


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_memory_twin_keeps_the_port_s_promises(check: Check) -> None:
    await check(MemoryVault())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_directory_keeps_the_port_s_promises(check: Check, tmp_path: Path) -> None:
    await check(open_vault(Place(f"file://{tmp_path}/vault")))


@pytest.mark.parametrize("data_class", [DataClass.SENSITIVE, "public", "", None])
def test_an_offer_of_anything_but_the_public_class_cannot_be_made(data_class: object) -> None:
    with pytest.raises(NotPublic):
        Offer("c/ab/one", b"secret", data_class)  # type: ignore[arg-type]


async def test_a_dead_endpoint_is_unavailable_and_the_message_has_no_secret() -> None:
    place = Place(
        "s3://bucket/prefix",
        endpoint="http://127.0.0.1:1",
        plain_http=True,
        credentials={"access_key_id": "AKSECRET", "secret_access_key": "SKSECRET"},
    )
    assert "SECRET" not in repr(place)
    with pytest.raises(VaultUnavailable) as told:
        await open_vault(place).put(offer("c/ab/one"))
    assert "SECRET" not in f"{told.value}{told.value.__cause__}"
    assert told.value.next_step


def test_an_http_endpoint_that_was_not_allowed_is_never_dialled() -> None:
    place = Place("s3://bucket", endpoint="http://127.0.0.1:1")
    with pytest.raises(VaultRefused):
        open_vault(place)


async def test_no_address_but_the_configured_one_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialled: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    elsewhere = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for name in (
        "AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_METADATA_ENDPOINT",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_STS_ENDPOINT",
    ):  # fmt: skip
        monkeypatch.setenv(name, elsewhere)
    keys = {"access_key_id": "a", "secret_access_key": "b"}
    place = Place("s3://bucket", endpoint="http://127.0.0.1:1", plain_http=True, credentials=keys)
    with pytest.raises(VaultUnavailable):
        await open_vault(place).put(offer("c/ab/one"))
    with pytest.raises(VaultUnavailable):
        await open_vault(place).head("c/ab/one")
    assert dialled == []
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("url", ["az://container/prefix", "gs://bucket/prefix"])
async def test_azure_and_gcs_are_set_up_from_a_url_and_report_an_endpoint_that_is_dead(
    url: str, tmp_path: Path
) -> None:
    keys = {"account_name": "x", "account_key": "c2VjcmV0"} if url[:2] == "az" else {}
    if url[:2] == "gs":
        keys = {"skip_signature": "true"}
    place = Place(url, endpoint="http://127.0.0.1:1", plain_http=True, credentials=keys)
    with pytest.raises(VaultUnavailable) as told:
        await open_vault(place).put(offer("c/ab/one"))
    assert "c2VjcmV0" not in f"{told.value}"
    wrong = Place(url, credentials={"no_such_field": "secret-value"})
    with pytest.raises(VaultRefused) as refused:
        open_vault(wrong)
    assert "secret-value" not in str(refused.value)
