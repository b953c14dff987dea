//! The page of an explanation in a real browser: the keyboard walks through it, the window and the
//! other run are a key away, nothing is fetched, and nothing fails; on a desktop and on a phone.
//!
//! Without Chromium there is nothing to test: then this says so, and fails if it runs in CI.
//! `CHROME` names another browser; `MKWRITE_SCREENSHOTS` a folder for pictures of what was tested.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headless_chrome::browser::default_executable;
use headless_chrome::protocol::cdp::Emulation::{
    MediaFeature, SetDeviceMetricsOverride, SetEmulatedMedia,
};
use headless_chrome::protocol::cdp::Page::CaptureScreenshotFormatOption;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{Log, Network, Runtime};
use headless_chrome::{Browser, LaunchOptionsBuilder, Tab};
use mkwrite_explain::explain::{Explanation, explain};
use mkwrite_impls::Builtin;
use mkwrite_model::text::parse;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, targets_of};
use mkwrite_report::html;

const DESKTOP: (u32, u32) = (1400, 900);
const PHONE: (u32, u32) = (390, 844);

fn explained(case: &str) -> Explanation {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(case);
    let document = parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let target = targets_of::<Builtin>(&document).unwrap()[0];
    explain(&mut Runner::default(), &Ledger::<Builtin>::own(), target, &document, None)
}

fn chromium() -> Option<PathBuf> {
    let found = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
        .map(PathBuf::from)
        .into_iter()
        .find(|p| p.exists());
    std::env::var_os("CHROME").map(PathBuf::from).or(found).or_else(|| default_executable().ok())
}

/// The page of a case, opened, and all that it complained of or asked the network for.
struct Opened {
    _browser: Browser,
    _folder: tempfile::TempDir,
    tab: Arc<Tab>,
    trouble: Arc<Mutex<Vec<String>>>,
}

/// Opens the page; none if there is no browser.
fn open(e: &Explanation, (width, height): (u32, u32)) -> Result<Option<Opened>> {
    let Some(path) = chromium() else {
        let text = "no Chromium on this machine: the page was not tested in a browser";
        ensure!(std::env::var_os("CI").is_none(), "{text}; install chromium, or name it in CHROME");
        eprintln!("SKIPPED: {text}");
        return Ok(None);
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("page.html");
    std::fs::write(&file, html::page(e))?;
    let quiet = [
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ];
    let options = LaunchOptionsBuilder::default()
        .path(Some(path))
        .headless(true)
        .sandbox(false)
        .enable_gpu(false)
        .user_data_dir(Some(folder.path().join("profile")))
        .args(
            quiet
                .into_iter()
                .chain(["--no-first-run", "--hide-scrollbars"])
                .map(OsStr::new)
                .collect(),
        )
        .idle_browser_timeout(Duration::from_secs(120))
        .build()?;
    let browser = Browser::new(options)?;
    let tab = browser.new_tab()?;
    resize(&tab, (width, height))?;
    tab.call_method(Network::Enable {
        max_total_buffer_size: None,
        max_resource_buffer_size: None,
        max_post_data_size: None,
        report_direct_socket_traffic: None,
        enable_durable_messages: None,
    })?;
    tab.call_method(Log::Enable(None))?;
    tab.call_method(Runtime::Enable(None))?;
    let trouble = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&trouble);
    tab.add_event_listener(Arc::new(move |event: &Event| {
        let text = match event {
            Event::NetworkRequestWillBeSent(e) => {
                let url = &e.params.request.url;
                (!url.starts_with("file:") && !url.starts_with("data:"))
                    .then(|| format!("request of {url}"))
            }
            Event::RuntimeExceptionThrown(e) => Some(format!("{:?}", e.params.exception_details)),
            Event::RuntimeConsoleAPICalled(e) => Some(format!("console: {:?}", e.params.args)),
            Event::LogEntryAdded(e) => Some(e.params.entry.text.clone()),
            _ => None,
        };
        seen.lock().unwrap().extend(text);
    }))?;
    tab.navigate_to(&format!("file://{}", file.display()))?.wait_until_navigated()?;
    Ok(Some(Opened { _browser: browser, _folder: folder, tab, trouble }))
}

fn resize(tab: &Tab, (width, height): (u32, u32)) -> Result<()> {
    let metrics = SetDeviceMetricsOverride {
        width,
        height,
        device_scale_factor: 1.0,
        mobile: false,
        scale: None,
        screen_width: None,
        screen_height: None,
        position_x: None,
        position_y: None,
        dont_set_visible_size: None,
        screen_orientation: None,
        viewport: None,
        display_feature: None,
        device_posture: None,
    };
    tab.call_method(metrics)?;
    Ok(())
}

impl Opened {
    fn eval(&self, script: &str) -> Result<String> {
        let value = self.tab.evaluate(&format!("String({script})"), false)?.value;
        value
            .and_then(|value| value.as_str().map(str::to_owned))
            .with_context(|| format!("{script} has no value"))
    }

    fn is(&self, script: &str, wanted: impl std::fmt::Display) -> Result<()> {
        let found = self.eval(script)?;
        ensure!(found == wanted.to_string(), "{script}: {found}, not {wanted}");
        Ok(())
    }

    fn press(&self, key: &str) -> Result<()> {
        self.tab.press_key(key).map(drop)
    }

    /// The picked step is this one, it is in sight, and the panel tells of it.
    fn shows(&self, run: &str, step: usize, e: &Explanation) -> Result<()> {
        let isolation = e.isolation.as_ref().unwrap();
        let timeline = if run == "passing" { &isolation.passing } else { &isolation.failing };
        let moment = &timeline.steps[step];
        self.is("document.querySelector('.run.active .picked').id", format!("{run}-{step}"))?;
        self.is("document.activeElement.closest('li').id", format!("{run}-{step}"))?;
        self.is("document.getElementById('point').textContent", moment.point.name())?;
        let who = format!("step {step} · {}", moment.task);
        self.is(
            &format!("document.querySelector('#details .who').textContent.startsWith('{who}')"),
            true,
        )?;
        let changes =
            "[...document.querySelectorAll('#details li')].map((li) => li.textContent).join('; ')";
        self.is(
            changes,
            moment.events.iter().chain(&moment.changes).cloned().collect::<Vec<_>>().join("; "),
        )?;
        let sight = "(() => { const at = document.activeElement.getBoundingClientRect(); \
                     const top = document.elementFromPoint(at.left + 8, at.top + at.height / 2); \
                     return document.activeElement.contains(top); })()";
        self.is(sight, true)
    }

    fn screenshot(&self, name: &str) -> Result<()> {
        let Some(folder) = std::env::var_os("MKWRITE_SCREENSHOTS") else { return Ok(()) };
        let png =
            self.tab.capture_screenshot(CaptureScreenshotFormatOption::Png, None, None, true)?;
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png)?;
        Ok(())
    }

    /// As in a dark room, or on paper.
    fn media(&self, media: &str, scheme: &str) -> Result<()> {
        let feature =
            MediaFeature { name: "prefers-color-scheme".to_owned(), value: scheme.to_owned() };
        self.tab.call_method(SetEmulatedMedia {
            media: Some(media.to_owned()),
            features: Some(vec![feature]),
        })?;
        Ok(())
    }
}

/// Walks through a page with the keyboard.
fn walk(size: (u32, u32), name: &str) -> Result<()> {
    let e = explained("known/unlocked-return/race-nfs-unstable.mkw");
    let Some(page) = open(&e, size)? else { return Ok(()) };
    let (isolation, main) = (e.isolation.as_ref().unwrap(), e.main.unwrap());
    page.screenshot(&format!("{name}-light"))?;
    page.is("document.querySelector('h1').textContent", mkwrite_report::terminal::title(&e))?;
    page.is("document.querySelector('.picked .box').textContent", main.point.name())?;
    page.is("document.documentElement.scrollWidth <= innerWidth", true)?;

    page.press("w")?;
    page.shows("failing", isolation.first, &e)?;
    page.screenshot(&format!("{name}-window"))?;
    page.press("w")?;
    page.shows("failing", isolation.second, &e)?;
    page.press("ArrowUp")?;
    page.shows("failing", isolation.second - 1, &e)?;
    page.press("k")?;
    page.shows("failing", isolation.second - 2, &e)?;
    page.press("j")?;
    page.press("ArrowDown")?;
    page.shows("failing", isolation.second, &e)?;
    let broken =
        |after: usize| e.breaches.iter().map(|(b, _)| b.step as usize).find(|step| *step > after);
    page.press("n")?;
    page.shows("failing", broken(isolation.second).unwrap(), &e)?;
    page.press("End")?;
    page.shows("failing", isolation.failing.steps.len() - 1, &e)?;
    page.press("f")?;
    page.press("Home")?;
    page.shows("failing", 0, &e)?;
    page.press("f")?;

    page.press("ArrowRight")?;
    page.shows("passing", isolation.passing_pair.1, &e)?;
    page.is("getComputedStyle(document.getElementById('run-passing')).display", "block")?;
    page.press("w")?;
    page.shows("passing", isolation.passing_pair.0, &e)?;
    page.screenshot(&format!("{name}-passing"))?;
    page.press("ArrowLeft")?;
    page.shows("failing", 0, &e)?;

    page.eval(&format!(
        "document.querySelector('.words a[href=\"#failing-{}\"]').click()",
        main.step
    ))?;
    page.shows("failing", main.step as usize, &e)?;
    page.media("screen", "dark")?;
    page.screenshot(&format!("{name}-dark"))?;
    page.eval("document.getElementById('theme').click()")?;
    page.is("getComputedStyle(document.documentElement).colorScheme", "light")?;
    let trouble = page.trouble.lock().unwrap();
    ensure!(trouble.is_empty(), "{trouble:?}");
    Ok(())
}

#[test]
fn desktop() -> Result<()> {
    walk(DESKTOP, "desktop")
}

#[test]
fn phone() -> Result<()> {
    walk(PHONE, "phone")
}

/// A run in which nothing breaks, and one without a passing neighbour.
#[test]
fn alone() -> Result<()> {
    for (case, name) in
        [("pass/race-nfs.mkw", "passes"), ("known/eof-extension/eof-content.mkw", "alone")]
    {
        let e = explained(case);
        let Some(page) = open(&e, PHONE)? else { return Ok(()) };
        page.screenshot(name)?;
        for key in ["w", "n", "ArrowRight", "ArrowLeft", "Home", "ArrowDown", "End"] {
            page.press(key)?;
        }
        let last = e.timeline.steps.last().unwrap();
        page.is("document.querySelectorAll('.run').length", 1)?;
        page.is("document.querySelectorAll('.step').length", e.timeline.steps.len())?;
        page.is("document.documentElement.scrollWidth <= innerWidth", true)?;
        if e.main.is_some() {
            page.is("document.getElementById('point').textContent", last.point.name())?;
        }
        let trouble = page.trouble.lock().unwrap();
        ensure!(trouble.is_empty(), "{trouble:?}");
    }
    Ok(())
}

/// On paper: both runs, in words, dark on white, and nothing that only works on a screen.
#[test]
fn print() -> Result<()> {
    let e = explained("known/unlocked-return/race-nfs-unstable.mkw");
    let Some(page) = open(&e, DESKTOP)? else { return Ok(()) };
    page.media("print", "dark")?;
    resize(&page.tab, (718, 2400))?;
    page.screenshot("print")?;
    page.is("getComputedStyle(document.getElementById('details')).display", "none")?;
    page.is("[...document.querySelectorAll('.run')].every((run) => run.offsetHeight > 200)", true)?;
    page.is("getComputedStyle(document.querySelector('.story')).color", "rgb(0, 0, 0)")?;
    page.is("document.querySelector('.step:not(.tucked) .what').offsetWidth > 100", true)?;
    page.is("document.documentElement.scrollWidth <= innerWidth", true)
}
