import json

import numpy as np
import pytest
import torch

from infomax.errors import DataError
from infomax.report import Panel, mi_curves, mi_panels, spheres, style
from infomax.report.curves import mi_and_gauges
from infomax.report.looks import _STYLES
from infomax.report.page import Page
from infomax.studies.curves.plan import FIG7, LABELS


def texts(figure):
    return [annotation.text for annotation in figure.layout.annotations]


def test_no_two_methods_look_alike():
    looks = [(s.colour, s.dash) for name, s in _STYLES.items() if name not in ("sdmi", "moco")]
    assert len(looks) == len(set(looks))
    assert len({s.label for s in _STYLES.values()}) == len(_STYLES)
    assert style("mine") != style("yours")


def test_mean_and_band_over_seeds():
    seeds = np.array([[0.0, 1.0, np.nan], [2.0, 1.0, 5.0]])
    band, line = mi_curves({"jmi": seeds}, epochs=[0, 10, 20]).data
    np.testing.assert_allclose(line.y, [1.0, 1.0, np.nan])
    sd = np.sqrt(2)
    np.testing.assert_allclose(band.x, [0, 10, 10, 0])
    np.testing.assert_allclose(band.y, [1 + sd, 1, 1, 1 - sd])
    assert line.name == "JMI"
    assert line.line.color == style("jmi").colour
    assert band.fillcolor.startswith("rgba(0,114,178")


def test_limits_of_one_run_are_a_band():
    limits = {"jmi": ([0.5, np.nan, 2.0], [1.5, np.nan, 4.0])}
    band, line = mi_panels([Panel({"jmi": [1.0, 2.0, 3.0]}, bands=limits)]).data
    np.testing.assert_allclose(band.y, [1.5, 2.0, 4.0, 2.0, 2.0, 0.5])  # where a limit is unknown the band closes
    np.testing.assert_allclose(line.y, [1.0, 2.0, 3.0])
    assert list(line.text) == ["[0.5000, 1.5000]", "", "[2.0000, 4.0000]"]


def test_names_that_are_markup_are_drawn_as_they_are():
    figure = mi_panels([Panel({"<b>x": [0.0, 1.0]}, "<i>", {"<u>": 1.0})])
    assert figure.data[0].name == "&lt;b&gt;x" and texts(figure) == ["&lt;i&gt;", "&lt;u&gt; = 1"]


def test_levels_are_drawn_or_named_at_the_edge():
    figure = mi_curves({"jmi": torch.linspace(0, 1, 5)}, ceilings={"low": 1.2, "high": 10.0}, truth=1.6503)
    assert "low = 1.2" in texts(figure)
    assert "true MI = 1.6503" in texts(figure)
    assert "\N{UPWARDS ARROW} high = 10" in texts(figure)
    assert sorted(shape.y0 for shape in figure.layout.shapes) == [1.2, 1.6503]
    low, high = figure.layout.yaxis.range
    assert low < 0 and 1.6503 < high < 3


def test_panels_share_one_legend():
    figure = mi_panels([Panel({"jmi": [0, 1], "mine": [1, 2]}, f"panel {k}") for k in range(4)], columns=2)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["JMI", "mine"]
    assert {trace.legendgroup for trace in figure.data} == {"jmi", "mine"}
    assert texts(figure) == [f"panel {k}" for k in range(4)]


def test_a_curve_never_read_is_left_out():
    figure = mi_curves({"jmi": [np.nan, np.nan], "byol": [0.0, 1.0]})
    assert [trace.name for trace in figure.data] == ["BYOL"]


def wander(epochs, classes=5, seed=0):
    return 3.0 * np.random.default_rng(seed).normal(size=(epochs, classes, 3))


def test_spheres_hold_every_method_and_end_at_the_last_epoch():
    paths = {"sdmi_f": wander(101), "mine": torch.tensor(wander(101, classes=3, seed=1))}
    figure = spheres(paths, max_frames=11, class_names=list("abcde"))
    assert texts(figure) == ["SDMI f", "mine"]
    assert [frame.name for frame in figure.frames] == [f"{k}" for k in range(0, 101, 10)]
    assert [step.label for step in figure.layout.sliders[0].steps] == [frame.name for frame in figure.frames]
    assert {trace.scene for trace in figure.data} == {"scene", "scene2"}
    last = paths["sdmi_f"][-1]
    heads = figure.data[2]
    np.testing.assert_allclose(
        np.stack([heads.x, heads.y, heads.z], 1), last / np.linalg.norm(last, axis=1)[:, None], rtol=1e-5
    )
    assert list(heads.text) == list("abcde")


def test_frames_move_the_traces_they_name():
    paths = {"a": wander(7), "b": wander(7, seed=1)}
    figure = spheres(paths, epochs=range(10, 80, 10))
    frame = figure.frames[3]
    assert frame.name == "40"
    assert [figure.data[k].mode for k in frame.traces] == [trace.mode for trace in frame.data]
    trail, heads = frame.data[2:]
    unit = paths["b"] / np.linalg.norm(paths["b"], axis=-1, keepdims=True)
    points = np.stack([trail.x, trail.y, trail.z], 1).reshape(5, 5, 3)
    np.testing.assert_allclose(points[:, :4], unit[:4].transpose(1, 0, 2), rtol=1e-5)
    assert np.isnan(points[:, 4]).all(), "a gap keeps one class's trail from running into the next"
    np.testing.assert_allclose(heads.x, unit[3, :, 0], rtol=1e-5)
    np.testing.assert_array_equal(trail.line.color, np.repeat(np.arange(5), 5))


def test_the_last_epoch_is_shown_whatever_the_stride():
    assert spheres({"a": wander(10)}, max_frames=4).frames[-1].name == "9"
    assert len(spheres({"a": wander(1)}).frames) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mi_curves({}), "nothing to draw"),
        (lambda: mi_curves({"a": [1, 2], "b": [1]}), "of one E"),
        (lambda: mi_curves({"a": [1, 2]}, epochs=[1]), "of one E"),
        (lambda: spheres({}), "must be E C 3"),
        (lambda: spheres({"a": np.zeros((4, 5, 2))}), r"\(4, 5, 2\)"),
        (lambda: spheres({"a": wander(4), "b": wander(5)}), "one E"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_small_and_constant_values_fill_their_panel():
    rates = mi_panels([Panel({"jmi": [2e-5, 1e-5, 0.0]}, "learning rate", unit="")])
    low, high = rates.layout.yaxis.range
    assert high - low < 3e-5
    same = mi_panels([Panel({"jmi": [216.0, 216.0]}, "n", unit="")])
    low, high = same.layout.yaxis.range
    assert low < 216 < high and high - low > 1
    noise = mi_panels([Panel({"jmi": [0.0, 1e-9]}, "InfoNCE")])
    assert np.ptp(noise.layout.yaxis.range) > 1e-4  # a collapse is flat, not its own rounding


def test_gauges_of_collapse_begin_at_0_so_that_noise_is_no_cliff():
    page = Page("gauges")
    rows = [{"epoch": k, "effective_rank": 12.76 - 0.02 * k, "std": 0.99, "bound": 1 + k / 1e4} for k in range(4)]
    mi_and_gauges(page, {"jmi": rows})
    drawn = json.loads(page._figures[1])["layout"]
    rank, std, bound = (drawn[axis]["range"] for axis in ("yaxis", "yaxis2", "yaxis3"))
    assert rank[0] == 0 and 12.76 < rank[1] < 17
    assert std[0] == 0 and 1 < std[1] < 1.4, "the line of what is open is seen, too"
    assert bound[0] > 0.9
    below = mi_panels([Panel({"jmi": [-2.0, 3.0]}, from_zero=True)])
    assert below.layout.yaxis.range[0] < -2


def test_few_epochs_are_marked_whole():
    step = lambda epochs: mi_panels([Panel({"jmi": epochs}, "x")], epochs=epochs).layout.xaxis.dtick  # noqa: E731
    assert step([1, 2, 3]) == 1 and step([0.5, 1.0, 1.5]) is None and step(list(range(100))) is None


def test_an_axis_of_epochs_begins_at_0_and_few_points_are_seen():
    def drawn(epochs):
        figure = mi_panels([Panel({"jmi": epochs}, "x")], epochs=epochs)
        return figure.layout.xaxis.rangemode, figure.data[0].mode

    assert drawn([1.0, 1.011]) == ("tozero", "lines+markers")  # else the axis is a hundredth of an epoch long
    assert drawn([7.0]) == ("tozero", "markers")
    assert drawn(list(range(1, 101))) == ("tozero", "lines")


def test_four_panels_stand_two_by_two():
    def drawn(count, **asked):
        axes = [axis.domain for axis in mi_panels([Panel({"jmi": [0, 1]}, "x")] * count, **asked).select_xaxes()]
        return len(set(axes)), count

    assert [drawn(n)[0] for n in (1, 2, 3, 4, 5)] == [1, 2, 3, 2, 3] and drawn(4, columns=3)[0] == 3


def test_ceilings_above_stand_below_each_other():
    figure = mi_panels([Panel({"jmi": [0.0, 1.0]}, "x", {"one": 8.0, "two": 9.0})])
    assert "\N{UPWARDS ARROW} one = 8<br>\N{UPWARDS ARROW} two = 9" in texts(figure)


def test_levels_closer_than_a_line_of_text_have_one_label():
    def labels(truth=None, **ceilings):
        named = {f"ceiling, {name}": value for name, value in ceilings.items()}
        return texts(mi_panels([Panel({"jmi": [-0.3, -0.08]}, "x", named, truth)]))[1:]

    assert labels(a=-0.065192, b=-0.065701) == ["ceilings -0.065701 to -0.065192"]
    assert labels(a=-0.065192, b=-0.0651921) == ["ceilings = -0.065192"]
    assert labels(a=-0.065192, b=-0.1) == ["ceiling, b = -0.1", "ceiling, a = -0.065192"]
    assert labels(truth=-0.0655, a=-0.065192) == ["true MI = -0.0655, ceiling, a = -0.065192"]
    assert labels(truth=-0.0655, a=-0.065, b=-0.066) == ["ceilings -0.066 to -0.065, true MI = -0.0655"]


def test_every_curve_of_fig7_looks_its_own():
    looks = [style(LABELS.get(name, name)) for name in FIG7]
    assert len({(s.colour, s.dash) for s in looks}) == len(FIG7)
    assert [s.label for s in looks[1:3]] == ["SDMI, no marginal", "SDMI, no marginal, predictors"]
