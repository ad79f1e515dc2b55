import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.command import SMALL, run

import infomax as im
from infomax.cli.phrases import PARTS
from infomax.errors import DataError
from infomax.training.folder import unclaimed

PHOTOS = ("--method", "vicreg", "--data", "photos/")


def test_bad_input_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "empty").mkdir()
    nan = tmp_path / "nan.npy"
    np.save(nan, np.full((64, 2), np.nan, np.float32))
    good = ["--method", "jmi", "--data", "digits", "--epochs", "1", "--out", tmp_path / "new"]

    def wrong(expected, *change):
        arguments = [str(a) for a in good]
        for option, value in zip(change[::2], change[1::2], strict=True):
            if option in arguments:
                arguments[arguments.index(option) + 1] = str(value)
            else:
                arguments += [option, str(value)]
        code, _, err = run(capsys, "train", *arguments)
        lines = [line.rpartition("\r")[2] for line in err.split("\n") if line and not line.startswith("warning:")]
        assert code == 2 and len(lines) == 1, err
        for text in expected:
            assert text in err
        assert not (tmp_path / "new").exists()

    wrong(["'simclr'"], "--method", "simclear")
    wrong(["--temperature"], "--temprature", "0.1")
    wrong(["did you mean 'digits'"], "--data", "digts")
    wrong(["'resnet8'"], "--encoder", "resnet9")
    wrong(["did you mean 'simclr'"], "--views", "simclear")
    wrong(["batch of 1"], "--batch-size", "1")
    wrong(["more rows than columns", "128"], "--method", "w_mse", "--projector", "128-256")
    wrong(["no images"], "--data", tmp_path / "empty")
    wrong(["not empty"], "--out", tmp_path / "full")
    wrong(["nan"], "--data", nan)
    wrong(["2048-256"], "--projector", "12x")
    wrong(["epochs=0"], "--epochs", "0")
    wrong(["no whole number"], "--epochs", "1.5")
    wrong(["64 bits"], "--seed", "99999999999999999999")
    wrong(["--seed"], "--seed", "-1")
    wrong(["--warmup-epochs=nan"], "--warmup-epochs", "nan")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("train", "--method", "typo"), "no method 'typo'"),
        (("train", "--views", "typo"), "no views 'typo'"),
        (("train", "--encoder", "typo"), "no encoder 'typo'"),
        (("train", "--encoder", "torchvision/typo"), "torchvision has no classifier 'typo'"),
        (("train", "--init", "typo"), "no weights typo: name a run's folder or a file"),
        (("train", "--epochs", "0"), "epochs=0"),
        (("train", "--temperature", "0"), "temperature"),
        (("train", "--devices", "0"), "devices=0: give at least 1"),
        (("train", "--device", "cuda:77"), "torch sees"),
        (("train", "--keep", "0"), "keep=0"),
        (
            ("train", "--checkpoint-every", "soon"),
            "infomax: --checkpoint-every='soon': give a number of updates, or a time",
        ),
        (("views", "--recipe", "typo"), "no views 'typo'"),
        (("study", "fig2", "--encoder", "typo"), "no encoder 'typo'"),
        (("study", "table1", "--encoder", "typo"), "no encoder 'typo'"),
    ],
)
def test_names_are_looked_at_before_data_are(tmp_path, capsys, asked, said):
    given = {"--method": "jmi"} if asked[0] == "train" else {}
    given |= dict(zip(asked[1::2], asked[2::2], strict=True)) if asked[0] != "study" else dict([asked[-2:]])
    given |= {"--data": tmp_path / "nowhere", "--out": tmp_path / "out"}
    code, _, err = run(capsys, *asked[: 1 + (asked[0] == "study")], *(word for pair in given.items() for word in pair))
    assert code == 2 and said in err and "nowhere" not in err, err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (("auto",), "encoder auto is a small one, without published weights"),
        (("resnet8",), "encoder resnet8 has no published weights"),
        (("resnet18", "--size", "32"), "resnet18 at 32 px has the CIFAR stem, of which nobody publishes weights"),
        (("timm/coatnet_0_224",), "encoder timm/coatnet_0_224 has no published weights"),
        (("torchvision/resnet18",), "nowhere"),
        (("resnet18",), "nowhere"),  # how large the images are, is not known yet
    ],
)
def test_weights_that_nobody_publishes_are_refused_before_data_are_read(tmp_path, capsys, encoder, said):
    if encoder[0].startswith("timm/"):
        pytest.importorskip("timm")
    asked = ("--method", "jmi", "--data", tmp_path / "nowhere", "--out", tmp_path / "out", "--init", "pretrained")
    code, _, err = run(capsys, "train", *asked, "--encoder", *encoder)
    assert code == 2 and said in err and ("nowhere" in err) == (said == "nowhere"), err


def test_protocols_are_looked_at_before_data_are(tmp_path, capsys, trained):
    code, _, err = run(capsys, "evaluate", trained, "--data", tmp_path / "nowhere", "--protocols", "knn,typo")
    assert code == 2 and "no protocol 'typo'" in err and "nowhere" not in err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("train", *PHOTOS), "train: --out is missing: infomax train --method METHOD --data DATA --out OUT"),
        (("train", *PHOTOS, "--out"), "train: --out is given without a value"),
        (("mi", "x.npy"), "mi: Y, the second argument, is missing: infomax mi X Y"),
        (("embed", "RUN"), "embed: DATA, the second argument, is missing: infomax embed RUN DATA --out OUT"),
        (("train", "--resume"), "train: --resume takes a run's folder: infomax train --resume RUN"),
        (("train", *PHOTOS, "--out", "r", "--resume"), "--resume takes a run's folder: infomax train --resume RUN"),
        (("train", "--methd", "vicreg", "--data", "photos/"), "train has no option --methd: did you mean --method?"),
        (("train", "--methd=vicreg", "--data", "photos/"), "train has no option --methd: did you mean --method?"),
        (("train", "--learning-rate", "0.1"), "train has no option --learning-rate: did you mean --lr?"),
        (("train", "--method", "simclr", "--tau=0.1"), "train has no option --tau: did you mean --temperature?"),
        (("train", "--n_epochs", "3"), "train has no option --n_epochs: did you mean --epochs?"),
        (("train", "--confg", "a.yaml"), "train has no option --confg: did you mean --config?"),
        (("train", "--resum", "runs/a"), "train has no option --resum: did you mean --resume?"),
        (("train", "--EPOCHS", "3"), "train has no option --EPOCHS: did you mean --epochs?"),
        (("train", "-n", "jmi"), "train has no option -n: infomax train --help lists them"),
        (("study", "fig2", "--budgt", "hour"), "study fig2 has no option --budgt: did you mean --budget?"),
        (
            ("train", *PHOTOS, "labelled/", "--out", "r"),
            "train: 'labelled/' is too much: infomax train --method METHOD --data DATA --out OUT",
        ),
        (("train", *PHOTOS, "labelled/"), "train: --out is missing, and 'labelled/' is too much: infomax train"),
        (("methods", "foo", "bar"), "methods: 'foo' and 'bar' are too much: infomax methods"),
        (("recipes", "a", "b"), "recipes: 'b' is too much: infomax recipes [NAME]"),
        (
            ("train", *PHOTOS, "--out", "r", "--temprature", "0.1"),
            "train has no option --temprature: infomax train --help lists them",
        ),
        (
            ("train", *PHOTOS, "--out", "r", "--temperature", "0.2"),
            "vicreg has no --temperature (dino, jmi, moco_v1, moco_v2, moco_v3, sdmi, simclr, swav, taylor_jmi have)",
        ),
        (
            ("train", *PHOTOS, "--out", "r", "--variance=2", "--momentum-end=1"),
            "vicreg has no --momentum-end (moco_v2 has)",
        ),
        (
            ("train", *PHOTOS, "--out", "r", "--marginals", "none"),
            "train has no option --marginals: in Python a learner has, im.train(learner.edit(marginals=...), ...)",
        ),
        (("train", *PHOTOS, "--out", "r", "--epoch=3"), "train has no option --epoch: did you mean --epochs?"),
        (("evaluate", "RUN", "--prot", "knn"), "evaluate has no option --prot: did you mean --protocols?"),
        (("train", "--config"), "--config takes a file of options, or a recipe's name (infomax recipes lists them)"),
        (
            ("train", "--config", "nothing.yaml"),
            "--config nothing.yaml: no such file (infomax recipes lists the recipes)",
        ),
        (
            ("train", "--config", "cpu/simclr-cifr10.yaml"),
            "--config cpu/simclr-cifr10.yaml: no such file; did you mean 'cpu/simclr-cifar10'? (infomax recipes lists",
        ),
        (("sweep", "nothing.yaml", "--out", "r"), "no file and no grid 'nothing.yaml': give one of: paper/sweep1-"),
        (("train", *SMALL, "--out", "r", "--devices", "0"), "devices=0: give at least 1"),
    ],
)
def test_what_cannot_be_read_is_said_in_words_of_the_command(tmp_path, capsys, monkeypatch, asked, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *asked)
    assert code == 2 and said in err and err.count("\n") == 1
    assert "requires an argument" not in err and "Did you mean" not in err and not list(tmp_path.iterdir())


def test_no_one_is_told_to_load_what_may_run_code(tmp_path, capsys):
    text, objects = tmp_path / "README.md", tmp_path / "objects.npy"
    text.write_text("# mine\n")
    np.save(objects, np.array([{}, []], dtype=object), allow_pickle=True)
    for file, said in ((text, "it is no array file"), (objects, "it holds Python objects")):
        code, _, err = run(capsys, "mi", file, file)
        assert code == 2 and said in err and "pickle" not in err, err


@pytest.mark.parametrize("place", ["file/run", "/proc/run", "/proc/some/run"])
def test_a_place_that_cannot_be_written_is_said_before_data_are_read(tmp_path, capsys, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    code, _, err = run(capsys, "train", "--method", "jmi", "--data", "nowhere", "--out", place)
    assert code == 2 and f"infomax: {place}: nothing can be written in {Path(place).parts[0]}" in err
    assert "nowhere" not in err and err.count("\n") == 1


def test_a_place_behind_a_folder_that_is_closed_is_said_as_such(tmp_path, monkeypatch):
    exists = Path.exists

    def refuses(path, **options):  # as Python before 3.14 does of what it may not look at
        if "closed" in path.parts[:-1]:
            raise PermissionError(errno.EACCES, "Permission denied")
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", refuses)
    with pytest.raises(
        DataError, match=r"closed/run: nothing can be written in .*\(Permission denied\): choose another"
    ):
        unclaimed(tmp_path / "closed" / "run")


def test_no_one_is_told_to_take_data_away(tmp_path, capsys):
    for name in ("photos/a", "photos/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mine.txt").touch()
    photos, asked = tmp_path / "photos", ("train", "--method", "jmi", "--data")
    for data, out, said in (
        (
            photos,
            photos,
            f"{photos} is where the data lie, and nothing is written there: choose another --out, outside",
        ),
        (photos / "a", photos, f"{photos} holds the data ({photos / 'a'}), and nothing is written there"),
        (photos, photos / "a" / "mine.txt", "mine.txt is a file, and a run is kept in a folder: choose another --out"),
        (photos / "a", photos / "b", "b exists and is not empty: nothing is overwritten; choose another --out\n"),
    ):
        code, _, err = run(capsys, *asked, data, "--out", out)
        assert code == 2 and said in err and "remove" not in err, err
        with pytest.raises(im.ConfigError) as error:
            im.train(im.methods.jmi(torch.nn.Linear(4, 2), projector=()), data, out=out, progress=False)
        assert said.strip().replace("--out", "out=...") in str(error.value) and "--out" not in str(error.value)


def test_the_parts_that_a_message_names_are_those_that_python_changes():
    torch.manual_seed(0)
    learner = im.methods.jmi(torch.nn.Linear(4, 2), projector=())
    kept = {part: getattr(learner, part) for part in PARTS}
    assert learner.edit(**kept).name == "jmi"


def test_labels_that_are_not_there_are_told_before_a_folder_is_decoded(tmp_path, capsys, monkeypatch):
    for folder in ("flat", "classes/a", "classes/b", "one/a"):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(3):
            Image.fromarray(np.full((8, 8, 3), 40 * k, np.uint8)).save(tmp_path / folder / f"{k}.png")

    def decoding(*_):
        raise DataError("decoded")

    monkeypatch.setattr("infomax.data.folder._decode_all", decoding)
    asked = ("train", "--method", "simclr", "--online-probe", "--out", str(tmp_path / "run"), "--data")
    for folder, said in (("flat", "--online-probe: "), ("one", "has no labels"), ("classes", "decoded")):
        code, _, err = run(capsys, *asked, str(tmp_path / folder))
        assert code == 2 and said in err and (folder == "classes" or "decoded" not in err), err
