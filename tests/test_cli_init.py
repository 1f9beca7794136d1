"""`pcs-run init` writes a spec that is valid as it stands, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcs_runner.cli import main


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "file", "name"),
    [
        ([], "experiment.yaml", "experiment"),
        (["afm"], "afm.yaml", "afm"),
        (["afm.pcs.yml"], "afm.pcs.yml", "afm"),
        (["./scan-2.yaml"], "scan-2.yaml", "scan-2"),
    ],
)
def test_the_spec_is_named_after_its_file(capsys: pytest.CaptureFixture[str], arguments: list[str], file: str, name: str) -> None:
    assert main(["init", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{file}\n"
    assert captured.err == f"wrote pcs-spec.schema.json\nwrote {file}\nnext: pcs-run {file}\n"
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=pcs-spec.schema.json"
    assert f"# Run it:    pcs-run run {file}" in lines
    assert any(line.startswith(f"name: {name}  #") for line in lines)


def test_the_spec_is_valid() -> None:
    assert main(["init"]) == 0
    assert main(["validate", "experiment.yaml"]) == 0


def test_a_schema_above_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    Path("schemas").mkdir()
    Path("schemas/pcs-spec.schema.json").write_text("{}")
    Path("specs").mkdir()
    assert main(["init", "specs/afm"]) == 0
    assert capsys.readouterr().err == "wrote specs/afm.yaml\nnext: pcs-run specs/afm.yaml\n"
    first = Path("specs/afm.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/pcs-spec.schema.json"
    assert sorted(path.name for path in Path("specs").iterdir()) == ["afm.yaml"]


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("experiment.yaml").write_text("mine")
    assert main(["init"]) == 2
    assert capsys.readouterr().err == (
        "error: experiment.yaml exists already, and init overwrites nothing\nnext: pcs-run init experiment-2.yaml\n"
    )
    assert Path("experiment.yaml").read_text() == "mine"
    assert not Path("pcs-spec.schema.json").exists()


def test_a_name_that_cannot_name_a_spec_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "Rabi 1"]) == 2
    assert capsys.readouterr().err == (
        "error: 'Rabi 1' cannot name a spec: lower-case letters, digits, - and _, beginning with a letter or digit\n"
        "next: pcs-run init experiment\n"
    )


def test_a_folder_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "nowhere/afm"]) == 2
    assert capsys.readouterr().err == ("error: the folder nowhere does not exist\nnext: pcs-run init afm.yaml\n")
