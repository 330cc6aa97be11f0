"""Makes a Saltatory model of a pipeline that was fitted with pyRiemann and scikit-learn.

    python import_pyriemann.py PIPELINE.joblib CONFIG.toml --recording FILE [--recording FILE ...] --out MODEL.safetensors
                               [--classes NAME,NAME,...] [--set KEY=VALUE ...] [--program saltatory]

PIPELINE.joblib   joblib.dump of a fitted sklearn Pipeline whose steps are those of the config from its stage
                  `covariance` on. Unpickling runs code: open only files that you trust.
CONFIG.toml       the config that the model is for; its `covariance` and all that follows up to the
                  decoder have to say what the steps say, and what differs is an error
--recording       a recording of the montage and rate that the model is for, such as those it was trained on
--classes         the names, in the config, of the pipeline's classes_ in their order; not needed where
                  classes_ are those names, or 0, 1, ... in the order of the config
--set             settings that replace those of the config, as for `saltatory run`
--program         the program that is asked what the config says

Steps: Covariances (scm, cov, oas, lwf); then MDM(metric="riemann"), or TangentSpace(metric="riemann") or CSP
followed by LogisticRegression, LinearDiscriminantAnalysis, SVC (linear, rbf) or
CalibratedClassifierCV(SVC(...), method="sigmoid", ensemble=False), which is `svm` with `calibrate = true`.

As a module: write_model(pipeline, config, recordings, out). Needs NumPy and safetensors, and whatever
the pipeline was made with. What the epochs were filtered and cut with stays between the config and you.
"""
import argparse, json, subprocess, sys
from itertools import combinations

import numpy as np
from safetensors.numpy import save_file


class Differs(ValueError):
    """The pipeline is not what the config says, or cannot be imported."""


def write_model(pipeline, config, recordings, out, classes=None, sets=(), program="saltatory"):
    """Writes the fitted `pipeline` as the model file `out` for `config`; see above for the rest."""
    facts = config_facts(config, recordings, sets, program)
    stages, steps = learning_stages(facts["chain"]), pipeline_steps(pipeline)
    if len(stages) != len(steps):
        raise Differs(f"the config has {[s['kind'] for s in stages]} from `covariance` on, the pipeline "
                      f"{[type(s).__name__ for s in steps]}: expected one step for each stage")
    facts["classes"] = class_names(steps[-1], facts["classes"], classes)
    arrays = {}
    for stage, step in zip(stages, steps):
        for name, array in convert(stage, step).items():
            arrays[f"{stage['id']}/{name}"] = np.ascontiguousarray(array, dtype=np.float64)
    check_finite(arrays)
    facts["written_by"] = "import_pyriemann.py, " + versions()
    save_file(arrays, out, metadata={"saltatory": json.dumps(facts)})


def config_facts(config, recordings, sets, program):
    """What a model of the config has to say of itself, as the program tells it."""
    command = [program, "inspect", str(config), "--json"]
    command += [word for r in recordings for word in ("--recording", str(r))]
    command += [word for s in sets for word in ("--set", s)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Differs(done.stderr.strip())
    return json.loads(done.stdout)["model"]


def learning_stages(chain):
    """The stages from `covariance` on."""
    kinds = [stage["kind"] for stage in chain]
    if "covariance" not in kinds:
        raise Differs(f"the config's stages are {kinds}: expected a `covariance` among them")
    return chain[kinds.index("covariance"):]


def pipeline_steps(pipeline):
    """The estimators in order."""
    if not hasattr(pipeline, "steps"):
        raise Differs(f"is a {type(pipeline).__name__}: expected a sklearn Pipeline, the calibration, if there is "
                      "one, inside it around its SVC")
    return [step for _, step in pipeline.steps if step not in (None, "passthrough")]


def class_names(decoder, names, given):
    """The names of the pipeline's `classes_`, in their order: scores and ties of votes follow it."""
    theirs = list(decoder.classes_)
    if given is None:
        given = names if theirs == list(range(len(names))) else [str(c) for c in theirs]
    if sorted(given) != sorted(names) or len(theirs) != len(names):
        raise Differs(f"the pipeline's classes are {[str(c) for c in theirs]}, the config's {names}: name the "
                      "config's class for each of them with --classes")
    return list(given)


def convert(stage, step):
    """The arrays of `stage` out of the fitted `step`."""
    name, settings = type(step).__name__, stage["settings"]
    makers = {"Covariances": ("covariance", covariance), "TangentSpace": ("tangent", tangent),
              "CSP": ("csp", csp), "MDM": ("mdm", mdm), "LogisticRegression": ("logistic", logistic),
              "LinearDiscriminantAnalysis": ("lda", lda), "SVC": ("svm", svc),
              "CalibratedClassifierCV": ("svm", calibrated_svc)}
    if name not in makers:
        raise Differs(f"the step {name} cannot be imported: expected one of {', '.join(makers)}")
    kind, make = makers[name]
    if stage["kind"] != kind:
        raise Differs(f"stage `{stage['id']}` is a {stage['kind']} where the pipeline has {name}: expected {kind}")
    if settings.get("reject") is not None:
        raise Differs(f"stage `{stage['id']}` rejects, which {name} has not learned: leave out `reject`")
    return make(step, Agreement(stage["id"], name, settings))


class Agreement:
    """Compares the settings of a stage with those of a step."""

    def __init__(self, stage, step, settings):
        self.stage, self.step, self.settings = stage, step, settings

    def same(self, key, theirs, name=None):
        """The config's `key` has to be what the step has under `name`."""
        ours = self.settings.get(key)
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (ours, theirs))
        if not (np.isclose(ours, theirs, rtol=1e-12, atol=0) if numbers else ours == theirs):
            raise Differs(f"stage `{self.stage}` has {key} = {json.dumps(ours)}, but {self.step} was fitted with "
                          f"{name or key} = {theirs!r}: change one of them")

    def only(self, name, theirs, *expected):
        """What the step has under `name` has to be one of `expected`: others cannot be imported."""
        if not any(theirs is e or theirs == e for e in expected):
            raise Differs(f"{self.step} has {name} = {theirs!r}: expected {' or '.join(map(repr, expected))}")


def covariance(step, agree):
    agree.same("estimator", step.estimator)
    agree.only("kwds", step.kwds, {})
    return {}


def tangent(step, agree):
    agree.only("metric", step.metric, "riemann", {"mean": "riemann", "map": "riemann"})
    agree.only("tsupdate", step.tsupdate, False)
    return {"reference": step.reference_}


def csp(step, agree):
    agree.only("metric", step.metric, "euclid")
    agree.only("log", step.log, True)
    agree.same("filters", step.nfilter, "nfilter")
    agree.same("bands", 1, "one band and bands")
    agree.same("keep", None, "all features and keep")
    return {"filters": step.filters_[None], "patterns": step.patterns_[None],
            "kept": np.arange(len(step.filters_))}


def mdm(step, agree):
    agree.only("metric", step.metric, "riemann", {"mean": "riemann", "distance": "riemann"})
    return {"means": step.covmeans_}


def logistic(step, agree):
    agree.same("c", step.C, "C")
    # How the penalty is named differs between versions of scikit-learn.
    penalty, ratio = getattr(step, "penalty", "deprecated"), step.l1_ratio or 0.0
    elastic = penalty == "elasticnet" or (penalty == "deprecated" and ratio > 0)
    agree.only("penalty", penalty, "l2", "elasticnet", "deprecated")
    agree.same("penalty", "elastic" if elastic else "l2")
    if elastic:
        agree.same("l1_ratio", ratio)
    if len(step.classes_) > 2:
        agree.only("solver", step.solver, "lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")
    return linear(step)


def lda(step, agree):
    share = "none" if step.shrinkage is None else step.shrinkage
    agree.same("shrinkage", share)
    agree.only("covariance_estimator", step.covariance_estimator, None)
    return linear(step)


def linear(step):
    """Weights for the log odds of the second of two classes, or one row per class."""
    return {"coef": step.coef_, "intercept": step.intercept_}


def svc(step, agree):
    agree.same("calibrate", False, "no calibration and calibrate")
    agree.only("probability", getattr(step, "probability", False), False, "deprecated")
    return machines(step, agree)


def calibrated_svc(step, agree):
    agree.same("calibrate", True, "a calibration and calibrate")
    agree.only("method", step.method, "sigmoid")
    fits = step.calibrated_classifiers_
    if len(fits) != 1:
        raise Differs(f"{agree.step} holds {len(fits)} machines: fit it with ensemble=False")
    machine = fits[0].estimator
    machine = getattr(machine, "estimator", machine)  # out of a FrozenEstimator
    if type(machine).__name__ != "SVC":
        raise Differs(f"{agree.step} calibrates a {type(machine).__name__}: expected SVC")
    sigmoids = np.array([[s.a_, s.b_] for s in fits[0].calibrators])
    return {"sigmoids": sigmoids, **machines(machine, agree)}


def machines(svc, agree):
    """One machine for each pair of classes; it speaks for the second where it is not negative."""
    agree.same("c", svc.C, "C")
    agree.same("kernel", svc.kernel)
    agree.only("break_ties", svc.break_ties, False)
    if svc.kernel == "rbf":
        agree.same("gamma", svc.gamma)
    dual, vectors = np.asarray(svc.dual_coef_), np.asarray(svc.support_vectors_)
    starts = np.cumsum([0, *svc.n_support_])
    coefs = []
    for first, second in combinations(range(len(svc.classes_)), 2):
        of_first, of_second = (slice(starts[k], starts[k + 1]) for k in (first, second))
        coef = np.zeros(len(vectors))
        coef[of_first], coef[of_second] = dual[second - 1, of_first], dual[first, of_second]
        coefs.append(coef)
    # libsvm's values speak for the first of a pair; of two classes scikit-learn has turned them already.
    sign = 1.0 if len(svc.classes_) == 2 else -1.0
    coefs, bias = sign * np.array(coefs), sign * np.asarray(svc.intercept_)
    if svc.kernel == "linear":
        return {"weights": coefs @ vectors, "bias": bias}
    return {"gamma": [svc._gamma], "vectors": vectors, "coef": coefs, "bias": bias}


def check_finite(arrays):
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise Differs(f"the array {name} holds numbers that are not finite")


def versions():
    """What the pipeline was made with, as far as it is loaded."""
    loaded = [(label, sys.modules.get(module)) for label, module in (("pyRiemann", "pyriemann"),
                                                                      ("scikit-learn", "sklearn"))]
    return ", ".join(f"{label} {module.__version__}" for label, module in loaded if module)


def main():
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline")
    parser.add_argument("config")
    parser.add_argument("--recording", action="append", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--classes", type=lambda text: text.split(","))
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--program", default="saltatory")
    asked = parser.parse_args()
    import joblib
    pipeline = joblib.load(asked.pipeline)
    try:
        write_model(pipeline, asked.config, asked.recording, asked.out, asked.classes, asked.set, asked.program)
    except Differs as error:
        sys.exit(f"{asked.pipeline}: {error}")
    print(f"model written to {asked.out}")


if __name__ == "__main__":
    main()
