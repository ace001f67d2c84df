"""Reading a file is light: no training, plotting or table package is loaded for it, and none is
needed. Commands load nothing that only others need.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import flowtuple as ft

UNWANTED = (
    "torch",
    "zuko",
    "dask",
    "distributed",
    "matplotlib",
    "hist",
    "mplhep",
    "pandas",
    "h5py",
    "sklearn",
    "jinja2",
)
# awkward loads pyarrow and numba loads scipy wherever they are installed; flowtuple itself may not.
LOADED_BY_OTHERS = ("pyarrow", "scipy")

MODELLED = str(Path(__file__).with_name("golden") / "flow.ftup")
NESTED = ("awkward", "pyarrow", "vector", "sympy")
FORMATS = ("uproot", "fsspec", "asyncio", "aiohttp", "pandas", "h5py", "jsonschema")
KERNELS = ("numba", "llvmlite", "scipy")
OTHERS = ("flowtuple.batch.jobs", "flowtuple.benchmark.published.layout")
TRAINING = ("torch", "flowtuple.training.lattices", "flowtuple.reporting.plots")

READ = """
    import flowtuple
    assert flowtuple.decompress({path!r})["x"].tolist() == [1.0, 2.5, -999.0]
    assert flowtuple.decompress({path!r})["Jet_pt"].tolist() == [[50.0], [], [20.0, 10.0]]
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("weight") / "small.ftup"
    ft.compress({"x": [1.0, 2.5, -999.0], "Jet_pt": [[50.0], [], [20.0, 10.0]]}, path)
    return str(path)


def run(before: str, path: str, after: str = "") -> str:
    """What a new interpreter prints, which must end well and warn of nothing."""
    script = "\n".join(
        textwrap.dedent(piece) for piece in (before, READ.format(path=path), after)
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_reading_loads_no_heavy_package(path):
    found = run(
        "import sys", path, f"print([name for name in {UNWANTED} if name in sys.modules])"
    )
    assert found.strip() == "[]"


@pytest.mark.slow
def test_others_and_not_flowtuple_load_pyarrow_and_scipy(path):
    watch = f"""
        import sys

        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name in {LOADED_BY_OTHERS}:
                    frame = sys._getframe(1)
                    while frame.f_globals.get("__name__", "").startswith("importlib"):
                        frame = frame.f_back
                    importer = frame.f_globals.get("__name__", "")
                    if importer.partition(".")[0] in ("flowtuple", "__main__"):
                        print(importer, "imports", name)
                return None

        sys.meta_path.insert(0, Watch())
    """
    assert run(watch, path) == ""


@pytest.mark.slow
def test_reading_needs_no_torch(path):
    assert run("import sys; sys.modules['torch'] = None", path) == ""


@pytest.mark.slow
def test_reading_needs_no_extra_at_all(path):
    names = UNWANTED + LOADED_BY_OTHERS
    assert run(f"import sys; sys.modules.update(dict.fromkeys({names}))", path) == ""


@pytest.mark.slow
def test_training_without_torch_names_the_extra(path):
    train = """
        sys.modules["torch"] = None
        try:
            flowtuple.compress({"x": [float(k) for k in range(5000)]}, {path!r} + ".new")
        except flowtuple.MissingExtra as error:
            print(error)
    """.replace("{path!r}", repr(path))
    assert (
        run("import sys", path, train).strip()
        == "training a flow needs the extra 'train': pip install 'flowtuple[train]'"
    )


def loaded_by(script: str, names: tuple[str, ...]) -> str:
    """Which of these modules a script leaves imported."""
    script += f"\nprint([name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}"],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def command(*words: str) -> str:
    """A script that runs the command line, which ends well."""
    return (
        f"sys.argv = ['flowtuple', *{words}]\n"
        "from flowtuple.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0"
    )


def test_importing_the_package_loads_nothing():
    names = ("numpy", "rich", "typer", *NESTED, *FORMATS, *KERNELS, *OTHERS, *TRAINING)
    assert loaded_by("import flowtuple", names) == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_loads_no_command(words):
    names = ("numpy", *NESTED, *FORMATS, *KERNELS, *OTHERS, *TRAINING)
    assert loaded_by(command(*words), names) == "[]"


@pytest.mark.slow
def test_info_loads_neither_kernels_nor_formats():
    names = (*NESTED, *FORMATS, *KERNELS, "rich.progress", "flowtuple.batch.jobs")
    assert loaded_by(command("info", MODELLED), names) == "[]"


@pytest.mark.slow
def test_decompressing_to_npz_loads_kernels_alone(tmp_path):
    words = ("decompress", MODELLED, "-o", str(tmp_path / "out.npz"))
    names = ("numba", *NESTED, *FORMATS, "rich", *OTHERS, *TRAINING)
    assert loaded_by(command(*words), names) == "['numba']"


@pytest.mark.slow
def test_kernels_keep_extensions_of_numba_for_others():
    """They are loaded for the first function of somebody else, not for a kernel."""
    pytest.importorskip("vector")
    script = f"""
import flowtuple
flowtuple.open({MODELLED!r}).arrays("b")
before = "vector" in sys.modules
import awkward, numba
assert not before
assert numba.njit(lambda a: len(a[0]))(awkward.Array([[1, 2], [3]])) == 2
"""
    assert loaded_by(script, ("vector",)) == "['vector']"
