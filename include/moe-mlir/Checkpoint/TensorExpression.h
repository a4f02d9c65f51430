//===- TensorExpression.h - Weights out of a checkpoint --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// How a weight of a model is made from tensors of a checkpoint, as text:
//
//   model.layers.0.mlp.experts.{e}.gate_proj.weight
//   model.layers.0.mlp.experts.gate_up_proj | transpose(1, 2) | every(1, 0, 2)
//
// `{e}` stands for the number of an expert: the tensors are stacked along a new
// axis 0, as many as axis 0 of the weight has elements. Each step then makes a
// tensor of the one before it:
//
//   transpose(A, B)           exchanges two axes
//   part(AXIS, I, N)          the I-th of N equal parts of an axis
//   every(AXIS, I, N)         elements I, I + N, I + 2 N, ... of an axis
//   first(AXIS, COUNT)        the first elements of an axis
//   reshape(SIZE, SIZE, ...)  the same elements in row-major order
//
// Blocks of GGUF files are bytes here: the last axis is the bytes of a row, and
// a step that would cut through blocks is an error.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CHECKPOINT_TENSOREXPRESSION_H
#define MOE_MLIR_CHECKPOINT_TENSOREXPRESSION_H

#include "moe-mlir/Checkpoint/Checkpoint.h"

namespace moe {

struct TensorStep {
  enum class Kind { Transpose, Part, Every, First, Reshape, GPTQ };
  Kind kind;
  /// The numbers in parentheses.
  std::vector<int64_t> numbers;
  bool operator==(const TensorStep &other) const {
    return kind == other.kind && numbers == other.numbers;
  }
};

class TensorExpression {
public:
  /// Nothing if `text` is no expression: `error` then says why and in which
  /// column, counted from 1.
  static std::optional<TensorExpression> parse(llvm::StringRef text,
                                               std::string &error);
  /// As parse() takes it, in one spelling.
  std::string print() const;

  /// What a checkpoint is asked for, with `{e}` as it stands.
  const std::string &getName() const { return name; }
  bool isStack() const { return expertAt != std::string::npos; }
  llvm::ArrayRef<TensorStep> getSteps() const { return steps; }
  /// The tensor of one expert, or the only one.
  std::string nameOf(int64_t expert) const;
  /// The tensors that it needs, of `experts` experts.
  std::vector<std::string> names(int64_t experts) const;
  bool operator==(const TensorExpression &other) const {
    return name == other.name && steps == other.steps;
  }

private:
  std::string name;
  /// Where `{e}` is in the name.
  size_t expertAt = std::string::npos;
  std::vector<TensorStep> steps;
};

/// An expression with the tensors it is evaluated on: all has been checked, and
/// what is left is copying. Keeps the tensors mapped; the checkpoint may go.
class TensorReader {
public:
  /// Nothing, with a message, unless the expression gives a tensor of `shape`
  /// (but for dimensions of one, and with blocks apart or the bytes of a row
  /// together) whose elements can become `dtype`: floats are
  /// converted (rounded to nearest even), integers of equal size are alike.
  static std::optional<TensorReader>
  make(const Checkpoint &checkpoint, const TensorExpression &expression,
       DType dtype, const std::vector<int64_t> &shape, std::string &error);

  /// Elements [first, first + count) where they are, if they lie in one file in
  /// order, aligned, and are of the type that is wanted.
  std::optional<HostTensor> view(int64_t first, int64_t count) const;
  /// Whether all are.
  bool isView() const;
  /// The whole: in place if isView(), else a copy; its `data` is null if there
  /// is no memory for that.
  HostTensor get(const std::string &name) const;
  /// Elements [first, first + count) in row-major order to `out`, on several
  /// CPUs. The pages that they were read from leave the memory.
  void read(int64_t first, int64_t count, void *out) const;

private:
  struct Source;
  std::shared_ptr<const Source> source;
};

/// TensorReader::make() and get(). Null `data` with a message.
HostTensor evaluate(const Checkpoint &checkpoint,
                    const TensorExpression &expression, DType dtype,
                    const std::vector<int64_t> &shape, std::string &error);

} // namespace moe

#endif // MOE_MLIR_CHECKPOINT_TENSOREXPRESSION_H
