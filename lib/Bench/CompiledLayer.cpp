//===- CompiledLayer.cpp - A layer of an artifact, ready to run -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Weights are made up in the layout they are used in, expert by expert, so
// that a layer never takes much more memory than it has weights.
//
//===----------------------------------------------------------------------===//

#include "CompiledLayer.h"

#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Target/CPU/KnownCPUs.h"

#include "llvm/ADT/STLExtras.h"

#include <map>

using namespace moe;
using namespace moe::bench;
using namespace moe::run;

FillWeight bench::weightFiller(const LayerSpec &spec, int copy) {
  return [spec, copy](HostTensor &part, uint64_t first) {
    for (const HostTensor &weight : weightTensors(spec))
      if (weight.name == part.name)
        fillRandom(part, 1000 + copy, weightScale(spec, weight), first);
  };
}

static std::string missingWeight(const LayerSpec &spec,
                                 const std::string &name) {
  return "the layer wants '" + name + "', which the suite's description of " +
         spec.model + " lacks";
}

HostTensor bench::makeWeight(const LayerSpec &spec, const std::string &name,
                             int copy, std::string &error) {
  for (const HostTensor &weight : weightTensors(spec)) {
    if (weight.name != name)
      continue;
    HostTensor tensor =
        HostTensor::allocate(weight.dtype, weight.shape, weight.name);
    if (!tensor.data) {
      error = "no memory for '" + name + "' (" + weight.describe() + ")";
      return {};
    }
    weightFiller(spec, copy)(tensor, 0);
    return tensor;
  }
  error = missingWeight(spec, name);
  return {};
}

std::unique_ptr<CompiledLayer> CompiledLayer::load(const LayerSpec &spec,
                                                   const std::string &base,
                                                   int copies,
                                                   std::string &error) {
  std::unique_ptr<CompiledLayer> layer(new CompiledLayer());
  layer->spec = spec;
  layer->library = ArtifactLibrary::open(base + ".json", error);
  if (!layer->library || !layer->library->lookup("", layer->function, error))
    return nullptr;
  const FunctionDesc &desc = *layer->function.desc;
  bool hasInput = false;
  for (const auto &[index, argument] : llvm::enumerate(desc.arguments)) {
    if (argument.name != "x")
      continue;
    layer->inputIndex = index;
    hasInput =
        argument.shape.size() == 2 && argument.shape[1].size == spec.hidden;
  }
  if (!hasInput || desc.sizes.size() != 1 || desc.results.size() != 1) {
    error = base + ": the function is not a layer from x [T, " +
            std::to_string(spec.hidden) + "] to one result";
    return nullptr;
  }
  layer->arguments.resize(copies);
  for (int copy = 0; copy < copies; ++copy)
    if (!layer->loadWeights(copy, error))
      return nullptr;
  return layer;
}

bool CompiledLayer::loadWeights(int copy, std::string &error) {
  for (const ArgumentDesc &argument : function.desc->arguments) {
    HostTensor &data = arguments[copy].emplace_back();
    if (argument.name == "x")
      continue;
    if (!argument.packed) {
      data = makeWeight(spec, argument.name, copy, error);
      if (!data.data)
        return false;
      if (data.dtype != argument.dtype ||
          function.desc->resolve(argument, {0}) != data.shape) {
        error = "'" + argument.name + "' is " + argument.describe() +
                " to the compiled layer and " + data.describe() +
                " to the suite";
        return false;
      }
      continue;
    }
    // Made up expert by expert, as the packing asks for them.
    std::vector<HostTensor> weights = weightTensors(spec);
    auto lookup = [&](const std::string &name) -> const HostTensor * {
      for (const HostTensor &weight : weights)
        if (weight.name == name)
          return &weight;
      return nullptr;
    };
    for (const PackSource &source : argument.packed->sources) {
      if (lookup(source.name))
        continue;
      error = missingWeight(spec, source.name);
      return false;
    }
    if (!pack(*argument.packed, lookup, data, error, weightFiller(spec, copy)))
      return false;
  }
  return true;
}

std::string CompiledLayer::variant() const {
  std::string best = "unknown";
  // Best last.
  for (const std::string &target : library->manifest().targets) {
    const KnownCpu *cpu = findKnownCpu(target);
    if (cpu && isNative(*cpu))
      best = target;
  }
  return best;
}

bool CompiledLayer::call(moe_rt &rt, int copy, const float *x, float *y,
                         int64_t tokens, std::string &error) {
  const int64_t bytes = function.workspaceBytes(&tokens);
  if (bytes > 0 && (!workspace.data || workspace.numElements() < bytes)) {
    workspace = HostTensor::allocate(DType::U8, {bytes}, "workspace");
    if (!workspace.data) {
      error =
          "no memory for a workspace of " + std::to_string(bytes) + " bytes";
      return false;
    }
  }
  std::vector<void *> buffers;
  for (const HostTensor &argument : arguments[copy])
    buffers.push_back(argument.data);
  buffers[inputIndex] = const_cast<float *>(x);
  buffers.push_back(y);
  int status =
      function.invoke(&rt, &tokens, buffers.data(), workspace.data, bytes);
  if (status == MOE_OK)
    return true;
  error = function.desc->name + " failed: " + moe_status_string(status);
  return false;
}

bool CompiledLayer::run(int copy, int threads, const float *x, float *y,
                        int64_t tokens, std::string &error) {
  moe_rt rt;
  moe_rt_init(&rt, threads);
  return call(rt, copy, x, y, tokens, error);
}

namespace {
struct PhaseClock {
  Named *phases;
  std::map<std::string, double> begun;
};
} // namespace

static void tracePhase(const moe_rt *rt, const moe_trace_event *event) {
  auto &clock = *static_cast<PhaseClock *>(rt->user);
  if (event->kind == MOE_TRACE_PHASE_BEGIN) {
    clock.begun[event->phase] = now();
  } else if (event->kind == MOE_TRACE_PHASE_END) {
    double seconds = now() - clock.begun[event->phase];
    for (auto &[name, total] : *clock.phases) {
      if (name == event->phase) {
        total += seconds;
        return;
      }
    }
    clock.phases->emplace_back(event->phase, seconds);
  }
}

bool CompiledLayer::tracePhases(int copy, int threads, const float *x, float *y,
                                int64_t tokens, Named &phases,
                                std::string &error) {
  PhaseClock clock{&phases, {}};
  moe_rt rt;
  moe_rt_init(&rt, threads);
  rt.trace = tracePhase;
  rt.user = &clock;
  return call(rt, copy, x, y, tokens, error);
}
