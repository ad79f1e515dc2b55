import inspect
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.cli.command import run

from infomax import cli, methods
from infomax.cli import main
from infomax.mi.tasks import TASKS
from infomax.studies import curves
from infomax.studies.collapse.plan import METHODS, sentences
from infomax.studies.tables.printed import METHODS as PRINTED
from infomax.words import many


def shown(capsys, *argv):
    """The help of a command, each option's on a line of its own."""
    code, said, _ = run(capsys, *argv, "--help")
    assert code == 0
    words = " ".join(re.sub(r"[│╭╮╰╯─*]|--(empty|no)-[a-z-]+", " ", said).split())
    return dict(re.findall(r"(--[a-z-]+) (.*?)(?= --[a-z][a-z-]* [A-Z]|$)", words))


@pytest.mark.parametrize("module", ["infomax", "infomax.cli"])
def test_the_package_is_its_command(capsys, monkeypatch, module):
    monkeypatch.setattr(sys, "argv", ["infomax", "methods"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert not ended.value.code and "simclr" in capsys.readouterr().out


def test_ctrl_c_while_torch_is_imported_is_one_line(tmp_path):
    (tmp_path / "torch.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = declared["infomax"].partition(":")
    program = f"import sys; from {module} import {function}; sys.exit({function}())"
    path = os.pathsep.join([str(tmp_path), str(Path(cli.__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stderr, done.stdout) == (130, "infomax: stopped\n", "")


def test_methods_prints_the_computed_table(capsys):
    code, out, _ = run(capsys, "methods")
    assert code == 0
    rows = {line.split("|")[0].strip(): line for line in out.splitlines() if "|" in line}
    assert set(methods.METHODS) <= set(rows)
    assert "the paper prints Joint, MI surrogate, JMI; computed EM, MI surrogate, SDMI" in out


def test_methods_json_is_a_list_of_objects(capsys):
    code, out, _ = run(capsys, "methods", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert set(rows) == set(methods.METHODS)
    assert rows["byol"]["optimisation"] == "EM" and rows["byol"]["paradigm"] == "SDMI"
    assert rows["simclr"]["optimisation"] == "Joint" and rows["simclr"]["objective"] == "explicit MI"
    assert rows["bgrl"]["paper"] == "Joint, MI surrogate, JMI" and rows["bgrl"]["differs"]


def test_no_option_of_a_method_hides_one_of_train():
    own = set(inspect.signature(cli.train.train).parameters)
    for name in methods.METHODS:
        assert not own & set(methods.options(name)), name


def test_the_help_tells_readings_of_the_bar_from_those_of_the_log(capsys):
    said = shown(capsys, "train")["--gauge-samples"]
    assert "of the log and of the last line" in said and "those of the bar are of the batch under way" in said


def test_unknown_command_and_missing_option(capsys):
    code, _, err = run(capsys, "trian")
    assert code == 2 and 'Did you mean "train"' in err and err.count("\n") == 1
    code, _, err = run(capsys, "train", "--method", "jmi", "--data", "digits")
    assert code == 2 and "--out" in err and err.count("\n") == 1
    code, _, err = run(capsys, "probe", "nowhere")
    assert code == 2 and "nowhere" in err and err.count("\n") == 1


def test_commands_in_messages_are_as_the_user_types_them(capsys, monkeypatch):
    for depth, typed in ((None, "(infomax recipes lists"), ("1", "(uv run infomax recipes lists")):
        if depth:
            monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", depth)
        assert typed in run(capsys, "train", "--config", "nothing.yaml")[2]


def test_help_is_given_though_resume_has_no_run(capsys):
    code, said, _ = run(capsys, "train", "--resume", "--help")
    assert code == 0 and "Usage: infomax train" in said


def test_the_help_of_studies_names_what_may_be_named(capsys):
    for figure in ("fig2", "fig7"):
        budget = shown(capsys, "study", figure)["--budget"]
        for name, one in curves.BUDGETS.items():
            seeds = many(one.seeds, "seed")
            assert re.search(rf"{name} \([^)]*{one.data}, {one.epochs} epochs, {seeds}\)", budget), budget
    told = shown(capsys, "study", "collapse")
    assert "every method but bgrl" in told["--sentences"] and set(METHODS) == set(methods.METHODS) - {"bgrl"}
    told_of = {f"{m} without guard" for m in METHODS if m not in ("swav", "dino", "w_mse")} | set(METHODS)
    for name in set(sentences()) ^ told_of:
        assert f'"{name}"' in told["--sentences"], name
    kept = Path(__file__).parents[2].glob("results/collapse-digits*-seed*.json")
    last = max(int(path.stem.rpartition("seed")[2]) for path in kept)
    assert f"seeds 1 to 24 and 100 to {last}" in told["--first-seed"]
    assert f"the default repeats one of these; a trial of your own takes one from {last + 1} on" in told["--first-seed"]
    assert "[default: 100]" in told["--first-seed"]  # kept results whose command names no seed are of it
    assert set(re.findall(r"[a-z_0-9]+", shown(capsys, "study", "mi")["--tasks"])) >= set(TASKS)
    assert set(re.findall(r"[a-z_0-9]+", shown(capsys, "study", "table1")["--methods"])) >= set(PRINTED)
    train = shown(capsys, "train")
    assert "at least 1" in train["--epochs"] and "Cannot be combined with --budget" in train["--epochs"]
    assert "in place of epochs" in train["--budget"]


def test_import_stays_light():
    heavy = [
        "lightning_fabric",
        "torchvision",
        "sklearn",
        "matplotlib",
        "plotly",
        "torch_geometric",
        "timm",
        "cyclopts",
        "scipy",
        "PIL",
    ]
    said = subprocess.run(
        [sys.executable, "-c", "import infomax, sys; print(*{m.split('.')[0] for m in sys.modules})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not set(heavy) & set(said.stdout.split())


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_every_method_has_help_for_every_option(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        raise SystemExit(main(["train", "--method", name, "--help"]))
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    about = cli.options.described_arguments(inspect.getdoc(methods.get(name)) or "")
    for option in methods.options(name):
        assert f"--{option.replace('_', '-')}"[:20] in said
        assert about.get(option), f"{name}: {option} is not described"


def test_a_misspelt_command_of_a_sweep_is_named(tmp_path, capsys, monkeypatch):
    code, _, err = run(capsys, "sweep", "statu", tmp_path)
    assert code == 2 and "no command 'sweep statu': did you mean 'status'?" in err
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.yaml").touch()
    for words in (("table.yaml", "--wrokers", "3"), ("table.yaml", "more"), ("tabel", "--wrokers", "3")):
        code, _, err = run(capsys, "sweep", *words)
        assert code == 2 and "no command" not in err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [("infomax tr", {"train"}), ("infomax train --optimizer mu", {"muon"}), ("infomax study peri", {"periodic-table"})],
)
def test_a_shell_completes_commands_options_and_their_values(typed, completed, tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    asked = (
        f"source ./script; COMP_WORDS=({typed}); COMP_CWORD={len(typed.split()) - 1}; _infomax; echo ${{COMPREPLY[@]}}"
    )
    told = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(told.stdout.split()) == completed


def test_completion_is_of_shells_it_knows(capsys):
    assert main(["completion", "zsh"]) == 0 and "compdef _infomax infomax" in capsys.readouterr().out
    assert main(["completion", "fish"]) == 0 and "complete -c infomax" in capsys.readouterr().out
    assert main(["completion", "csh"]) == 2 and "bash" in capsys.readouterr().err
