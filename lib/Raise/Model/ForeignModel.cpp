//===- ForeignModel.cpp - Models that exporters wrote ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/ForeignModel.h"

#include "moe-mlir/Raise/Notes.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace moe;

bool ForeignModel::isOnnx(llvm::StringRef path) {
  return llvm::sys::path::extension(path).equals_insensitive(".onnx");
}

bool ForeignModel::open(mlir::MLIRContext &context, const std::string &path,
                        std::string &error) {
  if (isOnnx(path)) {
    onnx = OnnxModel::read(path, error);
    if (onnx)
      graph = onnx->makeModule(context, error);
    return static_cast<bool>(graph);
  }
  // Standard input can be read once, as can a pipe.
  if (!llvm::sys::fs::is_regular_file(path))
    return true;
  // Whoever parses the file says what is wrong with reading it.
  auto text = llvm::MemoryBuffer::getFile(path, /*IsText=*/true,
                                          /*RequiresNullTerminator=*/false);
  if (!text)
    return true;
  error = findForeignSyntax((*text)->getBuffer(), path);
  if (!error.empty())
    return false;
  hasForeignText = hasForeignOps((*text)->getBuffer());
  if (hasForeignText)
    context.allowUnregisteredDialects();
  return true;
}

std::string ForeignModel::getWeightsPath(llvm::StringRef output) {
  if (output.empty() || output == "-")
    return "";
  llvm::SmallString<128> beside(output);
  llvm::sys::path::replace_extension(beside, "safetensors");
  return beside.str().str();
}

bool ForeignModel::writeWeights(OutputSet &outputs, const std::string &path,
                                std::string &error) const {
  return path.empty() || !hasWeights() ||
         onnx->writeWeights(outputs, path, error);
}
