"""Sessions beside the test suite: lint, types, tests, the oldest supported dependencies."""

import nox

nox.options.sessions = ["lint", "types", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    session.install("-c", "constraints.txt", "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Strict typing of the library."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs)


@nox.session
def core(session: nox.Session) -> None:
    """Reading a file with nothing but the light core installed."""
    session.install(
        "-c", "constraints.txt", "-e", ".", "pytest", "pytest-xdist", "hypothesis"
    )
    session.run(
        "python",
        "-m",
        "pytest",
        "tests/file/test_golden.py",
        "tests/file/test_layout.py",
        *session.posargs,
    )


@nox.session
def large(session: nox.Session) -> None:
    """Compress and read back 5 GB within 2 GB of memory: half an hour, a sample as argument."""
    session.install("-c", "constraints.txt", "-e", ".[train]")
    session.run("python", "bench/scale.py", "large", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz the reader for a minute from the stored corpus; new inputs go to another folder."""
    session.install("-c", "constraints.txt", "-e", ".[fuzz]")
    found = session.create_tmp()
    options = ["-max_total_time=60", f"-artifact_prefix={found}/"]
    session.run(
        "python", "fuzz/read_file.py", found, "fuzz/corpus", *options, *session.posargs
    )
