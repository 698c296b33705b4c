"""Tasks, a file each: tagger, classifier, multilabel, regressor, seq2seq, filler."""

from typing import Annotated

from pydantic import Field

from birnn.tasks.classifier import Label
from birnn.tasks.evaluated import Scorer
from birnn.tasks.filler import Gaps
from birnn.tasks.head import FittedHead, Head
from birnn.tasks.multilabel import Labels
from birnn.tasks.pooling import Pooled, PoolingName
from birnn.tasks.regressor import Values
from birnn.tasks.scored import Decoder, Scored
from birnn.tasks.seq2seq import TargetSequence
from birnn.tasks.tagger import Tags

AnyHead = Annotated[
    Tags | Label | Labels | Values | TargetSequence | Gaps, Field(discriminator="kind")
]
"""The description of the head of any task."""

TASKS: dict[str, type[Head]] = {
    head.task: head for head in (Tags, Label, Labels, Values, TargetSequence, Gaps)
}
"""The tasks by the names that the command line has for them."""

__all__ = [
    "TASKS",
    "AnyHead",
    "Decoder",
    "FittedHead",
    "Gaps",
    "Head",
    "Label",
    "Labels",
    "Pooled",
    "PoolingName",
    "Scored",
    "Scorer",
    "Tags",
    "TargetSequence",
    "Values",
]
