"""Measures answers against a set of questions with known answers, whoever gives them."""

from cli.evaluation.dataset import Dataset, DatasetError, Document, Question, load
from cli.evaluation.metrics import Report
from cli.evaluation.procedure import Ask, ReadText, evaluate
from cli.evaluation.replies import Cited, Passage, Reply

__all__ = [
    "Ask",
    "Cited",
    "Dataset",
    "DatasetError",
    "Document",
    "Passage",
    "Question",
    "ReadText",
    "Reply",
    "Report",
    "evaluate",
    "load",
]
