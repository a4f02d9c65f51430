//===- SupportTest.cpp - Tensors, their files, random values ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Round trips, and files that lie.
//
//===----------------------------------------------------------------------===//

#include "TestFiles.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TensorIO.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace moe;

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

TEST(FloatConversions, EveryHalfSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    if (!std::isnan(f16ToF32(half)))
      EXPECT_EQ(f32ToF16(f16ToF32(half)), half);
    else
      EXPECT_TRUE(std::isnan(f16ToF32(f32ToF16(f16ToF32(half)))));
    if (!std::isnan(bf16ToF32(half)))
      EXPECT_EQ(f32ToBF16(bf16ToF32(half)), half);
    else
      EXPECT_TRUE(std::isnan(bf16ToF32(f32ToBF16(bf16ToF32(half)))));
  }
}

TEST(FloatConversions, RoundsToNearestEven) {
  // 1 + 2^-8 is half way between two bf16; the even one is 1.
  EXPECT_EQ(bf16ToF32(f32ToBF16(1.00390625f)), 1.0f);
  EXPECT_EQ(bf16ToF32(f32ToBF16(1.01171875f)), 1.015625f);
  EXPECT_EQ(bf16ToF32(f32ToBF16(3.4e38f)),
            std::numeric_limits<float>::infinity());
  for (int code = 0; code < 256; ++code) {
    // By the definition: bias 7, no infinities, subnormals.
    int exponent = code >> 3 & 15, mantissa = code & 7;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                : std::ldexp(8.0f + mantissa, exponent - 10);
    float got = f8E4M3ToF32(static_cast<uint8_t>(code));
    if ((code & 127) == 127) {
      EXPECT_TRUE(std::isnan(got));
      EXPECT_EQ(f32ToF8E4M3(got) & 127, 127);
      continue;
    }
    EXPECT_EQ(got, code & 128 ? -value : value);
    EXPECT_EQ(f32ToF8E4M3(got), code);
  }
  EXPECT_EQ(f32ToF8E4M3(1e9f), 0x7e);
  EXPECT_EQ(f32ToF8E4M3(17.0f), 0x58); // Between 16 and 18, to even.
  EXPECT_EQ(f32ToF8E4M3(std::ldexp(1.0f, -10)), 0);
  EXPECT_EQ(f32ToF8E4M3(std::ldexp(1.5f, -9)), 2);
  for (int code = 0; code < 255; ++code) {
    float value = std::ldexp(1.0f, code - 127);
    EXPECT_EQ(f8E8M0ToF32(static_cast<uint8_t>(code)), value);
    EXPECT_EQ(f32ToF8E8M0(value), code);
  }
  EXPECT_TRUE(std::isnan(f8E8M0ToF32(255)));
  EXPECT_EQ(f32ToF8E8M0(std::numeric_limits<float>::quiet_NaN()), 255);
  EXPECT_EQ(f32ToF8E8M0(-1.0f), 255);
  EXPECT_EQ(f32ToF8E8M0(0.0f), 0);
  EXPECT_EQ(f32ToF8E8M0(-0.0f), 0);
  EXPECT_EQ(f32ToF8E8M0(1.5f), 128); // Between 1 and 2, to even.
  EXPECT_EQ(f32ToF8E8M0(3.0f), 128);
  EXPECT_EQ(f32ToF8E8M0(3.01f), 129);
  EXPECT_EQ(f32ToF8E8M0(std::ldexp(1.6f, -127)), 1);
  EXPECT_EQ(f32ToF8E8M0(std::numeric_limits<float>::infinity()), 254);
  EXPECT_EQ(f32ToF16(65519.0f), 0x7bff);
  EXPECT_EQ(f32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(f32ToF16(std::ldexp(1.0f, -25)), 0);
  EXPECT_EQ(f32ToF16(std::ldexp(1.5f, -25)), 1);
}

TEST(FloatConversions, DoublesRoundOnce) {
  // A hair above the midpoint: rounding to f32 first would lose the hair.
  double value = 1.00390625 + std::ldexp(1.0, -40);
  EXPECT_EQ(bf16ToF32(f64ToBF16(value)), 1.0078125f);
  EXPECT_EQ(bf16ToF32(f64ToBF16(-value)), -1.0078125f);
  value = 1.0 + std::ldexp(1.0, -11) + std::ldexp(1.0, -40);
  EXPECT_EQ(f16ToF32(f64ToF16(value)), 1.0f + std::ldexp(1.0f, -10));
}

TEST(HostTensor, SetSaturatesIntegers) {
  HostTensor t = HostTensor::allocate(DType::I32, {3});
  t.set(0, 1e30);
  t.set(1, -1e30);
  t.set(2, std::nan(""));
  EXPECT_EQ(t.dataAs<int32_t>()[0], std::numeric_limits<int32_t>::max());
  EXPECT_EQ(t.dataAs<int32_t>()[1], std::numeric_limits<int32_t>::min());
  EXPECT_EQ(t.dataAs<int32_t>()[2], 0);
}

TEST(HostTensor, AllocatesAlignedZerosOfAnySize) {
  for (int64_t size : {0, 1, 100, 3 << 20}) {
    HostTensor t = HostTensor::allocate(DType::F32, {size, 2});
    ASSERT_TRUE(t.data);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data) % 64, 0u);
    for (int64_t i = 0; i < size * 2; i += 997)
      EXPECT_EQ(t.get(i), 0.0);
  }
  EXPECT_FALSE(HostTensor::allocate(DType::F32, {-1}).data);
  EXPECT_FALSE(
      HostTensor::allocate(DType::F32, {int64_t(1) << 40, 1 << 30}).data);
  EXPECT_FALSE(HostTensor::allocate(DType::U8, {INT64_MAX}).data);
}

//===----------------------------------------------------------------------===//
// Random values
//===----------------------------------------------------------------------===//

TEST(Random, DependsOnSeedNameAndIndexOnly) {
  HostTensor a = HostTensor::allocate(DType::F32, {1000, 700}, "a");
  HostTensor same = HostTensor::allocate(DType::F32, {700000}, "a");
  HostTensor other = HostTensor::allocate(DType::F32, {1000, 700}, "b");
  HostTensor seed = HostTensor::allocate(DType::F32, {1000, 700}, "a");
  HostTensor half = HostTensor::allocate(DType::BF16, {1000, 700}, "a");
  fillRandom(a, 1, 0.5);
  fillRandom(same, 1, 0.5);
  fillRandom(other, 1, 0.5);
  fillRandom(seed, 2, 0.5);
  fillRandom(half, 1, 0.5);
  EXPECT_EQ(std::memcmp(a.data, same.data, a.numBytes()), 0);
  EXPECT_NE(std::memcmp(a.data, other.data, a.numBytes()), 0);
  EXPECT_NE(std::memcmp(a.data, seed.data, a.numBytes()), 0);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < a.numElements(); ++i) {
    double v = a.get(i);
    ASSERT_TRUE(v >= -0.5 && v < 0.5);
    EXPECT_EQ(half.dataAs<uint16_t>()[i], f32ToBF16(a.dataAs<float>()[i]));
    sum += v;
    squares += v * v;
  }
  EXPECT_NEAR(sum / a.numElements(), 0.0, 0.002);
  EXPECT_NEAR(squares / a.numElements(), 0.25 / 3, 0.001);
}

TEST(Random, RangesByRole) {
  auto range = [](const char *name, std::vector<int64_t> shape) {
    return randomRange(name, DType::BF16, shape, /*isActivation=*/false);
  };
  EXPECT_DOUBLE_EQ(range("experts.gate_proj", {8, 4, 48}).scale, 0.25);
  EXPECT_DOUBLE_EQ(range("router.weight", {8, 48}).scale, 0.75);
  EXPECT_DOUBLE_EQ(range("mlp.gate.weight", {8, 48}).scale, 0.75);
  EXPECT_DOUBLE_EQ(range("router.bias", {8}).scale, 0.1);
  EXPECT_DOUBLE_EQ(range("experts.up_proj_bias", {8, 48}).scale, 0.1);
  EXPECT_DOUBLE_EQ(range("router.bias", {8}).center, 0.0);
  EXPECT_DOUBLE_EQ(range("input_norm", {48}).center, 1.0);
  EXPECT_DOUBLE_EQ(randomRange("x", DType::F32, {2, 48}, true).scale,
                   std::sqrt(3.0));
  EXPECT_DOUBLE_EQ(randomRange("ids", DType::I32, {2, 48}, true).scale, 0.0);

  HostTensor t = HostTensor::allocate(DType::F32, {1000}, "norm");
  fillRandom(t, 1, RandomRange{1.0, 0.125});
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_GE(t.get(i), 0.875);
    EXPECT_LE(t.get(i), 1.125);
  }
}

TEST(Random, ValuesNeverChange) {
  // Files made from a seed elsewhere have to match: these are for ever.
  HostTensor t = HostTensor::allocate(DType::F32, {4}, "x");
  fillRandom(t, 42, 1.0);
  const uint32_t expected[] = {0x3f764f6au, 0x3e4f07c0u, 0x3f10d65au,
                               0xbf634daau};
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(floatBits(t.dataAs<float>()[i]), expected[i]);
}

TEST(Random, Integers) {
  HostTensor t = HostTensor::allocate(DType::I32, {10000}, "i");
  fillRandom(t, 3, 2.0);
  int counts[5] = {};
  for (int64_t i = 0; i < t.numElements(); ++i) {
    ASSERT_TRUE(t.get(i) >= -2 && t.get(i) <= 2);
    ++counts[static_cast<int>(t.get(i)) + 2];
  }
  for (int count : counts)
    EXPECT_NEAR(count, 2000, 200);
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

static HostTensor makeTensor(DType dtype, std::vector<int64_t> shape,
                             std::string name) {
  HostTensor t = HostTensor::allocate(dtype, std::move(shape), std::move(name));
  fillRandom(t, 5, 100.0);
  return t;
}

static void expectSame(const HostTensor &a, const HostTensor &b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.describe(), b.describe());
  ASSERT_EQ(a.numBytes(), b.numBytes());
  bool isSame =
      a.numBytes() == 0 || std::memcmp(a.data, b.data, a.numBytes()) == 0;
  EXPECT_TRUE(isSame) << a.name;
}

static bool writeFile(const std::string &path,
                      const std::vector<HostTensor> &tensors,
                      std::string &error) {
  OutputSet outputs;
  return writeSafetensors(outputs, path, tensors, error) &&
         outputs.commit(error);
}

static bool writeArray(const std::string &path, const HostTensor &tensor,
                       std::string &error) {
  OutputSet outputs;
  return writeNpy(outputs, path, tensor, error) && outputs.commit(error);
}

TEST(TensorIO, SafetensorsRoundTrip) {
  TestFolder folder;
  std::vector<HostTensor> written;
  int i = 0;
  for (DType dtype :
       {DType::I1, DType::U8, DType::I8, DType::F8E4M3, DType::BF16, DType::F16,
        DType::I32, DType::F32, DType::I64, DType::F64})
    written.push_back(makeTensor(dtype, {3, 5}, "t" + std::to_string(i++)));
  written.push_back(makeTensor(DType::F32, {0, 4}, "empty"));
  written.push_back(makeTensor(DType::F32, {}, "scalar"));
  written.push_back(
      makeTensor(DType::F32, {2}, "na\"me\\ with\n \xc3\xa9 in it"));
  std::string error, path = folder.file("t.safetensors");
  ASSERT_TRUE(writeFile(path, written, error)) << error;
  std::vector<HostTensor> read;
  ASSERT_TRUE(readTensors(path, read, error)) << error;
  ASSERT_EQ(read.size(), written.size());
  for (const HostTensor &tensor : written) {
    auto it = std::find_if(read.begin(), read.end(), [&](const HostTensor &t) {
      return t.name == tensor.name;
    });
    ASSERT_NE(it, read.end());
    expectSame(tensor, *it);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(it->data) % dtypeSize(it->dtype), 0u);
  }
  EXPECT_EQ(folder.numFiles(), 1u);
}

TEST(TensorIO, MappedTensorsMayBeWrittenTo) {
  TestFolder folder;
  std::string error, path = folder.file("t.safetensors");
  ASSERT_TRUE(writeFile(path, {makeTensor(DType::F32, {4}, "a")}, error));
  std::string before = TestFolder::read(path);
  std::vector<HostTensor> read;
  ASSERT_TRUE(readTensors(path, read, error));
  read[0].set(0, 7.0);
  EXPECT_EQ(TestFolder::read(path), before);
}

/// `read` is then what the file at `path` has: these two tensors.
static void readTwo(const std::string &path, const HostTensor &a,
                    const HostTensor &b, std::vector<HostTensor> &read) {
  std::string error;
  ASSERT_TRUE(readTensors(path, read, error)) << error;
  ASSERT_EQ(read.size(), 2u);
  expectSame(a, read[0]);
  expectSame(b, read[1]);
}

TEST(TensorIO, WriterAlignsAndStreams) {
  TestFolder folder;
  HostTensor a = makeTensor(DType::U8, {5}, "a");
  HostTensor b = makeTensor(DType::F32, {7}, "b");
  std::string error, path = folder.file("t.safetensors");
  {
    OutputSet outputs;
    SafetensorsWriter writer;
    ASSERT_TRUE(writer.open(outputs, path,
                            {{"a", a.dtype, a.shape}, {"b", b.dtype, b.shape}},
                            error, 4096, 64, {{"made", "here"}}));
    ASSERT_TRUE(writer.append(a.data, 2, error));
    ASSERT_TRUE(writer.append(a.dataAs<char>() + 2, 3, error));
    ASSERT_TRUE(writer.write(b, error)) << error;
    ASSERT_TRUE(writer.close(error)) << error;
    ASSERT_TRUE(outputs.commit(error)) << error;
  }
  std::vector<HostTensor> read;
  ASSERT_NO_FATAL_FAILURE(readTwo(path, a, b, read));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read[0].data) % 4096, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read[1].data) % 64, 0u);
}

TEST(TensorIO, WriterTakesSeveralTensorsAtATime) {
  TestFolder folder;
  HostTensor a = makeTensor(DType::U8, {6}, "a");
  HostTensor b = makeTensor(DType::F32, {4}, "b");
  std::string error, path = folder.file("t.safetensors");
  for (bool isWhole : {false, true}) {
    OutputSet outputs;
    SafetensorsWriter writer;
    ASSERT_TRUE(writer.open(outputs, path,
                            {{"a", a.dtype, a.shape}, {"b", b.dtype, b.shape}},
                            error, 64, 64));
    for (int part = 0; part < 2; ++part) {
      ASSERT_TRUE(writer.appendTo(1, b.dataAs<char>() + 8 * part, 8, error));
      if (isWhole || part == 0) {
        ASSERT_TRUE(writer.appendTo(0, a.dataAs<char>() + 3 * part, 3, error));
      }
    }
    EXPECT_FALSE(writer.appendTo(1, "1", 1, error));
    EXPECT_NE(error.find("more bytes than announced for tensor 'b'"),
              std::string::npos)
        << error;
    EXPECT_EQ(writer.close(error), isWhole);
    if (!isWhole) {
      EXPECT_NE(error.find("'a' was not written"), std::string::npos) << error;
    } else {
      ASSERT_TRUE(outputs.commit(error)) << error;
    }
  }
  std::vector<HostTensor> read;
  ASSERT_NO_FATAL_FAILURE(readTwo(path, a, b, read));
}

TEST(TensorIO, UnfinishedFilesDoNotStay) {
  TestFolder folder;
  std::string error;
  {
    OutputSet outputs;
    SafetensorsWriter writer;
    ASSERT_TRUE(writer.open(outputs, folder.file("t.safetensors"),
                            {{"a", DType::U8, {4}}}, error));
    EXPECT_FALSE(writer.append("12345", 5, error));
    EXPECT_FALSE(writer.close(error));
    EXPECT_NE(error.find("'a' was not written"), std::string::npos) << error;
  }
  EXPECT_EQ(folder.numFiles(), 0u);
  EXPECT_FALSE(writeFile(folder.file("no/such/t.safetensors"), {}, error));
}

TEST(TensorIO, PipesAreRefusedAtOnce) {
  TestFolder folder;
  std::string error, path = folder.file("pipe.npy");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::vector<HostTensor> read;
  EXPECT_FALSE(readTensors(path, read, error));
  EXPECT_EQ(error, path + ": not a regular file");
}

TEST(TensorIO, AFileThatIsCutHasAName) {
  TestFolder folder;
  std::string error, path = folder.file("t.safetensors");
  ASSERT_TRUE(writeFile(path, {makeTensor(DType::U8, {1 << 16}, "a")}, error));
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    removeOutputsOnSignals();
    std::vector<HostTensor> read;
    if (!readTensors(path, read, error) || truncate(path.c_str(), 100) != 0)
      _exit(2);
    volatile double last = read[0].get((1 << 16) - 1);
    _exit(last != 0 ? 3 : 4);
  }
  close(ends[1]);
  // A message may come in several pieces.
  std::string said;
  char piece[256];
  for (ssize_t got; (got = ::read(ends[0], piece, sizeof(piece))) > 0;)
    said.append(piece, got);
  close(ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  EXPECT_EQ(said,
            "error: " + path + ": the file became shorter while it was read\n");
}

TEST(TensorIO, NpyRoundTrip) {
  TestFolder folder;
  std::string error;
  for (DType dtype : {DType::I1, DType::U8, DType::I8, DType::F16, DType::I32,
                      DType::F32, DType::I64, DType::F64})
    for (std::vector<int64_t> shape :
         std::vector<std::vector<int64_t>>{{}, {0}, {5}, {2, 3}, {2, 3, 4}}) {
      HostTensor written = makeTensor(dtype, shape, "value");
      std::string path = folder.file("value.npy");
      ASSERT_TRUE(writeArray(path, written, error)) << error;
      std::vector<HostTensor> read;
      ASSERT_TRUE(readTensors(path, read, error)) << error;
      ASSERT_EQ(read.size(), 1u);
      expectSame(written, read[0]);
    }
  EXPECT_FALSE(writeArray(folder.file("b.npy"),
                          makeTensor(DType::BF16, {1}, "b"), error));
  EXPECT_NE(error.find("NumPy has no bf16"), std::string::npos) << error;
}

static std::string safetensors(const std::string &header,
                               const std::string &data = "") {
  std::string bytes;
  for (int i = 0; i < 8; ++i)
    bytes += static_cast<char>(header.size() >> (8 * i));
  return bytes + header + data;
}

static std::string one(const std::string &dtype, const std::string &shape,
                       const std::string &offsets) {
  return "{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}}";
}

TEST(TensorIO, HostileSafetensors) {
  struct Case {
    std::string bytes, message;
  };
  std::string huge("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
  const Case cases[] = {
      {"", "truncated: 0 bytes"},
      {"1234567", "truncated: 7 bytes"},
      {huge, "not a .safetensors file"},
      {safetensors("{}").substr(0, 9), "truncated: a header of 2 bytes"},
      {safetensors(""), "the end where '{' is expected"},
      {safetensors("[]"), "where '{' is expected"},
      {safetensors(std::string(100000, '{')), "where '\"' is expected"},
      {safetensors("{} {}"), "text after the end"},
      {safetensors("{\"a\":{}}"), "lacks one of dtype, shape, data_offsets"},
      {safetensors("{\"a\":{\"x\":1}}"), "key 'x' of tensor 'a' is unknown"},
      {safetensors("{\"a"), "a string that does not end"},
      {safetensors("{\"\\ud800\":{}}"), "half a surrogate pair"},
      {safetensors(one("F32", "[-1]", "[0,4]"), "1234"), "non-negative"},
      {safetensors(one("F32", "[1]", "[-4,0]"), "1234"), "non-negative"},
      {safetensors(one("F32", "[1]", "[0,NaN]"), "1234"), "non-negative"},
      {safetensors(one("F32", "[1]", "[0,4e0]"), "1234"), "non-negative"},
      {safetensors(one("F32", "[1]", "[0,1e999]"), "1234"), "non-negative"},
      {safetensors(one("F32", "[1]", "[0,99999999999999999999]"), "1234"),
       "beyond 2^63"},
      {safetensors(one("F32", "[1]", "[4,0]"), "1234"), "outside"},
      {safetensors(one("F32", "[2]", "[0,8]"), "1234"), "outside of the 4"},
      {safetensors(one("F32", "[2]", "[0,4]"), "1234"),
       "has 4 bytes of data, but f32[2] takes 8"},
      {safetensors(one("F32", "[4294967296,4294967296]", "[0,4]"), "1234"),
       "overflows"},
      {safetensors(one("F32", "[0,4294967296,4294967296]", "[0,0]")),
       "overflows"},
      {safetensors(one("F8_E5M2", "[4]", "[0,4]"), "1234"),
       "dtype 'F8_E5M2'; supported are F64"},
      {safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,"
                   "3]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":"
                   "[2,4]}}",
                   "1234"),
       "'a' and 'b' overlap"},
      {safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,"
                   "1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":"
                   "[1,2]}}",
                   "12"),
       "a second tensor 'a'"},
  };
  TestFolder folder;
  for (const Case &c : cases) {
    std::string error, path = folder.write("bad.safetensors", c.bytes);
    std::vector<HostTensor> read;
    EXPECT_FALSE(readTensors(path, read, error)) << c.message;
    EXPECT_TRUE(read.empty());
    EXPECT_NE(error.find(c.message), std::string::npos)
        << error << "\n  expected: " << c.message;
    EXPECT_EQ(error.find(path), 0u) << error;
  }
  std::string error;
  std::vector<HostTensor> read;
  EXPECT_FALSE(readTensors(folder.file("none.safetensors"), read, error));
  EXPECT_FALSE(readTensors(folder.path, read, error));
  EXPECT_FALSE(readTensors(folder.write("t.txt", ""), read, error));
}

TEST(TensorIO, MisalignedTensorsAreCopied) {
  TestFolder folder;
  float value = 1.5f;
  std::string header = one("F32", "[1]", "[1,5]");
  header.append(-(8 + header.size()) & 7, ' ');
  std::string bytes =
      "x" + std::string(reinterpret_cast<char *>(&value), sizeof(value));
  std::string error,
      path = folder.write("m.safetensors", safetensors(header, bytes));
  std::vector<HostTensor> read;
  ASSERT_TRUE(readTensors(path, read, error)) << error;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read[0].data) % 4, 0u);
  EXPECT_EQ(read[0].get(0), 1.5);
}

TEST(TensorIO, ExponentsAreBytes) {
  TestFolder folder;
  std::string bytes = safetensors(one("F8_E8M0", "[2]", "[0,2]"), "\x7f\xff");
  std::string error, path = folder.write("e.safetensors", bytes);
  std::vector<HostTensor> read;
  ASSERT_TRUE(readTensors(path, read, error)) << error;
  EXPECT_EQ(read[0].describe(), "u8[2]");
  EXPECT_EQ(read[0].get(1), 255);
}

static std::string npy(const std::string &header, const std::string &data = "",
                       char version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += version;
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    bytes += static_cast<char>(header.size() >> (8 * i));
  return bytes + header + data;
}

TEST(TensorIO, HostileNpy) {
  struct Case {
    std::string bytes, message;
  };
  const Case cases[] = {
      {"", "no NumPy magic"},
      {npy("{}"), "bad header"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "12"),
       "f32[3] takes 12 bytes, but the file has 2"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }"),
       "bad header"},
      {npy("{'descr': '>f4', 'fortran_order': False, 'shape': (), }", "1234"),
       "dtype '>f4'; supported are <f8"},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (), }", "1234"),
       "dtype '|O'"},
      {npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }",
           "1234"),
       "Fortran order"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, "
           "4294967296), }"),
       "overflows"},
      {npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': "
           "()}"),
       "bad header"},
      {npy("{}", "", 9), "version 9"},
      {npy("{'descr': '<f4'").substr(0, 12), "truncated: a header"},
      {npy("{}", "", 2).substr(0, 11), "truncated"},
  };
  TestFolder folder;
  for (const Case &c : cases) {
    std::string error, path = folder.write("bad.npy", c.bytes);
    std::vector<HostTensor> read;
    EXPECT_FALSE(readTensors(path, read, error)) << c.message;
    EXPECT_NE(error.find(c.message), std::string::npos)
        << error << "\n  expected: " << c.message;
  }
  std::string error,
      path = folder.write(
          "v2.npy", npy("{'shape': (1,), 'descr': '|u1', 'fortran_order': "
                        "False}\n",
                        "\x05", 2));
  std::vector<HostTensor> read;
  ASSERT_TRUE(readTensors(path, read, error)) << error;
  EXPECT_EQ(read[0].get(0), 5.0);
}

TEST(TensorIO, MutatedFilesNeverCrash) {
  TestFolder folder;
  std::string error;
  HostTensor tensor = makeTensor(DType::F32, {3, 5}, "a");
  ASSERT_TRUE(writeFile(folder.file("s.safetensors"),
                        {tensor, makeTensor(DType::U8, {3}, "b")}, error));
  ASSERT_TRUE(writeArray(folder.file("n.npy"), tensor, error));
  std::string originals[] = {TestFolder::read(folder.file("s.safetensors")),
                             TestFolder::read(folder.file("n.npy"))};
  const char *names[] = {"m.safetensors", "m.npy"};
  const uint64_t seed = 20240521;
  uint64_t state = seed;
  auto next = [&](uint64_t bound) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % bound;
  };
  for (int round = 0; round < 1000; ++round) {
    int which = round % 2;
    std::string bytes = originals[which];
    for (uint64_t i = next(5) + 1; i != 0; --i)
      bytes[next(std::min<size_t>(bytes.size(), 200))] =
          "0129{}[]\",:\xff\0abc"[next(17)];
    if (next(4) == 0)
      bytes.resize(next(bytes.size()));
    std::string path = folder.write(names[which], bytes);
    std::vector<HostTensor> read;
    double sum = 0;
    if (readTensors(path, read, error))
      for (const HostTensor &t : read)
        for (int64_t i = 0; i < t.numElements(); ++i)
          sum += t.get(i) == 0.0;
    EXPECT_GE(sum, 0.0) << "seed " << seed << " round " << round;
  }
}

//===----------------------------------------------------------------------===//
// Progress
//===----------------------------------------------------------------------===//

TEST(Progress, SaysRateAndTimeLeft) {
  EXPECT_EQ(Progress::text("packing", 25000000, 100000000, "B", 0.5, ""),
            "packing: 25 % of 100 MB, 50.0 MB/s, 2 s left");
  EXPECT_EQ(Progress::text("packing", 1000, 10000000, "B", 1, ""),
            "packing: 0 % of 10.0 MB, 1.00 kB/s, 2 h 46 min left");
  EXPECT_EQ(Progress::text("measuring", 3, 48, "rows", 12, "OLMoE"),
            "measuring: 6 % of 48 rows, 0.25 rows/s, 3 min left: OLMoE");
  EXPECT_EQ(Progress::text("measuring", 48, 48, "rows", 12, ""),
            "measuring: 100 % of 48 rows, 4 rows/s");
  EXPECT_EQ(Progress::text("measuring", 0, 48, "rows", 12, "limits"),
            "measuring: 0 % of 48 rows: limits");
  EXPECT_EQ(Progress::text("reading", 7, 0, "files", 2, ""),
            "reading: 7 files, 3.50 files/s");
}

/// What a Progress writes when standard error is `descriptor`.
static void showProgress(int descriptor) {
  int saved = dup(STDERR_FILENO);
  dup2(descriptor, STDERR_FILENO);
  {
    Progress progress("packing", "B");
    progress.update(1, 100);
    // Runs of less than a second show nothing.
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    progress.update(50, 100, "layer_1");
  }
  dup2(saved, STDERR_FILENO);
  close(saved);
}

TEST(Progress, IsForTerminals) {
  setenv("TERM", "xterm", 1);
  int terminal, other;
  ASSERT_EQ(openpty(&terminal, &other, nullptr, nullptr, nullptr), 0);
  showProgress(other);
  char bytes[256];
  std::string text;
  // The kernel may hand it over in parts.
  while (text.rfind("\r\033[K") == 0 || text.empty()) {
    ssize_t size = read(terminal, bytes, sizeof bytes);
    ASSERT_GT(size, 0);
    text.append(bytes, size);
  }
  EXPECT_EQ(text.rfind("\r\033[Kpacking: 50 % of 100 B, ", 0), 0u) << text;
  EXPECT_NE(text.find(" left: layer_1\r\033[K"), std::string::npos) << text;
  close(terminal);
  close(other);

  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  showProgress(ends[1]);
  close(ends[1]);
  EXPECT_EQ(read(ends[0], bytes, sizeof bytes), 0);
  close(ends[0]);
}
