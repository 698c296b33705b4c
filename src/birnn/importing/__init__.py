"""Files of other frameworks, read and converted to bundles; no framework is needed for it."""

from birnn.importing.importer import import_model, imported

__all__ = ["import_model", "imported"]
