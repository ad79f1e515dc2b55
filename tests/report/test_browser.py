"""Pages in a real browser: they load offline and in silence, the epoch slider moves what it should, hovering shows it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from infomax.cli.pages import reported
from infomax.report import Page, mi_curves, spheres
from infomax.sweep.folder import Row
from infomax.sweep.page import coordinates
from infomax.training.watch.frames import FILE, Frames

pytestmark = pytest.mark.browser

POINTS = """(root, k) => {
  const pane = root.querySelectorAll(".plane")[k], trace = pane._fullData[0];
  return [trace.x, trace.y, trace.z].filter(Boolean).map(axis => Array.from(axis));
}"""
LONG = "a class whose name is as long as if it described the whole photograph in a sentence, or two"
PLACE = """(root, i) => {
  const pane = root.querySelector(".plane"), full = pane._fullLayout, box = pane.getBoundingClientRect();
  const { x, y } = pane._fullData[0], { xaxis, yaxis } = full;
  return [box.left + xaxis._offset + xaxis.l2p(x[i]), box.top + yaxis._offset + yaxis.l2p(y[i])];
}"""


def frames(run: Path) -> np.ndarray:
    """E N K, as a run kept them."""
    return np.stack([p.float().numpy() for p in Frames.load(run / FILE).points])


def slide(explorer, slot: int) -> None:
    """Move the slider by the keyboard, from the end."""
    slider = explorer.locator("[name=epoch]")
    slider.focus()
    last = int(slider.get_attribute("max"))
    for _ in range(last - slot):
        slider.press("ArrowLeft")
    explorer.page.wait_for_timeout(300)


def test_spheres_play_offline_and_stay_turned(tmp_path, visit):
    path = np.random.default_rng(0).normal(size=(6, 5, 3))
    page = Page("spheres").figure(spheres({"jmi": path})).figure(mi_curves({"jmi": [0, 1], "byol": [1, 2]}))
    shown = visit.open(page.write(tmp_path / "page.html"))
    heads = "() => Array.from(document.querySelector('.plot')._fullData[2].x)"
    shown.evaluate(
        "() => Plotly.relayout(document.querySelector('.plot'), {'scene.camera': {eye: {x: 0.2, y: 1.4, z: 0.9}}})"
    )
    unit = path / np.linalg.norm(path, axis=-1, keepdims=True)
    np.testing.assert_allclose(shown.evaluate(heads), unit[-1, :, 0], atol=1e-6)
    jump = "{mode: 'immediate', frame: {duration: 0, redraw: true}, transition: {duration: 0}}"
    shown.evaluate(f"() => Plotly.animate(document.querySelector('.plot'), ['0'], {jump})")
    np.testing.assert_allclose(shown.evaluate(heads), unit[0, :, 0], atol=1e-6)
    assert shown.evaluate("() => document.querySelector('.plot')._fullLayout.scene.camera.eye.x") == 0.2
    assert shown.evaluate("() => document.querySelectorAll('.plot')[1]._fullData.length") == 2
    assert visit.complaints == [] and len(visit.requests) == 1
    assert shown.evaluate("() => fetch('https://example.org/').then(() => 'open', () => 'blocked')") == "blocked"


def test_the_slider_moves_the_sphere(tmp_path, visit, toy):
    visit.open(reported([toy], tmp_path / "page.html"))
    explorer = visit.drawn(0)
    kept = frames(toy)
    np.testing.assert_allclose(explorer.evaluate(POINTS, 0), kept[-1].T, atol=1e-4)
    slide(explorer, 1)
    assert explorer.locator("[name=at]").inner_text() == "1"
    np.testing.assert_allclose(explorer.evaluate(POINTS, 0), kept[1].T, atol=1e-4)
    assert np.abs(kept[1] - kept[-1]).max() > 0.1
    explorer.locator("[name=play]").click()
    explorer.page.wait_for_function("() => document.querySelector('[name=at]').textContent === '4'")
    np.testing.assert_allclose(explorer.evaluate(POINTS, 0), kept[4].T, atol=1e-4)
    assert visit.complaints == [] and len(visit.requests) == 1


def test_several_runs_side_by_side_and_who_is_pointed_at(tmp_path, visit, runs):
    page = visit.open(reported(runs, tmp_path / "page.html"))
    explorer = visit.drawn(0)
    titles = [title.inner_text() for title in explorer.locator("h4").all()]
    assert titles == [" ".join(run.name.split()) for run in runs]
    for k, run in enumerate(runs):
        np.testing.assert_allclose(explorer.evaluate(POINTS, k), frames(run)[-1].T, atol=1e-3)
    slide(explorer, 2)  # the last run had ended after one epoch, the second after two
    for k, run in enumerate(runs):
        kept = frames(run)
        np.testing.assert_allclose(explorer.evaluate(POINTS, k), kept[min(2, len(kept) - 1)].T, atol=1e-3)
    assert explorer.locator(".pane p").nth(2).inner_text().startswith("epoch 1, ")

    tip = explorer.locator(".tip")
    assert not tip.is_visible()
    points = np.array(explorer.evaluate(POINTS, 0))
    alone = int(np.abs(points).sum(0).argmax())  # one at the edge, which no other covers
    page.mouse.move(*explorer.evaluate(PLACE, alone))
    tip.wait_for(state="visible")
    thumb = tip.locator(".thumb")
    assert thumb.bounding_box()["width"] == 132
    assert 'url("data:image/' in thumb.evaluate("e => getComputedStyle(e).backgroundImage")
    said = tip.inner_text()
    names = json.loads(page.locator("#widget-0").text_content())["names"]
    assert names[alone] in said and "cluster" in said
    rings = "root => [...root.querySelectorAll('.plane')].map(p => [p._fullData[1].x[0], p._fullData[1].y[0]])"
    page.wait_for_timeout(300)
    marked = np.array(explorer.evaluate(rings))
    np.testing.assert_allclose(marked[2], np.array(explorer.evaluate(POINTS, 2))[:, alone], atol=1e-6)
    page.mouse.move(5, 5)
    tip.wait_for(state="hidden")

    panes = explorer.locator(".panes")
    panes.focus()
    panes.press("ArrowRight")
    assert names[(alone + 1) % len(names)] in explorer.locator(".said").inner_text() and tip.is_visible()
    explorer.locator("[name=colour]").select_option("cluster")
    assert explorer.locator(".legend button").first.inner_text() == "cluster 1"
    explorer.locator(".legend button").first.click()
    colours = explorer.evaluate("root => root.querySelector('.plane')._fullData[0].marker.color")
    assert 0 < sum("rgba" in colour for colour in colours) < len(colours)
    assert visit.drawn(1).locator(".plane").count() == 3
    assert visit.complaints == [] and page.title() != "evil" and len(visit.requests) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_legible_in_light_and_dark_and_on_a_small_screen(tmp_path, visit, runs, scheme):
    visit.page.emulate_media(color_scheme=scheme)
    visit.page.set_viewport_size({"width": 420, "height": 800})
    page = visit.open(reported(runs[:1], tmp_path / "page.html"))
    paper, ink = page.evaluate(
        "() => [getComputedStyle(document.body).backgroundColor, document.querySelector('.plot')._fullLayout.font.color]"
    )
    light = [sum(map(int, paper[4:-1].split(","))), int(ink[1:3], 16) * 3]
    assert (light[0] > light[1] + 300) if scheme == "light" else (light[1] > light[0] + 300)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 420
    assert visit.complaints == []


SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll('*')]
  .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
  .map(e => e.textContent.slice(0, 80))"""


def test_six_runs_beside_each_other_fit_a_window(tmp_path, visit, runs):
    six = [
        tmp_path / f"{method}-resnet18-cifar10-seed{k}"
        for k, method in enumerate(("barlow_twins", "moco-v3", "w_mse") * 2)
    ]
    for k, folder in enumerate(six):
        shutil.copytree(runs[k % 3], folder)
    visit.page.set_viewport_size({"width": 1200, "height": 800})
    page = visit.open(reported(six, tmp_path / "page.html"))
    page.wait_for_function("() => document.querySelectorAll('.plot')[0]._fullLayout")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1200
    assert page.evaluate(SIDEWAYS) == [] and page.locator("table.rows").count() == 2
    assert visit.complaints == []


OVERLAP = """pairs => pairs.filter(([a, b]) => {
  const [p, q] = [a, b].map(e => e.getBoundingClientRect());
  return p.width && q.width && p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1;
}).length"""


def test_no_text_lies_on_other_text(tmp_path, visit, long_names):
    page = visit.open(reported([long_names], tmp_path / "page.html"))
    for number in (0, 1):
        visit.drawn(number)
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(600)
        ticks = """() => [...document.querySelectorAll(".explorer .plane")].flatMap(plot => ["x", "y"].flatMap(axis =>
          [...plot.querySelectorAll(`.${axis}tick text`)].map(tick => [plot.querySelector(`.${axis}title`), tick])))"""
        assert page.evaluate(f"() => ({ticks})().length") > 10
        assert page.evaluate(f"() => ({OVERLAP})(({ticks})())") == 0
        labels = """() => [...document.querySelectorAll(".rows th .label")].flatMap(label =>
          [...label.closest("tr").querySelectorAll("td .thumb, td figure")].map(other => [label, other]))"""
        assert page.evaluate(f"() => ({labels})().length") > 10
        assert page.evaluate(f"() => ({OVERLAP})(({labels})())") == 0
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    named = page.locator(".legend button").first.get_attribute("title")
    assert named == f"{LONG}: show these alone"


def test_the_scheme_may_change_after_the_map_and_keys_keep_their_place(tmp_path, visit, toy):
    page = visit.open(reported([toy], tmp_path / "page.html"))
    explorer = visit.drawn(1)
    explorer.locator("[name=map]").select_option("1")
    page.wait_for_function("() => document.querySelectorAll('.explorer')[1].querySelector('.plane .xtitle')")
    explorer.locator(".panes").press("ArrowRight")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(600)
    ink = page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()")
    line = page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--line').trim()")
    full = explorer.locator(".plane").first.evaluate(
        "e => [e._fullLayout.font.color, e._fullLayout.xaxis.gridcolor, e._fullData[1].marker.color]"
    )
    assert full == [ink, line, ink]
    second = explorer.locator(".legend button").nth(1)
    second.focus()
    second.press("Enter")
    assert (
        explorer.locator(".legend button").nth(1).evaluate("e => e === document.activeElement && e.ariaPressed")
        == "true"
    )
    assert visit.complaints == []


def test_parallel_coordinates_are_legible_in_the_dark(tmp_path, visit):
    rows = [Row(f"{k}", "finished", {"lr": 10.0**-k, "seed": k}, {"linear": 90.0 + k}, 1, 1.0, None) for k in (1, 2, 3)]
    visit.page.emulate_media(color_scheme="dark")
    page = visit.open(Page("t").figure(coordinates(rows, ["lr", "seed"], "linear")).write(tmp_path / "page.html"))
    page.wait_for_selector(".parcoords .axis text")
    text, line = page.evaluate(
        """() => [".parcoords .axis text", ".parcoords .axis path"].map(s => getComputedStyle(document.querySelector(s)))
          .map((style, k) => k ? style.stroke : style.textShadow)"""
    )
    assert text == "none" and line == "rgb(154, 167, 180)"
