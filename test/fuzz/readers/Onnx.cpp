//===- Onnx.cpp - Models in .onnx files -------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is accepted is a module that verifies, and weights that are there.
//
//===----------------------------------------------------------------------===//

#include "Reader.h"

#include "../../unit/OnnxBytes.h"
#include "moe-mlir/Raise/Onnx.h"
#include "moe-mlir/Raise/Passes.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

using namespace moe;
using namespace onnxbytes;

void fuzz::readOnnx(std::string_view bytes) {
  std::string error, path = asFile(bytes, "in.onnx");
  std::unique_ptr<OnnxModel> model = OnnxModel::read(path, error);
  if (!model)
    return checkRefusal(error, bytes);
  // A context takes longer to make than a model to read, and only grows.
  static std::unique_ptr<mlir::MLIRContext> kept;
  static unsigned uses = 0;
  if (uses++ % 256 == 0) {
    kept = std::make_unique<mlir::MLIRContext>(
        mlir::MLIRContext::Threading::DISABLED);
    kept->getDiagEngine().registerHandler([](mlir::Diagnostic &) {});
  }
  mlir::MLIRContext &context = *kept;
  mlir::OwningOpRef<mlir::ModuleOp> module = model->makeModule(context, error);
  if (!module)
    return checkRefusal(error, bytes);
  if (mlir::failed(mlir::verify(*module)))
    fail("a module that does not verify");
  OutputSet outputs;
  if (!model->writeWeights(outputs, "/dev/null", error))
    checkRefusal(error, bytes);
  // Types and attributes of nodes are a stranger's, too.
  mlir::PassManager passes(&context);
  passes.addPass(createConvertForeign());
  (void)passes.run(*module);
}

std::vector<std::string> fuzz::onnxSeeds() {
  Graph many = linear();
  many.nodes = {
      node("Reshape", {"x", "shape"}, {"a"}),
      node("Constant", {}, {"two"}, {bytes(1, "value_int") + number(3, 2)}),
      node("Constant", {}, {"c"},
           {bytes(1, "value") +
            bytes(5, tensor("", 10, {2, 2}, std::string(8, '\0')))}),
      node("Clip", {"a", "", "two"}, {"b"},
           {bytes(1, "floats") + bytes(7, bytesOf(std::vector<float>{1, 2})),
            bytes(1, "s") + bytes(4, "text"),
            bytes(1, "l") + bytes(9, "a") + bytes(9, "b")}),
      node("F", {"b", "q", "w", "c"}, {"y", "z", ""}, {}, "com.microsoft")};
  many.initializers.push_back(number(1, 2) + number(2, 7) + bytes(8, "shape") +
                              bytes(7, "\x01\x0c"));
  many.initializers.push_back(tensor("q", 2, {2, 8}, std::string(16, '7')));
  many.values = {value("b", 1, {-1, 3}), value("a", 1, {})};
  many.outputs.push_back(value("z", 16, {-1, 3}));
  // A weight in the model's own file.
  Graph outside = linear();
  outside.initializers = {
      number(1, 3) + number(1, 4) + number(2, 1) + bytes(8, "w") +
      number(14, 1) + bytes(13, bytes(1, "location") + bytes(2, "in.onnx")) +
      bytes(13, bytes(1, "offset") + bytes(2, "64")) +
      bytes(13, bytes(1, "length") + bytes(2, "48"))};
  return {onnxbytes::model(linear()), onnxbytes::model(many),
          onnxbytes::model(outside)};
}
