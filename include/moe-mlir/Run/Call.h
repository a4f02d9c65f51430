//===- Call.h - A call of a compiled function -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A function with everything that calling it takes: arguments from files or a
// seed, room for results and the workspace.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_CALL_H
#define MOE_MLIR_RUN_CALL_H

#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Run/Artifact.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace moe::run {

class DeviceCall;
class EmulatedFunction;

/// What the parallel loops of calls took.
struct LoopTimes {
  /// Seconds that they ran, and seconds of their items, summed over threads.
  double loops = 0, items = 0;
  /// Seconds until threads had done their last item, of those of a loop in the
  /// mean and of the last one.
  double meanFinish = 0, lastFinish = 0;
};

class Call {
public:
  /// Of the function `entry`, the only one if that is empty, on `threads`
  /// threads, 0 for one for each CPU. Whatever does not fit is an error before
  /// anything is made. Valid as long as the artifact. With the arguments of
  /// `sharing`, a call of the same interface, if that is not null.
  static std::unique_ptr<Call> prepare(const Artifact &artifact,
                                       const std::string &entry,
                                       const FunctionInputs &inputs,
                                       unsigned threads, std::string &error,
                                       const Call *sharing = nullptr);
  ~Call();
  Call(const Call &) = delete;

  /// Makes arguments, results and workspace anew for other sizes; what has a
  /// static shape stays.
  bool setSizes(const FunctionInputs &inputs, std::string &error);
  /// The same with the arguments of a call that has these sizes.
  bool setSizes(const Call &sharing, std::string &error);
  void setThreads(unsigned threads) { rt.num_threads = threads; }

  /// What is told of calls from now on; in an emulator, of routings alone, and
  /// on a device nothing.
  void setTrace(std::function<void(const moe_trace_event &)> trace);
  /// Where to add up the times of loops from now on; nowhere if null. Not in an
  /// emulator or on a device.
  void setLoopTimes(LoopTimes *times);

  /// Calls the function; an error says which status it returned, and why.
  bool invoke(std::string &error);
  /// The same without copies from and to a device: with the arguments of the
  /// last invoke(), and results that stay there. For measuring.
  bool repeat(std::string &error);

  const FunctionDesc &function() const { return *entry.desc; }
  /// In the order of the function's.
  const std::vector<int64_t> &sizes() const { return sizeValues; }
  const std::vector<HostTensor> &arguments() const { return argumentValues; }
  /// Those of dynamic shape, to be filled anew between calls.
  std::vector<HostTensor> activations() const;
  const std::vector<HostTensor> &results() const { return resultValues; }
  /// In an emulator known after a call.
  size_t workspaceBytes() const { return workspaceSize; }
  /// The target whose code runs; in an emulator known after a call.
  const std::string &variant() const { return variantName; }
  /// How that rounds rows which it multiplies with codes; empty: not at all.
  const std::string &rowType() const { return rowTypeName; }
  unsigned threads() const { return rt.num_threads; }
  /// Where the function runs; empty for the CPU.
  std::string deviceName() const;

private:
  Call() = default;
  bool allocate(std::string &error);
  static void keepError(const moe_rt *rt, int status, const char *message);
  static void passTrace(const moe_rt *rt, const moe_trace_event *event);
  static void timeLoop(const moe_rt *rt, int64_t items, moe_body_fn body,
                       void *arg);

  ArtifactFunction entry;
  std::vector<int64_t> sizeValues;
  std::vector<HostTensor> argumentValues, resultValues;
  HostTensor workspace;
  size_t workspaceSize = 0;
  std::string variantName, rowTypeName;
  moe_rt rt;
  std::string message;
  std::function<void(const moe_trace_event &)> trace;
  LoopTimes *loopTimes = nullptr;
  /// Instead of the pointers in `entry`.
  std::unique_ptr<EmulatedFunction> emulated;
  /// Where it runs, and the tensors there; null for the CPU.
  Device *device = nullptr;
  std::unique_ptr<DeviceCall> onDevice;
};

} // namespace moe::run

#endif // MOE_MLIR_RUN_CALL_H
