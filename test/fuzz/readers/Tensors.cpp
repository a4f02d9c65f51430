//===- Tensors.cpp - Files of tensors, and their headers --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Reader.h"

#include "../../../lib/Support/StrictJSON.h"
#include "moe-mlir/Support/TensorIO.h"

using namespace moe;

/// Looks at all that a tensor says, and at the ends of its data.
static void touch(const std::vector<HostTensor> &tensors) {
  volatile double sum = 0;
  for (const HostTensor &tensor : tensors) {
    if (tensor.describe().empty())
      fuzz::fail("a tensor without a type");
    int64_t n = tensor.numElements();
    if (n < 0)
      fuzz::fail("a negative number of elements");
    if (n > 0 && !tensor.data)
      continue; // no memory
    for (int64_t i : {int64_t(0), n / 2, n - 1})
      if (i >= 0 && i < n)
        sum = sum + tensor.get(i);
    if (!tensor.shape.empty() && tensor.shape[0] > 0)
      (void)tensor.rows(tensor.shape[0] - 1, tensor.shape[0]).numBytes();
  }
}

static void readFile(std::string_view bytes, const char *suffix) {
  std::vector<HostTensor> tensors;
  std::string error;
  if (!readTensors(fuzz::asFile(bytes, suffix), tensors, error)) {
    fuzz::checkRefusal(error, bytes);
    if (!tensors.empty())
      fuzz::fail("refused, and tensors are left");
    return;
  }
  touch(tensors);
}

void fuzz::readSafetensors(std::string_view bytes) {
  readFile(bytes, "in.safetensors");
}

void fuzz::readNpy(std::string_view bytes) { readFile(bytes, "in.npy"); }

static HostTensor ramp(DType dtype, std::vector<int64_t> shape,
                       std::string name) {
  HostTensor tensor = HostTensor::allocate(dtype, std::move(shape), name);
  for (int64_t i = 0; i < tensor.numElements(); ++i)
    tensor.set(i, i % 2);
  return tensor;
}

std::vector<std::string> fuzz::safetensorsSeeds() {
  std::vector<std::string> seeds;
  std::string path = folder() + "/seed.safetensors", error;
  auto add = [&](std::vector<HostTensor> tensors) {
    OutputSet outputs;
    if (!writeSafetensors(outputs, path, tensors, error) ||
        !outputs.commit(error))
      fail(error);
    seeds.push_back(fileBytes(path));
  };
  add({});
  add({ramp(DType::F32, {2, 3}, "a")});
  add({ramp(DType::F64, {}, "scalar"), ramp(DType::BF16, {3}, "b"),
       ramp(DType::I1, {2, 2}, "c"), ramp(DType::I64, {0, 4}, "empty"),
       ramp(DType::F16, {1, 1, 1, 2}, "\xc3\xa4\"\\")});
  OutputSet outputs;
  SafetensorsWriter writer;
  if (!writer.open(outputs, path,
                   {{"x", DType::U8, {5}}, {"y", DType::I32, {2}}}, error, 64,
                   64, {{"format", "pt"}, {"key", "value"}}) ||
      !writer.append("12345", 5, error) ||
      !writer.append("abcdefgh", 8, error) || !writer.close(error) ||
      !outputs.commit(error))
    fail(error);
  seeds.push_back(fileBytes(path));
  return seeds;
}

std::vector<std::string> fuzz::npySeeds() {
  std::vector<std::string> seeds;
  std::string path = folder() + "/seed.npy", error;
  for (DType dtype : {DType::F32, DType::F64, DType::F16, DType::I64,
                      DType::I32, DType::I8, DType::U8, DType::I1})
    for (const std::vector<int64_t> &shape :
         {std::vector<int64_t>{}, std::vector<int64_t>{3},
          std::vector<int64_t>{2, 0, 5}, std::vector<int64_t>{2, 2}}) {
      OutputSet outputs;
      if (!writeNpy(outputs, path, ramp(dtype, shape, "seed"), error) ||
          !outputs.commit(error))
        fail(error);
      seeds.push_back(fileBytes(path));
    }
  return seeds;
}

//===----------------------------------------------------------------------===//
// The JSON of headers
//===----------------------------------------------------------------------===//

static bool parseAny(detail::StrictJSON &json, unsigned depth, unsigned &steps);

static bool parseAny(detail::StrictJSON &json, unsigned depth,
                     unsigned &steps) {
  // The format has no values of unknown type: which one comes is tried in the
  // order of what was met.
  if (depth > 8 || ++steps > 10000)
    return json.fail("too deep");
  switch (steps % 4) {
  case 0:
    return json.parseArray([&] { return parseAny(json, depth + 1, steps); });
  case 1:
    return json.parseObject(
        [&](const std::string &) { return parseAny(json, depth + 1, steps); });
  case 2: {
    std::string text;
    return json.parseString(text);
  }
  default:
    int64_t value;
    return json.parseUnsigned(value) && value >= 0;
  }
}

void fuzz::readStrictJSON(std::string_view bytes) {
  detail::StrictJSON json(bytes);
  unsigned steps = 0;
  bool parsed = parseAny(json, 0, steps) && json.parseEnd();
  if (parsed == json.failed())
    fail("succeeded and failed");
  if (!parsed)
    checkRefusal(json.error(), bytes);
}

std::vector<std::string> fuzz::jsonSeeds() {
  return {"{}", R"({"a":"b"})", R"({"key": "\u00e4\ud83d\ude00\n\\"})",
          R"({"a":"b","c":12,"d":[{"x":"y"}]})",
          R"({"a":"b", "n":9223372036854775807})"};
}
