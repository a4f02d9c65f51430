//===- FormatTest.cpp - What formats of weights build ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every format of the dialect, found by its interface: the IR that it builds
// for kernels, interpreted, decodes random blocks to what the interpreter's own
// model decodes them to. A format without a model, or without a fixture from
// somebody else's decoder, fails.
//
//===----------------------------------------------------------------------===//

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/SparseFormats.h"
#include "llvm/Support/FileSystem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <set>

using namespace mlir;
using namespace moe;

namespace {

/// Instances of formats that have parameters.
const std::map<std::string, std::vector<std::string>> &parameters() {
  static const std::map<std::string, std::vector<std::string>> table = {
      {"sparse24",
       {"#moe.sparse24<f32>", "#moe.sparse24<bf16>", "#moe.sparse24<f16>"}},
      {"sparse_blocks",
       {"#moe.sparse_blocks<values = bf16, kept = 2>",
        "#moe.sparse_blocks<values = f16, kept = 3, columns = 8>",
        "#moe.sparse_blocks<values = f32, kept = 1, columns = 96>"}},
      {"fp8",
       {"#moe.fp8", "#moe.fp8<rows = 1, columns = 0>",
        "#moe.fp8<rows = 2, columns = 64>", "#moe.fp8<exponents = true>"}},
      {"int4",
       {"#moe.int4<group = 32, scales = f32>",
        "#moe.int4<group = 32, scales = f16, zeros = true>",
        "#moe.int4<group = 64, scales = bf16, zeros = true>",
        "#moe.int4<group = 32, scales = bf16, order = pack_quantized>",
        "#moe.int4<group = 32, scales = bf16, zeros = true, order = "
        "pack_quantized>",
        "#moe.int4<group = 32, scales = f16, zeros = true, order = awq>",
        "#moe.int4<group = 64, scales = f16, zeros = true, order = gptq>",
        "#moe.int4<group = 32, scales = f32, zeros = true, order = gptq_v2>",
        "#moe.int4<group = 32, scales = f16, zeros = true, order = hqq>"}}};
  return table;
}

template <typename... Attrs> std::vector<std::string> collectFormats() {
  std::vector<std::string> mnemonics;
  auto collect = [&](auto *attr) {
    using AttrT = std::remove_pointer_t<decltype(attr)>;
    if constexpr (std::is_base_of_v<WeightFormatAttrInterface::Trait<AttrT>,
                                    AttrT>)
      mnemonics.push_back(AttrT::getMnemonic().str());
  };
  (collect(static_cast<Attrs *>(nullptr)), ...);
  return mnemonics;
}

std::vector<std::string> mnemonicsOfFormats() {
  return collectFormats<
#define GET_ATTRDEF_LIST
#include "moe/MoeAttrs.cpp.inc"
      >();
}

std::vector<std::string> formats() {
  std::vector<std::string> texts;
  for (const std::string &mnemonic : mnemonicsOfFormats()) {
    auto it = parameters().find(mnemonic);
    if (it == parameters().end())
      texts.push_back("#moe." + mnemonic);
    else
      texts.insert(texts.end(), it->second.begin(), it->second.end());
  }
  return texts;
}

/// A context in which the interpreter has models of formats, or none.
struct Context {
  explicit Context(bool hasModels) {
    DialectRegistry registry;
    registry.insert<MoeDialect, func::FuncDialect>();
    if (hasModels)
      reference::registerReferenceModels(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  WeightFormatAttrInterface parse(const std::string &text) {
    return dyn_cast_or_null<WeightFormatAttrInterface>(
        parseAttribute(text, &context));
  }

  std::vector<HostTensor> run(const std::string &text,
                              ArrayRef<HostTensor> arguments) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    if (!module)
      return {};
    auto results = reference::interpret(*module->getOps<func::FuncOp>().begin(),
                                        arguments);
    return succeeded(results) ? *results : std::vector<HostTensor>();
  }

  MLIRContext context;
};

/// Sizes of rows, of those below, that `format` can store.
std::vector<int64_t> rowsOf(WeightFormatAttrInterface format) {
  ScopedDiagnosticHandler quiet(format.getContext(),
                                [](Diagnostic &) { return success(); });
  std::vector<int64_t> sizes;
  for (int64_t k : {32, 64, 96, 256, 512})
    if (succeeded(format.verifyFormat(
            [&] { return emitError(UnknownLoc::get(format.getContext())); },
            k)))
      sizes.push_back(k);
  return sizes;
}

std::string textOf(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Bytes of field `field`, which are to be as `bits` says: two of the pairs of
/// places, or numbers that are the next but one, and at most the last ones.
void limitBits(FieldBits bits, const BlockField &field, uint8_t *bytes) {
  if (bits.kind == FieldBits::Places)
    for (int64_t i = 0; i < field.getBytes(); ++i)
      bytes[i] = bytes[i] % 2 ? 0x4e : 0xd9;
  if (bits.kind == FieldBits::Ascending)
    for (int64_t i = 0; i < field.count; ++i) {
      auto number = static_cast<int32_t>(
          std::min(2 * i, bits.limit - field.count + i));
      std::memcpy(bytes + 4 * i, &number, sizeof(number));
    }
}

/// Bytes of random blocks; scales are no larger than 2.
std::vector<HostTensor> makeStorage(WeightFormatAttrInterface format,
                                    RankedTensorType weights,
                                    std::mt19937 &random) {
  int64_t k = weights.getShape().back();
  std::vector<HostTensor> result;
  for (auto [index, tensor] : llvm::enumerate(format.getStorage(k))) {
    RankedTensorType type =
        getStorageType(tensor, weights, format.getBlockSize(k));
    DType dtype;
    EXPECT_TRUE(parseDType(textOf(type.getElementType()), dtype));
    HostTensor made = HostTensor::allocate(dtype, type.getShape());
    auto *bytes = made.dataAs<uint8_t>();
    int64_t count = made.numElements();
    for (int64_t i = 0; i < count; ++i)
      if (isInteger(dtype) || dtypeSize(dtype) == 1)
        for (size_t byte = 0; byte < dtypeSize(dtype); ++byte)
          bytes[i * dtypeSize(dtype) + byte] = random();
      else
        made.set(i, std::ldexp(static_cast<double>(random()) - 0x1p31, -31));
    for (auto [number, field] : llvm::enumerate(format.getFields(k))) {
      if (field.storage == static_cast<int64_t>(index))
        for (size_t at = 0; at < made.numBytes(); at += tensor.getBytes())
          limitBits(getFieldBits(format, k, number), field,
                    bytes + at + field.offset);
      if (field.storage != static_cast<int64_t>(index) ||
          dtypeSize(dtype) != 1 || field.isWords() || tensor.order)
        continue;
      int64_t size = field.getBytes() / field.count;
      for (int64_t at = 0; at < count; at += tensor.getBytes())
        for (int64_t i = 0; i < field.count; ++i) {
          uint8_t &top = bytes[at + field.offset + (i + 1) * size - 1];
          top &= field.element.isF16() ? 0xbf : 0x7f;
        }
    }
    result.push_back(made);
  }
  return result;
}

std::string makeFunction(WeightFormatAttrInterface format,
                         RankedTensorType weights) {
  int64_t k = weights.getShape().back();
  std::string arguments, operands, types, name;
  for (auto [i, tensor] : llvm::enumerate(format.getStorage(k))) {
    std::string type =
        textOf(getStorageType(tensor, weights, format.getBlockSize(k)));
    std::string comma = i ? ", " : "", value = "%s" + std::to_string(i);
    arguments += comma + value + ": " + type;
    operands += comma + value;
    types += comma + type;
  }
  llvm::raw_string_ostream(name) << format;
  std::string result = textOf(weights);
  return "func.func @f(" + arguments + ") -> " + result +
         " {\n  %w = moe.dequantize " + name + " (" + operands + " : " + types +
         ") : " + result + "\n  return %w : " + result + "\n}\n";
}

/// Numbers that somebody gives, as vectors.
class LaneReader : public BlockReader {
public:
  LaneReader(OpBuilder &builder, Location loc, Block &block)
      : BlockReader(builder, loc), block(block) {}
  Value readNumber(int64_t field, Value) override {
    return block.addArgument(
        isa<FloatType>(fields[field].element) ? getFloatType() : getIntType(),
        loc);
  }
  Value readWord(int64_t field, Value) override {
    EXPECT_TRUE(fields[field].isWords());
    return block.addArgument(getIntType(), loc);
  }
  Value lookUp(Value codes, ArrayRef<int8_t> table) override {
    EXPECT_EQ(table.size(), 16u);
    return codes;
  }
  Value lookUp(Value indices, ArrayRef<uint16_t> table) override {
    EXPECT_GT(table.size(), 16u);
    return indices;
  }
  Value readShared(Value) override {
    return block.addArgument(getFloatType(), loc);
  }
  Type getIntType() override {
    return VectorType::get({8}, builder.getI32Type());
  }
  Type getFloatType() override {
    return VectorType::get({8}, builder.getF32Type());
  }

  SmallVector<BlockField> fields;
  Block &block;
};

class Formats : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    format = with.parse(GetParam());
    ASSERT_TRUE(format);
    sizes = rowsOf(format);
    ASSERT_FALSE(sizes.empty());
  }

  Context with{true}, without{false};
  WeightFormatAttrInterface format;
  std::vector<int64_t> sizes;
};

} // namespace

TEST_P(Formats, BuildWhatTheModelDecodes) {
  ASSERT_TRUE(isa<reference::ReferenceFormatAttrInterface>(Attribute(format)));
  ASSERT_FALSE(isa<reference::ReferenceFormatAttrInterface>(
      Attribute(without.parse(GetParam()))));
  std::mt19937 random(7);
  for (int64_t k : sizes) {
    // Rows of two groups, where rows share something.
    int64_t n = 2;
    for (const StorageTensor &tensor : format.getStorage(k))
      n = std::max(n, tensor.order ? 16 : tensor.rows + 1);
    SmallVector<int64_t> shape{n, k};
    if (n == 2)
      shape.insert(shape.begin(), 2);
    auto weights =
        RankedTensorType::get(shape, Float32Type::get(&with.context));
    std::vector<HostTensor> storage = makeStorage(format, weights, random);
    std::string function = makeFunction(format, weights);
    std::vector<HostTensor> expected = with.run(function, storage);
    std::vector<HostTensor> built = without.run(function, storage);
    ASSERT_EQ(expected.size(), 1u) << function;
    ASSERT_EQ(built.size(), 1u) << function;
    ASSERT_EQ(built[0].shape, expected[0].shape);
    for (int64_t i = 0, e = built[0].numElements(); i < e; ++i) {
      double a = built[0].get(i), b = expected[0].get(i);
      ASSERT_TRUE(a == b || (std::isnan(a) && std::isnan(b)))
          << "element " << i << " of rows of " << k << ": " << a
          << ", expected " << b;
    }
  }
}

TEST(E4M3, AllBytesAreWhatTheyAre) {
  HostTensor values = HostTensor::allocate(DType::F8E4M3, {1, 256});
  for (int byte = 0; byte < 256; ++byte)
    values.dataAs<uint8_t>()[byte] = byte;
  // 2^127 more must not make infinities of what is small, or of zeros.
  for (double scale : {1.0, 0x1p-140, 0x1p127}) {
    HostTensor scales = HostTensor::allocate(DType::F32, {1});
    scales.set(0, scale);
    Context context{false};
    std::vector<HostTensor> built = context.run(
        "func.func @f(%v: tensor<1x256xf8E4M3FN>, %s: tensor<1xf32>) -> "
        "tensor<1x256xf32> {\n  %w = moe.dequantize #moe.fp8<rows = 1, columns "
        "= 0> (%v, %s : tensor<1x256xf8E4M3FN>, tensor<1xf32>) : "
        "tensor<1x256xf32>\n  return %w : tensor<1x256xf32>\n}\n",
        {values, scales});
    ASSERT_EQ(built.size(), 1u);
    for (int byte = 0; byte < 256; ++byte) {
      int magnitude = byte & 127, exponent = magnitude >> 3;
      double want = exponent ? std::ldexp(8 + magnitude % 8, exponent - 10)
                             : std::ldexp(magnitude, -9);
      float expected = static_cast<float>((byte < 128 ? want : -want) * scale);
      if (magnitude == 127)
        EXPECT_TRUE(std::isnan(built[0].get(byte))) << byte;
      else
        EXPECT_EQ(built[0].get(byte), expected) << byte << " " << scale;
    }
  }
}

TEST_P(Formats, DecodeEveryValueOnce) {
  for (int64_t k : sizes) {
    int64_t block = format.getBlockSize(k);
    ASSERT_GT(block, 0);
    EXPECT_EQ(k % block, 0);
    DecodeRounds rounds = format.getRounds(k);
    EXPECT_LE(rounds.first.size(), 32u);
    EXPECT_EQ(rounds.period % 32, 0);
    std::set<int64_t> decoded;
    for (int64_t p = 0; p < rounds.periods; ++p)
      for (int64_t w = 0; w < rounds.words; ++w)
        for (int64_t first : rounds.first)
          EXPECT_TRUE(
              decoded.insert(first + p * rounds.period + w * rounds.advance)
                  .second);
    EXPECT_EQ(static_cast<int64_t>(decoded.size()), block);
    EXPECT_EQ(*decoded.begin(), 0);
    EXPECT_EQ(*decoded.rbegin(), block - 1);

    auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(format));
    if (!coded)
      continue;
    CodeForm form = coded.getCodeForm(k);
    EXPECT_EQ(block % form.subBlock, 0);
    ASSERT_EQ(rounds.first.size() % 4, 0u);
    // All four codes of a word have the scale of the first.
    for (int64_t p = 0; p < rounds.periods; ++p)
      for (int64_t w = 0; w < rounds.words; ++w)
        for (size_t i = 0; i < rounds.first.size(); ++i) {
          int64_t at = p * rounds.period + w * rounds.advance;
          EXPECT_EQ((rounds.first[i] + at) / form.subBlock,
                    (rounds.first[i / 4 * 4] + at) / form.subBlock);
        }
  }
}

TEST_P(Formats, FieldsAreAllThatIsStored) {
  for (int64_t k : sizes) {
    SmallVector<StorageTensor> storage = format.getStorage(k);
    std::vector<int64_t> bytes(storage.size());
    for (const BlockField &field : format.getFields(k)) {
      EXPECT_EQ(field.offset, bytes[field.storage]) << field.name.str();
      bytes[field.storage] += field.getBytes();
    }
    for (auto [tensor, used] : llvm::zip(storage, bytes))
      EXPECT_EQ(used, tensor.getBytes()) << tensor.name.str();
  }
}

TEST_P(Formats, BuildForLanesToo) {
  int64_t k = sizes.back();
  OwningOpRef<ModuleOp> module =
      ModuleOp::create(UnknownLoc::get(&with.context));
  OpBuilder b = OpBuilder::atBlockEnd(module->getBody());
  auto func = func::FuncOp::create(b, b.getUnknownLoc(), "f",
                                   b.getFunctionType({}, {}));
  Block *entry = func.addEntryBlock();
  b.setInsertionPointToStart(entry);
  LaneReader reader(b, b.getUnknownLoc(), *entry);
  reader.fields = format.getFields(k);
  Value period = entry->addArgument(b.getIndexType(), b.getUnknownLoc());
  Value word = entry->addArgument(b.getIndexType(), b.getUnknownLoc());
  SmallVector<Value> shared, values;
  format.buildShared(reader, k, shared);
  format.buildValues(reader, k, period, word, values);
  EXPECT_EQ(values.size(), format.getRounds(k).first.size());
  for (SmallVector<Value> *list : {&shared, &values})
    for (Value value : *list)
      EXPECT_EQ(value.getType(), reader.getFloatType());
  if (auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(format))) {
    CodeForm form = coded.getCodeForm(k);
    EXPECT_EQ(static_cast<int64_t>(shared.size()),
              format.getBlockSize(k) / form.subBlock *
                  (form.hasMinimum ? 2 : 1));
  }
  func::ReturnOp::create(b, b.getUnknownLoc(), values);
  func.setType(b.getFunctionType(entry->getArgumentTypes(),
                                 TypeRange(ValueRange(values))));
  EXPECT_TRUE(succeeded(verify(*module)));
}

namespace {
/// What is wrong with a format that has no model.
struct Wrong {
  Type element;
  size_t values = 32;
  bool isInvalid = false;
};
Wrong wrong;

/// `unit` as a format: 32 bytes a block.
struct UnitFormat
    : WeightFormatAttrInterface::ExternalModel<UnitFormat, UnitAttr> {
  int64_t getBlockSize(Attribute, int64_t) const { return 32; }
  SmallVector<BlockField> getFields(Attribute, int64_t) const {
    return {{"q", wrong.element, 32}};
  }
  DecodeRounds getRounds(Attribute, int64_t) const {
    DecodeRounds rounds{32, 1, 32, 1, {}};
    for (int64_t k = 0; k < 32; ++k)
      rounds.first.push_back(k);
    return rounds;
  }
  void buildShared(Attribute, BlockReader &, int64_t,
                   SmallVectorImpl<Value> &) const {}
  void buildValues(Attribute, BlockReader &reader, int64_t, Value, Value,
                   SmallVectorImpl<Value> &values) const {
    for (size_t k = 0; k < wrong.values; ++k)
      values.push_back(reader.toFloat(reader.readNumber(0, k)));
    if (wrong.isInvalid)
      arith::BitcastOp::create(reader.builder, reader.loc,
                               reader.builder.getI64Type(),
                               reader.readNumber(0, int64_t(0)));
  }
  double getErrorBound(Attribute) const { return 1; }
};

class FormatProgram : public testing::Test {
protected:
  FormatProgram() {
    UnitAttr::attachInterface<UnitFormat>(context.context);
    wrong = {IntegerType::get(&context.context, 8)};
  }

  /// The element of the result that 3 stands for, or what was said.
  std::string run() {
    std::string said;
    ScopedDiagnosticHandler handler(&context.context, [&](Diagnostic &d) {
      said += d.str();
      return success();
    });
    HostTensor blocks = HostTensor::allocate(DType::I8, {1, 32});
    blocks.set(7, 3);
    std::vector<HostTensor> results =
        context.run("func.func @f(%s: tensor<1x32xi8>) -> tensor<1x32xf32> {\n"
                    "  %w = moe.dequantize unit (%s : tensor<1x32xi8>) : "
                    "tensor<1x32xf32>\n  return %w : tensor<1x32xf32>\n}\n",
                    {blocks});
    if (said.empty() && results.size() == 1)
      said = std::to_string(static_cast<int>(results[0].get(7)));
    return said;
  }

  Context context{false};
};
} // namespace

TEST_F(FormatProgram, RunsWhatTheFormatBuilds) { EXPECT_EQ(run(), "3"); }

TEST_F(FormatProgram, SaysWhichNumbersItCannotRead) {
  wrong.element = IntegerType::get(&context.context, 7);
  EXPECT_NE(
      run().find("cannot decode: 'q' of unit "
                 "has numbers of 'i7', which the interpreter cannot read"),
      std::string::npos);
}

TEST_F(FormatProgram, WantsAValueForEachOfARound) {
  wrong.values = 31;
  EXPECT_NE(run().find("cannot decode: unit builds "
                       "31 values for a round of 32"),
            std::string::npos);
}

TEST_F(FormatProgram, VerifiesWhatTheFormatBuilds) {
  wrong.isInvalid = true;
  EXPECT_NE(run().find("are cast incompatible"), std::string::npos) << run();
}

TEST(FormatFixtures, AreThereForEveryFormat) {
  std::string folder = MOE_FORMAT_FIXTURES;
  for (const std::string &mnemonic : mnemonicsOfFormats())
    EXPECT_TRUE(
        llvm::sys::fs::exists(folder + "/format-" + mnemonic + ".safetensors"))
        << "gen_format_fixtures.py writes it";
}

INSTANTIATE_TEST_SUITE_P(Dialect, Formats, testing::ValuesIn(formats()),
                         [](const auto &info) {
                           std::string name = info.param.substr(5);
                           for (char &c : name)
                             if (!isalnum(c))
                               c = '_';
                           return name;
                         });
