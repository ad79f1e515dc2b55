"use strict";
// Points by epoch, label and cluster; see explorer.py. Every text is set as text.
document.querySelectorAll(".explorer").forEach(root => {
  const numbers = infomax.json(root.dataset.numbers);
  const part = name => root.querySelector(`[name=${name}]`);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const panes = root.querySelector(".panes"), tip = root.querySelector(".tip"), said = root.querySelector(".said");
  const legend = root.querySelector(".legend");
  const slider = part("epoch"), at = part("at"), play = part("play"), way = part("colour"), which = part("map");
  const count = numbers.names.length;
  const state = { map: 0, slot: Math.max(numbers.epochs.length - 1, 0), chosen: -1, only: null };
  let shown = [];  // the panes as they are drawn

  const colour = k => k < numbers.palette.length ? numbers.palette[k] : `hsl(${(k * 137.508) % 360} 55% 52%)`;
  const className = k => numbers.classes && k in numbers.classes ? numbers.classes[k] : String(k);
  const numbersOf = pane => !way || way.value === "none" ? null : way.value === "label" ? numbers.labels : pane.clusters;

  function decoded(pane, dimensions, reach) {
    const bytes = Uint8Array.from(atob(pane.points), c => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const read = i => view.getInt16(2 * i, true) * reach / 32767;
    return Array.from({ length: bytes.length / (2 * count * dimensions) }, (_, frame) =>
      Array.from({ length: dimensions }, (_, axis) =>
        Float32Array.from({ length: count }, (_, i) => read((frame * count + i) * dimensions + axis))));
  }

  function globe() {
    const x = [], y = [], z = [];
    const ring = point => {
      for (let k = 0; k <= 60; k++) { const [a, b, c] = point(2 * Math.PI * k / 60); x.push(a); y.push(b); z.push(c); }
      x.push(null); y.push(null); z.push(null);
    };
    const { cos, sin, PI } = Math;
    for (const l of [-PI / 3, -PI / 6, 0, PI / 6, PI / 3]) ring(t => [cos(l) * cos(t), cos(l) * sin(t), sin(l)]);
    for (let k = 0; k < 6; k++) ring(t => [cos(t) * cos(k * PI / 6), cos(t) * sin(k * PI / 6), sin(t)]);
    return { type: "scatter3d", mode: "lines", x, y, z, line: { color: "#87919C", width: 1.5 }, opacity: 0.3,
      hoverinfo: "skip", showlegend: false };
  }

  function draw() {
    const map = numbers.maps[state.map], deep = map.dimensions === 3;
    shown.forEach(pane => Plotly.purge(pane.plot));
    panes.replaceChildren();
    shown = map.panes.map(pane => {
      const box = make("div", "pane"), plot = make("div", "plane"), note = make("p");
      box.append(make("h4", "", pane.title), note, plot);
      panes.append(box);
      return { ...pane, plot, note, frames: decoded(pane, map.dimensions, map.reach) };
    });
    const drawn = shown.map(pane => {
      const dots = { mode: "markers", hoverinfo: "none", showlegend: false, ...coordinates(pane),
        marker: { size: deep ? 4 : 7, line: { width: 0 }, color: colours(pane), opacity: deep ? 1 : opacities(pane) } };
      const ring = { mode: "markers", hoverinfo: "skip", showlegend: false, x: [], y: [],
        marker: { size: deep ? 12 : 16, symbol: "circle-open", color: ink(), line: { width: 3, color: ink() } } };
      const layout = { showlegend: false, hovermode: "closest", margin: { l: 20, r: 10, t: 10, b: 20 }, uirevision: "keep" };
      let data;
      if (deep) {
        const axis = { visible: false, range: [-1.08 * map.reach, 1.08 * map.reach], showspikes: false };
        layout.scene = { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "cube", uirevision: "keep",
          camera: { eye: { x: 1.1, y: 1.1, z: 0.7 } } };
        layout.margin = { l: 0, r: 0, t: 0, b: 0 };
        data = [{ ...dots, type: "scatter3d" }, { ...ring, type: "scatter3d", z: [] }, globe()];
      } else {
        const axis = { zeroline: false, ticks: "outside", nticks: 7, automargin: true };
        layout.xaxis = { ...axis, range: map.box[0], title: { text: map.axes[0], standoff: 6 } };
        layout.yaxis = { ...axis, range: map.box[1], title: { text: map.axes[1], standoff: 4 }, scaleanchor: "x" };
        data = [{ ...dots, type: "scatter" }, { ...ring, type: "scatter" }];
      }
      return infomax.plot(pane.plot, data, layout).then(() => {
        pane.plot.on("plotly_hover", event => {
          const point = event.points.find(p => p.curveNumber === 0);
          if (point) choose(point.pointNumber, pane, event.event);
        });
        pane.plot.on("plotly_unhover", () => { tip.hidden = true; });
      });
    });
    say();
    lists();
    return Promise.all(drawn).then(() => { root.dataset.ready = "yes"; });
  }

  const ink = () => getComputedStyle(root).getPropertyValue("--ink").trim();
  const frame = pane => pane.frames[pane.slots[Math.min(state.slot, pane.slots.length - 1)]];
  function coordinates(pane) {
    const [x, y, z] = frame(pane);
    return z ? { x, y, z } : { x, y };
  }
  function colours(pane) {
    const of = numbersOf(pane);
    return of ? of.map((k, i) => dimmed(pane, i) ? "rgba(128,128,128,.25)" : colour(k)) : "#0072B2";
  }
  const dimmed = (pane, i) => { const of = numbersOf(pane); return state.only !== null && of && of[i] !== state.only; };
  const opacities = pane => numbers.names.map((_, i) => dimmed(pane, i) ? 0.25 : 0.8);

  function say() {
    shown.forEach(pane => {
      const slot = pane.slots[Math.min(state.slot, pane.slots.length - 1)];
      const epoch = pane.epochs[slot];
      const when = numbers.epochs.length > 1 && epoch !== undefined && epoch !== numbers.epochs[state.slot]
        ? `epoch ${epoch}, ` : "";
      pane.note.textContent = when + (pane.notes[slot] || "");
    });
    if (at) at.textContent = numbers.epochs[state.slot];
    if (slider) slider.setAttribute("aria-valuetext", `epoch ${numbers.epochs[state.slot]}`);
  }

  function move(slot) {
    state.slot = slot;
    if (slider) slider.value = slot;
    say();
    tip.hidden = true;
    return Promise.all(shown.map(pane => {
      const now = coordinates(pane);
      const update = Object.fromEntries(Object.entries(now).map(([axis, values]) => [axis, [values]]));
      return Plotly.restyle(pane.plot, update, [0]).then(() => mark(pane));
    }));
  }

  function paint() {
    const deep = numbers.maps[state.map].dimensions === 3;
    lists();
    return Promise.all(shown.map(pane => Plotly.restyle(pane.plot,
      { "marker.color": [colours(pane)], "marker.opacity": [deep ? 1 : opacities(pane)] }, [0])));
  }

  function lists() {
    const held = [...legend.children].indexOf(document.activeElement);
    legend.replaceChildren();
    const used = new Set();
    shown.forEach(pane => (numbersOf(pane) || []).forEach(k => used.add(k)));
    [...used].sort((a, b) => a - b).forEach(k => {
      const button = make("button"), dot = make("i");
      button.type = "button";
      dot.style.background = colour(k);
      const name = way.value === "label" ? className(k) : `cluster ${k + 1}`;
      button.append(dot, make("span", "", name));
      button.title = `${name}: show these alone`;
      button.setAttribute("aria-pressed", state.only === k);
      button.addEventListener("click", () => { state.only = state.only === k ? null : k; paint(); });
      legend.append(button);
    });
    if (held >= 0 && legend.children[held]) legend.children[held].focus();  // who walks by keys stays where he was
  }

  function mark(pane) {
    const i = state.chosen, now = coordinates(pane);
    const update = Object.fromEntries(Object.entries(now).map(([axis, values]) => [axis, [i < 0 ? [] : [values[i]]]]));
    return Plotly.restyle(pane.plot, { ...update, "marker.color": ink(), "marker.line.color": ink() }, [1]);
  }

  function lines(i, pane) {
    const told = [numbers.names[i]];
    if (numbers.labels) told.push(className(numbers.labels[i]));
    if (pane.clusters) told.push(`cluster ${pane.clusters[i] + 1}`);
    if (numbers.words) told.push(numbers.words[i]);
    return told;
  }

  // Show who sample i is, mark it in every pane, and put the tip beside it.
  function choose(i, pane, pointer) {
    const changed = i !== state.chosen;
    state.chosen = i;
    const told = lines(i, pane);
    said.textContent = told.join(" · ");
    tip.replaceChildren();
    if (numbers.sheet) {
      const { name, side, columns, at } = numbers.sheet;
      const picture = make("span", `thumb ${name}` + (side < 20 ? "" : " soft"));
      picture.style.setProperty("--x", at[i] % columns);
      picture.style.setProperty("--y", Math.floor(at[i] / columns));
      tip.append(picture);
    }
    told.forEach((text, k) => tip.append(make(k ? "div" : "strong", "", text)));
    tip.hidden = false;
    const box = root.getBoundingClientRect(), frameBox = pane.plot.getBoundingClientRect();
    const full = pane.plot._fullLayout, flat = full.xaxis && full.yaxis && numbers.maps[state.map].dimensions === 2;
    let x, y;
    if (pointer && pointer.clientX !== undefined) {
      x = pointer.clientX; y = pointer.clientY;
    } else if (flat) {
      const now = coordinates(pane);
      x = frameBox.left + full.xaxis._offset + full.xaxis.l2p(now.x[i]);
      y = frameBox.top + full.yaxis._offset + full.yaxis.l2p(now.y[i]);
    } else {
      x = frameBox.left + 12; y = frameBox.top + 12;
    }
    const left = x - box.left + 18, right = x - box.left - 18 - tip.offsetWidth;
    tip.style.left = `${left + tip.offsetWidth > box.width && right > 0 ? right : left}px`;
    tip.style.top = `${Math.max(0, y - box.top - tip.offsetHeight / 2)}px`;
    if (changed) shown.forEach(mark);
  }

  if (way) way.addEventListener("change", () => { state.only = null; paint(); });
  if (which) {
    numbers.maps.forEach((map, k) => { const option = make("option", "", map.name); option.value = k; which.append(option); });
    which.addEventListener("change", () => { state.map = +which.value; state.only = null; tip.hidden = true; draw(); });
  }
  if (slider) slider.addEventListener("input", () => move(+slider.value));
  if (play) {
    let timer = null;
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
    play.addEventListener("click", () => {
      if (timer) return stop();
      play.textContent = "Pause";
      if (state.slot === numbers.epochs.length - 1) move(0);
      let busy = false;
      timer = setInterval(() => {
        if (busy) return;
        if (state.slot === numbers.epochs.length - 1) return stop();
        busy = true;
        move(state.slot + 1).then(() => { busy = false; });
      }, 120);
    });
  }
  panes.addEventListener("keydown", event => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key === "Escape") { tip.hidden = true; return; }
    if (!(event.key in steps) || event.target !== panes) return;
    event.preventDefault();
    choose((state.chosen + steps[event.key] + count) % count, shown[0], null);
  });
  panes.addEventListener("blur", () => { tip.hidden = true; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown.forEach(mark));
  // Spheres are dear to draw: each explorer waits until it is nearly in sight.
  const sight = new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting)) { sight.disconnect(); draw(); }
  }, { rootMargin: "800px" });
  sight.observe(root);
  addEventListener("beforeprint", () => { if (!shown.length) { sight.disconnect(); draw(); } });
});
