//! One row a mistake: the file, and `line:column: message | hint` of everything that is said about it.

use super::parse;

const SOURCE: &str = "[source.file]\npaths = [\"a\"]\n";
const FEED: &str = "[source.wanderer]\nurl = \"http://localhost\"\n";
const PARSE: &str = "[[processor]]\nname = \"parse\"\nstages = [\"decode\", \"deduplicate\"]\n";
const DB: &str = "[[batcher]]\nname = \"db\"\nsink.database = {}\n";

/// What is said, one line a problem.
fn said(text: &str) -> Vec<String> {
    let Err(problems) = parse(text) else { return Vec::new() };
    let line = |problem: &broadside::definition::Problem| {
        let place =
            problem.place.as_ref().map_or_else(String::new, |place| format!("{}:{}: ", place.line, place.column));
        let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}"));
        format!("{place}{}{hint}", problem.message)
    };
    problems.0.iter().map(line).collect()
}

macro_rules! cases {
    ($($name:ident: $text:expr => [$($said:expr),+ $(,)?];)+) => {$(
        #[test]
        fn $name() {
            let text: String = $text;
            assert_eq!(said(&text), [$($said),+], "\n{text}");
        }
    )+};
}

#[test]
fn what_the_rows_are_made_of_is_sound() {
    for text in [format!("{SOURCE}{PARSE}{DB}"), format!("{FEED}{PARSE}{DB}"), format!("{SOURCE}{PARSE}")] {
        assert_eq!(said(&text), Vec::<String>::new());
    }
}

cases! {
    an_empty_file: String::new() => ["1:1: a pipeline needs a source | add one of [source.wanderer], [source.zkillboard], [source.redisq], [source.failover], [source.file], [source.generator], [source.market], [source.prices]"];
    no_source: format!("{PARSE}{DB}") => ["1:1: a pipeline needs a source | add one of [source.wanderer], [source.zkillboard], [source.redisq], [source.failover], [source.file], [source.generator], [source.market], [source.prices]"];
    two_sources: format!("{SOURCE}{FEED}{PARSE}") => ["1:2: exactly one source is needed here, and there are several"];
    an_unknown_source: format!("[source.wandrer]\nurl = \"x\"\n{PARSE}") => ["1:9: unknown source `wandrer` | did you mean `wanderer`?"];
    a_source_without_kind: format!("[source]\n{PARSE}") => ["1:1: exactly one source is needed here, and there is none"];
    a_source_as_text: format!("source = \"wanderer\"\n{PARSE}") => ["1:10: a source must be a table that is named after its kind | as in [source.wanderer]"];
    no_processor: format!("{SOURCE}{DB}") => ["1:1: a pipeline needs at least one processor | add [[processor]] with name = \"parse\" and stages = [\"decode\"]"];
    a_syntax_error: format!("{SOURCE}name = \n") => ["3:8: string values must be quoted, expected literal string"];
    a_string_left_open: format!("{SOURCE}{PARSE}[[batcher]]\nname = \"db\n") => ["7:11: invalid basic string, expected `\"`"];
    a_key_twice: format!("{SOURCE}{PARSE}{DB}name = \"db2\"\n") => ["9:1: duplicate key"];
    an_unknown_table: format!("{SOURCE}{PARSE}[limit]\nin_flight_max = 1\n") => ["6:2: unknown field `limit` | did you mean `limits`?"];
    plural_tables: format!("{SOURCE}[[processors]]\nname = \"parse\"\nstages = [\"decode\"]\n") => ["3:3: unknown field `processors` | did you mean `processor`?"];
    single_brackets: format!("{SOURCE}[processor]\nname = \"parse\"\nstages = [\"decode\"]\n") => ["3:2: `processor` is a table, not a list of tables | write [[processor]], in double brackets: there may be several"];
    an_unknown_field: format!("{SOURCE}[[processor]]\nname = \"parse\"\nconcurency = 2\nstages = [\"decode\"]\n") => ["5:1: unknown field `concurency` | did you mean `concurrency`?"];
    an_unknown_field_of_a_source: format!("[source.wanderer]\nurll = \"x\"\n{PARSE}") => ["2:1: unknown field `urll` | did you mean `url`?"];
    an_unknown_field_of_a_sink: format!("{SOURCE}{PARSE}[[batcher]]\nname = \"db\"\nsink.database = {{ path = \"x\" }}\n") => ["8:19: unknown field `path` | known here: events"];
    an_unknown_stage: format!("{SOURCE}[[processor]]\nname = \"parse\"\nstages = [\"decode\", \"dedupliacte\"]\n") => ["5:21: unknown stage `dedupliacte` | did you mean `deduplicate`?"];
    an_unknown_sink: format!("{SOURCE}{PARSE}[[batcher]]\nname = \"db\"\nsink.databse = {{}}\n") => ["8:6: unknown sink `databse` | did you mean `database`?"];
    a_sink_as_text: format!("{SOURCE}{PARSE}[[batcher]]\nname = \"db\"\nsink = \"database\"\n") => ["8:8: a sink must be a table that is named after its kind | as in sink.database = {}"];
    two_sinks: format!("{SOURCE}{PARSE}{DB}sink.pubsub = {{}}\n") => ["8:1: exactly one sink is needed here, and there are several"];
    no_sink: format!("{SOURCE}{PARSE}[[batcher]]\nname = \"db\"\n") => ["6:1: `sink` is missing | sink.database = {}, say"];
    an_unknown_partition: format!("{SOURCE}{PARSE}{DB}partition_by = \"planet\"\n") => ["9:16: unknown partition `planet` | known here: solar_system, region"];
    an_unknown_stream: format!("{FEED}stream = \"fast\"\n{PARSE}") => ["3:10: unknown value `fast` | known here: basic, enhanced"];
    no_name: format!("{SOURCE}[[processor]]\nstages = [\"decode\"]\n") => ["3:1: `name` is missing | name = \"parse\", say: it stands in metrics and in `after`"];
    an_empty_name: format!("{SOURCE}[[processor]]\nname = \"\"\nstages = [\"decode\"]\n") => ["4:8: the name is empty"];
    an_odd_name: format!("{SOURCE}[[processor]]\nname = \"Parse it\"\nstages = [\"decode\"]\n") => ["4:8: the name \"Parse it\" has characters that it may not have | it becomes a label in metrics: use a-z, 0-9, _ and -"];
    a_long_name: format!("{SOURCE}[[processor]]\nname = \"{}\"\nstages = [\"decode\"]\n", "a".repeat(41)) => ["4:8: the name is 41 characters long | at most 40"];
    a_stage_with_a_bad_address: format!("{SOURCE}[[processor]]\nname = \"parse\"\nstages = [\"decode\", {{ detail = {{ url = \"nowhere\" }} }}]\n") => ["5:21: failed to use the url \"nowhere\": relative URL without a base"];
    no_stages: format!("{SOURCE}[[processor]]\nname = \"parse\"\nstages = []\n") => ["5:10: a processor without stages does nothing | known here: decode, deduplicate, detail, tag, price, match, decode_orders, quote"];
    a_stage_before_what_it_needs: format!("{SOURCE}[[processor]]\nname = \"parse\"\nstages = [\"deduplicate\", \"decode\"]\n") => ["5:11: stage `deduplicate` stands before `decode`, which it needs | move `decode` before it"];
    a_stage_without_what_it_needs: format!("{SOURCE}[[processor]]\nname = \"parse\"\nstages = [\"deduplicate\"]\n") => ["5:11: stage `deduplicate` stands before `decode`, which it needs | add `decode` before it"];
    a_stage_twice: format!("{SOURCE}{PARSE}[[processor]]\nname = \"again\"\nstages = [\"decode\"]\n") => ["8:11: stage `decode` stands in the pipeline twice"];
    a_sink_that_needs_a_stage: format!("{SOURCE}[[processor]]
name = \"parse\"
stages = [\"deduplicate\"]
{DB}") => [
        "5:11: stage `deduplicate` stands before `decode`, which it needs | add `decode` before it",
        "8:1: sink `database` needs `decode`, and no processor has that stage | stages = [\"decode\", …]",
    ];
    the_same_name_twice: format!("{SOURCE}{PARSE}[[batcher]]\nname = \"parse\"\nsink.database = {{}}\n") => ["7:8: two worker groups are called `parse` | names tell worker groups apart in metrics and in `after`"];
    a_batcher_that_nothing_feeds: format!("{SOURCE}{PARSE}{DB}[[batcher]]\nname = \"publish\"\nsink.pubsub = {{}}\n") => ["10:1: nothing feeds `publish`: messages go to `db`, and from there only `after` | after = \"db\""];
    an_unknown_after: format!("{SOURCE}{PARSE}{DB}[[batcher]]\nname = \"publish\"\nafter = \"dv\"\nsink.pubsub = {{}}\n") => ["11:9: `publish`: after = \"dv\", and there is no batcher of that name | did you mean `db`?"];
    a_batcher_after_itself: format!("{SOURCE}{PARSE}{DB}after = \"db\"\n") => ["9:9: `db` comes after itself | one batcher, the first, has no `after`"];
    a_circle: format!("{SOURCE}{PARSE}{DB}after = \"b\"\n[[batcher]]\nname = \"b\"\nafter = \"db\"\nsink.pubsub = {{}}\n") => ["9:9: `db` comes after itself | one batcher, the first, has no `after`", "12:9: `b` comes after itself | one batcher, the first, has no `after`"];
    a_fork: format!("{SOURCE}{PARSE}{DB}[[batcher]]\nname = \"a\"\nafter = \"db\"\nsink.pubsub = {{}}\n[[batcher]]\nname = \"b\"\nafter = \"db\"\nsink.blackhole = {{}}\n") => ["15:9: `b` and `a` both come after `db`: chain them, `b` after `a`"];
    too_few_in_flight: format!("{SOURCE}{PARSE}{DB}[limits]\nin_flight_max = 50\n") => ["10:17: in_flight_max 50 is below 100, which `db` needs to fill its batches: they would all wait for the timeout | in_flight_max = 200 or more, or smaller batches"];
    a_batch_above_the_default_limit: format!("{SOURCE}{PARSE}{DB}batch_size = 6000\n") => ["9:14: in_flight_max 5000 is below 6000, which `db` needs to fill its batches: they would all wait for the timeout | in_flight_max = 12000 or more, or smaller batches"];
    a_queue_below_a_batch: format!("{SOURCE}{PARSE}{DB}capacity = 50\n") => ["9:12: `db`: capacity 50 is below batch_size 100, so a full group could never pass | leave capacity out: it follows by itself"];
    a_queue_below_the_demand: format!("{SOURCE}{PARSE}capacity = 50\n") => ["6:12: `parse`: capacity 50 is below max_demand 100, so a full group could never pass | leave capacity out: it follows by itself"];
    no_workers: format!("{SOURCE}{PARSE}concurrency = 0\n") => ["6:15: concurrency must be at least 1"];
    an_empty_batch: format!("{SOURCE}{PARSE}{DB}batch_size = 0\n") => ["9:14: batch_size must be at least 1"];
    no_time: format!("{SOURCE}{PARSE}{DB}batch_timeout = \"0s\"\n") => ["9:17: batch_timeout must be more than 0s"];
    no_drain: format!("{SOURCE}{PARSE}[limits]\ndrain_deadline = \"0s\"\n") => ["7:18: drain_deadline must be more than 0s: every drain would abandon messages | 30s is the default"];
    no_rate: format!("{SOURCE}{PARSE}[limits]\nrate_limit = {{ messages = 0, per = \"1s\" }}\n") => ["7:27: messages must be at least 1"];
    absurd_workers: format!("{SOURCE}{PARSE}concurrency = 100000\n") => ["6:15: concurrency 100000 is too large: each worker is a task with a group of messages in hand | at most 1024"];
    absurd_flight: format!("{SOURCE}{PARSE}[limits]\nin_flight_max = 100000000\n") => ["7:17: in_flight_max 100000000 is too large: each message keeps its raw bytes, some 3 kB: this would be gigabytes | at most 1000000"];
    an_absurd_timeout: format!("{SOURCE}{PARSE}{DB}batch_timeout = \"3d\"\n") => ["9:17: batch_timeout is too long: messages would wait that long in an open batch | at most 1h"];
    a_number_beyond_all: format!("{SOURCE}{PARSE}concurrency = 99999999999999999999999\n") => ["6:15: expected a whole number, 0 or more; found integer `99999999999999999999999`"];
    a_negative_number: format!("{SOURCE}{PARSE}concurrency = -2\n") => ["6:15: expected a whole number, 0 or more; found integer `-2`"];
    a_number_as_text: format!("{SOURCE}{PARSE}concurrency = \"2\"\n") => ["6:15: expected a whole number, 0 or more; found string \"2\""];
    a_fraction: format!("{SOURCE}{PARSE}concurrency = 1.5\n") => ["6:15: expected a whole number, 0 or more; found the number `1.5`"];
    text_as_flag: format!("enabled = \"yes\"\n{SOURCE}{PARSE}") => ["1:11: expected true or false, without quotes; found string \"yes\""];
    a_duration_without_unit: format!("{SOURCE}{PARSE}{DB}batch_timeout = \"200\"\n") => ["9:17: no duration: \"200\"; write a number with a unit, such as \"200ms\", \"45s\", \"2m\" or \"1h 30m\""];
    a_duration_as_number: format!("{SOURCE}{PARSE}{DB}batch_timeout = 200\n") => ["9:17: expected a text in quotes; found integer `200`"];
    a_share_above_one: format!("{SOURCE}{PARSE}[dead_letters]\nalert_above = 5\n") => ["7:15: alert_above must be from 0 to 1 | a share: 0.01 is one in a hundred"];
    dead_letters_off_without_redelivery: format!("{FEED}{PARSE}{DB}[dead_letters]\nenabled = false\n") => ["10:11: dead letters are off, and `wanderer` cannot hand out a message again: what fails would be lost | leave dead letters on"];
    no_attempts: format!("{SOURCE}{PARSE}[dead_letters]\nattempts_max = 0\n") => ["7:16: attempts_max must be at least 1 | the first attempt counts"];
    a_partition_of_kills_by_region: format!("{SOURCE}{PARSE}{DB}partition_by = \"region\"\n") => ["9:16: partition_by works on pages of market orders, and source `file` brings kills"];
    a_stage_of_orders_on_kills: format!("{SOURCE}[[processor]]\nname = \"parse\"\nstages = [\"decode\", \"decode_orders\"]\n") => ["5:21: stage `decode_orders` works on pages of market orders, and source `file` brings kills"];
    kills_into_the_table_of_orders: format!("{SOURCE}{PARSE}[[batcher]]\nname = \"db\"\nsink.orders = {{}}\n") => ["8:1: sink `orders` works on pages of market orders, and source `file` brings kills", "8:1: sink `orders` needs `decode_orders`, and no processor has that stage | stages = [\"decode_orders\", …]"];
    orders_into_the_table_of_kills: "[source.market]\nurl = \"http://localhost\"\n[[processor]]\nname = \"parse\"\nstages = [\"decode_orders\"]\n[[batcher]]\nname = \"db\"\nsink.database = {}\n".to_owned() => ["8:1: sink `database` works on kills, and source `market` brings pages of market orders", "8:1: sink `database` needs `decode`, and no processor has that stage | stages = [\"decode\", …]"];
    dead_letters_of_a_market: "[source.market]\nurl = \"http://localhost\"\n[[processor]]\nname = \"parse\"\nstages = [\"decode_orders\"]\n[dead_letters]\nenabled = true\n".to_owned() => ["7:11: a page of market orders is not kept as a dead letter: one that fails is asked for again | leave the section out"];
    dead_letters_of_the_price_job: "[source.prices]\n[[processor]]\nname = \"ask\"\nstages = [\"quote\"]\n[dead_letters]\nenabled = true\n".to_owned() => ["6:11: a product without a price is not kept as a dead letter: the next run asks for it again | leave the section out"];
    the_price_job_without_its_stage: "[source.prices]\n[[processor]]\nname = \"ask\"\nstages = [\"decode\"]\n[[batcher]]\nname = \"db\"\nsink.prices = {}\n".to_owned() => ["4:11: stage `decode` works on kills, and source `prices` brings products to be priced", "7:1: sink `prices` needs `quote`, and no processor has that stage | stages = [\"quote\", …]"];
    a_market_twice: "[source.prices]\nmarkets = [2, 2]\n[[processor]]\nname = \"ask\"\nstages = [\"quote\"]\n".to_owned() => ["1:9: markets names one twice"];
    regions_that_are_none: "[source.market]\nurl = \"http://localhost\"\nregions = \"some\"\n[[processor]]\nname = \"parse\"\nstages = [\"decode_orders\"]\n".to_owned() => ["3:11: expected \"all\", or a list of ids and names of regions; found string \"some\""];
    too_many_calls_at_once: "[source.market]\nurl = \"http://localhost\"\nconcurrency = 17\n[[processor]]\nname = \"parse\"\nstages = [\"decode_orders\"]\n".to_owned() => ["1:9: concurrency must be from 1 to 16: beyond that ESI gets slower"];
    a_partition_of_kills_not_yet_decoded: format!("{SOURCE}{PARSE}partition_by = \"solar_system\"\n") => ["6:16: partition_by needs kills that are decoded when they come in: all would be in one partition | decode in a processor of its own before this one"];
    a_filter_beyond_the_feed: format!("[source.wanderer]\nurl = \"http://localhost\"\npreload_days = 91\n{PARSE}") => ["1:9: failed to ask for 91 preload_days: the service sends 90 at most"];
    a_variable_that_is_not_set: format!("[source.wanderer]\nurl = \"http://${{HOST}}:80\"\n{PARSE}") => ["2:15: the environment variable `HOST` is not set | set HOST, or give a default: ${HOST:-…}"];
    a_variable_left_open: format!("[source.wanderer]\nurl = \"${{HOST\"\n{PARSE}") => ["2:8: `${` without its `}` | write ${NAME}, ${NAME:-default}, or $$ for a dollar sign"];
    a_variable_in_a_key: format!("[source.wanderer]\n\"${{KEY:-url}}\" = \"x\"\n{PARSE}") => ["2:1: unknown field `${KEY:-url}` | known here: url, stream, system_ids, character_ids, min_value, preload_days, idle_timeout"];
    several_at_once: format!("nabled = true\n[source.wanderer]\nurll = \"x\"\n[[processor]]\nname = \"P\"\nstages = [\"decode\"]\n[[batcher]]\nname = \"db\"\nsink.databse = {{}}\n[limits]\nin_flight_max = \"x\"\n") => ["1:1: unknown field `nabled` | did you mean `enabled`?", "3:1: unknown field `urll` | did you mean `url`?", "5:8: the name \"P\" has characters that it may not have | it becomes a label in metrics: use a-z, 0-9, _ and -", "9:6: unknown sink `databse` | did you mean `database`?", "11:17: expected a whole number, 0 or more; found string \"x\""];
}
