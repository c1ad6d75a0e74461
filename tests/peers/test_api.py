"""The admin API of a real node held to its document by schemathesis."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS

from skerry.app.admin.openapi import document
from tests.rig.pages import Pages, build
from tests.rig.processes import Rig

WRITES_FILES = ["/api/v1/export", "/api/v1/import", "/api/v1/vault/restore"]
"""Their paths are those of this machine: what a generator makes up must not be written."""


@pytest.fixture(scope="module")
def pages(shared: Rig) -> Pages:
    upstream = {"name": "up.test", "source": [{"url": "http://127.0.0.1:1", "plain_http": True}]}
    pages = build(shared, whole={"upstream": [upstream]})
    pages.random("/film", 3000)
    pages.curl("/film")
    return pages


@pytest.fixture(scope="module")
def token(pages: Pages) -> str:
    return (pages.node.folder / "data" / "admin.token").read_text().strip()


schema = schemathesis.openapi.from_dict(document()).exclude(path=WRITES_FILES)
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_api_is_what_its_document_says(case: Case, pages: Pages, token: str) -> None:
    answer = case.call_and_validate(
        base_url=f"http://{pages.node.admin}",
        headers={"Authorization": f"Bearer {token}"},
        # What is well formed may still name nothing that is here.
        # An upstream that cannot be reached is 503; a fault of the node's own is looked for below.
        excluded_checks=[
            CHECKS.get_one("positive_data_acceptance"),
            CHECKS.get_one("not_a_server_error"),
            # A query that names something unknown besides is answered as if it did not.
            CHECKS.get_one("negative_data_rejection"),
        ],
    )
    assert answer.status_code < 500 or answer.status_code == 503


def test_without_the_token_nothing_of_it_is_answered(pages: Pages) -> None:
    request = urllib.request.Request(f"http://{pages.node.admin}/api/v1/status")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)
