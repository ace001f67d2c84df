"""Compare what two versions write: `python tools/same_bytes.py OLD_CHECKOUT [--data FOLDER]`.

Both versions run the same commands on the same inputs, each in a process of its own. The tool
prints the SHA-256 of every output and exits with 1 where two differ. It uses only the command line
and the public names of the package, so that the versions may differ in their modules. ROOT outputs
are left out: they hold times and random UUIDs.

`--save FILE` stores the checksums of OLD_CHECKOUT. Later runs take FILE in place of the checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHARED = ("dimuon_rntuple.root", "nano_dy.root", "nanoAODv5_1000.root", "uproot-HZZ.root")
EVENTS = "../inputs/jets.root:Events"
WORDS = {
    "events": EVENTS,
    "simulated": "../inputs/simulated.parquet",
    "fast": "--effort fast",
    "some": "event,MET_pt,Jet_pt,Jet_mass,Jet_partonFlavour",
    "most": "MET_phi,Jet_pt,Jet_eta,Jet_phi,Jet_btagScore,Jet_partonFlavour",
}

COMMANDS = """
compress {events} -o lossless.ftup {fast} --columns MET_*,HLT_*,Jet_nMuons,Jet_area
compress {events} -o bounded.ftup {fast} -t *=rel:1e-3 -t *_phi=abs:1e-3 --columns {most}
compress {events} -o seed.ftup {fast} --seed 5 -t *=std:1e-3 --columns Jet_eta,Jet_mass
compress {events} -o external.ftup {fast} -t *=rel:1e-3 --given Jet_pt --columns Jet_pt,Jet_mass
recompress bounded.ftup -o wider.ftup {fast} -t *=rel:1e-2 -t *_phi=abs:1e-2
decompress bounded.ftup -o bounded.npz
decompress external.ftup -o external.npz --given {events}
train {events} -o events.flow {fast} --seed 3 -t *=rel:1e-3 --columns {some}
compress {events} -o with_model.ftup --model events.flow --columns {some}
merge with_model.ftup with_model.ftup -o merged.ftup
sample events.flow -n 3000 --seed 7 -o sampled.npz
sample external.ftup --given {events} -o conditional.npz
score events.flow {events} -o scores.npz
train {simulated} -o simulation.flow {fast} --target Jet_* --given GenJet_*
simulate simulation.flow {simulated} --seed 2 --oversample 2 -o simulated.npz
train {events} -o rows.flow --flow nsf --epochs 1 --hidden 8 --columns Jet_pt,Jet_mass
sample rows.flow -n 500 -o rows.npz
reference encode {events} -o codes.ref --columns Jet_pt,Jet_mass --epochs 1
"""


def arguments(command: str) -> list[str]:
    """Return the words of a command; `--columns A,B` becomes `--columns A --columns B`."""
    words = command.format(**WORDS).split()
    out: list[str] = []
    for option, word in zip(["", *words], words, strict=False):
        if option == "--columns":
            out += " --columns ".join(word.split(",")).split()
        else:
            out.append(word)
    return out


def write_simulated(path: Path, events: int = 6000) -> None:
    """Write generated jets and reconstructed partners of most of them."""
    draw = np.random.default_rng(1)
    counts = draw.poisson(2.0, events)
    total = int(counts.sum())
    generated = {
        "pt": draw.exponential(20, total) + 20,
        "eta": draw.uniform(-2.4, 2.4, total),
    }
    is_reconstructed = draw.random(total) < 0.8
    number = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    event = np.repeat(np.arange(events), counts)[is_reconstructed]
    partners = {name: content[is_reconstructed] for name, content in generated.items()}
    own = {
        "pt": partners["pt"] * draw.normal(0.9, 0.1, len(event)),
        "eta": partners["eta"] + draw.normal(0, 0.02, len(event)),
        "genJetIdx": number[is_reconstructed].astype("i4"),
    }
    jets = np.bincount(event, minlength=events)
    fields = {f"GenJet_{n}": ak.unflatten(c, counts) for n, c in generated.items()}
    fields |= {f"Jet_{n}": ak.unflatten(c, jets) for n, c in own.items()}
    ak.to_parquet(ak.zip(fields, depth_limit=1), path)


def run_command(words: list[str]) -> None:
    """Run one command of the version on the path, in this process."""
    sys.argv = ["flowtuple", *words]
    sys.modules.pop("flowtuple.__main__", None)
    try:
        runpy.run_module("flowtuple", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError(
                f"flowtuple {' '.join(words)} ends with {end.code}"
            ) from None


def make(folder: Path) -> None:
    """Write all outputs of the version on the path into a folder."""
    import flowtuple as ft

    os.chdir(folder)
    for command in COMMANDS.strip().splitlines():
        run_command(arguments(command))
    latent = ft.load("events.flow").to_latent(EVENTS)
    form, length, buffers = ak.to_buffers(ak.to_packed(latent))
    content = b"".join(np.ascontiguousarray(b).tobytes() for b in buffers.values())
    Path("latent.bin").write_bytes(f"{form.to_json()} {length}".encode() + content)
    for path in sorted(Path("../inputs/data").glob("*.root")):
        command = f"compress {path} -o {path.stem}.ftup --drop {{fast}} -t *=rel:1e-3"
        run_command(arguments(command))


def checksums(checkout: Path, inputs: Path) -> dict[str, str]:
    """Return the SHA-256 of each output of a checkout by file name."""
    folder = Path(tempfile.mkdtemp(dir=inputs.parent))
    command = [sys.executable, str(Path(__file__).resolve()), "--make", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
    ran = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True
    )
    if ran.returncode:
        sys.exit(f"{checkout}: {(ran.stderr.strip() or ran.stdout.strip())[-2000:]}")
    outputs = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix != ".root")
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in outputs}


def compared(old: dict[str, str], new: dict[str, str]) -> Iterator[tuple[bool, str]]:
    """Yield a line for each output, and whether it is the same in both."""
    for name in sorted(old.keys() | new.keys()):
        first, second = old.get(name, "missing"), new.get(name, "missing")
        same = first == second
        yield (
            same,
            f"{'same' if same else 'DIFFERENT':9} {name:28} {first[:16]} {second[:16]}",
        )


def main() -> int:
    """Run the command line of this tool."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "old", nargs="?", type=Path, help="a checkout, or what --save wrote"
    )
    parser.add_argument("--data", type=Path, help="folder with larger samples")
    parser.add_argument(
        "--save", type=Path, help="store the checksums of OLD here and stop"
    )
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make is not None:
        make(options.make)
        return 0
    if options.old is None or not options.old.exists():
        parser.error(
            "OLD_CHECKOUT is missing: name the folder of the version to compare with"
        )
    with tempfile.TemporaryDirectory() as scratch:
        inputs = Path(scratch) / "inputs"
        (inputs / "data").mkdir(parents=True)
        shutil.copy(ROOT / "src/flowtuple/samples/jets.root", inputs)
        write_simulated(inputs / "simulated.parquet")
        for path in (options.data / name for name in SHARED if options.data is not None):
            if path.is_file():
                (inputs / "data" / path.name).symlink_to(path.resolve())
        is_saved = options.old.is_file()
        old = (
            json.loads(options.old.read_text())
            if is_saved
            else checksums(options.old, inputs)
        )
        if options.save is not None:
            options.save.write_text(json.dumps(old, indent=1))
            return 0
        lines = list(compared(old, checksums(ROOT, inputs)))
    print("\n".join(line for _, line in lines))
    return 0 if all(same for same, _ in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
