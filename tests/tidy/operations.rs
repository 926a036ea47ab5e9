//! What operators are given holds together: metrics, panels, rules, their tests, the runbook and the docs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use broadside::telemetry::{Kind, METRICS, Metric};
use serde_json::Value;

use super::root;

/// What a scrape adds to every metric, and rules and panels may ask for.
const SCRAPED: &[&str] = &["job", "instance", "le"];

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let read = |path: PathBuf| {
        let value = serde_json::from_str(&fs::read_to_string(&path).unwrap());
        (path.clone(), value.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    files("grafana/dashboards", "json").into_iter().map(read).collect()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

/// The expressions of panels, variables and annotations, each with where it stands.
fn dashboard_expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, dashboard) in dashboards() {
        let place = |what: &Value| format!("{}: {what}", path.display());
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                found.push((place(&panel["title"]), target["expr"].as_str().unwrap().to_owned()));
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if let Some(definition) = variable["definition"].as_str() {
                found.push((place(&variable["name"]), definition.to_owned()));
            }
        }
    }
    found
}

/// A rule: its name, its expression, and whatever else stands there.
struct Rule {
    name: String,
    is_alert: bool,
    expression: String,
    lines: Vec<String>,
}

fn rules() -> Vec<Rule> {
    let mut found: Vec<Rule> = Vec::new();
    for path in files("deploy/prometheus/rules", "yml") {
        let mut in_expression = false;
        for line in fs::read_to_string(path).unwrap().lines() {
            let words = line.trim();
            if let Some(name) = words.strip_prefix("- alert: ").or_else(|| words.strip_prefix("- record: ")) {
                let is_alert = words.starts_with("- alert");
                found.push(Rule { name: name.to_owned(), is_alert, expression: String::new(), lines: Vec::new() });
                in_expression = false;
            } else if let Some(rule) = found.last_mut() {
                if let Some(expression) = words.strip_prefix("expr: ") {
                    rule.expression = expression.trim_start_matches('|').to_owned();
                    in_expression = true;
                } else if in_expression && line.starts_with("         ") {
                    rule.expression += &format!(" {words}");
                } else {
                    in_expression = false;
                    rule.lines.push(words.to_owned());
                }
            }
        }
    }
    found
}

/// A metric in an expression: what stands before it, its name, the labels that it is chosen by.
fn metrics_of(expression: &str) -> Vec<(String, String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("broadside_") {
        if expression[..at].ends_with(is_name) {
            continue;
        }
        let name: String = expression[at..].chars().take_while(|c| is_name(*c)).collect();
        if name.contains(':') {
            continue;
        }
        let rest = &expression[at + name.len()..];
        let chosen = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(chosen, _)| chosen);
        // Values hold no commas and no equals signs but in matchers of several words, which are no names.
        let labels = chosen.split(',').filter_map(|matcher| matcher.split_once(['=', '!']).map(|(label, _)| label));
        found.push((expression[..at].to_owned(), name.clone(), labels.map(str::to_owned).collect()));
    }
    found
}

fn known(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| {
        name == metric.name
            || metric.kind == Kind::Histogram
                && name.strip_prefix(metric.name).is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
    })
}

/// What is wrong with an expression as text.
fn faults(place: &str, expression: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (before, name, labels) in metrics_of(expression) {
        let Some(metric) = known(&name) else {
            wrong.push(format!("{place}: there is no metric {name}"));
            continue;
        };
        if metric.kind == Kind::Histogram && name == metric.name {
            wrong.push(format!("{place}: {name} is a histogram: it has _bucket, _sum and _count"));
        }
        let is_rate = ["rate(", "increase("].iter().any(|rate| before.ends_with(rate));
        if is_rate != (metric.kind != Kind::Gauge) {
            wrong.push(format!("{place}: {name} is a {:?}", metric.kind));
        }
        for label in
            labels.iter().filter(|label| !metric.labels.contains(&label.as_str()) && !SCRAPED.contains(&label.as_str()))
        {
            wrong.push(format!("{place}: {name} has no label {label}"));
        }
    }
    wrong
}

#[test]
fn every_metric_of_a_panel_or_a_rule_exists_and_is_used_as_what_it_is() {
    let mut wrong: Vec<String> =
        dashboard_expressions().iter().flat_map(|(place, expression)| faults(place, expression)).collect();
    wrong.extend(rules().iter().flat_map(|rule| faults(&rule.name, &rule.expression)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_expression_is_found() {
    for (expression, why) in [
        ("broadside_nothing", "there is no metric"),
        ("rate(broadside_in_flight[1m])", "is a Gauge"),
        ("broadside_source_received_total", "is a Counter"),
        ("rate(broadside_batch_seconds[1m])", "is a histogram"),
        ("broadside_in_flight{color=\"red\"}", "no label color"),
    ] {
        let found = faults("here", expression).join("\n");
        assert!(found.contains(why), "{expression}: {found}");
    }
    assert_eq!(
        faults("here", "sum(rate(broadside_batch_seconds_bucket{job=~\"a\",le=\"1\"}[1m])) > pipeline:broadside_x:y"),
        Vec::<String>::new()
    );
}

#[test]
fn every_metric_is_on_a_panel() {
    let shown: BTreeSet<&str> = dashboard_expressions()
        .iter()
        .flat_map(|(_, expression)| metrics_of(expression))
        .filter_map(|(_, name, _)| known(&name))
        .map(|metric| metric.name)
        .collect();
    let missing: Vec<_> = METRICS.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "on no panel: {missing:?}");
}

#[test]
fn panels_explain_themselves_take_prometheus_from_the_variable_and_do_not_overlap() {
    let mut seen = BTreeSet::new();
    for (path, dashboard) in dashboards() {
        let place = path.display();
        assert!(seen.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{place}: its uid stands twice");
        assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource", "{place}");
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_i64().unwrap()), "{place}: {}: its id stands twice", panel["title"]);
            let side = |name: &str| panel["gridPos"][name].as_i64().unwrap();
            assert!(side("x") + side("w") <= 24, "{place}: {}: it is beyond the edge", panel["title"]);
            for (x, y) in (0..side("w")).flat_map(|x| (0..side("h")).map(move |y| (x, y))) {
                assert!(
                    cells.insert((side("x") + x, side("y") + y)),
                    "{place}: {}: it lies on another",
                    panel["title"]
                );
            }
        }
        for panel in panels(&dashboard) {
            let explained = panel["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(explained, "{place}: {} does not say what it is", panel["title"]);
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}: {}", panel["title"]);
            }
        }
    }
}

#[test]
fn every_rule_has_a_test_and_rules_name_rules_that_exist() {
    let tests: String =
        files("deploy/prometheus/tests", "yml").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let rules = rules();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names.len(), rules.len(), "a name stands twice");
    for rule in &rules {
        let tested = if rule.is_alert { format!("alertname: {}\n", rule.name) } else { rule.name.clone() };
        assert!(tests.contains(&tested), "{} has no test", rule.name);
        for word in rule.expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            assert!(!word.contains(":broadside_") || names.contains(word), "{}: there is no rule {word}", rule.name);
        }
    }
}

#[test]
fn every_alert_has_a_severity_and_a_section_in_the_runbook_and_the_other_way_round() {
    let runbook = text("deploy/runbook.md");
    let sections: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## Broadside")).collect();
    let alerts: Vec<Rule> = rules().into_iter().filter(|rule| rule.is_alert).collect();
    let names: BTreeSet<&str> = alerts.iter().filter_map(|rule| rule.name.strip_prefix("Broadside")).collect();
    assert_eq!(names, sections, "alerts and sections of deploy/runbook.md");
    for alert in &alerts {
        let has = |line: &str| alert.lines.iter().any(|is| is == line);
        let severities = ["critical", "warning"].map(|severity| format!("labels: {{ severity: {severity} }}"));
        assert!(severities.iter().any(|line| has(line)), "{}", alert.name);
        assert!(has(&format!("runbook: deploy/runbook.md#{}", alert.name.to_lowercase())), "{}", alert.name);
        let section = runbook.split(&format!("## {}\n", alert.name)).nth(1).unwrap().split("\n## ").next().unwrap();
        for part in ["**Means.**", "**Look at.**", "**Do.**"] {
            assert!(section.contains(part), "{}: its section lacks {part}", alert.name);
        }
    }
}

#[test]
fn docs_name_only_metrics_alerts_and_files_that_exist() {
    let alerts: BTreeMap<String, bool> = rules().into_iter().map(|rule| (rule.name, rule.is_alert)).collect();
    let mut wrong = Vec::new();
    let mut paths = files("docs", "md");
    paths.extend([root().join("deploy/runbook.md"), root().join("README.md")]);
    for path in paths {
        let document = fs::read_to_string(&path).unwrap();
        let place = path.display();
        for word in document.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
            let is_metric = word.starts_with("broadside_") && !word.ends_with('_') && !word.contains(':');
            if is_metric && known(word).is_none() {
                wrong.push(format!("{place}: there is no metric {word}"));
            }
            let is_alert =
                word.strip_prefix("Broadside").is_some_and(|rest| rest.starts_with(|c: char| c.is_uppercase()));
            if is_alert && !alerts.contains_key(word) {
                wrong.push(format!("{place}: there is no alert {word}"));
            }
        }
        for link in document.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let is_file = !file.is_empty() && !file.contains("://");
            if is_file && !path.parent().unwrap().join(file).exists() {
                wrong.push(format!("{place}: there is no {file}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_says_where_operators_find_what_they_are_given() {
    let readme = text("README.md");
    for given in [
        "docs/operating.md",
        "docs/tuning.md",
        "docs/capacity.md",
        "docs/components.md",
        "deploy/runbook.md",
        "grafana/",
        "deploy/prometheus/",
    ] {
        assert!(readme.contains(given), "README.md does not name {given}");
    }
}

#[test]
fn prometheus_itself_accepts_the_rules_and_their_tests() {
    let folder = root().join("deploy/prometheus");
    let names = |inner: &str| {
        files(&format!("deploy/prometheus/{inner}"), "yml").into_iter().map(|path| path.display().to_string())
    };
    let check: Vec<String> = ["check".to_owned(), "rules".to_owned()].into_iter().chain(names("rules")).collect();
    let config = ["check", "config", "prometheus.yml"].map(str::to_owned).to_vec();
    let test: Vec<String> = ["test".to_owned(), "rules".to_owned()].into_iter().chain(names("tests")).collect();
    for arguments in [check, config, test] {
        let output = match Command::new("promtool").args(&arguments).current_dir(&folder).output() {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: promtool is not installed ({error})"),
        };
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "promtool {}: {said}", arguments.join(" "));
    }
}
