"""Tasks, a file each: tagger, classifier, regressor."""

from typing import Annotated

from pydantic import Field

from birnn.tasks.classifier import Label
from birnn.tasks.pooling import Pooled, PoolingName
from birnn.tasks.regressor import Values
from birnn.tasks.tagger import Tags

Head = Annotated[Tags | Label | Values, Field(discriminator="kind")]
"""The description of any head."""

__all__ = ["Head", "Label", "Pooled", "PoolingName", "Tags", "Values"]
