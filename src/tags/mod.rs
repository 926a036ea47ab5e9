//! What a kill is: tags of what was fitted, classes of ship and place, zKillboard's flags, points and labels, and what every participant gave and took.
//!
//! Pure: a kill and static data in, [`Found`] out; nothing is fetched here, and nothing depends on when it runs. What can be decided by a table is
//! decided by a table ([`modules`], [`ships`]): CSV files beside this one, built in, for which an operator may give others.
//!
//! | file | what |
//! |---|---|
//! | [`modules`], `modules.csv` | tags of fitted modules: slot, make, what it is |
//! | [`ships`], `ships.csv` | classes of ships and structures, with what is expected of them in a fight |
//! | [`places`] | classes of systems |
//! | [`zkillboard`], [`labels`] | zKillboard's npc, solo, awox, points and labels |
//! | [`measures`] | mass balance and usefulness: defined there |
//! | [`tagger`] | all of it for one kill |

pub mod labels;
pub mod measures;
pub mod modules;
pub mod places;
pub mod ships;
mod table;
pub mod tagger;
pub mod zkillboard;

pub use modules::Modules;
pub use ships::Ships;
pub use table::Error;
pub use tagger::{Found, Lacking, Tagger};
