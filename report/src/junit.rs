//! A triage as JUnit XML, for CI: one test per cluster. What is NEW or no longer breaks is a
//! failure, what the ledger lists has passed; a file that cannot be read was skipped, one that
//! breaks the model is an error.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::campaign::Crash;
use crate::triage::{Cluster, Remark, Status, Triage};

/// The document.
pub fn xml(triage: &Triage, crashes: &[Crash]) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("triage");
    suite.set_time(Duration::try_from_secs_f64(triage.seconds).unwrap_or_default());
    suite.add_test_cases(triage.clusters.iter().map(|cluster| test(triage, cluster)));
    suite.add_test_cases(crashes.iter().map(crash));
    suite.add_test_cases(triage.broken.iter().map(|remark| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(&remark.reason).set_type("model");
        file(remark, status)
    }));
    suite.add_test_cases(triage.skipped.iter().map(|remark| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(&remark.reason);
        file(remark, status)
    }));
    let mut report = Report::new("mkwrite");
    report.add_test_suite(suite);
    report.to_string()
}

fn test(triage: &Triage, cluster: &Cluster) -> TestCase {
    let status = match cluster.status {
        Status::New | Status::Fixed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let replay = format!("{} {}\n", triage.replay, cluster.file);
            status
                .set_message(cluster.sentence())
                .set_type(cluster.status.name())
                .set_description(replay);
            status
        }
        Status::Expected | Status::Follows => TestCaseStatus::success(),
    };
    let mut test = TestCase::new(cluster.signature.as_str(), status);
    let from = format!("{}\n{}\n{}\n", cluster.standing(), cluster.file, cluster.files.join("\n"));
    test.set_classname(cluster.pair()).set_system_out(from);
    test
}

fn crash(crash: &Crash) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status
        .set_message(crash.sentence())
        .set_type("crash")
        .set_description(crash.reproduce.clone().unwrap_or_default());
    let mut test =
        TestCase::new(crash.file.clone().unwrap_or_else(|| crash.message.clone()), status);
    test.set_classname("crashes");
    test
}

fn file(remark: &Remark, status: TestCaseStatus) -> TestCase {
    let mut test = TestCase::new(remark.file.as_str(), status);
    test.set_classname("files");
    test
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::tests::crash;
    use crate::triage::tests::triage;

    #[test]
    fn a_document_reads_back() {
        let xml = xml(&triage(), &[crash()]).unwrap();
        let report = Report::deserialize_from_str(&xml).unwrap();
        let suite = &report.test_suites[0];
        assert_eq!(
            (suite.tests, suite.failures, suite.errors, suite.skipped),
            (7, 2, 2, 1),
            "{xml}"
        );
        let new = &suite.test_cases[3];
        assert_eq!(new.name.as_str(), "nfs@2.6.29-2.6.29-I20-NEW");
        assert!(xml.contains("a page &amp; its &lt;record&gt;") && !xml.contains('\u{1}'), "{xml}");
    }
}
