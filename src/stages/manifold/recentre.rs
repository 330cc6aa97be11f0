//! Matrix to matrix: every session around the identity.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: M^-1/2 C M^-1/2 for a reference M. Fitting:
//! each recording around its own mean; the mean over all of them is learned. Running: M starts there
//! and moves with what is seen ([`super::moving`]); each window is sent on before it moves M, so that
//! learning delays no decision. No delay.
//!
//! References: Zanini et al., IEEE Trans. Biomed. Eng. 65 (2018); for the arithmetic mean He and Wu, IEEE
//! Trans. Biomed. Eng. 67 (2020).

use super::moving::{Method, Moving, Rule};
use super::session::{self, Whitening};
use super::{check_size, not_fitted};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::ledger::Cause;
use crate::stages::live::{LiveReader, LiveWriter, live};
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, regular, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Recentring: takes out of covariance matrices what is common to a session, such as the impedances and
/// the fit of the cap, so that a decoder of other sessions suits this one. Needs no labels. Learns from
/// recordings (`saltatory fit`), and goes on while it runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which mean the reference is: `riemann`, or `euclid`, the arithmetic one (Euclidean alignment).
    pub method: Method,
    /// `online`: the reference moves with every window; `fixed`: it stays as it was learned.
    pub mode: Mode,
    /// Where the reference starts: `live`, where an earlier run left it, if the model was kept from one
    /// (`run --keep-learned`); `learned`, where `fit` put it.
    pub start: Start,
    /// Time constant of forgetting, in seconds: what is older counts less and less. With 30, 60 s of new
    /// data replace more than 95 % of what was learned before.
    pub tau_s: f64,
    /// Move with every n-th window only. Where windows overlap, those between bring little that is new; a
    /// move costs about three times what deciding on a window does.
    pub every: usize,
    /// Windows whose distance to the reference is larger than usual by so many robust standard
    /// deviations do not move it.
    pub outlier: f64,
}

/// Whether the reference moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// With every window.
    #[default]
    Online,
    /// Not at all.
    Fixed,
}

/// Where the reference starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Where an earlier run left it.
    #[default]
    Live,
    /// Where `fit` put it.
    Learned,
}

impl Default for Settings {
    fn default() -> Self {
        let (method, mode, start) = (Method::Riemann, Mode::Online, Start::Live);
        Self { method, mode, start, tau_s: 30.0, every: 30, outlier: 3.0 }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "tau_s = 30.0\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let Self { method, mode, start, tau_s, every, outlier } = self;
        let rule = Rule { method, tau_s, outlier }.check()?;
        if every == 0 {
            return Err(Error::setting("every", "is 0, expected 1 or more"));
        }
        Ok(Box::new(Recentre {
            rule,
            online: mode == Mode::Online,
            resume: start == Start::Live,
            every,
            n: 0,
            learned: Vec::new(),
            kept: None,
            examples: None,
            ready: None,
            out: Spec::markers().frame(),
        }))
    }
}

struct Recentre {
    rule: Rule,
    online: bool,
    resume: bool,
    every: usize,
    n: usize,
    /// Empty until something was learned.
    learned: Vec<f64>,
    /// Where an earlier run left the reference, and the seconds of data that this rests on.
    kept: Option<(Vec<f64>, f64)>,
    /// What the examples became.
    examples: Option<Vec<Frame>>,
    ready: Option<Ready>,
    out: Frame,
}

/// Once it is prepared.
struct Ready {
    whitening: Whitening,
    /// The reference, and its whitener at the start; `None` where it stays.
    moving: Option<(Moving, Vec<f64>)>,
    /// How many windows there were.
    windows: usize,
    watched: Option<LiveWriter>,
}

impl Stage for Recentre {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = match self.online {
            true => regular(inputs, &[Payload::Matrix])?,
            false => single(inputs, &[Payload::Matrix])?,
        };
        if self.learned.is_empty() {
            return Err(not_fitted());
        }
        check_size(input, self.n)?;
        let learned = || (self.learned.clone(), 0.0);
        let kept = self.kept.clone().filter(|_| self.resume);
        let (start, seen_s) = kept.unwrap_or_else(learned);
        let whitening = Whitening::new(self.n, &start)?;
        let moving = self.online.then(|| {
            let moving = Moving::new(self.rule, input.rate_hz, self.n, start, seen_s);
            (moving, whitening.matrix().to_vec())
        });
        self.ready = Some(Ready { whitening, moving, windows: 0, watched: None });
        self.out = input.frame();
        Ok(input.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, self.n);
            emit.emit(&mut self.out);
            return Ok(());
        }
        if frame.data.len() != self.learned.len() {
            return Err(Fault("the frame has another shape than was promised"));
        }
        self.out.resize(self.n, self.n);
        ready.whitening.apply(&frame.data, &mut self.out.data)?;
        emit.emit(&mut self.out);
        if ready.windows.is_multiple_of(self.every) {
            ready.learn(frame, emit);
        }
        ready.windows += 1;
        Ok(())
    }

    fn reset(&mut self) {
        let Some(Ready { whitening, moving: Some((moving, start)), windows, .. }) = &mut self.ready
        else {
            return;
        };
        moving.reset();
        whitening.restore(start);
        *windows = 0;
    }

    fn interrupt(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Ready {
    /// **Data.** Lets the reference move with `window`.
    fn learn(&mut self, window: &Frame, emit: &mut dyn Emit) {
        let Some((moving, _)) = &mut self.moving else { return };
        let learned = moving.learn(window).and_then(|moved| {
            if moved {
                self.whitening.follow(moving.matrix())?;
            }
            Ok(moved)
        });
        if !matches!(learned, Ok(true)) {
            emit.count(Cause::Unlearned, 1);
        } else if let Some(watched) = &mut self.watched {
            watched.send(&[moving.matrix(), &[moving.seen_s()]]);
        }
    }
}

impl Fitted for Recentre {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        self.n = session::size(examples)?;
        let all: Vec<usize> = (0..examples.frames.len()).collect();
        let learned = session::mean(examples, &all, self.rule.method)?;
        let mut moved = examples.frames.to_vec();
        for recording in session::recordings(examples) {
            let mean = session::mean(examples, &recording, self.rule.method)?;
            let mut whitening = Whitening::new(self.n, &mean)?;
            for i in recording {
                let applied = whitening.apply(&examples.frames[i].data, &mut moved[i].data);
                applied.map_err(|e| Error::mismatch(format!("a matrix of the examples {e}")))?;
            }
        }
        (self.learned, self.kept, self.ready) = (learned, None, None);
        self.examples = Some(moved);
        Ok(())
    }

    fn fitted_examples(&mut self) -> Option<Vec<Frame>> {
        self.examples.take()
    }

    fn refit(&mut self, examples: &Examples<'_>) -> Result<bool> {
        self.fit(examples).map(|()| true)
    }

    fn live(&mut self) -> Option<LiveReader> {
        let ready = self.ready.as_mut().filter(|ready| ready.moving.is_some())?;
        let (writer, reader) = live(vec![("live", vec![self.n, self.n]), ("live_s", vec![1])]);
        ready.watched = Some(writer);
        Some(reader)
    }

    fn save(&self) -> Result<Part> {
        if self.learned.is_empty() {
            return Err(not_fitted());
        }
        let square = |data: &[f64]| Tensor { shape: vec![self.n, self.n], data: data.to_vec() };
        let mut part = Part::default();
        part.tensors.insert("reference".into(), square(&self.learned));
        let moving = self.ready.as_ref().and_then(|ready| ready.moving.as_ref());
        let live = moving.map(|(moving, _)| (moving.matrix(), moving.seen_s()));
        let kept = self.kept.as_ref().map(|(matrix, seen_s)| (matrix.as_slice(), *seen_s));
        if let Some((matrix, seen_s)) = live.or(kept).filter(|(_, seen_s)| *seen_s > 0.0) {
            part.tensors.insert("live".into(), square(matrix));
            part.tensors.insert("live_s".into(), Tensor { shape: vec![1], data: vec![seen_s] });
        }
        Ok(part)
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let (n, learned) = session::square(part, "reference")?;
        let kept = match part.tensors.contains_key("live") {
            true => {
                let (_, live) = session::square(part, "live")?;
                let seen_s = part.tensor("live_s", 1)?.data.first().copied().unwrap_or_default();
                if live.len() != learned.len() || seen_s < 0.0 {
                    let text = "the model's arrays `live` and `reference` do not fit each other";
                    return Err(Error::mismatch(text));
                }
                Some((live, seen_s))
            }
            false => None,
        };
        (self.n, self.learned, self.kept, self.ready) = (n, learned, kept, None);
        Ok(())
    }
}
