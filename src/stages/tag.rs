//! Finds out what a kill is: tags of its fit, classes of ship and place, zKillboard's flags, points and labels, the measures of who took part ([`crate::tags`]).
//!
//! It needs static data. What they lack (a type or a system that came with a patch) ESI is asked for once, together for a whole group of kills, and no
//! kill is held up longer than `max_wait`: then it passes with what can be said, is stored as partial, and completed later. Where nothing was
//! imported at all ESI is not asked, as it could not tell everything: kills are stored in part.
//!
//! Where zKillboard's block says otherwise than its own rules do, the difference is counted, and the rules hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Message, Stage};
use metrics::{Counter, counter};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::clients::address;
use crate::clients::esi::Esi;
use crate::duration::Span;
use crate::killmail::{Form, Kill, Killmail, Tagged, VALUE_LABELS};
use crate::resources::Resources;
use crate::statics::{Shelf, Statics};
use crate::tags::{Found, Lacking, Modules, Ships, Tagger, modules, ships};
use crate::unknowns::{Learned, Unknown, Unknowns};

/// What `tag` may be told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// ESI's base address.
    pub url: String,
    /// How long a kill waits for what the static data lack at most.
    pub max_wait: Span,
    /// Another table of module tags, as `broadside sde tags` prints it; looked for from the folder in which the program was started.
    pub rules: Option<PathBuf>,
    /// Another table of ship classes, as `broadside sde tags --ships` prints it.
    pub ships: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: "https://esi.evetech.net".to_owned(), max_wait: Span::from_secs(2), rules: None, ships: None }
    }
}

impl Config {
    /// Whether ESI may be called there, and the tables can be used.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self, contact: Option<&str>) -> Result<(), String> {
        Esi::check(&self.url, contact).map_err(|error| format!("failed to {error}"))?;
        self.tagger().map(drop)
    }

    /// The rules that these settings name.
    ///
    /// # Errors
    /// A file cannot be read, or is no such table: with file, line and column.
    pub fn tagger(&self) -> Result<Tagger, String> {
        let text = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()))
        };
        let failed = |error: crate::tags::Error| format!("failed to {error}");
        let modules = match &self.rules {
            Some(path) => Modules::read(&path.display().to_string(), &text(path)?).map_err(failed)?,
            None => Modules::read(modules::NAME, modules::BUILT_IN).map_err(failed)?,
        };
        let ships = match &self.ships {
            Some(path) => Ships::read(&path.display().to_string(), &text(path)?).map_err(failed)?,
            None => Ships::read(ships::NAME, ships::BUILT_IN).map_err(failed)?,
        };
        Ok(Tagger { modules, ships })
    }

    /// The stage. Without ESI what the static data lack stays unknown. Tables that have become unusable since they were checked are said so, and those
    /// that come with the program serve.
    pub fn build(&self, pipeline: &str, resources: &Resources) -> Tag {
        let tagger = self.tagger().unwrap_or_else(|error| {
            tracing::error!("the rules that come with the program tag kills: {error}");
            Tagger::default()
        });
        Tag {
            tagger,
            shelf: resources.statics.clone(),
            unknowns: resources.unknowns.clone(),
            esi: resources.esi.at(&self.url, resources.contact.as_deref()),
            max_wait: self.max_wait,
            differences: Differences::new(pipeline),
        }
    }
}

/// The stage; also for whoever has one kill at a time.
#[derive(Debug)]
pub struct Tag {
    tagger: Tagger,
    shelf: Arc<Shelf>,
    unknowns: Arc<Unknowns>,
    esi: Result<Esi, address::Error>,
    max_wait: Span,
    differences: Differences,
}

#[async_trait]
impl Stage<Kill> for Tag {
    async fn process(&self, messages: &mut [Message<Kill>]) {
        self.tag(messages.iter_mut().map(|message| &mut message.payload)).await;
    }
}

impl Tag {
    /// Tags these kills, those that were decoded. What could not be learned in time is marked `refresh`.
    pub async fn tag<'a>(&self, kills: impl Iterator<Item = &'a mut Kill>) {
        let statics = self.shelf.current();
        let mut poor: Vec<(&mut Kill, Lacking)> = Vec::new();
        for kill in kills {
            let lacking = put(kill, &statics, &self.tagger);
            if lacking.is_empty() {
                self.differences.count(kill);
            } else {
                poor.push((kill, lacking));
            }
        }
        if poor.is_empty() {
            return;
        }
        if statics.is_empty() {
            poor.iter().for_each(|(kill, _)| self.differences.count(kill));
            return;
        }
        let learned = self.learn(&poor).await;
        let now = self.shelf.current();
        for (kill, _) in poor {
            let lacking = put(kill, &now, &self.tagger);
            settle(kill, &lacking, &learned);
            self.differences.count(kill);
        }
    }

    /// Asks for what they lack, once each.
    async fn learn(&self, poor: &[(&mut Kill, Lacking)]) -> Learned {
        let types: Vec<_> = poor.iter().flat_map(|(_, lacking)| &lacking.types).copied().collect();
        let systems: Vec<_> = poor.iter().filter_map(|(_, lacking)| lacking.system).collect();
        match &self.esi {
            Ok(esi) => self.unknowns.learn(esi, &types, &systems, Instant::now() + self.max_wait.0).await,
            Err(error) => {
                tracing::debug!("what static data lack stays unknown: failed to {error}");
                let later = types.into_iter().map(Unknown::Type).chain(systems.into_iter().map(Unknown::System));
                Learned { later: later.collect(), ..Learned::default() }
            }
        }
    }
}

/// Whether a kill that still lacks something is to be looked at again. What ESI does not know either is nothing that could be known.
fn settle(kill: &mut Kill, lacking: &Lacking, learned: &Learned) {
    let mut lacks = lacking.types.iter().copied().map(Unknown::Type).chain(lacking.system.map(Unknown::System));
    if lacks.any(|unknown| learned.later.contains(&unknown)) {
        kill.refresh = true;
    } else if let Some(tagged) = &mut kill.tagged {
        let is_poor = kill.mail.as_ref().is_some_and(|mail| mail.form == Form::Feed);
        Arc::make_mut(tagged).is_whole = !is_poor;
    }
}

/// Tags a kill with what there is; answers what is lacking. A kill that was not decoded stays as it is.
pub fn put(kill: &mut Kill, statics: &Statics, tagger: &Tagger) -> Lacking {
    let Some(mail) = kill.mail.as_deref() else { return Lacking::default() };
    let Found { tagged, lacking } = tagger.tag(statics, mail);
    kill.tagged = Some(Arc::new(tagged));
    lacking
}

/// Where zKillboard's block says otherwise.
#[derive(Debug)]
struct Differences {
    npc: Counter,
    solo: Counter,
    awox: Counter,
    points: Counter,
    labels: Counter,
}

impl Differences {
    fn new(pipeline: &str) -> Self {
        let of = |field: &'static str| counter!("broadside_tag_differences_total", "pipeline" => pipeline.to_owned(), "field" => field);
        Self { npc: of("npc"), solo: of("solo"), awox: of("awox"), points: of("points"), labels: of("labels") }
    }

    fn count(&self, kill: &Kill) {
        let (Some(mail), Some(tagged)) = (kill.mail.as_deref(), kill.tagged.as_deref()) else { return };
        let differing = differences(mail, tagged).into_iter().zip(self.fields()).filter(|(differs, _)| *differs);
        differing.for_each(|(_, counter)| counter.increment(1));
    }

    fn fields(&self) -> [&Counter; 5] {
        [&self.npc, &self.solo, &self.awox, &self.points, &self.labels]
    }
}

/// In npc, solo, awox, points, labels: both say something, and not the same.
fn differences(mail: &Killmail, tagged: &Tagged) -> [bool; 5] {
    let Some(zkb) = &mail.zkb else { return [false; 5] };
    let differ = |said: Option<bool>, found: Option<bool>| said.zip(found).is_some_and(|(said, found)| said != found);
    let mut said: Vec<&str> = zkb.labels.iter().map(String::as_str).collect();
    said.retain(|label| !label.starts_with(VALUE_LABELS));
    said.sort_unstable();
    let points = zkb.points.zip(tagged.points).is_some_and(|(said, found)| said != found);
    let labels = !said.is_empty() && !said.iter().copied().eq(tagged.labels.iter().map(|label| &**label));
    [differ(zkb.npc, Some(tagged.npc)), differ(zkb.solo, tagged.solo), differ(zkb.awox, tagged.awox), points, labels]
}
