// The pipelines and the kills: polls /api/pipelines each second, and follows the killfeed. market.js has the market.
// Everything that comes from outside is set as text, never as markup.
"use strict";

const KILLS_MAX = 100;
const POLL_MS = 1000;
const RATE_SAMPLES = 4; // a rate is taken over the last few seconds

const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setState(node, text, state) {
  setText(node, text);
  node.className = state;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const count = (n) => (n >= 1e7 ? short.format(n) : whole.format(n));
const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : count(n));
const percent = (share) => `${Math.round(share * 100)} %`;

// ---- pipelines -------------------------------------------------------------------------------------------------

const pipelines = new Map(); // name → { root, shape, boxes, samples, … }

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch("api/pipelines", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      show((await answer.json()).pipelines);
    } catch {
      setState(byId("worker"), "the worker does not answer", "bad");
    }
  }
  setTimeout(poll, POLL_MS);
}

function show(all) {
  const at = performance.now() / 1000;
  const holder = byId("pipelines");
  for (const [name, view] of pipelines) {
    const now = all.find((pipeline) => pipeline.name === name);
    if (!now || JSON.stringify(now.topology) !== view.shape) {
      view.root.remove();
      pipelines.delete(name);
    }
  }
  if (all.length === 0) {
    holder.replaceChildren(element("p", "quiet", "No pipeline is running."));
  } else if (pipelines.size === 0) {
    holder.replaceChildren();
  }
  for (const pipeline of all) {
    if (!pipelines.has(pipeline.name)) {
      const view = build(pipeline);
      pipelines.set(pipeline.name, view);
      holder.append(view.root);
    }
    update(pipelines.get(pipeline.name), pipeline, at);
  }
  const off = all.filter((pipeline) => pipeline.state !== "running").length;
  setState(byId("worker"), off === 0 ? "running" : `${off} of ${all.length} not running`, off === 0 ? "good" : "bad");
}

/** Batchers in the order in which a message passes them. */
function chained(batchers) {
  const follow = (batcher) => [batcher, ...batchers.filter((next) => next.after === batcher.name).flatMap(follow)];
  return batchers.filter((batcher) => !batcher.after).flatMap(follow);
}

function duration(seconds) {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds} s`;
}

function build(pipeline) {
  const { source, processors, batchers } = pipeline.topology;
  const root = element("article", "pipeline");
  const heading = element("h3", "", pipeline.name);
  heading.id = `pipeline-${pipelines.size}`;
  root.setAttribute("aria-labelledby", heading.id);
  const title = element("div", "title");
  const state = element("span");
  const settled = element("span", "quiet");
  title.append(heading, state, settled);
  const alert = element("p", "alert");
  const flow = element("ol", "flow");
  const boxes = new Map();
  const add = (kind, name, what) => {
    const box = buildBox(name, what, kind !== "producer");
    boxes.set(`${kind} ${name}`, box);
    const item = element("li");
    item.append(box.root);
    flow.append(item);
  };
  add("producer", source.name, "source");
  for (const processor of processors) add("processor", processor.name, processor.stages.join(", ") || "no stage");
  for (const b of chained(batchers)) {
    const sink = b.sink ? `→ ${b.sink}` : "batcher";
    const batch = b.batch_size === 1 ? "one by one" : `${whole.format(b.batch_size)} or ${duration(b.batch_timeout_seconds)}`;
    add("batcher", b.name, `${sink} · ${batch}${b.eager && b.batch_size > 1 ? ", eager" : ""}`);
  }
  const ledger = element("dl", "ledger");
  root.append(title, alert, flow, ledger);
  const shape = JSON.stringify(pipeline.topology);
  return { root, state, settled, alert, boxes, ledger, entries: new Map(), samples: [], shape };
}

function buildBox(name, what, hasQueue) {
  const root = element("div", "box");
  const perSecond = element("span", "", "–");
  const line = element("p", "rate");
  line.append(perSecond, element("small", "", " msg/s"));
  root.append(element("h4", "", name), element("p", "what", what), line);
  const queue = hasQueue ? buildGauge(root, "Queue", ["fill"]) : null;
  const time = buildGauge(root, "Time", ["busy", "blocked", "starved"]);
  return { root, perSecond, queue, time };
}

function buildGauge(box, label, parts) {
  const root = element("div", "gauge");
  const text = element("span", "", "–");
  const track = element("div", "track");
  track.setAttribute("aria-hidden", "true"); // the text beside it says the same
  const bars = parts.map((part) => track.appendChild(element("span", part)));
  root.append(`${label} `, text, track);
  box.append(root);
  return { text, bars };
}

function update(view, pipeline, at) {
  view.samples.push({ at, groups: new Map(pipeline.groups.map((g) => [`${g.kind} ${g.name}`, g])), settled: pipeline.ledger.settled_total });
  if (view.samples.length > RATE_SAMPLES) view.samples.shift();
  const first = view.samples[0];
  const seconds = at - first.at;
  const running = pipeline.state === "running";
  setState(view.state, pipeline.state, running ? "good" : "bad");
  if (seconds > 0) setText(view.settled, `${rate((pipeline.ledger.settled_total - first.settled) / seconds)} settled/s`);
  const alerts = [];
  const feed = pipeline.source;
  if (feed && feed.state !== "serving") {
    const why = feed.reason ? ` (${feed.reason})` : "";
    alerts.push(feed.state === "suspect" ? `Feed ${feed.primary} is suspect${why}.` : `Feed ${feed.fallback} serves in the place of ${feed.primary}${why}.`);
  }
  if (pipeline.source_failure) alerts.push(`The source gave up: ${pipeline.source_failure}.`);
  if (pipeline.ledger.imbalance !== 0) alerts.push(`The ledger is off by ${pipeline.ledger.imbalance}.`);
  setText(view.alert, alerts.join(" "));
  view.alert.hidden = alerts.length === 0;
  for (const group of pipeline.groups) {
    const key = `${group.kind} ${group.name}`;
    const box = view.boxes.get(key);
    if (box) updateBox(box, group, first.groups.get(key), seconds);
  }
  updateLedger(view, pipeline);
}

function updateBox(box, group, before, seconds) {
  if (box.queue) {
    const fill = group.queue_capacity > 0 ? Math.min(group.queue_depth / group.queue_capacity, 1) : 0;
    setText(box.queue.text, `${count(group.queue_depth)} of ${count(group.queue_capacity)}`);
    box.queue.bars[0].style.width = `${fill * 100}%`;
    box.root.classList.toggle("full", fill > 0.8);
  }
  if (!before || seconds <= 0) return;
  setText(box.perSecond, rate(Math.max(group.messages - before.messages, 0) / seconds));
  const share = (name) => Math.min(Math.max((group[name] - before[name]) / (seconds * Math.max(group.workers, 1)), 0), 1);
  const shares = [share("busy_seconds"), share("blocked_seconds"), share("starved_seconds")];
  setText(box.time.text, `${percent(shares[0])} busy, ${percent(shares[1])} blocked`);
  box.time.bars.forEach((bar, index) => { bar.style.width = `${shares[index] * 100}%`; });
}

function updateLedger(view, pipeline) {
  const { ledger, limits } = pipeline;
  const letters = pipeline.dead_letters;
  const waiting = (letters.open ?? 0) + (letters.retrying ?? 0);
  const rows = [
    ["Received", count(ledger.received)],
    ["Successful", count(ledger.settled.successful)],
    ["Filtered", count(ledger.settled.filtered)],
    ["Failed", count(ledger.settled.failed), ledger.settled.failed > 0],
    ["Dead-lettered", count(ledger.settled.dead_lettered)],
    ["Abandoned", count(ledger.settled.abandoned), ledger.settled.abandoned > 0],
    ["In flight", `${count(ledger.in_flight)} of ${count(limits.in_flight_max)}`],
    ["Imbalance", String(ledger.imbalance), ledger.imbalance !== 0],
    ["Dead letters kept", count(waiting), waiting > 0],
    ["Source restarts", count(pipeline.source_restarts)],
  ];
  if (pipeline.source) {
    rows.push(["Feed", `${pipeline.source.serving}, ${pipeline.source.state}`, pipeline.source.state !== "serving"]);
    rows.push(["Held back", count(pipeline.source.held)]);
    rows.push(["Only on the fallback", count(pipeline.source.gap_messages)]);
  }
  if (limits.rate_limit) rows.push(["Rate limit", `${count(limits.rate_limit.messages)} / ${duration(limits.rate_limit.per_seconds)}`]);
  for (const [name, text, bad] of rows) {
    if (!view.entries.has(name)) {
      const pair = element("div");
      const value = element("dd");
      pair.append(element("dt", "", name), value);
      view.ledger.append(pair);
      view.entries.set(name, value);
    }
    setState(view.entries.get(name), text, bad ? "bad" : "");
  }
}

// ---- kills -----------------------------------------------------------------------------------------------------

let lastId = null;
let held = false;
let fresh = []; // newest last; what has come since the table was last drawn

function take(event) {
  fresh.push(event);
  if (fresh.length > KILLS_MAX) fresh.shift();
}

function draw() {
  if (held || fresh.length === 0) return;
  const body = byId("kills").tBodies[0];
  body.prepend(...fresh.reverse().map(row));
  fresh = [];
  while (body.rows.length > KILLS_MAX) body.lastElementChild.remove();
  byId("no-kills").hidden = true;
}

function cell(text, label, className) {
  const made = element("td", className, text);
  made.setAttribute("role", "cell"); // narrow screens lay rows out as grids, which would hide that it is a table
  if (label) made.dataset.label = label;
  return made;
}

function row(event) {
  const kill = event.killmail ?? {};
  const victim = kill.victim ?? {};
  const made = element("tr");
  made.setAttribute("role", "row");
  const time = element("time", "", String(kill.killmail_time ?? "").slice(11, 19) || "–");
  time.dateTime = String(kill.killmail_time ?? "");
  time.title = time.dateTime;
  const when = cell("", "", "time");
  when.append(time);
  const who = victim.character_id ?? victim.corporation_id ?? victim.faction_id;
  const kind = victim.character_id ? "pilot" : victim.corporation_id ? "corporation" : "faction";
  const value = kill.zkb?.total_value;
  const worth = cell(typeof value === "number" ? short.format(value) : "–", "", "number value");
  if (typeof value === "number") worth.title = `${whole.format(value)} ISK`;
  const link = cell("", "", "kill");
  if (Number.isSafeInteger(kill.killmail_id)) {
    const anchor = element("a", "", String(kill.killmail_id));
    anchor.href = `https://zkillboard.com/kill/${kill.killmail_id}/`;
    anchor.rel = "noreferrer noopener";
    anchor.target = "_blank";
    anchor.title = "at zKillboard";
    link.append(anchor);
  }
  made.append(
    when,
    cell(String(event.system_id ?? "–"), "system", "system"),
    cell(String(victim.ship_type_id ?? "–"), "ship", "ship"),
    cell(who ? `${kind} ${who}` : "–", "", "victim"),
    cell(String(kill.attackers?.length ?? "–"), "attackers", "number attackers"),
    worth,
    link,
  );
  return made;
}

async function startKills() {
  try {
    const answer = await fetch(`api/kills/recent?limit=${KILLS_MAX}`, { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const { events } = await answer.json();
    events.filter((event) => lastId === null || event.event_id > lastId).forEach(take);
    lastId = events.at(-1)?.event_id ?? lastId;
    draw();
    follow();
  } catch {
    setText(byId("feed"), "no answer, trying again");
    setTimeout(startKills, 5000);
  }
}

function follow() {
  const source = new EventSource(`api/killfeed/stream?last_event_id=${lastId ?? 0}`);
  source.addEventListener("open", () => setText(byId("feed"), held ? "held" : "live"));
  source.addEventListener("killmail", (message) => {
    const event = JSON.parse(message.data);
    lastId = event.event_id;
    take(event);
  });
  source.addEventListener("gap", () => { lastId = null; });
  source.addEventListener("error", () => {
    setText(byId("feed"), "connection lost, trying again");
    if (source.readyState === EventSource.CLOSED) setTimeout(startKills, 5000); // refused: the browser gives up, we do not
  });
}

byId("hold").addEventListener("click", (click) => {
  held = !held;
  click.currentTarget.setAttribute("aria-pressed", String(held));
  setText(byId("feed"), held ? "held" : "live");
  draw();
});

poll();
startKills();
setInterval(draw, 250);
