"""Flair's SequenceTagger on WNUT17: nothing is downloaded, words and characters come from train.

100-wide word vectors and a character LSTM of 25 by 25 units, trained with the rest; 256 hidden
units in each direction, CRF; Flair's own settings for all else.
"""

from __future__ import annotations

import logging
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import flair
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import ColumnCorpus
from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
from flair.models import SequenceTagger
from flair.trainers import ModelTrainer
from flair.trainers.plugins import MetricRecord, TrainerPlugin

WORD_WIDTH, CHARACTER_WIDTH, HIDDEN, BATCH = 100, 25, 256, 32
LABEL = "ner"


def read(folder: Path, most: int | None = None) -> Corpus[Sentence]:
    """The corpus; ``most`` keeps so many sentences of each file, for a try."""
    logging.getLogger("flair").setLevel(logging.ERROR)
    files = {f"{part}_file": f"{part}.conll" for part in ("train", "dev", "test")}
    corpus: Corpus[Sentence] = ColumnCorpus(
        folder, {0: "text", 1: LABEL}, column_delimiter="\t", **files
    )
    parts = [list(part)[:most] for part in (corpus.train, corpus.dev, corpus.test)]
    return Corpus(*parts, name=folder.name)


def build(corpus: Corpus[Sentence], seed: int = 1) -> SequenceTagger:
    """A tagger before its first step; one seed gives one tagger."""
    flair.set_seed(seed)
    words = OneHotEmbeddings.from_corpus(corpus, embedding_length=WORD_WIDTH, min_freq=2)
    characters = Dictionary()
    for sentence in corpus.train:
        for token in sentence:
            for character in token.text:
                characters.add_item(character)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "characters.pkl")
        # Flair's own format for such a dictionary, which it can only read from a file.
        told = {"idx2item": characters.idx2item, "item2idx": characters.item2idx}
        file.write_bytes(pickle.dumps(told))
        spelling = CharacterEmbeddings(
            str(file), char_embedding_dim=CHARACTER_WIDTH, hidden_size_char=CHARACTER_WIDTH
        )
    return SequenceTagger(
        embeddings=StackedEmbeddings([words, spelling]),
        tag_dictionary=corpus.make_label_dictionary(LABEL, add_unk=False),
        tag_type=LABEL,
        hidden_size=HIDDEN,
        use_crf=True,
    )


class Epochs(TrainerPlugin):
    """Times the batches of epochs, without what the trainer does between epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.losses: list[float] = []
        self._begun = 0.0

    @TrainerPlugin.hook
    def before_training_epoch(self, **_: Any) -> None:
        """Start the clock."""
        self._begun = time.perf_counter()

    @TrainerPlugin.hook
    def metric_recorded(self, record: MetricRecord) -> None:
        """Keep the loss of each batch."""
        if tuple(record.name) == ("train", "batch_loss"):
            self.losses.append(float(record.value))

    @TrainerPlugin.hook
    def after_training_epoch(self, **_: Any) -> None:
        """Stop the clock."""
        self.seconds += time.perf_counter() - self._begun


def train(
    tagger: SequenceTagger, corpus: Corpus[Sentence], *, epochs: int = 1, seed: int = 1
) -> tuple[float, Epochs]:
    """Some epochs with Flair's trainer and its defaults: tokens in a second, and the watch."""
    watch = Epochs()
    flair.set_seed(seed)
    # The dev set is scored after the clock has stopped: one sentence is enough.
    small = Corpus(corpus.train, list(corpus.dev)[:1], list(corpus.test)[:1], name="small")
    with tempfile.TemporaryDirectory() as folder:
        ModelTrainer(tagger, small).train(
            folder,
            mini_batch_size=BATCH,
            max_epochs=epochs,
            plugins=[watch],
            save_final_model=False,
            create_file_logs=False,
            create_loss_file=False,
            use_final_model_for_eval=True,
            attach_default_scheduler=False,  # it would follow the score of that one sentence
        )
    return epochs * tokens(corpus.train) / watch.seconds, watch


def predict(tagger: SequenceTagger, sentences: list[Sentence]) -> float:
    """Label the sentences, in which the answers then stand: tokens in a second."""
    tagger.eval()
    begun = time.perf_counter()
    tagger.predict(sentences, mini_batch_size=BATCH, label_name="predicted")
    return tokens(sentences) / (time.perf_counter() - begun)


def answers(sentences: list[Sentence], layer: str = "predicted") -> list[list[tuple[str, str]]]:
    """What was predicted: text and label of each span, sentence by sentence."""
    return [
        [(label.unlabeled_identifier, label.value) for label in sentence.get_labels(layer)]
        for sentence in sentences
    ]


def gold(sentences: list[Sentence]) -> list[list[tuple[str, str]]]:
    """What stands in the file, as `answers`."""
    return answers(sentences, LABEL)


def tokens(sentences: Any) -> int:
    """Tokens of some sentences."""
    return sum(len(sentence) for sentence in sentences)
