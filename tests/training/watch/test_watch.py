"""A collapse is said while it happens, within the first fifth of a run, and a healthy run is left alone."""

import io
import json
import re
import warnings
from unittest.mock import ANY

import pytest
import torch
from tqdm import tqdm

import infomax as im
from infomax import Clock
from infomax.marginal import Centering, Decorrelation, VarianceCovariance
from infomax.training.checkpoint import Position
from infomax.training.options import Options
from infomax.training.prepare import prepare
from infomax.training.watch import monitor, state
from infomax.training.watch.beside import Beside
from infomax.training.watch.collapse import ADVICE, FILE, Watch, reads_lengths, unguarded

SMALL = {"projector": (64, 32), "predictor": (32,), "queue": 512}


def fit(name, bare, **options):
    torch.manual_seed(0)
    known = im.methods.options(name)
    learner = im.methods.build(
        name, im.encoders.get("mlp", channels=1, size=8, hidden=64), **{k: v for k, v in SMALL.items() if k in known}
    )
    if bare:
        with pytest.warns(im.CollapseWarning, match="no marginal"):
            learner = learner.edit(marginals=())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        im.train(learner, "digits", epochs=30, lr=3e-3, progress=False, gauge_samples=64, **options)
    return [str(w.message) for w in said if w.category is im.CollapseWarning]


def test_a_collapse_is_said_in_the_first_fifth_and_a_healthy_run_is_left_alone():
    assert fit("simclr", bare=False) == []
    (message,) = fit("simclr", bare=True)
    assert int(re.search(r"is collapsing in epoch (\d+)", message).group(1)) <= 6
    assert "every sample goes to one point" in message and "no marginal that stands against that" in message


def rows(spread, dimensions=16, n=64):
    torch.manual_seed(0)
    z = torch.ones(dimensions) + spread * torch.randn(n, dimensions)
    return {0: z, 1: z}


def test_one_reading_alone_says_nothing_and_two_in_a_row_do():
    watch = Watch("mine")
    for step, width, warns in (
        (0, 1.0, False),
        (5, 0.01, False),
        (10, 1.0, False),
        (15, 0.01, False),
        (20, 0.01, True),
    ):
        clock, z = Clock(step, 10, 100), rows(width)
        gauges = watch.see(z, z, clock)
        if warns:
            with pytest.warns(
                im.CollapseWarning, match=r"'mine' is collapsing in epoch 3, at update 20 of 100: std 0.0.*one point"
            ):
                assert watch.warn(gauges, clock)
        else:
            assert not watch.warn(gauges, clock)


def verdict(*readings, start=0, total=1000, loose=()):
    """What the watch makes of (std, rank, information) at every fifth update."""
    watch = Watch("mine", unguarded=loose)
    for n, (std, rank, mi) in enumerate(readings):
        watch.note({"std": std, "effective_rank": rank, "mi_infonce": mi}, Clock(start + 5 * n, 10, total))
    return watch.state["why"] if watch.state["suspicious"] >= 2 else None


def test_a_spread_that_falls_is_a_collapse_where_information_falls_with_it():
    start = (0.8, 50.0, 0.5)
    assert verdict(start, (0.19, 50.0, 0.3), (0.15, 50.0, 0.2), (0.15, 50.0, 0.1)) == "point"
    assert verdict(start, (0.19, 50.0, 0.7), (0.15, 50.0, 0.9)) is None
    assert verdict(start, (0.6, 50.0, 0.1), (0.3, 50.0, 0.1)) is None
    assert verdict(start, (0.05, 50.0, 0.9), (0.05, 50.0, 0.9)) == "point"
    noise = (0.19, 50.0, 0.45)  # of a batch of 128
    assert verdict(start, noise, noise, noise) is None
    below = (0.8, 50.0, -0.5)  # less than nothing is no information lost
    assert verdict(below, (0.19, 50.0, -0.5), (0.15, 50.0, -0.5)) is None
    assert verdict(below, (0.19, 50.0, -0.9), (0.15, 50.0, -0.9), (0.15, 50.0, -0.9)) == "point"


# std and information of MoCo v1 by SGD at .1, at every update of its first fifth (`infomax study collapse`, "digits, sgd")
CONES = {
    3: (
        "0.657 0.660 0.613 0.539 0.436 0.353 0.291 0.252 0.218 0.197 0.178 0.167 0.157 0.153 "
        "0.149 0.143 0.143 0.142 0.142 0.141 0.140 0.147 0.149 0.147 0.150 0.148 0.147 0.150 "
        "0.156 0.161 0.162 0.163 0.165 0.167 0.171 0.175 0.175 0.184 0.181 0.185 0.192",
        "0.07 -0.20 -0.05 0.13 0.09 0.16 0.16 0.17 0.14 0.12 0.09 0.09 0.09 0.10 0.13 0.09 0.12 "
        "0.13 0.11 0.11 0.09 0.13 0.14 0.14 0.14 0.15 0.14 0.15 0.15 0.19 0.16 0.20 0.18 0.19 "
        "0.20 0.21 0.23 0.19 0.21 0.23 0.27",
    ),
    113: (
        "0.666 0.654 0.625 0.536 0.420 0.344 0.286 0.234 0.201 0.171 0.152 0.138 0.128 0.122 "
        "0.117 0.114 0.112 0.111 0.115 0.114 0.115 0.115 0.116 0.114 0.118 0.118 0.116 0.116 "
        "0.116 0.119 0.115 0.117 0.119 0.119 0.116 0.116 0.119 0.119 0.120 0.116 0.123",
        "-0.03 -0.25 -0.23 0.08 0.05 0.16 0.04 0.11 0.09 0.07 0.07 0.10 0.09 0.10 "
        "0.08 0.07 0.09 0.07 0.09 0.08 0.10 0.08 0.10 0.08 0.11 0.11 0.10 0.09 "
        "0.12 0.12 0.08 0.12 0.11 0.13 0.09 0.11 0.13 0.13 0.13 0.12 0.13",
    ),
    103: (
        "0.675 0.670 0.637 0.560 0.465 0.366 0.310 0.260 0.224 0.199 0.180 0.168 0.158 0.151 "
        "0.146 0.142 0.144 0.144 0.149 0.146 0.158 0.157 0.159 0.164 0.162 0.165 0.165 0.167 "
        "0.171 0.173 0.173 0.181 0.180 0.184 0.190 0.191 0.192 0.202 0.213 0.209 0.216",
        "-0.01 0.02 0.22 0.00 0.18 0.15 0.18 0.06 0.12 0.14 0.15 0.11 0.16 0.11 "
        "0.13 0.15 0.16 0.14 0.16 0.14 0.17 0.16 0.18 0.17 0.20 0.21 0.20 0.22 "
        "0.19 0.21 0.21 0.24 0.23 0.27 0.28 0.25 0.31 0.26 0.27 0.32 0.31",
    ),
}


def moco_v1_by_sgd(seed, **options):
    """At which of its 200 updates the watch speaks of it, within the first fifth; and as what."""
    watch = Watch("moco_v1", **options)
    for step, (std, mi) in enumerate(zip(*(map(float, kept.split()) for kept in CONES[seed]), strict=True)):
        gauges = {"std": std, "effective_rank": 20.0, "mi_infonce": mi, "scale": 1.0}
        watch.note(gauges, Clock(step, 5, 200))
        if watch.state["suspicious"] >= 2:
            return step, watch.state["why"]
    return None


def test_a_cone_that_is_passed_through_is_no_collapse_and_one_that_is_stayed_in_is():
    """A cosine reads next to nothing from a narrow cone. Seed 113 ended with a rank of 3.4, and 103 healthy."""
    step, why = moco_v1_by_sgd(113)
    assert why == "point" and step < 40
    assert moco_v1_by_sgd(103) is None
    assert moco_v1_by_sgd(113, lengths="product") is None  # reads from lengths what the cone leaves


def test_what_one_batch_may_lose_is_no_loss_of_information():
    """Seed 3 lost .03 of its .13 nats on the way into its cone; it came out of it and ended healthy."""
    assert moco_v1_by_sgd(3) is None
    start, cone = (0.8, 50.0, 0.3), (0.19, 50.0, 0.3)
    assert verdict(start, cone, *[(0.19, 50.0, 0.21)] * 9, total=1000) is None
    assert verdict(start, cone, *[(0.19, 50.0, 0.15)] * 9, total=1000) == "point"


def test_how_long_a_cone_is_stayed_in_is_counted_in_updates_from_where_it_was_open_last():
    start, cone = (0.8, 50.0, 0.0), (0.19, 50.0, 0.05)
    assert verdict(start, *[cone] * 26, total=1000) is None  # an eighth of the run, and one reading
    assert verdict(start, *[cone] * 27, total=1000) == "point"
    assert verdict(start, *[cone] * 20, (0.21, 50.0, 0.05), *[cone] * 26, total=1000) is None
    again = Watch("mine", seen={"phases": {"0": {"rank": 50.0, "std": 0.8, "level": 0.1, "information": 0.1}}})
    again.note({"std": 0.19, "effective_rank": 50.0, "mi_infonce": 0.1}, Clock(900, 10, 1000))  # of an earlier version
    assert not again.state["suspicious"]


def test_directions_that_vanish_are_seen_where_hardly_any_is_left():
    start = (1.0, 50.0, 0.5)
    assert verdict(start, (1.0, 4.9, 0.5), (1.0, 4.9, 0.5)) == "directions"
    assert verdict(start, (1.0, 5.1, 0.5), (1.0, 5.1, 0.5)) is None
    narrow = (1.0, 7.0, 0.5)  # of eight dimensions: few from the start
    assert verdict(narrow, (1.0, 3.0, 0.5), (1.0, 3.0, 0.5)) is None
    assert verdict(narrow, (1.0, 1.0, 0.5), (1.0, 1.0, 0.5)) == "directions"
    assert verdict((1.0, 6.0, 0.5), (1.0, 1.2, -0.5), (1.0, 1.2, -0.5)) == "directions"
    assert verdict((1.0, 2.0, 0.5), (1.0, 1.2, -0.5), (1.0, 1.2, -0.5)) is None


def test_an_embedding_may_lose_most_of_its_directions_where_a_guard_holds_them_and_nowhere_else():
    wide = (1.0, 83.0, -0.1)
    for left in ((1.0, 25.0, -2.8), (1.0, 11.0, -1.8)):  # Barlow Twins and BYOL on real images, in their first fifth
        assert verdict(wide, left, left) is None
        assert verdict(wide, left, left, loose=("point", "nothing")) is None
        for loose in (("directions",), ADVICE):
            assert verdict(wide, left, left, loose=loose) == "directions"


def test_what_no_marginal_stands_against_is_told_by_their_weights():
    encoder = torch.nn.Linear(8, 4)
    vicreg, barlow = im.methods.vicreg(encoder), im.methods.barlow_twins(encoder)
    assert unguarded(vicreg) == unguarded(barlow) == unguarded(im.methods.byol(encoder)) == ()
    assert unguarded(vicreg.edit(marginals=(VarianceCovariance(25.0, 0.0),))) == ("directions",)
    assert unguarded(vicreg.edit(marginals=(VarianceCovariance(0.0, 1.0),))) == ("point", "nothing")
    assert unguarded(vicreg.edit(marginals=(VarianceCovariance(0.0, 1.0), VarianceCovariance(25.0, 0.0)))) == ()
    assert unguarded(barlow.edit(marginals=(Decorrelation(0.0),))) == tuple(ADVICE)
    dino = im.methods.dino(encoder, prototypes=8)
    assert unguarded(dino) == ()
    assert unguarded(dino.edit(marginals=(Centering(8, momentum=1.0),))) == ("point",)
    assert unguarded(dino.edit(marginals=(Centering(8, temperature=0.1, target_temperature=0.1),))) == ("nothing",)
    with pytest.warns(im.CollapseWarning, match="no marginal"):
        assert unguarded(barlow.edit(marginals=())) == tuple(ADVICE)


def test_guards_that_are_none_are_told():
    class Mine(im.Marginal):
        guards = "point"

        def penalty(self, a, b):
            return a.square().mean((-2, -1))

    with pytest.raises(im.ConfigError, match=r"Mine\.guards = 'point': give a tuple of point, directions, nothing"):
        unguarded(im.methods.simclr(torch.nn.Linear(8, 4)).edit(marginals=(Mine(),)))


def test_what_is_missing_is_said_with_the_collapse():
    for loose, says in ((ADVICE, "no marginal that stands against that"), (("directions",), "no marginal that stands")):
        watch = Watch("mine", unguarded=loose)
        for n, rank in enumerate((50.0, 20.0, 20.0)):
            gauges = {"std": 1.0, "effective_rank": rank, "mi_infonce": 0.5}
            watch.note(gauges, Clock(5 * n, 10, 100))
        with pytest.warns(im.CollapseWarning, match=f"directions vanish.*{says}"):
            assert watch.warn(gauges, Clock(10, 10, 100))


def test_few_directions_that_tell_the_views_apart_are_no_collapse():
    start, few = (1.0, 50.0, -0.5), (1.0, 4.0, 0.7)
    assert verdict(start, few, few, few) is None
    assert verdict(start, few, few, few, loose=ADVICE) == "directions"
    less = (1.0, 4.0, 0.0)  # above the random network's information, and nothing all the same
    assert verdict(start, less, less, less) == "directions"
    best = (1.0, 50.0, 3.0)
    assert verdict(start, *[best] * 8, *[few] * 8) == "directions"  # it had known more


def test_the_same_signs_mean_more_where_there_is_no_marginal():
    start = (1.0, 50.0, 0.5)
    for sign in ((0.45, 50.0, 0.9), (1.0, 22.0, 0.9)):
        assert verdict(start, sign, sign) is None
        assert verdict(start, sign, sign, loose=ADVICE) == ("point" if sign[0] < 1 else "directions")


def test_lengths_that_vanish_are_seen_where_the_joint_term_reads_them():
    def verdict(*scales, lengths="distance", loose=()):
        watch = Watch("mine", lengths=lengths, unguarded=loose)
        for n, scale in enumerate(scales):
            torch.manual_seed(0)
            z = scale * torch.randn(64, 16)
            gauges = watch.see({0: z, 1: z}, {0: z, 1: z}, Clock(5 * n, 10, 1000))
        if watch.state["suspicious"] >= 2:
            with pytest.warns(im.CollapseWarning, match=r"scale 0\.\d+ \(it was 1\), .* lengths shrink to nothing"):
                watch.warn(gauges, Clock(10, 10, 1000))
            return watch.state["why"]
        return None

    assert verdict(1.0, 0.1, 0.05) == "nothing"
    assert verdict(1.0, 0.3, 0.3) is None and verdict(1.0, 0.3, 0.3, loose=["nothing"]) == "nothing"
    assert verdict(1.0, 0.1, 0.05, lengths=None) is None
    assert verdict(1.0, 0.1, 1.0) is None
    assert (
        verdict(10.0, 1.5, 1.5) is None and verdict(10.0, 0.1, 0.1) == "nothing"
    )  # a variance term lets 10 come down to 1


def test_which_joint_terms_read_lengths():
    def of(name):
        return reads_lengths(im.methods.build(name, im.encoders.get("mlp", channels=1, size=8, hidden=16)))

    names = [name for name in im.methods.METHODS if name != "bgrl"]
    assert {name: of(name) for name in names if of(name)} == {"vicreg": "distance", "dino": "product"}


def test_a_product_may_shrink_while_information_rises():
    """As DINO's under SGD at a large rate, which comes back; a distance shrinks because it is a distance."""

    def verdict(lengths, *information):
        watch = Watch("mine", lengths=lengths)
        for n, (scale, mi) in enumerate(zip((0.09, 0.008, 0.008, 0.008), information, strict=True)):
            watch.note({"std": 0.5, "effective_rank": 40.0, "mi_infonce": mi, "scale": scale}, Clock(5 * n, 10, 1000))
        return watch.state["why"] if watch.state["suspicious"] >= 2 else None

    rises = (-0.2, 0.2, 0.3, 0.3)
    assert verdict("product", *rises) is None and verdict("distance", *rises) == "nothing"
    assert verdict("product", 0.3, 0.1, 0.0, 0.0) == "nothing"  # lost
    assert verdict("product", -0.2, -0.1, -0.1, -0.1) == "nothing"  # nothing all the same


def test_few_directions_are_no_collapse_while_information_rises():
    start = (1.0, 50.0, 0.14)  # MoCo v1's under SGD at a large rate
    assert verdict(start, (1.0, 4.7, 0.18), (1.0, 4.6, 0.2), (1.0, 4.5, 0.22)) is None
    assert verdict(start, (1.0, 4.7, 0.1), (1.0, 4.6, 0.1), (1.0, 4.5, 0.1)) == "directions"


@pytest.mark.parametrize("variance", [25.0, 0.0])
def test_vicreg_without_its_variance_term_is_said_to_shrink(variance):
    torch.manual_seed(0)
    encoder = im.encoders.get("mlp", channels=1, size=8, hidden=64)
    learner = im.methods.vicreg(encoder, projector=(64, 64), variance=variance)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        im.train(learner, "digits", epochs=30, lr=3e-3, progress=False, gauge_samples=64)
    heard = [str(w.message) for w in said if w.category is im.CollapseWarning]
    if variance:
        assert heard == []
    else:
        (message,) = heard
        assert int(re.search(r"is collapsing in epoch (\d+)", message).group(1)) <= 6 and "shrink to nothing" in message


def test_each_encoder_is_compared_with_itself():
    watch = Watch("mine")
    for step, phase, rank in ((0, 0, 50.0), (5, 0, 4.0), (10, 1, 4.0), (15, 1, 4.0)):
        watch.note({"std": 1.0, "effective_rank": rank, "mi_infonce": 1.0}, Clock(step, 10, 1000, phase))
    assert watch.state["suspicious"] == 0


def test_every_reading_is_kept_with_the_epoch_that_it_is_of():
    watch = Watch("mine")
    for step, phase in ((0, 0), (5, 1), (7, 0), (10, 0)):
        watch.note({"std": 1.0 - step / 30, "effective_rank": 9.0, "mi_infonce": 0.0}, Clock(step, 10, 1000, phase))
    first, second = (been["readings"] for been in watch.state["phases"].values())
    assert [(row["epoch"], row["std"]) for row in first] == [(0.0, 1.0), (0.7, 0.7667), (1.0, 0.6667)]
    assert [row["epoch"] for row in second] == [0.5]
    old = Watch("mine", seen={"phases": {"0": {"rank": 9.0, "std": 1.0, "level": 0.0, "information": 0.0}}})
    old.note({"std": 1.0, "effective_rank": 9.0, "mi_infonce": 0.0}, Clock(30, 10, 1000))  # of a version that kept none
    assert [row["epoch"] for row in old.state["phases"]["0"]["readings"]] == [3.0]


def test_what_was_seen_outlives_a_stop():
    def see(watch, rank, step):
        watch.note({"std": 1.0, "effective_rank": rank, "mi_infonce": 1.0}, Clock(step, 10, 1000))

    first = Watch("mine")
    see(first, 50.0, 0)
    see(first, 4.0, 5)
    again = Watch("mine", seen=json.loads(json.dumps(first.state)))
    see(again, 4.0, 10)
    assert again.state["suspicious"] == 2


def test_the_first_fifth_is_read_more_densely():
    def read(total):
        watch, steps = Watch("mine"), []
        for step in range(total):
            if watch.due(clock := Clock(step, 10, total)):
                watch.state["last"] = clock.step
                steps.append(step)
        return steps

    assert len([s for s in read(10_000) if s <= 2000]) == pytest.approx(40, abs=1)
    assert len(read(10_000)) == pytest.approx(120, abs=2)
    assert read(60)[:4] == [0, 1, 2, 3]
    for total in (400, 1000, 10_000):  # of two encoders that take turns both are seen
        odd = [step % 2 for step in read(total)]
        assert sum(odd) == pytest.approx(len(odd) / 2, abs=2)


def test_the_bar_says_where_the_run_stands_within_an_epoch(capsys, monkeypatch):
    seen = []

    class Bar(tqdm):
        def set_postfix_str(self, text="", refresh=True):
            seen.append((self.n, text))

    monkeypatch.setattr("infomax.training.loop.meter", Bar)
    learner = im.methods.simclr(im.encoders.get("mlp", channels=1, size=8, hidden=16), projector=(16,))
    im.train(learner, "digits", epochs=2, batch_size=128, gauge_samples=64)
    assert [n for n, _ in seen][:5] == [0, 1, 2, 3, 4] and len(seen) > 3
    assert all(word in seen[-1][1] for word in ("bound", "mi", "rank", "std", "lr"))
    assert seen[-1][1].startswith("batch: ")  # the log has other readings, of samples that stay the same


def test_what_matters_of_the_bar_is_seen_in_80_columns(monkeypatch):
    made = []

    def narrow(*args, **options):
        made.append(tqdm(*args, **options | {"ncols": 80, "disable": False, "delay": 0, "file": io.StringIO()}))
        return made[0]

    monkeypatch.setattr("infomax.training.loop.meter", narrow)
    learner = im.methods.barlow_twins(im.encoders.get("mlp", channels=1, size=8, hidden=16), projector=(16,))
    im.train(learner, "digits", epochs=1, batch_size=128, gauge_samples=64)
    made[0].total, made[0].start_t = 28_300, made[0].start_t - 3600  # some epochs of many steps: days are left
    made[0].n = 9_700
    assert re.search(r", batch: mi -?\d.\d\d rank \d+\.\d std \d\.\d\d;", str(made[0]))


def test_what_was_seen_is_in_the_folder_whether_a_run_was_stopped_or_not(tmp_path):
    def fit(name, **options):
        torch.manual_seed(0)
        learner = im.methods.simclr(im.encoders.get("mlp", channels=1, size=8, hidden=16), projector=(16,))
        out = tmp_path / name
        run = im.train(learner, "digits", epochs=3, gauge_samples=64, progress=False, out=out, **options)
        if options:
            run = im.Run.resume(out, progress=False)
        return run, json.loads((out / FILE).read_text())

    whole, seen = fit("whole")
    assert whole.watched == seen and seen["said"] is None and seen["phases"]["0"]["now"]["std"] > 0
    assert seen["state"].startswith("no sign of collapse")
    assert fit("stopped", on_epoch=lambda run: True) == (ANY, seen)


def test_an_epoch_reads_a_few_rows_and_not_all_of_before(monkeypatch):
    read, of = [], state.collapsed
    monkeypatch.setattr(state, "collapsed", lambda row: read.append(row) or of(row))
    learner = im.methods.simclr(im.encoders.get("mlp", channels=1, size=8, hidden=8), projector=())
    epochs = 12
    im.train(learner, "digits", epochs=epochs, batch_size=1024, gauge_samples=16, progress=False)
    assert len(read) <= 3 * epochs


def test_what_was_said_is_kept(tmp_path):
    watch = Watch("mine")
    for step, width in ((0, 1.0), (5, 0.01), (10, 0.01)):
        z = rows(width)
        gauges = watch.see(z, z, Clock(step, 10, 100))
    assert watch.state["said"] is None
    with pytest.warns(im.CollapseWarning, match="in epoch 2, at update 10 of 100: std ") as heard:
        watch.warn(gauges, Clock(10, 10, 100))
    said = json.loads(json.dumps(watch.state))["said"]
    assert (said["epoch"], said["step"], said["total"]) == (2, 10, 100) and str(heard[0].message).endswith(said["seen"])


def test_a_run_that_was_warned_of_before_where_was_kept_is_not_called_healthy():
    learner = im.methods.simclr(im.encoders.get("mlp", channels=1, size=8, hidden=16), projector=(16,))
    data, machine = (
        im.data.load("digits"),
        {"device": "cpu", "devices": 1, "checkpoint_every": 1, "keep": 2, "strategy": "ddp"},
    )
    job = prepare(learner, data, "auto", Options(), None, machine)
    assert Beside(job, Position()).watch.state["said"] is None
    assert Beside(job, Position(warned=True)).watch.state["said"] == {}


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_rows_are_judged_alike_however_long_they_are(scale):
    z = {n: torch.randn(64, 8, generator=torch.Generator().manual_seed(n)) for n in (0, 1)}
    long = {n: scale * rows for n, rows in z.items()}
    one, other = (Watch("mine").see(rows, rows, Clock(step=5, total=100)) for rows in (z, long))
    assert other == pytest.approx(one, rel=1e-4)


def test_the_information_is_read_at_the_temperature_that_reads_most():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    y = x + 2.0 * torch.randn(64, 4, generator=generator)  # alike by little: at 0.1 the bound is below 0
    watch = Watch("mine")
    seen = watch.see({0: x}, {1: y}, Clock(step=0, total=100))
    assert seen["mi_infonce"] < 0 < seen["mi_best"] < 1
    watch.see({0: x}, {1: x}, Clock(step=10, total=100))
    been = watch.state["phases"]["0"]
    assert been["best_random"] == seen["mi_best"] < been["best"] < been["now"]["mi_best"]
    again = Watch("mine", seen={"phases": {"0": {k: v for k, v in been.items() if "best" not in k}}})
    again.see({0: x}, {1: x}, Clock(step=20, total=100))  # of before it was read: what it was untrained is not known
    assert "best_random" not in again.state["phases"]["0"] and again.state["phases"]["0"]["best"] > 1


def test_the_rank_that_is_shown_is_the_logs_and_the_watchs_own_that_of_centred_rows():
    z = torch.ones(64, 8) + 0.01 * torch.randn(64, 8, generator=torch.Generator().manual_seed(0))  # at one point
    watch = Watch("mine")
    seen = watch.see({0: z, 1: z}, {0: z, 1: z}, Clock(step=5, total=100))
    assert seen["rank"] == pytest.approx(monitor.gauges(z, z, intervals=False)["effective_rank"], rel=1e-4)
    assert seen["rank"] < 1.5 and seen["effective_rank"] > 5
    assert "rank" not in watch.state["phases"]["0"]["now"]
