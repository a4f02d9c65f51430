//===- Quantize.cpp - A model with its weights stored otherwise -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Whatever can be wrong with names, types and the model is found before the
// first value is read; then expert after expert goes through one buffer.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Quantize/Quantize.h"

#include "Source.h"

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Reference/FunctionTensors.h"
#include "moe-mlir/Support/TensorIO.h"

using namespace mlir;
using namespace moe;
using namespace moe::quantize;

namespace {

/// A weight to be converted once, though several functions may share it.
struct Job {
  const ModelWeight *weight;
  /// The first of them.
  std::string function;
  Location loc;
  /// What its tensors are called in files, in front of the name.
  std::string prefix;
  std::vector<Source> sources;
  /// For each expert; empty if nothing is known.
  std::vector<std::vector<float>> importance;
  /// The entry of the file of its first tensor.
  size_t entry = 0;

  int64_t sourceBytes() const {
    int64_t bytes = 0;
    for (const Source &source : sources)
      bytes += source.bytes * weight->numExperts();
    return bytes;
  }
};

/// An argument of a function, and the weights that are converted from it: one,
/// or ranges of one.
struct Use {
  std::string function, argument;
  std::vector<const ModelWeight *> weights;
};

class Quantizer {
public:
  Quantizer(const QuantizeOptions &options, QuantizeReport &report,
            std::string &error)
      : options(options), report(report), error(error) {}

  /// Finds what there is to do; false and all problems if it cannot be done.
  bool plan(ModuleOp module, ArrayRef<ModelWeight> weights);
  bool open(OutputSet &outputs, const std::string &path);
  bool convert();
  bool close() { return !writes || writer.close(error); }

private:
  bool isSharedBy(const ModelWeight &weight, const std::string &name);
  void planWeight(const ModelWeight &weight);
  void findImportance(Job &job);
  /// Tensors of files that some function takes as they are.
  void planCopies();
  /// The same for an argument that is in the checkpoint.
  void planCopy(func::FuncOp function, BlockArgument argument);
  Source findSource(const ModelWeight &weight, size_t index,
                    std::string &prefix);
  bool convert(const Job &job);
  bool copy(size_t index);

  const QuantizeOptions &options;
  QuantizeReport &report;
  std::string &error;
  std::vector<std::string> problems;
  std::vector<Use> uses;
  std::vector<Job> jobs;
  std::vector<Source> copies;
  SafetensorsWriter writer;
  bool writes = false;
  size_t firstCopy = 0;
  uint64_t done = 0, total = 0;
};

} // namespace

static DType dtypeOf(Type element) {
  std::string text;
  llvm::raw_string_ostream(text) << element;
  DType dtype = DType::F32;
  (void)parseDType(text, dtype);
  return dtype;
}

//===----------------------------------------------------------------------===//
// What there is to do
//===----------------------------------------------------------------------===//

Source Quantizer::findSource(const ModelWeight &weight, size_t index,
                             std::string &prefix) {
  Source source;
  func::FuncOp model = weight.function;
  std::string function = model.getSymName().str();
  const std::string &name = weight.tensors[index];
  RankedTensorType type = weight.tensorTypes[index];
  source.bytes = Converter::getBytes(weight.from, type.getContext(),
                                     weight.rows(), weight.columns())[index];
  std::vector<int64_t> shape = type.getShape().vec();
  DType dtype = dtypeOf(type.getElementType());
  const HostTensor *found = options.tensors.find(function, name);
  if (!found) {
    source.tensor.name = name;
    source.tensor.dtype = dtype;
    source.tensor.shape = shape;
    std::string problem;
    source.reader =
        findReader(model, name, dtype, shape, options.checkpoint, problem);
    if (source.reader)
      prefix = function + "/";
    else if (!problem.empty())
      problems.push_back("'" + name + "' of function '" + function +
                         "': " + problem);
    if (source.reader || !problem.empty())
      return source;
    if (!options.seed)
      problems.push_back("'" + name + "' of function '" + function +
                         "' is missing: " + describeType(dtype, shape));
    if (weight.from.format)
      for (BlockArgument argument : model.getArguments())
        if (nameWeight(argument) == name)
          source.group =
              reference::getStoredGroup(model, argument.getArgNumber());
    return source;
  }
  source.tensor = *found;
  if (found->name != name)
    prefix = function + "/";
  bool isBytes = dtype == DType::I8 && found->dtype == DType::U8;
  bool isNumber =
      !weight.from.format &&
      llvm::is_contained({DType::F64, DType::F32, DType::F16, DType::BF16},
                         found->dtype);
  if (found->shape != shape || (found->dtype != dtype && !isBytes && !isNumber))
    problems.push_back("'" + found->name + "' is " + found->describe() +
                       " instead of " + describeType(dtype, shape));
  return source;
}

/// Whether all functions that take `name` from a tensor of all functions
/// convert it as `weight` does.
bool Quantizer::isSharedBy(const ModelWeight &weight, const std::string &name) {
  for (const Use &use : uses) {
    const HostTensor *found = options.tensors.find(use.function, use.argument);
    bool isOwn = found && found->name != use.argument;
    if (use.argument == name && !isOwn &&
        llvm::none_of(use.weights, [&](const ModelWeight *other) {
          return *other->to == *weight.to && other->type == weight.type &&
                 other->name == weight.name;
        }))
      return false;
  }
  return true;
}

void Quantizer::planWeight(const ModelWeight &weight) {
  func::FuncOp function = weight.function;
  Job job{&weight, function.getSymName().str(), function.getLoc(), "", {}, {},
          0};
  for (size_t i = 0; i < weight.tensors.size(); ++i)
    job.sources.push_back(findSource(weight, i, job.prefix));
  if (!isSharedBy(weight, weight.tensors.front()))
    job.prefix = job.function + "/";
  for (const Job &other : jobs)
    if (other.prefix == job.prefix && other.weight->name == weight.name)
      return;
  if (options.profile)
    findImportance(job);
  jobs.push_back(std::move(job));
}

/// Of a tensor that functions share, that of the first of them.
void Quantizer::findImportance(Job &job) {
  const Profile::Weight *met =
      options.profile->find(job.function, job.weight->ownName());
  if (!met)
    return;
  std::string problem;
  if (checkProfile(*met, *job.weight, problem))
    job.importance = getImportance(*met);
  else
    problems.push_back(problem);
}

void Quantizer::planCopies() {
  for (const HostTensor &tensor : options.tensors.all()) {
    bool isArgument = false, isNeeded = false;
    for (const Use &use : uses) {
      isArgument |= tensor.name == use.argument ||
                    tensor.name == use.function + "/" + use.argument;
      isNeeded |= use.weights.empty() &&
                  options.tensors.find(use.function, use.argument) == &tensor;
    }
    if (!isArgument)
      problems.push_back("'" + tensor.name + "' " + tensor.describe() +
                         " is not an argument");
    else if (isNeeded)
      copies.push_back({tensor, {}, {}, 0});
  }
}

void Quantizer::planCopy(func::FuncOp function, BlockArgument argument) {
  std::string owner = function.getSymName().str(), name = nameWeight(argument);
  auto type = dyn_cast<RankedTensorType>(argument.getType());
  if (!type || !type.hasStaticShape() || options.tensors.find(owner, name))
    return;
  Source source;
  source.tensor.name = owner + "/" + name;
  source.tensor.dtype = dtypeOf(type.getElementType());
  source.tensor.shape = type.getShape().vec();
  std::string problem;
  source.reader = findReader(function, name, source.tensor.dtype,
                             source.tensor.shape, options.checkpoint, problem);
  if (source.reader)
    copies.push_back(std::move(source));
  else if (!problem.empty())
    problems.push_back("'" + name + "' of function '" + owner +
                       "': " + problem);
}

bool Quantizer::plan(ModuleOp module, ArrayRef<ModelWeight> weights) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (options.checkpoint && function.getNumArguments() &&
        !function->hasAttr(MoeDialect::getCheckpointAttrName()))
      problems.push_back(("function '" + function.getSymName() +
                          "' does not say where its weights are in a "
                          "checkpoint; import the model from the checkpoint "
                          "with moe-import")
                             .str());
    for (BlockArgument argument : function.getArguments()) {
      Use use{function.getSymName().str(), nameWeight(argument), {}};
      for (const ModelWeight &weight : weights)
        if (weight.isChanged() && weight.function == function &&
            llvm::is_contained(weight.tensors, use.argument))
          use.weights.push_back(&weight);
      if (use.weights.empty())
        planCopy(function, argument);
      uses.push_back(std::move(use));
    }
  }
  for (const ModelWeight &weight : weights)
    if (weight.isChanged())
      planWeight(weight);
  planCopies();
  for (const Job &job : jobs)
    total += job.sourceBytes();
  if (options.profile && !jobs.empty() && problems.empty() &&
      llvm::all_of(jobs, [](const Job &job) { return job.importance.empty(); }))
    problems.push_back("the profile tells nothing of the weights that are to "
                       "be converted, such as '" +
                       jobs.front().weight->name + "' of function '" +
                       jobs.front().function + "'");
  if (problems.empty())
    return true;
  error = problems.size() == 1 ? "a tensor does not fit the model:"
                               : "tensors do not fit the model:";
  for (const std::string &problem : problems)
    error += "\n  " + problem;
  return false;
}

//===----------------------------------------------------------------------===//
// Doing it
//===----------------------------------------------------------------------===//

bool Quantizer::open(OutputSet &outputs, const std::string &path) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (Job &job : jobs) {
    job.entry = entries.size();
    for (auto &[name, type] : job.weight->getTarget())
      entries.push_back({job.prefix + name, dtypeOf(type.getElementType()),
                         type.getShape().vec()});
  }
  firstCopy = entries.size();
  for (const Source &source : copies)
    entries.push_back(
        {source.tensor.name, source.tensor.dtype, source.tensor.shape});
  writes = true;
  constexpr size_t alignment = 64;
  return writer.open(outputs, path, std::move(entries), error, alignment,
                     alignment);
}

bool Quantizer::convert(const Job &job) {
  const ModelWeight &weight = *job.weight;
  // A file may have other floats than the model.
  WeightType from = weight.from;
  std::vector<Source> sources = job.sources;
  if (!from.format) {
    from.number = sources.front().tensor.dtype;
    sources.front().bytes = weight.rows() * weight.columns() *
                            static_cast<int64_t>(dtypeSize(from.number));
  }
  std::string problem;
  std::optional<Converter> converter = Converter::get(
      from, *weight.to, weight.rows(), weight.columns(), job.loc, problem);
  if (!converter) {
    error = "'" + weight.name + "': " + problem;
    return false;
  }
  converter->setPrunes(options.prunes);
  QuantizeReport::Weight told;
  told.function = job.function;
  told.name = weight.name;
  told.from = from.name();
  told.to = weight.to->name();
  told.rows = weight.rows();
  told.columns = weight.columns();
  told.hasImportance = !job.importance.empty();
  std::vector<HostTensor> made(sources.size());
  for (int64_t expert = 0; expert < weight.numExperts(); ++expert) {
    SmallVector<const uint8_t *> given;
    for (auto [source, buffer] : llvm::zip_equal(sources, made)) {
      given.push_back(source.get((weight.begin + expert) * source.bytes,
                                 source.bytes, options.seed, buffer));
      told.bytesFrom += source.bytes;
      done += source.bytes;
      if (!given.back()) {
        error = "no memory for an expert of '" + weight.name + "'";
        return false;
      }
    }
    told.experts.emplace_back();
    ArrayRef<float> importance;
    if (told.hasImportance)
      importance = job.importance[weight.begin + expert];
    if (!converter->convert(given, importance, options.threads,
                            told.experts.back(), problem)) {
      error = "'" + job.prefix + weight.ownName() + "', expert " +
              std::to_string(weight.begin + expert) + ", " + problem;
      return false;
    }
    for (auto [source, data] : llvm::zip_equal(sources, given))
      forgetRead(data, source.bytes);
    for (auto [i, bytes] : llvm::enumerate(converter->result())) {
      told.bytesTo += bytes.size();
      if (writes &&
          !writer.appendTo(job.entry + i, bytes.data(), bytes.size(), error))
        return false;
    }
    if (options.progress)
      options.progress(done, total, weight.name);
  }
  report.weights.push_back(std::move(told));
  return true;
}

bool Quantizer::copy(size_t index) {
  const Source &source = copies[index];
  constexpr size_t part = size_t(16) << 20;
  for (size_t at = 0, size = source.tensor.numBytes(); at < size; at += part) {
    size_t bytes = std::min(part, size - at);
    HostTensor buffer;
    const uint8_t *data = source.get(at, bytes, options.seed, buffer);
    if (!data) {
      error = "no memory for a part of '" + source.tensor.name + "'";
      return false;
    }
    if (!writer.appendTo(firstCopy + index, data, bytes, error))
      return false;
    forgetRead(data, bytes);
  }
  return true;
}

bool Quantizer::convert() {
  for (const Job &job : jobs)
    if (!convert(job))
      return false;
  for (size_t i = 0; writes && i < copies.size(); ++i)
    if (!copy(i))
      return false;
  return true;
}

bool quantize::quantizeModel(ModuleOp module, const QuantizeOptions &options,
                             OutputSet &outputs, const std::string &path,
                             QuantizeReport &report,
                             std::vector<LeftWeight> &left,
                             std::string &error) {
  std::vector<ModelWeight> weights = findWeights(module, left);
  if (!applyRules(options.rules, weights, error))
    return false;
  if (options.rules.empty() &&
      llvm::none_of(weights,
                    [](const ModelWeight &weight) { return weight.to; })) {
    error = "nothing says what weights become: neither --to nor a " +
            kFormatAttr.str() + " of the model";
    return false;
  }
  Quantizer quantizer(options, report, error);
  return quantizer.plan(module, weights) &&
         storeWeights(module, weights, error) &&
         (path.empty() || quantizer.open(outputs, path)) &&
         quantizer.convert() && quantizer.close();
}
