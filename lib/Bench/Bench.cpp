//===- Bench.cpp - Compiled layers beside limits and baselines -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One repeat of a row: fresh activations, a DRAM reading, our layer, a DRAM
// reading, a baseline, and so on. A machine that other people use changes its
// speed within minutes, so only what was timed in turns is compared.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Bench.h"

#include "Contender.h"
#include "Expectation.h"

#include "moe-mlir/Run/Bench.h"
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/Statistics.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Support/TemporaryFolder.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <optional>

using namespace moe;
using namespace moe::bench;
using run::availableMemoryBytes;
using run::chooseRepeats;
using run::cpuName;
using run::lastLevelCacheBytes;
using run::maxThreads;
using run::median;
using run::now;
using run::PeakMeter;
using run::setThreads;
using run::vectorIsa;

//===----------------------------------------------------------------------===//
// A model in one format: our layer and what it is compared with
//===----------------------------------------------------------------------===//

namespace {

/// Longer than this for one run, and a baseline is left out.
constexpr double longestRun = 20;
/// A row may take about so long, baselines and all.
constexpr double longestRow = 30;

class Runner {
public:
  Runner(mlir::MLIRContext &context, const Options &options,
         llvm::raw_ostream &notes, Report &report)
      : context(context), options(options), suite(options.suite), notes(notes),
        report(report),
        dram(suite.isQuick ? int64_t(128) << 20 : int64_t(1) << 30,
             suite.isQuick ? int64_t(32) << 20 : int64_t(384) << 20),
        f32Peak(PeakMeter::F32), bf16Peak(PeakMeter::BF16),
        int8Peak(PeakMeter::Int8) {}

  bool measureMachine(std::string &error);
  /// Everything for one model and format; false if any of it failed.
  bool runLayer(const BenchModel &model, const std::string &directory,
                const std::function<void(const Row &)> &onRow,
                std::string &error);
  /// Says on a terminal what comes next.
  void progress(const llvm::Twine &text);
  int numRows = 0;

private:
  bool load(const BenchModel &model, const std::string &format,
            const std::string &base, std::string &error);
  bool addContender(const std::string &name, const BenchModel &model,
                    const std::string &base, std::string &error);
  bool haveMemoryFor(const std::string &what);
  void note(const std::string &text);
  CompileOptions compileOptions();
  bool artifact(const std::string &base, bool fuse, std::string &error);
  bool measureRow(int64_t tokens, int threads, Row &row, std::string &error);
  bool validate(Contender &contender, uint64_t seed, Row &row, double &seconds,
                std::string &error);
  bool measurePhases(Row &row, std::string &error);
  bool workOf(int copy, int64_t tokens, Work &work, std::string &error);
  std::string label() const { return name + " " + format; }

  mlir::MLIRContext &context;
  const Options &options;
  const Suite &suite;
  llvm::raw_ostream &notes;
  Report &report;
  run::DramReader dram;
  run::PeakMeter f32Peak, bf16Peak, int8Peak;
  Progress line{"measuring", "rows"};
  int doneRows = 0;

  // Of the layer at hand.
  std::string name, format;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp function;
  std::optional<LayerSpec> spec;
  double weightBytes = 0;
  int copies = 1;
  std::unique_ptr<CompiledLayer> ours;
  std::vector<std::unique_ptr<Contender>> contenders;
  std::optional<Expectation> expectation;
};

} // namespace

void Runner::progress(const llvm::Twine &text) {
  line.update(doneRows, numRows, text.str());
}

void Runner::note(const std::string &text) {
  line.hide();
  notes << "note: " << text << "\n";
  report.notes.push_back(text);
}

bool Runner::measureMachine(std::string &error) {
  report.machine.device = options.device;
  // Those of a device are not measured.
  if (!options.device.empty())
    return true;
  if (!dram.valid()) {
    error = "no memory for reading DRAM: it takes " +
            std::to_string(dram.bufferBytes() >> 20) + " MiB";
    return false;
  }
  Machine &machine = report.machine;
  machine.cpu = cpuName();
  machine.isa = vectorIsa();
  machine.oneDnn = oneDnnVersion();
  machine.cpus = maxThreads();
  machine.cacheBytes = lastLevelCacheBytes();
  std::vector<int> counts = options.threads;
  counts.push_back(1);
  counts.push_back(maxThreads());
  llvm::sort(counts);
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  const int repeats = suite.isQuick ? 3 : 31;
  for (int threads : counts) {
    progress("limits of " + llvm::Twine(threads) +
             (threads == 1 ? " thread" : " threads"));
    Limits limits;
    limits.threads = threads;
    limits.f32 = f32Peak.best(threads, repeats);
    limits.bf16 = bf16Peak.best(threads, repeats);
    limits.int8 = int8Peak.best(threads, repeats);
    limits.dram = dram.median(threads, repeats);
    machine.limits.push_back(limits);
  }
  line.hide();
  return true;
}

/// For this machine, if neither the options nor the module say for whom.
CompileOptions Runner::compileOptions() {
  CompileOptions compile = options.compile;
  if (compile.targets.empty() && compile.targetDescriptions.empty() &&
      !moek::getTarget(*module))
    compile.targets = {options.device.empty() ? "native"
                       : run::Device::getKind(options.device) == "cuda"
                           ? "sm_90a"
                           : "vulkan"};
  return compile;
}

bool Runner::artifact(const std::string &base, bool fuse, std::string &error) {
  CompileOptions compile = compileOptions();
  compile.fuse = fuse;
  // One that is broken is made anew.
  std::string ignored;
  Manifest manifest;
  if (options.reuseArtifacts &&
      readManifest(base + ".json", manifest, ignored) &&
      isMadeAs(manifest, *module, compile))
    return true;
  return compileModel(*module, name, compile, base, error);
}

/// Whether another set of the weights fits; they are the bulk of everything.
bool Runner::haveMemoryFor(const std::string &what) {
  // An expert and some buffers while packing, and what the system needs.
  const double needed = 1.02 * weightBytes * copies + (1 << 30);
  const int64_t available = availableMemoryBytes();
  if (available == 0 || needed < available)
    return true;
  note(llvm::formatv("{0} left out for {1}: it takes {2:F1} GB, and {3:F1} GB "
                     "of memory are available",
                     what, label(), needed * 1e-9, available * 1e-9));
  return false;
}

/// A baseline that cannot be had is no failure.
bool Runner::addContender(const std::string &which, const BenchModel &model,
                          const std::string &base, std::string &error) {
  progress(llvm::formatv("{0}: preparing {1}", label(), which));
  if (which == "onednn" && !spec)
    return true;
  if (!haveMemoryFor(which))
    return true;
  std::string why;
  std::unique_ptr<Contender> contender;
  if (which == "onednn")
    contender = createOneDnn(*spec, copies, why);
  else if (artifact(base + "-unfused", /*fuse=*/false, why))
    contender = createUnfused(model, function.getName().str(),
                              base + "-unfused", copies, why);
  if (contender)
    contenders.push_back(std::move(contender));
  else
    note(which + " left out for " + name + ": " + why);
  return true;
}

bool Runner::load(const BenchModel &model, const std::string &wanted,
                  const std::string &base, std::string &error) {
  ours.reset();
  contenders.clear();
  name = model.name;
  format = wanted;
  spec = model.baseline;
  module = importModel(context, model, options.modelsDir, format, error);
  function = module ? findEntry(*module, model, error) : nullptr;
  if (!function)
    return false;
  const Work work = computeWork(function, {});
  weightBytes = work.allWeightBytes;
  if (format.empty())
    format = run::formatOf(work);
  if (spec)
    parseDType(format, spec->weightType);
  // As a model of many layers: what a run needs is not in a cache any more.
  const int64_t most = suite.isQuick ? 2 : 16;
  // The caches of a device are not known.
  copies = !options.device.empty()
               ? 1
               : std::clamp<int64_t>(
                     llvm::divideCeil(8 * lastLevelCacheBytes(),
                                      std::max<int64_t>(weightBytes, 1)),
                     1, most);
  progress(label() + ": compiling");
  if (!artifact(base, /*fuse=*/true, error))
    return false;
  progress(label() + ": making weights");
  if (!haveMemoryFor("the layer")) {
    error = report.notes.back();
    return false;
  }
  BenchModel described = model;
  described.baseline = spec;
  described.zipf = options.zipf;
  ours = CompiledLayer::load(described, function.getName().str(), base, copies,
                             options.device, error);
  if (!ours)
    return false;
  // Of codes only what was compiled says how they are multiplied.
  if (wanted.empty())
    format = run::formatOf(work, ours->call(0).rowType());
  expectation.reset();
  if (options.expectations)
    expectation = Expectation::create(*module, function.getName(),
                                      ours->variant(), compileOptions());
  for (const std::string &each : options.baselines)
    if (!addContender(each, described, base, error))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// The work of a copy's activations, from the routing of a run of its own.
bool Runner::workOf(int copy, int64_t tokens, Work &work, std::string &error) {
  run::Call &call = ours->call(copy);
  run::RoutingTrace trace;
  call.setTrace([&](const moe_trace_event &event) { trace.record(event); });
  bool ok = call.invoke(error);
  call.setTrace({});
  if (!ok)
    return false;
  std::vector<SeenRouting> seen = run::seenRoutings(trace);
  work = computeWork(function, run::namedSizes(call), seen);
  if (!spec || seen.empty())
    return true;
  // The hand that wrote the baseline counts, too.
  int64_t assignments = 0, distinct = 0;
  for (int64_t rows :
       llvm::ArrayRef(seen.front().rows).take_front(spec->experts)) {
    assignments += rows;
    distinct += rows != 0;
  }
  LayerWork own = layerWork(*spec, assignments, distinct, tokens);
  auto isNear = [](double a, double b) { return std::fabs(a - b) <= 0.02 * b; };
  if (isNear(work.operations(), own.operations) &&
      isNear(work.bytes(), own.bytes))
    return true;
  error =
      llvm::formatv("its IR has {0:E2} operations on {1:E2} bytes, but the "
                    "suite describes {2:E2} on {3:E2}",
                    work.operations(), work.bytes(), own.operations, own.bytes);
  return false;
}

/// Runs the contender once and compares with our results. Two logits that
/// differ by rounding only may send a token to another expert, which is no
/// mistake, but rare.
bool Runner::validate(Contender &contender, uint64_t seed, Row &row,
                      double &seconds, std::string &error) {
  if (!contender.setBatch(row.tokens, row.threads, error) ||
      !contender.prepare(*ours, 0, seed, error))
    return false;
  double start = now();
  if (!contender.run(*ours, 0, error))
    return false;
  seconds = now() - start;
  const double tolerance = format == "f32" ? 5e-4 : 3e-2;
  int64_t outliers = 0, rows = 0;
  double difference = compareResults(
      ours->call(0).results(), contender.results(0), tolerance, outliers, rows);
  if (outliers > rows / 64) {
    error = llvm::formatv("its result differs from ours in {0} of {1} tokens "
                          "by more than {2:E1} of the largest element",
                          outliers, rows, tolerance);
    return false;
  }
  row.differences.emplace_back(contender.name, difference);
  return true;
}

bool Runner::measureRow(int64_t tokens, int threads, Row &row,
                        std::string &error) {
  if (!options.device.empty())
    return measureOnDevice(*ours, function, tokens,
                           options.repeats ? options.repeats
                           : suite.isQuick ? 3
                                           : 0,
                           row, error);
  setThreads(threads);
  ours->setThreads(threads);
  if (!ours->setTokens(tokens, error))
    return false;
  uint64_t seed = 7 * tokens;
  auto runOurs = [&](int copy, double &seconds) {
    double start = now();
    bool ok = ours->run(copy, error);
    seconds = now() - start;
    return ok;
  };

  // The first run pages everything in and is not timed; the second says how
  // often to repeat. Its result is what the baselines have to reproduce.
  double seconds = 0;
  Work first;
  ours->refill(0, seed);
  if (!workOf(0, tokens, first, error) || !runOurs(0, seconds))
    return false;
  double round = seconds;
  bool allValid = true;
  struct Timed {
    Contender *contender;
    double seconds;
    std::vector<double> times;
  };
  std::vector<Timed> timed;
  for (const std::unique_ptr<Contender> &contender : contenders) {
    double foreseen = contender->lastOperations > 0
                          ? contender->lastSeconds * first.operations() /
                                contender->lastOperations
                          : 0;
    if (foreseen > longestRun) {
      note(llvm::formatv("{0} left out for {1} with {2} tokens: one run would "
                         "take about {3:F0} s",
                         contender->name, label(), tokens, foreseen));
      continue;
    }
    double theirSeconds = 0;
    std::string theirError;
    if (!validate(*contender, seed, row, theirSeconds, theirError)) {
      error = contender->name + ": " + theirError;
      note(error + " (" + label() + ", " + std::to_string(tokens) + " tokens)");
      allValid = false;
      continue;
    }
    contender->lastSeconds = theirSeconds;
    contender->lastOperations = first.operations();
    timed.push_back({contender.get(), theirSeconds, {}});
    round += theirSeconds;
  }
  int repeats = options.repeats;
  if (repeats == 0)
    repeats = suite.isQuick ? 3 : chooseRepeats(seconds, round, longestRow);
  row.repeats = repeats;
  row.copies = copies;

  run::PeakMeter &meter = row.format == "bf16"   ? bf16Peak
                          : row.format == "int8" ? int8Peak
                                                 : f32Peak;
  const double expectedPeak = report.machine.peak(row.format, threads);
  const double expectedDram = report.machine.find(threads)->dram;
  std::vector<double> times, readings, peaks;
  double operations = 0, bytes = 0;
  for (int r = 0; r < repeats; ++r) {
    const int copy = r % copies;
    ours->refill(copy, ++seed);
    Work work;
    if (!workOf(copy, tokens, work, error))
      return false;
    operations += work.operations() / repeats;
    bytes += work.bytes() / repeats;
    for (Timed &each : timed)
      if (!each.contender->prepare(*ours, copy, seed, error))
        return false;
    // Registers only, for rows that may be bound by them.
    if (!suite.isQuick &&
        work.operations() / expectedPeak > 0.3 * work.bytes() / expectedDram)
      peaks.push_back(meter.read(threads));
    readings.push_back(dram.read(threads));
    times.emplace_back();
    if (!runOurs(copy, times.back()))
      return false;
    for (Timed &each : timed) {
      // One that takes long is not repeated as often.
      if (each.seconds * each.times.size() > longestRow)
        continue;
      readings.push_back(dram.read(threads));
      double start = now();
      if (!each.contender->run(*ours, copy, error))
        return false;
      each.times.push_back(now() - start);
    }
  }

  const double time = median(times);
  row.medianMs = time * 1e3;
  row.gflops = operations / time * 1e-9;
  row.gbytesPerS = bytes / time * 1e-9;
  row.tokensPerS = tokens / time;
  row.dramGBytesPerS = median(readings);
  row.peakBeside = median(peaks);
  for (double reading : peaks)
    report.machine.raisePeak(row.format, threads, reading);
  run::Roofline roofline = run::Roofline::get(
      operations, bytes, report.machine.peak(row.format, threads) * 1e9,
      row.dramGBytesPerS * 1e9, time);
  row.isMemoryBound = roofline.isMemoryBound;
  row.rooflineFraction = roofline.fraction;
  if (expectation) {
    double expected = expectation->getSeconds(tokens, threads, report.machine,
                                              row.dramGBytesPerS);
    row.expectedMs = expected < 0 ? -1 : expected * 1e3;
  }
  for (Timed &each : timed) {
    double theirTime = median(each.times);
    row.baselines.emplace_back(each.contender->name, theirTime / time);
    each.contender->lastSeconds = theirTime;
    each.contender->lastOperations = operations;
  }
  if (options.phases && !measurePhases(row, error))
    return false;
  return allValid;
}

bool Runner::measurePhases(Row &row, std::string &error) {
  // name -> shares of the repeats
  std::vector<std::pair<std::string, std::vector<double>>> shares;
  std::vector<double> balances, synchronies;
  for (int r = 0; r < (suite.isQuick ? 3 : 7); ++r) {
    ours->refill(r % copies, 100000 + r);
    dram.read(row.threads);
    Named phases;
    run::LoopTimes loops;
    double start = now();
    if (!ours->tracePhases(r % copies, phases, loops, error))
      return false;
    double seconds = now() - start;
    if (loops.loops > 0)
      balances.push_back(loops.items / (row.threads * loops.loops));
    if (loops.lastFinish > 0)
      synchronies.push_back(loops.meanFinish / loops.lastFinish);
    for (const auto &[name, time] : phases) {
      auto found = llvm::find_if(shares, [&, &name = name](auto &entry) {
        return entry.first == name;
      });
      if (found == shares.end()) {
        shares.emplace_back(name, std::vector<double>());
        found = std::prev(shares.end());
      }
      found->second.push_back(time / seconds);
    }
  }
  for (const auto &[name, values] : shares)
    row.phases.emplace_back(name, median(values));
  if (row.threads > 1 && !balances.empty())
    row.balance = median(balances);
  if (row.threads > 1 && !synchronies.empty())
    row.synchrony = median(synchronies);
  return true;
}

bool Runner::runLayer(const BenchModel &model, const std::string &directory,
                      const std::function<void(const Row &)> &onRow,
                      std::string &error) {
  bool ok = true;
  for (const std::string &wanted : options.formats) {
    const int rows = options.tokens.size() * options.threads.size();
    std::string base =
        directory + "/" + model.name + (wanted.empty() ? "" : "-" + wanted);
    std::string layerError;
    if (!load(model, wanted, base, layerError)) {
      note(label() + ": " + layerError);
      if (ok)
        error = layerError;
      ok = false;
      doneRows += rows;
      continue;
    }
    for (int threads : options.threads) {
      for (std::unique_ptr<Contender> &contender : contenders)
        contender->lastOperations = 0;
      for (int64_t tokens : options.tokens) {
        std::string where = options.device;
        if (where.empty())
          where =
              llvm::formatv("{0} thread{1}", threads, threads == 1 ? "" : "s");
        progress(llvm::formatv("{0}: {1} token{2}, {3}", label(), tokens,
                               tokens == 1 ? "" : "s", where));
        Row row;
        row.suite = suite.name;
        row.model = name;
        row.format = format;
        row.tokens = tokens;
        row.threads = threads;
        row.variant = ours->variant();
        std::string rowError;
        bool rowOk = measureRow(tokens, threads, row, rowError);
        ++doneRows;
        line.hide();
        if (!rowOk) {
          if (ok)
            error = label() + ", " + std::to_string(tokens) +
                    " tokens: " + rowError;
          ok = false;
        }
        if (row.medianMs > 0) {
          report.rows.push_back(row);
          onRow(row);
        }
      }
    }
  }
  ours.reset();
  contenders.clear();
  return ok;
}

bool bench::runBench(mlir::MLIRContext &context, const Options &options,
                     llvm::raw_ostream &notes,
                     const std::function<void(const Machine &)> &onMachine,
                     const std::function<void(const Row &)> &onRow,
                     Report &report, std::string &error) {
  TemporaryFolder temporary;
  std::string directory = options.artifactDir;
  if (directory.empty()) {
    if (!temporary.create("moe-bench", error))
      return false;
    directory = temporary.path();
  } else if (std::error_code code =
                 llvm::sys::fs::create_directories(directory)) {
    error = options.artifactDir + ": " + code.message();
    return false;
  }

  Runner runner(context, options, notes, report);
  runner.numRows = options.models.size() * options.formats.size() *
                   options.tokens.size() * options.threads.size();
  bool ok = runner.measureMachine(error);
  if (ok) {
    onMachine(report.machine);
    for (const BenchModel &model : options.suite.models) {
      if (!llvm::is_contained(options.models, model.name))
        continue;
      std::string layerError;
      if (!runner.runLayer(model, directory, onRow, layerError)) {
        if (ok)
          error = layerError;
        ok = false;
      }
    }
  }
  // Later readings may have raised a limit that earlier rows were measured by.
  for (Row &row : report.rows)
    if (!row.isMemoryBound && row.device.empty())
      row.rooflineFraction =
          row.gflops / report.machine.peak(row.format, row.threads);
  return ok;
}
