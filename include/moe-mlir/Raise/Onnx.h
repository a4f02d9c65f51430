//===- Onnx.h - Models in .onnx files --------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A .onnx file as a module. Its graph is one public function `model`; a node of
// it is an unregistered op `onnx.MatMul`, or `onnx.com.microsoft.MoE` if its
// domain is not ONNX's own, with
//
// - its inputs as operands, without those that are left out (an empty name):
//   `onnx_absent` has the numbers of such inputs, if one behind them is given;
// - its attributes by their names: i64, f32, string, array<i64>, array<f32>,
//   arrays of strings, dense elements;
// - the types that the model says its results have, which may be wrong and have
//   dynamic sizes, and else tensor<*xT>;
// - `onnx_unsigned`, the numbers of inputs whose elements are unsigned, if it
// has
//   such. Integer types have no signs.
//
// The location of an op is the name of its node.
//
// Inputs of the graph and its weights are arguments with `moe.name`, and with
// `moe.dims` where a size is not known. Weights are initializers of more than a
// few floats or bytes that nothing is scattered into, and larger ones of other
// types; the rest are constants.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_ONNX_H
#define MOE_MLIR_RAISE_ONNX_H

#include "moe-mlir/Support/OutputSet.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <memory>
#include <string>

namespace moe {

namespace onnx {
struct Model;
} // namespace onnx

class OnnxModel {
public:
  /// Null, with one line in `error`, if the file is no model that can be read:
  /// it is cut, of an opset that is not supported, has weights of other sizes
  /// than it says or in files that are not beside it.
  static std::unique_ptr<OnnxModel> read(const std::string &path,
                                         std::string &error);
  ~OnnxModel();

  /// Null, with one line in `error`, if the graph is none: values that nobody
  /// or two nodes make, results without a rank, subgraphs (If, Loop, Scan),
  /// functions of its own. Lets `context` have dialects that it does not know.
  mlir::OwningOpRef<mlir::ModuleOp> makeModule(mlir::MLIRContext &context,
                                               std::string &error) const;

  bool hasWeights() const;

  /// Writes the arguments that are weights to a .safetensors file, by their
  /// `moe.name`. They are copied from the mapped model a piece at a time.
  bool writeWeights(OutputSet &outputs, const std::string &path,
                    std::string &error) const;

private:
  explicit OnnxModel(std::unique_ptr<onnx::Model> model);
  std::unique_ptr<onnx::Model> model;
};

} // namespace moe

#endif // MOE_MLIR_RAISE_ONNX_H
