"""How often the tokens of treebanks come back from their text, and how fast.

Tokens joined by spaces, and the raw sentences of a CoNLL-U file (``# text =``), are split as
`birnn predict` splits a line. Prints two Markdown tables.

    .venv/bin/python benchmarks/tokenisation.py --data FOLDER
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from birnn.data import read, tokenise
from birnn.data.tokeniser import Tokens, canonical, part

Sentences = Sequence[tuple[str, Tokens]]  # texts, and the tokens that they should have

JOINED = {
    "wnut17/test.conll": "tweets and forums",
    "ud-english-lines/test.conllu": "novels, manuals, debates",
    "brown/raw.txt.gz": "the Brown corpus, clitics whole",
    "movie-reviews/raw.txt.gz": "film reviews",
    "sst2/test.tsv": "film reviews",
}
RAW = (
    "ud-english-lines/test.conllu",
    "ud-english-lines/dev.conllu",
    "ud-english-lines/train.conllu",
)


def joined(path: Path) -> Sentences:
    """The token lists of a file, and their texts with a space between tokens."""
    if path.name.endswith(".txt.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            lists = [tuple(line.split()) for line in stream]
    elif path.parent.name == "sst2":
        lists = [tuple(line.split("\t")[0].split()) for line in path.read_text().splitlines()]
    else:
        lists = [tuple(map(str, example.inputs)) for example in read(path, "tags")]
    lists = [tuple(map(canonical, tokens)) for tokens in lists]
    return [(" ".join(tokens), tokens) for tokens in lists]


def raw(path: Path) -> Sentences:
    """The sentences of a CoNLL-U file as they were written, and their words."""
    texts = [line[9:] for line in path.read_text("utf-8").splitlines() if line[:9] == "# text = "]
    words = [tuple(map(str, example.inputs)) for example in read(path, "tags")]
    return list(zip(texts, words, strict=True))


def right(sentences: Sentences, split: Callable[[str], Tokens]) -> int:
    """Sentences whose tokens are found."""
    return sum(split(text) == tokens for text, tokens in sentences)


def automatic(text: str) -> Tokens:
    """Tokens as `birnn predict` finds them."""
    return part(text).tokens


def speed(texts: Sequence[str], split: Callable[[str], Tokens]) -> tuple[float, float]:
    """Tokens in a second of processor time: the first time, and the best of three again."""
    rates = []
    for _ in range(4):
        begun = time.process_time()
        count = sum(len(split(text)) for text in texts)
        rates.append(count / (time.process_time() - begun))
    return rates[0], max(rates[1:])


def rows(data: Path) -> Iterator[str]:
    """The tables, line by line."""
    yield "| sentences | from | right | of | share |"
    yield "|---|---|---|---|---|"
    for name, called in JOINED.items():
        sentences = joined(data / name)
        found = right(sentences, automatic)
        yield (
            f"| `{name}`, {called} | tokens joined by spaces | {found:,} | {len(sentences):,} "
            f"| {100 * found / len(sentences):.1f} % |"
        )
    for name in RAW:
        sentences = raw(data / name)
        found = right(sentences, automatic)
        yield (
            f"| `{name}` | `# text =` | {found:,} | {len(sentences):,} "
            f"| {100 * found / len(sentences):.1f} % |"
        )
    yield ""
    yield "| tokens/s, one core | first time | again |"
    yield "|---|---|---|"
    texts = [text for text, _ in raw(data / "ud-english-lines/train.conllu")]
    for called, split in (("`tokenise`", tokenise), ("`auto`", automatic)):
        first, again = speed(texts, split)
        yield f"| {called} | {first:,.0f} | {again:,.0f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not here: name the folder of the data sets by --data")
    for line in rows(arguments.data):
        print(line, flush=True)


if __name__ == "__main__":
    main()
