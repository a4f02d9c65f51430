//===- Call.cpp - A call of a compiled function -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Call.h"

#include "moe-mlir/Run/DeviceCall.h"
#include "moe-mlir/Run/Emulator.h"
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/Targets.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

using namespace moe;
using namespace moe::run;

Call::~Call() = default;

void Call::keepError(const moe_rt *rt, int, const char *message) {
  // The launch hook says what the driver said, and then the layer what it could
  // not start.
  std::string &kept = static_cast<Call *>(rt->user)->message;
  std::string said = message ? message : "";
  kept = kept.empty() ? said : said + ": " + kept;
}

void Call::passTrace(const moe_rt *rt, const moe_trace_event *event) {
  static_cast<Call *>(rt->user)->trace(*event);
}

void Call::setTrace(std::function<void(const moe_trace_event &)> hook) {
  trace = std::move(hook);
  rt.trace = trace ? passTrace : nullptr;
}

namespace {
/// A loop whose items are timed, on any thread.
struct TimedLoop {
  moe_body_fn body;
  void *arg;
  double start = now();
  std::mutex mutex = {};
  double seconds = 0;
  /// When each thread that had items was done with its last.
  std::map<std::thread::id, double> finishes = {};

  static void run(void *loop, int64_t item) {
    auto *self = static_cast<TimedLoop *>(loop);
    double begin = now();
    self->body(self->arg, item);
    double end = now();
    std::lock_guard lock(self->mutex);
    self->seconds += end - begin;
    self->finishes[std::this_thread::get_id()] = end - self->start;
  }
};
} // namespace

void Call::timeLoop(const moe_rt *rt, int64_t items, moe_body_fn body,
                    void *arg) {
  LoopTimes &times = *static_cast<Call *>(rt->user)->loopTimes;
  TimedLoop loop{body, arg};
  moe_rt_default()->parallel_for(rt, items, TimedLoop::run, &loop);
  times.loops += now() - loop.start;
  times.items += loop.seconds;
  double sum = 0, last = 0;
  for (const auto &[thread, finish] : loop.finishes) {
    sum += finish;
    last = std::max(last, finish);
  }
  // A thread without items had none to wait for.
  times.meanFinish += sum / rt->num_threads;
  times.lastFinish += last;
}

void Call::setLoopTimes(LoopTimes *times) {
  loopTimes = times;
  rt.parallel_for = times ? timeLoop : moe_rt_default()->parallel_for;
}

std::unique_ptr<Call> Call::prepare(const Artifact &artifact,
                                    const std::string &name,
                                    const FunctionInputs &inputs,
                                    unsigned threads, std::string &error,
                                    const Call *sharing) {
  std::unique_ptr<Call> call(new Call);
  if (!artifact.lookup(name, call->entry, error))
    return nullptr;
  const FunctionDesc &desc = call->function();
  if (!inputs.bindSizes(desc, call->sizeValues, error) ||
      !inputs.check(artifact.manifest(), desc, &call->sizeValues, error))
    return nullptr;
  if (sharing)
    call->argumentValues = sharing->argumentValues;
  else if (!inputs.makeArguments(desc, call->sizeValues, call->argumentValues,
                                 error))
    return nullptr;
  if (artifact.isEmulated()) {
    call->emulated = EmulatedFunction::link(
        artifact.path(), desc, getPlatform(artifact.manifest()),
        artifact.manifest().id, artifact.emulator(), error);
    if (!call->emulated)
      return nullptr;
  } else {
    const moe_rt *rt = artifact.device() ? &artifact.device()->rt() : nullptr;
    call->variantName = findVariant(artifact.manifest(), call->entry, rt);
    call->rowTypeName =
        getActivations(artifact.manifest(), call->variantName);
  }
  call->device = artifact.device();
  if (call->device)
    call->onDevice = std::make_unique<DeviceCall>(*call->device, call->entry);
  if (!call->allocate(error))
    return nullptr;
  moe_rt_init(&call->rt, threads);
  call->rt.error = keepError;
  call->rt.user = call.get();
  return call;
}

bool Call::setSizes(const FunctionInputs &inputs, std::string &error) {
  const FunctionDesc &desc = function();
  if (!inputs.bindSizes(desc, sizeValues, error))
    return false;
  for (auto [argument, tensor] :
       llvm::zip_equal(desc.arguments, argumentValues)) {
    if (!argument.isDynamic())
      continue;
    std::vector<int64_t> shape = desc.resolve(argument, sizeValues);
    std::optional<HostTensor> made =
        inputs.find(desc, argument.name, argument.dtype, shape,
                    /*isActivation=*/true, /*describeOnly=*/false);
    if (!made || !made->data) {
      error = (made ? "no memory for '" : "there is no tensor for '") +
              argument.name + "', " + describeType(argument.dtype, shape);
      return false;
    }
    tensor = *made;
    tensor.name = argument.name;
  }
  return allocate(error);
}

bool Call::setSizes(const Call &sharing, std::string &error) {
  sizeValues = sharing.sizeValues;
  argumentValues = sharing.argumentValues;
  return allocate(error);
}

std::vector<HostTensor> Call::activations() const {
  std::vector<HostTensor> dynamic;
  for (auto [argument, tensor] :
       llvm::zip_equal(function().arguments, argumentValues))
    if (argument.isDynamic())
      dynamic.push_back(tensor);
  return dynamic;
}

bool Call::allocate(std::string &error) {
  const FunctionDesc &desc = function();
  resultValues.clear();
  for (const ArgumentDesc &value : desc.results) {
    HostTensor &result = resultValues.emplace_back(HostTensor::allocate(
        value.dtype, desc.resolve(value, sizeValues), value.name));
    if (!result.data) {
      error = "no memory for result '" + value.name + "', " + result.describe();
      return false;
    }
  }
  // An emulated process has its own.
  if (emulated)
    return true;
  workspaceSize =
      entry.getWorkspace(device ? &device->rt() : nullptr, sizeValues.data());
  if (workspaceSize > std::numeric_limits<int64_t>::max()) {
    error = "'" + desc.name +
            "' wants a workspace beyond 2^63 - 1 bytes for these sizes";
    return false;
  }
  if (onDevice)
    return onDevice->prepare(argumentValues, resultValues, workspaceSize,
                             error);
  workspace =
      HostTensor::allocate(DType::U8, {static_cast<int64_t>(workspaceSize)});
  if (!workspace.data)
    error = "no memory for a workspace of " + std::to_string(workspaceSize) +
            " bytes";
  return workspace.data;
}

std::string Call::deviceName() const {
  return onDevice ? onDevice->deviceName() : "";
}

bool Call::invoke(std::string &error) {
  if (onDevice && !onDevice->upload(argumentValues, error))
    return false;
  return repeat(error) &&
         (!onDevice || onDevice->download(resultValues, error));
}

bool Call::repeat(std::string &error) {
  message.clear();
  int status = MOE_OK;
  if (emulated) {
    std::optional<int> returned =
        emulated->invoke(rt, sizeValues, argumentValues, resultValues,
                         workspaceSize, variantName, error);
    if (!returned)
      return false;
    status = *returned;
  } else if (onDevice) {
    std::optional<int> returned =
        onDevice->run(sizeValues, keepError, this, error);
    if (!returned)
      return false;
    status = *returned;
  } else {
    std::vector<void *> buffers;
    for (const auto *tensors : {&argumentValues, &resultValues})
      for (const HostTensor &tensor : *tensors)
        buffers.push_back(tensor.data);
    status = entry.invoke(&rt, sizeValues.data(), buffers.data(),
                          workspace.data, workspaceSize);
  }
  if (status == MOE_OK)
    return true;
  error = "'" + function().name + "' returned status " +
          std::to_string(status) + " (" + moe_status_string(status) + ")" +
          (message.empty() ? "" : ": " + message);
  return false;
}
