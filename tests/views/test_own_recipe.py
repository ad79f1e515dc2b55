import inspect

import pytest
import torch

import infomax as im
from infomax.cli import main
from infomax.views import RECIPES, ImageView, own_recipe, recipe
from infomax.views.recipes import _MULTI_CROP


@pytest.fixture(autouse=True)
def _as_before():
    recipes, multi_crop = RECIPES.copy(), _MULTI_CROP.copy()
    yield
    RECIPES.clear()
    RECIPES.update(recipes)
    _MULTI_CROP[:] = multi_crop


def upright(size):
    view = ImageView(size=size, flip=0.0)
    return [view, view]


def cropped(size, *, local_views=None):
    return [ImageView(size=size)] * 2 + [ImageView(size=size // 2)] * (local_views or 0)


def test_views_of_ones_own_are_known_by_name_to_every_command(tmp_path, capsys):
    options = (
        "--method",
        "jmi",
        "--data",
        "digits",
        "--epochs",
        "1",
        "--views",
        "upright",
        "--out",
        str(tmp_path / "run"),
    )
    assert main(["train", *options]) == 2 and "no views 'upright'" in capsys.readouterr().err
    assert own_recipe(upright) is upright and own_recipe(upright) is upright  # the cell of a notebook, run again
    assert main(["train", *options, "--batch-size", "512"]) == 0
    run = im.Run.load(tmp_path / "run")
    assert run.config["views"]["recipe"] == "upright" and run.config["views"]["own"] is None
    assert main(["evaluate", str(tmp_path / "run"), "--protocols", "gauges"]) == 0
    del RECIPES["upright"]
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--protocols", "gauges"]) == 2
    assert "no views recipe 'upright'" in capsys.readouterr().err


def test_local_views_are_of_a_recipe_that_takes_them():
    own_recipe(cropped), own_recipe(upright)
    images = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    views = recipe("cropped", size=32, local_views=3)(images, torch.arange(2))
    assert [view.shape[-1] for view in views] == [32, 32, 16, 16, 16]
    assert len(recipe("cropped", size=32)) == 2
    with pytest.raises(im.ConfigError, match="recipe 'upright' has no local views"):
        recipe("upright", local_views=2)


def test_what_cannot_be_a_recipe_is_told():
    def simclr(size): ...

    with pytest.raises(im.ConfigError, match="the package has some of this name"):
        own_recipe(simclr)
    assert len(inspect.signature(RECIPES["simclr"]).parameters) == 2

    def of_a_batch(batch, index, *, seed, epoch): ...

    with pytest.raises(im.ConfigError, match="a recipe is a function of the size"):
        own_recipe(of_a_batch)

    @own_recipe
    def forgot(size):
        ImageView(size=size)

    with pytest.raises(
        im.ConfigError, match=r"the views forgot give None: return two infomax\.views\.ImageView or more"
    ):
        recipe("forgot")
