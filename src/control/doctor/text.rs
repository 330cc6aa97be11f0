//! The report for people.

use super::Report;
use super::holds::Hold;
use super::timing::Jitter;
use console::style;
use std::fmt::Write as _;

/// Times that can be promised, in milliseconds.
const STEPS_MS: [f64; 12] =
    [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// What was measured, what the machine can hold, what to change.
pub fn text(report: &Report) -> String {
    let mut text = format!("{}\n", report.machine);
    heading(&mut text, "How this machine keeps time");
    time(&mut text, report);
    heading(&mut text, "What it allows");
    rights(&mut text, report);
    heading(&mut text, "What it can hold");
    for hold in &report.holds {
        let _ = writeln!(text, "  {} {}", mark(hold.keeps_up), holds(hold, report));
    }
    heading(&mut text, "What to change");
    for advice in &report.advice {
        let _ =
            writeln!(text, "  {} {}\n      {}", style("!").yellow(), advice.found, advice.change);
        if let Some(command) = &advice.command {
            let _ = writeln!(text, "      {}", style(format!("$ {command}")).bold());
        }
    }
    if report.advice.is_empty() {
        let _ = writeln!(text, "  {} nothing", mark(true));
    }
    text
}

fn heading(text: &mut String, words: &str) {
    let _ = writeln!(text, "\n{}", style(words).bold());
}

fn mark(good: bool) -> console::StyledObject<&'static str> {
    if good { style("+").green() } else { style("-").red() }
}

fn line(text: &mut String, what: &str, found: &str) {
    let _ = writeln!(text, "  {what:<22} {found}");
}

fn time(text: &mut String, report: &Report) {
    let (timer, machine) = (&report.timer, &report.machine);
    let source = machine.clock_source.as_deref().unwrap_or("unknown");
    line(
        text,
        "clock",
        &format!("{source}, steps of {} ns, {:.0} ns a look", timer.step_ns, timer.look_ns),
    );
    let late = |j: &Jitter| {
        format!(
            "p50 {}, p99 {}, p99.99 {}, worst {} of {}",
            us(j.p50_us),
            us(j.p99_us),
            us(j.p9999_us),
            us(j.max_us),
            j.n
        )
    };
    line(text, "wake-ups are late by", &late(&report.jitter.normal));
    match &report.jitter.realtime {
        Some(jitter) => line(text, "... with priority", &late(jitter)),
        None => line(text, "... with priority", "not allowed"),
    }
    if let Some(cores) = report.jitter.others_cores {
        line(text, "other programs took", &format!("{cores:.2} cores meanwhile"));
    }
    match &report.lsl {
        Ok(lsl) => line(
            text,
            "LSL on loopback",
            &format!(
                "found after {:.1} ms; a sample is under way for p50 {}, p99 {}",
                lsl.found_after_ms,
                us(lsl.under_way.p50_us),
                us(lsl.under_way.p99_us)
            ),
        ),
        Err(why) => line(text, "LSL on loopback", &format!("does not work: {why}")),
    }
    match &report.disk {
        Ok(disk) => line(
            text,
            "disk, this folder",
            &format!(
                "{:.0} MiB/s; 4 MiB safe after {:.0} ms at worst",
                disk.mib_per_s, disk.worst_sync_ms
            ),
        ),
        Err(why) => line(text, "disk, this folder", &format!("cannot be written to: {why}")),
    }
}

fn rights(text: &mut String, report: &Report) {
    let (rights, machine) = (&report.rights, &report.machine);
    let priority = match rights.realtime_priority.granted {
        true => "granted",
        false => "refused",
    };
    line(text, "real-time priority", priority);
    let memory = match rights.memory_lock_bytes {
        Some(bytes) => format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)),
        None => "all of it".to_owned(),
    };
    line(text, "resident memory", &memory);
    let isolated = machine.isolated_cores.as_deref().unwrap_or("none set apart");
    line(text, "cores", &format!("{}; {isolated}", machine.cores));
    line(text, "frequency governor", machine.governor.as_deref().unwrap_or("none"));
    let kernel = if rights.realtime_kernel { "a real-time kernel" } else { "a stock kernel" };
    line(text, "kernel", kernel);
    let host = machine.virtual_machine.as_deref().map(|name| format!("virtual ({name})"));
    line(text, "machine", host.as_deref().unwrap_or("seems to be a real one"));
}

/// What a trial says, in words.
fn holds(hold: &Hold, report: &Report) -> String {
    let Hold { channels, rate_hz, rig, every_ms, engine, cores, lost, .. } = hold;
    let what = format!("{channels} channels at {} kHz ({rig})", rate_hz / 1e3);
    if !hold.keeps_up || engine.n == 0 {
        return format!(
            "{what}: does not keep up; {lost} samples were lost, with {cores:.2} cores at work"
        );
    }
    let within_ms = promised_ms(engine.p50_us, engine.max_us, report.jitter.best().p999_us);
    format!(
        "{what}: a result every {every_ms:.0} ms within {within_ms} ms of its newest sample, for {cores:.2} \
         cores (p50 {}, slowest of {} {}; wake-ups at p99.9 allowed for)",
        us(engine.p50_us),
        engine.n,
        us(engine.max_us),
    )
}

/// A round time within which results come: the slowest that was seen, or the usual one after a wake-up
/// as late as one in a thousand is.
fn promised_ms(p50_us: f64, slowest_us: f64, late_us: f64) -> f64 {
    let ms = slowest_us.max(p50_us + late_us) / 1e3;
    STEPS_MS.into_iter().find(|step| *step >= ms).unwrap_or_else(|| ms.ceil())
}

impl super::Lateness {
    /// With priority, where that is allowed.
    fn best(&self) -> &Jitter {
        self.realtime.as_ref().unwrap_or(&self.normal)
    }
}

fn us(us: f64) -> String {
    if us < 1e3 { format!("{us:.0} us") } else { format!("{:.2} ms", us / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_covers_the_slowest_and_a_late_wake_up() {
        assert_eq!(promised_ms(400.0, 900.0, 50.0), 1.0);
        assert_eq!(promised_ms(400.0, 900.0, 700.0), 2.0);
        assert_eq!(promised_ms(400.0, 2_500_300.0, 0.0), 2501.0);
    }
}
