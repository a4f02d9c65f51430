//===- ForeignModel.h - Models that exporters wrote --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_FOREIGNMODEL_H
#define MOE_MLIR_RAISE_FOREIGNMODEL_H

#include "moe-mlir/Raise/Onnx.h"

namespace moe {

/// What the tools share that take models as exporters write them: which files
/// those are, and where their weights go.
class ForeignModel {
public:
  /// Looks at a file; "-" is taken as it is. False, with one line in `error`,
  /// if it is a .onnx file that cannot be read, or has ops in a form that
  /// nothing here reads. Lets `context` have dialects that it does not know if
  /// the model has some.
  bool open(mlir::MLIRContext &context, const std::string &path,
            std::string &error);

  static bool isOnnx(llvm::StringRef path);
  bool isOnnx() const { return static_cast<bool>(onnx); }
  /// Whether the model has to be raised before anything else.
  bool isForeign() const { return isOnnx() || hasForeignText; }
  /// The graph of a .onnx file; null of text, which is for its own parser.
  mlir::ModuleOp getGraph() { return graph ? *graph : mlir::ModuleOp(); }

  bool hasWeights() const { return onnx && onnx->hasWeights(); }
  /// The file for the weights beside one of IR: its name with .safetensors;
  /// empty for standard output.
  static std::string getWeightsPath(llvm::StringRef output);
  /// Writes the weights, if there are some and `path` is not empty.
  bool writeWeights(OutputSet &outputs, const std::string &path,
                    std::string &error) const;

private:
  std::unique_ptr<OnnxModel> onnx;
  mlir::OwningOpRef<mlir::ModuleOp> graph;
  bool hasForeignText = false;
};

} // namespace moe

#endif // MOE_MLIR_RAISE_FOREIGNMODEL_H
