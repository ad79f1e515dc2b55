"""The shipped recipes: options that exist, the published settings to the digit, costs that are counted."""

from importlib import resources
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import infomax as im
from infomax import recipes
from infomax.cli import main
from infomax.errors import ConfigError
from infomax.sweep import Cell
from infomax.sweep.command import grid_of

PRINTED = yaml.safe_load((resources.files("infomax") / "studies" / "tables" / "printed.yaml").read_text("utf-8"))

# method: views, optimizer, lr, weight decay, projector, and what else is the method's own; accuracy on CIFAR-10 and -100.
# lr and decay of SimCLR and the variance of VICReg are those of losses of another scale: see `about.differs`.
REFERENCE = {
    "simclr": ("simclr", "larc", 0.4 / 2, 1e-4 * 2, [2048, 256], {"temperature": 0.2}, 90.74, 65.78),
    "byol": ("byol", "larc", 1.0, 1e-5, [4096, 256], {"predictor": [4096], "momentum": 0.99}, 92.58, 70.46),
    "simsiam": ("weak", "sgd", 0.5, 1e-5, [2048] * 3, {"predictor": [512]}, 90.51, 66.04),
    "moco_v2": (
        "weak", "sgd", 0.3, 1e-4, [2048, 256],
        {"temperature": 0.2, "queue": 32768, "both_ways": True, "momentum": 0.99, "momentum_end": 0.999}, 92.94, 69.89,
    ),
    "moco_v3": (
        "byol", "larc", 0.3, 1e-6, [4096, 256], {"predictor": [4096], "temperature": 0.2, "momentum": 0.99}, 93.10, 68.83,
    ),
    "barlow_twins": ("byol", "larc", 0.3, 1e-4, [2048] * 3, {"redundancy": 0.0051, "loss_scale": 0.1}, 92.10, 70.90),
    "vicreg": (
        "vicreg", "larc", 0.3, 1e-4, [2048] * 3,
        {"invariance": 25.0, "variance": 25.0 * 2, "covariance": 1.0, "eps": 1e-4}, 92.07, 68.54,
    ),
    "dino": (
        "dino", "larc", 0.3, 1e-6, [2048, 256],
        {"prototypes": 4096, "temperature": 0.1, "target_temperature": 0.07, "momentum": 0.9995, "freeze_epochs": 1},
        89.52, 66.76,
    ),
    "swav": (
        "swav", "larc", 0.6, 1e-6, [2048, 128],
        {"prototypes": 3000, "temperature": 0.1, "epsilon": 0.05, "iterations": 3, "queue": 3840, "queue_epoch": 50,
         "freeze_epochs": 2}, 89.17, 64.88,
    ),
    "w_mse": ("w-mse", "adam", 2e-3, 1e-6, [1024, 64], {"whitening_size": 128}, 88.67, 61.33),
}  # fmt: skip


def resolved(name):
    return Cell.of(recipes.get(name).options, name).options


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_has_options_that_exist_and_says_what_to_expect_and_what_it_costs(name):
    recipe, options = recipes.get(name), resolved(name)
    assert set(recipe.options) <= set(options)  # each was read by `infomax train`, under its own name
    assert name == f"{name.split('/')[0]}/{options['method'].replace('_', '-')}-{options['data']}"
    assert {"expected", "cost", "cost_how", "source", "protocol", "differs"} == set(recipe.about)
    assert 10 < recipe.about["expected"]["accuracy"] < 100 and recipe.about["differs"]
    heads = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    own = {k: heads[k] for k in im.methods.options(options["method"])}
    learner = im.methods.build(options["method"], nn.Linear(8, 16), **own)
    assert learner.recipe["method"] == options["method"]


def test_the_list_says_what_its_accuracies_are_of(capsys):
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    assert said.count("linear probe trained along with the encoder (online)") == 1 == said.count("after its 5 minutes")
    assert "linear probe of the frozen encoder, test set, mean and deviation of 3 runs" in said


def test_a_recipe_with_a_key_that_is_no_option_fails():
    options = dict(recipes.get("paper/jmi-cifar10").options)
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        Cell.of({k.replace("temperature", "temprature"): v for k, v in options.items()})


@pytest.mark.parametrize("method", REFERENCE)
@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
def test_the_reference_recipes_are_the_published_ones(method, data):
    views, optimizer, lr, decay, projector, own, *accuracy = REFERENCE[method]
    o = resolved(f"reference/{method}-{data}")
    assert (o["views"], o["optimizer"], o["lr"], o["weight_decay"]) == (views, optimizer, lr, decay)
    assert (o["encoder"], o["batch_size"], o["lr_batch"], o["epochs"], o["warmup_epochs"]) == (
        "resnet18",
        256,
        256,
        1000,
        10,
    )
    assert o["projector"] == projector and {k: o[k] for k in own} == own
    assert recipes.get(f"reference/{method}-{data}").about["expected"] == {"accuracy": accuracy[data == "cifar100"]}


@pytest.mark.parametrize("method", PRINTED["table5"])
def test_the_papers_recipes_are_those_of_its_tables(method):
    for data, printed in PRINTED["table6"][method].items():
        o, selected = (
            resolved(f"paper/{method}-{data}"),
            grid_of(f"paper/sweep1-{method.replace('_', '-')}").about["selected"],
        )
        assert {k: o[k] for k in printed if k in o} == {k: v for k, v in printed.items() if k in o}
        assert o["projector"] == [2048] * (printed["layers"] - 1) + [printed["projection"]]
        assert (o["encoder"], o["batch_size"], o["epochs"], o.get("predictor", [256])) == ("resnet18", 512, 1000, [256])
        assert o.get("momentum", 0.996) == 0.996 and selected[data] == printed
    for data, printed in PRINTED["table7"].items():
        o = resolved(f"paper/{method}-{data}")
        batch = printed["batch_size of sdmi"] if (method, data) == ("sdmi", "imagenet100") else printed["batch_size"]
        assert {k: o[k] for k in printed if k in o} == {k: v for k, v in printed.items() if k in o} | {
            "batch_size": batch
        }
        assert o["projector"] == [printed["feature dimension"]] * 2 + [printed["projection dimension"]]
    for data, (mean, sd) in PRINTED["table1"][method].items():
        expected = recipes.get(f"paper/{method}-{data}").about["expected"]
        assert (expected["accuracy"], expected["sd"]) == (mean, sd)
        if method == "sdmi":
            assert [expected["accuracy_g"], expected["sd_g"]] == PRINTED["table1"]["sdmi_g"][data]


def test_costs_are_those_of_counted_operations():
    images = {"cifar10": 50_000, "cifar100": 50_000, "tiny-imagenet": 100_000, "imagenet100": 126_689}
    counted = {}
    for name in recipes.names():
        o = recipes.get(name).options
        if "budget" in o:  # a time is its own cost
            continue
        side = o.get("size", 32)
        if (o["encoder"], side) not in counted:
            with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
                im.encoders.get(o["encoder"], channels=3, size=side).eval()(torch.zeros(1, 3, side, side))
            counted[o["encoder"], side] = counter.get_total_flops()
        passes = {"sdmi": 8 / 3, "byol": 4 / 3, "moco_v2": 4 / 3, "moco_v3": 4 / 3, "dino": 4 / 3}.get(o["method"], 1)
        peta = counted[o["encoder"], side] * 3 * 2 * images[o["data"]] * o["epochs"] * passes / 1e15
        said = recipes.get(name).about["cost"].split()
        assert float(said[0]) == pytest.approx(peta, rel=0.01)
        assert float(said[2]) == pytest.approx(peta * 1e15 / 20e12 / 3600, rel=0.02)


def test_a_recipe_trains_from_the_command_line_and_options_beside_it_win(tmp_path, capsys):
    import json

    asked = [
        "train",
        "--config",
        "reference/simclr-cifar10",
        "--data",
        "digits",
        "--encoder",
        "mlp",
        "--projector",
        "16-8",
    ]
    out = tmp_path / "run"
    more = ["--epochs=2", "--warmup-epochs=0", "--batch-size=128", f"--out={out}", "--device=cpu"]
    assert main([*asked, *more]) == 0
    config = json.loads((out / "config.json").read_text())
    assert config["training"]["optimizer"] == "larc" and config["training"]["lr_batch"] == 256
    assert config["method"]["projector"] == [16, 8] and config["method"]["temperature"] == 0.2
    first = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert 0 < first["lr"] < 0.2 * 128 / 256  # the peak, 0.1 at half the batch, has begun to fall
    assert len(im.Run.resume(out, progress=False).history) == 2
    capsys.readouterr()


def test_recipes_are_listed_and_printed_as_files_that_configure_the_same(tmp_path, capsys):
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in recipes.names()) and "88.61 ± 0.13 % (g 88.59 ± 0.35 %)" in said
    assert main(["recipes", "paper/sdmi-cifar100"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text(text)
    assert yaml.safe_load(text) == recipes.get("paper/sdmi-cifar100").options and "# expected:" in text
    for config in (tmp_path / "mine.yaml", "paper/sdmi-cifar100"):
        assert main(["train", "--config", str(config), "--print-config"]) == 0
    first, second = capsys.readouterr().out.split("method: sdmi")[1:]
    assert first == second


def test_a_name_that_is_none_is_one_line_with_the_nearest(capsys):
    assert main(["train", "--config", "reference/simclear-cifar10", "--out", "x"]) == 2
    assert "did you mean 'reference/simclr-cifar10'" in capsys.readouterr().err and not Path("x").exists()
    with pytest.raises(ConfigError, match="did you mean 'paper/byol-cifar10'"):
        recipes.get("paper/boyl-cifar10")


def test_a_recipe_trains_from_python_what_the_command_trains(tmp_path):
    changes = [
        "--data",
        "digits",
        "--epochs",
        "1",
        "--size",
        "8",
        "--encoder",
        "mlp",
        "--projector",
        "32-16",
        "--seed",
        "3",
    ]
    assert main(["train", "--config", "cpu/simclr-cifar10", *changes, "--out", str(tmp_path / "command")]) == 0
    by_command = im.Run.load(tmp_path / "command")
    run = im.recipes.get("cpu/simclr-cifar10").train(
        "digits", tmp_path / "python", epochs=1, size=8, encoder="mlp", projector=[32, 16], seed=3, progress=False
    )
    mine, theirs = (r.learner.state_dict() for r in (run, by_command))
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert run.config["training"] == by_command.config["training"] and "budget" not in run.config["training"]


def test_a_recipe_takes_what_a_run_takes_and_names_what_it_does_not(tmp_path):
    recipe, seen = im.recipes.get("cpu/vicreg-cifar10"), []
    images = torch.randint(0, 255, (96, 16, 16, 3), dtype=torch.uint8)
    run = recipe.train(images, budget="1s cpu", size=8, encoder="mlp", progress=False, on_epoch=seen.append)
    assert run.path is None and seen and run.config["training"]["budget"] == "1s cpu"
    mine = im.encoders.get("mlp", channels=3, size=8)
    small = {"epochs": 1, "size": 8, "batch_size": 32, "progress": False}
    run = recipe.train(images, encoder=mine, projector=(24, 12), lr=None, devices=1, **small)
    assert run.learner.encoder is mine and run.config["training"]["lr"] == recipe.options["lr"]
    assert run.config["method"]["projector"] == [24, 12]

    def views(batch, index, *, seed, epoch):
        return [(batch[:, :8, :8].permute(0, 3, 1, 2) / 255 - 0.5) / 0.29] * 2

    assert len(recipe.train(images, views=views, encoder="mlp", **small).history) == 1
    with pytest.raises(ConfigError, match=r"cpu/vicreg-cifar10: no option 'learning_rate'.*'lr'"):
        recipe.train(images, learning_rate=0.1)
    with pytest.raises(ConfigError, match="batch"):
        recipe.train(images, batch_size=1)
    with pytest.raises(im.DataError, match="nowhere"):
        recipe.train(str(tmp_path / "nowhere"))
