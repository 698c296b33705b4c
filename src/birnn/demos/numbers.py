"""Numbers in German words: the right side of a digit decides whether it is a unit or a hundred.

```
21,421,3        ein und zwanzig , vier hundert ein und zwanzig , drei
00021,00421     ein und zwanzig , vier hundert ein und zwanzig
```

A digit's word depends on its place, which is how many digits of its number follow; and the unit
is said before the ten. Of plain numbers the left side says nothing of the place. Of numbers with
zeros in front, up to `WIDTH` digits, it says all. The words are the same, so that nothing differs
but the side that decides.
"""

from __future__ import annotations

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo
from birnn.errors import ConfigError

PLAIN, ZEROS = "plain", "zeros in front"
MANY = (2, 4)  # numbers of a list
LENGTHS = (1, 4)  # digits of a number
WIDTH = LENGTHS[1] + 1  # digits with zeros in front, of which there is always one
COMMA = ","

UNITS = ("", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
TEENS = (
    "zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn",
    "neunzehn",
)  # fmt: skip
TENS = (
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
)  # fmt: skip
HUNDRED, THOUSAND, AND = "hundert", "tausend", "und"
ONE = "eins"  # at the very end; before another word it is "ein"


def in_words(number: int) -> tuple[str, ...]:
    """A number in German, word by word.

    Args:
        number: From 1 to 999,999.

    Raises:
        ConfigError: A number beyond these.

    Example:
        >>> " ".join(in_words(21)), " ".join(in_words(101)), " ".join(in_words(13_001))
        ('ein und zwanzig', 'ein hundert eins', 'dreizehn tausend eins')
    """
    if not 1 <= number <= 999_999:
        raise ConfigError(f"number is {number}, words are known from 1 to 999,999")
    thousands, rest = divmod(number, 1000)
    words = [*_below_thousand(thousands), THOUSAND] if thousands else []
    words += _below_thousand(rest)
    if words[-1] == UNITS[1]:
        words[-1] = ONE
    return tuple(words)


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [UNITS[hundreds], HUNDRED] if hundreds else []
    tens, units = divmod(rest, 10)
    if tens == 1:
        return [*words, TEENS[units]]
    if tens and units:
        return [*words, UNITS[units], AND, TENS[tens]]
    return words + [word for word in (TENS[tens], UNITS[units]) if word]


def generate(count: int, seed: int, *, split: demo.SplitName = "train") -> list[demo.Sample]:
    """Lists of numbers drawn at random, every other one with zeros in front.

    All lengths of a list and of a number are equally likely, and of a length all numbers. A list is
    of one split alone, with zeros and without.

    Args:
        count: How many.
        seed: Seed of the draw.
        split: ``train``, or ``test`` for lists that training never shows.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> for sample in generate(2, seed=3):
        ...     print("".join(sample.example.inputs), "=", " ".join(sample.example.target))
        48,531 = acht und vierzig , fünf hundert ein und dreißig
        00007,00129 = sieben , ein hundert neun und zwanzig
    """
    random = demo.rng(count, seed, split)
    samples: list[demo.Sample] = []
    while len(samples) < count:
        numbers = [_number(random) for _ in range(demo.between(random, MANY))]
        if not demo.in_split([str(number) for number in numbers], split):
            continue
        kind = (PLAIN, ZEROS)[len(samples) % 2]
        width = WIDTH if kind == ZEROS else 1
        written = COMMA.join(f"{number:0{width}}" for number in numbers)
        words = [word for number in numbers for word in (COMMA, *in_words(number))]
        samples.append(demo.Sample(Example(tuple(written), tuple(words[1:])), kind))
    return samples


def _number(random: np.random.Generator) -> int:
    digits = demo.between(random, LENGTHS)
    return demo.between(random, (10 ** (digits - 1), 10**digits - 1))


def places_known(kind: str) -> float:
    """Share of digits whose place the best bet of a reader from the left gets right.

    It is what an encoder's row can hold of a digit's place when it has read up to that digit: the
    limit of a row of one direction, though not of a decoder, which may look at later rows too.
    Zeros in front are not counted.

    Args:
        kind: `PLAIN` or `ZEROS`.

    Example:
        >>> places_known(PLAIN), places_known(ZEROS)
        (0.4, 1.0)
    """
    if kind == ZEROS:
        return 1.0
    lengths = range(LENGTHS[0], LENGTHS[1] + 1)
    # After so many digits of a number the lengths from there on are equally likely: one is bet on.
    return max(lengths) / sum(lengths)


DEMO = demo.Demo(
    name="numbers",
    title="A digit whose place is decided later",
    about="Lists of numbers, written out in German words: 421 is vier hundert ein und zwanzig. How "
    "a digit is said depends on its place, which is how many digits of its number follow. Half of "
    "the lists have zeros in front, so that all numbers have five digits and the place of a digit "
    "is known from the left.",
    one_direction="An encoder that reads from left to right cannot know a digit's place when it "
    f"reads it: of plain numbers the best bet is right for {100 * places_known(PLAIN):.0f} % of "
    "the digits. Its decoder is not lost. Attention may look ahead for the next comma, where it is "
    "known how long the number was, and the decoder's states may count back from there. So no "
    "limit is computed: what is measured is how much of this is learnt from these lists. In two "
    "directions the row of a digit has its place, and the decoder reads one digit after another.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=1200, test=400, epochs=14),
    settings=demo.BASE_SETTINGS
    | {
        "inputs.symbol_dim": 16,
        "encoder.cell": "gru",
        "encoder.hidden_size": 32,
        "head.dim": 16,
        "head.hidden_size": 64,
        "head.attention": "general",  # as wide a decoder behind either encoder
        "dropout.targets": 0,
        "dropout.decoder": 0,
        "training.label_smoothing": 0,
        "training.schedule": "linear",
        "training.warmup": 0.1,
        "training.batch_sequences": 32,
        "training.learning_rate": 0.015,
    },
    unit="lists",
    grouping="kind",
    groups=demo.by_kind(PLAIN, ZEROS),
    task="seq2seq",
    shown={
        PLAIN: "Plain numbers: the digits to the right decide",
        ZEROS: "Zeros in front: the digits to the left decide",
    },
    shown_each=2,
)
