//! A network, ready to run.
//!
//! Numbers go in and come out as f64 and are converted to the element type of the model on the way. A
//! network runs on the thread that calls it, and, with more than one, on threads of its own.

use super::library::environment;
use super::output::bind_output;
use super::scan::{Facts, MAX_BYTES, scan};
use crate::error::{Error, Result};
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, Session};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// The most numbers that one input or output may hold.
const MAX_NUMBERS: usize = 1 << 26;

/// What a network runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA card.
    Cuda,
    /// An NVIDIA card, through TensorRT.
    TensorRt,
    /// Apple's accelerators.
    CoreMl,
    /// Any card under Windows.
    DirectMl,
}

/// How a network is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads within one operator.
    pub threads: usize,
    /// What it runs on.
    pub provider: Provider,
    /// The largest file that is opened.
    pub max_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, provider: Provider::Cpu, max_bytes: MAX_BYTES }
    }
}

/// One axis of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// Of so many numbers.
    Fixed(usize),
    /// Of any number; it may have a name.
    Free(String),
}

/// An input or output as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its axes, the last the fastest.
    pub axes: Vec<Axis>,
    element: TensorElementType,
}

/// Why a run gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It was told to stop.
    Terminated,
    /// The network refused or failed.
    Failed,
}

/// A network with its inputs and outputs.
pub struct Network {
    facts: Facts,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    provider: Provider,
    session: Session,
    bound: Option<Bound>,
}

/// What is ready for runs of one shape.
struct Bound {
    binding: IoBinding,
    options: Arc<RunOptions<NoSelectedOutputs>>,
    inputs: Vec<Numbers>,
    /// What the outputs are written to.
    outputs: Vec<DynValue>,
    results: Vec<Outcome>,
}

/// One output of the last run.
struct Outcome {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// A tensor of one of the element types that are supported.
enum Numbers {
    F32(Tensor<f32>),
    F64(Tensor<f64>),
    I64(Tensor<i64>),
    I32(Tensor<i32>),
}

impl Network {
    /// Opens the model in `path`: checks it, loads it and learns its inputs and outputs.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let (bytes, facts) = scan(path, options.max_bytes)?;
        Self::load(&bytes, facts, options).map_err(|e| e.at(path.display()))
    }

    fn load(bytes: &[u8], facts: Facts, options: &Options) -> Result<Self> {
        let refused = |e: &dyn std::fmt::Display| {
            Error::input(format!("ONNX Runtime refuses the model: {}", first_line(&e.to_string())))
        };
        let session = builder(options)?.commit_from_memory(bytes).map_err(|e| refused(&e))?;
        let ports =
            |outlets: &[ort::value::Outlet]| outlets.iter().map(port).collect::<Result<_>>();
        let (inputs, outputs) = (ports(session.inputs())?, ports(session.outputs())?);
        Ok(Self { facts, inputs, outputs, provider: options.provider, session, bound: None })
    }

    /// What is known of its file.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its inputs.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Its outputs.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// What the model says of itself under `key`.
    pub fn remark(&self, key: &str) -> Option<String> {
        self.session.metadata().ok()?.custom(key)
    }

    /// **Control.** Prepares runs with inputs of `shapes`, and runs once on zeros: what a first run allocates
    /// and chooses is then done, and the shapes of the outputs are known.
    pub fn bind(&mut self, shapes: &[Vec<usize>]) -> Result<()> {
        check_shapes(&self.inputs, shapes)?;
        let failed =
            |e: ort::Error| Error::run(format!("ONNX Runtime: {}", first_line(&e.to_string())));
        let numbers = |(port, shape): (&Port, &Vec<usize>)| Numbers::zeros(port.element, shape);
        let inputs: Vec<Numbers> =
            self.inputs.iter().zip(shapes).map(numbers).collect::<Result<_>>()?;
        let mut options = RunOptions::new().map_err(failed)?;
        // What a run refuses is returned; the library need not print it as well.
        options.set_log_level(ort::logging::LogLevel::Fatal).map_err(failed)?;
        let (outputs, results) = self.warm_up(&inputs, &options)?;
        let mut binding = self.session.create_binding().map_err(failed)?;
        bind_inputs(&mut binding, &self.inputs, &inputs).map_err(failed)?;
        for (port, value) in self.outputs.iter().zip(&outputs) {
            bind_output(&mut binding, &port.name, value).map_err(failed)?;
        }
        self.bound = Some(Bound { binding, options: Arc::new(options), inputs, outputs, results });
        Ok(())
    }

    /// Runs once. Returns what the outputs were written to, which later runs write to as well, and what is in it.
    fn warm_up(
        &mut self,
        inputs: &[Numbers],
        options: &RunOptions<NoSelectedOutputs>,
    ) -> Result<(Vec<DynValue>, Vec<Outcome>)> {
        let failed = |e: ort::Error| {
            Error::mismatch(format!("the model fails on zeros: {}", first_line(&e.to_string())))
        };
        let mut binding = self.session.create_binding().map_err(failed)?;
        bind_inputs(&mut binding, &self.inputs, inputs).map_err(failed)?;
        let memory = ort::memory::MemoryInfo::default();
        for port in &self.outputs {
            binding.bind_output_to_device(&port.name, &memory).map_err(failed)?;
        }
        let outcome = self.session.run_binding_with_options(&binding, options);
        let mut outputs = outcome.map_err(failed)?;
        let (mut values, mut results) = (Vec::new(), Vec::new());
        for port in &self.outputs {
            let value = outputs.remove(&port.name);
            let value = value.ok_or_else(|| unsupported(&port.name, port.element))?;
            results.push(Outcome::learn(port, &value)?);
            values.push(value);
        }
        Ok((values, results))
    }

    /// Writes numbers into input `i`, from place `at` on; what does not fit is left out. Nothing happens before
    /// [`Network::bind`].
    pub fn set(&mut self, i: usize, at: usize, values: impl Iterator<Item = f64>) {
        if let Some(numbers) = self.bound.as_mut().and_then(|b| b.inputs.get_mut(i)) {
            numbers.write(at, values);
        }
    }

    /// Runs on the inputs as they are.
    pub fn run(&mut self) -> Result<(), Stop> {
        let Some(bound) = &mut self.bound else { return Err(Stop::Failed) };
        if self.provider != Provider::Cpu {
            // The inputs lie elsewhere as well and have to be sent there anew.
            bind_inputs(&mut bound.binding, &self.inputs, &bound.inputs)
                .map_err(|_| Stop::Failed)?;
        }
        let outcome = self.session.run_binding_with_options(&bound.binding, &bound.options);
        outcome.map_err(|e| {
            let told = e.message().contains("terminate flag");
            if told { Stop::Terminated } else { Stop::Failed }
        })?;
        let read = bound.outputs.iter().zip(&mut bound.results);
        read.map(|(value, result)| result.take(value)).collect::<Option<()>>().ok_or(Stop::Failed)
    }

    /// What makes a run of another thread end early.
    pub fn options(&self) -> Option<Arc<RunOptions<NoSelectedOutputs>>> {
        self.bound.as_ref().map(|b| b.options.clone())
    }

    /// The shape of output `i`.
    pub fn shape(&self, i: usize) -> &[usize] {
        self.result(i).map_or(&[], |r| &r.shape)
    }

    /// Input `i` as it is: its shape and its numbers.
    pub fn input(&self, i: usize) -> (Vec<usize>, Vec<f64>) {
        self.bound.as_ref().and_then(|b| b.inputs.get(i)).map(Numbers::read).unwrap_or_default()
    }

    /// Output `i` of the last run.
    pub fn output(&self, i: usize) -> &[f64] {
        self.result(i).map_or(&[], |r| &r.data)
    }

    fn result(&self, i: usize) -> Option<&Outcome> {
        self.bound.as_ref()?.results.get(i)
    }
}

fn builder(options: &Options) -> Result<ort::session::builder::SessionBuilder> {
    let environment = environment()?;
    let failed = |e: &dyn std::fmt::Display| {
        Error::run(format!("ONNX Runtime cannot be set up: {}", first_line(&e.to_string())))
    };
    let mut builder = Session::builder(&environment)
        .map_err(|e| failed(&e))?
        .with_intra_threads(options.threads.max(1))
        .map_err(|e| failed(&e))?
        .with_inter_threads(1)
        .map_err(|e| failed(&e))?
        // Threads that wait for work would take the real-time lane's core.
        .with_intra_op_spinning(false)
        .map_err(|e| failed(&e))?
        .with_log_level(ort::logging::LogLevel::Fatal)
        .map_err(|e| failed(&e))?;
    if let Some(provider) = dispatch(options.provider) {
        builder = builder.with_execution_providers([provider]).map_err(|e| {
            Error::missing(format!(
                "this ONNX Runtime has no provider {:?}: {}; use another build of it, or `provider = \"cpu\"`",
                options.provider,
                first_line(&e.to_string())
            ))
        })?;
    }
    Ok(builder)
}

fn dispatch(provider: Provider) -> Option<ort::ep::ExecutionProviderDispatch> {
    let dispatch = match provider {
        Provider::Cpu => return None,
        Provider::Cuda => ort::ep::CUDA::default().build(),
        Provider::TensorRt => ort::ep::TensorRT::default().build(),
        Provider::CoreMl => ort::ep::CoreML::default().build(),
        Provider::DirectMl => ort::ep::DirectML::default().build(),
    };
    Some(dispatch.error_on_failure())
}

fn bind_inputs(binding: &mut IoBinding, ports: &[Port], inputs: &[Numbers]) -> ort::Result<()> {
    for (port, numbers) in ports.iter().zip(inputs) {
        match numbers {
            Numbers::F32(tensor) => binding.bind_input(&port.name, tensor)?,
            Numbers::F64(tensor) => binding.bind_input(&port.name, tensor)?,
            Numbers::I64(tensor) => binding.bind_input(&port.name, tensor)?,
            Numbers::I32(tensor) => binding.bind_input(&port.name, tensor)?,
        }
    }
    Ok(())
}

impl Outcome {
    /// What came out of `port`.
    fn learn(port: &Port, value: &DynValue) -> Result<Self> {
        let shape = value.dtype().tensor_shape().map(|s| s.to_vec()).unwrap_or_default();
        let shape: Vec<usize> = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        let length = count(&shape).ok_or_else(|| too_large(&port.name))?;
        let mut outcome = Self { shape, data: vec![0.0; length] };
        outcome.take(value).ok_or_else(|| unsupported(&port.name, port.element))?;
        Ok(outcome)
    }

    /// Copies the numbers of `value`, which must be as many as there were.
    fn take(&mut self, value: &DynValue) -> Option<()> {
        match value.dtype().tensor_type()? {
            TensorElementType::Float32 => {
                self.copy(value.try_extract_tensor::<f32>().ok()?.1, f64::from)
            }
            TensorElementType::Float64 => {
                self.copy(value.try_extract_tensor::<f64>().ok()?.1, |v| v)
            }
            TensorElementType::Int64 => {
                self.copy(value.try_extract_tensor::<i64>().ok()?.1, |v| v as f64)
            }
            TensorElementType::Int32 => {
                self.copy(value.try_extract_tensor::<i32>().ok()?.1, f64::from)
            }
            _ => None,
        }
    }

    fn copy<T: Copy>(&mut self, from: &[T], convert: impl Fn(T) -> f64) -> Option<()> {
        if from.len() != self.data.len() {
            return None;
        }
        self.data.iter_mut().zip(from).for_each(|(to, from)| *to = convert(*from));
        Some(())
    }
}

impl Numbers {
    fn zeros(element: TensorElementType, shape: &[usize]) -> Result<Self> {
        let length = count(shape).ok_or_else(|| too_large("an input"))?;
        let failed =
            |e: ort::Error| Error::run(format!("ONNX Runtime: {}", first_line(&e.to_string())));
        let shape = shape.to_vec();
        Ok(match element {
            TensorElementType::Float32 => {
                Self::F32(Tensor::from_array((shape, vec![0_f32; length])).map_err(failed)?)
            }
            TensorElementType::Float64 => {
                Self::F64(Tensor::from_array((shape, vec![0_f64; length])).map_err(failed)?)
            }
            TensorElementType::Int64 => {
                Self::I64(Tensor::from_array((shape, vec![0_i64; length])).map_err(failed)?)
            }
            TensorElementType::Int32 => {
                Self::I32(Tensor::from_array((shape, vec![0_i32; length])).map_err(failed)?)
            }
            other => return Err(unsupported("an input", other)),
        })
    }

    fn read(&self) -> (Vec<usize>, Vec<f64>) {
        match self {
            Self::F32(tensor) => held(tensor.extract_tensor(), f64::from),
            Self::F64(tensor) => held(tensor.extract_tensor(), |v| v),
            Self::I64(tensor) => held(tensor.extract_tensor(), |v| v as f64),
            Self::I32(tensor) => held(tensor.extract_tensor(), f64::from),
        }
    }

    fn write(&mut self, at: usize, values: impl Iterator<Item = f64>) {
        match self {
            Self::F32(tensor) => fill(tensor.extract_tensor_mut().1, at, values, |v| v as f32),
            Self::F64(tensor) => fill(tensor.extract_tensor_mut().1, at, values, |v| v),
            Self::I64(tensor) => fill(tensor.extract_tensor_mut().1, at, values, |v| v as i64),
            Self::I32(tensor) => fill(tensor.extract_tensor_mut().1, at, values, |v| v as i32),
        }
    }
}

fn held<T: Copy>(
    (shape, data): (&ort::value::Shape, &[T]),
    convert: impl Fn(T) -> f64,
) -> (Vec<usize>, Vec<f64>) {
    let shape = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
    (shape, data.iter().map(|v| convert(*v)).collect())
}

fn fill<T>(to: &mut [T], at: usize, values: impl Iterator<Item = f64>, convert: impl Fn(f64) -> T) {
    to.iter_mut().skip(at).zip(values).for_each(|(to, v)| *to = convert(v));
}

/// Checks that arrays of `shapes` may go in.
pub(super) fn check_shapes(ports: &[Port], shapes: &[Vec<usize>]) -> Result<()> {
    if shapes.len() != ports.len() {
        let (expected, given) = (ports.len(), shapes.len());
        let text = format!("the model has {expected} inputs, but {given} are given");
        return Err(Error::mismatch(text));
    }
    ports.iter().zip(shapes).try_for_each(|(port, shape)| port.check(shape))
}

impl Port {
    /// Whether its numbers are 32-bit floats.
    pub fn is_single(&self) -> bool {
        self.element == TensorElementType::Float32
    }

    /// Its shape, where no axis is open.
    pub fn shape(&self) -> Option<Vec<usize>> {
        let length = |axis: &Axis| match axis {
            Axis::Fixed(n) => Some(*n),
            Axis::Free(_) => None,
        };
        self.axes.iter().map(length).collect()
    }

    /// Checks that an array of `shape` may go in.
    fn check(&self, shape: &[usize]) -> Result<()> {
        let fits = shape.len() == self.axes.len()
            && self.axes.iter().zip(shape).all(|(axis, n)| match axis {
                Axis::Fixed(fixed) => fixed == n,
                Axis::Free(_) => *n > 0,
            });
        if fits {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "the input `{}` of the model is {self}, but {shape:?} is given",
            self.name
        )))
    }
}

/// The shape, as in `[channels, 512]`.
impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let axes: Vec<String> = self
            .axes
            .iter()
            .map(|axis| match axis {
                Axis::Fixed(n) => n.to_string(),
                Axis::Free(name) if name.is_empty() => "any".to_owned(),
                Axis::Free(name) => name.clone(),
            })
            .collect();
        write!(f, "[{}]", axes.join(", "))
    }
}

fn port(outlet: &ort::value::Outlet) -> Result<Port> {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        return Err(Error::mismatch(format!("`{name}` of the model is no array of numbers")));
    };
    let axis = |(n, symbol): (&i64, &String)| match usize::try_from(*n) {
        Ok(n) => Axis::Fixed(n),
        Err(_) => Axis::Free(symbol.clone()),
    };
    let axes = shape.iter().zip(dimension_symbols.iter()).map(axis).collect();
    Ok(Port { name, axes, element: *ty })
}

/// How many numbers an array of `shape` holds, if it is not too many.
fn count(shape: &[usize]) -> Option<usize> {
    let product = shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n))?;
    (product <= MAX_NUMBERS).then_some(product)
}

fn too_large(name: &str) -> Error {
    Error::mismatch(format!("{name} of the model holds more than {MAX_NUMBERS} numbers"))
}

fn unsupported(name: &str, element: TensorElementType) -> Error {
    Error::mismatch(format!(
        "{name} of the model holds elements of type {element}; supported are float32, float64, int64 and int32"
    ))
}

/// The library's messages can be long.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
