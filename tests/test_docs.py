"""What README and docs say: commands that are taken as written, code that runs, names and links that lead somewhere, and
figures that are those of the files they come from. (`docs/tools/tables.py` makes the other tables: `test_tables.py`.)"""

import ast
import importlib
import inspect
import json
import re
import shlex
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from cyclopts.exceptions import MissingArgumentError
from PIL import Image

import infomax as im
from infomax import recipes
from infomax.cli import application
from infomax.cli.train import from_file

ROOT = Path(__file__).parents[1]
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in (
    ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))}  # fmt: skip
ENVIRONMENT = r"(?:[A-Z_]+=\S+ )*(?:taskset -c \d )?(?:uv run )?"


def code(text):
    """The lines of fenced and of indented blocks, those that go on with a backslash put together."""
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S))
    indented = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    return re.sub(r"\s*\\\n\s*", " ", f"{fenced}\n{indented}").splitlines()


def asked(text, of):
    """Every command of a page, in its blocks or within a line, without what is said of it."""
    within = re.findall(rf"`{ENVIRONMENT}({of}[^`]*)`", text.replace("\n", " "))
    whole = [found[1] for line in code(text) if (found := re.match(rf"\s*{ENVIRONMENT}({of}.*)$", line))]
    return {re.split(r"\s+#\s", command)[0].strip(): command in whole for command in within + whole}


COMMANDS = [(page, c, whole) for page, text in PAGES.items() for c, whole in asked(text, "infomax ").items()]


@pytest.mark.parametrize(("page", "command", "whole"), COMMANDS, ids=lambda x: x if isinstance(x, str) else "")
def test_every_command_is_taken_as_it_is_written(page, command, whole):
    tokens = shlex.split(command)[1:]
    if "..." in tokens or "NAME" in tokens or not tokens:  # a pattern, no command
        tokens = [t for t in tokens if t not in ("...", "NAME", "--method", "--help")]
    if "--config" in tokens and tokens[tokens.index("--config") + 1].endswith(".yaml"):  # the reader's own file
        at = tokens.index("--config")
        tokens[at : at + 2] = ["--method", "jmi", "--data", "digits"]
    tokens = [part for token in tokens for part in token.split("|")[:1]]  # `--budget minutes|hour|paper`
    tokens = from_file(tokens)
    try:
        application(tokens).parse_args(tokens, exit_on_error=False, print_error=False)
    except MissingArgumentError:  # named in a sentence, with what matters there
        assert not whole


@pytest.mark.parametrize("page", PAGES)
def test_every_benchmark_takes_the_options_that_are_named(page):
    for command in asked(PAGES[page], "python (?:benchmarks|tests|docs|examples)/"):
        script, *tokens = shlex.split(command)[1:]
        tree = ast.parse((ROOT / script).read_text("utf-8"))
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr"))
        known = {node.args[0].value for node in calls if node.func.attr == "add_argument"}
        assert {token for token in tokens if token.startswith("--")} <= known, command


def options():
    """Every option of every command, method and benchmark."""
    found = {"--help", "--resume", "--config"}
    for script in (*(ROOT / "benchmarks").glob("*.py"), ROOT / "tests/oracles/check.py"):
        found |= set(re.findall(r'"(--[a-z][\w-]*)"', script.read_text("utf-8")))

    def take(names):
        for name in names:
            found.update((f"--{name}".replace("_", "-"), f"--no-{name}".replace("_", "-")))

    def walk(app):
        for name in app:
            if not name.startswith("-"):
                command = app[name]
                take(inspect.signature(command.default_command).parameters if command.default_command else ())
                walk(command)

    walk(application([]))
    for method in im.methods.METHODS:
        take(im.methods.options(method))
    return found


OTHERS = {
    "--extra", "--nodes", "--ntasks-per-node", "--gpus-per-node", "--signal", "--nnodes", "--node-rank", "--master-addr",
    "--nproc-per-node", "--no-python", "--head",
}  # fmt: skip
"""Options of uv, SLURM, torchrun and Ray."""


@pytest.mark.parametrize("page", PAGES)
def test_every_option_is_one(page):
    assert set(re.findall(r"(?<![\w-])(--[a-z][\w-]*)", PAGES[page])) <= options() | OTHERS


def leads(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:k]))
        except ImportError:
            continue
        for part in parts[k:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES)
def test_every_name_is_in_the_package(page):
    named = set(re.findall(r"\binfomax(?:\.\w+)+", PAGES[page]))
    named |= {f"infomax.{name}" for name in re.findall(r"\bim\.(\w+(?:\.\w+)*)", PAGES[page])}
    assert [name for name in sorted(named) if not leads(name)] == []


def anchors(text):
    """The ids that the headings of a page have."""
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_file_is_there(page):
    here = (ROOT / page).parent
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGES[page]):
        if not target.startswith("http"):
            assert (here / target).exists(), target
            assert not anchor or anchor in anchors((here / (target or Path(page).name)).read_text("utf-8")), anchor
    for file in re.findall(r"`((?:results|benchmarks|examples|tests|src|docs)/[\w./*-]+\.\w+)`", PAGES[page]):
        assert list(ROOT.glob(file)), file


PYTHON = [(page, block) for page, text in PAGES.items() for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of unlabelled images, one of labelled ones, and a run, where the pages have theirs."""
    draw = np.random.default_rng(0)
    for folder in ("photos", "labelled/a", "labelled/b"):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(12):
            Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / folder / f"{k}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::infomax.CollapseWarning")
@pytest.mark.parametrize("page", sorted({page for page, _ in PYTHON}))
def test_the_code_runs_as_it_stands(page, photos, monkeypatch):
    """Every block of a page in turn, for one epoch, on small images; `given` is what a page takes for granted."""
    plain, models = im.train, torchvision.models
    resnet18 = models.resnet18
    monkeypatch.setattr(models, "resnet18", lambda weights=None, **k: resnet18(**k))  # no network: untrained ones
    monkeypatch.setattr(im, "train", lambda *a, **k: plain(*a, **k | {"epochs": 1, "progress": False}))
    images = torch.randint(0, 256, (24, 16, 16, 3), dtype=torch.uint8)
    given = {
        "np": np, "torch": torch, "im": im, "infomax": im, "images": images.numpy(), "labels": np.arange(24) % 2,
        "index": torch.arange(24), "data": im.data.Dataset(images), "encoder": im.encoders.get("resnet8"),
        "learner": im.methods.jmi(im.encoders.get("resnet8"), projector=(16,)), "x": np.random.randn(60, 2),
        "y": np.random.randn(60, 2), "f": torch.nn.Linear(4, 3), "g": torch.nn.Linear(4, 3),
        "loader": [(torch.randn(32, 4), torch.randn(32, 4))],
    }  # fmt: skip
    if page != "README.md":
        im.train(im.methods.vicreg(im.encoders.get("resnet8"), projector=(16,)), "photos/", out="runs/photos")
        given["run"] = im.Run.load("runs/photos")
    for _, block in (found for found in PYTHON if found[0] == page):
        first, second = {"mi.md": (0, 0)}.get(page, (0, 1))
        given |= {"first": images[first], "second": images[second]}
        exec(compile(block, page, "exec"), given)


def read(file):
    return json.loads((ROOT / file).read_text("utf-8"))


def row(page, begins):
    """The numbers of the line that begins so."""
    (line,) = (line for line in PAGES[page].splitlines() if line.startswith(begins))
    return [float(number) for number in re.findall(r"-?\d[\d,]*\.?\d*", line[len(begins) :].replace(",", ""))]


def test_the_figures_of_the_views_are_those_of_the_file():
    found = read("benchmarks/results/views.json")["images_per_second"]
    names = {"infomax, eager torch": "infomax, eager torch", "torchvision on PIL": "torchvision on PIL"}
    names |= {"lightly 1.6.0": "lightly", "albumentationsx 2.5.1": "albumentationsx", "kornia 0.9.0": "kornia"}
    assert row("docs/performance.md", "| **infomax** (compiled)") == [round(of["infomax"]) for of in found.values()]
    for name, key in names.items():
        numbers = row("docs/performance.md", f"| {name} |")
        speeds = [numbers[0], numbers[3 - (key == "infomax, eager torch")], numbers[-2]]
        assert speeds == [round(of[key]) for of in found.values()], name
        for times, of in zip((numbers[1], numbers[-1]), list(found.values())[::2], strict=True):
            assert times == pytest.approx(of["infomax"] / of[key], rel=6e-3), name


def test_the_figures_of_a_step_are_those_of_the_file():
    found = read("benchmarks/results/step.json")["rows"]
    names = {"SimCLR (2048-256)": "simclr", "JMI (2048-256)": "jmi", "SimSiam (2048-2048-2048, 512)": "simsiam"}
    names |= {"Barlow Twins (2048-2048-2048)": "barlow_twins", "VICReg (2048-2048-2048)": "vicreg"}
    names |= {"BYOL (4096-256, 4096)": "byol", "MoCo v3 (4096-256, 4096)": "moco_v3", "SDMI, E- and M-step (2048-256)": "sdmi"}
    for name, key in names.items():
        ratios = found[key]["ratios"]
        ours = [statistics.median(ratios), min(ratios), -max(ratios)]  # "(0.88-1.19)"
        theirs = [found[f"lightly {key}"]["ratio"]] if f"lightly {key}" in found else []
        numbers = row("docs/performance.md", f"| {name} |")
        assert numbers[:3] + numbers[4:] == pytest.approx([*ours, *theirs], abs=6e-4 if not ours else 6e-3), name


def test_the_figures_of_the_estimates_are_those_of_the_file():
    found = read("benchmarks/results/mi.json")
    for world, of in found["coverage"].items():
        assert row("docs/mi.md", f"| {world} |") == [round(100 * share, 1) for share in of["coverage"].values()]
    for n in (4096, 16384):
        of = found[f"cos_dv {n}"]["infomax"]
        assert row("docs/mi.md", f"| cos-DV, N = {n}: infomax |") == [round(of["seconds"], 2), round(of["mib"])]
    assert (round(max(a.get("value", 0) for a in found["agreement"].values()), 2), len(found["agreement"])) == (0.22, 129)


def test_the_figures_of_the_probes_are_those_of_the_file():
    rows = read("benchmarks/results/probe.json")["rows"]
    for name, key in {"SGD, 12 learning rates at once": "SGD, 12 rates", "L-BFGS, 7 penalties": "L-BFGS, 7 penalties"}.items():
        sweeps = [r["sweeps"][key] for r in rows]
        numbers = row("docs/performance.md", f"| {name} |")
        for k, what in ((0, "seconds"), (-4 if "SGD" not in name else -5, "accuracy")):
            values = [s[what] for s in sweeps]
            assert numbers[k : k + 2 or None][:2] == [round(statistics.mean(values), 1 + (k != 0)),
                                                      round(statistics.stdev(values), 1 + (k != 0))]  # fmt: skip


def test_the_figures_of_the_toy_study_are_those_of_its_file():
    found, page = read("docs/results/toy.json"), PAGES["docs/toy.md"]

    def said(entry):
        return f"{entry['mean']:.1f} ± {entry['sd']:.1f}"

    for part, keys in {"table3": ("mean_gap", "min_gap", "max_gap", "sd_gap"), "table3_mini_batch": ("mean_gap", "min_gap")}.items():
        for gaps in found[part].values():
            assert f"| {' | '.join(said(gaps[key]) for key in keys)} |" in page
    for claim in found["claims"]:
        verdict = "yes" if claim["holds"] else "**no**"
        assert re.search(rf"^\| {re.escape(claim['paper'])} \| {re.escape(claim['ours'])}.* \| {re.escape(verdict)} \|$", page, re.M)
    right = sum(claim["holds"] for claim in found["claims"])
    assert f"{right} of {len(found['claims'])} checked claims" in page
    readme = " ".join(PAGES["README.md"].split())
    assert f"{right} of {len(found['claims'])} checked claims" in readme
    for name in ("sdmi_f", "moco_v3", "byol", "simsiam", "jmi"):
        assert said(found["table3"][name]["mean_gap"]) in readme, name


def test_the_theory_page_has_the_figures_of_its_file():
    found, page = read("docs/results/theory.json"), PAGES["docs/theory.md"]
    claims = [claim for check in found["checks"].values() for claim in check["claims"]]
    assert len(claims) > 30
    for c in claims:
        cells = (c["text"], c["source"], "holds" if c["holds"] else "does not hold", c["seen"])
        assert f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" in page


def test_the_ledger_as_a_table_is_the_file():
    from infomax.studies.claims import as_markdown

    assert (ROOT / "results/claims.md").read_text("utf-8") == as_markdown(read("results/claims.json")["claims"])


def test_what_recipes_for_a_cpu_expect_was_measured():
    cells = read("benchmarks/results/time_to_accuracy-300.json")["cells"]
    for method in ("simclr", "byol", "barlow-twins", "vicreg"):
        about = recipes.get(f"cpu/{method}-cifar10").about
        ours = {c["seed"]: c["linear"] for c in cells if (c["contestant"], c["method"], c["data"]) == ("infomax", method, "cifar10")}
        assert about["expected"] == {"accuracy": pytest.approx(ours[0], abs=5e-3)}
        assert f"{ours[1]:.2f} and {ours[2]:.2f}" in about["protocol"]


def test_the_periodic_table_has_as_many_sentences_as_are_said():
    for name in ("digits", "gaussians"):
        cells = read(f"results/periodic-table-{name}.json")["cells"]
        able = [c for c in cells if c["invalid"] is None]
        named = sum(c["name"] is not None for c in able)
        assert (len(cells), len(able), named, len(able) - named) == (736, 344, 18, 326)
    page = " ".join(PAGES["docs/reproduction.md"].split())
    for number in ("736", "344", "18 have a name", "326 are no method"):
        assert number in page


def test_the_settings_of_tests_cover_the_pages():
    assert {"README.md", "docs/views.md", "docs/mi.md", "docs/report.md", "docs/data.md"} <= {page for page, _ in PYTHON}
    assert len([whole for *_, whole in COMMANDS if whole]) > 60
