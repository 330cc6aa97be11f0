//! From a config to a running graph: prepares every stage in order and finds what does not fit.

use super::{Config, Node, Unit};
use crate::deadline::Late;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::model::{Input, Link, Model};
use crate::stages::{Hops, Stage};

impl Config {
    /// Prepares every stage for sources of `sources`; `model` fills the fitted ones. Returns what
    /// each stage sends on.
    pub fn prepare(&mut self, sources: &[Spec], model: Option<&Model>) -> Result<Vec<Spec>> {
        if let Some(model) = model {
            self.load(sources, model)?;
        }
        let mut specs = Vec::with_capacity(self.stages.len());
        for i in 0..self.stages.len() {
            specs.push(self.prepare_stage(i, sources, &specs)?);
        }
        Ok(specs)
    }

    /// Lets each prepared stage that only one other sees find what that one begins with, where that is
    /// less work than what it sends: same results up to rounding. `seen` are the nodes that others than
    /// stages of the same lane look at.
    pub fn fuse(&mut self, seen: &[Node]) {
        for i in 1..self.stages.len() {
            let [Node::Stage(before)] = self.stages[i].from[..] else { continue };
            let node = Node::Stage(before);
            let readers = self.stages.iter().flat_map(|s| &s.from).filter(|from| **from == node);
            if readers.count() > 1 || seen.contains(&node) {
                continue;
            }
            let (earlier, later) = self.stages.split_at_mut(i);
            if let Some(linear) = later[0].unit.linear()
                && earlier[before].unit.absorb(linear.weights())
            {
                linear.hand_over();
            }
        }
    }

    /// Prepares stage `i`, given what the sources and the stages before it send.
    pub fn prepare_stage(&mut self, i: usize, sources: &[Spec], stages: &[Spec]) -> Result<Spec> {
        let stage = &mut self.stages[i];
        let inputs: Vec<Spec> =
            stage.from.iter().map(|node| spec_of(*node, sources, stages).clone()).collect();
        let prepared = stage.unit.prepare(&inputs);
        let whole = prepared.map_err(|e| stage.blame(within(e, "stage", &stage.id)))?;
        match stage.unit.hops() {
            Some(hops) if self.suits_readers(i, &hops) => {
                self.stages[i].unit.send_hops();
                Ok(hops)
            }
            _ => Ok(whole),
        }
    }

    /// Whether all that read from stage `i` can take windows of `hops`, a step at a time. Each of them
    /// has to see every step: so it runs on the same lane, which keeps all frames, and no cheaper
    /// branch takes turns with it.
    fn suits_readers(&self, i: usize, hops: &Spec) -> bool {
        let node = Node::Stage(i);
        let readers: Vec<usize> =
            (0..self.stages.len()).filter(|j| self.stages[*j].from.contains(&node)).collect();
        let tapped = self.sinks.iter().any(|sink| sink.from.contains(&node));
        let forks = readers.len() > 1 && self.deadline.late == Late::Degrade;
        let takes = |j: &usize| match self.stages[*j].unit.takes_hops(hops) {
            Hops::Refused => false,
            Hops::Taken => true,
            Hops::PassedOn(hops) => self.suits_readers(*j, &hops),
        };
        let beside = |j: &usize| !self.stages[*j].is_slow();
        !readers.is_empty() && !tapped && !forks && readers.iter().all(|j| beside(j) && takes(j))
    }

    /// Checks that the model belongs to this pipeline and fills the fitted stages.
    fn load(&mut self, sources: &[Spec], model: &Model) -> Result<()> {
        let Some(chain) = self.chain(sources) else { return Ok(()) };
        let input = self.input(&chain, sources)?;
        model.facts.check(&input, &self.links(&chain))?;
        for i in chain {
            let stage = &mut self.stages[i];
            let Some(fitted) = stage.unit.fitted() else { continue };
            let part = model.parts.get(&stage.id).ok_or_else(|| {
                Error::mismatch(format!("the model holds nothing for the stage `{}`", stage.id))
            })?;
            fitted.load(part).map_err(|e| e.at(format_args!("stage `{}`", stage.id)))?;
        }
        Ok(())
    }

    /// The stages on the way from a source to those that learn, in order; `None` when nothing learns.
    /// Where stages join, the way of the samples is followed. It forks where a cheaper branch learns
    /// beside the main one.
    pub fn chain(&mut self, sources: &[Spec]) -> Option<Vec<usize>> {
        let learns = |stage: &mut Unit<dyn Stage>| stage.unit.fitted().is_some();
        let mut on_the_way: Vec<bool> = self.stages.iter_mut().map(learns).collect();
        for i in (0..self.stages.len()).rev().filter(|i| on_the_way[*i]).collect::<Vec<_>>() {
            let mut at = i;
            while let Some(Node::Stage(before)) = self.samples_from(at, sources) {
                on_the_way[before] = true;
                at = before;
            }
        }
        let chain: Vec<usize> = (0..self.stages.len()).filter(|i| on_the_way[*i]).collect();
        (!chain.is_empty()).then_some(chain)
    }

    /// Where the samples that stage `i` works on come from.
    pub fn samples_from(&self, i: usize, sources: &[Spec]) -> Option<Node> {
        samples_way(&self.stages[i].from, sources)
    }

    /// The chain as a model file records it.
    pub fn links(&self, chain: &[usize]) -> Vec<Link> {
        let link = |i: &usize| {
            let stage = &self.stages[*i];
            let (id, kind) = (stage.id.clone(), stage.kind.to_owned());
            Link { id, kind, settings: stage.settings.clone() }
        };
        chain.iter().map(link).collect()
    }

    /// The samples that enter the windowing of `chain`: the last ones on the way.
    pub fn input(&mut self, chain: &[usize], sources: &[Spec]) -> Result<Input> {
        let first = chain.first().and_then(|i| samples_way(&self.stages[*i].from, sources));
        let mut input = match first {
            Some(node) => Input::of(spec_of(node, sources, &[])),
            None => return Err(Error::config("the chain of fitted stages is empty")),
        };
        let mut specs = Vec::new();
        for i in 0..self.stages.len() {
            if self.stages[i].unit.fitted().is_some() {
                break;
            }
            let spec = self.prepare_stage(i, sources, &specs)?;
            if chain.contains(&i) && spec.payload == Payload::Samples {
                input = Input::of(&spec);
            }
            specs.push(spec);
        }
        Ok(input)
    }
}

/// Adds behind `error` in which unit it happened; the place in the file comes in front.
pub fn within(error: Error, family: &str, id: &str) -> Error {
    error.behind(format_args!(" (in [[{family}]] {id})"))
}

/// Of several inputs the one that is not a source of markers.
fn samples_way(from: &[Node], sources: &[Spec]) -> Option<Node> {
    let is_samples = |node: &&Node| match node {
        Node::Source(i) => sources[*i].payload != Payload::Markers,
        Node::Stage(_) => true,
    };
    from.iter().find(is_samples).copied()
}

/// What a node sends.
pub fn spec_of<'a>(node: Node, sources: &'a [Spec], stages: &'a [Spec]) -> &'a Spec {
    match node {
        Node::Source(i) => &sources[i],
        Node::Stage(i) => &stages[i],
    }
}
