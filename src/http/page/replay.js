// A replay of dead letters: asked for, followed while it runs, stopped. The worker runs one at a time.
import { ask, button, byId, change, element, exact, field, input, percent, plural, read, setText, tell } from "./base.js";

const POLL_MS = 1000;
const REPORTS_MAX = 200; // kept for looking at
const KEPT = "broadside-replay"; // the replay that this tab has started, so that it is found again after a reload
const ROWS_MAX = 40; // of one letter that are shown
const WORDS = {
  replayed: "went through",
  would_succeed: "would succeed",
  same_failure: "fails the same way",
  new_failure: "fails in a new way",
  passed_over: "passed over: somebody has it, or it is done",
};
const ENDS = { running: "Under way", finished: "Done", stopped: "Stopped", failed: "It could not go on" };

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
    fields.append(
      choice,
      field("From the raw bytes", fromStart, "in place of from the stage that failed"),
      field("Letters a second, at most", rate),
      field("Letters in all, at most", max),
      field("Stop after so many failures", stopAfter),
    );
    return () => {
      const limits = { rate: rate.value, max: max.value, stop_after_failures: stopAfter.value };
      const given = Object.entries(limits).filter(([, value]) => value !== "").map(([name, value]) => [name, Number(value)]);
      const how = { dry_run: dry.checked || diff.checked, diff: diff.checked, from_start: fromStart.checked };
      return { groups: [group.fingerprint], ...how, ...Object.fromEntries(given) };
    };
  }, start);
}

async function start(request) {
  const { replay: id } = await change("POST", path(), request);
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
      after = replay.next;
      reports.push(...replay.reports);
      reports.splice(0, Math.max(0, reports.length - REPORTS_MAX));
      const isOver = update(view, replay, reports, request);
      // There may be more reports than one answer holds.
      if (replay.reports.length > 0 && (isOver || replay.reports.length >= REPORTS_MAX)) continue;
      if (isOver) return settled();
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
  const fail = (refusal) => setText(view.text, refusal.message);
  const view = {
    text: element("p", "", "It begins."),
    bar: element("progress"),
    counts: element("p", "counts"),
    stop: button("Stop", "", () => change("DELETE", path(id)).catch(fail)),
    reports: button("Per letter", "", () => {}),
    really: button("Replay them now", "primary", () => start({ ...request, dry_run: false, diff: false }).catch(fail)),
    close: button("Close", "", dismiss),
  };
  view.bar.setAttribute("aria-label", "Progress");
  view.text.setAttribute("role", "status");
  view.reports.hidden = view.really.hidden = view.close.hidden = true;
  const heading = element("h3", "", request.dry_run ? "Dry run" : "Replay");
  const actions = element("div", "actions", view.stop, view.really, view.reports, view.close);
  byId("replay").replaceChildren(heading, view.text, view.bar, view.counts, actions);
  byId("replay").hidden = false;
  return view;
}

/** Shows how far it is; answers whether it is over. */
function update(view, replay, reports, request) {
  const over = replay.state !== "running";
  view.bar.max = Math.max(replay.letters, 1);
  view.bar.value = over && replay.state === "finished" ? view.bar.max : replay.done;
  const reached = `${ENDS[replay.state] ?? replay.state}: ${exact(replay.done)} of ${plural(replay.letters, "letter")}`;
  setText(view.text, replay.problem ? `${reached}. ${replay.problem}` : reached);
  const outcomes = [
    [replay.succeeded, request.dry_run ? "would succeed" : "went through"],
    [replay.same_failure, replay.same_failure === 1 ? "fails the same way" : "fail the same way"],
    [replay.new_failure, replay.new_failure === 1 ? "fails in a new way" : "fail in a new way"],
    [replay.passed_over, "passed over"],
  ];
  const shown = outcomes.filter(([n]) => n > 0).map(([n, words]) => `${exact(n)} ${words}${replay.done > 0 ? ` (${percent(n / replay.done)})` : ""}`);
  setText(view.counts, shown.join(" · "));
  view.stop.hidden = over;
  view.close.hidden = !over;
  view.really.hidden = !over || !request.dry_run || replay.succeeded === 0;
  view.reports.hidden = reports.length === 0;
  view.reports.onclick = () => showReports(reports);
  return over;
}

function showReports(reports) {
  const title = `What became of ${reports.length === 1 ? "the letter" : `the last ${exact(reports.length)} letters`}`;
  tell(title, element("ol", "reports", ...reports.map(showReport)));
}

function showReport(report) {
  const { id, outcome, killmail_id: kill, began_at: start, stage, error, rows } = report;
  const kind = outcome === "passed_over" ? "quiet" : outcome === "would_succeed" || outcome === "replayed" ? "good" : "bad";
  const about = [kill ? `kill ${kill}` : "", `from ${start ?? "the raw bytes"} on`, error && stage ? `failed in ${stage}` : ""];
  const says = [element("span", kind, WORDS[outcome] ?? outcome), " ", element("span", "quiet", about.filter(Boolean).join(" · "))];
  const made = element("li", "", element("b", "", `Letter ${id}`), " ", ...says);
  if (error) made.append(element("p", "cause", error));
  if (rows?.length > 0) {
    const summary = element("summary", "", `${plural(rows.length, "row")} that it would write`);
    made.append(element("details", "", summary, ...rows.slice(0, ROWS_MAX).map(showRow)));
  }
  return made;
}

/** A row before and after, column by column: those that change first. */
function showRow({ table, before, after }, index) {
  const columns = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const text = (row, column) => (row && column in row ? String(row[column] ?? "null") : "–");
  const changes = (column) => text(before, column) !== text(after, column);
  const lines = columns.sort((a, b) => changes(b) - changes(a)).map((column) => {
    const name = element("th", "", column);
    name.scope = "row";
    const values = [before, after].map((row) => element("td", "", text(row, column)));
    return element("tr", changes(column) ? "changes" : "", name, ...values);
  });
  const head = ["Column", "Before", "After"].map((label) => Object.assign(element("th", "", label), { scope: "col" }));
  const caption = element("caption", "", `${table}: ${before === null ? "new" : after === null ? "deleted" : "changed"}`);
  const scroll = element("div", "scroll", element("table", "", caption, element("thead", "", element("tr", "", ...head)), element("tbody", "", ...lines)));
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Row ${index + 1}, of ${table}`);
  return scroll;
}
