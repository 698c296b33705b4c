"""What `birnn serve` is measured against: taggers behind FastAPI, as their guides have them.

    python benchmarks/serving_peers.py onnx|flair DIR

DIR is the folder of a trained tagger, whose graph ONNX Runtime runs, and whose vocabularies and
sizes Flair's tagger gets. Run by benchmarks/serving.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Question(BaseModel):
    """The body of a request."""

    text: str


def onnx(folder: str) -> Callable[[str], list[str]]:
    """The graph that `birnn export` writes, with birnn's tokeniser before it."""
    from birnn.data import tokenise
    from birnn.export.onnx import load, write
    from birnn.runtime import Predictor

    model = Predictor.load(folder)
    with tempfile.TemporaryDirectory() as at:
        path = Path(at, "tagger.onnx")
        write(model.bundle, path)
        graph = load(path, model.bundle)
    return lambda text: graph.answers([tokenise(text)])[0]


def flair(folder: str) -> Callable[[str], list[str]]:
    """Flair's tagger with word and character embeddings and hidden units as the bundle's."""
    import torch
    from flair.data import Dictionary, Sentence
    from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
    from flair.models import SequenceTagger

    logging.getLogger("flair").setLevel(logging.ERROR)
    torch.manual_seed(1)
    spec = json.loads(Path(folder, "birnn.json").read_text())["spec"]
    vocabularies = json.loads(Path(folder, "vocab.json").read_text())

    def dictionary(items: list[str]) -> Any:
        made = Dictionary()
        for item in items:
            made.add_item(item)
        return made

    inputs = spec["inputs"]
    words = OneHotEmbeddings(dictionary(vocabularies["words"]), embedding_length=inputs["dim"])
    characters = dictionary(vocabularies["characters"])
    with tempfile.TemporaryDirectory() as at:
        file = Path(at, "characters.pkl")
        told = {"idx2item": characters.idx2item, "item2idx": characters.item2idx}
        file.write_bytes(pickle.dumps(told))
        spelling = CharacterEmbeddings(
            str(file),
            char_embedding_dim=inputs["characters"]["dim"],
            hidden_size_char=inputs["characters"]["hidden_size"],
        )
    tagger = SequenceTagger(
        embeddings=StackedEmbeddings([words, spelling]),
        tag_dictionary=dictionary(vocabularies["labels"]),
        tag_type="pos",
        hidden_size=spec["encoder"]["hidden_size"],
        rnn_layers=spec["encoder"]["num_layers"],
        use_crf=spec["head"]["decoder"] == "crf",
        reproject_embeddings=False,
    )
    tagger.eval()

    def answer(text: str) -> list[str]:
        sentence = Sentence(text)
        tagger.predict(sentence)
        return [token.tag for token in sentence]

    return answer


def main() -> None:
    """Serve on a port that is free, and tell it."""
    which, folder = sys.argv[1:]
    answer = {"onnx": onnx, "flair": flair}[which](folder)
    app = FastAPI()

    @app.post("/predict")
    def predict(question: Question) -> dict[str, Any]:  # FastAPI runs it in a thread
        return {"tags": answer(question.text)}

    # asyncio sends answers without delay on sockets that say they are of TCP.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", file=sys.stderr, flush=True)
    config = uvicorn.Config(app, log_level="error", access_log=False)
    asyncio.run(uvicorn.Server(config).serve([listening]))


if __name__ == "__main__":
    main()
