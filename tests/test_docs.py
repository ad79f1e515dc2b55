"""What README and docs say: commands that are taken as written, code that runs, names and links that lead somewhere, and
figures that are those of the files they come from. (`docs/tools/tables.py` makes the other tables: `test_tables.py`.)"""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import shlex
import statistics
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import torchvision
import yaml
from cyclopts.exceptions import MissingArgumentError
from PIL import Image

import infomax as im
from infomax import evaluate, recipes, sweep, taxonomy
from infomax.cli import application
from infomax.cli.train import from_file
from infomax.evaluate.export import NEEDED
from infomax.extras import installed
from infomax.studies.toy import judge as toy

ROOT = Path(__file__).parents[1]
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in (
    ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/reference").glob("*.md")))}  # fmt: skip
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
    "--extra", "--inexact",
    "--nodes", "--ntasks-per-node", "--gpus-per-node", "--signal", "--nnodes", "--node-rank", "--master-addr",
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


def in_the_reference():
    """Every object that a page of the reference, or of the methods, shows."""
    shown = set()
    for page in (page for page in PAGES if page.startswith("docs/reference/") or page == "docs/methods.md"):
        for name, members in re.findall(r"^::: (\S+)(?:\n +options:\n +members: \[(.*)\])?$", PAGES[page], re.M):
            there = pkgutil.resolve_name(name)
            names = members.split(", ") if members else vars(there) if inspect.ismodule(there) else ()
            shown |= {id(there), *(id(getattr(there, name)) for name in names)}
    return shown


def test_every_public_name_is_in_the_reference():
    shown = in_the_reference()
    for room in (im, im.data, im.encoders, im.methods, im.mi, im.optim, im.views, evaluate, sweep):
        public = {name: getattr(room, name) for name in room.__all__}
        things = {name: each for name, each in public.items() if inspect.isclass(each) or inspect.isfunction(each)}
        assert things and [name for name, each in things.items() if id(each) not in shown] == [], room.__name__


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
            there = here / (target or Path(page).name)
            assert not anchor or anchor in anchors(there.read_text("utf-8")) or leads(anchor), anchor
    for file in re.findall(r"`((?:results|benchmarks|examples|tests|src|docs)/[\w./*-]+\.\w+)`", PAGES[page]):
        assert list(ROOT.glob(file)), file


PYTHON = [
    (page, block) for page, text in PAGES.items() for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of unlabelled images, one of labelled ones, and a run, where the pages have theirs."""
    draw = np.random.default_rng(0)
    for folder in ("photos", "labelled/a", "labelled/b"):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(12):
            Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / folder / f"{k}.png")
    (tmp_path / "labels.csv").write_text("file,label\n" + "".join(f"{k}.png,{'ab'[k % 2]}\n" for k in range(12)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.filterwarnings("ignore::infomax.CollapseWarning")
@pytest.mark.filterwarnings("ignore:the encoder of .* was trained by an earlier run")  # each block stands for itself
@pytest.mark.parametrize("page", sorted({page for page, _ in PYTHON}))
def test_the_code_runs_as_it_stands(page, photos, monkeypatch):
    """Every block of a page in turn, for one epoch, on small images; `given` is what a page takes for granted."""
    plain, models = im.train, torchvision.models
    resnet18 = models.resnet18
    monkeypatch.setattr(models, "resnet18", lambda weights=None, **k: resnet18(**k))  # no network: untrained ones

    def short(*args, **given):
        return plain(*args, **given | {"budget": None, "epochs": 1, "progress": False})

    by_recipe = im.recipes.Recipe.train
    monkeypatch.setattr(im, "train", short)
    monkeypatch.setattr(
        im.recipes.Recipe,
        "train",
        lambda *args, **given: by_recipe(*args, **given | {"epochs": 1, "progress": False}),
    )
    images = torch.randint(0, 256, (24, 16, 16, 3), dtype=torch.uint8)
    given = {
        "np": np, "torch": torch, "im": im, "infomax": im, "images": images.numpy(), "labels": np.arange(24) % 2,
        "index": torch.arange(24), "data": im.data.Dataset(images), "encoder": im.encoders.get("resnet8"),
        "learner": im.methods.jmi(im.encoders.get("resnet8"), projector=(16,)), "x": torch.randn(60, 2).numpy(),
        "y": torch.randn(60, 2).numpy(), "f": torch.nn.Linear(4, 3), "g": torch.nn.Linear(4, 3),
        "loader": [(torch.randn(32, 4), torch.randn(32, 4))],
    }  # fmt: skip
    if page != "README.md":
        im.train(im.methods.vicreg(im.encoders.get("resnet8"), projector=(16,)), "photos/", out="runs/photos")
        given["run"] = im.Run.load("runs/photos")
    with mock.patch.dict(im.methods.METHODS), mock.patch.dict(im.views.RECIPES):  # a page may enter one of its own
        for _, block in (found for found in PYTHON if found[0] == page):
            given |= {"first": images, "second": images}
            if "onnxruntime" in block and (torch.__version__ < "2.7" or not all(installed(name) for name in NEEDED)):
                continue
            exec(compile(block, page, "exec"), given)
            if "onnxruntime" in block:
                z, names = given["run"].embed("photos/")
                np.testing.assert_allclose(
                    given["features"][0], z[names.index("0.png")], atol=0.02 * float(z.abs().max())
                )


def test_the_marginal_of_the_page_is_the_coding_rate_in_ten_lines():
    (block,) = (block for page, block in PYTHON if page == "docs/methods.md" and "(im.Marginal)" in block)
    assert len([line for line in block.split("\n\n\n")[0].splitlines() if line]) <= 10
    exec(block, given := {"torch": torch, "im": im, "encoder": torch.nn.Linear(6, 8)})
    term, learner = given["CodingRate"](), given["learner"]
    a, b = torch.randn(2, 3, 7, 4, dtype=torch.float64, requires_grad=True).unbind(0)
    rates = []
    for side in (a, b):
        unit = side / side.norm(dim=-1, keepdim=True)
        rates.append((1 + 4 / (7 * 0.5**2) * torch.linalg.svdvals(unit).square()).log().sum(-1) / 2)
    torch.testing.assert_close(term.penalty(a, b), -(rates[0] + rates[1]) / 2)
    torch.testing.assert_close(term.penalty(a, b), term.penalty(b, a))
    assert torch.autograd.gradcheck(term.penalty, (a.detach().requires_grad_(), b.detach().requires_grad_()))
    assert term.penalty(torch.ones(7, 4), torch.ones(7, 4)) > term.penalty(a, b).max()  # a point costs the most
    x = torch.randn(64, 6)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)
    for step in range(30):
        output = im.step(
            learner, [x + 0.1 * torch.randn_like(x) for _ in range(2)], optimizer, im.Clock(step, total=30)
        )
    assert im.evaluate.effective_rank(output.z[0]) > 10


def test_the_scales_of_the_page_are_those_of_the_methods():
    said = {"simclr": 2, "bgrl": 2, "w_mse": 2, "byol": 4, "moco_v3": 4 * 0.3}
    assert row("docs/methods.md", "| `simclr`, whose authors add up both directions; `bgrl`; `w_mse` |") == ["2"]
    assert row("docs/methods.md", "| `byol` |") == ["4"]
    assert row("docs/methods.md", "| `moco_v3` |") == ["4 times the temperature"]
    assert row("docs/methods.md", "| all others |") == ["1"]
    for name in im.methods.METHODS:
        chosen = {"temperature": 0.3} if name == "moco_v3" else {}
        assert im.methods.build(name, torch.nn.Linear(8, 16), **chosen).scale == said.get(name, 1), name


def test_losses_of_embeddings_are_those_of_lightly_as_the_page_says():
    lightly = pytest.importorskip("lightly.loss", reason="needs lightly (the group peers)")
    torch.manual_seed(0)
    z1, z2, k1, k2 = torch.randn(4, 64, 128)
    embedding = torch.nn.Identity()
    embedding.width = 128
    m, dino = im.methods, im.methods.dino(embedding, projector=(), prototypes=0)
    bound = dino.score({0: z1, 1: z2}, {0: k1, 1: k2}, im.Clock(0, 100, 1000))
    barlow_twins = m.barlow_twins(embedding, projector=(), redundancy=0.005)
    for ours, theirs in (
        (m.simclr(embedding, projector=(), temperature=0.5)([z1, z2]).loss / 2, lightly.NTXentLoss(0.5)(z1, z2)),
        (m.vicreg(embedding, projector=())([z1, z2]).loss, lightly.VICRegLoss()(z1, z2)),
        (barlow_twins([z1, z2]).loss, lightly.BarlowTwinsLoss()(z1, z2)),
        (dino.loss(bound, 64), lightly.DINOLoss(128)([k1, k2], [z1, z2])),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_names_that_others_have_for_options_are_those_that_messages_know():
    from infomax.errors import SYNONYMS

    part = PAGES["docs/from_lightly.md"].split("## Names of options")[1].split("\n## ")[0]
    rows = [
        [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("| `")
    ]
    told = {}
    for (here, *_), methods, *there in rows:
        for method in methods:
            for name in (name for cell in there for name in cell):
                with pytest.raises(im.ConfigError, match=f"{method}' has no option '{name}': did you mean '{here}'"):
                    im.methods.get(method)(torch.nn.Linear(8, 4), **{name: 1})
                told.setdefault(here, set()).add(name.lower())
    usual = {"tau", "temp"}  # of whatever temperature
    own = {name for method in im.methods.METHODS for name in im.methods.options(method)}
    assert len(rows) > 20
    assert told == {name: set(SYNONYMS[name]) - usual for name in own & set(SYNONYMS)}


def read(file):
    return json.loads((ROOT / file).read_text("utf-8"))


def row(page, begins):
    """The cells of the line that begins so, after that."""
    (line,) = (line for line in PAGES[page].splitlines() if line.startswith(begins))
    return [cell.strip(" *") for cell in line[len(begins) :].strip(" |").split("|")]


def spread(values, digits):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def test_the_figures_of_the_views_are_those_of_the_file():
    found = read("benchmarks/results/views.json")["images_per_second"].values()
    names = {"infomax, eager torch": "infomax, eager torch", "torchvision on PIL": "torchvision on PIL"}
    names |= {"lightly 1.6.0": "lightly", "albumentationsx 2.5.1": "albumentationsx", "kornia 0.9.0": "kornia"}
    assert row("docs/performance.md", "| **infomax** (compiled)") == [f"{of['infomax']:,.0f}" for of in found]
    for name, key in names.items():
        for cell, of in zip(row("docs/performance.md", f"| {name} |"), found, strict=True):
            speed, times = re.match(r"([\d,]+) \(([\d.]+)x", cell).groups()
            assert speed == f"{of[key]:,.0f}", name
            assert times == f"{of['infomax'] / of[key]:.{0 if float(times) > 100 else 1}f}", name
    small, large, _ = (round(of["infomax"] / of["lightly"]) for of in found)
    assert f"is {small} times as fast as lightly's at 32 pixels, and {large} times at 224" in PAGES["README.md"]


def test_the_race_of_the_readme_is_that_of_its_files():
    def ahead(table):
        rows = [line for line in PAGES["docs/time_to_accuracy.md"].split(table)[1].splitlines() if "**" in line][:8]
        pairs = [float(by) for line in rows for by in line.split(" | ")[3].split(", ")]
        return f"{sum(by > 0 for by in pairs)} of {len(pairs)}"

    of_adamw = ahead("| the recipes, 300 s against 600: twice the time")
    of_muon = ahead("| the recipes, lightly with Muon as well, 300 s against 600: twice the time")
    said = f"in {of_adamw} pairs of runs, and of lightly with our Muon in {of_muon}"
    assert said in " ".join(PAGES["README.md"].split())


def test_the_figures_of_photos_are_those_of_the_file():
    for of in read("benchmarks/results/photos.json")["cells"]:
        name = "whole" if of["shrink"] is None else f"`shrink={of['shrink']}`"
        said = [f"{of['seconds a photo']:.3f}", f"{of['megabytes a photo']:.2f}", f"{of['updates']:.0f}"]
        assert row("docs/performance.md", f"| {name} |") == said


def test_the_figures_of_a_step_are_those_of_the_file():
    found = read("benchmarks/results/step.json")["rows"]
    names = {"SimCLR (2048-256)": "simclr", "JMI (2048-256)": "jmi", "SimSiam (2048-2048-2048, 512)": "simsiam"}
    names |= {"Barlow Twins (2048-2048-2048)": "barlow_twins", "VICReg (2048-2048-2048)": "vicreg"}
    names |= {
        "BYOL (4096-256, 4096)": "byol",
        "MoCo v3 (4096-256, 4096)": "moco_v3",
        "SDMI, E- and M-step (2048-256)": "sdmi",
    }
    for name, key in names.items():
        cells, ratios = row("docs/performance.md", f"| {name} |"), found[key]["ratios"]
        assert cells[0] == f"{statistics.median(ratios):.3f} ({min(ratios):.2f}-{max(ratios):.2f})", name
        theirs = [f"{found[f'lightly {key}']['ratio']:.3f}"] if f"lightly {key}" in found else []
        assert [cell for cell in cells[2:] if cell] == theirs, name


def test_the_figures_of_the_estimates_are_those_of_the_file():
    found = read("benchmarks/results/mi.json")
    for world, of in found["coverage"].items():
        assert row("docs/mi.md", f"| {world} |") == [f"{100 * share:.1f}" for share in of["coverage"].values()]
    for part, name in {
        "cos_dv 4096": "cos-DV, N = 4096",
        "cos_dv 16384": "cos-DV, N = 16384",
        "nt_xent 4096": "NT-Xent, N = 4096 pairs",
    }.items():
        of = found[part]["infomax"]
        assert row("docs/mi.md", f"| {name}: infomax |") == [f"{of['seconds']:.2f}", f"{of['mib']:.0f}"]
    assert f"{len(found['agreement'])} of {len(found['agreement'])}\ncomparisons" in PAGES["docs/mi.md"]
    worst = [max(a.get(what, 0) for a in found["agreement"].values()) for what in ("value", "gradient")]
    assert "the worst value at {:.2f} and the worst gradient at {:.2f}".format(*worst) in PAGES["docs/mi.md"]


def test_the_figures_of_the_probes_are_those_of_the_file():
    rows = read("benchmarks/results/probe.json")["rows"]
    names = {"SGD, 12 learning rates at once": "SGD, 12 rates", "L-BFGS, 7 penalties": "L-BFGS, 7 penalties"}
    names |= {"scikit-learn's L-BFGS, the same 7 penalties as C": "scikit-learn, 7 penalties"}
    for name, key in names.items():
        sweeps = [r["sweeps"][key] for r in rows]
        seconds, accuracy, *_ = row("docs/performance.md", f"| {name} |")
        assert seconds.startswith(spread([s["seconds"] for s in sweeps], 1)), name
        assert accuracy == spread([s["accuracy"] for s in sweeps], 2), name


def test_the_figures_of_the_toy_study_are_those_of_its_file():
    found, page = read("docs/results/toy.json"), PAGES["docs/toy.md"]

    def said(entry):
        return f"{entry['mean']:.1f} ± {entry['sd']:.1f}"

    for part, keys in {
        "table3": ("mean_gap", "min_gap", "max_gap", "sd_gap"),
        "table3_mini_batch": ("mean_gap", "min_gap"),
    }.items():
        for gaps in found[part].values():
            assert f"| {' | '.join(said(gaps[key]) for key in keys)} |" in page
    for claim in found["claims"]:
        verdict = "yes" if claim["holds"] else "**no**"
        assert re.search(
            rf"^\| {re.escape(claim['paper'])} \| {re.escape(claim['ours'])}.* \| {re.escape(verdict)} \|$", page, re.M
        )
    assert found["claims"] == toy.claims(found), "judge them anew: python docs/tools/rejudge.py"
    assert toy.come_out(found["claims"]) in page
    readme = " ".join(PAGES["README.md"].split())
    assert toy.come_out(found["claims"]).split(", and")[0] in readme
    for name in ("sdmi_f", "moco_v3", "byol", "simsiam", "jmi"):
        assert said(found["table3"][name]["mean_gap"]) in readme, name


def test_the_first_look_of_the_readme_is_that_of_its_file():
    found, page = read("results/first-look-imagenette-128.json"), " ".join(PAGES["README.md"].split())
    runs, before = found["runs"], found["by_adamw"]["runs"]
    raw = runs[0]["baselines"]["raw"]
    assert (
        f"| raw pixels | {raw['linear']:.1f} ± {raw['linear_se']:.1f} | {raw['knn']:.1f} ± {raw['knn_se']:.1f} |"
        in page
    )
    for run in (run for run in runs if run["seed"] == 0):
        bare = run["baselines"]["untrained"]
        cells = (f"{run[key]:.1f} ± {run[key + '_se']:.1f} ({bare[key]:.1f})" for key in ("linear", "knn"))
        assert f"{run['epochs']:.0f} epochs | {' | '.join(cells)} |" in page
    page = " ".join(PAGES["docs/time_to_accuracy.md"].split())
    (first,) = (run for run in runs if run["seed"] == 0 and run["views"] == 16)
    assert f"a linear probe of {first['linear']:.1f} % and {first['knn']:.1f} % by nearest neighbours" in page
    (again,) = (run for run in runs if run["seed"] == 1)
    assert f"a second seed of the first has {again['linear']:.1f} and {again['knn']:.1f}" in page
    (wide,) = (run for run in before if run["views"] == 64)
    for run, said in (
        (before[0], "the first had"),
        (wide, "2 epochs)"),
        (wide["baselines"]["untrained"], "encoder has"),
    ):
        assert f"{said} {run['linear']:.1f} and {run['knn']:.1f}" in page


def test_the_theory_page_has_the_figures_of_its_file():
    found, page = read("docs/results/theory.json"), PAGES["docs/theory.md"]
    claims = [claim for check in found["checks"].values() for claim in check["claims"]]
    assert len(claims) > 30
    for c in claims:
        cells = (c["text"], c["source"], "holds" if c["holds"] else "does not hold", c["seen"])
        assert f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" in page


def test_the_table_of_methods_is_what_the_command_prints():
    assert taxonomy.as_text().strip() in PAGES["README.md"]


def test_the_ledger_as_a_table_is_the_file():
    from infomax.studies.claims import as_markdown

    assert (ROOT / "results/claims.md").read_text("utf-8") == as_markdown(read("results/claims.json")["claims"])


def test_what_recipes_for_a_cpu_expect_was_measured():
    recipe = {m: recipes.get(f"cpu/{m}-cifar10").about for m in ("simclr", "byol", "barlow-twins", "vicreg")}
    expected = {method: about["expected"]["accuracy"] for method, about in recipe.items()}
    others = sorted(accuracy for method, accuracy in expected.items() if method != "simclr")
    assert f"{expected['simclr']:.1f} % against {others[0]:.1f} to {others[-1]:.1f}" in PAGES["README.md"]
    by = {
        (c["contestant"], c["method"], c["data"], c["seed"]): c["linear"]
        for name in ("time_to_accuracy-300", "time_to_accuracy-300-muon")
        for c in read(f"benchmarks/results/{name}.json")["cells"]
    }
    for method, about in recipe.items():
        assert expected[method] == pytest.approx(by["infomax", method, "cifar10", 15], abs=5e-3)
        before = by["infomax-32", method, "cifar10", 0]
        assert f"as the recipe was, {before:.2f} on" in about["protocol"]
    grey = [by["infomax", "vicreg", "fashion-mnist", seed] for seed in (15, 16, 17)]
    assert recipes.get("cpu/vicreg-fashion-mnist").about["expected"] == {
        "accuracy": pytest.approx(statistics.mean(grey), abs=5e-3),
        "sd": pytest.approx(statistics.stdev(grey), abs=5e-3),
    }


def test_the_periodic_table_has_as_many_sentences_as_are_said():
    for name in ("digits", "gaussians"):
        cells = read(f"results/periodic-table-{name}.json")["cells"]
        able = [c for c in cells if c["invalid"] is None]
        named = sum(c["name"] is not None for c in able)
        assert (len(cells), len(able), named, len(able) - named) == (736, 344, 18, 326)
    for name, counted in {
        "all": 736,
        "have a name": 18,
        "cannot be said (the page gives the reason of each)": 392,
    }.items():
        assert row("docs/reproduction.md", f"| {name} |")[0].split()[0] == str(counted)


def test_the_overview_of_the_reproduction_counts_the_ledger():
    rows = [r for r in read("results/claims.json")["claims"] if r["source"] != "infomax"]
    counted = {(r["study"], r["on"]): [0, 0, 0] for r in rows}
    for r in rows:
        counted[r["study"], r["on"]][("holds", "does not hold", "not decidable").index(r["verdict"])] += 1
    table = PAGES["docs/reproduction.md"].split("## Overview")[1].split("The commands:")[0]
    said = re.findall(r"\| (\d+), (\d+), (\d+) \|$", table, re.M)
    assert sorted([*map(int, cells)] for cells in said) == sorted(counted.values())
    of = {"**Fig. 7**": ("fig7", "digits"), "**Fig. 2**": ("fig2", "digits"), "**Table 1**": ("table1", "several sets")}
    for name, study in of.items():
        assert re.search(rf"^\| {re.escape(name)}.* \| {', '.join(map(str, counted[study]))} \|$", table, re.M)
    assert f"the {len(rows)} claims of the paper" in table


def test_what_is_said_of_the_watch_was_counted():
    page = PAGES["docs/collapse_study.md"]
    for world in ("digits, wide", "digits, fast", "digits, sgd", "digits, batch 64"):
        rows = [r for r in read("results/collapse-digits-seed110.json")["rows"] if r["world"] == world]
        fell = [r for r in rows if r["collapsed"]]
        in_time = [r for r in fell if r["flagged"] is not None and r["flagged"] <= 0.2]
        assert fell and in_time == fell
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {world}, 110 |"))
        assert f"| {len(in_time)} of {len(fell)} | 0 |" in line
    for seed, said in {
        102: ("47 of 47 collapses, and 2 of 72 healthy runs",),
        103: ("48 of 48 collapses in the first fifth, and 3 of 72 healthy runs flagged",),
        104: ("46 of 48 collapses", "1 of 71 healthy runs"),
        105: ("47 of 48 and 45 of 45", "1 of 71 and 1 of 72 healthy runs"),
        106: ("47 of 48 and 45 of 45", "1 of 71 and 1 of 72 healthy runs"),
        108: ("45 of 46", "1 of 71 and 0 of 72 healthy runs"),
        109: ("43 of 44", "1 of 71 and 0 of 72 healthy runs"),
        110: ("**49 of 49** | 0 | 0 | **0 of 72** | 19 of 19",),
        111: ("**46 of 46** | 0 | 0 | **0 of 72** | 22 of 22",),
        112: ("**46 of 47** | 0 | 1: DINO, whole, *wide* | **0 of 71** | 22 of 22",),
        113: ("**45 of 46** | 0 | 1: MoCo v1, whole, *sgd* | **0 of 71** | 23 of 23",),
        114: ("**48 of 48** | 0 | 0 | **1 of 72**: MoCo v1, *sgd* | 20 of 20",),
        115: ("**47 of 48** | 0 | 1: DINO, whole, *wide* | **0 of 71** | 21 of 21",),
        116: ("**46 of 46** | 0 | 0 | **1 of 72**: DINO, *sgd* | 22 of 22",),
        117: ("**46 of 47** | 0 | 1: DINO, whole, *wide* | **0 of 71** | 22 of 22",),
        118: ("**48 of 48** | 0 | 0 | **0 of 72** | 20 of 20",),
        119: ("**44 of 44** | 0 | 0 | **0 of 72** | 24 of 24",),
        120: ("**43 of 44** | 0 | 1: DINO, whole, *wide* | **0 of 71** | 25 of 25",),
    }.items():
        n = read(f"results/collapse-digits-seed{seed}.json")["counts"]["held out"]
        counted = (f"{n['collapsed'] - n['missed']} of {n['collapsed']}", f"{n['alarms']} of {n['healthy']}")
        assert all(words in page for words in said) and all(any(count in words for words in said) for count in counted)


def test_the_papers_baselines_stand_beside_the_published_ones():
    printed = yaml.safe_load((ROOT / "src/infomax/studies/tables/printed.yaml").read_text("utf-8"))["table1"]
    names = {"SimSiam": "simsiam", "BYOL": "byol", "MoCo v3": "moco_v3", "SimCLR": "simclr"}
    names |= {"Barlow Twins": "barlow_twins", "VICReg": "vicreg"}
    part = PAGES["docs/reproduction.md"].split("The paper's own baselines are weak")[1]
    for name, method in names.items():
        cells = []
        for data in ("cifar10", "cifar100"):
            reference = recipes.get(f"reference/{method.replace('_', '-')}-{data}").about["expected"]["accuracy"]
            cells += [f"{printed[method][data][0]:.2f}", f"{reference:.2f}"]
        assert f"| {name} | {' | '.join(cells)} |" in part


def test_the_settings_of_tests_cover_the_pages():
    assert {"README.md", "docs/views.md", "docs/mi.md", "docs/report.md", "docs/data.md"} <= {
        page for page, _ in PYTHON
    }
    assert len([whole for *_, whole in COMMANDS if whole]) > 60
