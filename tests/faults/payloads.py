"""What a hostile client may send: HTTP requests with the refusals they must get, and bodies of messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from contracts.documents import Chunk, EmbedRequest, IngestRequest, PurgeRequest
from contracts.queries import GenerateRequest, QueryRequest

KiB = 1024
MiB = 1024 * KiB
UPLOAD_MAX_BYTES = 1 * MiB
"""What the gateway under attack is set to."""
DOCUMENTS, QUERY = "/v1/documents", "/v1/query"
JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "multipart/form-data; boundary=x"}
MILLION = 1_000_000
NUL, LONE_SURROGATE = b"\\u0000", b"\\ud800"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A request and the statuses of which one must be its answer. `keeps` tells whether the connection must stay usable."""

    name: str
    statuses: frozenset[int]
    method: str = "POST"
    path: str = QUERY
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    body: bytes = b""
    keeps: bool = True


def attacks() -> Sequence[Attack]:
    """All of them. The million keys make it some 12 MB."""
    return [*_too_large(), *_structures(), *_texts(), *_values(), *_content_types(), *_heads(), *_forms()]


def hostile_messages() -> Mapping[str, Sequence[bytes]]:
    """By subject kind: messages of which each breaks the schema, otherwise as like a good one as can be."""
    texts = {"ingest": "document_id", "embed": "name", "purge": "document_id", "query": "query", "generate": "query"}
    return {kind: [*_spoilt(kind, text)] for kind, text in texts.items()}


def _document(**members: Any) -> bytes:
    return json.dumps({"name": "hostile.txt", "text": "The hostile hive.", "document_id": "hostile"} | members).encode()


def _question(**members: Any) -> bytes:
    return json.dumps({"query": "which hostile hive", "deadline_s": 5} | members).encode()


def _nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def _keys(number: int) -> bytes:
    return b"{" + b",".join(b'"%x":0' % key for key in range(number)) + b"}"


def _with(body: bytes, member: bytes, value: bytes) -> bytes:
    """One more member, as bytes, which no encoder would write."""
    return body[:-1] + b', "' + member + b'": ' + value + b"}"


def _refused(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


def _too_large() -> Sequence[Attack]:
    return [
        Attack(name="a question of 200 kB", statuses=_refused(413), body=_question(query="x" * 200 * KiB)),
        Attack(
            name="a text above the limit of uploads",
            statuses=_refused(413),
            path=DOCUMENTS,
            body=_document(text="x" * 2 * UPLOAD_MAX_BYTES),
        ),
        Attack(
            name="a text above the limit of JSON",
            statuses=_refused(413),
            path=DOCUMENTS,
            body=_document(text="x" * 13 * MiB),
        ),
        Attack(
            name="a file above the limit of uploads",
            statuses=_refused(413),
            path=DOCUMENTS,
            headers=_FORM,
            body=_form(b"x" * 2 * UPLOAD_MAX_BYTES),
        ),
    ]


def _structures() -> Sequence[Attack]:
    return [
        Attack(name="100 levels", statuses=_refused(422), body=_with(_question(), b"filters", _nested(100))),
        Attack(
            name="100 levels in a document",
            statuses=_refused(422),
            path=DOCUMENTS,
            body=_with(_document(), b"metadata", _nested(100)),
        ),
        Attack(name="10,000 levels", statuses=_refused(422), body=_nested(10_000)),
        Attack(name="100,000 levels in a document", statuses=_refused(422), path=DOCUMENTS, body=_nested(100_000)),
        Attack(name="unclosed levels", statuses=_refused(400, 422), body=b"[" * 10_000),
        Attack(name="a million keys", statuses=_refused(422), path=DOCUMENTS, body=_keys(MILLION)),
        Attack(name="5,000 keys", statuses=_refused(422), body=_with(_question(), b"filters", _keys(5000))),
        Attack(
            name="a thousand pairs of metadata",
            statuses=_refused(422),
            path=DOCUMENTS,
            body=_document(metadata={f"k{n}": "v" for n in range(1000)}),
        ),
    ]


def _texts() -> Sequence[Attack]:
    return [
        Attack(name="NUL in a question", statuses=_refused(422), body=_question(query="which\x00hive")),
        Attack(name="NUL in a text", statuses=_refused(422), path=DOCUMENTS, body=_document(text="a\x00b")),
        Attack(name="NUL in a name", statuses=_refused(422), path=DOCUMENTS, body=_document(name="a\x00b")),
        Attack(name="a NUL byte", statuses=_refused(400, 422), body=b'{"query": "which\x00hive"}'),
        Attack(name="a lone surrogate", statuses=_refused(400, 422), body=b'{"query": "which \\ud800 hive"}'),
        Attack(
            name="a lone surrogate in a text",
            statuses=_refused(400, 422),
            path=DOCUMENTS,
            body=b'{"name": "hostile.txt", "text": "a \\udfff b"}',
        ),
        Attack(name="bad UTF-8", statuses=_refused(400, 422), body=b'{"query": "which \xff\xfe hive"}'),
        Attack(name="overlong UTF-8", statuses=_refused(400, 422), body=b'{"query": "which \xc0\x80 hive"}'),
        Attack(name="a surrogate in UTF-8", statuses=_refused(400, 422), body=b'{"query": "which \xed\xa0\x80 hive"}'),
        Attack(name="UTF-16", statuses=_refused(400, 422), body=_question().decode().encode("utf-16")),
    ]


def _values() -> Sequence[Attack]:
    return [
        Attack(name="no body", statuses=_refused(400, 422)),
        Attack(name="half a body", statuses=_refused(400, 422), body=_question()[:-5]),
        Attack(name="no object", statuses=_refused(422), body=b'"which hive"'),
        Attack(name="unknown members", statuses=_refused(422), body=_question(tenant="other")),
        Attack(
            name="infinite time", statuses=_refused(400, 422), body=_with(b'{"query": "x"}', b"deadline_s", b"1e999")
        ),
        Attack(name="no number", statuses=_refused(400, 422), body=_with(b'{"query": "x"}', b"deadline_s", b"NaN")),
        Attack(
            name="a number of 5,000 digits",
            statuses=_refused(400, 422),
            body=_with(b'{"query": "x"}', b"top_k", b"9" * 5000),
        ),
        Attack(name="a wildcard as id", statuses=_refused(422), path=DOCUMENTS, body=_document(document_id="a.>")),
        Attack(name="a path as id", statuses=_refused(422), path=DOCUMENTS, body=_document(document_id="../../etc")),
        Attack(name="white space only", statuses=_refused(422), body=_question(query=" \n\t ")),
        Attack(name="NUL in a path", statuses=_refused(404, 422), method="GET", path=f"{DOCUMENTS}/a%00b", headers={}),
        Attack(name="bad UTF-8 in a path", statuses=_refused(404, 422), method="GET", path=f"{DOCUMENTS}/%ff%fe"),
    ]


def _content_types() -> Sequence[Attack]:
    wrong = ("text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonx", "x" * 1000)
    return [
        *(
            Attack(
                name=f"content type {kind[:40]}",
                statuses=_refused(415),
                path=path,
                headers={"Content-Type": kind},
                body=body,
            )
            for kind in wrong
            for path, body in ((QUERY, _question()), (DOCUMENTS, _document()))
        ),
        Attack(name="no content type", statuses=_refused(415), headers={}, body=_question()),
        Attack(
            name="a form called JSON", statuses=_refused(400, 422), path=DOCUMENTS, body=_form(b"The hostile hive.")
        ),
    ]


def _heads() -> Sequence[Attack]:
    return [
        Attack(name="a header of 100 kB", statuses=_refused(431), headers={"X": "y" * 100 * KiB}, keeps=False),
        Attack(
            name="ten thousand headers",
            statuses=_refused(431),
            headers={f"X-{n}": "y" for n in range(10_000)},
            keeps=False,
        ),
        Attack(name="a path of 100 kB", statuses=_refused(400, 414, 431), path="/" + "y" * 100 * KiB, keeps=False),
        Attack(
            name="two lengths",
            statuses=_refused(400),
            headers=JSON | {"Transfer-Encoding": "chunked"},
            body=_question(),
            keeps=False,
        ),
        Attack(name="a foreign host", statuses=_refused(421), headers=JSON | {"Host": "a.example"}, body=_question()),
    ]


def _forms() -> Sequence[Attack]:
    form = partial(Attack, path=DOCUMENTS, headers=_FORM)
    return [
        Attack(
            name="a form without boundary",
            statuses=_refused(400),
            path=DOCUMENTS,
            headers={"Content-Type": "multipart/form-data"},
            body=_form(b"The hostile hive."),
        ),
        form(name="a form that breaks off", statuses=_refused(400), body=_form(b"x" * 5000)[:-10]),
        form(name="a form that is none", statuses=_refused(400), body=b"The hostile hive."),
        form(name="a file with NUL in its name", statuses=_refused(400, 422), body=_form(b"x", b"a\x00b")),
        form(name="a file with bad UTF-8 in its name", statuses=_refused(400), body=_form(b"x", b"a\xffb")),
    ]


def _form(content: bytes, name: bytes = b"hostile.txt") -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\n\r\n'
    return head + content + b"\r\n--x--\r\n"


def _spoilt(kind: str, text: str) -> Sequence[bytes]:
    """`text` names a member that holds a string."""
    good = _GOOD[kind]
    without = json.dumps({name: value for name, value in good.items() if name != text}).encode()
    return [
        _with(without, text.encode(), b'"a %s b"' % LONE_SURROGATE),
        _with(without, text.encode(), b'"a \xff\xfe b"'),
        _with(without, text.encode(), b'"a \xed\xa0\x80 b"'),
        _with(without, text.encode(), b'"a \x00 b"'),
        _with(without, text.encode(), _nested(100)),
        _with(without, text.encode(), _nested(100_000)),
        _with(without, text.encode(), _keys(50_000)),
        _with(json.dumps(good).encode(), b"surprise", NUL.join((b'"', b'"'))),
        json.dumps(good | {"tenant": "a\x00b"}).encode(),
        json.dumps(good | {"tenant": "*.>"}).encode(),
        json.dumps(good).encode("utf-16"),
        b"[" + json.dumps(good).encode() + b"]",
        _with(without, text.encode(), b'"' + b"x" * 200 * KiB)[:-1],
    ]


_GOOD: Mapping[str, dict[str, Any]] = {
    "ingest": IngestRequest(document_id="hostile", generation="g", name="hostile.txt", sha256="0" * 64).model_dump(
        mode="json"
    ),
    "embed": EmbedRequest(
        document_id="hostile",
        generation="g",
        plan_id="0" * 64,
        batch=0,
        name="hostile.txt",
        chunks=(Chunk(ordinal=0, text="The hostile hive.", start=0, end=17),),
    ).model_dump(mode="json"),
    "purge": PurgeRequest(document_id="hostile", generation="g").model_dump(mode="json"),
    "query": QueryRequest(query="which hostile hive").model_dump(mode="json"),
    "generate": GenerateRequest(
        query_id="hostile", query="which hostile hive", passages=(), deadline=datetime(2100, 1, 1, tzinfo=UTC)
    ).model_dump(mode="json"),
}
