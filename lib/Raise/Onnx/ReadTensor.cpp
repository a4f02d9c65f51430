//===- ReadTensor.cpp - The tensors of a .onnx file ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Elements are raw bytes in the file, raw bytes in another file, or lists of
// numbers in the file. Raw bytes stay where they are.
//
//===----------------------------------------------------------------------===//

#include "ReadTensor.h"
#include "moe-mlir/Support/GitLFS.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

using namespace moe;
using namespace moe::onnx;
using llvm::StringRef;
using llvm::Twine;
namespace path = llvm::sys::path;

static constexpr ElementTypeInfo elementTypes[] = {
    {ElementType::F32, "f32", 4, DType::F32, false},
    {ElementType::U8, "u8", 1, DType::I8, true},
    {ElementType::I8, "i8", 1, DType::I8, false},
    {ElementType::U16, "u16", 2, std::nullopt, true},
    {ElementType::I16, "i16", 2, std::nullopt, false},
    {ElementType::I32, "i32", 4, DType::I32, false},
    {ElementType::I64, "i64", 8, DType::I64, false},
    {ElementType::Bool, "bool", 1, DType::I1, false},
    {ElementType::F16, "f16", 2, DType::F16, false},
    {ElementType::F64, "f64", 8, DType::F64, false},
    {ElementType::U32, "u32", 4, std::nullopt, true},
    {ElementType::U64, "u64", 8, std::nullopt, true},
    {ElementType::BF16, "bf16", 2, DType::BF16, false},
    {ElementType::F8E4M3FN, "f8E4M3FN", 1, DType::F8E4M3, false},
};

/// A rank beyond this is an attack, not a tensor.
static constexpr size_t maxRank = 64;

const ElementTypeInfo *moe::onnx::findElementType(int64_t number) {
  for (const ElementTypeInfo &info : elementTypes)
    if (static_cast<int64_t>(info.type) == number)
      return &info;
  return nullptr;
}

std::string moe::onnx::nameElementType(int64_t number) {
  static constexpr const char *others[] = {
      "complex numbers", "complex numbers", "",           "",
      "f8E4M3FNUZ",      "f8E5M2",          "f8E5M2FNUZ", "4-bit integers",
      "4-bit integers",  "4-bit floats",    "f8E8M0FNU",  "2-bit integers",
      "2-bit integers"};
  if (const ElementTypeInfo *info = findElementType(number))
    return info->name;
  if (number == static_cast<int64_t>(ElementType::String))
    return "strings";
  if (number >= 14 && number < int64_t(14 + std::size(others)))
    return others[number - 14];
  return "type " + std::to_string(number);
}

int64_t Tensor::numElements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::string Tensor::describe() const {
  std::string text = std::string(type->name) + "[";
  for (auto [i, size] : llvm::enumerate(shape))
    text += (i ? "x" : "") + std::to_string(size);
  return text + "]";
}

namespace {

/// A tensor while its fields come.
class TensorReader {
public:
  TensorReader(Model &model, Tensor &tensor, std::string &error)
      : model(model), tensor(tensor), error(error) {}

  bool read(const Field &field);

private:
  bool readFields(Message &message);
  bool readEntry(const Field &field);
  bool setElements();
  bool mapExternal();
  /// The numbers of a list as bytes; `width` of each.
  template <typename T>
  bool setNumbers(const std::vector<T> &values, unsigned width);
  bool fail(const Twine &what);

  Model &model;
  Tensor &tensor;
  std::string &error;
  uint64_t position = 0;
  int64_t type = 0, location = 0, bytes = 0;
  std::optional<StringRef> raw;
  std::vector<int64_t> int32s, int64s, uint64s;
  std::vector<float> floats;
  std::vector<double> doubles;
  std::map<std::string, std::string> external;
};

} // namespace

bool TensorReader::fail(const Twine &what) {
  error = ("tensor '" + tensor.name + "' " + what + " (at byte " +
           Twine(position) + ")")
              .str();
  return false;
}

bool TensorReader::readEntry(const Field &field) {
  Message message(field, error);
  std::string key, value;
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    if (part.number == 1)
      key = part.bytes.str();
    else if (part.number == 2)
      value = part.bytes.str();
  }
  external[key] = value;
  return true;
}

bool TensorReader::readFields(Message &message) {
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    bool good = true;
    switch (part.number) {
    case 1:
      good = message.varints(part, tensor.shape);
      break;
    case 2:
      good = message.expect(part, Field::Varint, "a type of elements");
      type = static_cast<int64_t>(part.value);
      break;
    case 3:
      return fail("is in several segments, which is not supported");
    case 4:
      good = message.floats(part, floats);
      break;
    case 5:
      good = message.varints(part, int32s);
      break;
    case 7:
      good = message.varints(part, int64s);
      break;
    case 8:
      good = message.expect(part, Field::Bytes, "the name of a tensor");
      if (good && (!llvm::json::isUTF8(part.bytes) ||
                   part.bytes.find('\0') != StringRef::npos))
        return fail("has a name that is not UTF-8");
      tensor.name = part.bytes.str();
      break;
    case 9:
      good = message.expect(part, Field::Bytes, "the data of a tensor");
      raw = part.bytes;
      break;
    case 10:
      good = message.doubles(part, doubles);
      break;
    case 11:
      good = message.varints(part, uint64s);
      break;
    case 13:
      good = message.expect(part, Field::Bytes, "a place in a file") &&
             readEntry(part);
      break;
    case 14:
      good = message.expect(part, Field::Varint, "the location of a tensor");
      location = static_cast<int64_t>(part.value);
      break;
    default:
      break;
    }
    if (!good)
      return false;
  }
  return true;
}

template <typename T>
bool TensorReader::setNumbers(const std::vector<T> &values, unsigned width) {
  int64_t expected = tensor.numElements();
  if (static_cast<int64_t>(values.size()) != expected)
    return fail("lists " + Twine(values.size()) + " elements, but " +
                tensor.describe() + " has " + Twine(expected));
  tensor.owned = std::make_shared<std::string>();
  tensor.owned->reserve(values.size() * width);
  for (T value : values) {
    char text[8];
    std::memcpy(text, &value, sizeof(T));
    tensor.owned->append(text, width);
  }
  tensor.bytes = *tensor.owned;
  return true;
}

/// The bytes of a tensor in a file of its own, which lies beside the model or
/// in a folder there: a stranger's model does not choose what else is read.
bool TensorReader::mapExternal() {
  const std::string &name = external["location"];
  if (name.empty())
    return fail("is in another file, and its 'location' is missing");
  if (!llvm::json::isUTF8(name) || name.find('\0') != std::string::npos)
    return fail("is in a file whose name is not UTF-8");
  bool escapes =
      path::is_absolute(name) || name.find('\\') != std::string::npos;
  for (auto part = path::begin(name); part != path::end(name); ++part)
    escapes |= *part == "..";
  if (escapes)
    return fail("is in '" + name +
                "', which is not beside the model or in a folder there");
  auto readNumber = [&](const char *key, uint64_t &value) {
    auto found = external.find(key);
    return found == external.end() ||
           !StringRef(found->second).getAsInteger(10, value) ||
           fail(Twine("has '") + found->second + "' for the '" + key +
                "' of its external data");
  };
  uint64_t offset = 0, length = bytes;
  if (!readNumber("offset", offset) || !readNumber("length", length))
    return false;
  llvm::SmallString<128> full(path::parent_path(model.path));
  path::append(full, name);
  std::string filePath = full.str().str();
  auto [it, isNew] = model.files.try_emplace(filePath);
  MappedFile &file = it->second;
  if (isNew) {
    std::string problem;
    if (!file.open(filePath, problem))
      return fail("is in another file: " + problem);
    problem = describeLFSPointer({file.data, file.size});
    if (!problem.empty())
      return fail("is in " + filePath + ": " + problem);
  }
  if (length != static_cast<uint64_t>(bytes))
    return fail("has " + Twine(length) + " bytes in " + filePath + ", but " +
                tensor.describe() + " takes " + Twine(bytes));
  if (offset > file.size || length > file.size - offset)
    return fail("of " + Twine(length) + " bytes begins at byte " +
                Twine(offset) + " of " + filePath + ", which has " +
                Twine(file.size) + " (truncated file?)");
  tensor.bytes = StringRef(file.data + offset, length);
  return true;
}

bool TensorReader::setElements() {
  if (location == 1)
    return mapExternal();
  if (location != 0)
    return fail("is at location " + Twine(location) +
                "; expected 0 (here) or 1 (another file)");
  if (raw) {
    if (raw->size() != static_cast<uint64_t>(bytes))
      return fail("has raw_data of " + Twine(raw->size()) + " bytes, but " +
                  tensor.describe() + " takes " + Twine(bytes));
    tensor.bytes = *raw;
    return true;
  }
  unsigned width = tensor.type->bytes;
  switch (tensor.type->type) {
  case ElementType::F32:
    return setNumbers(floats, width);
  case ElementType::F64:
    return setNumbers(doubles, width);
  case ElementType::I64:
    return setNumbers(int64s, width);
  case ElementType::U32:
  case ElementType::U64:
    return setNumbers(uint64s, width);
  default:
    return setNumbers(int32s, width);
  }
}

bool TensorReader::read(const Field &field) {
  position = field.position;
  Message message(field, error);
  if (!readFields(message))
    return false;
  if (tensor.shape.size() > maxRank)
    return fail("has " + Twine(tensor.shape.size()) + " dimensions");
  for (int64_t size : tensor.shape)
    if (size < 0)
      return fail("has a dimension of " + Twine(size));
  tensor.type = findElementType(type);
  if (!tensor.type)
    return fail("is of " + nameElementType(type) +
                ", which the reader does not support");
  if (!checkedByteSize(tensor.shape, tensor.type->bytes, bytes))
    return fail("has a size that overflows");
  return setElements();
}

bool moe::onnx::readTensor(const Field &field, Model &model, Tensor &tensor,
                           std::string &error) {
  return TensorReader(model, tensor, error).read(field);
}
