"use strict";
// Draws each figure again, interactively. Without this script the SVG stays, with the same numbers.
(function () {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const dashes = { blue: [7, 4], limit: [2, 4], bound: [2, 4], low: [7, 4] };
  const colours = { weight: "green", bound: "limit", low: "evidence", high: "evidence" };
  const bands = { pass: "good", fail: "bad", inconclusive: "wait" };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const shown = (value) => (value == null ? "--" : Number(value.toPrecision(4)).toString());
  const sizes = [[1e12, 1e12, "T"], [1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]];
  const short = (value) => {
    const size = sizes.find((one) => Math.abs(value) >= one[0]);
    return size ? shown(value / size[1]) + size[2] : shown(value);
  };
  const clock = (time) => new Date(time * 1000).toISOString().slice(11, 19);
  const drawn = new Map();

  function shade(plot) {
    return (u) => {
      for (const band of plot.bands) {
        const left = u.valToPos(band.since, "x", true), right = u.valToPos(band.until, "x", true);
        u.ctx.save();
        u.ctx.fillStyle = colour(bands[band.style] || "panel");
        u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
        if (right - left > 44 * devicePixelRatio) {
          u.ctx.fillStyle = colour("soft");
          u.ctx.font = 11 * devicePixelRatio + "px sans-serif";
          u.ctx.textAlign = "left"; u.ctx.textBaseline = "top";
          u.ctx.fillText(band.mark, left + 5 * devicePixelRatio, u.bbox.top + 5 * devicePixelRatio);
        }
        u.ctx.restore();
      }
    };
  }

  function options(plot, width) {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
    return {
      width, height: 230,
      tzDate: (time) => uPlot.tzDate(new Date(time * 1e3), "Etc/UTC"),
      scales: { x: { min: plot.since, max: plot.until }, y: { distr: plot.log ? 3 : 1, range: (u, low, high) => plot.log ? [Math.min(low ?? 0.5, 0.5) / 1.1, Math.max(high ?? 2, 2) * 1.1] : plot.top ? [0, plot.top] : [Math.min(0, low ?? 0), Math.min((high ?? 1) * 1.08 || 1, plot.cap ?? Infinity)] } },
      axes: [{ ...axis, space: 80, values: (u, times) => times.map((time) => clock(time).slice(0, u.scales.x.max - u.scales.x.min < 900 ? 8 : 5)) },
             { ...axis, ...(plot.log ? { splits: () => plot.log, filter: (u, splits) => splits } : {}), size: 66, values: (u, values) => values.map((value) => short(value) + (plot.unit ? " " + plot.unit : "")) }],
      series: [{ label: "time", value: (u, time) => time == null ? "--" : clock(time) + " UTC" }].concat(plot.curves.map((curve) => ({
        label: curve.label, stroke: colour(colours[curve.style] || curve.style), width: 2, dash: dashes[curve.style],
        paths: curve.steps ? uPlot.paths.stepped({ align: 1 }) : undefined, points: { show: plot.times.length < 40 },
        value: (u, value) => shown(value) + (value == null || !plot.unit ? "" : " " + plot.unit),
      }))),
      hooks: { drawClear: [shade(plot)] },
    };
  }

  function draw(figure) {
    const plot = plots[figure.dataset.plot];
    const width = figure.clientWidth;
    if (!plot || !width || !plot.times.length) return;
    const old = drawn.get(figure);
    if (old) old.destroy();
    figure.classList.add("drawn");
    drawn.set(figure, new uPlot(options(plot, width), [plot.times].concat(plot.curves.map((curve) => curve.values.map((value) => value === false ? undefined : value))), figure.querySelector(".live")));
  }

  const figures = Array.from(document.querySelectorAll("figure[data-plot]"));
  const all = () => figures.forEach(draw);
  all();
  document.querySelectorAll("details").forEach((part) => part.addEventListener("toggle", () => part.querySelectorAll("figure[data-plot]").forEach((figure) => { if (!drawn.has(figure)) draw(figure); })));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });
  window.penstockPlots = drawn;
})();
