//! The order of the trials, and what imagery does to the sensorimotor areas.
//!
//! In: number of a trial. Out: when it begins, its class, the fall of the rhythms of each area.
//!
//! Trial k rests for `rest_s`, then the cue comes and imagery lasts `imagery_s`. Classes come in
//! blocks that hold each class twice, in random order. With difficulty d the amplitude of an area
//! falls by `c + (1 - d) e (t - c)`, where t is the full effect of the class, c the effect that
//! all classes share when nothing tells them apart, and e, between 0.6 and 1, the effort of the
//! trial.

use super::random::{Use, generator};
use crate::error::{Error, Result, nearest};
use rand::{RngExt, seq::SliceRandom};
use std::ops::Range;

/// What the subject imagines after a cue.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Moving the left hand: the right hemisphere desynchronises.
    LeftHand,
    /// Moving the right hand: the left hemisphere desynchronises.
    RightHand,
    /// Moving both feet: the vertex desynchronises.
    Feet,
    /// Nothing.
    Rest,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::LeftHand, Self::RightHand, Self::Feet, Self::Rest];

    /// The name, which is also the text of the marker.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeftHand => "left_hand",
            Self::RightHand => "right_hand",
            Self::Feet => "feet",
            Self::Rest => "rest",
        }
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let guess = nearest(name, names).map_or(String::new(), |n| format!("; try `{n}`"));
            Error::setting(
                "classes",
                format!("`{name}` is no class; classes are {}{guess}", names.join(", ")),
            )
        })
    }

    /// By how much the amplitude of each area falls at difficulty 0.
    const fn effect(self) -> [f64; AREAS] {
        match self {
            Self::LeftHand => [0.1, 0.8, 0.1],
            Self::RightHand => [0.8, 0.1, 0.1],
            Self::Feet => [0.1, 0.1, 0.8],
            Self::Rest => [0.0; AREAS],
        }
    }
}

/// A sensorimotor area with rhythms of its own.
#[derive(Debug, Clone, Copy)]
pub enum Area {
    LeftHemisphere,
    RightHemisphere,
    Vertex,
}

/// Number of areas.
pub const AREAS: usize = 3;

/// The fall of every area for every class at difficulty 1.
const SHARED: f64 = 0.3;

/// How often a block of trials holds each class.
const REPEATS: usize = 2;

/// The plan of all trials; it has no state.
pub struct Trials {
    seed: u64,
    classes: Vec<Class>,
    difficulty: f64,
    rate_hz: f64,
    rest_s: f64,
    imagery_s: f64,
}

impl Trials {
    pub fn new(config: &super::Config) -> Self {
        Self {
            seed: config.seed,
            classes: config.classes.clone(),
            difficulty: config.difficulty,
            rate_hz: config.rate_hz,
            rest_s: config.rest_s,
            imagery_s: config.imagery_s,
        }
    }

    /// The samples of imagery in trial `index`; the first is that of the cue.
    pub fn imagery(&self, index: u64) -> Range<u64> {
        let trial_s = self.rest_s + self.imagery_s;
        let at = |s: f64| (s * self.rate_hz).round() as u64;
        at(index as f64 * trial_s + self.rest_s)..at((index + 1) as f64 * trial_s)
    }

    /// The first trial whose cue is at or after `sample`.
    pub fn first_from(&self, sample: u64) -> u64 {
        let trial_s = self.rest_s + self.imagery_s;
        let guess = (sample as f64 / self.rate_hz / trial_s) as u64;
        // The guess is the trial that `sample` falls into, give or take one for rounding.
        (guess.saturating_sub(1)..).find(|&i| self.imagery(i).start >= sample).unwrap_or(guess)
    }

    /// The class of trial `index`.
    pub fn class(&self, index: u64) -> Class {
        let mut order = [Class::Rest; REPEATS * Class::ALL.len()];
        let order = &mut order[..REPEATS * self.classes.len()];
        for (slot, class) in order.iter_mut().zip(self.classes.iter().cycle()) {
            *slot = *class;
        }
        let length = order.len() as u64;
        order.shuffle(&mut generator(self.seed, Use::Trials, 2 * (index / length)));
        order[(index % length) as usize]
    }

    /// By how much the amplitude of each area falls in trial `index`.
    pub fn fall(&self, index: u64) -> [f64; AREAS] {
        let mut rng = generator(self.seed, Use::Trials, 2 * index + 1);
        let share = (1.0 - self.difficulty) * rng.random_range(0.6..1.0);
        self.class(index).effect().map(|effect| SHARED + share * (effect - SHARED))
    }
}
