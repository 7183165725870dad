"""The file that an evaluation is read from.

{"language": "en",
 "documents": [{"document_id": "a", "name": "a.txt", "text": "…"}, {"document_id": "b", "path": "b.pdf"}],
 "questions": [{"question": "…", "document_id": "a", "answers": ["a span of the text", "another wording"]}],
 "unanswerable": ["a question that no document answers"]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.identifiers import Token


class DatasetError(ValueError):
    """The file is not an evaluation; the message says what is wrong with it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Document(_Part):
    """A document given by its text, or by a file relative to the folder of documents."""

    document_id: Token
    name: str = ""
    text: str | None = None
    path: Path | None = None

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if (self.text is None) == (self.path is None):
            raise ValueError("a document has either a text or a path")
        return self

    @property
    def shown_name(self) -> str:
        return self.name or (self.path.name if self.path else f"{self.document_id}.txt")


class Question(_Part):
    """A question, the document that answers it, and spans of its text any of which is the answer."""

    question: str = Field(min_length=1)
    document_id: Token
    answers: tuple[str, ...] = Field(min_length=1)


class Dataset(_Part):
    """What is asked of which documents."""

    language: str
    documents: tuple[Document, ...] = Field(min_length=1)
    questions: tuple[Question, ...] = ()
    unanswerable: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _asks_of_known_documents(self) -> Self:
        unknown = sorted({q.document_id for q in self.questions} - {d.document_id for d in self.documents})
        if unknown:
            raise ValueError(f"questions ask of documents that are not included: {', '.join(unknown[:3])}")
        return self


def load(file: Path, *, documents: Path | None = None) -> Dataset:
    """Read `file`; paths of documents are resolved against the folder `documents` (default: where the file is).

    Raises `DatasetError` when it cannot be read, is no evaluation, or names files that are not there.
    """
    try:
        dataset = Dataset.model_validate_json(file.read_bytes())
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise DatasetError(f"{file}: {'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}") from error
    folder = documents or file.parent
    resolved = tuple(d.model_copy(update={"path": folder / d.path}) if d.path else d for d in dataset.documents)
    missing = [str(d.path) for d in resolved if d.path and not d.path.is_file()]
    if missing:
        raise DatasetError(f"{file} names files that are not there (see --documents): {', '.join(missing[:3])}")
    return dataset.model_copy(update={"documents": resolved})
