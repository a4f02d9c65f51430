//===- PackBlocksTest.cpp - Stored weights as they are packed --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Compares with the layout written down once more, byte by byte.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Artifact/PackedWeights.h"
#include "moe-mlir/Support/Random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

using namespace moe;

namespace {

/// Fields of a format, and two parts of it that come from several tensors.
struct Problem {
  int64_t block;
  std::vector<PackField> fields;
  std::vector<PackStorage> storage;
  int64_t experts, n, k;
  bool gated;
};

PackField field(int64_t storage, int64_t offset, int64_t bytes, int64_t unit,
                DType dtype = DType::I8) {
  PackField f;
  f.storage = storage;
  f.offset = offset;
  f.bytes = bytes;
  f.unit = unit;
  f.dtype = dtype;
  if (isFloat(dtype)) {
    f.range = StoredRange{dtype, {1.0, 0.25}, /*hasSize=*/true};
  }
  return f;
}

/// A f16 scale, and bytes of which four stay together.
Problem oneTensor(int64_t experts, int64_t n, int64_t k, bool gated) {
  return {32,
          {field(0, 0, 2, 2, DType::F16), field(0, 2, 16, 4)},
          {{"blocks", 18, 1, 1}},
          experts,
          n,
          k,
          gated};
}

/// Codes, scales of 16 rows and 2 blocks, and one number a row; what is first
/// in a block comes last in memory.
Problem shared(int64_t experts, int64_t n, int64_t k, bool gated) {
  return {16,
          {field(1, 0, 4, 4, DType::F32), field(0, 8, 8, 4),
           field(2, 0, 1, 1, DType::F8E4M3), field(0, 0, 8, 1)},
          {{"codes", 16, 1, 1}, {"scales", 4, 16, 2}, {"zero", 1, 1, 0}},
          experts,
          n,
          k,
          gated};
}

int64_t divideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Weights {
  PackSpec spec;
  std::vector<HostTensor> tensors;

  const HostTensor *find(const std::string &name) const {
    for (const HostTensor &tensor : tensors)
      if (tensor.name == name)
        return &tensor;
    return nullptr;
  }

  /// Matrices of [n, k], stored.
  PackSource add(const Problem &p, std::string name,
                 std::vector<int64_t> shape) {
    PackSource source;
    source.name = name;
    source.shape = shape;
    source.view = PackView::whole(shape);
    int64_t n = shape[shape.size() - 2], k = shape.back();
    for (const PackStorage &storage : p.storage) {
      PackTensor tensor;
      tensor.name = name + "." + storage.name;
      tensor.dtype = storage.bytes == 4 ? DType::F32 : DType::I8;
      tensor.shape = shape;
      tensor.shape.pop_back();
      tensor.shape.back() = divideUp(n, storage.rows);
      tensor.shape.push_back(
          (storage.blocks ? divideUp(k / p.block, storage.blocks) : 1) *
          storage.bytes / static_cast<int64_t>(dtypeSize(tensor.dtype)));
      source.storage.push_back(tensor);
    }
    return source;
  }

  void fill() {
    for (const PackSource &source : spec.sources)
      for (size_t i = 0; i < source.storage.size(); ++i) {
        const PackTensor &wanted = source.storage[i];
        if (find(wanted.name))
          continue;
        tensors.push_back(
            HostTensor::allocate(wanted.dtype, wanted.shape, wanted.name));
        fillStored(tensors.back(), 3, spec.getGroup(source, i));
      }
  }
};

/// Experts of the first tensor are those of the matrices in reverse order of
/// halves, and one comes from a tensor of its own.
Weights makeWeights(const Problem &p) {
  Weights w;
  PackSpec &spec = w.spec;
  spec.layout = "blocks";
  spec.dtype = DType::I8;
  spec.kBlock = p.block;
  spec.fields = p.fields;
  spec.storage = p.storage;
  spec.interleave = p.gated ? 16 : 0;
  spec.columns = 32;
  spec.kPadded = p.k;
  spec.nPadded = p.gated ? divideUp(p.n, 16) * 32 : divideUp(p.n, 32) * 32;
  spec.experts = p.experts + 1;
  for (int64_t part = 0; part < spec.numParts(); ++part) {
    std::string suffix = std::to_string(part);
    // Twice as many rows: this part is the second half of them.
    PackSource routed = w.add(p, "routed" + suffix, {p.experts, 2 * p.n, p.k});
    routed.part = part;
    routed.view.offset = p.n * p.k;
    routed.view.sizes[1] = p.n;
    spec.sources.push_back(routed);
    // Columns in the middle of wider rows; the first and the second half of
    // the matrix are two sources.
    PackSource own = w.add(p, "own" + suffix, {p.n, 2 * p.k});
    own.part = part;
    own.firstExpert = p.experts;
    int64_t half = divideUp(p.k / p.block, 2) * p.block;
    own.view.offset = p.block;
    own.view.sizes[2] = half;
    spec.sources.push_back(own);
    if (half == p.k)
      continue;
    own.firstK = half;
    own.view.offset = 0;
    own.view.sizes[2] = p.k - half;
    spec.sources.push_back(own);
  }
  w.fill();
  return w;
}

/// Byte `byte` of `field` of a block of the packed weights.
char expected(const Problem &p, const Weights &w, int64_t expert, int64_t part,
              int64_t n, int64_t block, const PackField &field, int64_t byte) {
  if (n >= p.n)
    return 0;
  bool isOwn = expert == p.experts;
  int64_t matrix = isOwn ? 0 : expert, rows = isOwn ? p.n : 2 * p.n;
  int64_t row = isOwn ? n : n + p.n, blocks = p.k / p.block;
  if (isOwn) {
    int64_t half = divideUp(blocks, 2);
    block = block < half ? block + 1 : block - half;
    blocks *= 2;
  }
  const PackStorage &storage = p.storage[field.storage];
  const HostTensor *tensor = w.find((isOwn ? "own" : "routed") +
                                    std::to_string(part) + "." + storage.name);
  int64_t groups = storage.blocks ? divideUp(blocks, storage.blocks) : 1;
  int64_t group = storage.blocks ? block / storage.blocks : 0;
  int64_t line = matrix * divideUp(rows, storage.rows) + row / storage.rows;
  return tensor->dataAs<char>()[(line * groups + group) * storage.bytes +
                                field.offset + byte];
}

} // namespace

TEST(PackBlocks, MatchesTheLayout) {
  for (const Problem &p :
       {oneTensor(2, 32, 64, false), oneTensor(3, 33, 32, false),
        oneTensor(2, 1, 32 * 11, true), oneTensor(2, 40, 96, true),
        shared(2, 32, 64, false), shared(2, 20, 16 * 9, true),
        shared(3, 70, 48, true)}) {
    SCOPED_TRACE(testing::Message() << p.experts << " of " << p.n << "x" << p.k
                                    << " gated " << p.gated);
    Weights w = makeWeights(p);
    const PackSpec &spec = w.spec;
    auto lookup = [&](const std::string &name) { return w.find(name); };
    HostTensor packed;
    std::string error;
    ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
    int64_t at = 0, perPart = p.gated ? 16 : 32;
    for (int64_t expert = 0; expert <= p.experts; ++expert)
      for (int64_t panel = 0; panel < spec.nPadded / 32; ++panel)
        for (int64_t block = 0; block < p.k / p.block; ++block)
          for (const PackField &f : p.fields)
            for (int64_t unit = 0; unit < f.bytes; unit += f.unit)
              for (int64_t column = 0; column < 32; ++column)
                for (int64_t byte = 0; byte < f.unit; ++byte)
                  ASSERT_EQ(packed.dataAs<char>()[at++],
                            expected(p, w, expert, column / perPart,
                                     panel * perPart + column % perPart, block,
                                     f, unit + byte))
                      << "expert " << expert << " panel " << panel << " block "
                      << block << " column " << column << " byte "
                      << unit + byte;
    ASSERT_EQ(at, packed.numElements());
    ASSERT_EQ(at, spec.numBytes());

    // The same when tensors are made up where they are needed.
    Weights described = w;
    for (HostTensor &tensor : described.tensors)
      tensor.data = nullptr;
    for (int64_t begin = 0; begin < spec.experts; ++begin) {
      HostTensor part =
          HostTensor::allocate(DType::U8, {spec.bytesPerExpert()});
      ASSERT_TRUE(packExperts(
          spec, [&](const std::string &name) { return described.find(name); },
          begin, begin + 1, part.data, error,
          [&](HostTensor &tensor, uint64_t first, const StoredGroup *group) {
            fillStored(tensor, 3, *group, first);
          }))
          << error;
      EXPECT_EQ(
          std::memcmp(part.data,
                      packed.dataAs<char>() + begin * spec.bytesPerExpert(),
                      part.numBytes()),
          0)
          << "expert " << begin;
    }

    // And in C.
    PackPlan plan(spec);
    std::vector<moe_tensor> tensors(plan.plan.tensors,
                                    plan.plan.tensors + plan.plan.num_tensors);
    for (moe_tensor &tensor : tensors)
      tensor.data = w.find(tensor.name)->data;
    HostTensor byC = HostTensor::allocate(DType::U8, {spec.numBytes()});
    std::memset(byC.data, 0xff, byC.numBytes());
    ASSERT_EQ(
        moe_pack(nullptr, &plan.plan, tensors.data(), byC.data, byC.numBytes()),
        MOE_OK);
    EXPECT_EQ(std::memcmp(byC.data, packed.data, packed.numBytes()), 0);
  }
}

TEST(PackBlocks, RejectsWhatDoesNotFit) {
  Problem p = shared(2, 20, 64, true);
  auto expectError = [&](auto change, const char *message) {
    Weights w = makeWeights(p);
    change(w);
    HostTensor packed;
    std::string error;
    EXPECT_FALSE(pack(
        w.spec, [&](const std::string &name) { return w.find(name); }, packed,
        error))
        << message;
    EXPECT_NE(error.find(message), std::string::npos) << error;
  };
  expectError([](Weights &w) { w.spec.dtype = DType::F32; }, "blocks of f32");
  expectError([](Weights &w) { w.spec.kBlock = 0; }, "block = 0");
  expectError([](Weights &w) { w.spec.kBlock = 24; },
              "is not a positive multiple");
  expectError([](Weights &w) { w.spec.storage.clear(); }, "0 storage tensors");
  expectError([](Weights &w) { w.spec.storage[1].rows = 0; },
              "storage 'scales' has 4 bytes for 0 rows");
  expectError([](Weights &w) { w.spec.fields[1].offset = 9; },
              "a field of 8 bytes in units of 4 from byte 9 of storage 0 on");
  expectError([](Weights &w) { w.spec.fields[1].unit = 3; }, "in units of 3");
  expectError([](Weights &w) { w.spec.fields[1].storage = 3; },
              "of storage 3 on");
  expectError([](Weights &w) { w.spec.sources[0].storage.pop_back(); },
              "source 'routed0' has 2 storage tensors (expected 3)");
  expectError([](Weights &w) { w.spec.sources[0].storage[1].shape[1] = 4; },
              "source 'routed0' is stored in 'routed0.scales' of f32[2x4x2], "
              "which has not the bytes of f32[2x40x64]");
  expectError([](Weights &w) { w.spec.sources[0].view.offset = 1; },
              "source 'routed0' is not whole blocks of 16 of rows of 64");
  expectError([](Weights &w) { w.spec.sources[1].view.offset = 8; },
              "source 'own0' is not whole blocks");
  expectError([](Weights &w) { w.spec.sources[0].view.strides[1] = 32; },
              "source 'routed0' is not whole blocks");
  expectError([](Weights &w) { w.tensors[1].name = "none"; },
              "tensor 'routed0.scales' is missing, expected f32[2x3x2]");
  expectError([](Weights &w) { w.tensors[1].dtype = DType::I32; },
              "tensor 'routed0.scales' is i32[2x3x2], expected f32[2x3x2]");
  expectError([](Weights &w) { w.tensors[0].dtype = DType::I1; },
              "tensor 'routed0.codes' is i1[2x40x64], expected i8[2x40x64] "
              "(elements of 8 bits)");
  expectError(
      [](Weights &w) {
        w.tensors[0].shape = {2, 40, 4, 16};
      },
      "tensor 'routed0.codes' is i8[2x40x4x16], expected");
}

namespace {
/// What `rows` has, in words of eight rows of one column each, even rows first,
/// as AWQ has them: numbers of four bits, of which storage tensor 0 has two a
/// byte.
Weights putIntoWords(const Weights &rows) {
  Weights words = rows;
  words.tensors.clear();
  for (PackSource &source : words.spec.sources)
    for (size_t i = 0; i < source.storage.size(); ++i) {
      PackTensor &stored = source.storage[i];
      size_t rank = source.shape.size();
      int64_t matrices = rank == 3 ? source.shape[0] : 1;
      int64_t n = source.shape[rank - 2], k = source.shape[rank - 1];
      int64_t places = i == 0 ? k : k / words.spec.kBlock;
      stored.order = moe_pack_order{4,
                                    i == 0 ? 4 : 8,
                                    0,
                                    {{2, 4, 1}, {1, 2, 4}, {8, n / 8, 8}},
                                    {{1, places, n}, {1, 1, 0}, {1, 1, 0}}};
      stored.dtype = DType::I32;
      stored.shape = {matrices, places, n / 8};
      if (words.find(stored.name))
        continue;
      const auto *from = rows.find(stored.name)->dataAs<uint8_t>();
      HostTensor to =
          HostTensor::allocate(stored.dtype, stored.shape, stored.name);
      int64_t perByte = i == 0 ? 2 : 1;
      for (int64_t at = 0; at < matrices * n * places; ++at) {
        int number = from[at / perByte] >> at % perByte * 4 & 15;
        int64_t matrix = at / (n * places), row = at / places % n;
        static constexpr int64_t placeInWord[] = {0, 4, 1, 5, 2, 6, 3, 7};
        int64_t word = (matrix * places + at % places) * (n / 8) + row / 8;
        int64_t shift = 4 * placeInWord[row % 8];
        to.dataAs<uint8_t>()[4 * word + shift / 8] |= number << shift % 8;
      }
      words.tensors.push_back(to);
    }
  return words;
}
} // namespace

TEST(PackBlocks, TakesNumbersInAnotherOrder) {
  Problem p{32,
            {field(0, 0, 16, 4), field(1, 0, 1, 1)},
            {{"q", 16, 1, 1}, {"zero", 1, 1, 1}},
            2,
            16,
            96,
            true};
  Weights rows = makeWeights(p);
  for (HostTensor &tensor : rows.tensors)
    if (tensor.name.find(".zero") != std::string::npos)
      for (int64_t i = 0; i < tensor.numElements(); ++i)
        tensor.dataAs<uint8_t>()[i] &= 15;
  Weights words = putIntoWords(rows);
  HostTensor expected, packed;
  std::string error;
  ASSERT_TRUE(pack(
      rows.spec, [&](const std::string &name) { return rows.find(name); },
      expected, error))
      << error;
  auto lookup = [&](const std::string &name) { return words.find(name); };
  ASSERT_TRUE(pack(words.spec, lookup, packed, error)) << error;
  EXPECT_EQ(std::memcmp(packed.data, expected.data, packed.numBytes()), 0);
  EXPECT_NE(layoutId(words.spec), layoutId(rows.spec));

  // Made up where it is needed, and in C.
  Weights described = words;
  for (HostTensor &tensor : described.tensors)
    tensor.data = nullptr;
  for (int64_t begin = 0; begin < words.spec.experts; ++begin) {
    HostTensor part =
        HostTensor::allocate(DType::U8, {words.spec.bytesPerExpert()});
    ASSERT_TRUE(packExperts(
        words.spec,
        [&](const std::string &name) { return described.find(name); }, begin,
        begin + 1, part.data, error,
        [&](HostTensor &tensor, uint64_t first, const StoredGroup *group) {
          EXPECT_EQ(group->bytes, 4);
          std::memcpy(tensor.data,
                      words.find(tensor.name)->dataAs<int32_t>() + first,
                      tensor.numBytes());
        }))
        << error;
    EXPECT_EQ(
        std::memcmp(part.data,
                    packed.dataAs<char>() + begin * words.spec.bytesPerExpert(),
                    part.numBytes()),
        0)
        << "expert " << begin;
  }
  PackPlan plan(words.spec);
  std::vector<moe_tensor> tensors(plan.plan.tensors,
                                  plan.plan.tensors + plan.plan.num_tensors);
  for (moe_tensor &tensor : tensors)
    tensor.data = words.find(tensor.name)->data;
  HostTensor byC = HostTensor::allocate(DType::U8, {words.spec.numBytes()});
  ASSERT_EQ(
      moe_pack(nullptr, &plan.plan, tensors.data(), byC.data, byC.numBytes()),
      MOE_OK);
  EXPECT_EQ(std::memcmp(byC.data, packed.data, packed.numBytes()), 0);

  // Orders that leave the tensor, or leave something out.
  auto expectError = [&](auto change) {
    PackSpec spec = words.spec;
    change(*spec.sources[0].storage[0].order);
    EXPECT_FALSE(spec.verify(error));
    EXPECT_NE(error.find("which has not the bytes of"), std::string::npos)
        << error;
  };
  expectError([](moe_pack_order &order) { order.places[0].stride += 1; });
  expectError([](moe_pack_order &order) { order.first = -1; });
  expectError([](moe_pack_order &order) { order.rows[0].size = 2; });
  expectError([](moe_pack_order &order) { order.rows[1].weight = 0; });
  expectError([](moe_pack_order &order) { order.bits = 3; });
  expectError([](moe_pack_order &order) { order.width = 16; });
}

TEST(PackBlocks, RejectsNumbersThatAreNotFinite) {
  Problem p = shared(2, 20, 64, true);
  Weights w = makeWeights(p);
  PackPlan plan(w.spec);
  plan.plan.name = "experts.gate_up";
  static std::string message;
  moe_rt rt;
  moe_rt_init(&rt, 2);
  rt.error = [](const moe_rt *, int, const char *text) { message = text; };
  HostTensor out = HostTensor::allocate(DType::U8, {w.spec.numBytes()});
  auto expectError = [&](const char *text) {
    HostTensor packed;
    std::string error;
    EXPECT_FALSE(pack(
        w.spec, [&](const std::string &name) { return w.find(name); }, packed,
        error));
    EXPECT_EQ(error, text);
    std::vector<moe_tensor> tensors(plan.plan.tensors,
                                    plan.plan.tensors + plan.plan.num_tensors);
    for (moe_tensor &tensor : tensors)
      tensor.data = w.find(tensor.name)->data;
    EXPECT_EQ(
        moe_pack(&rt, &plan.plan, tensors.data(), out.data, out.numBytes()),
        MOE_ERR_BAD_VALUE);
    EXPECT_EQ(message, std::string("packing 'experts.gate_up': ") + text);
  };
  // Of matrices of 40 rows, of which the last 20 are used: the scales of rows
  // 32 to 39 and of the last two blocks.
  float *scales = w.find("routed1.scales")->dataAs<float>();
  float was = scales[(1 * 3 + 2) * 2 + 1];
  scales[(1 * 3 + 2) * 2 + 1] = -std::numeric_limits<float>::infinity();
  expectError("tensor 'routed1.scales' has -inf for expert 1, row 32, block 2, "
              "which stands for no weights");
  scales[(1 * 3 + 2) * 2 + 1] = NAN;
  expectError("tensor 'routed1.scales' has nan for expert 1, row 32, block 2, "
              "which stands for no weights");
  scales[(1 * 3 + 2) * 2 + 1] = was;
  // What no source uses may be anything.
  scales[0] = NAN;
  w.find("own0.zero")->dataAs<uint8_t>()[7] = 255;
  expectError("tensor 'own0.zero' has nan for expert 2, row 7, block 1, which "
              "stands for no weights");
  // Exponents, of which one is no number.
  w.find("own0.zero")->dataAs<uint8_t>()[7] = 127;
  for (PackField &f : w.spec.fields)
    if (f.dtype == DType::F8E4M3)
      f.dtype = f.range->dtype = DType::F8E8M0;
  PackPlan exponents(w.spec);
  std::swap(plan.plan.fields, exponents.plan.fields);
  w.find("own1.zero")->dataAs<uint8_t>()[0] = 255;
  expectError("tensor 'own1.zero' has nan for expert 2, row 0, block 1, which "
              "stands for no weights");
  for (int64_t i = 0; i < out.numElements(); ++i)
    ASSERT_EQ(out.get(i), 0) << i;
}

TEST(PackBlocks, IdsTellFormatsApart) {
  Weights w = makeWeights(oneTensor(2, 32, 64, false));
  std::string id = layoutId(w.spec);
  w.spec.fields[0].range.reset();
  EXPECT_EQ(layoutId(w.spec), id);
  PackSpec other = w.spec;
  other.sources[0].storage[0].name = "others";
  EXPECT_NE(layoutId(other), id);
  other = w.spec;
  std::swap(other.fields[0], other.fields[1]);
  EXPECT_NE(layoutId(other), id);
}

TEST(Random, StoredWeights) {
  Weights w = makeWeights(oneTensor(2, 32, 4096, false));
  const HostTensor &tensor = w.tensors[0];
  const PackSource &source = w.spec.sources[0];
  // Scales are where they should be, codes are any bytes, and no two blocks
  // are alike.
  int64_t blocks = tensor.numElements() / 18;
  double sum = 0;
  HostTensor scale;
  scale.dtype = DType::F16;
  for (int64_t i = 0; i < blocks; ++i) {
    char *block = tensor.dataAs<char>() + i * 18;
    scale.data = block;
    ASSERT_GE(scale.get(0), 0.74 / 64) << i;
    ASSERT_LE(scale.get(0), 1.26 / 64) << i;
    ASSERT_TRUE(i == 0 || std::memcmp(block - 18, block, 18) != 0) << i;
    for (int64_t byte = 2; byte < 18; ++byte)
      sum += static_cast<uint8_t>(block[byte]);
  }
  EXPECT_NEAR(sum / static_cast<double>(blocks * 16), 127.5, 1.0);
  // A part, another name and another seed.
  HostTensor part = HostTensor::allocate(DType::I8, {18 * 5}, tensor.name);
  fillStored(part, 3, w.spec.getGroup(source, 0), 18 * 7);
  EXPECT_EQ(std::memcmp(part.data, tensor.dataAs<char>() + 18 * 7, 18 * 5), 0);
  fillStored(part, 4, w.spec.getGroup(source, 0), 18 * 7);
  EXPECT_NE(std::memcmp(part.data, tensor.dataAs<char>() + 18 * 7, 18 * 5), 0);
  part.name = "other";
  fillStored(part, 3, w.spec.getGroup(source, 0), 18 * 7);
  EXPECT_NE(std::memcmp(part.data, tensor.dataAs<char>() + 18 * 7, 18 * 5), 0);
}
