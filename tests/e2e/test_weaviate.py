"""The whole stack with its index in Weaviate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.access import environment_of
from tests.e2e.waggle import LIGHT, Waggle
from tests.support.weaviate_site import WeaviateSite

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def collection(weaviate_site: WeaviateSite) -> Iterator[str]:
    with weaviate_site.collection() as name:
        yield name


@pytest.fixture(scope="module")
def waggle(tmp_path_factory: pytest.TempPathFactory, weaviate_site: WeaviateSite, collection: str) -> Iterator[Waggle]:
    stack = Waggle(data_dir=tmp_path_factory.mktemp("stack"), settings=LIGHT | weaviate_site.environment(collection))
    stack.up("--replicas", "embed=2")
    yield stack
    stack("down")


def rows(site: WeaviateSite, collection: str) -> int:
    """How many chunks Weaviate holds, of all tenants."""
    with site.admin() as admin:
        kept = admin.collections.use(collection)
        shards = [kept.with_tenant(name) for name in kept.tenants.get()]
        return sum(shard.aggregate.over_all(total_count=True).total_count or 0 for shard in shards)


def test_documents_are_found_answered_from_replaced_and_deleted(
    waggle: Waggle, weaviate_site: WeaviateSite, collection: str, tmp_path: Path
) -> None:
    file = tmp_path / "hours.txt"
    file.write_text("The honey shop in Quarrington opens at nine in the morning on weekdays.", encoding="utf-8")
    (tmp_path / "vault.md").write_text("# 金库\n\n艾伯斯顿金库的密码是4417。", encoding="utf-8")
    ingested = waggle.json("ingest", str(tmp_path / "hours.txt"), str(tmp_path / "vault.md"))["items"]
    assert {item["state"] for item in ingested} == {"ready"}
    assert rows(weaviate_site, collection) == 2
    assert not (waggle.data_dir / "index").exists()

    answer = waggle.json("ask", "When does the honey shop in Quarrington open?")
    assert answer["citations"]
    assert "nine" in answer["answer"]
    assert "4417" in waggle.json("search", "艾伯斯顿金库的密码")["passages"][0]["text"]

    file.write_text("The honey shop in Quarrington opens at eleven in the morning on weekdays.", encoding="utf-8")
    document_id = waggle.json("ingest", str(file))["items"][0]["document_id"]
    assert "eleven" in waggle.json("ask", "When does the honey shop in Quarrington open?")["answer"]

    waggle("documents", "rm", document_id)
    found = waggle.json("search", "honey shop Quarrington", "--top-k", "50")["passages"]
    assert all(passage["document_id"] != document_id for passage in found)


def test_a_worker_with_a_wrong_key_says_so(waggle: Waggle, weaviate_site: WeaviateSite, collection: str) -> None:
    wrong = weaviate_site.environment(collection) | {"WAGGLE_WEAVIATE_API_KEY": "wrong"}
    wrong |= {"WAGGLE_NATS_URL": waggle.nats_url, **environment_of(waggle.data_dir, "embed")}
    ran = Waggle(data_dir=waggle.data_dir, settings=wrong)("worker", "embed", code=2)
    assert "WAGGLE_WEAVIATE_API_KEY" in ran.stdout + ran.stderr
