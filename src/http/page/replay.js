// A replay of dead letters: asked for, followed while it runs, stopped. The worker runs one at a time.
import { ask, button, byId, change, count, element, exact, field, input, percent, plural, read, setText, tell } from "./base.js";

const POLL_MS = 1000;
const REPORTS_MAX = 200; // kept for looking at
const KEPT = "broadside-replay"; // the replay that this tab has started, so that it is found again after a reload
const WORDS = {
  would_succeed: "would succeed", same_failure: "fail the same way", new_failure: "fail in a new way",
  replayed: "went through", succeeded: "went through", failed: "failed again", skipped: "passed over", gone: "were not open any more",
};

let settled = () => {}; // called when something has changed

const path = (id = "") => `api/dead-letters/${id === "" ? "replay" : `replays/${encodeURIComponent(id)}`}`;

/** Asks how to replay the open letters of a group. */
export function askReplay(group, then) {
  settled = then;
  ask(`Replay ${plural(group.open, "open letter")}`, "Start", (fields) => {
    const mode = (value, label, hint, checked) => {
      const radio = input("radio", { name: "mode", value, checked });
      return [radio, field(label, radio, hint)];
    };
    const [dry, dryField] = mode("dry", "Dry run", "writes nothing; says of each whether it would succeed", true);
    const [diff, diffField] = mode("diff", "Dry run with rows", "also the rows that it would write", false);
    const [, realField] = mode("real", "Replay", "through the stages from the one that failed, to the sinks that lack it", false);
    const number = (least) => input("number", { min: least, step: 1, inputMode: "numeric" });
    const [fromStart, rate, max, stopAfter] = [input("checkbox"), number(1), number(1), number(1)];
    const choice = element("fieldset", "", element("legend", "", "How"), dryField, diffField, realField);
    fields.append(choice, field("From the raw bytes", fromStart, "in place of from the stage that failed"), field("Letters a second, at most", rate), field("Letters in all, at most", max), field("Stop after so many failures", stopAfter));
    return () => {
      const limits = { rate: rate.value, max: max.value, stop_after_failures: stopAfter.value };
      const given = Object.entries(limits).filter(([, value]) => value !== "").map(([name, value]) => [name, Number(value)]);
      return { groups: [group.fingerprint], dry_run: dry.checked || diff.checked, diff: diff.checked, from_start: fromStart.checked, ...Object.fromEntries(given) };
    };
  }, start);
}

async function start(request) {
  const { replay } = await change("POST", path(), request);
  const id = typeof replay === "object" ? replay.id : replay;
  sessionStorage.setItem(KEPT, JSON.stringify({ id, request }));
  watch(id, request);
}

/** Goes on with what this tab had started. */
export function follow(then) {
  settled = then;
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (kept) watch(kept.id, kept.request);
}

let watching = 0;

async function watch(id, request) {
  const mine = ++watching;
  const view = build(id, request);
  const reports = [];
  let after = 0;
  for (;;) {
    let replay;
    try {
      ({ body: replay } = await read(`${path(id)}?after=${after}`));
    } catch (refusal) {
      if (mine !== watching) return;
      if (refusal.status === 404 || refusal.status === 410) return dismiss();
      setText(view.text, refusal.message);
    }
    if (mine !== watching) return;
    if (replay) {
      const fresh = replay.reports ?? [];
      after = replay.next ?? after + fresh.length;
      reports.push(...fresh);
      reports.splice(0, Math.max(0, reports.length - REPORTS_MAX));
      if (update(view, replay, reports, request)) return settled();
    }
    await new Promise((done) => { setTimeout(done, POLL_MS); });
  }
}

function dismiss() {
  watching += 1;
  sessionStorage.removeItem(KEPT);
  byId("replay").hidden = true;
}

function build(id, request) {
  const view = {
    text: element("p", "", "It begins."),
    bar: element("progress"),
    counts: element("p", "counts"),
    stop: button("Stop", "", () => change("DELETE", path(id)).catch((refusal) => setText(view.text, refusal.message))),
    reports: button("Per letter", "", () => {}),
    really: button("Replay them now", "primary", () => start({ ...request, dry_run: false, diff: false }).catch((refusal) => setText(view.text, refusal.message))),
    close: button("Close", "", dismiss),
  };
  view.bar.setAttribute("aria-label", "Progress");
  view.text.setAttribute("role", "status");
  view.reports.hidden = view.really.hidden = view.close.hidden = true;
  const heading = element("h3", "", request.dry_run ? "Dry run" : "Replay");
  byId("replay").replaceChildren(heading, view.text, view.bar, view.counts, element("div", "actions", view.stop, view.really, view.reports, view.close));
  byId("replay").hidden = false;
  return view;
}

/** Shows how far it is; answers whether it is over. */
function update(view, replay, reports, request) {
  const totals = replay.totals ?? replay;
  const total = replay.total ?? totals.total ?? totals.letters ?? 0;
  const outcomes = totals.outcomes ?? totals;
  const known = Object.keys(WORDS).filter((name) => typeof outcomes[name] === "number" && outcomes[name] > 0);
  const done = totals.done ?? known.reduce((sum, name) => sum + outcomes[name], 0);
  const over = !["running", "starting", "stopping"].includes(replay.state);
  view.bar.max = Math.max(total, 1);
  view.bar.value = over && replay.state !== "stopped" ? Math.max(total, 1) : done;
  setText(view.text, `${over ? (replay.state === "stopped" ? "Stopped" : "Done") : "Under way"}: ${count(done)} of ${count(total)} letters${replay.reason ? `; ${replay.reason}` : ""}`);
  setText(view.counts, known.map((name) => `${exact(outcomes[name])} ${WORDS[name]}${done > 0 ? ` (${percent(outcomes[name] / done)})` : ""}`).join(" · "));
  view.stop.hidden = over;
  view.close.hidden = !over;
  view.really.hidden = !over || !request.dry_run;
  view.reports.hidden = reports.length === 0;
  view.reports.onclick = () => showReports(reports);
  return over;
}

function showReports(reports) {
  const items = reports.map((report) => {
    const outcome = element("span", report.outcome === "would_succeed" || report.outcome === "replayed" ? "good" : "bad", WORDS[report.outcome] ?? String(report.outcome));
    const made = element("li", "", `Letter ${report.id}: `, outcome);
    if (report.error) made.append(element("p", "cause", report.error));
    const rows = report.rows ?? report.diff;
    if (rows && (!Array.isArray(rows) || rows.length > 0)) {
      const text = typeof rows === "string" ? rows : JSON.stringify(rows, null, 2);
      const pre = element("pre", "", text.slice(0, 20000));
      pre.tabIndex = 0;
      made.append(element("details", "", element("summary", "", "Rows"), pre));
    }
    return made;
  });
  tell(`The last ${plural(reports.length, "letter")}`, element("ol", "reports", ...items));
}
