"""Hears a model say that the passages hold no answer, before anybody is shown it."""

from __future__ import annotations

import re

from workers.generate.chat.template import NO_ANSWER

_AROUND = " \t\r\n\"'`*_.。!！:：[](){}<>"
"""What models put around a word that they are told to say alone."""


class RefusalGate:
    """Holds back the beginning of a reply for as long as it may become `NO_ANSWER`.

    Written so, or in capitals, it is a refusal whatever follows. "No answer" may be how a sentence begins ("No answer came
    until May"): it is a refusal where nothing follows.
    """

    def __init__(self) -> None:
        self._held: str | None = ""

    def feed(self, text: str) -> str:
        """What can be said now that `text` has come."""
        if self._held is None:
            return text
        self._held += text
        if self._may_refuse(self._held):
            return ""
        said, self._held = self._held, None
        return said

    def refuses(self) -> bool:
        """Whether what came is a refusal."""
        return self._held is not None and bool(_PLAIN.match(self._held) or _bare(self._held) == _REFUSAL)

    def finish(self) -> str:
        """What was held back to the end, if it was no refusal after all."""
        held, self._held = self._held or "", None
        return held

    @staticmethod
    def _may_refuse(text: str) -> bool:
        return bool(_PLAIN.match(text)) or _REFUSAL.startswith(_bare(text))


def _bare(text: str) -> str:
    return text.lstrip(_AROUND).replace(" ", "_").rstrip(_AROUND).upper()


_REFUSAL = _bare(NO_ANSWER)
_PLAIN = re.compile(rf"[{re.escape(_AROUND)}]*(?:(?i:{NO_ANSWER})|{NO_ANSWER.replace('_', ' ')})(?!\w)")
