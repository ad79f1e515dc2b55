"use strict";
// Draws every figure of the page, in its light or dark colours.
const infomax = (() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const clear = "rgba(0,0,0,0)";
  // plotly 7 would otherwise offer to upload the chart to a server of its makers.
  const config = { responsive: true, displaylogo: false, scrollZoom: false, showSendToCloud: false };

  function themed(template) {
    const css = getComputedStyle(document.documentElement);
    const [ink, soft, line, tint] = ["--ink", "--soft", "--line", "--tint"].map(n => css.getPropertyValue(n).trim());
    const axis = { gridcolor: line, linecolor: soft, zerolinecolor: line, tickcolor: soft };
    const mine = template.layout || {};
    const merge = name => ({ ...(mine[name] || {}), ...axis });
    return { ...template, layout: { ...mine, paper_bgcolor: clear, plot_bgcolor: clear,
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, ...(mine.font || {}), color: ink }, xaxis: merge("xaxis"), yaxis: merge("yaxis"),
      hoverlabel: { bgcolor: tint, bordercolor: line, font: { color: ink } },
      modebar: { bgcolor: clear, color: soft, activecolor: ink } } };
  }

  // Every figure that stands on the page is drawn again where the scheme changes.
  const drawn = new Map();
  dark.addEventListener("change", () => drawn.forEach((template, element) => {
    if (element.isConnected) Plotly.relayout(element, { template: themed(template) });
    else drawn.delete(element);
  }));

  // Draw into an element.
  function plot(element, data, layout, frames) {
    const template = layout.template || {};
    delete layout.width;
    const done = Plotly.newPlot(element,
      { data, layout: { ...layout, autosize: true, template: themed(template) }, frames: frames || [], config });
    drawn.set(element, template);
    return done;
  }

  const json = id => JSON.parse(document.getElementById(id).textContent);
  document.querySelectorAll(".plot").forEach(element => {
    const figure = json(element.id.replace("plot", "data"));
    plot(element, figure.data, figure.layout, figure.frames);
  });
  return { plot, json };
})();
