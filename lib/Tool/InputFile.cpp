//===- InputFile.cpp - Files that tools read --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Tool/InputFile.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/BinaryFormat/Magic.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace moe::tools;
namespace cl = llvm::cl;
namespace fs = llvm::sys::fs;

std::unique_ptr<llvm::MemoryBuffer> moe::tools::openInput(StringRef path,
                                                          std::string &error) {
  fs::file_status status;
  std::error_code code;
  if (path != "-") {
    code = fs::status(path, status);
    if (!code && fs::is_directory(status))
      code = std::make_error_code(std::errc::is_a_directory);
    if (!code && !fs::is_regular_file(status)) {
      error = (path + ": is a pipe or a device, not a file; standard input is "
                      "read with -")
                  .str();
      return nullptr;
    }
  }
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> buffer =
      code ? code : llvm::MemoryBuffer::getFileOrSTDIN(path);
  if (buffer)
    return std::move(*buffer);
  error = (path + ": " + buffer.getError().message()).str();
  return nullptr;
}

bool moe::tools::checkIR(const llvm::MemoryBuffer &buffer, bool allowBytecode,
                         std::string &error) {
  std::string name = buffer.getBufferIdentifier().str();
  StringRef bytes = buffer.getBuffer();
  if (bytes.empty()) {
    error = name + ": is empty";
    return false;
  }
  bool isBytecode = mlir::isBytecode(buffer.getMemBufferRef());
  bool isBitcode = llvm::identify_magic(bytes) == llvm::file_magic::bitcode;
  if (isBytecode || isBitcode) {
    if (allowBytecode)
      return true;
    error = name + ": is " + (isBytecode ? "MLIR bytecode" : "LLVM bitcode") +
            ", whose reader may crash when it is damaged; --allow-bytecode "
            "reads it, if you know where it is from";
    return false;
  }
  for (auto [i, c] : llvm::enumerate(bytes.bytes()))
    if ((c < 0x20 && !llvm::isSpace(c)) || c == 0x7f) {
      error = name + ": is not text: byte " + std::to_string(c) +
              " at offset " + std::to_string(i);
      return false;
    }
  return true;
}

/// Whether a folder has a configuration or weights.
static bool isModelFolder(StringRef path) {
  std::error_code error;
  for (fs::directory_iterator file(path, error), end; !error && file != end;
       file.increment(error)) {
    StringRef name = llvm::sys::path::filename(file->path());
    if (name == "config.json" || name.ends_with(".safetensors") ||
        name.ends_with(".gguf"))
      return true;
  }
  return false;
}

std::string moe::tools::describeModelPath(StringRef path) {
  StringRef model = path;
  bool isModel = isModelFolder(path) || path.ends_with(".gguf");
  if (path.ends_with(".safetensors") ||
      path.ends_with(".safetensors.index.json")) {
    // Its folder has the configuration.
    model = llvm::sys::path::parent_path(path);
    model = model.empty() ? "." : model;
    isModel = true;
  } else if (path.ends_with(".json")) {
    // A configuration, not an artifact's manifest.
    auto buffer = llvm::MemoryBuffer::getFile(path);
    isModel = buffer && (*buffer)->getBuffer().contains("\"model_type\"");
  }
  if (!isModel || !fs::exists(path))
    return "";
  return (path +
          ": is a model, not its IR; import it first: moe-import "
          "--layers=all " +
          model + " -o model.mlir")
      .str();
}

BytecodeOption::BytecodeOption(CommandLine &line)
    : allow("allow-bytecode", cl::cat(line.group("Input")),
            cl::desc("Also read IR in its binary form, whose reader may crash "
                     "when it is damaged")) {}

ModelFile::ModelFile(MLIRContext &context) : context(context) {
  // A message has its place: the operation, with its regions all of a module,
  // says no more.
  context.printOpOnDiagnostic(false);
}

ModelFile::~ModelFile() = default;

bool ModelFile::parse(const CommandLine &line, StringRef path,
                      bool allowBytecode) {
  std::string error = describeModelPath(path);
  std::unique_ptr<llvm::MemoryBuffer> buffer;
  if (error.empty())
    buffer = openInput(path, error);
  if (!buffer || !checkIR(*buffer, allowBytecode, error)) {
    line.fail(error);
    return false;
  }
  sources = std::make_shared<llvm::SourceMgr>();
  sources->AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  diagnostics =
      std::make_unique<SourceMgrDiagnosticHandler>(*sources, &context);
  merger = std::make_unique<DiagnosticMerger>(context);
  module = parseSourceFile<ModuleOp>(sources, &context);
  if (module)
    merger->addFunctions(*module);
  return static_cast<bool>(module);
}
