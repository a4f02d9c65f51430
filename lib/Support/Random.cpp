//===- Random.cpp - Reproducible random tensors ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A counter-based generator: 32-bit multiplications and shifts only, which
// every SIMD unit has, so that gigabytes of weights take seconds.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe-mlir/Support/Parallel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

using namespace moe;

namespace {

/// The key of up to 2^32 consecutive elements.
struct Key {
  uint32_t first, second;
};

uint64_t mix64(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

Key makeKey(uint64_t seed, const std::string &name, uint64_t block) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (unsigned char c : name)
    hash = (hash ^ c) * 0x100000001b3ull;
  uint64_t key = mix64(mix64(mix64(seed + 0x9e3779b97f4a7c15ull) ^ hash) +
                       block * 0x9e3779b97f4a7c15ull);
  return {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
}

inline __attribute__((always_inline)) uint32_t hash32(uint32_t x, Key key) {
  x += key.first;
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x += key.second;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  x *= 0x9e3779b1u;
  return x ^ (x >> 15);
}

/// Uniform in [-1, 1), exact in f32.
inline __attribute__((always_inline)) float unit(uint32_t x, Key key) {
  int32_t bits = static_cast<int32_t>(hash32(x, key) >> 8) - (1 << 23);
  return static_cast<float>(bits) * (1.0f / (1 << 23));
}

using FillFn = void (*)(DType, void *, uint32_t begin, int64_t count, Key,
                        RandomRange range);

inline __attribute__((always_inline)) void fillBody(DType dtype, void *out,
                                                    uint32_t begin,
                                                    int64_t count, Key key,
                                                    RandomRange range) {
  float scale = static_cast<float>(range.scale);
  float center = static_cast<float>(range.center);
  auto value = [&](int64_t i) {
    return unit(begin + static_cast<uint32_t>(i), key) * scale + center;
  };
  switch (dtype) {
  case DType::F32: {
    float *to = static_cast<float *>(out);
    for (int64_t i = 0; i < count; ++i)
      to[i] = value(i);
    return;
  }
  case DType::F64: {
    double *to = static_cast<double *>(out);
    for (int64_t i = 0; i < count; ++i)
      to[i] = value(i);
    return;
  }
  case DType::BF16: {
    uint16_t *to = static_cast<uint16_t *>(out);
    for (int64_t i = 0; i < count; ++i)
      to[i] = f32ToBF16(value(i));
    return;
  }
  case DType::F16: {
    uint16_t *to = static_cast<uint16_t *>(out);
    for (int64_t i = 0; i < count; ++i)
      to[i] = f32ToF16(value(i));
    return;
  }
  case DType::F8E4M3: {
    uint8_t *to = static_cast<uint8_t *>(out);
    for (int64_t i = 0; i < count; ++i)
      to[i] = f32ToF8E4M3(value(i));
    return;
  }
  case DType::F8E8M0: {
    uint8_t *to = static_cast<uint8_t *>(out);
    for (int64_t i = 0; i < count; ++i)
      to[i] = f32ToF8E8M0(value(i));
    return;
  }
  default:
    return;
  }
}

void fillPortable(DType dtype, void *out, uint32_t begin, int64_t count,
                  Key key, RandomRange range) {
  fillBody(dtype, out, begin, count, key, range);
}

#if defined(__x86_64__)
// prefer-vector-width and fma are left out on purpose: the values must not
// depend on the CPU.
__attribute__((target("avx2"))) void fillAVX2(DType dtype, void *out,
                                              uint32_t begin, int64_t count,
                                              Key key, RandomRange range) {
  fillBody(dtype, out, begin, count, key, range);
}
#endif

FillFn chooseFill() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2"))
    return fillAVX2;
#endif
  return fillPortable;
}

void fillIntegers(HostTensor &tensor, int64_t begin, int64_t count, Key key,
                  uint32_t counter, double scale) {
  int64_t bound = static_cast<int64_t>(
      std::fmin(std::floor(std::fabs(scale)), 2147483647.0));
  bool isUnsigned = tensor.dtype == DType::U8;
  uint64_t range = isUnsigned ? bound + 1 : 2 * bound + 1;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = hash32(counter + static_cast<uint32_t>(i), key);
    if (tensor.dtype == DType::I1) {
      tensor.set(begin + i, static_cast<double>(bits >> 31));
      continue;
    }
    int64_t value = static_cast<int64_t>((bits * range) >> 32);
    tensor.set(begin + i,
               static_cast<double>(isUnsigned ? value : value - bound));
  }
}

} // namespace

RandomRange moe::randomRange(const std::string &name, DType dtype,
                             const std::vector<int64_t> &shape,
                             bool isActivation) {
  if (!isFloat(dtype))
    return {0.0, 0.0};
  if (isActivation)
    return {0.0, std::sqrt(3.0)};
  auto contains = [&](std::string_view part) {
    return name.find(part) != std::string::npos;
  };
  auto endsWith = [&](std::string_view end) {
    return name.size() >= end.size() &&
           name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  if (endsWith("bias"))
    return {0.0, 0.1};
  if (shape.size() < 2 || shape.back() < 1) {
    bool isGain = contains("norm") || contains("scale");
    return {isGain ? 1.0 : 0.0, 0.1};
  }
  bool isRouter = contains("router") || endsWith("gate.weight");
  // The variance of uniform numbers is a third of their range squared.
  return {0.0, (isRouter ? 3.0 : 1.0) *
                   std::sqrt(3.0 / static_cast<double>(shape.back()))};
}

void moe::fillRandom(HostTensor &tensor, uint64_t seed, RandomRange range,
                     uint64_t first) {
  // Chunks end where the whole tensor's chunks end, so that none has two keys.
  constexpr uint64_t chunk = uint64_t(1) << 18; // divides 2^32
  uint64_t last = first + static_cast<uint64_t>(tensor.numElements());
  if (first == last)
    return;
  FillFn fill = chooseFill();
  auto body = [&](int64_t item) {
    uint64_t begin = std::max(first, (first / chunk + item) * chunk);
    uint64_t end = std::min(last, (first / chunk + item + 1) * chunk);
    int64_t offset = static_cast<int64_t>(begin - first);
    int64_t count = static_cast<int64_t>(end - begin);
    Key key = makeKey(seed, tensor.name, begin >> 32);
    uint32_t counter = static_cast<uint32_t>(begin);
    if (isFloat(tensor.dtype))
      fill(tensor.dtype,
           static_cast<char *>(tensor.data) + offset * dtypeSize(tensor.dtype),
           counter, count, key, range);
    else
      fillIntegers(tensor, offset, count, key, counter, range.scale);
  };
  parallelFor(static_cast<int64_t>((last - 1) / chunk - first / chunk + 1),
              body);
}

bool moe::isRoutingIndices(const HostTensor &tensor) {
  return tensor.name.rfind(routingIndicesName, 0) == 0 &&
         tensor.dtype == DType::I32 && !tensor.shape.empty();
}

void moe::fillRouting(HostTensor &tensor, uint64_t seed, int64_t experts,
                      uint64_t first) {
  int64_t slots = tensor.shape.back();
  for (int64_t begin = 0, count = tensor.numElements(); begin < count;
       begin += slots) {
    Key key = makeKey(seed, tensor.name, (first + begin) / slots);
    int32_t *row = tensor.dataAs<int32_t>() + begin;
    // Floyd: an expert of the first `last` + 1 for each slot, and the last of
    // them in place of one that is there already.
    for (int64_t k = 0; k < slots; ++k) {
      int64_t last = experts - slots + k;
      uint64_t bits = hash32(static_cast<uint32_t>(k), key);
      int32_t chosen = static_cast<int32_t>((bits * (last + 1)) >> 32);
      bool isThere = std::find(row, row + k, chosen) != row + k;
      row[k] = isThere ? static_cast<int32_t>(last) : chosen;
    }
  }
}

RandomRange StoredRange::of(int64_t k) const {
  double size = 1 / std::sqrt(static_cast<double>(k));
  if (!hasSize)
    return range;
  return {range.center * size, range.scale * size};
}

/// Replaces four bits each by one of the pairs of places that there are.
static void makePlaces(char *to, int64_t bytes) {
  // The first of 0 to 3 in the lower two bits.
  constexpr unsigned pairs[] = {4, 8, 9, 12, 13, 14};
  for (int64_t i = 0; i < bytes; ++i) {
    auto bits = static_cast<unsigned char>(to[i]);
    to[i] = static_cast<char>(pairs[bits % 16 % 6] |
                              pairs[bits / 16 % 6] << 4);
  }
}

/// Replaces i32 by as many numbers below `limit`, spread evenly, each somewhere in
/// its part.
static void makeAscending(char *to, int64_t bytes, int64_t limit) {
  int64_t count = bytes / 4;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, to + 4 * i, sizeof(bits));
    int64_t begin = i * limit / count, end = (i + 1) * limit / count;
    auto number = static_cast<int32_t>(
        begin + static_cast<int64_t>((uint64_t(bits) * (end - begin)) >> 32));
    std::memcpy(to + 4 * i, &number, sizeof(number));
  }
}

void moe::fillStored(HostTensor &tensor, uint64_t seed,
                     const StoredGroup &group, uint64_t first) {
  uint64_t groups = tensor.numBytes() / group.bytes;
  uint64_t firstGroup = first * dtypeSize(tensor.dtype) / group.bytes;
  char *data = tensor.dataAs<char>();
  FillFn fill = chooseFill();
  constexpr uint64_t chunk = 4096;
  parallelFor(
      static_cast<int64_t>((groups + chunk - 1) / chunk), [&](int64_t item) {
        uint64_t end = std::min(groups, (item + 1) * chunk);
        for (uint64_t i = item * chunk; i < end; ++i) {
          // A key for each group: what is in it does not depend on others.
          Key key = makeKey(seed, tensor.name, firstGroup + i);
          char *to = data + i * group.bytes;
          for (int64_t byte = 0; byte < group.bytes; byte += 4) {
            uint32_t bits = hash32(static_cast<uint32_t>(byte), key);
            std::memcpy(to + byte, &bits,
                        std::min<int64_t>(4, group.bytes - byte));
          }
          for (const StoredNumbers &numbers : group.numbers) {
            if (numbers.bits.kind == StoredBits::Places)
              makePlaces(to + numbers.offset, numbers.bytes);
            if (numbers.bits.kind == StoredBits::Ascending)
              makeAscending(to + numbers.offset, numbers.bytes,
                            numbers.bits.limit);
            if (numbers.bits.kind != StoredBits::Any)
              continue;
            // Groups need not be aligned to their numbers.
            alignas(8) char some[256];
            int64_t size = dtypeSize(numbers.dtype);
            for (int64_t at = 0; at < numbers.bytes; at += sizeof(some)) {
              int64_t bytes =
                  std::min<int64_t>(sizeof(some), numbers.bytes - at);
              uint32_t counter = static_cast<uint32_t>(numbers.offset + at) |
                                 uint32_t(1) << 31;
              fill(numbers.dtype, some, counter, bytes / size, key,
                   numbers.range);
              std::memcpy(to + numbers.offset + at, some, bytes);
            }
          }
        }
      });
}
