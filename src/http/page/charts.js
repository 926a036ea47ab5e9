// The last hour of one pipeline: throughput, latencies, what waits. Reads /api/pipelines/history every ten seconds.
// uPlot (assets/uplot.js) draws; it is a plain script and comes first.
import { byId, compact, count, element, every, input, rate, setText, took } from "./base.js";

const POLL_MS = 10000;
const HEIGHT = 200;
const SPAN_MIN = 300; // seconds shown at least
const ROWS_MAX = 30; // of the table
const COLOURS = 6;
const QUEUES_MAX = 4; // the fullest ones
const DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3], [4, 2], [1, 2]];

let history = new Map(); // name → points
let chosen = null;
const figures = []; // what is drawn: { root, plot, … }

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const last = (list) => list.findLast((value) => value !== null && value !== undefined) ?? null;
const most = (list) => list.reduce((top, value) => (value !== null && value > top ? value : top), 0);

const perSecond = (value) => (value === null || value === undefined ? "–" : `${rate(value)}/s`);
const messages = (value) => (value === null || value === undefined ? "–" : count(value));

/** The charts, with the series that a pipeline has. */
function chartsOf(points) {
  const queues = Object.entries(points.queues);
  const fuller = (a, b) => most(b.values) - most(a.values) || a.label.localeCompare(b.label);
  const byDepth = queues.map(([name, depths]) => ({ label: `queue ${name}`, values: depths })).sort(fuller);
  return [
    {
      title: "Throughput",
      unit: "messages a second",
      say: perSecond,
      series: [
        { label: "settled", values: points.settled_per_second, fill: true },
        { label: "received", values: points.received_per_second },
        { label: "failed", values: points.failed_per_second, colour: "--bad" },
      ],
    },
    {
      title: "Latency",
      unit: "received to settled",
      say: took,
      log: true,
      series: [
        { label: "p50", values: points.p50_seconds },
        { label: "p99", values: points.p99_seconds },
      ],
    },
    {
      title: "In flight and queues",
      unit: "messages, the most in ten seconds",
      say: messages,
      series: [{ label: "in flight", values: points.in_flight, fill: true }, ...byDepth.slice(0, QUEUES_MAX)],
    },
  ];
}

// ---- drawing ---------------------------------------------------------------------------------------------------

function buildFigure(chart) {
  const root = element("figure", "chart");
  const readings = chart.series.map((series) => {
    const value = element("b", "", "–");
    const key = element("span", "stroke");
    key.setAttribute("aria-hidden", "true");
    return { value, key, root: element("span", "reading", key, `${series.label} `, value) };
  });
  const caption = element("figcaption", "", element("strong", "", chart.title), element("small", "", chart.unit));
  const legend = element("p", "legend", ...readings.map((reading) => reading.root));
  legend.setAttribute("aria-hidden", "true"); // the image's name and the table say it
  const canvas = element("div", "plot");
  canvas.setAttribute("role", "img");
  root.append(caption, legend, canvas);
  return { root, canvas, readings, chart, plot: null, labels: chart.series.map((series) => series.label).join() };
}

function strokeOf(series, index) {
  return colour(series.colour ?? `--c${(index % COLOURS) + 1}`);
}

function options(figure, width) {
  const { chart } = figure;
  const [quiet, line] = [colour("--quiet"), colour("--line")];
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
  const say = (value) => (chart.log ? took(value) : compact(value));
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: "hour" }, y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: true }, y: chart.log ? { distr: 3, range: decades } : { range: (_, __, top) => [0, top > 0 ? top * 1.12 : 1] } },
    axes: [
      { ...axis, size: 30, space: 70, values: (_, ticks) => ticks.map((at) => clock(at)) },
      {
        ...axis,
        size: 58,
        space: 34,
        ...(chart.log ? { filter: powers, grid: { ...axis.grid, filter: powers }, ticks: { ...axis.ticks, filter: powers } } : {}),
        values: (_, ticks) => ticks.map((value) => (value === null ? "" : say(value))),
      },
    ],
    series: [
      {},
      ...chart.series.map((series, index) => {
        const stroke = strokeOf(series, index);
        const [dash, fill] = [DASHES[index % DASHES.length], series.fill ? `${stroke}1f` : undefined];
        return { label: series.label, stroke, width: 1.75, dash, fill, points: { show: true, size: 4, fill: stroke, filter: alone }, spanGaps: false };
      }),
    ],
    hooks: { setCursor: [(plot) => read(figure, plot.cursor.idx)] },
  };
}

/** A range of whole powers of ten, two at least. */
function decades(_, low, high) {
  if (low === null || high === null || !(low > 0)) return [0.001, 1];
  const from = Math.floor(Math.log10(low));
  const to = Math.max(Math.ceil(Math.log10(high) + 0.001), from + 2);
  return [10 ** from, 10 ** to];
}

/** Points without neighbours: no line would show them. */
function alone(plot, index) {
  const values = plot.data[index];
  const is = (place) => values[place] !== null && values[place] !== undefined;
  return [...values.keys()].filter((place) => is(place) && !is(place - 1) && !is(place + 1));
}

/** Of a logarithmic axis, only the powers of ten. */
const powers = (_, ticks) => ticks.map((value) => (Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6 ? value : null));

const clock = (at) => new Date(at * 1000).toISOString().slice(11, 16);

/** The values at the cursor, or the newest. */
function read(figure, index) {
  figure.chart.series.forEach((series, place) => {
    const value = typeof index === "number" ? series.values[index] : last(series.values);
    setText(figure.readings[place].value, figure.chart.say(value));
  });
}

function draw(figure, at) {
  const { chart, canvas } = figure;
  // A logarithm has no place for nothing.
  const data = [at, ...chart.series.map((series) => (chart.log ? series.values.map((v) => (v > 0 ? v : null)) : series.values))];
  if (!figure.plot) {
    figure.plot = new uPlot(options(figure, Math.max(canvas.clientWidth, 200)), data, canvas);
    figure.readings.forEach((reading, index) => {
      const series = chart.series[index];
      reading.key.style.setProperty("--stroke", strokeOf(series, index));
      reading.key.dataset.dash = index % DASHES.length;
    });
  }
  const newest = at.at(-1) ?? 0;
  figure.plot.batch(() => {
    figure.plot.setData(data, false);
    figure.plot.setScale("x", { min: Math.min(at[0] ?? 0, newest - SPAN_MIN), max: newest });
  });
  read(figure, figure.plot.cursor.idx);
  const said = chart.series.map((series) => `${series.label} now ${chart.say(last(series.values))}, at most ${chart.say(most(series.values))}`);
  canvas.setAttribute("aria-label", `${chart.title} of ${chosen} over the last hour, ${chart.unit}: ${said.join("; ")}.`);
}

function clear() {
  for (const figure of figures.splice(0)) {
    figure.plot?.destroy();
    figure.root.remove();
  }
}

function show() {
  const points = history.get(chosen);
  const has = Boolean(points?.at.length);
  byId("charts").hidden = !has;
  byId("hour-table").hidden = !has;
  byId("hour-empty").hidden = has;
  if (!has) return;
  const charts = chartsOf(points);
  const labels = charts.map((chart) => chart.series.map((series) => series.label).join());
  if (figures.map((figure) => figure.labels).join("|") !== labels.join("|")) {
    clear();
    figures.push(...charts.map(buildFigure));
    byId("charts").append(...figures.map((figure) => figure.root));
  }
  figures.forEach((figure, index) => {
    figure.chart = charts[index];
    draw(figure, points.at);
  });
  fillTable(points);
}

function fillTable(points) {
  if (!byId("hour-table").open) return;
  const step = Math.max(1, Math.ceil(points.at.length / ROWS_MAX));
  const rows = [];
  for (let index = points.at.length - 1; index >= 0; index -= step) {
    const cells = [
      perSecond(points.received_per_second[index]),
      perSecond(points.settled_per_second[index]),
      perSecond(points.failed_per_second[index]),
      took(points.p50_seconds[index]),
      took(points.p99_seconds[index]),
      messages(points.in_flight[index]),
    ];
    const when = element("th", "", new Date(points.at[index] * 1000).toISOString().slice(11, 19));
    when.scope = "row";
    rows.push(element("tr", "", when, ...cells.map((text) => element("td", "number", text))));
  }
  byId("hour-table").querySelector("tbody").replaceChildren(...rows);
}

// ---- choosing --------------------------------------------------------------------------------------------------

function take({ pipelines }) {
  history = new Map(pipelines.map((points) => [points.name, points]));
  const names = [...history.keys()];
  if (!history.has(chosen)) chosen = names[0] ?? null;
  const holder = byId("hour-which");
  if ([...holder.querySelectorAll("input")].map((radio) => radio.value).join("\n") !== names.join("\n")) {
    holder.replaceChildren(...names.map((name) => {
      const radio = input("radio", { name: "hour", value: name, checked: name === chosen });
      radio.addEventListener("change", () => {
        chosen = name;
        clear();
        show();
      });
      return element("label", "", radio, element("span", "", name));
    }));
  }
  show();
}

byId("hour-table").addEventListener("toggle", show);
new ResizeObserver(() => {
  for (const { plot, canvas } of figures) {
    if (plot && canvas.clientWidth > 0 && plot.width !== canvas.clientWidth) plot.setSize({ width: canvas.clientWidth, height: HEIGHT });
  }
}).observe(byId("charts"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  clear();
  show();
});

every(POLL_MS, "api/pipelines/history", take);
