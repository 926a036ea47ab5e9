// The newest kills: those there are, then those that come, over server-sent events.
// Everything that comes from outside is set as text, never as markup.
import { byId, compact, element, exact, read, setText } from "./base.js";

const KILLS_MAX = 100;
const RETRY_MS = 5000;
const DRAW_MS = 250;

let lastId = null;
let held = false;
let fresh = []; // newest last; what has come since the table was last drawn

function take(event) {
  fresh.push(event);
  if (fresh.length > KILLS_MAX) fresh.shift();
}

function draw() {
  if (held || document.hidden) return;
  if (fresh.length === 0) return askForNames();
  const body = byId("kills").tBodies[0];
  const isFirst = body.rows.length === 0;
  body.prepend(...fresh.reverse().map((event) => row(event, isFirst ? "" : "new")));
  fresh = [];
  while (body.rows.length > KILLS_MAX) body.lastElementChild.remove();
  byId("no-kills").hidden = true;
  askForNames();
}

function cell(label, className, ...children) {
  const made = element("td", className, ...children);
  made.setAttribute("role", "cell"); // narrow screens lay rows out as grids, which would hide that it is a table
  if (label) made.dataset.label = label;
  return made;
}

// ---- names -----------------------------------------------------------------------------------------------------

const names = { types: new Map(), systems: new Map() }; // id → what it is called; null: nothing is known
const unnamed = { types: new Set(), systems: new Set() }; // to be asked for
const NAMES_AT_ONCE = 200;
const NAMES_MAX = 20000; // kept
let asking = 0;

/** A place for a name, which comes when it is known. */
function named(kind, id) {
  const node = element("span", "", String(id ?? "–"));
  if (!Number.isSafeInteger(id)) return node;
  node.dataset[kind] = id;
  if (names[kind].has(id)) call(node, kind, id);
  else unnamed[kind].add(id);
  return node;
}

function call(node, kind, id) {
  const known = names[kind].get(id);
  if (!known) return;
  setText(node, known.name ?? known);
  node.title = [known.region, `${kind === "types" ? "type" : "system"} ${id}`].filter(Boolean).join(", ");
  if (typeof known.security_status === "number") {
    const rounded = known.security_status > 0 && known.security_status < 0.05 ? 0.1 : known.security_status;
    const security = element("span", "security", rounded.toFixed(1));
    security.dataset.band = rounded >= 0.45 ? "high" : rounded > 0 ? "low" : "null";
    node.append(" ", security);
  }
}

/** Asks what is called how, some at a time. */
async function askForNames() {
  const [types, systems] = ["types", "systems"].map((kind) => [...unnamed[kind]].slice(0, NAMES_AT_ONCE));
  if (asking || types.length + systems.length === 0) return;
  asking = 1;
  try {
    const { body } = await read(`api/names?types=${types.join()}&systems=${systems.join()}`);
    for (const [kind, ids] of [["types", types], ["systems", systems]]) {
      if (names[kind].size > NAMES_MAX) names[kind].clear();
      for (const id of ids) {
        names[kind].set(id, body[kind][id] ?? null);
        unnamed[kind].delete(id);
        for (const node of document.querySelectorAll(`[data-${kind}="${id}"]`)) call(node, kind, id);
      }
    }
    asking = 0;
  } catch (refusal) {
    // A worker without names: ids will do.
    if (refusal.status !== 404) setTimeout(() => { asking = 0; }, RETRY_MS);
  }
}

// ---- rows ------------------------------------------------------------------------------------------------------

/** Where it was, and of which kind: what the labels of zKillboard say. */
function tagsOf(zkb) {
  const place = zkb?.labels?.find((label) => typeof label === "string" && label.startsWith("loc:"));
  const tags = [place?.slice(4), zkb?.solo && "solo", zkb?.npc && "npc", zkb?.awox && "awox"];
  return tags.filter(Boolean).map((tag) => element("span", "tag", tag));
}

const who = (one) => {
  const found = [["pilot", one?.character_id], ["corporation", one?.corporation_id], ["faction", one?.faction_id]].find(([, id]) => id);
  return found ? `${found[0]} ${found[1]}` : "–";
};

function row(event, className) {
  const kill = event.killmail ?? {};
  const made = element("tr", className);
  made.setAttribute("role", "row");
  const time = element("time", "", String(kill.killmail_time ?? "").slice(11, 19) || "–");
  time.dateTime = String(kill.killmail_time ?? "");
  time.title = time.dateTime;
  const value = kill.zkb?.total_value;
  const worth = cell("", "number value", typeof value === "number" ? compact(value) : "–");
  if (typeof value === "number") worth.title = `${exact(value)} ISK`;
  if (value >= 1e9) worth.classList.add("dear");
  const link = cell("", "number kill");
  if (Number.isSafeInteger(kill.killmail_id)) {
    const anchor = element("a", "", String(kill.killmail_id));
    anchor.href = `https://zkillboard.com/kill/${kill.killmail_id}/`;
    anchor.rel = "noreferrer noopener";
    anchor.target = "_blank";
    anchor.title = "at zKillboard";
    link.append(anchor);
  }
  made.append(
    cell("", "when", time),
    cell("", "system", named("systems", event.system_id), ...tagsOf(kill.zkb)),
    cell("", "ship", named("types", kill.victim?.ship_type_id)),
    cell("", "victim", who(kill.victim)),
    cell("by", "blow", who(kill.attackers?.find((attacker) => attacker.final_blow))),
    cell("attackers", "number attackers", String(kill.attackers?.length ?? "–")),
    worth,
    link,
  );
  return made;
}

async function start() {
  try {
    const { events } = (await read(`api/kills/recent?limit=${KILLS_MAX}`)).body;
    events.filter((event) => lastId === null || event.event_id > lastId).forEach(take);
    lastId = events.at(-1)?.event_id ?? lastId;
    draw();
    follow();
  } catch {
    setText(byId("feed"), "no answer, trying again");
    setTimeout(start, RETRY_MS);
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
    if (source.readyState === EventSource.CLOSED) setTimeout(start, RETRY_MS); // refused: the browser gives up, we do not
  });
}

byId("hold").addEventListener("click", (click) => {
  held = !held;
  click.currentTarget.setAttribute("aria-pressed", String(held));
  setText(byId("feed"), held ? "held" : "live");
  draw();
});

start();
setInterval(draw, DRAW_MS);
