// What pages do beyond what they show: they look again while somebody looks at them, and let curves be zoomed.
"use strict";

(() => {
  let paused = false;

  // Nothing is asked for while nobody looks, while it is paused, or while somebody fills in a form.
  document.addEventListener("htmx:before:request", (event) => {
    const field = document.activeElement;
    const busy = field && field.closest("#live") && field.matches("input, select, summary");
    if (paused || document.hidden || busy) event.preventDefault();
  });

  for (const button of document.querySelectorAll("[data-pause]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Resume updates" : "Pause updates";
    });
  }

  const DASHES = [[], [7, 4], [2, 4], [10, 3, 2, 3], [4, 3], [12, 5]];
  const HEIGHT = 260;

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function short(value) {
    return value == null ? "–" : Number(value.toPrecision(4)).toLocaleString("en");
  }

  function options(panel, series, width) {
    const axis = { stroke: color("--muted"), grid: { stroke: color("--rule"), width: 1 }, ticks: { stroke: color("--rule") } };
    return {
      width,
      height: HEIGHT,
      scales: { x: { time: false } },
      hooks: { setSelect: [(plot) => { if (plot.select.width > 0) plot.zoomed = true; }] },
      axes: [
        { ...axis, values: (_plot, ticks) => ticks.map((tick) => (tick >= 1000 ? `${tick / 1000}k` : `${tick}`)) },
        { ...axis, size: 62 },
      ],
      series: [
        { label: "images seen", value: (_plot, value) => short(value) },
        ...series.map((line, index) => ({
          label: line.name,
          stroke: color(`--color-${index % 6}`),
          dash: DASHES[index % 6],
          width: 1.6,
          spanGaps: true,
          value: (_plot, value) => short(value),
        })),
      ],
    };
  }

  // All curves of a panel over the same places, as uPlot wants them.
  function joined(series) {
    return uPlot.join(series.map((line) => [line.images_seen, line.values]));
  }

  function draw(place, series) {
    const panel = place.querySelector(".chart");
    if (!series.length || !series.some((line) => line.values.length > 1)) return null;
    const plot = document.createElement("div");
    const note = document.createElement("p");
    note.className = "zoom-note";
    note.textContent = "Drag to zoom, double-click to see all of it.";
    place.append(plot, note);
    if (panel) panel.hidden = true;
    const drawn = new uPlot(options(place, series, plot.clientWidth), joined(series), plot);
    drawn.over.addEventListener("dblclick", () => { drawn.zoomed = false; });
    new ResizeObserver(() => drawn.setSize({ width: plot.clientWidth, height: HEIGHT })).observe(plot);
    return drawn;
  }

  // What somebody has zoomed into stays where it is.
  function renew(plot, data) {
    plot.setData(data, !plot.zoomed);
    if (plot.zoomed) plot.redraw();
  }

  async function curves(holder) {
    const drawn = {};
    async function look() {
      const answer = await fetch(holder.dataset.curves, { headers: { accept: "application/json" } });
      if (!answer.ok) return;
      const found = await answer.json();
      const panels = { quality: found.quality ? [found.quality] : [], losses: found.losses };
      for (const [name, series] of Object.entries(panels)) {
        const place = holder.querySelector(`[data-plot="${name}"]`);
        if (!place) continue;
        if (drawn[name]) renew(drawn[name], joined(series));
        else drawn[name] = draw(place, series);
      }
    }
    await look();
    if (holder.dataset.live) {
      setInterval(() => { if (!paused && !document.hidden) look().catch(() => {}); }, 1000 * Number(holder.dataset.live));
    }
  }

  function begin() {
    if (typeof uPlot === "undefined") return;
    for (const holder of document.querySelectorAll("[data-curves]:not([data-drawn])")) {
      holder.dataset.drawn = "";
      curves(holder).catch(() => {});
    }
  }
  begin();
  document.addEventListener("htmx:after:swap", begin); // a training that had none has curves now
})();
