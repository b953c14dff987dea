//! A triage as JUnit XML, for CI: one test per cause. What is NEW or no longer breaks is a
//! failure, what the ledger lists has passed; a file that cannot be read was skipped, one that
//! breaks the model is an error.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::campaign::Crash;
use crate::triage::{Cause, Remark, Status, Triage, more};

/// The document.
pub fn xml(triage: &Triage, crashes: &[Crash]) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("triage");
    suite.set_time(Duration::try_from_secs_f64(triage.seconds).unwrap_or_default());
    suite.add_test_cases(triage.causes.iter().map(|cause| test(triage, cause)));
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

fn test(triage: &Triage, cause: &Cause) -> TestCase {
    let about = &cause.about;
    let status = match about.status {
        Status::New | Status::Fixed => {
            let replay = about.file.as_deref().map_or(String::new(), |file| triage.command(file));
            let page = cause.page.iter().map(|page| format!("explained in {page}\n"));
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(cause.sentence())
                .set_type(about.status.name())
                .set_description(format!("{replay}\n{}", page.collect::<String>()));
            status
        }
        Status::Expected | Status::Follows => TestCaseStatus::success(),
    };
    let mut test = TestCase::new(cause.signature(), status);
    let lines = [about.standing(), about.pairs.join(", ")].into_iter().chain(about.file.clone());
    let files = triage.some_files(cause).cloned().chain(more(cause.cases));
    let text = lines.chain(files).collect::<Vec<_>>().join("\n") + "\n";
    test.set_classname(about.on()).set_system_out(text);
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
            (6, 2, 2, 1),
            "{xml}"
        );
        let new = &suite.test_cases[0];
        assert_eq!(new.name.as_str(), "nfs@2.6.29-2.6.29-I20-NEW");
        assert!(xml.contains("nfs@2.6.29 x &lt;try3&gt;") && xml.contains("and 2 more"), "{xml}");
        assert!(
            xml.contains("mkwrite replay &apos;out dir/NEW.mkw&apos;") && !xml.contains('\u{1}'),
            "{xml}"
        );
    }
}
