"""Models of other frameworks, read from their files and converted to bundles; none is imported."""

from birnn.importing.importer import Beside, import_model, imported
from birnn.importing.keras_layers import keras_layers

__all__ = ["Beside", "import_model", "imported", "keras_layers"]
