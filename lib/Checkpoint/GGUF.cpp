//===- GGUF.cpp - GGUF files -----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The format, little-endian: "GGUF", a version, the numbers of tensors and of
// keys, the keys with their values, then name, sizes (fastest first), type and
// offset of each tensor, and after padding the data that offsets count from.
//
//===----------------------------------------------------------------------===//

#include "ByteCursor.h"
#include "Files.h"
#include "GGUFTypes.h"
#include "Readers.h"
#include "moe-mlir/Support/GitLFS.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"

using namespace moe;
using namespace moe::detail;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Metadata
//===----------------------------------------------------------------------===//

namespace {

/// Types of values.
enum ValueType : uint32_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64
};

/// Longer lists are vocabularies.
constexpr uint64_t longestList = 65536;

/// The fewest bytes that a value takes, 0 if there is no such type.
uint64_t getLeastBytes(uint32_t type) {
  switch (type) {
  case U8:
  case I8:
  case Bool:
    return 1;
  case U16:
  case I16:
    return 2;
  case U32:
  case I32:
  case F32:
    return 4;
  case String:
  case U64:
  case I64:
  case F64:
    return 8;
  case Array:
    return 12;
  default:
    return 0;
  }
}

/// Reads one part of a checkpoint.
class Part {
public:
  Part(const MappedFile &file, const std::string &path, std::string &error)
      : cursor({file.data, file.size}, path, error) {}

  bool read();

  json::Object metadata;
  std::vector<CheckpointTensor> tensors;

private:
  bool readHeader();
  bool readValue(uint32_t type, json::Value &value);
  bool readList(json::Value &value);
  bool readPair();
  bool readTensor();
  bool placeTensors();

  ByteCursor cursor;
  uint64_t numTensors = 0, numPairs = 0;
  llvm::StringSet<> keys, names;
  /// Where the description of each tensor is.
  std::vector<uint64_t> places;
  uint64_t alignmentPlace = 0;
};

} // namespace

bool Part::readHeader() {
  llvm::StringRef magic;
  uint32_t version;
  if (!cursor.bytes(4, magic, "the magic"))
    return false;
  if (magic != "GGUF")
    return cursor.fail("not a GGUF file: it does not begin with 'GGUF'", 0);
  if (!cursor.number(version, "the version"))
    return false;
  if ((version & 0xffff) == 0 && version != 0)
    return cursor.fail("a GGUF file in big-endian order, which is not "
                       "supported; convert it",
                       4);
  if (version != 2 && version != 3)
    return cursor.fail("GGUF version " + std::to_string(version) +
                           "; supported are 2 and 3",
                       4);
  uint64_t at = cursor.position();
  if (!cursor.number(numTensors, "the number of tensors") ||
      !cursor.number(numPairs, "the number of keys"))
    return false;
  // The least that each takes.
  constexpr uint64_t tensorBytes = 8 + 4 + 4 + 8, pairBytes = 8 + 4 + 1;
  if (numTensors > cursor.remaining() / tensorBytes)
    return cursor.fail(std::to_string(numTensors) +
                           " tensors do not fit into the file (truncated?)",
                       at);
  if (numPairs > cursor.remaining() / pairBytes)
    return cursor.fail(std::to_string(numPairs) +
                           " keys do not fit into the file (truncated?)",
                       at + 8);
  return true;
}

bool Part::readValue(uint32_t type, json::Value &value) {
  auto get = [&](auto number) {
    if (!cursor.number(number, "a value"))
      return false;
    if constexpr (std::is_floating_point_v<decltype(number)>)
      value = static_cast<double>(number);
    else if constexpr (std::is_same_v<decltype(number), uint64_t>)
      value = number;
    else
      value = static_cast<int64_t>(number);
    return true;
  };
  switch (type) {
  case U8:
    return get(uint8_t());
  case I8:
    return get(int8_t());
  case U16:
    return get(uint16_t());
  case I16:
    return get(int16_t());
  case U32:
    return get(uint32_t());
  case I32:
    return get(int32_t());
  case F32:
    return get(float());
  case U64:
    return get(uint64_t());
  case I64:
    return get(int64_t());
  case F64:
    return get(double());
  case Bool: {
    uint8_t byte;
    if (!cursor.number(byte, "a value"))
      return false;
    if (byte > 1)
      return cursor.fail("a bool of " + std::to_string(byte),
                         cursor.position() - 1);
    value = byte == 1;
    return true;
  }
  case String: {
    llvm::StringRef text;
    if (!cursor.string(text, "a string"))
      return false;
    value = json::isUTF8(text) ? text.str() : json::fixUTF8(text);
    return true;
  }
  default:
    return cursor.fail("a value of unknown type " + std::to_string(type),
                       cursor.position() - 4);
  }
}

bool Part::readList(json::Value &value) {
  uint64_t at = cursor.position(), count;
  uint32_t type;
  if (!cursor.number(type, "the type of a list") ||
      !cursor.number(count, "the length of a list"))
    return false;
  uint64_t least = getLeastBytes(type);
  if (!least || type == Array)
    return cursor.fail("a list of values of type " + std::to_string(type) +
                           ", which is not supported",
                       at);
  if (count > cursor.remaining() / least)
    return cursor.fail("a list of " + std::to_string(count) +
                           " values does not fit into the file (truncated?)",
                       at + 4);
  value = nullptr;
  if (count > longestList && type != String) {
    llvm::StringRef skipped;
    return cursor.bytes(count * least, skipped, "a list");
  }
  json::Array list;
  for (uint64_t i = 0; i < count; ++i) {
    llvm::StringRef skipped;
    json::Value element = nullptr;
    if (count > longestList) {
      if (!cursor.string(skipped, "a string"))
        return false;
      continue;
    }
    if (!readValue(type, element))
      return false;
    list.push_back(std::move(element));
  }
  if (count <= longestList)
    value = std::move(list);
  return true;
}

bool Part::readPair() {
  uint64_t at = cursor.position();
  llvm::StringRef key;
  uint32_t type;
  if (!cursor.string(key, "a key"))
    return false;
  if (key.empty() || !json::isUTF8(key))
    return cursor.fail("a key that is empty or not UTF-8", at);
  ByteCursor::Scope scope(cursor, "key '" + key.str() + "'");
  if (key == "general.alignment")
    alignmentPlace = at;
  if (!keys.insert(key).second)
    return cursor.fail("a second time", at);
  json::Value value = nullptr;
  if (!cursor.number(type, "the type of a value") ||
      !(type == Array ? readList(value) : readValue(type, value)))
    return false;
  if (value.kind() != json::Value::Null)
    metadata[key.str()] = std::move(value);
  return true;
}

bool Part::readTensor() {
  uint64_t at = cursor.position();
  llvm::StringRef name;
  uint32_t rank, number;
  if (!cursor.string(name, "the name of a tensor"))
    return false;
  if (name.empty() || !json::isUTF8(name))
    return cursor.fail("a tensor whose name is empty or not UTF-8", at);
  ByteCursor::Scope scope(cursor, "tensor '" + name.str() + "'");
  if (!names.insert(name).second)
    return cursor.fail("a second time", at);
  if (!cursor.number(rank, "the rank"))
    return false;
  constexpr uint32_t maxRank = 4;
  if (rank > maxRank)
    return cursor.fail("has " + std::to_string(rank) +
                           " dimensions; the format has at most " +
                           std::to_string(maxRank),
                       cursor.position() - 4);
  CheckpointTensor tensor;
  tensor.name = name.str();
  for (uint32_t d = 0; d < rank; ++d) {
    uint64_t size;
    if (!cursor.number(size, "a dimension"))
      return false;
    if (size > uint64_t(INT64_MAX))
      return cursor.fail("has a dimension of " + std::to_string(size),
                         cursor.position() - 8);
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
  }
  if (!cursor.number(number, "the type"))
    return false;
  int64_t bytes;
  const GGMLType *type = findGGMLType(number);
  tensor.type = type ? type->name : nameOtherGGMLType(number);
  if (type) {
    tensor.dtype = type->dtype;
    tensor.blockElements = type->blockElements;
    tensor.blockBytes = type->blockBytes;
  }
  if (tensor.isBlocks() &&
      (tensor.shape.empty() || tensor.shape.back() % tensor.blockElements != 0))
    return cursor.fail(tensor.describe() +
                           " has rows that are no multiple of "
                           "its blocks of " +
                           std::to_string(tensor.blockElements),
                       at);
  // Of a row by itself, too: there may be none of it.
  int64_t row;
  if ((tensor.isBlocks() &&
       __builtin_mul_overflow(tensor.shape.back() / tensor.blockElements,
                              tensor.blockBytes, &row)) ||
      !checkedByteSize(tensor.shape, 1, bytes) ||
      !checkedByteSize(tensor.getStoredShape(),
                       tensor.isBlocks() ? 1 : tensor.blockBytes, bytes))
    return cursor.fail(tensor.describe() + " has a size that overflows", at);
  tensor.bytes = static_cast<uint64_t>(bytes);
  if (!cursor.number(tensor.offset, "the offset"))
    return false;
  tensors.push_back(std::move(tensor));
  places.push_back(at);
  return true;
}

/// Makes offsets those in the file, where all is known that is checked.
bool Part::placeTensors() {
  uint64_t alignment = 32;
  if (const json::Value *value = metadata.get("general.alignment")) {
    std::optional<int64_t> number = value->getAsInteger();
    if (!number || *number <= 0 || !llvm::isPowerOf2_64(*number) ||
        *number > int64_t(1) << 30)
      return cursor.fail("key 'general.alignment' is not a power of two",
                         alignmentPlace);
    alignment = static_cast<uint64_t>(*number);
  }
  // A file of keys alone may end here.
  uint64_t begin = llvm::alignTo(cursor.position(), alignment);
  uint64_t available = cursor.size() > begin ? cursor.size() - begin : 0;
  std::vector<size_t> order(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    CheckpointTensor &tensor = tensors[i];
    order[i] = i;
    std::string what = "tensor '" + tensor.name + "' ";
    if (tensor.offset % alignment)
      return cursor.fail(
          what + "has the offset " + std::to_string(tensor.offset) +
              ", no multiple of the alignment of " + std::to_string(alignment),
          places[i]);
    if (tensor.offset > available || tensor.bytes > available - tensor.offset)
      return cursor.fail(
          what + "of " + std::to_string(tensor.bytes) +
              " bytes begins at byte " + std::to_string(tensor.offset) +
              " of the data, which are " + std::to_string(available) +
              " bytes (truncated file?)",
          places[i]);
  }
  llvm::sort(order, [&](size_t a, size_t b) {
    return std::pair(tensors[a].offset, tensors[a].bytes) <
           std::pair(tensors[b].offset, tensors[b].bytes);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const CheckpointTensor &before = tensors[order[i - 1]],
                           &tensor = tensors[order[i]];
    if (tensor.offset - before.offset < before.bytes)
      return cursor.fail("tensors '" + before.name + "' and '" + tensor.name +
                             "' overlap",
                         places[order[i]]);
  }
  for (CheckpointTensor &tensor : tensors)
    tensor.offset += begin;
  return true;
}

bool Part::read() {
  if (!readHeader())
    return false;
  for (uint64_t i = 0; i < numPairs; ++i)
    if (!readPair())
      return false;
  for (uint64_t i = 0; i < numTensors; ++i)
    if (!readTensor())
      return false;
  return placeTensors();
}

//===----------------------------------------------------------------------===//
// Sets of parts
//===----------------------------------------------------------------------===//

bool GGUFReader::addPart(const std::string &path) {
  Checkpoint::File file;
  file.path = path;
  if (!file.mapping.open(path, error))
    return false;
  if (std::string pointer =
          describeLFSPointer({file.mapping.data, file.mapping.size});
      !pointer.empty()) {
    error = path + ": " + pointer;
    return false;
  }
  Part part(file.mapping, path, error);
  if (!part.read())
    return false;
  for (CheckpointTensor &tensor : part.tensors) {
    tensor.file = checkpoint.files.size();
    checkpoint.tensors.push_back(std::move(tensor));
  }
  metadata = std::move(part.metadata);
  checkpoint.files.push_back(std::move(file));
  return true;
}

bool GGUFReader::read(const std::string &path) {
  checkpoint.kind = Checkpoint::Kind::GGUF;
  checkpoint.configPath = path;
  if (!addPart(path))
    return false;
  std::optional<int64_t> count = metadata.getInteger("split.count");
  if (!count || *count == 1) {
    checkpoint.config = std::move(metadata);
    return true;
  }
  auto fail = [&](const std::string &file, const std::string &what) {
    error = file + ": " + what;
    return false;
  };
  constexpr int64_t mostParts = 99999;
  if (*count < 1 || *count > mostParts)
    return fail(path, "key 'split.count' is " + std::to_string(*count) +
                          "; expected 1 to " + std::to_string(mostParts));
  checkpoint.files.clear();
  checkpoint.tensors.clear();
  std::optional<int64_t> total;
  for (int64_t i = 0; i < *count; ++i) {
    std::string own = nameOfPart(path, i, *count);
    if (own.empty())
      return fail(path, "is one of " + std::to_string(*count) +
                            " parts by its key 'split.count', and its name "
                            "does not end in -00001-of-" +
                            fiveDigits(*count) +
                            ".gguf or the like, by which others are found");
    if (!llvm::sys::fs::exists(own))
      return fail(own, "no such file, and it is part " + std::to_string(i + 1) +
                           " of " + std::to_string(*count) + " of " + path);
    if (!addPart(own))
      return false;
    if (metadata.getInteger("split.no") != i ||
        metadata.getInteger("split.count") != *count)
      return fail(own, "its keys 'split.no' and 'split.count' are not " +
                           std::to_string(i) + " and " +
                           std::to_string(*count) + ", as its name has it");
    if (i != 0)
      continue;
    total = metadata.getInteger("split.tensors.count");
    checkpoint.config = std::move(metadata);
    checkpoint.configPath = own;
  }
  int64_t found = static_cast<int64_t>(checkpoint.tensors.size());
  if (total && *total != found)
    return fail(checkpoint.configPath, "key 'split.tensors.count' is " +
                                           std::to_string(*total) +
                                           ", and the parts hold " +
                                           std::to_string(found) + " tensors");
  return true;
}
