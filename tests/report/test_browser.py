import re
import shutil
import subprocess

import numpy as np
import pytest

from infomax.report import Page, mi_curves, spheres

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --enable-unsafe-swiftshader --use-angle=swiftshader --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --virtual-time-budget=20000 --dump-dom"
)
PROBE = """<script>
window.addEventListener("load", async () => {
  const [globes, curves] = document.querySelectorAll(".plot");
  const heads = () => Array.from(globes._fullData[2].x).map(x => x.toFixed(3)).join(",");
  const say = (key, value) => { document.body.dataset[key] = value; };
  const turned = { eye: { x: 0.2, y: 1.4, z: 0.9 } };
  await Plotly.relayout(globes, { "scene.camera": turned });
  say("end", heads());
  await Plotly.animate(globes, ["0"], { mode: "immediate", frame: { duration: 0, redraw: true }, transition: { duration: 0 } });
  say("start", heads());
  say("eye", globes._fullLayout.scene.camera.eye.x);
  say("frames", globes._transitionData._frames.length);
  say("lines", curves._fullData.length);
  let blocked = "no";
  try { await fetch("https://example.org/"); } catch (error) { blocked = "yes"; }
  say("blocked", blocked);
});
</script></body>"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_spheres_play_offline_and_stay_turned(tmp_path):
    path = np.random.default_rng(0).normal(size=(6, 5, 3))
    page = Page("spheres").figure(spheres({"jmi": path})).figure(mi_curves({"jmi": [0, 1], "byol": [1, 2]}))
    file = tmp_path / "page.html"
    file.write_text(page.html().replace("</body>", PROBE), encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    body = re.search(r"<body ([^>]*)>", done.stdout)
    assert body, done.stdout[-2000:] + done.stderr[-2000:]
    said = dict(re.findall(r'data-(\w+)="([^"]*)"', body[1]))
    unit = path / np.linalg.norm(path, axis=-1, keepdims=True)
    for key, epoch in (("end", -1), ("start", 0)):
        np.testing.assert_allclose([float(x) for x in said[key].split(",")], unit[epoch, :, 0], atol=6e-4)
    assert said["eye"] == "0.2", "playing turned the sphere back"
    assert (said["frames"], said["lines"], said["blocked"]) == ("6", "2", "yes")
