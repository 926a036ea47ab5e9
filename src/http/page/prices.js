// The price cache job and its buttons: polls /api/cache/prices/status.
import { ask, button, byId, change, count, element, every, percent, reconcile, setLine, setState, setText, span } from "./base.js";

const POLL_MS = 2000;
// What can be asked of the job, and in which states.
const ACTIONS = [
  ["start", "Start", ["idle", "completed", "error"]],
  ["pause", "Pause", ["initializing", "processing"]],
  ["resume", "Resume", ["paused"]],
  ["stop", "Stop", ["initializing", "processing", "paused"]],
  ["reset", "Reset", ["paused", "completed", "error"]],
];
const KINDS = { processing: "good", initializing: "good", completed: "good", error: "bad" };

const markets = new Map(); // market id → { root, name, bar, text }
const buttons = new Map(); // action → button

for (const [action, label] of ACTIONS) {
  const made = button(label, "", () => (action === "reset" ? askReset() : act(action).catch((refusal) => setText(byId("prices-said"), refusal.message))));
  buttons.set(action, made);
  byId("prices-actions").append(made);
}

async function act(action) {
  setText(byId("prices-said"), "");
  show(await change("POST", `api/cache/prices/${action}`));
  setText(byId("prices-said"), { start: "Started.", pause: "Paused.", resume: "It goes on.", stop: "Stopped; what it has is kept.", reset: "Reset." }[action]);
}

function askReset() {
  ask("Reset the price cache job?", "Reset", (fields) => {
    fields.append(element("p", "", "Its progress is forgotten: the next start begins with the first product again. Prices that were fetched stay."));
    return () => null;
  }, () => act("reset"));
}

function show(job) {
  byId("prices").hidden = false;
  byId("prices-link").hidden = false;
  setState(byId("prices-state"), job.state, `badge ${KINDS[job.state] ?? ""}`);
  setText(byId("prices-total"), total(job));
  setLine(byId("prices-reason"), job.reason ?? "");
  for (const [action, , states] of ACTIONS) {
    const one = buttons.get(action);
    const legal = states.includes(job.state);
    if (!legal && document.activeElement === one) one.parentElement.querySelector("button:not([hidden])")?.focus();
    one.hidden = !legal;
  }
  reconcile(byId("price-markets"), markets, job.markets, (market) => market.market_id, build, (row, market) => update(row, market, job));
}

function total({ analytics, overall_progress, total_eta_minutes, state }) {
  if (analytics.total === 0) return state === "idle" ? "Fetches a price for every product and keeps it." : "";
  const parts = [`${percent(overall_progress)} of ${count(analytics.total)} products`];
  if (analytics.completed > 0) parts.push(`${percent(analytics.success_rate)} priced`);
  if (analytics.average_milliseconds !== null) parts.push(`${analytics.average_milliseconds.toFixed(2)} ms each`);
  if (state === "processing" && total_eta_minutes !== null) parts.push(left(total_eta_minutes));
  return parts.join(" · ");
}

const left = (minutes) => (typeof minutes === "number" ? `${span(minutes * 60)} left` : "");

function build(market) {
  const root = element("li");
  const name = element("span", "name", `Market ${market.market_id}`);
  const text = element("span", "quiet");
  const bar = element("progress");
  bar.setAttribute("aria-label", `Market ${market.market_id}`);
  root.append(name, bar, text);
  return { root, bar, text };
}

function update(row, market, job) {
  row.root.classList.toggle("current", job.current_market === market.market_id);
  row.bar.max = Math.max(market.total, 1);
  row.bar.value = market.completed;
  const parts = [`${count(market.completed)} of ${count(market.total)}`];
  if (market.failed > 0) parts.push(`${count(market.failed)} failed`);
  if (job.state === "processing" && market.completed < market.total) parts.push(left(market.eta_minutes));
  setText(row.text, parts.filter(Boolean).join(" · "));
}

every(POLL_MS, "api/cache/prices/status", show);
