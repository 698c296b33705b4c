"""Models behind HTTP: an app for any ASGI server, and the server of `birnn serve`."""

from birnn.errors import require

require("fastapi", extra="serve")
require("prometheus_client", extra="serve")

from birnn.serving.app import app
from birnn.serving.limits import Limits

__all__ = ["Limits", "app"]
