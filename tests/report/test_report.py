import base64
import io
import json
import re
import shutil
import warnings
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tests_html import Tags, headings

import infomax as im
from infomax import progress
from infomax.cli import main
from infomax.cli.pages import reported
from infomax.data import Dataset, Graph, sbm
from infomax.errors import ConfigError, DataError
from infomax.report import samples
from infomax.report.curves import spectra
from infomax.report.kinds import named_apart
from infomax.report.page import Page
from infomax.report.run import _asked, _settings, report, write
from infomax.report.subject import Subject
from infomax.training.watch.frames import FILE, Frames


@pytest.mark.parametrize("kind", [torch.stack, list])
def test_only_the_rows_drawn_are_encoded(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(samples, "MOST_POINTS", 10)
    images = kind([torch.full((8, 8, 1), i, dtype=torch.uint8) for i in range(30)])
    data = Dataset(images, torch.arange(30) // 10)
    torch.manual_seed(0)
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=1, size=8), projector=(4,))
    run = im.train(learner, data, epochs=1, batch_size=15, size=8, gauge_samples=6, progress=False)
    seen = []
    learner.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    text = report(run, tmp_path / "page.html").read_text()
    assert max(seen) <= 10 and "of 30 samples (those of the embedding by epoch, and others spread evenly:" in text


def test_photographs_of_different_sizes_are_probed_and_drawn(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        folder = tmp_path / "photos" / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 100, (10 + i, 12, 3), dtype=np.uint8) + np.uint8(150 * (i % 2))
        Image.fromarray(pixels).save(folder / f"{i}.png")
    torch.manual_seed(0)
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=3, size=8), projector=(4,))
    run = im.train(learner, tmp_path / "photos", epochs=1, batch_size=10, size=8, progress=False, out=tmp_path / "run")
    assert isinstance(run.data.images, list)
    assert run.evaluate()["test"] == 4
    assert im.Run.load(tmp_path / "run").report().stat().st_size > 1e6


def test_photographs_are_shown_large_enough_to_be_told_apart(tmp_path):
    """Those that are looked at one by one; the sheet of all stays small, and small images stay as they are."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (60 + i, 200, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=3, size=48), projector=(4,))
    run = im.train(learner, tmp_path / "photos", epochs=1, batch_size=10, size=48, progress=False)
    text = report(run, tmp_path / "page.html").read_text()
    assert text.count("thumb near-sheet-0 soft large") == 10 * 9 and text.count("thumb pairs-sheet-0 soft large") == 8
    assert text.count("thumb views-0-0 soft large") == 16
    sheets = {name: Image.open(io.BytesIO(base64.b64decode(data))) for name, data in re.findall(
        r"\.((?:near|pairs)-sheet-0|sheet-0) \{[^}]*base64,([^)]+)\)", text)}  # fmt: skip
    assert {name: picture.width % side for (name, picture), side in zip(sheets.items(), (40, 96, 96), strict=True)} == {
        "sheet-0": 0, "near-sheet-0": 0, "pairs-sheet-0": 0,
    }  # fmt: skip


def test_a_page_of_one_run_has_every_part_and_is_light(tmp_path, runs):
    path = reported(runs[:1], tmp_path / "page.html")
    text = path.read_text()
    assert headings(text) == [
        "At a glance", "Curves", "Embedding over training", "Spectrum over training", "Features", "Nearest neighbours",
        "View pairs", "Settings", "Environment",
    ]  # fmt: skip
    assert len(text) < 6e6 and "Not on this page" not in text
    tags = Tags(text)
    assert len(tags.named("aside")) == 0
    assert text.count("thumb views-0-0") == 2 * 8  # two views of each of eight samples
    assert text.count("thumb sheet-0") >= 10 * 9
    assert text.count(f'<th scope="col">run: {runs[0].name}</th>') == 2  # of neighbours and of view pairs
    for word in ("vicreg", "projector", "torch", "seconds of training"):
        assert word in text


def test_of_several_runs_what_differs_stands_first(tmp_path, runs):
    text = reported(runs, tmp_path / "page.html").read_text()
    settings = text.split('id="settings"')[1]
    first = settings.split("<tbody>")[1].split("</tr>")[0]
    assert "<strong>training: epochs</strong>" in first
    assert [f"<code>{n}</code>" in first for n in (3, 2, 1)] == [True] * 3
    differ, equal = settings.split('id="environment"')[0].split("<details>")
    (summary, rest) = equal.split("</summary>")
    assert summary == f"<summary>{rest.count('<tr>') - 1} settings that all runs share"
    assert "encoder: name" in rest and "encoder: name" not in differ and rest.count("<code>mlp</code>") == 1
    assert not re.search(r"0[.][0-9]{5}", rest.split("data: mean")[1].split("</tr>")[0]), "to four digits"
    alone = reported(runs[:1], tmp_path / "alone.html").read_text().split('id="settings"')[1]
    assert "encoder: name" in alone and "<details>" not in alone
    assert text.split('id="at-a-glance"')[1].split("</table>")[0].count("<tr>") == 4


def test_settings_that_differ_in_the_fifth_digit_are_not_shared():
    def run(name, mean):
        return Subject(name, "vicreg", {"data": {"mean": [mean], "std": [0.25]}}, [])

    page = Page("settings")
    _settings(page, [run("a", 0.491391), run("b", 0.491411)])
    differ, equal = page.html().split("<details>")
    assert "0.491391" in differ and "0.491411" in differ and "data: mean" not in equal and "[0.25]" in equal


def test_names_that_are_markup_stay_text(tmp_path, runs):
    text = reported(runs, tmp_path / "page.html").read_text()
    body = text.split("<body>")[1]
    without_scripts = "".join(part.split("</script>")[-1] for part in body.split("<script"))
    assert "<img" not in without_scripts and "onerror=document" in without_scripts
    assert "&lt;img src=x onerror" in without_scripts
    for numbers in text.split('type="application/json"')[1:]:
        assert "<" not in numbers.split(">", 1)[1].split("</script>")[0]
    assert "img" not in {tag for tag, _ in Tags(text).seen}


def test_stars_in_the_names_of_runs_stay_in_the_lead(tmp_path, runs):
    starred = [shutil.copytree(run, tmp_path / f"of {n} *x*") for n, run in enumerate(runs[:2])]
    text = write([Subject.at(path) for path in starred], tmp_path / "page.html").read_text()
    assert '<p class="lead"><code>of 0 *x*</code>, <code>of 1 *x*</code></p>' in text


def test_without_data_a_page_says_how_to_give_them(tmp_path, runs, photos):
    run = shutil.copytree(runs[0], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["data"] |= {"source": "/no/such/place", "root": None}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="need the data"):
        text = reported([run], tmp_path / "page.html").read_text()
    assert "report" in text and "--data PATH" in text and "/no/such/place" in text
    assert "Embedding over training" in headings(text) and "Nearest neighbours" not in headings(text)
    assert "sample 0" in text
    with warnings.catch_warnings(action="error"):
        assert main(["report", str(run), "--data", str(photos), "--out", str(tmp_path / "other.html")]) == 0
    given = (tmp_path / "other.html").read_text()
    assert "Nearest neighbours" in headings(given) and "Not on this page" not in given


def test_a_page_of_one_sample_leaves_out_neighbours_alone(tmp_path, runs):
    one = Dataset(torch.randint(0, 255, (1, 9, 9, 3), dtype=torch.uint8), name="one")
    text = im.Run.load(runs[0]).report(tmp_path / "page.html", one).read_text()
    assert "One sample has no neighbours." in text
    assert {"Features", "Nearest neighbours", "View pairs"} < set(headings(text))


def test_data_of_another_kind_are_refused_and_other_data_are_shown_beside(tmp_path, runs, capsys):
    assert main(["report", str(runs[0]), "--data", "digits"]) == 2
    assert "cannot take" in capsys.readouterr().err
    other = Dataset(torch.randint(0, 255, (20, 9, 9, 3), dtype=torch.uint8), name="others")
    text = im.Run.load(runs[0]).report(tmp_path / "page.html", other).read_text()
    assert "of 20 samples" in text and "sample 0" in text


def test_a_run_that_has_not_ended_an_epoch_has_a_page(tmp_path, runs, capsys):
    run = shutil.copytree(runs[0], tmp_path / "new")
    for name in ("log.jsonl", "log.csv", "learner.safetensors", FILE, "environment.json"):
        (run / name).unlink()
    with pytest.warns(UserWarning, match="no weights"):
        text = reported([run], tmp_path / "a.html").read_text()
    assert "Not one epoch has ended" in text and "Settings" in headings(text)
    with pytest.warns(UserWarning, match="no weights"):
        both = reported([runs[0], run], tmp_path / "b.html").read_text()
    assert "Embedding over training" in headings(both)


def test_of_a_run_that_was_killed_as_it_began_no_cause_is_guessed(tmp_path, runs):
    run = tmp_path / "killed"
    run.mkdir()
    shutil.copy(runs[0] / "config.json", run)
    with pytest.warns(UserWarning, match=r"no weights: not one epoch has ended\.$"):  # it may be about to
        reported([run])
    (run / "run.lock").touch()
    with pytest.warns(
        UserWarning, match=r"killed before its first checkpoint\. Begin it anew, in the same folder"
    ) as said:
        text = reported([run]).read_text()
    assert "older than that" not in str(said[0].message) + text and "environment.json" not in str(said[0].message)


def test_a_log_with_gaps_and_no_numbers_is_drawn(tmp_path, runs):
    run = shutil.copytree(runs[0], tmp_path / "odd")
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    rows[0] |= {"mi_infonce": float("nan"), "loss": float("inf")}
    del rows[1]["std"]
    rows[2] |= {"probe": 61.5, "std": 0.01, "note": "words"}
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "environment.json").write_text("[")
    (run / FILE).write_bytes(b"no")
    with pytest.warns(UserWarning) as told:
        text = reported([run], tmp_path / "a.html").read_text()
    assert len(told) == 2  # of the damaged file, and of what is not on the page
    assert "<strong>collapsed</strong>" in text and '"text":"probe"' in text and "environment.json is damaged" in text
    assert "NaN" not in text.split('id="data-0"')[1].split("</script>")[0]
    (run / "log.jsonl").write_text("{\n")
    with pytest.raises(DataError, match="line 1 is damaged"):
        reported([run], tmp_path / "a.html")


def test_points_signals_and_graphs(tmp_path, toy):
    text = reported([toy], tmp_path / "toy.html").read_text()
    assert "Nearest neighbours" in headings(text) and 'class="chip' in text and '"name":"sphere"' in text
    torch.manual_seed(0)
    signals = Dataset(torch.randn(30, 2, 40), torch.arange(30) % 3, name="ecg")
    learner = im.methods.vicreg(im.encoders.get("resnet1d", channels=2, size=1), projector=(8,))
    run = im.train(learner, signals, epochs=1, batch_size=10, progress=False)
    text = run.report(tmp_path / "signals.html").read_text()
    assert text.count("thumb views-0-0") == 16 and "data:image/png" in text
    graph = sbm(nodes=60)
    run = im.train(im.methods.bgrl(im.encoders.get("gcn", channels=graph.channels)), graph, epochs=1, progress=False)
    text = run.report(tmp_path / "graph.html").read_text()
    assert "node 0" in text and "neighbours" in text and "no pictures" in text


def test_data_that_were_given_in_python_are_asked_for_there(tmp_path):
    made = sbm(nodes=60)
    graph = Graph(made.x, made.edge_index)
    learner = im.methods.bgrl(im.encoders.get("gcn", channels=graph.channels))
    im.train(learner, graph, epochs=1, progress=False, out=tmp_path / "graph")
    with pytest.warns(
        UserWarning, match=r"given in Python. Give them: `im.Run.load\('.*graph'\).report\(data=...\)`\.$"
    ):
        im.Run.load(tmp_path / "graph").report(tmp_path / "a.html")
    rows = Dataset(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)))
    learner = im.methods.jmi(im.encoders.get("mlp", channels=4, size=1), projector=(8,))
    im.train(learner, rows, epochs=1, batch_size=20, progress=False, out=tmp_path / "rows")
    with pytest.warns(
        UserWarning, match=r"report\(data=...\)`, or, of a file, `.*infomax report .*rows --data PATH`\.$"
    ):
        im.Run.load(tmp_path / "rows").report(tmp_path / "b.html")


def test_a_learner_put_together_by_hand_has_its_curves(tmp_path):
    data = Dataset(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)))
    learner = im.methods.jmi(torch.nn.Linear(4, 6), projector=())

    def views(batch, index, seed=0, epoch=0):
        return [batch, batch + 0.1]

    im.train(learner, data, views=views, epochs=1, batch_size=20, progress=False, out=tmp_path / "run")
    with pytest.warns(UserWarning, match="not on the page"):
        text = reported([tmp_path / "run"], tmp_path / "a.html").read_text()
    assert "put together by hand" in text and "Embedding over training" in headings(text)
    with pytest.warns(UserWarning, match="views were a function"):
        text = im.Run.load(tmp_path / "run", learner).report(tmp_path / "b.html", data).read_text()
    assert "Nearest neighbours" in headings(text) and "views were a function" in text


def test_runs_are_told_apart(runs, tmp_path):
    subjects = [Subject(name, "jmi", {}, [], path=tmp_path / folder / name)
                for folder, name in (("a", "x"), ("b", "x"), ("a", "y"), ("c", "z"), ("c", "z"))]  # fmt: skip
    looks = named_apart(subjects)
    assert list(looks) == ["a/x", "b/x", "y", "z (1)", "z (2)"]
    assert len({look.colour for look in looks.values()}) == 5


def test_what_cannot_be_drawn_is_one_line(tmp_path, runs, capsys, monkeypatch):
    assert main(["report"]) == 2
    assert "name a run" in capsys.readouterr().err
    (tmp_path / "report.html").touch()
    named = (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "holds none of"),
        (tmp_path / "report.html", "is a file"),
    )
    for folder, said in named:
        assert main(["report", str(folder)]) == 2
        assert said in capsys.readouterr().err
    assert main(["report", str(runs[0]), str(runs[0])]) == 2
    assert "named twice" in capsys.readouterr().err
    monkeypatch.setattr("infomax.report.run.installed", lambda name: False)
    with pytest.raises(ConfigError, match="umap-learn"):
        write([Subject.at(runs[0])], tmp_path / "a.html", umap=True)


def test_a_standardised_table_is_the_runs_own_however_its_means_are_rounded():
    from infomax.report.subject import _same

    table = Dataset(torch.randn(20, 5, generator=torch.Generator().manual_seed(0)), mean=(1e-17,) * 5, std=(1.0,) * 5)
    asked = {"samples": 20, "mean": [-3e-17] * 5, "std": [1.0] * 5}
    assert _same(table, asked) and not _same(table, asked | {"mean": [0.001] * 5})


def test_umap_lays_out_the_features(runs, tmp_path):
    if find_spec("umap") is None:
        pytest.skip("umap-learn is not installed")
    page = write([Subject.at(runs[0])], tmp_path / "a.html", umap=True)
    assert "UMAP" in page.read_text(encoding="utf-8")


def changed(run, to, **values):
    """A copy of a run whose last row of the log says something else."""
    shutil.copytree(run, to)
    rows = [json.loads(line) for line in (to / "log.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row |= {key: value[number] if isinstance(value, list) else value for key, value in values.items()}
    (to / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return to


def test_a_gauge_that_is_no_number_is_not_called_open(tmp_path, runs):
    text = reported(
        [changed(runs[2], tmp_path / "a", std=float("nan"), mi_infonce=-1e-9)], tmp_path / "a.html"
    ).read_text()
    assert "unknown: a gauge is no finite number" in text and "<td>open</td>" not in text
    assert "After 1 epoch: InfoNCE 0.00 of" in text and "std ?." in text


def test_what_a_report_encodes_has_a_bar_where_it_takes_long(tmp_path, runs, monkeypatch):
    made = []

    def meter(*args, **options):
        made.append((options["desc"], options["delay"], options["disable"]))
        return progress.meter(*args, **options)

    monkeypatch.setattr("infomax.evaluate.features.meter", meter)
    reported([runs[2]], tmp_path / "a.html")
    assert ("encode", 2, False) in made


def test_a_lower_bound_below_0_is_no_reading(tmp_path, runs, capsys):
    low = changed(runs[0], tmp_path / "a", mi_infonce=-0.31, mi_infonce_lo=-0.4, mi_infonce_hi=-0.2)
    text = reported([low], tmp_path / "a.html").read_text()
    assert ": InfoNCE below 0 (says nothing), effective rank" in text and "<td>below 0 (says nothing)</td>" in text
    assert main(["train", "--resume", str(low)]) == 0
    assert re.search(r"of fixed samples InfoNCE below 0 \(says nothing\), effective rank", capsys.readouterr().out)
    assert main(["evaluate", str(low), "--protocols", "knn"]) == 0
    assert re.search(r"training log .*; InfoNCE below 0 \(says nothing\)$", capsys.readouterr().out, re.MULTILINE)


def test_online_accuracies_are_curves_with_their_error(tmp_path, runs):
    logged = {"online_knn": [50.0, 60.0, 70.0], "online_knn_se": 5.0, "online_n": 100, "mine": [1.0, 2.0, 3.0]}
    text = reported([changed(runs[0], tmp_path / "a", **logged)], tmp_path / "a.html").read_text()
    titles = re.findall(r'"text":"([^"]*)"', text)
    assert "kNN beside the run" in titles and "% of test samples" in titles and "mine" in titles
    assert not {"online_n", "online_knn", "online_knn_se"} & set(titles) and "[65.0000, 75.0000]" in text


def test_many_ceilings_are_told_by_their_ends(tmp_path, runs):
    several = [changed(runs[2], tmp_path / f"{k}", ceiling_infonce=5.0 + k) for k in range(5)]
    text = reported(several, tmp_path / "a.html").read_text()
    assert "lowest ceiling = 5" in text and "highest ceiling = 9" in text


def test_a_spectrum_has_one_legend_for_runs_of_unequal_length(runs):
    figure = spectra({run.name: Frames.load(run / FILE) for run in runs})
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert shown == ["epoch 0", "epoch 1", "epoch 2", "epoch 3"]
    looks = {trace.name: (trace.line.color, trace.legendgroup) for trace in figure.data}
    assert all((t.line.color, t.legendgroup) == looks[t.name] for t in figure.data)
    assert [t.name for t in figure.data if t.xaxis == "x3"] == ["epoch 0", "epoch 1"]


def test_spectra_of_runs_of_other_lengths_have_one_small_legend(runs):
    kept, (values, *_) = Frames.load(runs[0] / FILE), Frames.load(runs[0] / FILE).spectra

    def of(*epochs):
        return replace(kept, epochs=list(epochs), spectra=[values] * len(epochs))

    figure = spectra({"a": of(0, 1, 4, 5, 5.8), "b": of(*range(11)), "c": of(0, 0.4), "d": of(0.0)})
    shown = [t.name for t in sorted(figure.data, key=lambda t: t.legendrank) if t.showlegend]
    assert shown == ["start", "a quarter", "half", "three quarters", "end"]
    drawn = [
        [t.name for t in figure.data if t.xaxis == axis and t.hovertemplate.startswith("epoch")]
        for axis in ("x", "x2", "x3", "x4")
    ]
    assert drawn == [[*shown[:3], "end"], shown, ["start", "end"], ["start"]]
    assert figure.data[len(drawn[0]) - 1].hovertemplate.startswith("epoch 5.8,"), "its own end"
    same = spectra({"a": of(*range(20)), "b": of(*range(20))})
    assert [t.name for t in same.data if t.showlegend] == [f"epoch {n}" for n in (0, 4, 8, 11, 15, 19)]


def test_sections_of_several_data_name_them_as_they_were_asked_for(tmp_path, runs, toy):
    text = reported([runs[0], toy], tmp_path / "a.html").read_text()
    asked = json.loads((runs[0] / "config.json").read_text())["data"]["name"]
    assert f"Features of <code>{asked}</code>" in text and "Features of <code>gaussians</code>" in text


def test_only_data_with_labels_are_said_to_have_them(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "flat").mkdir()
    for k in range(12):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "flat" / f"{k}.png")
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=3, size=8), projector=(4,))
    im.train(learner, tmp_path / "flat", epochs=1, batch_size=6, size=8, progress=False, out=tmp_path / "run")
    text = reported([tmp_path / "run"], tmp_path / "a.html").read_text()
    assert "Clusters are k-means" in text and "Labels are those" not in text and "in every run" not in text


def test_of_a_run_by_time_the_epochs_that_it_was_not_asked_for_are_not_on_the_page():
    training = {"epochs": 100, "budget": "5min", "lr": 0.001}
    asked = [_asked(SimpleNamespace(config={"training": training | {"budget": b}})) for b in ("5min", None)]
    assert ["training: epochs" in one for one in asked] == [False, True]
    assert asked[0]["training: budget"] == "5min"
