// The market's regions: polls /api/market.
// Everything that comes from outside is set as text, never as markup.
import { byId, count, element, every, percent, reconcile, setLine, setState, setText, span } from "./base.js";

const POLL_MS = 2000;
const REASON_MAX = 140; // characters; the rest is in the tooltip
// Class, label on narrow screens, whether it is a number.
const COLUMNS = [
  ["name", ""],
  ["state", ""],
  ["orders", "orders", true],
  ["pages", "pages", true],
  ["share", "304", true],
  ["took", "took", true],
  ["sweep", ""],
  ["lag", "lag", true],
  ["last", "ago", true],
  ["next", "next", true],
  ["restarts", "restarts", true],
];

const regionRows = new Map(); // region id → { root, cells, reason }

const isFailing = (region) => region.failures > 0 || region.state === "failing" || region.state === "restarting";

/** Failing ones first, then by orders. */
function byNeed(a, b) {
  return isFailing(b) - isFailing(a) || b.orders - a.orders || a.region_id - b.region_id;
}

function shortened(text) {
  return text.length > REASON_MAX ? `${text.slice(0, REASON_MAX - 1)}…` : text;
}

function show({ regions, tokens, trouble }, now) {
  const troubles = Object.entries(trouble);
  const hidden = regions.length === 0 && troubles.length === 0;
  byId("market").hidden = hidden;
  byId("market-link").hidden = hidden;
  setLine(byId("market-trouble"), troubles.map(([pipeline, why]) => `${pipeline}: ${why}`).join(" · "));
  setText(byId("market-total"), marketTotal(regions, tokens));
  byId("regions").hidden = regions.length === 0;
  const body = byId("regions").tBodies[0];
  reconcile(body, regionRows, regions.sort(byNeed), (region) => region.region_id, buildRegion, (row, region) => updateRegion(row, region, now));
}

function marketTotal(regions, tokens) {
  const sum = (of) => regions.reduce((total, region) => total + of(region), 0);
  const unchanged = sum((region) => region.last_sweep?.unchanged ?? 0);
  const asked = unchanged + sum((region) => region.last_sweep?.fetched ?? 0);
  const failing = regions.filter(isFailing).length;
  const parts = [
    `${count(regions.length)} ${regions.length === 1 ? "region" : "regions"}`,
    `${count(sum((region) => region.orders))} orders`,
    `${count(sum((region) => region.pages))} pages`,
  ];
  if (failing > 0) parts.splice(1, 0, `${count(failing)} failing`);
  if (asked > 0) parts.push(`${percent(unchanged / asked)} unchanged (304)`);
  if (tokens) {
    parts.push(`${count(tokens.remaining)} of ${count(tokens.limit)} tokens left`);
    const stretched = [["hubs", tokens.stretch_hubs], ["others", tokens.stretch_others]].filter(([, by]) => by > 1);
    if (stretched.length > 0) parts.push(`intervals stretched: ${stretched.map(([who, by]) => `${who} ${by.toFixed(1)}×`).join(", ")}`);
  }
  return parts.join(" · ");
}

function buildRegion() {
  const root = element("tr");
  root.setAttribute("role", "row");
  const cells = {};
  for (const [name, label, isNumber] of COLUMNS) {
    cells[name] = cell(label, isNumber ? `number ${name}` : name);
    root.append(cells[name]);
  }
  const [state, reason] = [element("span"), element("span", "reason")];
  cells.state.append(state, reason);
  return { root, cells, state, reason };
}

function cell(label, className) {
  const made = element("td", className);
  made.setAttribute("role", "cell"); // narrow screens lay rows out as grids, which would hide that it is a table
  if (label) made.dataset.label = label;
  return made;
}

function updateRegion(row, region, now) {
  const { cells } = row;
  const sweep = region.last_sweep;
  const failing = isFailing(region);
  const due = region.next_due ? (Date.parse(region.next_due) - now) / 1000 : NaN;
  const quality = sweep?.quality ?? "–";
  setText(cells.name, region.name ?? `region ${region.region_id}`);
  cells.name.title = `region ${region.region_id}, ${region.pipeline}`;
  setState(row.state, region.state, failing ? "badge bad" : "badge");
  row.state.title = `since ${region.since}${region.failures > 0 ? `, ${region.failures} failures in a row` : ""}`;
  setText(row.reason, shortened(region.reason ?? ""));
  row.reason.title = region.reason ?? "";
  row.root.classList.toggle("failing", failing);
  setText(cells.orders, count(region.orders));
  cells.orders.title = sweep ? `last sweep: ${count(sweep.new)} new, ${count(sweep.changed)} changed, ${count(sweep.closed)} closed` : "";
  setText(cells.pages, count(region.pages));
  cells.pages.title = sweep ? `last sweep: ${sweep.fetched} fetched, ${sweep.unchanged} unchanged, ${sweep.fresh} not expired yet` : "";
  setText(cells.share, sweep ? percent(sweep.share_unchanged) : "–");
  setText(cells.took, span(sweep?.seconds));
  setText(cells.sweep, quality);
  cells.sweep.title = sweep?.reason ?? "";
  cells.sweep.classList.toggle("bad", quality === "incomplete");
  setText(cells.lag, span(sweep?.lag_seconds));
  setText(cells.last, sweep ? span((now - Date.parse(sweep.ended_at)) / 1000) : "–");
  cells.last.title = sweep?.ended_at ?? "";
  setText(cells.next, due <= 0 ? "now" : span(due));
  cells.next.title = region.next_due ?? "";
  setText(cells.restarts, count(region.restarts));
  cells.restarts.classList.toggle("none", region.restarts === 0); // narrow screens leave it out
}

every(POLL_MS, "api/market", show);
