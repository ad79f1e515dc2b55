"""A method of one's own, entered in the list: what it was built with is kept, and the command line reads its options."""

import inspect
import math
import re

import pytest
import torch
from torch import nn

import infomax as im
from infomax.cli import application, main
from infomax.errors import ConfigError
from infomax.methods.registry import METHODS, check


@pytest.fixture(autouse=True)
def the_list_as_it_was():
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


def sentence(encoder, projector, temperature, name):
    cos = im.Cosine(temperature)
    return im.Learner(im.Branch(encoder, projector), im.Shared(), im.Alignment(cos), im.InfoNCE(cos), name=name)


def own():
    @im.methods.method
    def plain(encoder, projector=(8,), temperature=0.1, mirrored=True):
        """A method as one writes it first, without a star or an annotation."""
        return sentence(encoder, projector, temperature, "plain")

    return plain


def test_options_given_by_position_are_kept_as_those_by_name_are():
    plain, encoder = own(), nn.Linear(4, 4)
    asked = {"method": "plain", "projector": (16,), "temperature": 0.7, "mirrored": True}
    assert plain(encoder, (16,), 0.7).recipe == plain(encoder, projector=(16,), temperature=0.7).recipe == asked
    assert plain(encoder).recipe == {"method": "plain", "projector": (8,), "temperature": 0.1, "mirrored": True}


def test_a_run_of_it_is_read_back_with_them(tmp_path):
    learner = own()(im.encoders.get("mlp", channels=1, size=8), (16,), 0.7)
    im.train(learner, torch.rand(32, 8, 8, 1), epochs=1, out=tmp_path / "run", progress=False)
    again = im.Run.load(tmp_path / "run").learner
    assert again.joint.critic.temperature == 0.7
    assert again.f.width == 16


def test_the_command_line_reads_options_without_annotation_as_their_defaults(tmp_path):
    own()
    line = f"--data digits --epochs 1 --temperature 0.5 --projector 16-8 --no-mirrored --out {tmp_path / 'run'}"
    assert main(["train", "--method", "plain", *line.split()]) == 0
    recipe = im.Run.load(tmp_path / "run").learner.recipe
    assert recipe == {"method": "plain", "projector": (16, 8), "temperature": 0.5, "mirrored": False}


def test_annotations_that_are_words_are_read():
    space = {}
    exec("from __future__ import annotations\ndef later(encoder, *, temperature: float = 0.1): ...", space)
    im.methods.method(space["later"])
    assert im.methods.options("later")["temperature"].annotation is float
    text = "def typed(encoder, *, width: int = 8, scale: Unknown = 0.1, other: int.Nope = None): ..."
    exec("from __future__ import annotations\n" + text, space)  # a module may import for a type checker alone
    im.methods.method(space["typed"])
    known = {name: p.annotation for name, p in im.methods.options("typed").items()}
    assert known == {"width": int, "scale": float, "other": inspect.Parameter.empty}


def test_what_cannot_be_a_method_is_told_when_it_is_entered():
    with pytest.raises(im.ConfigError, match="its first argument is the encoder"):
        im.methods.method(lambda *, encoder: None)
    with pytest.raises(im.ConfigError, match="name every option in the place of \\*\\*others"):
        im.methods.method(lambda encoder, **others: None)

    def simclr(encoder, *, temperature=0.1): ...

    with pytest.raises(im.ConfigError, match="the package has one of this name"):
        im.methods.method(simclr)
    assert inspect.signature(METHODS["simclr"]).parameters["temperature"].default == 0.2
    assert own() is not own()  # the cell of a notebook, run again


def test_a_method_that_returns_nothing_is_told():
    @im.methods.method
    def forgot(encoder, *, projector=(8,)):
        sentence(encoder, projector, 0.1, "forgot")

    with pytest.raises(im.ConfigError, match=r"the method forgot gives NoneType: return an infomax\.Learner"):
        im.methods.build("forgot", nn.Linear(4, 4))


def test_an_option_that_every_run_has_is_told():
    @im.methods.method
    def sized(encoder, *, size: int = 8): ...

    with pytest.raises(im.ConfigError, match="'sized' has an option 'size', which is one of every run"):
        application(["train", "--method", "sized"])


def test_a_run_of_a_method_that_was_not_imported_says_what_to_import(tmp_path):
    im.train(own()(im.encoders.get("toy")), "gaussians", epochs=1, out=tmp_path / "run", progress=False)
    del METHODS["plain"]
    with pytest.raises(
        im.DataError, match="a run of the method 'plain', which is not the package's: import the module"
    ):
        im.Run.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("method", "told", "said"),
    [
        ("vicreg", {"variance": -25.0}, "VarianceCovariance: variance must be >= 0, not -25.0"),
        ("vicreg", {"covariance": math.nan}, "VarianceCovariance: covariance must be >= 0, not nan"),
        ("vicreg", {"invariance": "25"}, "Alignment: weight must be >= 0, not '25'"),
        ("barlow_twins", {"redundancy": -1.0}, "Decorrelation: weight must be >= 0, not -1.0"),
        ("barlow_twins", {"loss_scale": 0.0}, "a learner's scale must be > 0, not 0.0"),
        ("barlow_twins", {"loss_scale": -1.0}, "a learner's scale must be > 0, not -1.0"),
        ("taylor_jmi", {"coefficient": -1.0}, "Taylor-DV: coefficient must be >= 0, not -1.0"),
        ("swav", {"freeze_epochs": -1}, "frozen_epochs must be >= 0, not -1"),
        ("simclr", {"temperature": math.inf}, "a temperature must be a finite number, not inf"),
        ("simclr", {"temperature": "0.1"}, "a temperature must be > 0, not '0.1'"),
        ("jmi", {"temperature": True}, "a temperature must be > 0, not True"),
    ],
)
def test_weights_that_climb_the_wrong_way_or_nowhere_are_refused(method, told, said):
    encoder = im.encoders.get("mlp", channels=1, size=8, hidden=16)
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        im.methods.build(method, encoder, projector=(8,), **told)


def test_a_method_of_the_users_is_not_tried_before_there_is_an_encoder():
    """It may ask something of its encoder, and what it makes of a trial may stay."""
    built = []

    @im.methods.method
    def choosy(encoder, *, projector=(4,)):
        built.append(encoder)
        raise ConfigError("choosy takes an encoder with layers")

    check("choosy", projector=(4,))
    assert not built
    with pytest.raises(ConfigError, match="temperature must be > 0"):
        check("simclr", temperature=0)
