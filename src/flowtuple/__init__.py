"""Learned compression of high-energy-physics ntuples, with a bound on every value.

Example:
    >>> import pathlib, tempfile
    >>> import flowtuple as ft
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
    >>> result = ft.compress({"Jet_pt": [[50.1, 20.2], []]}, path, tolerance={"*": "rel:1e-3"})
    >>> [round(pt, 1) for pt in ft.decompress(path)["Jet_pt"][0].tolist()]
    [50.1, 20.2]

Compress and read:
    compress          Write events to a file, each value within its bound.
    decompress        Read a file back, into memory or another format.
    open              Open a file to read parts of it; `File` is its class.
    File              An open file: columns, ranges of events, iteration.
    snap              Return the values that a file would give back.
    recompress        Change the bounds of a file.
    merge             Join files.
    recover           Save the intact part of a damaged file.
    Bound             A promise for each value, such as `abs:0.1` or `rel:1e-3`.
    read_bounds       Read bounds by pattern from a TOML file.
    write_bounds      Write such a file.
    Bounds            Bounds by pattern, of a file and others after it.
    bounds_preset     Return the bounds of an experiment, such as `nanoaod`.
    BoundsPreset      Such bounds, with units and sources.
    advise            Choose the widest bounds that an analysis allows.
    check_analysis    Check a file against an analysis.
    Selection         Part of an input to take.
    preset            Return the selection for a known data set.
    Resources         Threads, memory, progress, checkpoints.
    WriteOptions      Settings of output formats.

Train:
    train             Fit a model of events, to compress, sample and score.
    train_flow        Fit a flow over rows, to sample and score.
    train_simulation  Fit a simulation: some columns, given others.
    SimulationOptions  Matching of objects, and how columns are learned.
    Weighted          Events with weights, to learn from.
    RowFlow           Kind, size and training of a flow over rows.
    Shape             Size of its networks.
    Training          Epochs, batches, learning rate.
    FlowPreset        Settings of a published flow.
    flow_preset       Return such settings by name.
    preset_rows       Make the columns that it learns from, of NanoAOD.

Generate:
    sample            Draw events from a model.
    simulate          Simulate generated events.
    score             Return the likelihood of events.
    separation        Return how well scores separate signal from background.
    reliability       Return how well calibrated scores state probabilities.
    load              Load a model.
    Model             A loaded model: sample, log_prob, to_latent, from_latent.
    fold_histogram    Fill a histogram of events simulated several times.
    FoldHistogram     Its bins and variances.

Inspect and compare:
    inspect           Return columns, ranges and lattices of an input.
    info              Return schema, bounds and sizes of a file.
    verify            Compare a file with its original.
    report            Write a page on a file or a model.
    bench             Measure codecs on events.
    compare           Test whether two samples are of one distribution.
    closure           Compare simulated with real objects.
    limits            Compare limits with generated and with simulated background.
    ComparisonOptions  Level, permutations, cuts and density ratio.
    ClosureOptions    Matching, figures and cuts.
    LimitOptions      Yields, strengths, toys, weights.

Results:
    Compressed        Of `compress`: sizes, and what was left out.
    MassShift         A mass that bounds of a `Compressed` move.
    MomentumShift     A p_T that they move near zero.
    Decompressed      Of `decompress`: what differs from the original.
    Recompressed      Of `recompress`: sizes.
    PresetRows        Of `preset_rows`: rows, and what was dropped.
    Recovered         Of `recover`: events saved, and parts lost.
    Damage            A lost part of a file.
    LeftOut           A part of an input that the output lacks.
    Advice            Of `advise`: bounds, reasons, checks.
    DemandCheck       A quantity or cut: measured value and limit.
    Verified          Of `verify`: the difference of each column.
    Bench             Of `bench`: a `Measurement` of each codec and bound.
    Measurement       Size, speed and errors of one codec at one bound.
    Comparison        Of `compare`: an `Outcome` of each test, and a verdict.
    Outcome           One statistic with its p-value.
    Closure           Of `closure`: figures of each collection, and a verdict.
    Limits            Of `limits`: CLs, spurious signal, coverage, and a verdict.
    Area              Of `separation`: the area under a ROC curve.
    Reliability       Of `reliability`: log-loss, slope, bins.
    Bin               Rows of like probability in a `Reliability`.

Errors:
    FlowtupleError    Base of all errors of flowtuple.
    InvalidArgument   A name, path, bound or option is wrong.
    Refused           Parts of an input or output cannot be carried.
    Unsupported       A format or a model cannot do what is requested.
    BoundViolated     A value would leave its bound; nothing is written.
    Corrupt           A file is damaged.
    Truncated         A file is cut short.
    TooNew            A file has a later format.
    TooLarge          A file declares more than the memory limit.
    MissingExtra      An optional package is not installed.
    ProcessLost       Another process of a training ended.
"""

import lazy_loader

__version__ = "0.1.0"

# `__init__.pyi` lists the names: a name is imported when it is first used.
__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __dir__() -> list[str]:
    """List the public names alone."""
    return sorted(__all__)
