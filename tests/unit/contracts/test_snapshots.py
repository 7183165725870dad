"""The checked-in contract is the code's contract, and it cannot change unnoticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from contracts.message import Message
from contracts.snapshots import ASYNCAPI_FILE, IncompatibleContractError, Snapshots, asyncapi, travelling_messages

FOLDER = Path(__file__).parents[3] / "docs" / "contracts"


class Greeting(Message):
    """A message."""

    text: str


class TestCheckedInContract:
    def test_the_asyncapi_document_is_up_to_date(self) -> None:
        recorded = json.loads((FOLDER / ASYNCAPI_FILE).read_text(encoding="utf-8"))
        assert recorded == asyncapi(), "run `make docs`"

    @pytest.mark.parametrize("message", travelling_messages())
    def test_every_message_has_the_shape_recorded_for_its_version(self, message: type[Message]) -> None:
        snapshots = Snapshots(folder=FOLDER)
        assert snapshots.recorded(message), "run `make docs`"
        snapshots.check(message)

    @pytest.mark.parametrize("message", travelling_messages())
    def test_a_message_is_made_with_the_version_of_its_class(self, message: type[Message]) -> None:
        assert message.model_fields["schema_version"].default == message.VERSION

    def test_every_reference_of_the_document_resolves(self) -> None:
        whole = asyncapi()
        for reference in _references(whole):
            node = whole
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]


class TestChangingAContract:
    def test_a_new_field_without_a_version_raise_is_refused(self, tmp_path: Path) -> None:
        Snapshots(folder=tmp_path).write([Greeting])

        class Changed(Message):
            text: str
            mood: str | None = None

        Changed.__name__ = "Greeting"
        with pytest.raises(IncompatibleContractError, match="mood"):
            Snapshots(folder=tmp_path).write([Changed])

    def test_a_narrower_field_is_refused(self, tmp_path: Path) -> None:
        Snapshots(folder=tmp_path).write([Greeting])

        class Changed(Message):
            text: str = Field(max_length=3)

        Changed.__name__ = "Greeting"
        with pytest.raises(IncompatibleContractError, match="maxLength"):
            Snapshots(folder=tmp_path).check(Changed)

    def test_a_raised_version_may_change_and_keeps_the_old_snapshot(self, tmp_path: Path) -> None:
        Snapshots(folder=tmp_path).write([Greeting])

        class Changed(Message):
            VERSION: ClassVar[int] = 2
            schema_version: int = Field(default=2, ge=1)
            mood: str

        Changed.__name__ = "Greeting"
        Snapshots(folder=tmp_path).write([Changed])
        assert {p.name for p in tmp_path.iterdir()} == {"Greeting.v1.json", "Greeting.v2.json", ASYNCAPI_FILE}

    def test_descriptions_and_defaults_may_change(self, tmp_path: Path) -> None:
        Snapshots(folder=tmp_path).write([Greeting])

        class Changed(Message):
            """Another description."""

            text: str = Field(description="What to say.")

        Changed.__name__ = "Greeting"
        Snapshots(folder=tmp_path).check(Changed)


def _references(node: object) -> list[str]:
    if isinstance(node, list):
        return [r for item in node for r in _references(item)]
    if not isinstance(node, dict):
        return []
    here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return here + [r for value in node.values() for r in _references(value)]
