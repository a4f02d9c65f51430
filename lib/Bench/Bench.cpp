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

#include "CompiledLayer.h"

#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/Statistics.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TemporaryFolder.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <optional>

using namespace moe;
using namespace moe::bench;
using namespace moe::run;

const std::vector<std::string> &bench::knownBaselines() {
  static const std::vector<std::string> names = {"onednn", "unfused"};
  return names;
}

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

static std::string quotedList(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "'" : ", '") + name + "'";
  return text;
}

static bool checkNames(const std::vector<std::string> &wanted,
                       const std::vector<std::string> &known,
                       const std::string &missing, std::string &error) {
  for (const std::string &name : wanted) {
    if (llvm::is_contained(known, name))
      continue;
    error = missing + " '" + name + "'; known: " + quotedList(known);
    return false;
  }
  return true;
}

bool bench::resolveOptions(Options &options, std::string &error) {
  const Suite *suite = findSuite(options.suite);
  std::vector<std::string> suites, models;
  for (const Suite &each : allSuites())
    suites.push_back(each.name);
  if (!checkNames({options.suite}, suites, "there is no suite", error))
    return false;
  for (const SuiteModel &model : suite->models)
    models.push_back(model.spec.model);
  std::string has = "suite '" + suite->name + "' has no ";
  if (!checkNames(options.models, models, has + "model", error) ||
      !checkNames(options.formats, suite->formats, has + "format", error) ||
      !checkNames(options.baselines, knownBaselines(), "there is no baseline",
                  error))
    return false;
  for (int64_t tokens : options.tokens) {
    if (tokens >= 1 && tokens <= 65536)
      continue;
    error = "cannot run " + std::to_string(tokens) +
            " tokens: the number has to be from 1 to 65536";
    return false;
  }
  for (int threads : options.threads) {
    if (threads >= 1 && threads <= maxThreads())
      continue;
    error = "cannot run on " + std::to_string(threads) +
            " threads: this process may use 1 to " +
            std::to_string(maxThreads());
    return false;
  }
  if (options.repeats < 0 || options.repeats > 10000) {
    error = "the number of repeats has to be from 1 to 10000";
    return false;
  }
  if (options.reuseArtifacts && options.artifactDir.empty()) {
    error = "to reuse compiled layers, say where they are: --artifact-dir";
    return false;
  }
  if (options.models.empty())
    options.models = models;
  if (options.formats.empty())
    options.formats = suite->formats;
  if (options.tokens.empty())
    options.tokens = suite->tokens;
  if (options.threads.empty())
    options.threads = {maxThreads()};
  return true;
}

//===----------------------------------------------------------------------===//
// A model in one format: our layer and what it is compared with
//===----------------------------------------------------------------------===//

namespace {

/// Longer than this for one run, and a baseline is left out.
constexpr double longestRun = 20;
/// A row may take about so long, baselines and all.
constexpr double longestRow = 30;

struct Contender {
  std::string name;
  std::function<bool(int copy, const float *x, int64_t tokens,
                     std::string &error)>
      prepare;
  std::function<bool(int copy, const float *x, float *y, int64_t tokens,
                     std::string &error)>
      run;
  /// Of its last row, to foresee how long the next will take.
  double lastSeconds = 0, lastFlops = 0;
};

class Runner {
public:
  Runner(mlir::MLIRContext &context, const Options &options,
         llvm::raw_ostream &notes, Report &report)
      : context(context), options(options), suite(*findSuite(options.suite)),
        notes(notes), report(report),
        dram(suite.isQuick ? int64_t(128) << 20 : int64_t(1) << 30,
             suite.isQuick ? int64_t(32) << 20 : int64_t(384) << 20),
        f32Peak(PeakMeter::F32), bf16Peak(PeakMeter::BF16) {}

  bool measureMachine(std::string &error);
  /// Everything for one model and format; false if any of it failed.
  bool runLayer(const SuiteModel &model, const std::string &directory,
                const std::function<void(const Row &)> &onRow,
                std::string &error);
  /// Says on a terminal what comes next.
  void progress(const llvm::Twine &text);
  int numRows = 0;

private:
  bool addContenders(const SuiteModel &model, const std::string &base,
                     std::string &error);
  void addOneDnn();
  void addUnfused(const SuiteModel &model, const std::string &base);
  bool haveMemoryFor(const std::string &what);
  void note(const std::string &text);
  bool artifact(const SuiteModel &model, const std::string &base, bool fuse,
                std::string &error);
  bool measureRow(int64_t tokens, int threads, Row &row, std::string &error);
  bool validate(Contender &contender, const HostTensor &x, const HostTensor &y,
                Row &row, double &seconds, std::string &error);
  bool measurePhases(HostTensor &x, HostTensor &y, Row &row,
                     std::string &error);
  Work workOf(const HostTensor &x, int copy);

  mlir::MLIRContext &context;
  const Options &options;
  const Suite &suite;
  llvm::raw_ostream &notes;
  Report &report;
  DramReader dram;
  PeakMeter f32Peak, bf16Peak;
  Progress line{"measuring", "rows"};
  int doneRows = 0;

  // Of the layer at hand.
  LayerSpec spec;
  int copies = 1;
  std::unique_ptr<CompiledLayer> ours;
  std::vector<Contender> contenders;
  /// Per copy: what the router is made of, to know the work of a routing.
  struct RouterWeights {
    HostTensor matrix, bias, correction;
  };
  std::vector<RouterWeights> routers;
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
    limits.dram = dram.median(threads, repeats);
    machine.limits.push_back(limits);
  }
  line.hide();
  return true;
}

bool Runner::artifact(const SuiteModel &model, const std::string &base,
                      bool fuse, std::string &error) {
  if (options.reuseArtifacts && llvm::sys::fs::exists(base + ".json"))
    return true;
  return compileModel(context, model, options.modelsDir, fuse, base, error);
}

/// Whether another set of the weights fits; they are the bulk of everything.
bool Runner::haveMemoryFor(const std::string &what) {
  // An expert and some buffers while packing, and what the system needs.
  const double needed = 1.02 * weightBytes(spec) * copies + (1 << 30);
  const int64_t available = availableMemoryBytes();
  if (available == 0 || needed < available)
    return true;
  note(llvm::formatv("{0} left out for {1} {2}: it takes {3:F1} GB, "
                     "and {4:F1} GB of memory are available",
                     what, spec.model, dtypeName(spec.weightType),
                     needed * 1e-9, available * 1e-9));
  return false;
}

void Runner::addOneDnn() {
  std::string error;
  if (!haveMemoryFor("onednn"))
    return;
  std::vector<std::shared_ptr<Baseline>> loops;
  for (int copy = 0; copy < copies; ++copy) {
    std::shared_ptr<Baseline> loop = createOneDnnLoop(spec, error);
    if (!loop)
      return note("onednn left out: " + error);
    for (const HostTensor &weight : weightTensors(spec))
      if (!loop->setWeight(weight, weightFiller(spec, copy), error))
        return note("onednn left out for " + spec.model + ": " + error);
    loops.push_back(std::move(loop));
  }
  Contender contender;
  contender.name = "onednn";
  contender.prepare = [loops](int copy, const float *x, int64_t tokens,
                              std::string &error) {
    return loops[copy]->prepare(x, tokens, error);
  };
  contender.run = [loops](int copy, const float *x, float *y, int64_t tokens,
                          std::string &error) {
    return loops[copy]->run(x, y, tokens, error);
  };
  contenders.push_back(std::move(contender));
}

void Runner::addUnfused(const SuiteModel &model, const std::string &base) {
  std::string error;
  if (!haveMemoryFor("unfused"))
    return;
  if (!artifact(model, base, /*fuse=*/false, error))
    return note("unfused left out: " + error);
  std::shared_ptr<CompiledLayer> layer =
      CompiledLayer::load(spec, base, copies, error);
  if (!layer)
    return note("unfused left out for " + spec.model + ": " + error);
  Contender contender;
  contender.name = "unfused";
  contender.prepare = [](int, const float *, int64_t, std::string &) {
    return true;
  };
  contender.run = [layer](int copy, const float *x, float *y, int64_t tokens,
                          std::string &error) {
    return layer->run(copy, currentThreads(), x, y, tokens, error);
  };
  contenders.push_back(std::move(contender));
}

bool Runner::addContenders(const SuiteModel &model, const std::string &base,
                           std::string &error) {
  ours.reset();
  contenders.clear();
  routers.clear();
  // As a model of many layers: what a run needs is not in a cache any more.
  const int64_t most = suite.isQuick ? 2 : 16;
  copies = std::clamp<int64_t>(
      llvm::divideCeil(8 * lastLevelCacheBytes(), weightBytes(spec)), 1, most);
  progress(llvm::formatv("{0} {1}: compiling", spec.model,
                         dtypeName(spec.weightType)));
  if (!artifact(model, base, /*fuse=*/true, error))
    return false;
  progress(llvm::formatv("{0} {1}: making weights", spec.model,
                         dtypeName(spec.weightType)));
  if (!haveMemoryFor("the layer")) {
    error = report.notes.back();
    return false;
  }
  ours = CompiledLayer::load(spec, base, copies, error);
  if (!ours)
    return false;
  for (int copy = 0; copy < copies; ++copy) {
    RouterWeights &router = routers.emplace_back();
    router.matrix = makeWeight(spec, "router.weight", copy, error);
    if (spec.routerBias)
      router.bias = makeWeight(spec, "router.bias", copy, error);
    if (spec.correctionBias)
      router.correction =
          makeWeight(spec, "router.correction_bias", copy, error);
  }
  for (const std::string &name : options.baselines) {
    progress(llvm::formatv("{0} {1}: preparing {2}", spec.model,
                           dtypeName(spec.weightType), name));
    if (name == "onednn")
      addOneDnn();
    else
      addUnfused(model, base + "-unfused");
  }
  return error.empty();
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

Work Runner::workOf(const HostTensor &x, int copy) {
  const int64_t tokens = x.shape[0];
  const RouterWeights &router = routers[copy];
  std::vector<float> logits;
  Routing routing;
  computeLogits(spec, x.dataAs<float>(), router.matrix.dataAs<float>(),
                router.bias.dataAs<float>(), tokens, logits);
  selectExperts(spec, logits.data(), router.correction.dataAs<float>(), tokens,
                routing);
  return layerWork(spec, routing, tokens);
}

/// The largest difference of a token's elements by the token's largest
/// element, over those tokens that agree; `outliers` counts the others.
static double compare(const HostTensor &ours, const HostTensor &theirs,
                      double tolerance, int64_t &outliers) {
  const int64_t tokens = ours.shape[0], width = ours.shape[1];
  double worst = 0;
  outliers = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const float *a = ours.dataAs<float>() + t * width;
    const float *b = theirs.dataAs<float>() + t * width;
    double difference = 0, largest = 0;
    bool isNumber = true;
    for (int64_t i = 0; i < width; ++i) {
      isNumber &= std::isfinite(a[i]) && std::isfinite(b[i]);
      difference = std::max(difference, std::fabs(double(a[i]) - b[i]));
      largest = std::max(largest, std::fabs(double(b[i])));
    }
    double relative = largest > 0 ? difference / largest : difference;
    if (!isNumber || relative > tolerance)
      ++outliers;
    else
      worst = std::max(worst, relative);
  }
  return worst;
}

/// Runs the contender once on x and compares with our y. Two logits that
/// differ by rounding only may send a token to another expert, which is no
/// mistake, but rare.
bool Runner::validate(Contender &contender, const HostTensor &x,
                      const HostTensor &y, Row &row, double &seconds,
                      std::string &error) {
  HostTensor theirs = HostTensor::allocate(DType::F32, y.shape, "y");
  const int64_t tokens = x.shape[0];
  if (!contender.prepare(0, x.dataAs<float>(), tokens, error))
    return false;
  double start = now();
  if (!contender.run(0, x.dataAs<float>(), theirs.dataAs<float>(), tokens,
                     error))
    return false;
  seconds = now() - start;
  const double tolerance = spec.weightType == DType::F32 ? 5e-4 : 3e-2;
  int64_t outliers = 0;
  double difference = compare(y, theirs, tolerance, outliers);
  if (outliers > tokens / 64) {
    error = llvm::formatv("its result differs from ours in {0} of {1} tokens "
                          "by more than {2:E1} of the largest element",
                          outliers, tokens, tolerance);
    return false;
  }
  row.differences.emplace_back(contender.name, difference);
  return true;
}

bool Runner::measureRow(int64_t tokens, int threads, Row &row,
                        std::string &error) {
  setThreads(threads);
  const double activations = std::sqrt(3.0); // variance one
  HostTensor x = HostTensor::allocate(DType::F32, {tokens, spec.hidden}, "x");
  HostTensor y = HostTensor::allocate(DType::F32, {tokens, spec.hidden}, "y");
  if (!x.data || !y.data) {
    error = "no memory for " + std::to_string(tokens) + " tokens";
    return false;
  }
  uint64_t seed = 7 * tokens;
  auto refill = [&] { fillRandom(x, seed++, activations); };
  auto runOurs = [&](int copy, double &seconds) {
    double start = now();
    bool ok = ours->run(copy, threads, x.dataAs<float>(), y.dataAs<float>(),
                        tokens, error);
    seconds = now() - start;
    return ok;
  };

  // The first run pages everything in and is not timed; the second says how
  // often to repeat. Its result is what the baselines have to reproduce.
  double seconds = 0;
  refill();
  if (!runOurs(0, seconds) || !runOurs(0, seconds))
    return false;
  const Work first = workOf(x, 0);
  double round = seconds;
  bool allValid = true;
  struct Timed {
    Contender *contender;
    double seconds;
    std::vector<double> times;
  };
  std::vector<Timed> timed;
  for (Contender &contender : contenders) {
    double foreseen =
        contender.lastFlops > 0
            ? contender.lastSeconds * first.flops / contender.lastFlops
            : 0;
    if (foreseen > longestRun) {
      note(llvm::formatv("{0} left out for {1} {2} with {3} tokens: one run "
                         "would take about {4:F0} s",
                         contender.name, spec.model, row.format, tokens,
                         foreseen));
      continue;
    }
    double theirSeconds = 0;
    std::string theirError;
    if (!validate(contender, x, y, row, theirSeconds, theirError)) {
      error = contender.name + ": " + theirError;
      note(error + " (" + spec.model + " " + row.format + ", " +
           std::to_string(tokens) + " tokens)");
      allValid = false;
      continue;
    }
    contender.lastSeconds = theirSeconds;
    contender.lastFlops = first.flops;
    timed.push_back({&contender, theirSeconds, {}});
    round += theirSeconds;
  }
  int repeats = options.repeats;
  if (repeats == 0)
    repeats = suite.isQuick ? 3 : chooseRepeats(seconds, round, longestRow);
  row.repeats = repeats;
  row.copies = copies;

  PeakMeter &meter =
      row.format == "bf16" && bf16Peak.valid() ? bf16Peak : f32Peak;
  const double expectedPeak = report.machine.peak(row.format, threads);
  const double expectedDram = report.machine.find(threads)->dram;
  std::vector<double> times, readings, peaks;
  Work total;
  for (int r = 0; r < repeats; ++r) {
    const int copy = r % copies;
    refill();
    Work work = workOf(x, copy);
    total.flops += work.flops;
    total.bytes += work.bytes;
    for (Timed &each : timed)
      if (!each.contender->prepare(copy, x.dataAs<float>(), tokens, error))
        return false;
    // Registers only, for rows that may be bound by them.
    if (!suite.isQuick &&
        work.flops / expectedPeak > 0.3 * work.bytes / expectedDram)
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
      if (!each.contender->run(copy, x.dataAs<float>(), y.dataAs<float>(),
                               tokens, error))
        return false;
      each.times.push_back(now() - start);
    }
  }

  const double time = median(times);
  const double flops = total.flops / repeats, bytes = total.bytes / repeats;
  row.medianMs = time * 1e3;
  row.gflops = flops / time * 1e-9;
  row.gbytesPerS = bytes / time * 1e-9;
  row.dramGBytesPerS = median(readings);
  row.peakBeside = median(peaks);
  for (double reading : peaks)
    report.machine.raisePeak(row.format, threads, reading);
  const double peak = report.machine.peak(row.format, threads);
  const double computeTime = flops / peak * 1e-9;
  const double memoryTime = bytes / row.dramGBytesPerS * 1e-9;
  row.isMemoryBound = memoryTime > computeTime;
  row.rooflineFraction = std::max(computeTime, memoryTime) / time;
  for (Timed &each : timed) {
    double theirTime = median(each.times);
    row.baselines.emplace_back(each.contender->name, theirTime / time);
    each.contender->lastSeconds = theirTime;
    each.contender->lastFlops = flops;
  }
  if (options.phases && !measurePhases(x, y, row, error))
    return false;
  return allValid;
}

bool Runner::measurePhases(HostTensor &x, HostTensor &y, Row &row,
                           std::string &error) {
  // name -> shares of the repeats
  std::vector<std::pair<std::string, std::vector<double>>> shares;
  for (int r = 0; r < (suite.isQuick ? 3 : 7); ++r) {
    fillRandom(x, 100000 + r, std::sqrt(3.0));
    dram.read(row.threads);
    Named phases;
    double start = now();
    if (!ours->tracePhases(r % copies, row.threads, x.dataAs<float>(),
                           y.dataAs<float>(), x.shape[0], phases, error))
      return false;
    double seconds = now() - start;
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
  return true;
}

bool Runner::runLayer(const SuiteModel &model, const std::string &directory,
                      const std::function<void(const Row &)> &onRow,
                      std::string &error) {
  bool ok = true;
  for (const std::string &format : options.formats) {
    const int rows = options.tokens.size() * options.threads.size();
    SuiteModel inFormat = model;
    parseDType(format, inFormat.spec.weightType);
    spec = inFormat.spec;
    std::string base = directory + "/" + spec.model + "-" + format;
    std::string layerError;
    if (!addContenders(inFormat, base, layerError)) {
      note(spec.model + " " + format + ": " + layerError);
      if (ok)
        error = layerError;
      ok = false;
      doneRows += rows;
      continue;
    }
    for (int threads : options.threads) {
      for (Contender &contender : contenders)
        contender.lastFlops = 0;
      for (int64_t tokens : options.tokens) {
        progress(llvm::formatv(
            "{0} {1}: {2} token{3}, {4} thread{5}", spec.model, format, tokens,
            tokens == 1 ? "" : "s", threads, threads == 1 ? "" : "s"));
        Row row;
        row.suite = suite.name;
        row.model = spec.model;
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
            error = spec.model + " " + format + ", " + std::to_string(tokens) +
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
  const Suite *suite = findSuite(options.suite);
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
    for (const SuiteModel &model : suite->models) {
      if (!llvm::is_contained(options.models, model.spec.model))
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
    if (!row.isMemoryBound)
      row.rooflineFraction =
          row.gflops / report.machine.peak(row.format, row.threads);
  return ok;
}
