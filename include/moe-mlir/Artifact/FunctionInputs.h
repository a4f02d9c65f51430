//===- FunctionInputs.h - Tensors for a function's arguments ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Where tools take arguments from: files matched by name, a checkpoint, or a
// seed. All that does not fit is reported at once, with what was expected.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_FUNCTIONINPUTS_H
#define MOE_MLIR_ARTIFACT_FUNCTIONINPUTS_H

#include "moe-mlir/Artifact/PackedWeights.h"
#include "moe-mlir/Support/Random.h"

#include <functional>
#include <map>

namespace moe {

class Checkpoint;
class TensorReader;

class FunctionInputs {
public:
  /// Tensors as the model has them.
  TensorPool tensors;
  /// Where weights come from that are not among `tensors`, as functions say in
  /// their `checkpoint`.
  std::shared_ptr<const Checkpoint> checkpoint;
  /// Arguments that are packed already, as writePackedWeights() leaves them.
  TensorPool packed;
  /// Makes up whatever is missing, in these ranges.
  std::optional<uint64_t> seed;
  std::function<RandomRange(const std::string &name, DType dtype,
                            const std::vector<int64_t> &shape,
                            bool isActivation)>
      range = randomRange;
  /// Sizes by name, from the command line.
  std::map<std::string, int64_t> sizes;

  /// Finds the value of each size of `function`: from `sizes`, or from the
  /// shapes of tensors.
  bool bindSizes(const FunctionDesc &function, std::vector<int64_t> &values,
                 std::string &error) const;

  /// Checks that everything that `function` needs is there and fits, and that
  /// no tensor is left over that no function of `manifest` knows. Without
  /// `sizeValues`, arguments of dynamic shape are not looked at.
  bool check(const Manifest &manifest, const FunctionDesc &function,
             const std::vector<int64_t> *sizeValues, std::string &error) const;

  /// The arguments in order, packed where they have to be. After check().
  bool makeArguments(const FunctionDesc &function,
                     const std::vector<int64_t> &sizeValues,
                     std::vector<HostTensor> &arguments,
                     std::string &error) const;

  /// One tensor of the model: from the pool, from the checkpoint, or made up
  /// (of `stored`, if it is stored weights), or nothing. What would have to be
  /// made or copied has a null `data` if `describeOnly`.
  std::optional<HostTensor> find(const FunctionDesc &function,
                                 const std::string &name, DType dtype,
                                 const std::vector<int64_t> &shape,
                                 bool isActivation, bool describeOnly,
                                 const StoredGroup *stored = nullptr) const;

  /// The expression that a weight was packed from, if it is among the `packed`
  /// ones and neither the tensors nor a checkpoint have what was packed; else
  /// empty. Made-up values would be others.
  std::string getPackedSource(const FunctionDesc &function,
                              const std::string &name) const;

  /// The callbacks of writePackedWeights() and packArgument().
  TensorSource source() const;
  FunctionFill fill() const;

private:
  /// Reads a tensor that is in the checkpoint by what the function says;
  /// nothing if it is not said, or, with a message, if that does not fit.
  std::optional<TensorReader> findReader(const FunctionDesc &function,
                                         const std::string &name, DType dtype,
                                         const std::vector<int64_t> &shape,
                                         std::string &error) const;
  /// Fills a tensor, or a part of one from element `first` on, by the seed.
  void makeUp(const FunctionDesc &function, HostTensor &tensor,
              bool isActivation, const StoredGroup *stored,
              uint64_t first) const;
  const HostTensor *findPacked(const FunctionDesc &function,
                               const ArgumentDesc &argument) const;
};

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_FUNCTIONINPUTS_H
