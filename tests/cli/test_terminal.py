"""What a person reads: control characters in names, narrow terminals, verdicts, chosen columns."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple import cli

EVIL = "Jet\x1b[31m_p\n\tT\x07\x9b2J\u202e\u2028end"
SHOWN = r"Jet\x1b[31m_p\n\tT\x07\x9b2J\u202e\u2028end"


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose names steer a terminal, and events with a file of some of their columns."""
    folder = tmp_path_factory.mktemp("terminal")
    draw = np.random.default_rng(1)
    np.savez(
        folder / "evil.npz", **{"ok": draw.normal(size=50), EVIL: draw.normal(size=50)}
    )
    ft.compress(folder / "evil.npz", folder / "evil.ftup", effort="fast")
    events = {
        name: draw.normal(size=50) for name in ("MET_pt", "MET_phi", "Jet_pt", "Jet_eta")
    }
    np.savez(folder / "a.npz", **events)
    np.savez(folder / "moved.npz", **events | {"Jet_pt": events["Jet_pt"] + 1})
    some = ft.Selection(columns=("Jet_*",))
    ft.compress(folder / "a.npz", folder / "all.ftup", effort="fast", tolerance="abs:0.1")
    ft.compress(folder / "a.npz", folder / "jets.ftup", effort="fast", selection=some)
    return folder


@pytest.fixture
def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    monkeypatch.chdir(folder)

    def call(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["flowtuple", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return call


def hidden(text: str) -> set[str]:
    """Return the characters of a text, without ends of lines, that steer or hide."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} - {
        "\n"
    }


class TestControlCharacters:
    @pytest.mark.parametrize(
        "words",
        [
            ["inspect", "evil.npz"],
            ["info", "evil.ftup"],
            ["verify", "evil.npz", "evil.ftup", "--all"],
            ["inspect", "evil.npz", "-t", f"{EVIL}=abs:0"],
            ["verify", "evil.npz", "evil.ftup", "--columns", EVIL, "--all"],
            ["inspect", "a.npz", "--columns", EVIL],
            ["info", f"{EVIL}.ftup"],
            ["info", "evil.ftup", f"--{EVIL}"],
        ],
    )
    @pytest.mark.parametrize("width", ["40", "200"])
    def test_names_are_seen_and_steer_nothing(
        self,
        words: list[str],
        width: str,
        run: Callable[..., Ended],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("COLUMNS", width)
        ended = run(*words)
        assert not hidden(ended.out + ended.err)
        assert r"\x1b[31m" in ended.out + ended.err
        if ended.code:
            assert re.fullmatch(r"flowtuple: [^\n]+\n", ended.err)

    def test_json_is_json(self, run: Callable[..., Ended]) -> None:
        columns = json.loads(run("inspect", "evil.npz", "--json").out)["tables"][0][
            "columns"
        ]
        assert [column["name"] for column in columns] == ["ok", EVIL]

    def test_objects_trees_and_titles_of_root(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        with uproot.recreate(tmp_path / "a.root") as file:
            file.mktree("t\x1b[2J", {"x": "f4"}, title=EVIL).extend(
                {"x": np.float32([1, 2])}
            )
            file["h\x1b[2J"] = np.histogram([1.0], bins=2)
        ended = run("inspect", str(tmp_path / "a.root"))
        assert not hidden(ended.out + ended.err)
        assert r"carried: h\x1b[2J" in ended.out
        assert r"t\x1b[2J: 2 events" in ended.out

    def test_warnings_of_the_library_are_one_line(
        self, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def warned(*_: object, **__: object) -> dict[str, object]:
            logging.getLogger("flowtuple").warning("%s: is odd", EVIL)
            return {"tables": [], "carried": [], "refused": {EVIL: "no numbers"}}

        monkeypatch.setattr("flowtuple.api.inspect", warned)
        assert run("inspect", "evil.npz").err == (
            f"flowtuple: warning: {SHOWN}: is odd\n"
            f"flowtuple: warning: {SHOWN} cannot be carried: no numbers\n"
        )

    @pytest.mark.slow
    def test_page(self, folder: Path, tmp_path: Path) -> None:
        page = ft.report(folder / "evil.npz", folder / "evil.ftup", tmp_path)
        text = page.read_text(encoding="utf-8")
        assert SHOWN in text
        assert not hidden(text)

    def test_notebook(self) -> None:
        text = repr(ft.Recompressed(_sizes(), {EVIL: "abs:1"}))
        assert SHOWN in text
        assert not hidden(text)
        html = ft.Recompressed(_sizes(), {EVIL + "<b>": "abs:1"})._repr_html_()
        assert f"{SHOWN}&lt;b&gt;" in html


def _sizes() -> ft.Compressed:
    return ft.Compressed(EVIL, 1, 1, 8, 8, 8, 0, ())


class TestWidth:
    @pytest.mark.parametrize("command", [["info", "all.ftup"], ["inspect", "a.npz"]])
    def test_narrow_tables_are_records(
        self,
        command: list[str],
        run: Callable[..., Ended],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        narrow = run(*command).out
        assert re.search(r"^MET_phi\n  type +float64\n", narrow, re.MULTILINE)
        monkeypatch.setenv("COLUMNS", "120")
        wide = run(*command).out
        assert re.search(r"│ MET_phi +│ float64 +│", wide)
        cells = re.findall(r"[^│\s]+", "".join(re.findall(r"^│.*$", wide, re.MULTILINE)))
        assert len(cells) > 12
        assert set(cells) <= set(narrow.split())

    def test_numbers_stay_whole_where_texts_are_folded(
        self, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "78")
        shown = run("verify", "moved.npz", "all.ftup", "--all").out
        assert "│" in shown
        assert max(map(len, shown.splitlines()[1:])) <= 78
        assert re.search(r"│ +50 │ +50 │ +1\.\d+ │", shown)


class TestStreams:
    @pytest.mark.slow
    def test_a_reader_of_the_help_that_has_seen_enough(self) -> None:
        read, write = os.pipe()
        os.close(read)
        command = [sys.executable, "-m", "flowtuple", "--help"]
        ended = subprocess.run(
            command, stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(write)
        assert (ended.returncode, ended.stderr) == (0, "")


class TestVerdict:
    def test_is_the_only_line_where_all_is_well(self, run: Callable[..., Ended]) -> None:
        assert run("verify", "a.npz", "all.ftup") == Ended(
            0, "ok: all.ftup: 200 values in 4 columns are within their bounds\n", ""
        )

    def test_comes_before_the_columns_that_fail(self, run: Callable[..., Ended]) -> None:
        ended = run("verify", "moved.npz", "all.ftup")
        first, title, *table = ended.out.splitlines()
        assert (ended.code, ended.err) == (1, "")
        assert first == (
            "FAILED: all.ftup: 1 of 4 columns failed, 50 of 200 values are outside their bound"
        )
        assert title.strip() == "all.ftup against moved.npz"
        assert sum("│ " in line for line in table) == 1
        assert "Jet_pt" in "".join(table)

    def test_all_lists_every_column(self, run: Callable[..., Ended]) -> None:
        ended = run("verify", "a.npz", "all.ftup", "--all")
        names = re.findall(r"^│ \w+/(\w+)", ended.out, re.MULTILINE)
        assert names == ["MET_pt", "MET_phi", "Jet_pt", "Jet_eta"]

    def test_names_the_columns_that_were_left_out(
        self, run: Callable[..., Ended]
    ) -> None:
        ended = run("verify", "a.npz", "jets.ftup")
        assert (ended.code, ended.out.count("\n")) == (0, 1)
        assert ended.out.endswith(
            "; of the original's columns 2 were left out: events/MET_pt, events/MET_phi\n"
        )

    def test_of_checksums(
        self, run: Callable[..., Ended], folder: Path, tmp_path: Path
    ) -> None:
        assert run("verify", "all.ftup").out == "ok: all.ftup: every checksum is right\n"
        with ft.File(folder / "all.ftup") as file:
            place = file.sections[-1].stop - 1
        data = bytearray((folder / "all.ftup").read_bytes())
        data[place] ^= 1
        (tmp_path / "bad.ftup").write_bytes(data)
        ended = run("verify", str(tmp_path / "bad.ftup"))
        assert ended.code == 1
        assert re.match(r"FAILED: .*bad\.ftup: 1 part is damaged or missing\n", ended.out)


class TestChosenColumns:
    @pytest.mark.parametrize(
        ("words", "columns"),
        [
            (["--columns", "Jet_*"], ["Jet_pt", "Jet_eta"]),
            (["--columns", "*_pt", "--exclude", "MET_*"], ["Jet_pt"]),
            (["--exclude", "*_pt"], ["MET_phi", "Jet_eta"]),
        ],
    )
    def test_are_those_of_inspect_and_verify(
        self, words: list[str], columns: list[str], run: Callable[..., Ended]
    ) -> None:
        (table,) = json.loads(run("inspect", "a.npz", *words, "--json").out)["tables"]
        assert [column["name"] for column in table["columns"]] == columns
        verified = json.loads(run("verify", "a.npz", "all.ftup", *words, "--json").out)
        assert [column["column"] for column in verified["columns"]] == columns

    def test_alone_decide(self, run: Callable[..., Ended]) -> None:
        assert run("verify", "moved.npz", "all.ftup", "--exclude", "Jet_pt").code == 0
        assert run("verify", "moved.npz", "all.ftup", "--columns", "Jet_pt").code == 1

    def test_may_be_those_that_compress_left_out(self, run: Callable[..., Ended]) -> None:
        ended = run("verify", "a.npz", "jets.ftup", "--exclude", "MET_*")
        assert (
            ended.out
            == "ok: jets.ftup: 100 values in 2 columns are within their bounds\n"
        )
        ended = run("verify", "a.npz", "jets.ftup", "--columns", "MET_*")
        assert (ended.code, ended.out) == (2, "")
        assert "jets.ftup: holds none of the columns that --columns and" in ended.err

    @pytest.mark.parametrize("option", ["--columns", "--exclude"])
    @pytest.mark.parametrize(
        "command", [["inspect", "a.npz"], ["verify", "a.npz", "all.ftup"]]
    )
    def test_of_an_unknown_name_are_refused(
        self, command: list[str], option: str, run: Callable[..., Ended]
    ) -> None:
        ended = run(*command, option, "Jet_eat")
        assert (ended.code, ended.out) == (2, "")
        assert (
            "a.npz: the name 'Jet_eat' matches no column; nearest: Jet_eta" in ended.err
        )

    def test_need_an_original(self, run: Callable[..., Ended]) -> None:
        ended = run("verify", "all.ftup", "--columns", "Jet_*")
        assert (ended.code, ended.out) == (2, "")
        assert "name the original before the file" in ended.err

    def test_bring_their_own_counters(self, tmp_path: Path) -> None:
        jets = ak.Array([[1.0, 2.0], [], [3.0]])
        events = {"Jet_pt": jets, "Jet_eta": jets, "MET_pt": [1.0, 2.0, 3.0]}
        ft.compress(events, tmp_path / "a.ftup", effort="fast")
        verified = ft.verify(events, tmp_path / "a.ftup", columns=["Jet_eta"])
        assert [c.column for c in verified if "n(" not in c.column] == ["Jet_eta"]
        assert len(verified) == 2


def test_errors_of_the_library_steer_no_terminal() -> None:
    names = {EVIL: [1.0, 2.0], "x": [1.0, 2.0]}
    with pytest.raises(ft.InvalidArgument, match="no column") as caught:
        ft.inspect(names, columns=["nothing"])
    assert SHOWN in str(caught.value)
    assert str(caught.value).isprintable()
