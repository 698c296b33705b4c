"""Options of reading, and the request that a reader gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import (
    Field,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from birnn.data.alphabet import CHARACTERS, SPACES, Alphabet
from birnn.data.examples import TargetKind
from birnn.data.gaps import marked, with_gaps
from birnn.data.label_sets import LIST, ONE, WAYS, LabelSets
from birnn.data.missing import Rule
from birnn.data.source import MAX_LINE, Source
from birnn.data.tokeniser import SplitMode, Splitter
from birnn.errors import ConfigError, Tell, nearest
from birnn.schema import Frozen

FIELDS = {"upos": 3, "xpos": 4, "feats": 5, "deprel": 7}  # CoNLL-U: place of each in a line

Misaligned = Literal["snap", "drop", "refuse"]
"""What becomes of spans of characters that are no whole tokens."""
OffsetUnit = Literal["characters", "utf16", "bytes"]
"""What the offsets of spans count."""
Layout = Literal["long", "wide", "single"]
"""What a row of a table of series is: a step of one of several, a whole series, a step of one."""

SPLITS = ("source_split", "target_split")  # options of pairs alone

# Options that a bundle keeps, so that evaluate and predict read as training did. A format belongs
# to one file, limits to one machine.
_KEPT = (
    *("field", "columns", "text_column", "label_column", "label_split", "delimiter", "header"),
    "split",
    *SPLITS,
    *("series", "id_column", "time_column", "channels", "missing"),
)


class ReadOptions(Frozen):
    """What can be set about the reading of files.

    Example:
        >>> options = ReadOptions.of({"text_column": "review", "header": True})
        >>> options.kept()
        {'text_column': 'review', 'header': True}
        >>> ReadOptions.of({"label_column": "stars"}).over(options.kept()).text_column
        'review'
        >>> ReadOptions.of({"text_colum": "review"})
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: no option text_colum for reading: did you mean text_column?
    """

    format: str | None = Field(
        default=None, description="format of the files, where their ending does not tell"
    )
    field: str = Field(
        default="upos", description="column of CoNLL-U that holds the tags: " + ", ".join(FIELDS)
    )
    columns: dict[Literal["token", "tag"], int] | None = Field(
        default=None,
        description="columns of a CoNLL file, counted from 1, from the end if negative: "
        "token=2,tag=4",
    )
    text_column: str | None = Field(
        default=None, description="column of a table that holds the text: its name or number"
    )
    label_column: str | None = Field(
        default=None,
        description="column of a table that is learnt: its name or number; of values "
        "several, separated by commas; of sets of labels several columns of 0 and 1, likewise",
    )
    label_split: str | None = Field(
        default=None,
        description="how a cell or string that holds several labels is split: by a separator, "
        f"spaces, {LIST} (as JSON and Python write it), or {ONE}: it is one label",
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="delimiter of the cells of a table"
    )
    header: bool | None = Field(
        default=None, description="whether the first row of a table names its columns"
    )
    split: SplitMode = Field(
        default="auto",
        description="how words are found in a text: tokens at white space, text by the tokeniser, "
        "auto by what the text looks like (auto-tokens: at white space where that says nothing)",
    )
    source_split: str | None = Field(
        default=None,
        description="how a source is split into symbols, where targets are sequences: characters, "
        "spaces, or what separates them",
    )
    target_split: str | None = Field(default=None, description="how a target sequence is, likewise")
    series: Layout | None = Field(
        default=None,
        description="a table holds series: long, a row is a step of one of them; wide, a row is a "
        "series; single, the table is one series",
    )
    id_column: str | None = Field(
        default=None, description="column that tells the series of a long table apart"
    )
    time_column: str | None = Field(
        default=None, description="column of the time, by which the steps of a series are sorted"
    )
    channels: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="columns of a table of series that a model reads, in this order; of a wide "
        "one what stands before the numbers of its columns",
    )
    missing: Rule = Field(
        default="refuse",
        description="what fills missing values of series: forward (the last one), linear, zero, or "
        "refuse",
    )
    skip_unlabelled: bool = Field(
        default=False, description="leave rows without a label out, instead of refusing them"
    )
    misaligned: Misaligned = Field(
        default="snap",
        description="what becomes of spans that are no whole tokens: snap widens them, drop leaves "
        "them out, refuse stops",
    )
    offsets: OffsetUnit | None = Field(
        default=None,
        description="what offsets of spans count, where texts do not show it: characters, utf16, "
        "bytes",
    )
    max_line: PositiveInt = Field(default=MAX_LINE, description="longest line, in bytes")
    max_tokens: PositiveInt = Field(
        default=250_000, description="most tokens of a sequence: a model keeps kilobytes of each"
    )
    max_unpacked: PositiveInt | None = Field(
        default=None,
        description="most bytes that a .gz file may unfold to; by default 1,000 times its size, "
        "and 4 GiB at most",
    )

    # Options of a bundle that the caller did not give; they are not in model_fields_set.
    _of_model: frozenset[str] = PrivateAttr(default=frozenset())

    @field_validator("delimiter", mode="before")
    @classmethod
    def _parts_cells(cls, given: Any) -> Any:
        if given in ('"', "\n", "\r"):
            raise ValueError("quotes and line ends are no delimiters")
        return "\t" if given in ("tab", "\\t") else given

    @field_validator("channels", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        names = given.split(",") if isinstance(given, str) else given
        if not isinstance(names, list | tuple):
            return names
        found = [name.strip() if isinstance(name, str) else str(name) for name in names]
        if len(set(found)) < len(found):
            raise ValueError("a channel stands twice; name each once")
        return found

    @field_validator("text_column", "label_column", "id_column", "time_column", mode="before")
    @classmethod
    def _numbers_too(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):
            return ",".join(map(str, given))
        return str(given) if isinstance(given, int) and not isinstance(given, bool) else given

    @field_validator(*SPLITS, "label_split")
    @classmethod
    def _splits(cls, way: str | None, info: ValidationInfo) -> str | None:
        ways = WAYS if info.field_name == "label_split" else (CHARACTERS, SPACES)
        if way is None or way in ways:
            return way
        if not way.strip():
            return SPACES
        # A word is more likely a name that is mistyped than a separator.
        if len(way) > 1 and way.isalnum():
            raise ValueError(
                f"no way to split {way!r} (letters and digits alone are no separator): "
                f"{nearest(way, ways)}"
            )
        return way

    @field_validator("field")
    @classmethod
    def _known_field(cls, name: str) -> str:
        if name not in FIELDS:
            raise ValueError(f"no CoNLL-U field {name!r}: {nearest(name, FIELDS)}")
        return name

    @field_validator("columns")
    @classmethod
    def _from_one(cls, columns: dict[str, int] | None) -> dict[str, int] | None:
        for name, place in (columns or {}).items():
            if place == 0:
                raise ValueError(f"column of the {name} is 0; columns count from 1")
        if columns and len(set(columns.values())) < len(columns):
            raise ValueError("token and tag are one column; give each its own")
        return columns

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Options from keyword arguments; those that are ``None`` count as not given.

        Raises:
            ConfigError: An option that does not exist, or a value that does not fit.
        """
        for name in given:
            if name not in cls.model_fields:
                raise ConfigError(
                    f"no option {name} for reading: {nearest(name, cls.model_fields)}"
                )
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise ConfigError(
                "; ".join(
                    f"{'.'.join(map(str, fault['loc']))}: "
                    f"{fault['msg'].removeprefix('Value error, ')}, got {fault['input']!r}"
                    for fault in error.errors(include_url=False)
                )
            ) from None

    def kept(self, *, of_model: bool = False) -> dict[str, Any]:
        """The options set that a bundle keeps in its metadata.

        Args:
            of_model: Those alone that come from a bundle, in place of those that the caller gave.
        """
        own = self.model_fields_set
        given = self._of_model - own if of_model else own
        return self.model_dump(mode="json", include=set(given) & set(_KEPT))

    def over(self, kept: Mapping[str, Any]) -> Self:
        """These options, and for those not given the ones that a bundle kept."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        before = {name: getattr(self, name) for name in filter(self.of_model, _KEPT)}
        merged = self.of({name: kept[name] for name in _KEPT if name in kept} | before | own)
        merged._of_model = frozenset(merged.model_fields_set - own.keys())
        # A dump or copy holds what the caller gave, and nothing else.
        merged.model_fields_set.intersection_update(own)
        return merged

    def of_model(self, name: str) -> bool:
        """Whether the value of an option comes from a bundle, not from the caller.

        Example:
            >>> options = ReadOptions.of({"header": True}).over({"text_column": "review"})
            >>> options.of_model("text_column"), options.of_model("header")
            (True, False)
        """
        return name in self._of_model and name not in self.model_fields_set

    def given(self, name: str) -> bool:
        """Whether the caller gave an option."""
        return name in self.model_fields_set


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a reader is asked for; see `birnn.data.read`."""

    target: TargetKind = "tags"
    labelled: bool = True
    options: ReadOptions = ReadOptions()  # noqa: RUF009 - it is frozen
    found: dict[str, Any] = field(default_factory=dict, compare=False)
    alphabet: Alphabet | None = None
    labels: frozenset[str] = frozenset()
    tell: Tell | None = None
    _split: Splitter = field(init=False, repr=False, compare=False)
    label_sets: LabelSets = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_split", Splitter(self.options.split, self.tell))
        object.__setattr__(self, "label_sets", LabelSets(self.options.label_split, self.tell))

    def steps(self, text: str, where: str) -> tuple[str, ...]:
        """The steps of a text at this ``file:line``: words, or symbols where symbols are read.

        A guess gives one notice. The source of a target sequence has none yet: it is split when
        more of its file has been seen, by `birnn.data.pairs.split_pairs`.

        Example:
            >>> ReadRequest("label").steps("so good!", ""), ReadRequest("sequence").steps("cat", "")
            (('so', 'good', '!'), ())
        """
        if self.target == "sequence":
            return ()
        if self.alphabet is not None:
            return self.alphabet.split(text)
        if self.target == "gaps":
            return with_gaps(self._split(marked(text), where))
        return self._split(text, where)

    def keep(self, found: Mapping[str, object]) -> None:
        """Keep the columns that were recognised in what a program holds, as options of reading.

        A column of labels that was given stays: the caller's, or that of a target that came apart.

        Args:
            found: The options that would say the same.

        Example:
            >>> request = ReadRequest(options=ReadOptions(label_column="y"))
            >>> request.keep({"id_column": "id", "label_column": "target"})
            >>> request.found
            {'id_column': 'id'}
        """
        given = self.options.given("label_column")
        self.found.update({k: v for k, v in found.items() if k != "label_column" or not given})


class Unlabelled:
    """Rows of a file without a target: refused, or left out and counted, by the options."""

    def __init__(self, source: Source, request: ReadRequest) -> None:
        self._source = source
        self._leave_out = request.options.skip_unlabelled
        self._count = 0

    def skip(self, fault: str, line: int | None) -> None:
        """Count a row that is left out, or refuse it; ``fault`` is what is wrong with its target.

        Raises:
            FormatError: Such rows are not to be left out.
        """
        if not self._leave_out:
            raise self._source.fault(
                f"{fault}. Give every sequence one, or leave such rows out: --skip-unlabelled.",
                line,
            )
        self._count += 1

    def report(self) -> None:
        """Give notice of how many were left out, at the end of the file."""
        if self._count:
            rows = "row" if self._count == 1 else "rows"
            self._source.notice(f"{self._count} {rows} without a label left out")
