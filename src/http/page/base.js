// What all parts of the page share: elements, numbers, polls, and changes with the token.
// Everything that comes from outside is set as text, never as markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.map((child) => (typeof child === "number" ? String(child) : child)));
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setState(node, text, state) {
  setText(node, text);
  if (node.className !== state) node.className = state;
}

/** Shows a line when there is something to say. */
export function setLine(node, text) {
  setText(node, text);
  node.hidden = !text;
}

export function button(label, className, act) {
  const made = element("button", className, label);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/**
 * Brings a list in line with what there is: one row for each, in this order, made when it is new.
 * Rows that stay keep their place, so that nobody loses the focus.
 */
export function reconcile(holder, rows, all, keyOf, make, update) {
  const there = new Set(all.map(keyOf));
  for (const [key, row] of rows) {
    if (!there.has(key)) {
      row.root.remove();
      rows.delete(key);
    }
  }
  all.forEach((one, index) => {
    const key = keyOf(one);
    if (!rows.has(key)) rows.set(key, make(one));
    const row = rows.get(key);
    update(row, one);
    if (holder.children[index] !== row.root) holder.insertBefore(row.root, holder.children[index] ?? null);
  });
}

// ---- numbers ---------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
export const exact = (n) => whole.format(n);
export const compact = (n) => short.format(n);
export const count = (n) => (n >= 1e7 ? short.format(n) : whole.format(n));
export const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : count(n));
export const percent = (share) => `${Math.round(share * 100)} %`;

/** A time that something takes: "340 µs", "45 ms", "1.2 s", "12 min". */
export function took(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return "–";
  if (seconds < 0.000995) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.00995) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.995) return `${Math.round(seconds * 1000)} ms`;
  return span(seconds);
}

/** A span of time: "0.4 s", "45 s", "12 min", "36 h", "9 d". */
export function span(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return "–";
  const s = Math.max(seconds, 0);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 99.5) return `${Math.round(s)} s`;
  if (s < 99.5 * 60) return `${Math.round(s / 60)} min`;
  if (s < 47.5 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = n;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 9.95 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// ---- asking ----------------------------------------------------------------------------------------------------

const ANSWER_MAX_MS = 10000;

/** A refusal of the worker, or none at all: its message is for people. */
export class Refusal extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function send(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    const signal = AbortSignal.timeout(ANSWER_MAX_MS);
    answer = await fetch(path, { method, headers, body: JSON.stringify(body), cache: "no-store", signal });
  } catch {
    throw new Refusal("The worker does not answer.", 0, "no_answer");
  }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw new Refusal(error?.message ?? `The worker answered ${answer.status}.`, answer.status, error?.code);
}

/** Reads something: `{ body, now }`; `now` is by the worker's clock, as the browser's may be wrong. */
export async function read(path) {
  const answer = await send("GET", path);
  return { body: await answer.json(), now: Date.parse(answer.headers.get("date") ?? "") || Date.now() };
}

/** Changes something, with the token. Asks for the token when it was refused for the want of one. */
export async function change(method, path, body) {
  try {
    const answer = await send(method, path, body);
    return answer.status === 204 ? null : await answer.json();
  } catch (refusal) {
    if (refusal.status === 401) askForToken(refusal.message);
    throw refusal;
  }
}

/**
 * Reads a path again and again, while somebody looks, and shows it. Answers a function that reads it at once.
 * `fail` is told of a refusal; the last figures stay. A path that is not there (404) is asked for no more.
 */
export function every(milliseconds, path, show, fail = () => {}) {
  let timer = 0;
  let run = 0;
  async function look() {
    const mine = ++run;
    clearTimeout(timer);
    let again = true;
    try {
      const { body, now } = await read(typeof path === "function" ? path() : path);
      if (mine === run) show(body, now);
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
      if (mine === run) fail(error);
      again = error.status !== 404;
    }
    if (mine === run && again) timer = setTimeout(() => (document.hidden ? undefined : look()), milliseconds);
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look();
  });
  look();
  return look;
}

// ---- dialogs ---------------------------------------------------------------------------------------------------

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (click) => {
    if (click.target === dialog || click.target.closest("[data-close]")) dialog.close();
  });
}

/** A question with fields. `make` fills the form and answers what gives the answer; `act` gets that, and keeps the dialog open when it throws. */
export function ask(title, label, make, act) {
  const dialog = byId("ask");
  const form = element("form");
  form.method = "dialog";
  const heading = element("h2", "", title);
  heading.id = "ask-heading";
  const why = element("p", "alert");
  why.setAttribute("role", "alert");
  why.hidden = true;
  const fields = element("div", "fields");
  const answer = make(fields);
  const go = element("button", "primary", label);
  go.type = "submit";
  const cancel = button("Cancel", "", () => dialog.close());
  form.append(heading, fields, why, element("div", "actions", go, cancel));
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    go.disabled = true;
    try {
      await act(answer());
      if (form.isConnected) dialog.close();
    } catch (refusal) {
      setLine(why, refusal.message);
      if (!(refusal instanceof Refusal)) console.error(refusal);
    }
    go.disabled = false;
  });
  dialog.replaceChildren(form);
  dialog.className = "";
  if (!dialog.open) dialog.showModal();
}

/** Something to read, in a dialog. */
export function tell(title, ...content) {
  const dialog = byId("ask");
  const heading = element("h2", "", title);
  heading.id = "ask-heading";
  dialog.replaceChildren(heading, ...content, element("div", "actions", button("Close", "", () => dialog.close())));
  dialog.className = "wide";
  if (!dialog.open) dialog.showModal();
  // To be read from its beginning.
  heading.tabIndex = -1;
  heading.focus();
}

/** A labelled field of a form. */
export function field(label, input, hint) {
  const made = element("label", input.type === "checkbox" || input.type === "radio" ? "check" : "field");
  const text = element("span", "", label);
  if (hint) text.append(element("small", "", hint));
  if (made.className === "check") made.append(input, text);
  else made.append(text, input);
  return made;
}

export function input(type, values = {}) {
  const made = element("input");
  made.type = type;
  return Object.assign(made, values);
}

// ---- token -----------------------------------------------------------------------------------------------------

const TOKEN = "broadside-token";

function showToken() {
  setText(byId("token-open"), sessionStorage.getItem(TOKEN) ? "Token kept" : "No token");
}

function askForToken(why) {
  setLine(byId("token-why"), why ?? "");
  byId("token").value = "";
  byId("token-forget").disabled = !sessionStorage.getItem(TOKEN);
  byId("token-dialog").showModal();
}

byId("token-open").addEventListener("click", () => askForToken());
byId("token-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const token = byId("token").value.trim();
  if (token) sessionStorage.setItem(TOKEN, token);
  byId("token").value = "";
  byId("token-dialog").close();
  showToken();
});
byId("token-forget").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  byId("token-dialog").close();
  showToken();
});
showToken();
