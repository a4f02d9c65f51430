//===- Checkpoints.cpp - GGUF files, indices, tensor expressions ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Reader.h"

#include "../../unit/CheckpointBytes.h"
#include "moe-mlir/Checkpoint/TensorExpression.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"

using namespace moe;

/// Opens it, and looks at the ends of all that can be read.
static void open(const std::string &path, std::string_view bytes) {
  std::string error;
  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path, error);
  if (!checkpoint)
    return fuzz::checkRefusal(error, bytes);
  volatile char sum = 0;
  for (const CheckpointTensor &tensor : checkpoint->getTensors()) {
    if (checkpoint->find(tensor.name) != &tensor)
      fuzz::fail("a tensor that is not found by its name");
    HostTensor view;
    if (!checkpoint->view(tensor, view, error)) {
      fuzz::checkRefusal(error, bytes);
      continue;
    }
    if (view.numBytes() != tensor.bytes)
      fuzz::fail("a tensor of other bytes than it says: " + tensor.describe());
    if (tensor.bytes)
      sum =
          sum + view.dataAs<char>()[0] + view.dataAs<char>()[tensor.bytes - 1];
  }
}

//===----------------------------------------------------------------------===//
// GGUF
//===----------------------------------------------------------------------===//

void fuzz::readGGUF(std::string_view bytes) {
  open(asFile(bytes, "in.gguf"), bytes);
}

std::vector<std::string> fuzz::ggufSeeds() {
  std::vector<std::string> seeds;
  GGUFBytes gguf;
  seeds.push_back(gguf.file());
  gguf.pair("general.architecture", "olmoe");
  gguf.pair("general.alignment", 32);
  gguf.pair("f", 6, bytesOf(0.5f));
  gguf.pair("b", 7, std::string(1, '\1'));
  gguf.pair("l", 9,
            bytesOf<uint32_t>(8) + bytesOf<uint64_t>(2) +
                GGUFBytes::text("one") + GGUFBytes::text(""));
  gguf.tensor("a", {3, 2}, 0, std::string(24, 'a'));
  gguf.tensor("q", {64, 1}, 8, std::string(68, 'q'));
  gguf.tensor("k", {256}, 12, std::string(144, 'k'));
  gguf.info("unknown", {7, 7}, 99, 0);
  seeds.push_back(gguf.file());
  gguf.version = 2;
  gguf.pair("split.count", 1);
  seeds.push_back(gguf.file());
  return seeds;
}

//===----------------------------------------------------------------------===//
// Folders
//===----------------------------------------------------------------------===//

/// A folder with the tensors of the seeds, made once.
static const std::string &getModel() {
  static std::string path;
  if (!path.empty())
    return path;
  path = fuzz::folder() + "/hf";
  if (llvm::sys::fs::create_directory(path))
    fuzz::fail("no folder " + path);
  auto ramp = [](int64_t count) {
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<float>(i));
    return bytesOf(values);
  };
  fuzz::asFile(safetensors({{"w", "F32", {2, 4, 6}, ramp(48)},
                            {"e.0.w", "F32", {4, 6}, ramp(24)}}),
               "hf/a.safetensors");
  fuzz::asFile(safetensors({{"e.1.w", "F32", {4, 6}, ramp(24)},
                            {"h", "BF16", {8}, ramp(4)}}),
               "hf/b.safetensors");
  return path;
}

void fuzz::readIndex(std::string_view bytes) {
  std::string path = getModel();
  asFile(bytes, "hf/model.safetensors.index.json");
  open(path, bytes);
}

std::vector<std::string> fuzz::indexSeeds() {
  return {R"({"weight_map": {}})",
          R"({"metadata": {"total_size": 1}, "weight_map": {)"
          R"("w": "a.safetensors", "e.0.w": "a.safetensors",)"
          R"( "e.1.w": "b.safetensors"}})",
          R"({"weight_map": {"w": "../hf/a.safetensors"}})",
          R"({"weight_map": {"h": "./b.safetensors", "x": "c.safetensors"}})"};
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

/// The shape that a message says an expression gives.
static bool findShape(llvm::StringRef error, std::vector<int64_t> &shape) {
  auto [before, after] = error.split("gives [");
  shape.clear();
  llvm::SmallVector<llvm::StringRef> sizes;
  after.take_until([](char c) { return c == ']'; }).split(sizes, 'x');
  for (llvm::StringRef size : sizes)
    if (shape.emplace_back(); size.getAsInteger(10, shape.back()))
      return false;
  return true;
}

void fuzz::readExpression(std::string_view bytes) {
  std::string error;
  std::optional<TensorExpression> expression =
      TensorExpression::parse({bytes.data(), bytes.size()}, error);
  if (!expression)
    return checkRefusal(error, bytes);
  std::optional<TensorExpression> again =
      TensorExpression::parse(expression->print(), error);
  if (!again || !(*again == *expression))
    fail("an expression that is printed as another: " + expression->print());

  static const std::unique_ptr<Checkpoint> checkpoint = [] {
    std::string problem;
    std::string path = getModel() + "/a.safetensors";
    std::unique_ptr<Checkpoint> opened = Checkpoint::open(path, problem);
    if (!opened)
      fail(problem);
    return opened;
  }();
  std::vector<int64_t> shape = {1, 1, 1, 7};
  for (DType dtype : {DType::F32, DType::BF16}) {
    std::optional<TensorReader> reader =
        TensorReader::make(*checkpoint, *expression, dtype, shape, error);
    if (!reader && findShape(error, shape))
      reader =
          TensorReader::make(*checkpoint, *expression, dtype, shape, error);
    if (!reader) {
      checkRefusal(error, bytes);
      continue;
    }
    HostTensor whole = reader->get("whole");
    int64_t count = whole.numElements();
    if (count > 48)
      fail("more elements than there are: " + whole.describe());
    HostTensor part = HostTensor::allocate(dtype, {count / 2});
    reader->read(count / 3, count / 2, part.data);
    for (int64_t i = 0; i < count / 2; ++i)
      if (part.get(i) != whole.get(count / 3 + i))
        fail("a part that is not that of the whole");
  }
}

std::vector<std::string> fuzz::expressionSeeds() {
  return {"w",
          "e.{e}.w",
          "w | transpose(0, 2) | reshape(6, 8) | part(1, 1, 2)",
          "w | every(2, 1, 3) | first(0, 1) | transpose(1, 2)",
          "w | part(1, 0, 2) | reshape(4, 12) | every(0, 1, 2)",
          "e.0.w | transpose(0, 1) | reshape(2, 12) | transpose(0, 1)"};
}
