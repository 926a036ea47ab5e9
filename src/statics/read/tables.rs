//! The tables that static data come in, and what is missed without one.

/// In the order in which they are read: what others refer to first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Categories,
    Groups,
    MetaGroups,
    Types,
    MetaTypes,
    Effects,
    Attributes,
    /// Effects and attributes in one.
    Dogma,
    Regions,
    Constellations,
    Systems,
}

/// Whose form the tables have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// CSV, a file a table.
    Fuzzwork,
    /// JSON lines, a file a table, all in one zip.
    Official,
}

impl Form {
    /// Its tables, with the names of their files.
    pub(super) fn tables(self) -> &'static [(Table, &'static str)] {
        match self {
            Self::Fuzzwork => &[
                (Table::Categories, "invCategories"),
                (Table::Groups, "invGroups"),
                (Table::MetaGroups, "invMetaGroups"),
                (Table::Types, "invTypes"),
                (Table::MetaTypes, "invMetaTypes"),
                (Table::Effects, "dgmTypeEffects"),
                (Table::Attributes, "dgmTypeAttributes"),
                (Table::Regions, "mapRegions"),
                (Table::Constellations, "mapConstellations"),
                (Table::Systems, "mapSolarSystems"),
            ],
            Self::Official => &[
                (Table::Categories, "categories"),
                (Table::Groups, "groups"),
                (Table::MetaGroups, "metaGroups"),
                (Table::Types, "types"),
                (Table::Dogma, "typeDogma"),
                (Table::Regions, "mapRegions"),
                (Table::Constellations, "mapConstellations"),
                (Table::Systems, "mapSolarSystems"),
            ],
        }
    }

    /// What its files' names end in, unpacked.
    pub(super) const fn end(self) -> &'static str {
        match self {
            Self::Fuzzwork => ".csv",
            Self::Official => ".jsonl",
        }
    }
}

impl Table {
    /// Without these nothing is read.
    pub(super) const fn is_needed(self) -> bool {
        matches!(self, Self::Types | Self::Groups | Self::Systems)
    }

    /// What is not known without it.
    pub(super) const fn gives(self) -> &'static str {
        match self {
            Self::Categories => "names of categories",
            Self::Groups => "groups",
            Self::MetaGroups => "names of meta groups",
            Self::Types => "types",
            Self::MetaTypes => "meta groups of types",
            Self::Effects => "slots of modules",
            Self::Attributes => "tech levels, meta levels, rig sizes, overheating",
            Self::Dogma => "slots of modules, rig sizes, overheating",
            Self::Regions => "names of regions",
            Self::Constellations => "names of constellations",
            Self::Systems => "solar systems",
        }
    }
}
