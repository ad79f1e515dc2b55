"""What is said of an evaluation: of which weights, on which data, chosen how, and over which runs."""

import errno
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import infomax as im
from infomax.cli import main
from infomax.cli.pages import reported
from infomax.data import Dataset
from infomax.errors import DataError
from infomax.evaluate import seeds, sgd_probe
from infomax.evaluate.findings import keep, read, shown
from infomax.evaluate.protocols import PROTOCOLS, lines, statement
from infomax.training.completion import stands


def saved(path, seed, gap, n=120):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 6))
    x[np.arange(n), y] += gap
    np.savez(path, x=x.astype("float32"), y=y)
    return path


def train(out, data, seed=0, method="jmi", **options):
    torch.manual_seed(seed)
    learner = im.methods.build(method, im.encoders.get("mlp", channels=6, size=1), projector=(8,))
    options = {"epochs": 1, "batch_size": 30} | options
    return im.train(learner, data, seed=seed, out=out, progress=False, **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs on small.npz, and other.npz, which is far easier."""
    folder = tmp_path_factory.mktemp("place")
    saved(folder / "small.npz", 0, 1.0), saved(folder / "other.npz", 1, 9.0)
    with pytest.MonkeyPatch.context() as at:
        at.chdir(folder)
        for seed in range(2):
            train(folder / f"seed{seed}", "small.npz", seed)
        train(folder / "long", "small.npz", 2, epochs=2)
        train(folder / "vicreg", "small.npz", 0, "vicreg")
        for seed in range(2):
            train(folder / f"sdmi{seed}", "small.npz", seed, "sdmi")
    return folder


@pytest.fixture
def at(place, tmp_path, monkeypatch):
    """A copy of them, to be worked in."""
    shutil.copytree(place, tmp_path / "place")
    for config in (tmp_path / "place").glob("*/config.json"):
        config.write_text(config.read_text().replace(str(place), str(tmp_path / "place")))
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def told(capsys, *words):
    capsys.readouterr()
    assert main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def glance(folder):
    text = reported([folder], folder / "page.html").read_text()
    return text.split('id="at-a-glance"')[1].split('id="curves"')[0].replace("\N{NO-BREAK SPACE}", " ")


def unfinish(folder, epochs=500):
    config = json.loads((folder / "config.json").read_text())
    config["training"]["epochs"] = epochs
    (folder / "config.json").write_text(json.dumps(config))


def test_a_run_that_is_not_finished_is_said_to_be(at, capsys):
    assert "not finished" not in str(im.Run.load("seed0").evaluate(protocols="knn"))
    unfinish(at / "seed0")
    assert main(["evaluate", "seed0", "--protocols", "knn"]) == 0
    assert "epoch 1 of 500: the run is not finished\n" in capsys.readouterr().out
    (found,) = told(capsys, "seed0", "--protocols", "knn")["runs"]
    assert found["trained"] == {"epoch": 1, "of": 500, "finished": False}


def test_whoever_takes_an_encoder_that_is_not_finished_is_told(at, capsys):
    run = im.Run.load("seed0")
    assert "not finished" not in str(run)
    run.export("whole.safetensors")
    unfinish(at / "seed0")
    run, said = im.Run.load("seed0"), "epoch 1 of 500: the run is not finished"
    assert str(run).endswith(f"; {said}")
    with pytest.warns(UserWarning, match=f"^{said}$"):
        run.embed("small.npz")
    with pytest.warns(UserWarning, match=f"^{said}$"):
        run.export("half.safetensors")
    for words in (["embed", "seed0", "small.npz", "--out", "z.npz"], ["export", "seed0", "--out", "again.safetensors"]):
        capsys.readouterr()
        assert main(words) == 0
        assert f"warning: {said}\n" in capsys.readouterr().err


def test_a_run_under_way_is_not_told_of_at_every_epoch(at):
    heard = []
    train(at / "watched", "small.npz", epochs=2, on_epoch=lambda run: heard.append((str(run), run.embed("small.npz"))))
    assert len(heard) == 2 and not any("not finished" in line for line, _ in heard)


@pytest.mark.filterwarnings("ignore:budget")
def test_a_run_for_a_time_is_finished_once_that_is_spent(at):
    run = train(at / "timed", "small.npz", budget="0.3s")
    assert run.evaluate(protocols="knn")["trained"]["finished"] is True
    newest = sorted((at / "timed" / "checkpoints").glob("*"))[-1]
    newest.unlink()
    assert stands({"budget": "0.3s"}, run.history, at / "timed")["finished"] is not True


def test_accuracies_of_weights_that_have_moved_on_are_marked(at):
    assert main(["evaluate", "seed0", "--protocols", "knn"]) == 0
    assert "<strong>of " not in glance(at / "seed0")
    log = at / "seed0" / "log.jsonl"
    row = json.loads(log.read_text())
    log.write_text(log.read_text() + json.dumps(row | {"epoch": 2}) + "\n")
    assert "<strong>of epoch 1</strong>" in glance(at / "seed0")
    log.write_text(json.dumps(row) + "\n")
    shutil.copy(at / "seed1" / "learner.safetensors", at / "seed0")
    assert "<strong>of earlier weights</strong>" in glance(at / "seed0")


def test_the_runs_own_data_come_first_and_others_are_named(at, capsys):
    (other,) = told(capsys, "seed0", "--data", "other.npz", "--protocols", "knn")["runs"]
    assert "<code>other.npz</code>, not the training data" in glance(at / "seed0") and not other["own"]
    (own,) = told(capsys, "seed0", "--protocols", "knn")["runs"]
    assert own["knn"] < 99 and other["knn"] > 99
    said = glance(at / "seed0")
    assert f"{own['knn']:.1f} ±" in said and said.rindex("<code>small.npz</code></td>") < said.index("other.npz")


def test_a_page_has_the_accuracies_of_a_second_encoder_too(at, capsys):
    (found,) = told(capsys, "sdmi0", "--protocols", "linear,knn")["runs"]
    said = glance(at / "sdmi0")
    for key in ("linear", "knn"):
        assert f"{found[key]:.1f} ±" in said and f"; g: {found['g'][key]:.1f} ± {found['g'][key + '_se']:.1f}" in said
    assert "g: the second encoder" in reported([at / "sdmi0"], at / "page.html").read_text()
    told(capsys, "seed0", "--protocols", "knn")
    assert "g:" not in glance(at / "seed0")


def test_a_set_with_and_without_its_path_is_one_entry(at, capsys, monkeypatch):
    told(capsys, "seed0", "--protocols", "linear")
    told(capsys, "seed0", "--protocols", "knn", "--data", "small.npz")
    told(capsys, "seed0", "--protocols", "gauges", "--data", str(at / "small.npz"))
    kept = json.loads((at / "seed0" / "evaluation.json").read_text())
    assert list(kept) == ["small.npz"] and {"linear", "knn", "embedding"} <= set(kept["small.npz"])
    assert "penalty chosen" in kept["small.npz"]["protocol"], "what stands in it was chosen so"
    (at / "elsewhere").mkdir()
    saved(at / "elsewhere" / "small.npz", 5, 9.0)
    monkeypatch.chdir(at / "elsewhere")
    told(capsys, "../seed0", "--protocols", "knn", "--data", "small.npz")
    again = json.loads((at / "seed0" / "evaluation.json").read_text())
    assert len(again) == 2 and again["small.npz"] == kept["small.npz"]


def test_what_earlier_versions_kept_by_the_path_is_taken_up(at, capsys):
    (found,) = told(capsys, "seed0", "--protocols", "linear")["runs"]
    older = {k: v for k, v in found.items() if k not in ("own", "source", "how", "trained", "infomax")}
    (at / "seed0" / "evaluation.json").write_text(json.dumps({str(at / "small.npz"): older | {"data": "small.npz"}}))
    assert "<code>small.npz</code></td>" in glance(at / "seed0")
    told(capsys, "seed0", "--protocols", "knn")
    kept = json.loads((at / "seed0" / "evaluation.json").read_text())
    assert list(kept) == ["small.npz"] and {"linear", "knn"} <= set(kept["small.npz"])


def test_what_another_evaluation_kept_in_the_meantime_stays(at, capsys, monkeypatch):
    known = PROTOCOLS["knn"]

    def slow(*given):
        told(capsys, "seed0", "--data", "other.npz", "--protocols", "linear")
        return known(*given)

    monkeypatch.setitem(PROTOCOLS, "knn", slow)
    told(capsys, "seed0", "--protocols", "knn")
    kept = read(at / "seed0")
    assert list(kept) == [str(at / "other.npz"), "small.npz"] and "linear" in kept[str(at / "other.npz")]


def test_findings_that_are_kept_at_one_time_are_all_kept(tmp_path):
    found = {"own": False, "seed": 0, "weights": "a", "knn": 1.0, "how": "h"}
    names = [f"/{k}.npz" for k in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: keep(tmp_path, found | {"data": name, "source": name}), names))
    assert sorted(read(tmp_path)) == sorted(names)


def kept_at(folder, size, default=8, **found):
    of = {"data": "d", "own": True, "source": None, "seed": 0, "weights": "a", "how": "h"}
    keep(folder, of | {"size": size, "default_size": default} | found)
    return read(folder)["d"]


def test_findings_at_another_size_stand_beside_those_at_the_default_and_displace_none(tmp_path):
    kept_at(tmp_path, 8, linear=90.0)
    assert kept_at(tmp_path, 16, linear=70.0)["linear"] == 90.0
    kept_at(tmp_path, 16, knn=60.0), kept_at(tmp_path, 12, knn=50.0)
    kept = kept_at(tmp_path, 8, knn=80.0)
    assert (kept["linear"], kept["knn"]) == (90.0, 80.0)
    assert (kept["sizes"]["16"]["linear"], kept["sizes"]["16"]["knn"]) == (70.0, 60.0)
    assert list(kept["sizes"]) == ["16", "12"] and "linear" not in kept["sizes"]["12"]
    assert "whole images at 8 px" in kept["protocol"] and "whole images at 16 px" in kept["sizes"]["16"]["protocol"]
    assert shown({"d": kept}, {"name": "d"})[0].found["linear"] == 90.0
    with pytest.warns(UserWarning, match=r"^the weights have changed since: .* \(linear\) is dropped"):
        other = kept_at(tmp_path, 16, knn=55.0, weights="b")  # they are replaced, at that size alone
    assert "linear" not in other["sizes"]["16"] and (other["linear"], other["sizes"]["12"]["knn"]) == (90.0, 50.0)


def test_what_does_not_stand_beside_the_new_is_named_as_it_is_dropped(tmp_path):
    whole = {"linear": 90.0, "sgd": {}, "knn": 80.0, "few_10": {}, "baselines": {}, "embedding": {}}
    kept_at(tmp_path, 8, content={"labels": "a"}, **whole)
    kept_at(tmp_path, 16, linear=70.0)
    said = r"^d has changed since: what was found before \(linear, sgd, few, baselines, gauges\) is dropped$"
    with pytest.warns(UserWarning, match=said):
        kept = kept_at(tmp_path, 8, content={"labels": "b"}, knn=81.0)
    assert "linear" not in kept and kept["sizes"]["16"]["linear"] == 70.0
    with pytest.warns(UserWarning, match=r"^found by --seed 0 then, 1 now: what was found before \(knn\) is dropped$"):
        kept_at(tmp_path, 8, content={"labels": "b"}, linear=91.0, seed=1)
    with pytest.warns(UserWarning, match=r"^found by another version of infomax then: .* \(linear\) is dropped$"):
        kept_at(tmp_path, 8, weights="b", infomax="9", knn=1.0)
    assert kept_at(tmp_path, 8, weights="c", **whole)["linear"] == 90.0, "all is found anew, and nothing said"


def test_baselines_alone_hide_no_accuracies_and_the_last_size_is_the_one_that_was_asked_for_last(tmp_path):
    mine = {"name": "digits", "source": None}
    bare = {"own": True, "baselines": {"raw": {"linear": 80.0}}}
    other = {"own": False, "linear": 90.0}
    both = shown({"digits": bare, "/data/b.npz": other}, mine)
    assert both == [("b.npz", other, False, "/data/b.npz"), ("digits", bare, True, "digits")]
    for size, knn in ((8, None), (16, 60.0), (24, 70.0), (16, 65.0)):
        kept_at(tmp_path, size, **({"baselines": {}} if knn is None else {"knn": knn}))
    ((_, found, *_),) = shown(read(tmp_path), {"name": "digits", "source": None})
    assert (found["size"], found["knn"]) == (16, 65.0)


def test_every_data_set_is_shown_the_run_s_own_first_then_the_last_and_namesakes_by_their_paths():
    other = {"own": False, "knn": 1.0}
    kept = {"/a/split": other, "digits": {"own": True, "knn": 2.0}, "/b/split": other, "/c/labelled": other}
    found = shown(kept, {"name": "digits", "source": None})
    assert [(one.name, one.own) for one in found] == [
        ("digits", True),
        ("labelled", False),
        ("/b/split", False),
        ("/a/split", False),
    ]


def test_those_of_another_size_alone_are_no_ones_of_the_default(tmp_path):
    kept = kept_at(tmp_path, 16, linear=70.0)
    assert list(kept) == ["sizes"]
    assert shown({"d": kept}, {"name": "d"})[0].found["size"] == 16, "rather than nothing: the page says at which"
    kept = kept_at(tmp_path, 8, embedding={})
    assert shown({"d": kept}, {"name": "d"})[0].found["size"] == 16
    assert shown({"d": kept_at(tmp_path, 8, knn=1.0)}, {"name": "d"})[0].found["size"] == 8


def test_those_of_earlier_versions_keep_their_place_until_it_is_known_whose_it_is(tmp_path):
    def earlier(**found):
        (tmp_path / "evaluation.json").write_text(json.dumps({"d": {"seed": 0, "weights": "a", "how": "h"} | found}))

    earlier(size=16, linear=70.0)
    assert shown(read(tmp_path), {"name": "d"})[0].found["linear"] == 70.0
    kept = kept_at(tmp_path, 8, linear=90.0)
    assert kept["linear"] == 90.0 and kept["sizes"]["16"]["linear"] == 70.0
    earlier(size=8, linear=90.0)
    assert kept_at(tmp_path, 16, knn=1.0)["linear"] == 90.0
    earlier(linear=80.0)  # of before a size was said
    assert kept_at(tmp_path, 16, knn=1.0)["linear"] == 80.0
    assert "linear" not in kept_at(tmp_path, 8, knn=1.0) and list(read(tmp_path)["d"]["sizes"]) == ["16"]


def test_a_folder_that_cannot_be_locked_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*evaluation\.json: "):
        keep(tmp_path / "file", {"data": "a", "own": True, "source": None})


def test_findings_of_a_second_encoder_stand_beside_each_other_too(at, capsys):
    for asked in ("linear", "knn", "gauges"):
        told(capsys, "sdmi0", "--protocols", asked)
    kept = read(at / "sdmi0")["small.npz"]
    assert {"linear", "knn", "embedding"} <= set(kept) and {"linear", "knn"} <= set(kept["g"])


def test_a_run_named_twice_is_refused(at, capsys):
    assert main(["evaluate", "seed0", str(at / "seed0"), "--protocols", "knn"]) == 2
    assert "named twice" in capsys.readouterr().err
    assert not (at / "seed0" / "evaluation.json").exists()


def test_runs_that_differ_in_more_than_the_seed_have_no_mean(at, capsys):
    assert told(capsys, "seed0", "seed1", "--protocols", "knn")["over_runs"]["knn"]["n"] == 2
    found = told(capsys, "seed0", "long", "--protocols", "knn")
    assert "over_runs" not in found and "training epochs (1, 2)" in found["over_runs_left_out"]
    assert (
        "different methods (jmi, vicreg)" in told(capsys, "seed0", "vicreg", "--protocols", "knn")["over_runs_left_out"]
    )
    assert main(["evaluate", "seed0", "vicreg", "--protocols", "knn"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("no mean over runs: the runs are of different methods")
    shutil.copytree(at / "seed0", at / "copy")
    assert "the same weights" in told(capsys, "seed0", "copy", "--protocols", "knn")["over_runs_left_out"]
    unfinish(at / "seed0"), unfinish(at / "long")
    assert "epochs done (1, 2)" in told(capsys, "seed0", "long", "--protocols", "knn")["over_runs_left_out"]


def test_runs_of_several_kinds_have_a_mean_each(at, capsys):
    found = told(capsys, "seed0", "vicreg", "seed1", "--protocols", "knn")
    assert "different methods" in found["over_runs_left_out"] and "over_runs" not in found
    jmi, vicreg = found["over_kinds"]
    assert jmi["runs"] == ["seed0", "seed1"] and vicreg == {"name": "vicreg", "runs": ["vicreg"]}
    values = [found["runs"][k]["knn"] for k in (0, 2)]
    assert jmi["over_runs"]["knn"]["mean"] == pytest.approx(np.mean(values)) and jmi["over_runs"]["knn"]["n"] == 2
    assert main(["evaluate", "seed0", "vicreg", "seed1", "--protocols", "knn"]) == 0
    last = capsys.readouterr().out.splitlines()[-3:]
    assert last[0] == "jmi: seed0, seed1" and last[1].startswith("  knn ") and "sd of 2 runs" in last[1]
    assert last[2] == "vicreg: vicreg alone"
    shutil.copytree(at / "seed0", at / "copy")
    assert main(["evaluate", "seed0", "vicreg", "copy", "--protocols", "knn"]) == 0
    assert "  no mean over runs: seed0 and copy have the same weights" in capsys.readouterr().out


def test_what_only_watches_makes_no_difference_and_the_data_do():
    config = {
        "training": {"seed": 0, "intervals": True},
        "data": {"name": "a", "samples": 3, "mean": [0.0], "std": [1.0]},
    }
    other = config | {"training": {"seed": 1, "intervals": False}}
    assert seeds.differences([config, other]) == []
    assert seeds.differences([config, other | {"data": config["data"] | {"samples": 4}}]) == [
        "data trained on (a, 3 samples; a, 4 samples)"
    ]


def test_options_are_compared_whole_and_as_numbers():
    def trained(**options):
        return {"training": options, "data": {"name": "a", "samples": 3, "mean": [0.1], "std": [1.0]}}

    rules = {"bias": {"weight_decay": 0.0}, "norm": {"weight_decay": 0.0}, "f.projector": {"lr": 1.0}}
    (said,) = seeds.differences([trained(rules=rules), trained(rules=rules | {"f.projector": {"lr": 9.0}})])
    assert said.startswith("training rules (")  # they differ behind the sixtieth character
    assert seeds.differences([trained(warmup_epochs=10), trained(warmup_epochs=10.0)]) == []
    rounded = trained() | {"data": {"name": "a", "samples": 3, "mean": [0.1 + 1e-9], "std": [1.0]}}
    assert seeds.differences([trained(), rounded]) == []
    nought, off = ({"data": {"name": "a", "samples": 3, "mean": [m], "std": [1.0]}} for m in (1e-17, 0.001))
    other = {"data": {"name": "a", "samples": 3, "mean": [-3e-17], "std": [1.0]}}  # of a table that is standardised
    assert seeds.differences([nought, other]) == []
    assert seeds.differences([nought, off]) == ["data trained on (their statistics)"]


def test_runs_for_one_time_have_a_mean_however_far_they_came():
    config = {"training": {"budget": "5min"}, "data": {"name": "a"}}
    found = [
        {"method": "jmi", "source": None, "data": "a", "weights": k, "trained": {"epoch": e, "finished": True}}
        for k, e in enumerate((0.1, 8.6))
    ]
    assert seeds.apart(["x", "y"], found, [config] * 2) is None
    found[1]["trained"]["finished"] = False
    assert "y not finished" in seeds.apart(["x", "y"], found, [config] * 2)
    found[1]["trained"]["finished"] = True
    summed = {"knn": {"mean": 90.0, "sd": 1.0, "n": 2}}
    said = ["knn       90.00 % +- 1.00 (sd of 2 runs of 0.1 to 8.6 epochs)"]
    assert seeds.lines(summed, came=seeds.lengths(found)) == said
    assert seeds.lines({"g": summed}, came=seeds.lengths(found)) == [f"of g: {said[0]}"]
    assert seeds.lengths(found[:1] * 2) == ""


def test_both_encoders_have_a_mean_over_runs(at, capsys):
    found = told(capsys, "sdmi0", "sdmi1", "--protocols", "knn,linear")
    for key in ("knn", "linear"):
        values = [f["g"][key] for f in found["runs"]]
        assert found["over_runs"]["g"][key]["mean"] == pytest.approx(np.mean(values), abs=1e-4)
        assert found["over_runs"]["g"][key]["n"] == 2
    assert main(["evaluate", "sdmi0", "sdmi1", "--protocols", "knn"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("of g: knn ")


def test_every_accuracy_of_a_page_has_its_spread(at):
    assert main(["evaluate", "seed0", "--protocols", "linear,sgd,knn"]) == 0
    found = json.loads((at / "seed0" / "evaluation.json").read_text())["small.npz"]
    said = glance(at / "seed0")
    for cell in (
        f"{found['linear']:.1f} ± {found['linear_se']:.1f} (n = {found['test']})",
        f"{found['knn']:.1f} ± {found['knn_se']:.1f} (n = {found['test']})",
        f"{found['sgd']['mean']:.1f} ± {found['sgd']['sd']:.1f} (3 seeds)",
    ):
        assert cell in said
    assert "binomial" in said


def test_the_weight_decay_that_was_chosen_is_said(monkeypatch):
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(60) % 3
    made = sgd_probe(x[:40], y[:40], x[40:], y[40:], rates=(0.1,), decays=(0.25,))
    assert made.decay == 0.25 and made.penalty == 0.1
    found = {"sgd": {"mean": 90.0, "sd": 1.0, "n": 3, "rates": [0.1], "decays": [1e-4]}}
    assert lines(found)[0].endswith("rates 0.1, weight decays 0.0001")


@pytest.mark.parametrize("penalty, said", [(1.0, "penalty 1, an end of its grid"), (1e-3, "penalty 0.001")])
def test_a_penalty_at_an_end_of_its_grid_is_said_to_be(penalty, said):
    assert lines({"linear": 90.0, "linear_se": 1.0, "penalty": penalty})[0].endswith(said)


def test_the_statement_names_what_was_chosen_and_no_more(at, capsys):
    for asked, said in (("knn", "nothing chosen"), ("gauges", "gauges alone, so nothing is probed")):
        (found,) = told(capsys, "seed0", "--protocols", asked, "--seed", "3")["runs"]
        assert found["protocol"].endswith(said)
        shutil.rmtree(at / "seed0" / "features")
    (found,) = told(capsys, "seed0", "--protocols", "sgd,knn")["runs"]
    assert found["protocol"].endswith("rate and weight decay chosen on a held-out fifth of train")
    assert len(found["sgd"]["decays"]) == 3
    few = statement({"how": "h", "few_10": {}, "knn": 1.0})
    assert few.endswith("penalty chosen on a held-out fifth of those few labels")
    assert statement({"how": "h", "finetune": {}}).startswith("fine-tuned encoder; h; rate chosen")


def test_no_protocol_at_all_is_refused(at, capsys):
    assert main(["evaluate", "seed0", "--protocols", ""]) == 2
    assert "no protocol is named" in capsys.readouterr().err


def test_the_training_logs_line_says_that_it_is(at):
    assert str(im.Run.load("long").evaluate(protocols="knn")).splitlines()[-1].startswith("training log    epoch 2: ")


def test_labels_of_one_class_are_refused(at, capsys):
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    np.savez(at / "one.npz", x=x, y=np.full(40, 4))
    for asked in ("knn", "knn-best", "linear", "finetune", "gauges,knn"):
        assert main(["evaluate", "seed0", "--data", "one.npz", "--protocols", asked]) == 2
        assert "all 32 training labels are [4]; an accuracy needs two classes" in capsys.readouterr().err
    (found,) = told(capsys, "seed0", "--data", "one.npz", "--protocols", "gauges")["runs"]
    assert found["embedding"]["mi"]["infonce"]["n"] == 40
    with pytest.raises(DataError, match=r"--online-knn: all labels of .* are \[0\], and an accuracy needs two"):
        train(None, Dataset(torch.from_numpy(x), torch.zeros(40, dtype=torch.int64)), online_knn=True)


def test_a_file_system_without_locks_keeps_findings_all_the_same(at, capsys, monkeypatch):
    def refuses(self, *_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("infomax.locks.FileLock.acquire", refuses)
    (found,) = told(capsys, "seed0", "--protocols", "knn")["runs"]
    assert json.loads((at / "seed0" / "evaluation.json").read_text())["small.npz"]["knn"] == found["knn"]


def test_data_that_have_changed_under_their_path_are_not_the_runs_own(tmp_path):
    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(0)).numpy()
    y = np.arange(60) % 2
    np.savez(tmp_path / "d.npz", x=x, y=y)
    learner = im.methods.build("simclr", im.encoders.get("mlp", channels=6, size=1), projector=())
    im.train(learner, str(tmp_path / "d.npz"), out=tmp_path / "run", epochs=1, batch_size=30, progress=False)
    found = im.Run.load(tmp_path / "run").evaluate(protocols="knn")
    assert found["own"] and not found["changed"] and "has changed" not in str(found)
    np.savez(tmp_path / "d.npz", x=x[::-1], y=y)
    found = im.Run.load(tmp_path / "run").evaluate(protocols="knn")
    assert not found["own"] and found["changed"] == ["samples"]
    assert "d.npz has changed since the run was begun: other samples" in str(found)


def test_other_data_are_not_the_runs_own_for_being_as_many(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "infomax.data.items.budget", lambda: 1
    )  # asked for one by one, so that their content is not known
    x, y = torch.randint(256, (40, 8, 8, 3), dtype=torch.uint8), torch.arange(40) % 2
    learner = im.methods.build("simclr", im.encoders.get("mlp", channels=3, size=8), projector=())
    given = [(one.numpy(), int(label)) for one, label in zip(x, y, strict=True)]
    run = im.train(learner, given, epochs=1, batch_size=20, progress=False, out=tmp_path / "run")
    assert run.config["data"]["content"]["images"] is None
    found = run.evaluate(Dataset(x.flip(1), y, name="others"), protocols="knn")
    assert found["data"] == "others" and not found["own"]


def test_findings_of_two_versions_of_some_data_are_not_mixed(at, tmp_path, capsys):
    folder, other = shutil.copytree(at / "seed0", tmp_path / "run"), str(tmp_path / "other.npz")

    def kept(protocol):
        assert main(["evaluate", str(folder), "--data", other, "--protocols", protocol]) == 0
        return json.loads((folder / "evaluation.json").read_text())[other]

    saved(other, 1, 3.0)
    kept("linear")
    assert {"linear", "knn"} < kept("knn").keys()
    saved(other, 2, 3.0)
    assert "linear" not in kept("knn"), "of rows that are no more"
    assert {"linear", "knn"} < kept("linear").keys()


def test_findings_on_two_test_splits_are_not_mixed(at, tmp_path, capsys):
    folder, other = shutil.copytree(at / "seed0", tmp_path / "run"), str(tmp_path / "split.npz")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 6)).astype("float32"), np.arange(90) % 3

    def kept(protocol, **test):
        np.savez(other, x_train=x, y_train=y, **test)
        assert main(["evaluate", str(folder), "--data", other, "--protocols", protocol]) == 0
        return json.loads((folder / "evaluation.json").read_text())[other]

    kept("linear", x_test=x[:30], y_test=y[:30])
    assert {"linear", "knn"} < kept("knn", x_test=x[:30], y_test=y[:30]).keys()
    capsys.readouterr()
    for test in ({"x_test": x[:30], "y_test": y[:30][::-1]}, {"x_test": x[30:60], "y_test": y[:30][::-1]}, {}):
        assert "linear" not in kept("knn", **test), "of a test split that is no more"
        assert "split.npz has changed since: what was found before (" in capsys.readouterr().err
        kept("linear", **test)


def test_how_far_the_runs_of_a_mean_came_is_printed(at, capsys, monkeypatch):
    monkeypatch.setattr("infomax.evaluate.command.apart", lambda *_: None)  # else of a clock
    assert main(["evaluate", "seed0", "long", "--protocols", "knn"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("(sd of 2 runs of 1 to 2 epochs)")
