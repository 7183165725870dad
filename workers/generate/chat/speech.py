"""What a model says in one reply, as readers get it."""

from __future__ import annotations

from collections import Counter

from contracts.answers import Usage
from workers.generate.base import Answer, Piece, Removed
from workers.generate.chat.citing import citations, supports
from workers.generate.chat.guard import OutputGuard
from workers.generate.chat.model import FinishReason, ReplyEnd, ReplyText
from workers.generate.chat.prompting import Conversation
from workers.generate.chat.refusal import RefusalGate
from workers.generate.markers import MarkerFilter
from workers.text.invisible import SeenFilter


class Speech:
    """Hears a reply item by item. What no reader sees goes first, so that it hides nothing from what comes after."""

    def __init__(self, conversation: Conversation) -> None:
        self._passages = conversation.passages
        self._seen = SeenFilter()
        self._gate = RefusalGate()
        self._markers = MarkerFilter(len(conversation.passages))
        self._guard = OutputGuard(conversation)
        self._heard = ""
        self.text = ""
        self.refused = False
        self.end = ReplyEnd(finish_reason=FinishReason.STOP, usage=Usage())

    @property
    def removed(self) -> Counter[Removed]:
        """How much was kept from readers so far, and why; citation markers aside."""
        return self._guard.removed + Counter({Removed.INVISIBLE: self._seen.removed})

    def hear(self, item: ReplyText | ReplyEnd) -> list[Piece]:
        """What readers get now that `item` has come."""
        if isinstance(item, ReplyEnd):
            self.end = item
            return []
        return self._say(self._guarded(self._markers.feed(self._gate.feed(self._seen.feed(item.text)))))

    def finish(self) -> list[Piece]:
        """What was held back, and the markers of an answer without any. Nothing when the model says that there is none."""
        self.refused = self._gate.refuses()
        if self.refused:
            return []
        cut = self.end.finish_reason is not FinishReason.STOP
        shown = self._guarded(self._markers.feed(self._gate.finish()) + self._markers.finish(cut=cut))
        if not citations(self._heard, self._passages):
            marks = "".join(f"[{number}]" for number in supports(self._heard, self._passages))
            shown += self._guarded(f" {marks}" if marks else "")
        return self._say(shown + self._guard.finish())

    def answer(self) -> Answer:
        """The whole of it, once it is finished."""
        reason = FinishReason.FILTERED if self._guard.ended else self.end.finish_reason
        return Answer(
            text=self.text,
            answered=True,
            citations=citations(self.text, self._passages),
            usage=self.end.usage,
            finish_reason=reason.value,
            removed_markers=self._markers.removed,
            removed=self.removed,
        )

    def _guarded(self, text: str) -> str:
        self._heard += text
        return self._guard.feed(text)

    def _say(self, text: str) -> list[Piece]:
        if not self.text:
            text = text.lstrip()
        self.text += text
        return [Piece(text=text)] if text else []
