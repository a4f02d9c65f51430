//===- FunctionInputs.cpp - Tensors for a function's arguments -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Matching by name, with complete messages.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Checkpoint/TensorExpression.h"
#include "moe-mlir/Runtime/moe_rt.h"

#include <algorithm>
#include <cstring>

using namespace moe;

static uintptr_t misalignment(const void *data) {
  return reinterpret_cast<uintptr_t>(data) % MOE_ALIGNMENT;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

bool FunctionInputs::bindSizes(const FunctionDesc &function,
                               std::vector<int64_t> &values,
                               std::string &error) const {
  auto fail = [&](const std::string &what) {
    error = "function '" + function.name + "': " + what;
    return false;
  };
  struct Binding {
    int64_t value;
    std::string from;
  };
  std::map<std::string, Binding> bound;
  for (const auto &[name, value] : sizes) {
    if (std::find(function.sizes.begin(), function.sizes.end(), name) ==
        function.sizes.end()) {
      std::string known;
      for (const std::string &size : function.sizes)
        known += (known.empty() ? "" : ", ") + size;
      return fail("has no size '" + name +
                  "'; its sizes: " + (known.empty() ? "none" : known));
    }
    if (value < 0)
      return fail("size '" + name + "' is " + std::to_string(value) +
                  "; it has to be 0 or more");
    bound[name] = {value, "the command line"};
  }
  for (const ArgumentDesc &argument : function.arguments) {
    const HostTensor *tensor = tensors.find(function.name, argument.name);
    if (!tensor || tensor->shape.size() != argument.shape.size())
      continue;
    for (size_t i = 0; i < argument.shape.size(); ++i) {
      if (!argument.shape[i].isDynamic())
        continue;
      Binding binding{tensor->shape[i], "tensor '" + argument.name + "'"};
      auto [it, isNew] = bound.try_emplace(argument.shape[i].name, binding);
      if (!isNew && it->second.value != binding.value)
        return fail("size '" + argument.shape[i].name + "' is " +
                    std::to_string(it->second.value) + " by " +
                    it->second.from + ", but " + std::to_string(binding.value) +
                    " by " + binding.from);
    }
  }
  values.clear();
  for (const std::string &name : function.sizes) {
    auto it = bound.find(name);
    if (it == bound.end())
      return fail("size '" + name + "' is not known; give " +
                  (name == "T" ? "--tokens=N, " : "") + "--size=" + name +
                  "=N, or a tensor that has it");
    values.push_back(it->second.value);
  }
  for (const auto *list : {&function.arguments, &function.results})
    for (const ArgumentDesc &value : *list) {
      int64_t bytes;
      std::vector<int64_t> shape = function.resolve(value, values);
      if (!checkedByteSize(shape, dtypeSize(value.dtype), bytes))
        return fail("'" + value.name + "' of " +
                    describeType(value.dtype, shape) +
                    " is beyond the largest size of 2^63 - 1 bytes");
    }
  return true;
}

//===----------------------------------------------------------------------===//
// Finding and checking
//===----------------------------------------------------------------------===//

std::optional<TensorReader> FunctionInputs::findReader(
    const FunctionDesc &function, const std::string &name, DType dtype,
    const std::vector<int64_t> &shape, std::string &error) const {
  error.clear();
  auto said = function.checkpoint.find(name);
  if (!checkpoint || said == function.checkpoint.end())
    return std::nullopt;
  std::optional<TensorExpression> expression =
      TensorExpression::parse(said->second, error);
  if (!expression)
    return std::nullopt;
  return TensorReader::make(*checkpoint, *expression, dtype, shape, error);
}

/// How many experts a made-up routing of so many slots may name: no routing of
/// the function has fewer than the weights of some experts, or than slots.
static int64_t countExperts(const FunctionDesc &function, int64_t slots) {
  std::optional<int64_t> least;
  for (const ArgumentDesc &argument : function.arguments)
    if (argument.packed && argument.packed->experts > 1)
      least = std::min(least.value_or(argument.packed->experts),
                       argument.packed->experts);
  return std::max(slots, least.value_or(slots));
}

void FunctionInputs::makeUp(const FunctionDesc &function, HostTensor &tensor,
                            bool isActivation, const StoredGroup *stored,
                            uint64_t first) const {
  if (stored)
    fillStored(tensor, *seed, *stored, first);
  else if (isRoutingIndices(tensor))
    fillRouting(tensor, *seed, countExperts(function, tensor.shape.back()),
                first);
  else
    // A part has the last dimension of the whole, and its rank unless the
    // whole is one expert: the range is the same.
    fillRandom(tensor, *seed,
               range(tensor.name, tensor.dtype, tensor.shape, isActivation),
               first);
}

std::optional<HostTensor>
FunctionInputs::find(const FunctionDesc &function, const std::string &name,
                     DType dtype, const std::vector<int64_t> &shape,
                     bool isActivation, bool describeOnly,
                     const StoredGroup *stored) const {
  if (const HostTensor *found = tensors.find(function.name, name))
    return *found;
  HostTensor tensor;
  std::string error;
  std::optional<TensorReader> reader =
      findReader(function, name, dtype, shape, error);
  if (reader && (!describeOnly || reader->isView()))
    return reader->get(name);
  if (!error.empty() || (!seed && !reader))
    return std::nullopt;
  if (!describeOnly) {
    tensor = HostTensor::allocate(dtype, shape, name);
    if (tensor.data)
      makeUp(function, tensor, isActivation, stored, /*first=*/0);
    return tensor;
  }
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = shape;
  return tensor;
}

TensorSource FunctionInputs::source() const {
  return [this](const FunctionDesc &function, const std::string &name,
                DType dtype, const std::vector<int64_t> &shape) {
    return find(function, name, dtype, shape, /*isActivation=*/false,
                /*describeOnly=*/true);
  };
}

FunctionFill FunctionInputs::fill() const {
  // The readers of one function: its tensors are filled part by part.
  struct Readers {
    const FunctionDesc *function = nullptr;
    std::map<std::string, TensorReader> byName;
  };
  auto readers = std::make_shared<Readers>();
  return [this, readers](const FunctionDesc &function, HostTensor &part,
                         uint64_t first, const StoredGroup *stored) {
    if (readers->function != &function) {
      *readers = {&function, {}};
      std::string error;
      for (const PackTensor &weight : function.getWeights())
        if (std::optional<TensorReader> reader = findReader(
                function, weight.name, weight.dtype, weight.shape, error))
          readers->byName.emplace(weight.name, *reader);
    }
    if (auto it = readers->byName.find(part.name);
        it != readers->byName.end()) {
      int64_t begin = static_cast<int64_t>(first), count = part.numElements();
      if (std::optional<HostTensor> view = it->second.view(begin, count)) {
        part.data = view->data;
        part.storage = view->storage;
      } else {
        it->second.read(begin, count, part.data);
      }
      return;
    }
    makeUp(function, part, /*isActivation=*/false, stored, first);
  };
}

const HostTensor *
FunctionInputs::findPacked(const FunctionDesc &function,
                           const ArgumentDesc &argument) const {
  return argument.isDynamic() ? nullptr
                              : packed.find(function.name, argument.name);
}

std::string FunctionInputs::getPackedSource(const FunctionDesc &function,
                                            const std::string &name) const {
  auto said = function.checkpoint.find(name);
  if (checkpoint || said == function.checkpoint.end() ||
      tensors.find(function.name, name))
    return "";
  for (const ArgumentDesc &argument : function.arguments) {
    const HostTensor *ready = findPacked(function, argument);
    if (!ready || !argument.packed ||
        !packed.metadata().count(sourceKey(ready->name)))
      continue;
    for (const PackSource &source : argument.packed->sources)
      for (const PackTensor &tensor : source.getTensors())
        if (tensor.name == name)
          return said->second;
  }
  return "";
}

/// Whether `name` is an argument of `function`, or a part of a packed one.
static bool hasInput(const FunctionDesc &function, const std::string &name) {
  for (const ArgumentDesc &argument : function.arguments) {
    if (!argument.packed && argument.name == name)
      return true;
    if (argument.packed)
      for (const PackSource &source : argument.packed->sources)
        for (const PackTensor &tensor : source.getTensors())
          if (tensor.name == name)
            return true;
  }
  return false;
}

static bool hasInput(const Manifest &manifest, const std::string &name) {
  size_t slash = name.find('/');
  for (const FunctionDesc &function : manifest.functions) {
    bool isPrefixed = slash != std::string::npos &&
                      name.compare(0, slash, function.name) == 0;
    if (hasInput(function, name) ||
        (isPrefixed && hasInput(function, name.substr(slash + 1))))
      return true;
  }
  return false;
}

/// Whether a file that another run wrote may hold `name` beside what is asked
/// for: results, and the counts of a recorded routing, which replay does not
/// need.
static bool isResult(const Manifest &manifest, const std::string &name) {
  if (name.rfind("routing.counts", 0) == 0)
    return true;
  for (const FunctionDesc &function : manifest.functions)
    for (const ArgumentDesc &result : function.results)
      if (result.name == name)
        return true;
  return false;
}

bool FunctionInputs::check(const Manifest &manifest,
                           const FunctionDesc &function,
                           const std::vector<int64_t> *sizeValues,
                           std::string &error) const {
  if (checkpoint && function.checkpoint.empty()) {
    error = "function '" + function.name +
            "' does not say where its weights are in a checkpoint; import the "
            "model from the checkpoint with moe-import, and compile that";
    return false;
  }
  std::vector<std::string> problems, expected;
  // Several sources may be slices of one tensor.
  auto addOnce = [](std::vector<std::string> &lines, std::string line) {
    if (std::find(lines.begin(), lines.end(), line) == lines.end())
      lines.push_back(std::move(line));
  };
  // Whether it is in the checkpoint, or has a problem there.
  auto isRead = [&](const std::string &name, DType dtype,
                    const std::vector<int64_t> &shape) {
    std::string problem;
    bool isThere =
        findReader(function, name, dtype, shape, problem).has_value();
    if (!problem.empty())
      addOnce(problems, "'" + name + "': " + problem);
    return isThere || !problem.empty();
  };
  auto addMissing = [&](const std::string &name) {
    auto said = function.checkpoint.find(name);
    addOnce(problems, "'" + name + "' is missing" +
                          (said == function.checkpoint.end()
                               ? ""
                               : "; --checkpoint=DIR reads it from '" +
                                     said->second + "'"));
  };
  auto compare = [&](const HostTensor *tensor, const std::string &name,
                     DType dtype, const std::vector<int64_t> &shape) {
    if (!tensor && isRead(name, dtype, shape))
      return;
    if (!tensor && !seed)
      addMissing(name);
    else if (tensor && (tensor->dtype != dtype || tensor->shape != shape))
      problems.push_back("'" + name + "' is " + tensor->describe() +
                         " instead of " + describeType(dtype, shape));
  };
  auto compareLayout = [&](const HostTensor &ready, const PackSpec &spec) {
    auto found = packed.metadata().find(layoutKey(ready.name));
    if (found == packed.metadata().end())
      problems.push_back("'" + ready.name +
                         "' is not packed by moe-pack: the "
                         "file does not say in which layout it is ('" +
                         layoutKey(ready.name) + "' in its metadata)");
    else if (found->second != layoutId(spec))
      problems.push_back("'" + ready.name +
                         "' is packed in a layout of "
                         "another artifact; pack it for this one");
  };
  // In the layout of another target of the artifact.
  auto isPackedForOther = [&](const HostTensor &ready, const PackSpec &spec) {
    auto found = packed.metadata().find(layoutKey(ready.name));
    if (found == packed.metadata().end() || found->second == layoutId(spec))
      return false;
    for (const LayoutDesc &layout : function.layouts)
      for (const ArgumentDesc &other : layout.arguments)
        if (other.packed && found->second == layoutId(*other.packed)) {
          problems.push_back("'" + ready.name + "' is packed for " +
                             layout.targets.front() +
                             "; moe-pack --target packs it for others");
          return true;
        }
    return false;
  };
  // Weights of another layer fit as well, and give wrong results.
  auto compareSources = [&](const HostTensor &ready,
                            const ArgumentDesc &argument) {
    auto found = packed.metadata().find(sourceKey(ready.name));
    std::string wanted = describeSources(function, argument);
    if (found != packed.metadata().end() && !wanted.empty() &&
        found->second != wanted)
      problems.push_back("'" + ready.name + "' is packed from '" +
                         found->second + "', and this layer's is '" + wanted +
                         "'");
  };
  auto checkPacked = [&](const PackSpec &spec) {
    bool isComplete = true;
    std::vector<HostTensor> described;
    for (const PackSource &source : spec.sources)
      for (const PackTensor &wanted : source.getTensors()) {
        addOnce(expected, wanted.name + ": " +
                              describeType(wanted.dtype, wanted.shape) +
                              describePackable(spec, wanted.dtype));
        const HostTensor *found = tensors.find(function.name, wanted.name);
        bool isThere = found || isRead(wanted.name, wanted.dtype, wanted.shape);
        if (!isThere && !seed) {
          addMissing(wanted.name);
          isComplete = false;
        }
        // Others fit; only what files hold has to be looked at.
        described.push_back(found ? *found : HostTensor());
        described.back().name = wanted.name;
        if (!found) {
          described.back().dtype = wanted.dtype;
          described.back().shape = wanted.shape;
        }
      }
    auto lookup = [&](const std::string &name) -> const HostTensor * {
      for (const HostTensor &tensor : described)
        if (tensor.name == name)
          return &tensor;
      return nullptr;
    };
    std::string problem;
    if (isComplete && !checkPackSources(spec, lookup, problem))
      problems.push_back(problem);
  };
  bool wantsPacked = false, hasPacked = false;
  for (const ArgumentDesc &argument : function.arguments) {
    if (!sizeValues && argument.isDynamic())
      continue;
    std::vector<int64_t> shape = function.resolve(
        argument, sizeValues ? *sizeValues : std::vector<int64_t>());
    wantsPacked |= argument.packed.has_value();
    if (const HostTensor *ready = findPacked(function, argument)) {
      hasPacked = true;
      expected.push_back(argument.name + ": " + argument.describe() +
                         " (packed)");
      if (argument.packed && isPackedForOther(*ready, *argument.packed))
        continue;
      compare(ready, argument.name, argument.dtype, shape);
      if (argument.packed) {
        compareLayout(*ready, *argument.packed);
        compareSources(*ready, argument);
      }
    } else if (argument.packed) {
      checkPacked(*argument.packed);
    } else {
      expected.push_back(argument.name + ": " + argument.describe());
      compare(tensors.find(function.name, argument.name), argument.name,
              argument.dtype, shape);
    }
  }
  // Made-up weights in their place would go unnoticed.
  if (wantsPacked && !hasPacked && !packed.all().empty())
    problems.push_back("the packed weights have none of it: '" +
                       packed.all().front().name +
                       "' is the first; pack them with moe-pack");
  for (const HostTensor &tensor : tensors.all())
    if (!hasInput(manifest, tensor.name) && !isResult(manifest, tensor.name))
      problems.push_back("'" + tensor.name + "' " + tensor.describe() +
                         " is not an argument");
  if (problems.empty())
    return true;
  error = "function '" + function.name + "' cannot be called:";
  for (const std::string &problem : problems)
    error += "\n  " + problem;
  error += "\nits arguments are:";
  for (const std::string &line : expected)
    error += "\n  " + line;
  if (!seed)
    error += "\n(--random=SEED makes up what is missing)";
  return false;
}

/// What `argument` consists of if weights that are packed are stored in it.
static std::optional<StoredGroup> getGroup(const FunctionDesc &function,
                                           const ArgumentDesc &argument) {
  for (const ArgumentDesc &other : function.arguments) {
    if (!other.packed)
      continue;
    for (const PackSource &source : other.packed->sources)
      for (size_t i = 0; i < source.storage.size(); ++i)
        if (source.storage[i].name == argument.name)
          return other.packed->getGroup(source, i);
  }
  return std::nullopt;
}

bool FunctionInputs::makeArguments(const FunctionDesc &function,
                                   const std::vector<int64_t> &sizeValues,
                                   std::vector<HostTensor> &arguments,
                                   std::string &error) const {
  for (const ArgumentDesc &argument : function.arguments) {
    std::vector<int64_t> shape = function.resolve(argument, sizeValues);
    HostTensor tensor;
    if (const HostTensor *ready = findPacked(function, argument)) {
      tensor = *ready;
    } else if (argument.packed) {
      if (!packArgument(function, argument, source(), fill(), tensor, error))
        return false;
    } else {
      std::optional<StoredGroup> stored = getGroup(function, argument);
      std::optional<HostTensor> found = find(
          function, argument.name, argument.dtype, shape, argument.isDynamic(),
          /*describeOnly=*/false, stored ? &*stored : nullptr);
      if (found)
        tensor = *found;
    }
    // A file need not keep to the alignment that kernels want.
    if (tensor.data && argument.packed && misalignment(tensor.data)) {
      HostTensor aligned = HostTensor::allocate(tensor.dtype, tensor.shape);
      if (aligned.data)
        std::memcpy(aligned.data, tensor.data, tensor.numBytes());
      tensor = aligned;
    }
    if (!tensor.data) {
      error = "no memory for '" + argument.name + "', " +
              describeType(argument.dtype, shape);
      return false;
    }
    tensor.name = argument.name;
    arguments.push_back(std::move(tensor));
  }
  return true;
}
