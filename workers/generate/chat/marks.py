"""Marks that mean something to a model besides what they say: those of passages, and of chat templates."""

from __future__ import annotations

import re

_ANGLED = r"\s*/?\s*passage\b|[|｜]|/?(?:s|unk|pad|bos|eos|think)>|(?:start|end)_of_turn>|</?SYS>>"
_BRACKETED = r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK)\]|[|｜]"
_BEGIN = re.compile(rf"<(?={_ANGLED})|\[(?={_BRACKETED})", re.IGNORECASE)


def without_marks(text: str) -> str:
    """`text` as mere text: nothing in it begins or ends a passage or a message.

    Engines read the marks of a model's chat template wherever they stand, also in what a user wrote.
    """
    return _BEGIN.sub("‹", text)
