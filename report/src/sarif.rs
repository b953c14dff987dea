//! A triage, and other crashes of a campaign, as SARIF 2.1.0, for code scanning: each rule of the
//! judge, one result per cause at the case that shows it, and as notifications what could not be
//! read or broke the model. The signature of the finding that stands for a cause is the
//! fingerprint, so that the same bug is the same alert in every triage that finds it there first.

use std::collections::BTreeMap;

use mkwrite_model::source;
use mkwrite_oracle::Rule;
use serde_sarif::sarif::{
    ArtifactLocation, Invocation, Location, LogicalLocation, Message, MultiformatMessageString,
    Notification, PhysicalLocation, ReportingDescriptor, Result, ResultLevel, Run, Sarif, Tool,
    ToolComponent,
};

use crate::campaign::Crash;
use crate::triage::{Cause, Remark, Status, Triage, more, uri};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The name of the fingerprint; another number if signatures change.
const FINGERPRINT: &str = "mkwriteSignature/v1";

/// The log.
pub fn log(triage: &Triage, crashes: &[Crash]) -> Sarif {
    let driver = ToolComponent::builder()
        .name("mkwrite")
        .semantic_version(env!("CARGO_PKG_VERSION"))
        .rules(Rule::ALL.iter().map(|rule| descriptor(*rule)).collect::<Vec<_>>());
    let broken = triage.broken.iter().map(|remark| notification(remark, ResultLevel::Error));
    let skipped = triage.skipped.iter().map(|remark| notification(remark, ResultLevel::Warning));
    let invocation = Invocation::builder()
        .execution_successful(triage.broken.is_empty() && !triage.interrupted)
        .tool_execution_notifications(broken.chain(skipped).collect::<Vec<_>>());
    let run = Run::builder()
        .tool(Tool::from(driver.build()))
        .invocations(vec![invocation.build()])
        .results(
            triage
                .causes
                .iter()
                .map(|cause| result(triage, cause))
                .chain(crashes.iter().map(crash))
                .collect::<Vec<_>>(),
        );
    Sarif::builder().schema(SCHEMA).version("2.1.0").runs(vec![run.build()]).build()
}

fn text(text: &str) -> MultiformatMessageString {
    MultiformatMessageString::builder().text(text).build()
}

fn descriptor(rule: Rule) -> ReportingDescriptor {
    let about = rule.about();
    ReportingDescriptor::builder()
        .id(about.id)
        .short_description(text(about.title))
        .full_description(text(about.title))
        .help(text(&format!(
            "{}. Source: {}. See {}.",
            about.title,
            about.source,
            source::places(about.source)
        )))
        .build()
}

fn location(path: &str, signature: Option<&str>) -> Location {
    let artifact = ArtifactLocation::builder().uri(uri(path)).build();
    let place = PhysicalLocation::builder().artifact_location(artifact).build();
    let names = signature.map(|name| LogicalLocation::builder().fully_qualified_name(name).build());
    let mut location = Location::builder().physical_location(place).build();
    location.logical_locations = names.map(|name| vec![name]);
    location
}

fn result(triage: &Triage, cause: &Cause) -> Result {
    let about = &cause.about;
    let level = match about.status {
        Status::New => ResultLevel::Error,
        Status::Fixed => ResultLevel::Warning,
        Status::Expected | Status::Follows => ResultLevel::Note,
    };
    let index = Rule::ALL
        .iter()
        .position(|rule| rule.id() == about.rule)
        .and_then(|n| i64::try_from(n).ok());
    // The explanation first, then files.
    let related = cause.page.iter().chain(triage.some_files(cause));
    let more = more(cause.cases).map_or(String::new(), |more| format!("; {more} files"));
    let text = format!("{} ({}{more})", cause.sentence(), about.standing());
    let signature = cause.signature();
    let at = about.file.iter().map(|file| location(file, Some(signature)));
    let mut result = Result::builder()
        .rule_id(about.rule)
        .level(level)
        .message(Message::from(&text))
        .locations(at.collect::<Vec<_>>())
        .related_locations(related.map(|file| location(file, None)).collect::<Vec<_>>())
        .occurrence_count(i64::try_from(cause.cases).unwrap_or(i64::MAX))
        .partial_fingerprints(BTreeMap::from([(FINGERPRINT.to_owned(), signature.to_owned())]))
        .build();
    result.rule_index = index;
    result
}

/// A crash has no rule of the judge.
fn crash(crash: &Crash) -> Result {
    let at = crash.file.iter().map(|file| location(file, None));
    Result::builder()
        .rule_id("crash")
        .level(ResultLevel::Error)
        .message(Message::from(&crash.sentence()))
        .locations(at.collect::<Vec<_>>())
        .occurrence_count(i64::try_from(crash.count).unwrap_or(i64::MAX))
        .partial_fingerprints(BTreeMap::from([(
            FINGERPRINT.to_owned(),
            format!("{}-{}", crash.target, crash.message),
        )]))
        .build()
}

fn notification(remark: &Remark, level: ResultLevel) -> Notification {
    Notification::builder()
        .level(level.to_string())
        .message(Message::from(&remark.reason))
        .locations(vec![location(&remark.file, None)])
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::tests::crash;
    use crate::triage::tests::triage;
    use serde_json::{Value, json};

    #[test]
    fn a_log_has_what_the_standard_requires() {
        let log: Value = serde_json::to_value(log(&triage(), &[crash()])).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["name"], "mkwrite");
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), Rule::ALL.len());
        assert!(
            rules
                .iter()
                .all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string())
        );
        assert!(
            rules.iter().all(|rule| rule["help"]["text"]
                .as_str()
                .unwrap()
                .contains("See docs/sources.md#"))
        );
        let results = run["results"].as_array().unwrap();
        let levels: Vec<&Value> = results.iter().map(|result| &result["level"]).collect();
        assert_eq!(levels, ["error", "warning", "note", "error"]);
        let (crash, results) = results.split_last().unwrap();
        assert_eq!(crash["message"]["text"], "text of afl: byte index 3 & more (2 inputs)");
        assert_eq!(crash["ruleId"], "crash");
        for result in results {
            assert!(result["message"]["text"].as_str().unwrap().contains("I20"));
            assert_eq!(
                rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"],
                result["ruleId"]
            );
        }
        let new = &results[0];
        let text = new["message"]["text"].as_str().unwrap();
        assert!(text.starts_with("a store is lost: I20 at wp.set_page_dirty on "), "{text}");
        assert!(text.ends_with("(NEW; and 2 more files)"), "{text}");
        let page = &new["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(page, "out%20dir/NEW.html");
        assert_eq!(
            new["partialFingerprints"],
            json!({ "mkwriteSignature/v1": "nfs@2.6.29-2.6.29-I20-NEW" })
        );
        assert_eq!(
            new["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "out%20dir/NEW.mkw"
        );
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        let levels: Vec<_> =
            invocation["toolExecutionNotifications"].as_array().unwrap().iter().collect();
        assert_eq!(
            (&levels[0]["level"], &levels[1]["level"]),
            (&json!("error"), &json!("warning"))
        );
    }
}
