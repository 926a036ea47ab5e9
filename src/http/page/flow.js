// The pipelines as pictures: boxes, and the pipes between them with what flows and what waits. Polls /api/pipelines each second.
import { byId, compact, count, element, every, exact, percent, plural, rate, setLine, setState, setText, span, took } from "./base.js";

const POLL_MS = 1000;
const EXPLAIN_MS = 2000;
const RATE_SAMPLES = 5; // a rate is taken over the last few seconds
const BLOCKED = 0.2; // from this share of its time on, a group counts as blocked
const BUSY = 0.8; // … and as hardly able to do more
const FULL = 0.8; // of a queue
const CHANGES_MAX = 4; // of a reload that are shown
const OUTCOMES = {
  working: "changes are under way",
  done: "changes are followed",
  unchanged: "nothing has changed",
  refused: "refused, nothing was changed",
  failed: "a pipeline could not be started again",
};

const views = new Map(); // name → { root, shape, boxes, samples, … }
const explained = new Map(); // name → what limits it: { sentence, subject, … }
let made = 0;

// ---- building --------------------------------------------------------------------------------------------------

/** Batchers after one another, from each that processors feed. */
function chains(batchers) {
  const follow = (batcher) => [batcher, ...batchers.filter((next) => next.after === batcher.name).flatMap(follow)];
  return batchers.filter((batcher) => !batcher.after).map(follow);
}

const duration = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds} s`);

function build(pipeline) {
  const { source, processors, batchers } = pipeline.topology;
  const heading = element("h3", "", pipeline.name);
  heading.id = `pipeline-${++made}`;
  const view = {
    root: element("article", "pipeline"),
    state: element("span", "badge"),
    figures: new Map(),
    sentence: element("p", "sentence"),
    alert: element("p", "alert"),
    boxes: new Map(),
    ledger: element("dl", "ledger"),
    entries: new Map(),
    samples: [],
    shape: JSON.stringify(pipeline.topology),
  };
  view.root.setAttribute("aria-labelledby", heading.id);
  const figures = element("dl", "figures");
  for (const name of ["settled", "p50", "p99", "in flight"]) {
    const value = element("dd", "", "–");
    figures.append(element("div", "", element("dt", "", name), value));
    view.figures.set(name, value);
  }
  view.sentence.hidden = true;
  const flow = element("ol", "flow");
  const add = (list, kind, name, what, parts = []) => {
    const box = buildBox(name, what, kind !== "producer", parts);
    view.boxes.set(`${kind} ${name}`, box);
    list.append(element("li", "step", ...(box.pipe ? [box.pipe.root] : []), box.root));
    return box;
  };
  const trunk = [add(flow, "producer", source.name, "source")];
  for (const p of processors) trunk.push(add(flow, "processor", p.name, p.stages.join(" · ") || "no stage", p.stages));
  trunk.forEach((box, index) => { box.next = trunk[index + 1]; });
  const ends = chains(batchers);
  const fork = ends.length > 1 ? element("ul", "fork") : null;
  if (fork) flow.append(element("li", "forked", fork));
  const roots = ends.map((chain) => {
    const list = fork ? element("ol", "flow") : flow;
    const boxes = chain.map((b) => add(list, "batcher", b.name, sinkOf(b)));
    boxes.forEach((box, index) => { box.next = boxes[index + 1]; });
    fork?.append(element("li", "", list));
    return boxes[0];
  });
  trunk.at(-1).nexts = roots;
  view.root.classList.toggle("long", view.boxes.size > 4);
  view.root.append(element("div", "title", heading, view.state, figures), view.sentence, view.alert, flow, view.ledger);
  return view;
}

function sinkOf(batcher) {
  const batch = batcher.batch_size === 1 ? "one by one" : `${exact(batcher.batch_size)} or ${duration(batcher.batch_timeout_seconds)}`;
  return `→ ${batcher.sink ?? "sink"} · ${batch}${batcher.eager && batcher.batch_size > 1 ? ", eager" : ""}`;
}

function buildBox(name, what, hasQueue, parts) {
  const root = element("div", "box");
  const crew = element("span", "crew");
  const track = element("div", "track");
  track.setAttribute("aria-hidden", "true"); // the text beside it says the same
  const bars = ["busy", "blocked", "starved"].map((part) => track.appendChild(element("span", part)));
  const text = element("p", "time", "–");
  const out = element("p", "out");
  const limit = element("p", "limit", "sets the pace");
  limit.hidden = true;
  root.append(element("div", "name", element("h4", "", name), crew), element("p", "what", what), track, text, out, limit);
  if (!hasQueue) root.classList.add("first");
  return { root, name, parts, limit, crew, workers: 0, bars, text, out, hasQueue, pipe: hasQueue ? buildPipe() : null };
}

/** What leads into a box: how much flows, and the queue in front of it. */
function buildPipe() {
  const root = element("div", "pipe");
  const [flowing, waiting] = [element("span", "flowing", "–"), element("span", "waiting")];
  const tube = element("div", "tube", element("span", "stream"), element("span", "queue"));
  tube.setAttribute("aria-hidden", "true");
  root.append(flowing, tube, waiting);
  return { root, flowing, waiting, queue: tube.lastChild };
}

// ---- showing ---------------------------------------------------------------------------------------------------

function show({ pipelines: all, reload }) {
  const at = performance.now() / 1000;
  const holder = byId("pipelines");
  for (const [name, view] of views) {
    const now = all.find((pipeline) => pipeline.name === name);
    if (!now || JSON.stringify(now.topology) !== view.shape) {
      view.root.remove();
      views.delete(name);
    }
  }
  if (all.length === 0) {
    holder.replaceChildren(element("p", "quiet", "No pipeline is running."));
  } else if (views.size === 0) {
    holder.replaceChildren();
  }
  all.forEach((pipeline, index) => {
    if (!views.has(pipeline.name)) views.set(pipeline.name, build(pipeline));
    const view = views.get(pipeline.name);
    if (holder.children[index] !== view.root) holder.insertBefore(view.root, holder.children[index] ?? null);
    update(view, pipeline, at);
  });
  const off = all.filter((pipeline) => pipeline.state !== "running").length;
  setState(byId("worker"), off === 0 ? "running" : `${off} of ${all.length} not running`, off === 0 ? "badge good" : "badge bad");
  setLine(byId("reload"), said(reload));
  byId("reload").className = ["refused", "failed"].includes(reload?.outcome) ? "alert" : "note";
}

/** What the last reload of the pipeline files did. */
function said(reload) {
  if (!reload) return "";
  const changed = ({ pipeline, setting, from, to, how }) => {
    const what = [setting, from && to ? `${from} → ${to}` : (to ?? from)].filter(Boolean).join(" ");
    return `${pipeline}: ${what} (${String(how).replaceAll("_", " ")})`;
  };
  const what = [...reload.problems, ...reload.changes.map(changed)];
  const shown = what.slice(0, CHANGES_MAX).join("; ");
  const more = what.length > CHANGES_MAX ? `; ${what.length - CHANGES_MAX} more` : "";
  const outcome = `Files read at ${reload.at.slice(11, 19)} UTC: ${OUTCOMES[reload.outcome] ?? reload.outcome}`;
  return `${outcome}${shown ? `. ${shown}` : ""}${more}`;
}

function update(view, pipeline, at) {
  const groups = new Map(pipeline.groups.map((group) => [`${group.kind} ${group.name}`, group]));
  const sample = { at, groups, settled: pipeline.ledger.settled_total };
  // One that was built again counts from nothing.
  if (view.samples.length > 0 && view.samples.at(-1).settled > sample.settled) view.samples = [];
  view.samples.push(sample);
  if (view.samples.length > RATE_SAMPLES) view.samples.shift();
  const first = view.samples[0];
  const seconds = at - first.at;
  setState(view.state, pipeline.state, pipeline.state === "running" ? "badge good" : "badge bad");
  const { ledger, limits, latency } = pipeline;
  if (seconds > 0) setText(view.figures.get("settled"), `${rate((ledger.settled_total - first.settled) / seconds)}/s`);
  setText(view.figures.get("p50"), took(latency?.p50_seconds));
  setText(view.figures.get("p99"), took(latency?.p99_seconds));
  setText(view.figures.get("in flight"), `${count(ledger.in_flight)} of ${count(limits.in_flight_max)}`);
  const alerts = alertsOf(pipeline);
  setLine(view.alert, alerts.join(" "));
  showSentence(view, explained.get(pipeline.name)?.sentence ?? "");
  for (const [key, box] of view.boxes) {
    const group = groups.get(key);
    if (group) measure(box, group, first.groups.get(key), seconds);
  }
  const said = explained.get(pipeline.name);
  for (const box of view.boxes.values()) {
    colour(box);
    const isMeant = box.name === said?.subject || box.parts.includes(said?.subject);
    box.limit.hidden = !isMeant || said.verdict === "idle";
    if (!box.hasQueue) holdBack(box, said);
  }
  updateLedger(view, pipeline);
}

/** What limits the pipeline; names stand between backticks. */
function showSentence(view, sentence) {
  if (view.said === sentence) return;
  view.said = sentence;
  view.sentence.hidden = !sentence;
  view.sentence.replaceChildren(...sentence.split("`").map((part, index) => (index % 2 ? element("code", "", part) : part)));
}

function alertsOf(pipeline) {
  const alerts = [];
  const feed = pipeline.source;
  if (feed && feed.state !== "serving") {
    const why = feed.reason ? ` (${feed.reason})` : "";
    const instead = `Feed ${feed.fallback} serves in the place of ${feed.primary}${why}.`;
    alerts.push(feed.state === "suspect" ? `Feed ${feed.primary} is suspect${why}.` : instead);
  }
  const breaker = pipeline.breaker;
  if (breaker?.open) {
    const until = `until ${breaker.successes_needed} in a row succeed (now ${breaker.successes})`;
    alerts.push(`The breaker has tripped, ${span(breaker.open_seconds)} ago: the source is down to a trickle of probes ${until}.`);
  } else if (pipeline.failures?.alert) {
    alerts.push(`${(pipeline.failures.ratio * 100).toFixed(1)} % of its messages failed in the last five minutes.`);
  }
  if (pipeline.source_failure) alerts.push(`The source gave up: ${pipeline.source_failure}.`);
  if (pipeline.ledger.imbalance !== 0) alerts.push(`The ledger is off by ${pipeline.ledger.imbalance}.`);
  return alerts;
}

/** What a group did in the last seconds. */
function measure(box, group, before, seconds) {
  if (box.workers !== group.workers) {
    box.workers = group.workers;
    setText(box.crew, `×${group.workers}`);
    box.crew.title = plural(group.workers, "worker");
  }
  box.fill = group.queue_capacity > 0 ? Math.min(group.queue_depth / group.queue_capacity, 1) : 0;
  if (box.pipe) {
    setText(box.pipe.waiting, `${compact(group.queue_depth)} / ${compact(group.queue_capacity)}`);
    box.pipe.waiting.title = `${exact(group.queue_depth)} of ${exact(group.queue_capacity)} wait in the queue`;
    box.pipe.queue.style.setProperty("--fill", box.fill > 0 ? Math.max(box.fill, 0.04) : 0);
    box.pipe.root.classList.toggle("full", box.fill >= FULL);
  }
  if (!before || seconds <= 0) return;
  box.rate = Math.max(group.messages - before.messages, 0) / seconds;
  const share = (name) => Math.min(Math.max((group[name] - before[name]) / (seconds * Math.max(group.workers, 1)), 0), 1);
  [box.busy, box.blocked, box.starved] = ["busy_seconds", "blocked_seconds", "starved_seconds"].map(share);
  [box.busy, box.blocked, box.starved].forEach((part, index) => { box.bars[index].style.width = `${part * 100}%`; });
  const failed = Math.max(group.failed - before.failed, 0) / seconds;
  setText(box.out, failed > 0 ? `${rate(failed)}/s fail here` : "");
  if (box.pipe) {
    setText(box.pipe.flowing, `${rate(box.rate)}/s`);
    box.pipe.root.dataset.speed = box.rate <= 0 ? 0 : Math.min(1 + Math.floor(Math.log10(Math.max(box.rate, 1))), 4);
  } else {
    setText(box.out, `${rate(box.rate)}/s received`);
  }
}

/** Who waits for whom: what is blocked, and the first box after it that is not. */
function colour(box) {
  if (box.busy === undefined) return;
  const isBlocked = (one) => one.blocked >= BLOCKED;
  let culprit = null;
  if (isBlocked(box)) {
    const onward = (one) => (one.next ? [one.next] : one.nexts ?? []);
    let candidates = onward(box);
    while (candidates.length > 0) {
      culprit = candidates.reduce((worst, one) => ((one.fill ?? 0) > (worst.fill ?? 0) ? one : worst));
      candidates = isBlocked(culprit) ? onward(culprit) : [];
    }
  }
  box.root.classList.toggle("is-blocked", culprit !== null);
  box.root.classList.toggle("is-busy", culprit === null && box.busy >= BUSY);
  setText(box.text, culprit ? `${percent(box.blocked)} blocked by ${culprit.name}` : `${percent(box.busy)} busy`);
  box.text.title = `busy ${percent(box.busy)}, blocked ${percent(box.blocked)}, waiting for messages ${percent(box.starved)}`;
}

/** A source is also held back by what was set: no group is to blame then. */
function holdBack(box, said) {
  const limited = said?.groups.find((group) => group.kind === "producer")?.limited ?? 0;
  if (limited >= BLOCKED) setText(box.text, `${percent(limited)} held by the rate limit`);
  if (said?.verdict !== "in_flight") return;
  box.root.classList.remove("is-blocked");
  setText(box.text, `${percent(box.blocked ?? 0)} held by in_flight_max`);
}

/** What the pipeline has done since its start; what is nothing, and should be, is left out. */
function updateLedger(view, pipeline) {
  const { ledger, limits, source: feed } = pipeline;
  const letters = pipeline.dead_letters;
  const waiting = (letters.open ?? 0) + (letters.retrying ?? 0);
  const { successful, filtered, failed, dead_lettered, abandoned } = ledger.settled;
  const rows = [
    ["Received", ledger.received],
    ["Successful", successful],
    ["Filtered", filtered],
    ["Failed", failed, failed > 0, failed > 0],
    ["Dead-lettered", dead_lettered, dead_lettered > 0],
    ["Abandoned", abandoned, abandoned > 0, abandoned > 0],
    ["Imbalance", ledger.imbalance, true, ledger.imbalance !== 0],
    ["Dead letters kept", waiting, waiting > 0, waiting > 0],
    ["Source restarts", pipeline.source_restarts, pipeline.source_restarts > 0],
    ["Feed", feed ? `${feed.serving}, ${feed.state}` : "", Boolean(feed), feed?.state !== "serving"],
    ["Held back", feed?.held ?? 0, feed?.held > 0],
    ["Only on the fallback", feed?.gap_messages ?? 0, feed?.gap_messages > 0],
    ["Rate limit", limits.rate_limit ? `${count(limits.rate_limit.messages)} / ${duration(limits.rate_limit.per_seconds)}` : "", Boolean(limits.rate_limit)],
  ];
  for (const [name, value, shown = true, bad = false] of rows) {
    if (!view.entries.has(name)) {
      const text = element("dd");
      const root = element("div", "", element("dt", "", name), text);
      view.ledger.append(root);
      view.entries.set(name, { root, text });
    }
    const entry = view.entries.get(name);
    entry.root.hidden = !shown;
    setState(entry.text, typeof value === "number" ? exact(value) : value, bad ? "bad" : "");
  }
}

every(POLL_MS, "api/pipelines", show, () => setState(byId("worker"), "the worker does not answer", "badge bad"));

// What limits each, in a sentence: not there in every worker.
every(EXPLAIN_MS, "api/explain", ({ pipelines }) => {
  explained.clear();
  for (const one of pipelines) explained.set(one.pipeline, one);
});
