//===- moe-run.cpp - Runs compiled functions -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls a function of an artifact, or of a model that is compiled on the way,
// on tensors from files or from a seed; checks and times it.
//
//===----------------------------------------------------------------------===//

#include "Emulator.h"
#include "Model.h"
#include "Report.h"
#include "Verify.h"

#include "moe-mlir/Artifact/ArtifactLibrary.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TemporaryFolder.h"
#include "moe-mlir/Support/TensorIO.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

#include <chrono>
#include <cmath>

using namespace llvm;
using moe::HostTensor;

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

namespace {

struct CommandLine {
  moe::tools::CommandLine line{
      {"moe-run",
       "Runs, checks and times compiled functions.",
       "<artifact.so | artifact.json | model.mlir>",
       {{"A model on random tensors, compared with the interpreter",
         "moe-run layer.mlir --random=1 --tokens=16 --verify"},
        {"An artifact with packed weights, timed",
         "moe-run out/layer.so --weights=out/layer.safetensors "
         "--inputs=x.npy --bench"},
        {"Code for another machine, in an emulator",
         "moe-run layer.mlir --random=1 --tokens=4 "
         "--emulator=\"qemu-aarch64 -cpu max\""}},
       moe::randomHelp,
       moe::knownTargets()}};
  cl::OptionCategory &in = line.group("Input"), &code = line.group("Code"),
                     &running = line.group("Running"),
                     &out = line.group("Output");

  cl::opt<std::string> inputFile{
      cl::Positional, cl::Required, cl::cat(in),
      cl::desc("<artifact.so | artifact.json | model.mlir>")};
  moe::tools::EntryOption entryOption{line};
  cl::opt<std::string> &entry = entryOption.entry;
  cl::list<std::string> inputFiles{
      "inputs", cl::CommaSeparated, cl::value_desc("file,..."), cl::cat(in),
      cl::desc("Arguments: .safetensors files, or .npy files named like the "
               "argument; tensors match by moe.name")};
  cl::opt<std::string> weightsFile{
      "weights", cl::value_desc("packed.safetensors"), cl::cat(in),
      cl::desc("Weights packed by moe-pack, used where they are mapped")};
  moe::tools::RandomOption random{line};
  moe::tools::SizeOptions sizes{line};
  moe::tools::BytecodeOption bytecode{line};
  moe::tools::PluginOptions plugins{line};

  cl::list<std::string> targets{
      "target", cl::CommaSeparated, cl::value_desc("name,..."), cl::cat(code),
      cl::desc("Targets to compile a model for, see --list-targets (default: "
               "native)")};
  cl::opt<std::string> passes{
      "pass-pipeline", cl::value_desc("passes"), cl::cat(code),
      cl::desc("Passes to run on a model before it is compiled, written as for "
               "moe-opt; --verify compares with the model as it was")};
  cl::opt<bool> noFuse{"no-fuse", cl::cat(code),
                       cl::desc("Compile a model without fused kernels")};
  cl::opt<bool> recordRouting{
      "record-routing", cl::cat(code),
      cl::desc("For a model: return its routings, too (as moe-compile does)")};
  cl::opt<bool> replayRouting{
      "replay-routing", cl::cat(code),
      cl::desc("For a model: take its routings as arguments")};
  cl::opt<bool> dropRouterArguments{
      "drop-router-arguments", cl::cat(code),
      cl::desc("With --replay-routing: leave out arguments that only the "
               "routers used")};

  moe::tools::ThreadsOption threadsOption{line};
  cl::opt<unsigned> &threads = threadsOption.threads;
  cl::opt<std::string> emulator{
      "emulator", cl::value_desc("command"), cl::cat(running),
      cl::desc("Run code for another CPU in a program of its own, by this "
               "command: \"qemu-aarch64 -cpu cortex-a72\"")};
  cl::opt<bool> verify{
      "verify", cl::cat(running),
      cl::desc("Compare with the float64 interpreter; fails when the results "
               "differ")};
  cl::opt<int64_t> verifyTokens{
      "verify-tokens", cl::init(0), cl::value_desc("N"), cl::cat(running),
      cl::desc("Compare only N tokens (implies --verify)")};
  cl::opt<std::string> modelFile{
      "model", cl::value_desc("model.mlir"), cl::cat(in),
      cl::desc("What the artifact was compiled from, for --verify")};
  cl::opt<std::string> bench{
      "bench", cl::ValueOptional, cl::value_desc("repeats"), cl::cat(running),
      cl::desc("Time the call: median and minimum (default: 10 repeats)")};

  cl::opt<std::string> output{
      "output", cl::value_desc("file | folder"), cl::cat(out),
      cl::desc("Write the results: to a .safetensors file, to a .npy file (one "
               "result), or to NAME.npy in a folder")};
  cl::alias outputShort{"o",           cl::aliasopt(output),
                        cl::NotHidden, cl::value_desc("file | folder"),
                        cl::cat(out),  cl::desc("The same as --output")};
  cl::opt<bool> trace{"trace", cl::cat(out),
                      cl::desc("Print routing and phases to stderr")};
  cl::opt<std::string> routingReport{
      "routing-report", cl::value_desc("file.html"), cl::cat(out),
      cl::desc("Write a page that shows how evenly routers use their experts; "
               "without --entry all functions run, the n-th (from 0) on random "
               "tensors of SEED + n")};

  CommandLine() {
    line.addList("list-targets", "List the targets", moe::describeTargets);
  }
};

} // namespace

static int fail(const Twine &message) {
  WithColor::error(errs(), "moe-run") << message << "\n";
  return 1;
}

//===----------------------------------------------------------------------===//
// Hooks
//===----------------------------------------------------------------------===//

namespace {

/// What the hooks of the runtime leave for main().
struct HookState {
  std::string message;
  std::chrono::steady_clock::time_point phaseBegin;
  bool printsTrace = false;
  /// Where routings go; may be null.
  moe::run::RoutingCollector *collector = nullptr;
  moe::run::RoutingTrace *routings = nullptr;
};

} // namespace

static void keepError(const moe_rt *rt, int, const char *message) {
  static_cast<HookState *>(rt->user)->message = message ? message : "";
}

static void printTrace(const moe_rt *rt, const moe_trace_event *event) {
  auto *state = static_cast<HookState *>(rt->user);
  auto now = std::chrono::steady_clock::now();
  if (event->kind != MOE_TRACE_PHASE_BEGIN)
    errs() << "trace: " << (event->function ? event->function : "?") << ": ";
  switch (event->kind) {
  case MOE_TRACE_ROUTING: {
    int64_t active = 0;
    int32_t largest = 0;
    for (int64_t e = 0; event->offsets && e < event->experts; ++e) {
      int32_t load = event->offsets[e + 1] - event->offsets[e];
      active += load != 0;
      largest = std::max(largest, load);
    }
    errs() << "routing of " << event->tokens << " tokens to " << event->experts
           << " experts, at most " << event->slots
           << " each: " << (event->offsets ? event->offsets[event->experts] : 0)
           << " assignments, " << active << " experts active, largest load "
           << largest << "\n";
    return;
  }
  case MOE_TRACE_PHASE_BEGIN:
    state->phaseBegin = now;
    return;
  case MOE_TRACE_PHASE_END: {
    std::chrono::duration<double, std::milli> time = now - state->phaseBegin;
    errs() << (event->phase ? event->phase : "?") << " took "
           << format("%.3f", time.count()) << " ms\n";
    return;
  }
  }
  errs() << "event " << event->kind << "\n";
}

static void onTrace(const moe_rt *rt, const moe_trace_event *event) {
  auto *state = static_cast<HookState *>(rt->user);
  if (state->collector && event->kind == MOE_TRACE_ROUTING)
    state->collector->record(*event);
  if (state->routings)
    state->routings->record(*event);
  if (state->printsTrace)
    printTrace(rt, event);
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

/// Reads the options that say where tensors and sizes come from.
static bool readInputs(const CommandLine &options, moe::FunctionInputs &inputs,
                       std::string &error) {
  if (!options.random.read(inputs.seed, error) ||
      !options.sizes.read(inputs.sizes, error))
    return false;
  for (const std::string &file : options.inputFiles)
    if (!inputs.tensors.addFile(file, error))
      return false;
  StringMap<char> names;
  for (const HostTensor &tensor : inputs.tensors.all())
    if (!names.try_emplace(tensor.name).second) {
      error = "tensor '" + tensor.name + "' is in the --inputs twice";
      return false;
    }
  return options.weightsFile.empty() ||
         inputs.packed.addFile(options.weightsFile, error);
}

static bool writeResults(moe::OutputSet &outputs, const std::string &output,
                         const std::vector<HostTensor> &results,
                         std::string &error) {
  StringRef path = output;
  if (path.ends_with(".safetensors"))
    return moe::writeSafetensors(outputs, output, results, error);
  if (path.ends_with(".npy")) {
    if (results.size() == 1)
      return moe::writeNpy(outputs, output, results.front(), error);
    error = output + ": a .npy file holds one tensor, but there are " +
            std::to_string(results.size()) +
            " results; use .safetensors or a folder";
    return false;
  }
  if (!outputs.addFolder(output, error))
    return false;
  for (const HostTensor &result : results) {
    SmallString<128> file(path);
    // A name is not a path.
    std::string name = result.name;
    std::replace(name.begin(), name.end(), '/', '_');
    sys::path::append(file, name + ".npy");
    if (!moe::writeNpy(outputs, file.str().str(), result, error))
      return false;
  }
  return true;
}

static void printSummary(const HostTensor &result) {
  double sum = 0.0, largest = 0.0;
  int64_t notFinite = 0, elements = result.numElements();
  for (int64_t i = 0; i < elements; ++i) {
    double value = std::fabs(result.get(i));
    if (!std::isfinite(value)) {
      ++notFinite;
      continue;
    }
    sum += value;
    largest = std::max(largest, value);
  }
  outs() << result.name << ": " << result.describe();
  if (elements)
    outs() << ", mean magnitude " << format("%.4g", sum / elements)
           << ", largest " << format("%.4g", largest);
  if (notFinite)
    outs() << ", " << notFinite << " not finite";
  outs() << "\n";
}

namespace {

/// A call with everything it needs.
struct Call {
  const moe::ArtifactFunction &function;
  const std::vector<int64_t> &sizes;
  moe_rt rt;
  HookState state;
  std::vector<HostTensor> arguments, results;
  HostTensor workspace;
  size_t workspaceBytes = 0;
  /// Instead of the pointers in `function`.
  std::unique_ptr<moe::run::EmulatedFunction> emulated;

  /// No function returns this status.
  static constexpr int isLost = -1;

  int invoke() {
    if (emulated) {
      std::optional<int> status = emulated->invoke(
          rt, sizes, arguments, results, workspaceBytes, state.message);
      return status.value_or(isLost);
    }
    std::vector<void *> buffers;
    for (const auto *tensors : {&arguments, &results})
      for (const HostTensor &tensor : *tensors)
        buffers.push_back(tensor.data);
    return function.invoke(&rt, sizes.data(), buffers.data(), workspace.data,
                           workspaceBytes);
  }

  int check(int status) {
    if (status == MOE_OK)
      return 0;
    if (status == isLost)
      return fail(state.message);
    return fail("'" + function.desc->name + "' returned status " +
                Twine(status) + " (" + moe_status_string(status) + ")" +
                (state.message.empty() ? "" : ": " + state.message));
  }
};

} // namespace

static int runBench(Call &call, int64_t repeats) {
  std::vector<double> times;
  for (int64_t i = 0; i < repeats; ++i) {
    auto begin = std::chrono::steady_clock::now();
    int status = call.invoke();
    auto end = std::chrono::steady_clock::now();
    if (int code = call.check(status))
      return code;
    times.push_back(
        std::chrono::duration<double, std::milli>(end - begin).count());
  }
  std::sort(times.begin(), times.end());
  size_t middle = times.size() / 2;
  double median = times.size() % 2 ? times[middle]
                                   : (times[middle - 1] + times[middle]) / 2.0;
  outs() << "bench: median " << format("%.3f", median) << " ms, minimum "
         << format("%.3f", times.front()) << " ms of " << repeats
         << " repeats\n";
  return 0;
}

namespace {

/// An artifact that is loaded, or one that an emulator will run.
struct Artifact {
  std::string path;
  std::unique_ptr<moe::ArtifactLibrary> library;
  moe::Manifest manifest;
  const moe::Architecture *architecture = nullptr;

  bool open(const CommandLine &options, std::string &error) {
    SmallString<128> file(path);
    sys::path::replace_extension(file, ".json");
    if (moe::readManifest(file.str().str(), manifest, error)) {
      architecture = moe::run::getArchitecture(manifest, error);
      error = architecture ? "" : path + ": " + error;
    }
    if (!options.emulator.empty())
      return architecture;
    // What else is missing or broken is told by who loads it.
    if (architecture && architecture != &moe::getHostArchitecture()) {
      error = path + ": is for " + architecture->gnuTriple +
              ", not for this machine; --emulator=\"qemu-aarch64 -cpu max\" "
              "runs it";
      return false;
    }
    library = moe::ArtifactLibrary::open(path, error);
    if (library)
      manifest = library->manifest();
    return library != nullptr;
  }

  bool lookup(const std::string &entry, moe::ArtifactFunction &function,
              std::string &error) const {
    if (library)
      return library->lookup(entry, function, error);
    function.desc = manifest.select(entry, error);
    if (!function.desc)
      error = path + ": " + error;
    return function.desc;
  }
};

} // namespace

/// `model` is what the function was compiled from, null when it is not known;
/// routings go to `collector` unless that is null. Results that --verify finds
/// wrong are no failure: `isWrong` tells, after whatever is to be written.
static int runFunction(const CommandLine &options, const Artifact &artifact,
                       const std::string &entry, mlir::func::FuncOp model,
                       bool isVerified, const moe::FunctionInputs &inputs,
                       int64_t repeats, moe::run::RoutingCollector *collector,
                       moe::OutputSet &outputs, bool &isWrong) {
  std::string error;
  moe::ArtifactFunction function;
  std::vector<int64_t> sizes;
  if (!artifact.lookup(entry, function, error) ||
      !inputs.bindSizes(*function.desc, sizes, error) ||
      !inputs.check(artifact.manifest, *function.desc, &sizes, error))
    return fail(error);
  const moe::FunctionDesc &desc = *function.desc;

  Call call{function, sizes, {}, {}, {}, {}, {}, 0, nullptr};
  std::vector<HostTensor> &results = call.results;
  if (!inputs.makeArguments(desc, sizes, call.arguments, error))
    return fail(error);
  for (const moe::ArgumentDesc &value : desc.results) {
    results.push_back(HostTensor::allocate(
        value.dtype, desc.resolve(value, sizes), value.name));
    if (!results.back().data)
      return fail("no memory for result '" + value.name + "', " +
                  results.back().describe());
  }
  if (options.emulator.empty()) {
    call.workspaceBytes = function.workspaceBytes(sizes.data());
    if (call.workspaceBytes > std::numeric_limits<int64_t>::max())
      return fail("'" + desc.name +
                  "' wants a workspace beyond 2^63 - 1 "
                  "bytes for these sizes");
    call.workspace = HostTensor::allocate(
        moe::DType::U8, {static_cast<int64_t>(call.workspaceBytes)});
    if (!call.workspace.data)
      return fail("no memory for a workspace of " + Twine(call.workspaceBytes) +
                  " bytes");
  } else {
    SmallVector<StringRef> words;
    StringRef(options.emulator).split(words, ' ', -1, /*KeepEmpty=*/false);
    call.emulated = moe::run::EmulatedFunction::link(
        artifact.path, desc, *artifact.architecture, artifact.manifest.id,
        std::vector<std::string>(words.begin(), words.end()), error);
    if (!call.emulated)
      return fail(error);
  }
  moe_rt_init(&call.rt, options.threads);
  call.rt.error = keepError;
  call.rt.user = &call.state;
  call.state.printsTrace = options.trace;
  call.state.collector = collector;
  moe::run::RoutingTrace routings;
  call.state.routings = isVerified ? &routings : nullptr;
  if (options.trace || collector || isVerified)
    call.rt.trace = onTrace;
  if (collector)
    collector->begin(desc, model);

  if (int code = call.check(call.invoke()))
    return code;
  if (collector)
    collector->end();
  outs() << desc.name << ":";
  for (auto [name, size] : zip_equal(desc.sizes, sizes))
    outs() << " " << name << " = " << size << ",";
  outs() << " threads = " << call.rt.num_threads
         << ", workspace = " << call.workspaceBytes << " bytes\n";
  for (const HostTensor &result : results)
    printSummary(result);
  if (!options.output.empty() &&
      !writeResults(outputs, options.output, results, error))
    return fail(error);
  call.rt.trace = nullptr;
  if (repeats)
    if (int code = runBench(call, repeats))
      return code;
  if (!isVerified)
    return 0;
  moe::run::VerifyOptions verifyOptions;
  verifyOptions.tokens = options.verifyTokens;
  verifyOptions.threads = options.threads;
  verifyOptions.narrowsRows = moe::run::narrowsRows(artifact.manifest.targets,
                                                    !options.emulator.empty());
  isWrong |= failed(moe::run::verify(model, desc, sizes, inputs, results,
                                     routings, verifyOptions));
  return 0;
}

/// Where the tensors come from, in words.
static std::string describeInputs(const CommandLine &options,
                                  size_t numFunctions) {
  std::vector<std::string> from;
  for (const std::string &file : options.inputFiles)
    from.push_back(sys::path::filename(file).str());
  if (!options.weightsFile.empty())
    from.push_back(sys::path::filename(options.weightsFile).str());
  if (options.random.seed.getNumOccurrences())
    from.push_back("random, seed " + options.random.seed +
                   (numFunctions > 1 ? " and following" : ""));
  return llvm::join(from, ", ");
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-run");
  moe::registerAllTargets();
  CommandLine options;
  options.line.parse(argc, argv);
  std::string error;
  if (options.verifyTokens < 0)
    return fail("--verify-tokens has to be 0 or more");
  int64_t repeats = 0;
  if (options.bench.getNumOccurrences() &&
      (options.bench.empty()
           ? (repeats = 10, false)
           : StringRef(options.bench).getAsInteger(10, repeats)))
    return fail("--bench=" + options.bench + ": expected a number of repeats");
  if (options.bench.getNumOccurrences() && repeats < 1)
    return fail("--bench: expected 1 or more repeats");
  bool isEmulated = options.emulator.getNumOccurrences();
  if (isEmulated && StringRef(options.emulator).trim().empty())
    return fail("--emulator: expected a command");
  if (isEmulated && repeats)
    return fail("--bench: times in an emulator tell nothing");
  moe::FunctionInputs inputs;
  if (!readInputs(options, inputs, error))
    return fail(error);

  StringRef extension = sys::path::extension(options.inputFile);
  bool isModel = extension != ".so" && extension != ".json" &&
                 extension != ".a" && extension != ".o";
  bool isVerified = options.verify || options.verifyTokens > 0;
  if (isModel && !options.modelFile.empty())
    return fail("--model is for artifacts; '" + options.inputFile +
                "' is a model");
  if (!isModel && isVerified && options.modelFile.empty())
    return fail("--verify needs what the artifact was compiled from: "
                "--model=model.mlir");

  moe::RoutingOptions routing{options.recordRouting, options.replayRouting,
                              options.dropRouterArguments};
  if (routing.dropArguments && !routing.replay)
    return fail("--drop-router-arguments goes with --replay-routing");
  if ((routing.record || routing.replay) && !isModel && !isVerified)
    return fail("an artifact records or replays routings when moe-compile was "
                "told so; --record-routing and --replay-routing change models");

  // The folder outlives the library that is loaded from it.
  moe::TemporaryFolder folder;
  std::unique_ptr<moe::run::Model> model;
  Artifact artifact;
  artifact.path = options.inputFile;
  bool hasReport = !options.routingReport.empty();
  if (isModel || isVerified || (hasReport && !options.modelFile.empty())) {
    mlir::DialectRegistry plugins;
    if (!options.plugins.load(plugins, error))
      return fail(error);
    model = std::make_unique<moe::run::Model>(plugins);
    if (!model->parse(options.line,
                      isModel ? options.inputFile : options.modelFile,
                      options.bytecode.allow) ||
        failed(model->applyRoutingOptions(routing)))
      return 1;
  }
  if (isModel) {
    if (!folder.create("moe-run", error))
      return fail(error);
    SmallString<128> base(folder.path());
    sys::path::append(base, sys::path::stem(options.inputFile));
    std::vector<std::string> chosen(options.targets.begin(),
                                    options.targets.end());
    if (chosen.empty())
      chosen.push_back(isEmulated ? "aarch64*" : "native");
    if (failed(model->compile(chosen, !options.noFuse, options.passes,
                              base.str().str(), isEmulated)))
      return 1;
    artifact.path = (base + ".so").str();
  }
  if (!artifact.open(options, error))
    return fail(error);
  // A report is about all layers unless one is named.
  std::vector<std::string> entries{options.entry};
  if (hasReport && options.entry.empty() &&
      artifact.manifest.functions.size() > 1) {
    entries.clear();
    for (const moe::FunctionDesc &desc : artifact.manifest.functions)
      entries.push_back(desc.name);
    if (!options.output.empty())
      return fail("--output is for the results of one function, and "
                  "--routing-report runs all " +
                  Twine(entries.size()) + "; name one by --entry");
  }
  moe::run::RoutingCollector collector;
  moe::OutputSet outputs;
  bool isWrong = false;
  for (const auto &[i, entry] : enumerate(entries)) {
    mlir::func::FuncOp function;
    if (model && (isVerified || hasReport)) {
      const moe::FunctionDesc *desc = artifact.manifest.select(entry, error);
      if (!desc)
        return fail(artifact.path + ": " + error);
      function = model->find(desc->name);
      if (!function && isVerified)
        return fail("the model has no function '" + desc->name + "'");
    }
    // Layers have tensors of the same names: one seed would make them the same.
    moe::FunctionInputs own = inputs;
    if (own.seed)
      *own.seed += i;
    if (int code = runFunction(options, artifact, entry, function, isVerified,
                               own, repeats, hasReport ? &collector : nullptr,
                               outputs, isWrong))
      return code;
  }
  if (!hasReport)
    return outputs.commit(error) ? isWrong : fail(error);
  moe::RoutingReport &report = collector.report;
  if (report.title.empty())
    report.title = sys::path::stem(options.inputFile).str();
  report.facts = {{isModel ? "Model file" : "Artifact",
                   sys::path::filename(options.inputFile).str()},
                  {"Tensors", describeInputs(options, entries.size())}};
  if (!outputs.write(options.routingReport, report.html(), error) ||
      !outputs.commit(error))
    return fail(error);
  outs() << "routing report of " << report.records.size() << " routing"
         << (report.records.size() == 1 ? "" : "s") << ": "
         << options.routingReport << "\n";
  return isWrong;
}
