"""Python packages that only the tests and the benchmarks need, from the Python package index."""
import pathlib
import shutil
import subprocess

PYTHON = "/usr/bin/python3"
REQUIREMENTS = pathlib.Path(__file__).with_name("requirements.txt")
PIP_SECONDS = 600


def quietly(_, argv, seconds=None):
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return 124


def venv(place, run=quietly):
    """The Python of an environment with requirements.txt's packages, made in `place` where it is not there;
    None where they cannot be had. `run(name, argv, seconds=…)` returns a program's exit status."""
    python = place / "bin" / "python"
    stamp = place / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(place, ignore_errors=True)
    if run("venv", [PYTHON, "-m", "venv", str(place)]) != 0:
        return None
    if run("pip", [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1",
                   "--timeout", "20", "-r", str(REQUIREMENTS)], seconds=PIP_SECONDS) != 0:
        return None
    stamp.write_text(wanted)
    return python
