//! Gives the program `EARLIEST_CLOCK`: the earliest time, seconds since 1970, that a clock which was set can show.
//! It depends on the sources and `SOURCE_DATE_EPOCH` only, so that the same sources give the same program.

use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=CHANGELOG.md");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let changelog = fs::read_to_string("CHANGELOG.md").map_err(|error| format!("CHANGELOG.md: {error}"));
    let build_date = env::var("SOURCE_DATE_EPOCH").ok();
    match changelog.and_then(|changelog| earliest_clock(&changelog, build_date.as_deref())) {
        Ok(seconds) => println!("cargo::rustc-env=EARLIEST_CLOCK={seconds}"),
        Err(error) => println!("cargo::error={error}"),
    }
}

/// `SOURCE_DATE_EPOCH`, or midnight UTC of the newest release in the changelog where that is later; seconds since 1970.
pub fn earliest_clock(changelog: &str, source_date_epoch: Option<&str>) -> Result<i64, String> {
    // A release's heading: ## [0.1.0] - 2026-11-22
    let heading = changelog.lines().filter(|line| line.starts_with("## [")).find_map(|line| line.split_once("] - "));
    let (_, date) = heading.ok_or("CHANGELOG.md has no heading of a release, such as `## [0.1.0] - 2026-11-22`")?;
    let released =
        midnight(date).ok_or_else(|| format!("CHANGELOG.md: the newest release's date {date} is not YYYY-MM-DD"))?;
    let Some(build_date) = source_date_epoch else { return Ok(released) };
    let build_date: i64 = build_date
        .parse()
        .map_err(|_| format!("SOURCE_DATE_EPOCH is {build_date}: give a number of seconds, or unset it"))?;
    Ok(build_date.max(released))
}

/// Seconds from 1970 to the start of the day `YYYY-MM-DD`, from 1970 on, UTC.
fn midnight(date: &str) -> Option<i64> {
    let mut parts = date.trim().split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1970..10_000).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (before, this) = months.split_at(month as usize - 1);
    if !(1..=this[0]).contains(&day) {
        return None;
    }
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    Some((years + before.iter().sum::<i64>() + day - 1) * 86_400)
}
