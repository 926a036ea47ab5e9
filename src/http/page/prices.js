// The price cache job: polls /api/cache/prices/status. Shares the functions of page.js and market.js, which come first.
// Everything that comes from outside is set as text, never as markup.
"use strict";

const PRICES_POLL_MS = 2000;

const priceMarkets = new Map(); // market id → { root, name, bar, text }

async function pollPrices() {
  if (!document.hidden) {
    try {
      const answer = await fetch("api/cache/prices/status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      showPrices(await answer.json());
    } catch {
      // The header says that the worker does not answer; the last figures stay.
    }
  }
  setTimeout(pollPrices, PRICES_POLL_MS);
}

const etaOf = (minutes) => (typeof minutes === "number" ? `${span(minutes * 60)} left` : "");

function showPrices(job) {
  byId("prices").hidden = job.state === "idle" && job.markets.length === 0;
  const kind = { processing: "good", completed: "good", error: "bad" }[job.state] ?? "";
  setState(byId("prices-state"), job.state, kind);
  setText(byId("prices-total"), pricesTotal(job));
  setText(byId("prices-reason"), job.reason ?? "");
  byId("prices-reason").hidden = !job.reason;
  const there = new Set(job.markets.map((market) => market.market_id));
  for (const [id, row] of priceMarkets) {
    if (!there.has(id)) {
      row.root.remove();
      priceMarkets.delete(id);
    }
  }
  for (const market of job.markets) {
    if (!priceMarkets.has(market.market_id)) {
      const row = buildPriceMarket();
      priceMarkets.set(market.market_id, row);
      byId("price-markets").append(row.root);
    }
    updatePriceMarket(priceMarkets.get(market.market_id), market, job);
  }
}

function pricesTotal({ analytics, overall_progress, total_eta_minutes, state }) {
  if (analytics.total === 0) return "";
  const parts = [`${percent(overall_progress)} of ${count(analytics.total)} products`];
  if (analytics.completed > 0) parts.push(`${percent(analytics.success_rate)} priced`);
  if (analytics.average_milliseconds !== null) parts.push(`${analytics.average_milliseconds.toFixed(2)} ms each`);
  if (state === "processing" && total_eta_minutes !== null) parts.push(etaOf(total_eta_minutes));
  return parts.join(" · ");
}

function buildPriceMarket() {
  const root = element("li");
  const [name, text, track] = [element("span", "name"), element("span", "quiet"), element("div", "track")];
  track.setAttribute("aria-hidden", "true"); // the text beside it says the same
  const bar = track.appendChild(element("span", "fill"));
  root.append(name, track, text);
  return { root, name, bar, text };
}

function updatePriceMarket(row, market, job) {
  const isCurrent = job.current_market === market.market_id;
  setText(row.name, `Market ${market.market_id}`);
  row.root.classList.toggle("current", isCurrent);
  row.bar.style.width = `${market.total > 0 ? (market.completed / market.total) * 100 : 0}%`;
  const parts = [`${count(market.completed)} of ${count(market.total)}`];
  if (market.failed > 0) parts.push(`${count(market.failed)} failed`);
  if (job.state === "processing" && market.completed < market.total) parts.push(etaOf(market.eta_minutes));
  setText(row.text, parts.filter(Boolean).join(" · "));
}

pollPrices();
