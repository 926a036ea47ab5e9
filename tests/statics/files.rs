//! Small static data as files, in every form.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use broadside::statics::Statics;
use broadside::statics::read::{Found, Problem};
use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// Fuzzwork's tables: a name, and the text.
pub(crate) const FUZZWORK: &[(&str, &str)] = &[
    ("invCategories", "categoryID,categoryName,iconID,published\n0,#System,,0\n6,Ship,,1\n7,Module,,1\n"),
    ("invGroups", "groupID,categoryID,groupName,useBasePrice\n0,0,#System,0\n25,6,Frigate,0\n74,7,Hybrid Weapon,0\n"),
    ("invMetaGroups", "metaGroupID,metaGroupName,description,iconID\n1,Tech I,,\n2,Tech II,\"two\nlines\",24150\n"),
    (
        "invTypes",
        "typeID,groupID,typeName,description,mass,volume,capacity,portionSize,raceID,basePrice,published,marketGroupID,iconID\n\
         0,0,#System,,1.0,0E-10,0E-10,1,None,None,0,None,None\n\
         17,0,in a group that is left out,,1.0,0E-10,0E-10,1,None,None,0,None,None\n\
         587,25,Rifter,\"Built of scrap, and \"\"proud\"\" of it.\nA second line.\",1067000.0000000000,27289,140,1,2,None,1,64,\n\
         3074,74,150mm Railgun II,,500.0,5,0.1,1,,74014.5000,1,564,\n\
         3075,74,old,,0E-10,1E+35,0,1,None,0.0000,0,None,\n",
    ),
    ("invMetaTypes", "typeID,parentTypeID,metaGroupID\n587,,1\n3074,565,2\n4711,,2\n"),
    ("dgmTypeEffects", "typeID,effectID,isDefault\n3074,42,0\n3074,12,0\n3074,12,0\n4711,12,1\n"),
    ("mapRegions", "regionID,regionName,x\n10000002,The Forge,-9.6e16\n"),
    ("mapConstellations", "regionID,constellationID,constellationName\n10000002,20000020,Kimotoro\n"),
    (
        "mapSolarSystems",
        "regionID,constellationID,solarSystemID,solarSystemName,security,securityClass\n\
         10000002,20000020,30000142,Jita,0.945913116664839,B\n10000002,20000020,30000144,Perimeter,-0.5,None\n",
    ),
];

pub(crate) const ATTRIBUTES: (&str, &str) = (
    "dgmTypeAttributes",
    "typeID,attributeID,valueInt,valueFloat\n3074,422,2,None\n3074,633,None,5.0\n3074,1211,,3.5\n3074,1692,6,\n3075,1692,14,None\n\
     3075,1547,,2\n587,9,1,\n4711,422,1,\n",
);

/// The official lines.
pub(crate) const OFFICIAL: &[(&str, &str)] = &[
    (
        "categories",
        "{\"_key\":0,\"name\":{\"en\":\"#System\"}}\n{\"_key\":6,\"name\":{\"en\":\"Ship\"}}\n{\"_key\":7,\"name\":{\"en\":\"Module\"}}\n",
    ),
    (
        "groups",
        "{\"_key\":0,\"categoryID\":0,\"name\":{\"en\":\"#System\"}}\n{\"_key\":25,\"categoryID\":6,\"name\":{\"de\":\"Fregatte\",\"en\":\"Frigate\"},\"published\":true}\n\
         {\"_key\":74,\"categoryID\":7,\"name\":{\"en\":\"Hybrid Weapon\"}}\n",
    ),
    ("metaGroups", "{\"_key\":1,\"name\":{\"en\":\"Tech I\"}}\n\n{\"_key\":2,\"name\":{\"en\":\"Tech II\"}}\n"),
    (
        "types",
        "{\"_key\":0,\"groupID\":0,\"name\":{\"en\":\"#System\"}}\n{\"_key\":17,\"groupID\":0,\"name\":{\"en\":\"in a group that is left out\"}}\n\
         {\"_key\":587,\"groupID\":25,\"name\":{\"en\":\"Rifter\",\"ja\":\"\\u30ea\"},\"description\":{\"en\":\"scrap\"},\"published\":true,\"mass\":1067000.0,\"volume\":27289.0,\"metaGroupID\":1,\"marketGroupID\":64}\n\
         {\"_key\":3074,\"groupID\":74,\"name\":{\"en\":\"150mm Railgun II\"},\"published\":true,\"mass\":500,\"volume\":5,\"basePrice\":74014.5,\"metaGroupID\":2,\"marketGroupID\":564}\n\
         {\"_key\":3075,\"groupID\":74,\"name\":{\"en\":\"old\"},\"published\":false,\"volume\":1e35,\"basePrice\":0.0}",
    ),
    (
        "typeDogma",
        "{\"_key\":3074,\"dogmaAttributes\":[{\"attributeID\":422,\"value\":2.0},{\"attributeID\":633,\"value\":5.0},{\"attributeID\":1211,\"value\":3.5},{\"attributeID\":1692,\"value\":6.0}],\"dogmaEffects\":[{\"effectID\":42,\"isDefault\":false},{\"effectID\":12,\"isDefault\":false}]}\n\
         {\"_key\":3075,\"dogmaAttributes\":[{\"attributeID\":1692,\"value\":14.0},{\"attributeID\":1547,\"value\":2.0}]}\n{\"_key\":4711,\"dogmaEffects\":[{\"effectID\":12,\"isDefault\":true}]}\n",
    ),
    ("mapRegions", "{\"_key\":10000002,\"name\":{\"en\":\"The Forge\"}}\n"),
    ("mapConstellations", "{\"_key\":20000020,\"regionID\":10000002,\"name\":{\"en\":\"Kimotoro\"}}\n"),
    (
        "mapSolarSystems",
        "{\"_key\":30000142,\"constellationID\":20000020,\"regionID\":10000002,\"name\":{\"en\":\"Jita\"},\"securityStatus\":0.945913116664839,\"position\":{\"x\":1.0}}\n\
         {\"_key\":30000144,\"constellationID\":20000020,\"regionID\":10000002,\"name\":{\"en\":\"Perimeter\"},\"securityStatus\":-0.5}\n",
    ),
];

/// A folder of tables.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// All tables, each packed in another way.
    pub(crate) fn of(tables: &[(&str, &str)], end: &str) -> Self {
        let folder = Self::new();
        for (number, (name, text)) in tables.iter().enumerate() {
            match number % 3 {
                0 => folder.write(&format!("{name}{end}"), text),
                1 => folder.write(&format!("{name}{end}.gz"), gz(text.as_bytes())),
                _ => folder.write(&format!("{name}{end}.bz2"), bz2(text.as_bytes())),
            }
        }
        folder
    }

    pub(crate) fn fuzzwork() -> Self {
        Self::of(FUZZWORK, ".csv")
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    /// Puts another text in the place of a table, plain.
    pub(crate) fn replace(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.remove(name);
        self.write(&format!("{name}.csv"), bytes);
    }

    /// Takes a table away, however it is packed.
    pub(crate) fn remove(&self, name: &str) {
        for entry in fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}.")) {
                fs::remove_file(path).unwrap();
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The official lines in one zip.
    pub(crate) fn zip(&self, tables: &[(&str, &str)], prefix: &str) -> PathBuf {
        let path = self.path().join("static-data.zip");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for (name, text) in tables {
            zip.start_file(format!("{prefix}{name}.jsonl"), options).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// In two members, as parallel packers make them.
pub(crate) fn bz2(bytes: &[u8]) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    [first, second]
        .into_iter()
        .flat_map(|part| {
            let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::best());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap()
        })
        .collect()
}

pub(crate) fn read(path: &Path) -> Result<Statics, Problem> {
    Found::at(path)?.read(&Arc::default())
}

/// What is wrong, without the folder.
pub(crate) fn refusal(path: &Path) -> String {
    let folder = if path.is_dir() { path } else { path.parent().unwrap() };
    read(path)
        .expect_err("refused")
        .to_string()
        .replace(&format!("{}/", folder.display()), "")
        .replace(&folder.display().to_string(), "DIR")
}
