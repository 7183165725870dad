"""Marks that mean something to a model besides what they say: those of passages, and of chat templates."""

from __future__ import annotations

import re

from workers.text.invisible import without_invisible

_NAMED = (
    r"(?:s|unk|pad|mask|bos|eos|think|thinking|tools?|tool_calls?|tool_response|function_calls?|sop|eop|tool▁\w+"
    r"|(?:unused|reserved_|extra_id_|special_|tool_use_)\d*|(?:start|end)_of_\w+|(?:beginning|begin|end)_of_\w+)>"
)
_ANGLED = rf"\s*/?\s*passage\b|[|｜]|/?{_NAMED}|</?SYS>>|seed:\w+|\w+\|>"
_BRACKETED = (
    r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS|IMG|g?MASK)\]|[|｜]"
)
_BEGIN = re.compile(rf"[<＜](?={_ANGLED})|\[(?={_BRACKETED})", re.IGNORECASE)


def without_marks(text: str) -> str:
    """`text` as mere text: what a reader sees of it, and nothing in it begins or ends a passage or a message.

    Engines read the marks of a model's chat template wherever they stand, also in what a user wrote.
    """
    return _BEGIN.sub("‹", without_invisible(text))
