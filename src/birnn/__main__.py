"""``python -m birnn`` is ``birnn``."""

from birnn.cli.main import run

if __name__ == "__main__":
    run()
