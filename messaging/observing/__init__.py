"""Series, alerts, rules and figures are asked for at the observer that leads.

ObserverDesk     asks: the gateway
ObserverOffice   answers: the observer, while it leads
Answer           what is asked for, or why not
"""

from messaging.observing.answers import Answer
from messaging.observing.desk import ObserverDesk
from messaging.observing.errors import (
    AnswerLostError,
    NoObserverError,
    ObserverSlowError,
    ObserverUnavailableError,
    RefusedError,
)
from messaging.observing.office import Handler, ObserverOffice

__all__ = [
    "Answer",
    "AnswerLostError",
    "Handler",
    "NoObserverError",
    "ObserverDesk",
    "ObserverOffice",
    "ObserverSlowError",
    "ObserverUnavailableError",
    "RefusedError",
]
