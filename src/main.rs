//! The command line: arguments to library calls, errors to text and exit codes.

use clap::{CommandFactory, Parser, Subcommand};
use saltatory::config::Method;
use saltatory::control::bench::Suite;
use saltatory::control::fit::{Evaluate, Fit, Refit};
use saltatory::control::{self, list::Family, live::Live, stop::Stop};
use saltatory::error::Result;
use saltatory::fit::{Phase, Protocol};
use saltatory::runtime::{Options, Provider};
use saltatory::sources::Speed;
use saltatory::wire::zenoh::access::Access;
use saltatory::{config, wire};
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Real-time brain-computer interface streaming: live EEG in, decisions out, with the age of the
/// data they rest on.
#[derive(Parser)]
#[command(
    version,
    after_help = "A first decision without hardware: `make run`. Every kind of \
    source, stage and sink with its settings: `saltatory list`."
)]
struct Cli {
    /// Say more (-v: what is connected and lost, -vv: everything); RUST_LOG overrides
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a config live until its sources end, Ctrl-C, or --for
    Run {
        config: PathBuf,
        /// End after this time, such as 60s, 5m or 1h
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        for_s: Option<f64>,
        /// Override a setting: key=value or id.key=value
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// Speed of recorded and simulated sources: 1, 4, max
        #[arg(long)]
        speed: Option<Speed>,
        /// Write decisions, latency and ledger to this file
        #[arg(long, value_name = "OUT.json")]
        report: Option<PathBuf>,
        /// Take up changes of the config file and the model while running, without losing a sample
        #[arg(long)]
        reload: bool,
        /// Write what the stages that adapt have learned, with the rest of the model, to this file: every
        /// minute and at the end
        #[arg(long, value_name = "MODEL")]
        keep_learned: Option<PathBuf>,
        /// Print latency and ledger as JSON at the end
        #[arg(long)]
        json: bool,
    },
    /// Check a config whole and print its graph with shapes, rates, delays and costs
    ///
    /// Opens the sources, works out what every stage sends, and runs the engine for two or three seconds
    /// on made-up samples to find out what each stage costs on this machine: `hot` as fast as can be,
    /// `paced` at the pace of the stream, which is what counts. A config whose `deadline_ms` this machine
    /// cannot keep is refused (exit code 2), and the dearest stage on the way is named.
    Check {
        config: PathBuf,
        /// Override a setting: key=value or id.key=value
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        #[arg(long)]
        json: bool,
    },
    /// Publish a recording as LSL streams, as the device did once
    Play {
        /// An EDF, BDF, XDF, BrainVision or BCI2000 file, trials, synthetic:SEED or planted:WORLD
        recording: String,
        /// Multiples of real time, or max
        #[arg(long, default_value = "1")]
        speed: Speed,
        /// Start again at the end
        #[arg(long = "loop")]
        repeat: bool,
        /// Name of the stream of samples; its markers get NAME-markers
        #[arg(long)]
        name: Option<String>,
        /// Start only when somebody listens to every stream
        #[arg(long)]
        wait: bool,
        /// Samples that are sent off together [default: 10 ms]
        #[arg(long)]
        chunk: Option<usize>,
    },
    /// Calibrate: fit the pipeline of a config on recordings, or live, and write the model
    ///
    /// On recordings it reads them, cross-validates and fits once. With --live it runs the sources of the
    /// config instead and cuts epochs at the markers while the participant works, exactly as it would out of
    /// a recording of the same streams. As soon as every class has three trials it fits after each further
    /// one, beside the run, and writes MODEL; shows the cross-validated accuracy with its interval; and says
    /// when more trials hardly help. Ctrl-C ends it in good order. docs/calibration.md shows a session.
    #[command(after_help = "Examples:\n  \
        saltatory fit my.toml RUN1.xdf RUN2.xdf --out model.safetensors\n  \
        saltatory fit my.toml --live --out model.safetensors --for 10m\n  \
        saltatory fit my.toml --live --run --trials 30 --out model.safetensors    decides meanwhile\n  \
        saltatory fit my.toml --live --out model.safetensors --json    a line per fit, for programs")]
    Fit {
        config: PathBuf,
        /// Recordings with markers, synthetic:SEED or planted:WORLD
        #[arg(required_unless_present = "live")]
        recordings: Vec<String>,
        /// How much each recording counts, such as 1,0.3 for a subject's own and another's; for `mdm` and
        /// `bt_mdm`
        #[arg(long = "weight", value_name = "W", value_delimiter = ',', conflicts_with_all = ["live", "from"])]
        weights: Vec<f64>,
        /// Where to write the model
        #[arg(long, value_name = "MODEL")]
        out: PathBuf,
        /// Keep this model, and let only its stages `recentre` and `align` learn the recordings
        #[arg(long, value_name = "MODEL", conflicts_with_all = ["tune", "report"])]
        from: Option<PathBuf>,
        /// Learn from the sources of the config while the participant works
        #[arg(long, conflicts_with_all = ["recordings", "tune", "from"])]
        live: bool,
        /// Live: let the pipeline decide meanwhile, into its sinks, always with the newest model
        #[arg(long, requires = "live")]
        run: bool,
        /// Live: end after this time, such as 90s or 10m
        #[arg(long = "for", value_name = "TIME", value_parser = seconds, requires = "live")]
        for_s: Option<f64>,
        /// Live: trials of each class that are wanted; then it ends, or with --run learns no more. With
        /// --from: learn from at most so many of each class, the first ones
        #[arg(long, value_name = "N", conflicts_with = "tune")]
        trials: Option<usize>,
        /// Live: how well the accuracy has to be known, as half its 95 % interval, before more trials are
        /// said to hardly help [default: 0.1]
        #[arg(long, value_name = "SHARE", value_parser = share, requires = "live")]
        precision: Option<f64>,
        /// Live: speed of recorded and simulated sources: 1, 4, max
        #[arg(long, requires = "live")]
        speed: Option<Speed>,
        /// Search the settings of the [tune] table first; order and lag by this method
        #[arg(long, value_enum)]
        tune: Option<Method>,
        /// Write the cross-validated scores as a page or as JSON
        #[arg(long, value_name = "OUT.html|OUT.json")]
        report: Option<PathBuf>,
        /// Override a setting: key=value or id.key=value
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// Print the scores as JSON; live, a line per fit
        #[arg(long)]
        json: bool,
    },
    /// Cross-validate the pipeline of a config, and those under [[compare]], on recordings
    Evaluate {
        config: PathBuf,
        /// Recordings with markers, synthetic:SEED or planted:WORLD
        #[arg(required = true)]
        recordings: Vec<String>,
        #[arg(long, value_enum, default_value = "within")]
        protocol: Protocol,
        /// Tune the pipeline on the training data of every fold; order and lag by this method
        #[arg(long, value_enum)]
        tune: Option<Method>,
        /// How filters are applied: as live, or forward and backward as in most papers, or one after the
        /// other
        #[arg(long, value_enum, value_delimiter = ',', default_value = "causal")]
        filter: Vec<Phase>,
        /// Score only these pipelines, by their names in the table
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        only: Vec<String>,
        /// Pseudo-online: how many windows in a row have to agree before a class takes effect
        #[arg(long, value_name = "WINDOWS", default_value_t = 5)]
        dwell: usize,
        /// Write a page with pictures, or the results as JSON
        #[arg(long, value_name = "OUT.html|OUT.json")]
        report: Option<PathBuf>,
        /// Override a setting: key=value or id.key=value
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        #[arg(long)]
        json: bool,
    },
    /// List the LSL streams on the network
    Streams {
        /// How long to listen
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = seconds)]
        wait: f64,
        #[arg(long)]
        json: bool,
    },
    /// List every kind of source, stage and sink with its settings
    List {
        #[arg(value_enum)]
        family: Option<Family>,
        #[arg(long)]
        json: bool,
        /// Print every key that a config may hold, as configs/reference.toml has them
        #[arg(long, conflicts_with_all = ["family", "json"])]
        toml: bool,
    },
    /// Show what is in a recording or a model, or what a config would make of recordings
    Inspect {
        /// A recording, a model (.safetensors), a network (.onnx), a config (.toml), synthetic:SEED or planted:WORLD
        file: String,
        /// For a config: a recording that a model of it would learn from; may be given again
        #[arg(long = "recording", value_name = "RECORDING")]
        recordings: Vec<String>,
        /// For a config: override a setting: key=value or id.key=value
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// For a network: inputs, and the outputs that they had where it was trained (.npz, arrays by name)
        #[arg(long, value_name = "SAMPLES")]
        parity: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Write a fitted linear pipeline, or a graph network, as an ONNX model
    ///
    /// `csp` with `lda`, `logistic` or a linear `svm`: the graph takes the samples of a window, as they enter
    /// the stage `covariance`. `tangent` with one of these: the graph takes the tangent vector, since ONNX
    /// has no operator for the logarithm of a matrix; the reference matrix is in the file's metadata. Both
    /// give the probabilities of the classes. All numbers are of 64 bits. What cannot be exported (`mdm`, `fgmdm`, a
    /// curved kernel, `reject`) is refused with the reason.
    Export {
        /// A model that `saltatory fit` wrote
        model: PathBuf,
        /// Where to write the ONNX model
        #[arg(long, value_name = "OUT.onnx")]
        out: PathBuf,
    },
    /// Run networks (ONNX) for stages on other machines
    ///
    /// A stage `onnx` with `host = { connect = \"tls/HERE:7447\", ... }` sends its windows here and gets the outputs
    /// back. It has to have the same file: models are known by their SHA-256. Beyond this machine it takes TLS and a
    /// token on both sides. Only in builds with `--features remote`. How to set it up is in docs/remote.md.
    #[command(after_help = "Examples:\n  \
        saltatory host models/eegnet.onnx    for this machine only\n  \
        saltatory host models/eegnet.onnx --listen tls/0.0.0.0:7447 --token-file tokens --cert host.pem --key host.key")]
    Host {
        /// The models to serve
        #[arg(required = true, value_name = "MODEL.onnx")]
        models: Vec<PathBuf>,
        /// Where to listen: tcp/127.0.0.1:PORT, or tls/ADDRESS:PORT
        #[arg(long, value_name = "PLACE", default_value = "tcp/127.0.0.1:7447")]
        listen: String,
        /// A file with a line NAME:SECRET for each client that may come in
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// The certificate to show (PEM)
        #[arg(long, value_name = "FILE", requires = "key")]
        cert: Option<PathBuf>,
        /// The key of the certificate (PEM)
        #[arg(long, value_name = "FILE", requires = "cert")]
        key: Option<PathBuf>,
        /// What networks run on: cpu, cuda, tensorrt, coreml, directml
        #[arg(long, default_value = "cpu", value_parser = provider)]
        provider: Provider,
        /// Threads of each network
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Print at the end what became of the windows as JSON, and nothing before
        #[arg(long)]
        json: bool,
    },
    /// Measure what the engine costs on this machine
    ///
    /// `ring`: how threads hand each other frames. `stages`: single stages, back to back and once per 50
    /// ms, beside the bare eigendecomposition. `pipeline`: whole configs at the pace of their samples,
    /// with made-up samples. `latency`: LSL to LSL in two processes, from inside and from outside, hop by
    /// hop. All of them when none is named.
    ///
    /// Wants a quiet machine and a release build. Compare figures of one machine, as ratios: --save
    /// writes them, --baseline compares with them.
    #[command(after_help = "Examples:\n  \
        saltatory bench stages --save before.json    then, after a change\n  \
        saltatory bench stages --baseline before.json\n  \
        saltatory bench latency --seconds 3 --wait spin --core 1    as on a rig, for a minute\n  \
        saltatory bench pipeline --config my.toml --seconds 1    your config for 20 s")]
    Bench {
        #[arg(value_enum)]
        suites: Vec<Suite>,
        /// Seconds for each case of `ring` and `stages`; `pipeline` and `latency` take 20 times as long
        #[arg(long, default_value_t = 0.5)]
        seconds: f64,
        /// Only the cases of `ring` and `stages` whose name holds this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// A config for `pipeline` [default: configs/scale_*.toml]
        #[arg(long, value_name = "CONFIG")]
        config: Vec<PathBuf>,
        /// How the lane waits for samples in `pipeline` and `latency`; short for --set realtime.wait=...
        #[arg(long, value_name = "park|spin", value_parser = ["park", "spin"])]
        wait: Option<String>,
        /// The core that the lane is pinned to; short for --set realtime.core=...
        #[arg(long, value_name = "N")]
        core: Option<usize>,
        /// Override a setting of `pipeline` and `latency`, such as realtime.priority=80
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// Write the figures and what machine this is to this file
        #[arg(long, value_name = "OUT.json")]
        save: Option<PathBuf>,
        /// Compare with the figures in this file
        #[arg(long, value_name = "OLD.json")]
        baseline: Option<PathBuf>,
        /// Print the figures as a JSON array
        #[arg(long)]
        json: bool,
        /// Be the other process of `latency`
        #[arg(long, hide = true, value_name = "SECONDS")]
        peer: Option<f64>,
    },
    /// Find out what this machine can hold, and what to change
    ///
    /// Measures how exactly this machine keeps time: the clock, how late a sleeping thread wakes up, LSL on
    /// loopback, the disk; tries the rights that a real-time lane wants; runs three made-up pipelines of
    /// growing size. Then says what it can hold, and what would help, each with the command for it.
    Doctor {
        /// How long to watch for late wake-ups, and each pipeline at most
        #[arg(long, value_name = "TIME", default_value = "10s", value_parser = seconds)]
        seconds: f64,
        #[arg(long)]
        json: bool,
        /// Be the process that tries LSL
        #[arg(long, hide = true)]
        lsl: bool,
    },
    /// Print the completion script for a shell
    Completions { shell: clap_complete::Shell },
}

impl Command {
    /// Whether it runs the engine only to measure it.
    fn measures(&self) -> bool {
        matches!(self, Self::Bench { .. } | Self::Check { .. } | Self::Doctor { .. })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli);
    if std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) {
        console::set_colors_enabled(false);
        console::set_colors_enabled_stderr(false);
    }
    wire::lsl::start_clock();
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{} {e}", console::style("error:").for_stderr().red().bold());
            ExitCode::from(e.exit_code())
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Run { config, for_s, sets, speed, report, reload, keep_learned, json } => {
            let config = config::load(&config, &sets)?;
            let keep_decisions = report.is_some();
            let reload = reload.then_some(sets);
            let options =
                control::run::Options { for_s, speed, keep_decisions, reload, keep_learned };
            control::run::command(config, &options, report.as_deref(), json, &Stop::on_signal()?)
        }
        Command::Check { config, sets, json } => control::check::check(&config, &sets, json),
        Command::Play { recording, speed, repeat, name, wait, chunk } => {
            let options = control::play::Options { speed, repeat, name, wait, chunk };
            control::play::play(&recording, &options, &Stop::on_signal()?)
        }
        Command::Fit {
            config,
            out,
            live: true,
            run,
            for_s,
            trials,
            precision,
            speed,
            report,
            sets,
            json,
            ..
        } => {
            let (config, out, report) = (&config, &out, report.as_deref());
            let (sets, precision) = (&sets, precision.unwrap_or(0.1));
            let asked =
                Live { config, sets, out, run, for_s, speed, trials, precision, report, json };
            control::live::live(&asked, &Stop::on_signal()?)
        }
        Command::Fit { config, recordings, out, from: Some(from), trials, sets, json, .. } => {
            let (config, out, from) = (&config, &out, &from);
            let (sets, recordings) = (&sets, &recordings);
            control::fit::refit(&Refit { config, sets, recordings, from, out, trials, json })
        }
        Command::Fit { config, recordings, weights, out, tune, report, sets, json, .. } => {
            let (config, out, report) = (&config, &out, report.as_deref());
            let (sets, recordings, weights) = (&sets, &recordings, &weights);
            control::fit::fit(&Fit { config, sets, recordings, weights, out, tune, report, json })
        }
        Command::Evaluate {
            config,
            recordings,
            protocol,
            tune,
            filter,
            only,
            dwell,
            report,
            sets,
            json,
        } => {
            let (config, sets, recordings) = (&config, &sets, &recordings);
            let (filters, only, report) = (&filter, &only, report.as_deref());
            control::fit::evaluate(&Evaluate {
                config,
                sets,
                recordings,
                protocol,
                tune,
                filters,
                only,
                dwell,
                report,
                json,
            })
        }
        Command::Streams { wait, json } => control::streams::streams(wait, json),
        Command::List { toml: true, .. } => control::print(&control::reference::text()),
        Command::List { family, json, .. } => control::list::list(family, json),
        Command::Inspect { file, recordings, sets, parity, json } => {
            control::inspect::inspect(&file, &recordings, &sets, parity.as_deref(), json)
        }
        Command::Export { model, out } => control::export::export(&model, &out),
        Command::Host { models, listen, token_file, cert, key, provider, threads, json } => {
            let access = Access { token_file, ca: None, certificate: cert.zip(key) };
            let options = Options { provider, threads, ..Options::default() };
            let asked = control::host::Host { models, listen, access, options, json };
            control::host::host(&asked, &Stop::on_signal()?)
        }
        Command::Bench { peer: Some(seconds), .. } => control::bench::peer(seconds),
        Command::Bench {
            suites,
            seconds,
            only,
            config: configs,
            wait,
            core,
            mut sets,
            save,
            baseline,
            json,
            peer: None,
        } => {
            sets.extend(wait.map(|wait| format!("realtime.wait={wait}")));
            sets.extend(core.map(|core| format!("realtime.core={core}")));
            let seconds = seconds.max(0.01);
            let options = control::bench::Options {
                suites,
                seconds,
                only,
                configs,
                sets,
                json,
                save,
                baseline,
            };
            control::bench::bench(&options)
        }
        Command::Doctor { lsl: true, .. } => control::doctor::try_lsl(),
        Command::Doctor { seconds, json, lsl: false } => control::doctor::doctor(seconds, json),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "saltatory", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn log_to_stderr(cli: &Cli) {
    // What is lost on purpose, in a measurement, is part of its result.
    let least = if cli.command.measures() { "error" } else { "warn" };
    let level = [least, "info", "debug"][usize::from(cli.verbose.min(2))];
    // What zenoh has to say of each attempt to connect is in our own words elsewhere.
    let level =
        format!("{level},zenoh={}", ["off", "warn", "debug"][usize::from(cli.verbose.min(2))]);
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(console::colors_enabled_stderr())
        .init();
}

/// Reads `90`, `90s`, `1.5m` or `1h`.
fn seconds(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let factor = [("s", 1.0), ("m", 60.0), ("h", 3600.0)].iter().find(|(u, _)| *u == unit);
    match (number.parse::<f64>(), factor) {
        (Ok(n), Some((_, factor))) if n >= 0.0 && n.is_finite() => Ok(n * factor),
        _ => Err("expected a time such as 60s, 5m or 1h".into()),
    }
}

/// Reads what a network runs on.
fn provider(text: &str) -> Result<Provider, String> {
    let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        text.into_deserializer();
    Provider::deserialize(text).map_err(|e| e.to_string())
}

/// Reads a share between 0 and 1, such as 0.1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a share above 0 and below 1, such as 0.1".into()),
    }
}
