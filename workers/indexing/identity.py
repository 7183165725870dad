"""What an index records of the encoder whose vectors it holds, and whether another encoder may use it."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.documents import CHUNKING_VERSION
from contracts.errors import PermanentError
from workers.encoding.base import EncoderIdentity
from workers.encoding.models import unrecorded_passage_prompt

_PROMPT = "passage_prompt"
_FORMAT = "format"
_PRECISION = "precision"
_DECISIVE = ("encoder", "dimension", _FORMAT, _PROMPT)
"""The rest tells people how the index was made: it may be otherwise in the next process."""


def recorded(identity: EncoderIdentity, *, format_: str) -> dict[str, str]:
    """What is written down when an index is made; `format_` is the index's own."""
    return {
        "encoder": identity.model,
        "dimension": str(identity.dimension),
        _FORMAT: format_,
        _PROMPT: identity.passage_prompt,
        _PRECISION: identity.precision,
        "chunking": CHUNKING_VERSION,
    }


def encoder_of(found: Mapping[str, str]) -> EncoderIdentity:
    """Whose vectors an index holds, by what it recorded."""
    prompt = found.get(_PROMPT)
    return EncoderIdentity(
        model=found["encoder"],
        dimension=int(found["dimension"]),
        passage_prompt=unrecorded_passage_prompt(found["encoder"]) if prompt is None else prompt,
        precision=found.get(_PRECISION, ""),
    )


def require_same(found: Mapping[str, str], ours: Mapping[str, str], *, index: str, renewal: str) -> None:
    """Raises `PermanentError` when the index was made with another encoder than this process has.

    `found` may be of a release that recorded no prompt: then it is the one that was used at that time. `index` names the
    index in the message, `renewal` is how to get a new one.
    """
    ours = {name: ours[name] for name in _DECISIVE}
    known = {name: found.get(name, "") for name in ours}
    if _PROMPT not in found:
        known[_PROMPT] = unrecorded_passage_prompt(known["encoder"])
    if known != ours and known == {**ours, _FORMAT: known[_FORMAT]}:
        raise PermanentError(
            f"{index} has format {known[_FORMAT]!r}, this release writes and reads format {ours[_FORMAT]!r}: build it anew "
            f"with `waggle index rebuild`, or {renewal}"
        )
    if known != ours:
        same_model = all(known[name] == ours[name] for name in ours if name != _PROMPT)
        setting = (
            "WAGGLE_ENCODER_PASSAGE_PROMPT to the recorded prompt"
            if same_model
            else "WAGGLE_ENCODER_MODEL to the recorded encoder"
        )
        raise PermanentError(
            f"{index} was made with {_spelled(known)}, this process has {_spelled(ours)}: set {setting}, build it anew "
            f"with `waggle index rebuild`, or {renewal}"
        )


def _spelled(identity: Mapping[str, str]) -> str:
    prompt = f", passage prompt {identity[_PROMPT]!r}" if identity[_PROMPT] else ""
    return f"encoder {identity['encoder']!r} ({identity['dimension']} dimensions, format {identity['format']}{prompt})"
