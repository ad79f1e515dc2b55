"""Runs that differ in their seed alone are one kind: a name, a colour, a line of the legend."""

import json
from functools import partial

from infomax.evaluate.seeds import kinds as by_seed
from infomax.report.figures import Panel, mi_panels
from infomax.report.kinds import kinds, named_apart
from infomax.report.looks import style
from infomax.report.subject import Subject
from infomax.training.checkpoint import described


def run(name, method="jmi", seed=0, **training):
    asked = {"method": {"method": method}, "encoder": {"name": "mlp"}, "training": {"seed": seed, **training}}
    return Subject(name, method, asked | {"data": {"name": "d"}}, [])


def test_kinds_are_told_apart_by_what_they_were_asked():
    runs = [run("a", lr=0.1), run("b", "byol"), run("c", seed=1, lr=0.1), run("d", lr=0.2), run("e", seed=3, lr=0.1)]
    assert [(name, [s.name for s in of]) for name, of in kinds(runs)] == [
        ("JMI, lr 0.1", ["a", "c", "e"]),
        ("BYOL", ["b"]),
        ("JMI, lr 0.2", ["d"]),
    ]
    other = run("f", lr=0.1)
    other.config["data"]["name"], other.config["data"]["samples"] = "e", 7
    assert [kind.name for kind in kinds([runs[0], other])] == ["JMI, data d", "JMI, data e"]
    both = [other, *(run(f"{lr}", lr=lr, epochs=lr) for lr in (1, 2))]  # by as much as it takes
    assert [k.name for k in kinds(both)] == ["JMI, data e, lr 0.1", "JMI, data d, lr 1", "JMI, data d, lr 2"]
    far = [run("g", b=1, c=1, d=1, e=1), run("h", b=1, c=1, d=1, e=2), run("i", b=1, c=1, d=2), run("j", c=2)]
    assert max(kind.name.count(",") for kind in kinds(far)) == 3


def test_what_was_put_together_by_hand_is_of_no_kind():
    for part in ("method", "encoder"):
        assert by_seed([run("a").config | {part: None}, run("b", seed=1).config | {part: None}]) == [[0], [1]]


def test_views_by_functions_of_one_name_may_be_others():
    def kinds_of(views):
        own = json.loads(json.dumps({"views": {"own": described(views)}}))
        return by_seed([run("a").config | own, run("b", seed=1).config | own])

    def inside():
        pass

    class Own:
        pass

    for views in (inside, lambda: None, Own(), partial(inside, 2)):
        assert kinds_of(views) == [[0], [1]], described(views)
    assert kinds_of(run) == kinds_of(partial(run, 2)) == [[0, 1]]


def test_seeds_share_their_methods_colour_and_a_line_of_the_legend():
    runs = [run("a", seed=0), run("b", "byol"), run("c", seed=1)]
    looks = named_apart(runs)
    assert list(looks) == ["a", "b", "c"]
    assert [look.colour for look in looks.values()] == [style(s.method).colour for s in runs]
    assert looks["a"].dash != looks["c"].dash
    figure = mi_panels([Panel({n: [0.0, 1.0] for n in looks}, t) for t in ("x", "y")], styles=looks)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["JMI, 2 seeds", "b"]
    groups = [trace.legendgroup for trace in figure.data]
    assert groups == [groups[0], "b", groups[0]] * 2 and groups[0] != "b"  # a click hides both seeds, in all panels
    assert [trace.hovertemplate.split(",")[0] for trace in figure.data] == ["a", "b", "c"] * 2


def test_kinds_whose_methods_have_one_colour_have_others():
    runs = [run("a"), run("b", seed=1), run("c", lr=1.0), run("d", seed=1, lr=1.0), run("e", "byol")]
    looks = named_apart(runs)
    colours = [look.colour for look in looks.values()]
    assert colours[0] == colours[1] != colours[2] == colours[3] and len(set(colours)) == 3


def test_one_run_is_drawn_as_its_method_by_its_own_name():
    (look,) = named_apart([run("a")]).values()
    assert (look.label, look.colour, look.group) == ("a", style("jmi").colour, "")


def test_the_name_of_a_kind_is_no_markup_in_a_legend():
    runs = [run(f"{k}", "<b>mine</b>", seed=k) for k in (0, 1)]
    looks = named_apart(runs)
    figure = mi_panels([Panel({name: [0.0, 1.0] for name in looks})], styles=looks)
    assert figure.data[0].name == "&lt;b&gt;mine&lt;/b&gt;, 2 seeds"


def test_kinds_that_cannot_be_named_apart_are_numbered():
    few, many = run("a"), run("b")
    few.config["data"]["samples"], many.config["data"]["samples"] = 100, 200
    assert [kind.name for kind in kinds([few, many])] == ["JMI (1)", "JMI (2)"]
