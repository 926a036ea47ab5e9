// Dead letters by group: what failed alike, with what can be done about it. Polls /api/dead-letters/groups; replay.js has the replay.
// Errors may hold what players wrote: everything is set as text, never as markup.
import { ask, button, byId, bytes, change, count, element, every, exact, field, input, plural } from "./base.js";
import { read, reconcile, setLine, setState, setText, span, tell } from "./base.js";
import { askReplay, follow } from "./replay.js";

const POLL_MS = 5000;
const GROUPS_MAX = 50;
const LETTERS_MAX = 20; // listed of one group
const PAYLOAD_MAX = 20000; // characters shown
const SVG = "http://www.w3.org/2000/svg";
const KINDS = { open: "badge", acknowledged: "badge quiet", fixed: "badge good", regressed: "badge bad" };

const rows = new Map(); // fingerprint → row
let clock = Date.now(); // the worker's

const say = (text) => setText(byId("letters-said"), text);
const path = (...parts) => ["api/dead-letters", ...parts.map(encodeURIComponent)].join("/");
const ago = (time) => (time ? `${span((clock - Date.parse(time)) / 1000)} ago` : "–");

// ---- groups ----------------------------------------------------------------------------------------------------

function groupsPath() {
  const state = byId("letters-state").value;
  const states = state === "" ? "open,regressed" : state === "all" ? "open,acknowledged,fixed,regressed" : state;
  return `${path("groups")}?state=${states}&limit=${GROUPS_MAX}`;
}

function show({ groups, more }, now) {
  clock = now;
  byId("letters").hidden = false;
  byId("letters-link").hidden = false;
  byId("no-letters").hidden = groups.length > 0;
  setText(byId("no-letters"), byId("letters-state").value === "" ? "None are open. What fails is kept here with its bytes and its cause." : "None.");
  setLine(byId("more-letters"), more ? `The newest ${GROUPS_MAX} groups; broadside dlq groups lists all.` : "");
  reconcile(byId("letter-groups"), rows, groups, (group) => group.fingerprint, build, update);
}

function build(first) {
  const root = element("li", "group");
  const row = {
    root,
    group: first,
    state: element("span"),
    open: element("b"),
    where: element("span", "quiet"),
    error: element("h3", "cause"),
    times: element("p", "quiet"),
    trend: chart(),
    letters: element("div", "letters"),
  };
  const doing = (act) => async () => {
    try {
      await act(row.group);
    } catch (refusal) {
      say(refusal.message);
    }
  };
  row.buttons = {
    replay: button("Replay…", "primary", doing((group) => askReplay(group, again))),
    discard: button("Discard…", "", doing(askDiscard)),
    acknowledge: button("Acknowledge", "", doing((group) => mark(group, { state: "acknowledged" }, "acknowledged"))),
    fixed: button("Fixed…", "", doing(askFixed)),
    open: button("Open again", "", doing((group) => mark(group, { state: "open" }, "open again"))),
    letters: button("Letters", "", () => toggle(row)),
  };
  row.buttons.letters.setAttribute("aria-expanded", "false");
  row.letters.hidden = true;
  const head = element("p", "head", row.state, " ", row.open, " ", row.where);
  const actions = element("div", "actions", ...Object.values(row.buttons));
  root.append(element("div", "about", head, row.error, row.times), row.trend.root, actions, row.letters);
  return row;
}

function update(row, group) {
  row.group = group;
  setState(row.state, group.fixed_in ? `${group.state} (${group.fixed_in})` : group.state, KINDS[group.state] ?? "badge");
  setText(row.open, plural(group.open, "open letter"));
  const beyond = group.total > group.open ? `of ${exact(group.total)} kept` : "";
  setText(row.where, [beyond, group.pipeline, group.stage, group.class, group.status].filter(Boolean).join(" · "));
  setText(row.error, group.error || "no text");
  setText(row.times, `Last failed ${ago(group.last_failed_at)}, first ${ago(group.first_failed_at)}`);
  row.times.title = `${group.first_failed_at} to ${group.last_failed_at}; group ${group.fingerprint}`;
  draw(row.trend, group.trend ?? []);
  const { replay, discard, acknowledge, fixed, open } = row.buttons;
  replay.hidden = discard.hidden = group.open === 0;
  acknowledge.hidden = group.state === "acknowledged" || group.state === "fixed";
  fixed.hidden = group.state === "fixed";
  open.hidden = group.state === "open";
  for (const [name, one] of Object.entries(row.buttons)) {
    one.setAttribute("aria-label", `${one.textContent.replace("…", "")}: ${name === "letters" ? "of" : "group"} ${group.stage}, ${shortened(group.error, 60)}`);
  }
}

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** The last 24 hours as bars. */
function chart() {
  const root = document.createElementNS(SVG, "svg");
  root.setAttribute("class", "trend");
  root.setAttribute("viewBox", "0 0 96 28");
  root.setAttribute("preserveAspectRatio", "none");
  root.setAttribute("role", "img");
  return { root, shown: "" };
}

function draw(trend, counts) {
  const shown = counts.join();
  if (trend.shown === shown) return;
  trend.shown = shown;
  const top = Math.max(1, ...counts);
  const total = counts.reduce((sum, n) => sum + n, 0);
  const peak = `at most ${exact(Math.max(0, ...counts))} in an hour, ${exact(counts.at(-1) ?? 0)} in this one`;
  trend.root.setAttribute("aria-label", `Last 24 hours: ${plural(total, "failure")}, ${peak}`);
  trend.root.replaceChildren(...counts.map((n, index) => {
    const bar = document.createElementNS(SVG, "rect");
    const height = n > 0 ? Math.max(2, (n / top) * 27) : 1;
    const values = { x: index * 4, y: 28 - height, width: 3, height, class: n > 0 ? "some" : "none" };
    for (const [name, value] of Object.entries(values)) bar.setAttribute(name, value);
    return bar;
  }));
}

// ---- what can be done ------------------------------------------------------------------------------------------

async function mark(group, body, words) {
  await change("POST", path("groups", group.fingerprint), body);
  say(`The group is ${words}.`);
  again();
}

function askFixed(group) {
  ask("Say that it is fixed", "Fixed", (fields) => {
    const version = input("text", { required: true, maxLength: 100, autocomplete: "off" });
    const what = "When a letter fails like this again, the group comes back as regressed.";
    fields.append(element("p", "", what), field("Fixed in version", version));
    return () => version.value.trim();
  }, (version) => mark(group, { state: "fixed", version }, `fixed in ${version}`));
}

function askDiscard(group) {
  ask(`Discard ${plural(group.open, "open letter")}?`, "Discard", (fields) => {
    const reason = input("text", { required: true, maxLength: 500, autocomplete: "off" });
    const what = "They stay as discarded until they expire, with this reason.";
    fields.append(element("p", "cause", shortened(group.error, 300)), element("p", "", what), field("Reason", reason));
    return () => reason.value.trim();
  }, async (reason) => {
    const done = await change("POST", path("discard"), { groups: [group.fingerprint], reason });
    say(`${plural(done.discarded, "letter")} discarded.`);
    again();
  });
}

// ---- letters ---------------------------------------------------------------------------------------------------

async function toggle(row) {
  const opens = row.letters.hidden;
  row.letters.hidden = !opens;
  row.buttons.letters.setAttribute("aria-expanded", String(opens));
  if (!opens) return;
  try {
    const { body } = await read(`${path()}?group=${row.group.fingerprint}&state=open,retrying&limit=${LETTERS_MAX}`);
    const list = body.dead_letters.length > 0 ? body.dead_letters : [row.group.sample].filter(Boolean);
    const more = body.more ? [element("p", "quiet", `The first ${LETTERS_MAX}; broadside dlq list has all.`)] : [];
    row.letters.replaceChildren(element("ul", "", ...list.map(listed)), ...more);
  } catch (refusal) {
    row.letters.replaceChildren(element("p", "alert", refusal.message));
  }
}

function listed(letter) {
  const look = () => showLetter(letter.id).catch((refusal) => say(refusal.message));
  const about = [
    letter.killmail_id ? `kill ${letter.killmail_id}` : "",
    plural(letter.attempts, "attempt"),
    ago(letter.last_failed_at),
    bytes(letter.payload_bytes),
    letter.state === "open" ? "" : letter.state,
  ];
  const text = element("span", "quiet", about.filter(Boolean).join(" · "));
  return element("li", "", button(`Letter ${letter.id}`, "link", look), " ", text);
}

async function showLetter(id) {
  const { body: letter } = await read(path(id));
  const facts = element("dl", "facts");
  const status = letter.sqlstate ? `SQLSTATE ${letter.sqlstate}` : letter.http_status ? `HTTP ${letter.http_status}` : "";
  const pairs = [
    ["State", [letter.state, letter.note].filter(Boolean).join(": ")],
    ["Pipeline", `${letter.pipeline}, ${letter.group}, ${letter.stage}`],
    ["Class", [letter.class, status].filter(Boolean).join(", ")],
    ["Error", letter.error],
    ["Source", [letter.source, letter.position].filter(Boolean).join(" at ")],
    ["Sinks that have it", letter.sinks_done.join(", ") || "none"],
    ["Kill", letter.killmail_id ?? "–"],
    ["Attempts", letter.attempts],
    ["Failed", `${letter.first_failed_at} to ${letter.last_failed_at}`],
    ["Tried again by itself", letter.retry_at ?? "no"],
    ["Program and definition", [letter.program_version, letter.definition_hash].filter(Boolean).join(", ") || "–"],
  ];
  for (const [name, value] of pairs) facts.append(element("div", "", element("dt", "", name), element("dd", "", value)));
  const past = letter.history.map(({ at, stage, class: kind, error }) => {
    return element("li", "", element("span", "quiet", `${at} · ${stage} · ${kind} `), error);
  });
  const payload = element("pre", "", pretty(letter.payload));
  payload.tabIndex = 0;
  payload.setAttribute("role", "region");
  payload.setAttribute("aria-label", "Payload");
  const attempts = past.length > 0 ? [element("h3", "", "Attempts"), element("ol", "past", ...past)] : [];
  const heading = element("h3", "", `Payload, ${bytes(letter.payload_bytes)}${letter.is_edited ? ", edited" : ""}`);
  tell(`Letter ${letter.id}`, facts, ...attempts, heading, payload);
}

/** JSON with line breaks, when it is JSON; bounded. */
function pretty(payload) {
  let text = payload;
  try {
    if (text.length < 10 * PAYLOAD_MAX) text = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // As it is, then.
  }
  return text.length > PAYLOAD_MAX ? `${text.slice(0, PAYLOAD_MAX)}\n… ${count(text.length - PAYLOAD_MAX)} more characters` : text;
}

// ---- totals ----------------------------------------------------------------------------------------------------

function showStats(stats) {
  const of = (state) => stats.states.find((one) => one.state === state)?.count ?? 0;
  const states = ["open", "retrying", "replayed", "discarded"].filter((state) => state === "open" || of(state) > 0);
  const parts = states.map((state) => `${count(of(state))} ${state}`);
  if (stats.bytes > 0) parts.push(bytes(stats.bytes));
  if (stats.oldest_open) parts.push(`oldest open ${ago(stats.oldest_open)}`);
  setText(byId("letters-total"), parts.join(" · "));
}

const look = every(POLL_MS, groupsPath, show);
const lookAtStats = every(POLL_MS, path("stats"), showStats);

/** After something was changed. */
function again() {
  look();
  lookAtStats();
}

byId("letters-state").addEventListener("change", () => {
  say("");
  look();
});
follow(again);
