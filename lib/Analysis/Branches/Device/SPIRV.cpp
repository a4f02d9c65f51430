//===- SPIRV.cpp - Kernels in SPIR-V ----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A module, or what a disassembler prints of it, becomes a list of operations
// whose operands are names and literals. Variables of a function and memory
// that a block shares are followed like registers: what is written into one is
// in it from there on, and a block that shares numbers of its threads before it
// shares data does not branch on data. Threads meet at the same barriers, so
// that what one of them may have written behind a path is behind the paths of
// all.
//
//===----------------------------------------------------------------------===//

#include "DeviceCode.h"
#include "SPIRVOpcodes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using namespace moe::branchcheck::device;
using namespace moe::branchcheck::device::spirv;

namespace {
/// An operation: names begin with %, all other operands are literals.
struct Operation {
  std::string name, type, result;
  SmallVector<std::string, 4> operands;
  unsigned line = 0;

  std::string print() const;
};

class Builder {
public:
  explicit Builder(Kernels &kernels) : kernels(kernels) {}
  void add(const Operation &op);
  bool finish(std::string &error) const;

private:
  void addCode(const Operation &op);
  void addAccess(const Operation &op, Instruction &instruction);
  void addUses(const Operation &op, Instruction &instruction, unsigned first);
  StringRef storageOf(StringRef pointer) const;

  Kernels &kernels;
  Kernel *kernel = nullptr;
  /// What the first entry point of a function is called.
  StringMap<std::string> entryNames;
  /// Storage classes of pointer types; types of results.
  StringMap<std::string> storages, types;
  /// Of pointers into variables, the variable.
  StringMap<std::string> variables;
  /// Names that every kernel sees: constants, types, variables.
  StringSet<> globals;
};
} // namespace

std::string Operation::print() const {
  std::string text = result.empty() ? name : result + " = " + name;
  if (!type.empty())
    text += " " + type;
  for (const std::string &operand : operands)
    text += " " + operand;
  return text;
}

StringRef Builder::storageOf(StringRef pointer) const {
  auto type = types.find(pointer);
  if (type == types.end())
    return "";
  auto storage = storages.find(type->second);
  return storage == storages.end() ? StringRef() : StringRef(storage->second);
}

void Builder::addUses(const Operation &op, Instruction &instruction,
                      unsigned first) {
  for (StringRef operand : ArrayRef(op.operands).drop_front(first))
    if (operand.starts_with("%") && !globals.contains(operand))
      instruction.uses.push_back(kernel->reg(operand));
}

/// Loads and stores.
void Builder::addAccess(const Operation &op, Instruction &instruction) {
  StringRef pointer = op.operands.front();
  StringRef storage = storageOf(pointer);
  std::string variable = variables.lookup(pointer);
  bool isFollowed = (storage == "Function" || storage == "Private" ||
                     storage == "Workgroup") &&
                    !variable.empty();
  if (op.name == "OpStore") {
    if (!isFollowed) {
      if (storage != "PhysicalStorageBuffer" && storage != "StorageBuffer")
        kernel->problem("writes what is not followed: " + op.print());
      instruction.isPlain = true;
      return;
    }
    // An address that depends on data says where, which is seen at a load.
    addUses(op, instruction, 0);
    instruction.defs.push_back(kernel->reg("memory " + variable));
    // A whole variable is written over; of others, elements stay.
    instruction.isPartial = pointer != variable || storage == "Workgroup";
    return;
  }
  addUses(op, instruction, 0);
  instruction.defs.push_back(kernel->reg(op.result));
  if (isFollowed)
    instruction.uses.push_back(kernel->reg("memory " + variable));
  else if (storage != "Input" && storage != "PushConstant" &&
           storage != "UniformConstant")
    instruction.data = kMemory;
}

void Builder::addCode(const Operation &op) {
  if (op.name == "OpLabel") {
    kernel->label(op.result);
    return;
  }
  Instruction instruction;
  instruction.text = op.print();
  instruction.line = op.line;
  auto jump = [&](ArrayRef<std::string> to) {
    append_range(instruction.targets, to);
    instruction.falls = false;
  };
  ArrayRef<std::string> operands = op.operands;
  if (op.name == "OpVariable" || op.name == "OpLine" || op.name == "OpNoLine")
    return;
  if (op.name == "OpBranch") {
    jump(operands.take_front(1));
  } else if (op.name == "OpBranchConditional" || op.name == "OpSwitch") {
    instruction.isBranch = true;
    // There is no store under a predicate.
    instruction.mayGuard = op.name == "OpBranchConditional";
    if (!globals.contains(operands[0]))
      instruction.uses.push_back(kernel->reg(operands[0]));
    SmallVector<std::string> to;
    for (const std::string &operand : operands.drop_front())
      if (operand[0] == '%')
        to.push_back(operand);
    jump(to);
  } else if (op.name == "OpReturn" || op.name == "OpReturnValue" ||
             op.name == "OpUnreachable" || op.name == "OpKill") {
    instruction.falls = false;
  } else if (op.name == "OpLoad" || op.name == "OpStore") {
    addAccess(op, instruction);
  } else if (op.name == "OpFunctionCall") {
    kernel->problem("calls are not followed: " + op.print());
  } else if (op.name == "OpSelectionMerge" || op.name == "OpLoopMerge" ||
             op.name == "OpControlBarrier" || op.name == "OpMemoryBarrier" ||
             op.name == "OpNop") {
    // Say nothing about values.
  } else if (StringRef(op.name).starts_with("OpAtomic") ||
             op.name == "OpImageRead") {
    if (!op.result.empty())
      instruction.defs.push_back(kernel->reg(op.result));
    instruction.data = kMemory;
  } else if (op.result.empty()) {
    kernel->problem("is not known: " + op.print());
  } else {
    addUses(op, instruction, 0);
    instruction.defs.push_back(kernel->reg(op.result));
    instruction.isPhi = op.name == "OpPhi";
    instruction.isPlain = !instruction.isPhi;
    if (op.name == "OpAccessChain" || op.name == "OpInBoundsAccessChain" ||
        op.name == "OpCopyObject") {
      std::string base = variables.lookup(operands[0]);
      if (!base.empty())
        variables[op.result] = base;
    }
  }
  kernel->code.push_back(std::move(instruction));
}

void Builder::add(const Operation &op) {
  if (!op.result.empty() && !op.type.empty())
    types[op.result] = op.type;
  if (op.name == "OpTypePointer")
    storages[op.result] = op.operands.front();
  else if (op.name == "OpVariable")
    variables[op.result] = op.result;
  else if (op.name == "OpEntryPoint" && op.operands.size() > 2)
    entryNames.try_emplace(op.operands[1],
                           StringRef(op.operands[2]).trim('"').str());
  if (op.name == "OpFunction") {
    kernels.emplace_back();
    kernel = &kernels.back();
    auto entry = entryNames.find(op.result);
    kernel->name = entry == entryNames.end() ? op.result : entry->second;
  } else if (op.name == "OpFunctionEnd") {
    kernel = nullptr;
  } else if (kernel) {
    if (op.name != "OpFunctionParameter")
      addCode(op);
  } else if (!op.result.empty()) {
    globals.insert(op.result);
  }
}

bool Builder::finish(std::string &error) const {
  if (kernel)
    error = "the module ends within " + kernel->name;
  return !kernel;
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

static std::string readString(ArrayRef<uint32_t> words, size_t &at) {
  std::string text;
  for (; at < words.size(); ++at)
    for (int byte = 0; byte < 4; ++byte) {
      char c = words[at] >> (8 * byte);
      if (c == 0) {
        ++at;
        return text;
      }
      text += c;
    }
  return text;
}

bool moe::branchcheck::device::readSPIRV(StringRef bytes, Kernels &kernels,
                                         std::string &error) {
  SmallVector<uint32_t> words;
  for (size_t i = 0; i + 4 <= bytes.size(); i += 4)
    words.push_back(support::endian::read32le(bytes.data() + i));
  Builder builder(kernels);
  auto name = [](uint32_t id) { return "%" + std::to_string(id); };
  for (size_t at = 5; at < words.size();) {
    size_t count = words[at] >> 16;
    uint16_t number = words[at] & 0xffff;
    if (count == 0 || at + count > words.size()) {
      error = "the SPIR-V module is damaged at word " + std::to_string(at);
      return false;
    }
    ArrayRef<uint32_t> rest(words.data() + at + 1, count - 1);
    at += count;
    const Opcode *opcode = findOpcode(number);
    // What is not known writes and reads nothing here: a kernel with it is not
    // proved.
    Operation op;
    op.name = opcode ? opcode->name.str() : "Op" + std::to_string(number);
    size_t next = 0;
    auto take = [&]() -> std::string {
      return next < rest.size() ? name(rest[next++]) : std::string();
    };
    if (opcode && opcode->hasType)
      op.type = take();
    if (opcode && opcode->hasResult)
      op.result = take();
    StringRef kinds;
    if (opcode)
      kinds = opcode->operands;
    for (char kind : kinds) {
      if (next >= rest.size())
        break;
      if (kind == '%')
        op.operands.push_back(take());
      else if (kind == '#')
        op.operands.push_back(std::to_string(rest[next++]));
      else if (kind == 'S')
        op.operands.push_back(getStorageName(rest[next++]).str());
      else if (kind == '"')
        op.operands.push_back("\"" + readString(rest, next) + "\"");
      else if (kind == 'v') // All others are names,
        while (next < rest.size())
          op.operands.push_back(take());
      else if (kind == 'l') // literals,
        while (next < rest.size())
          op.operands.push_back(std::to_string(rest[next++]));
      else if (kind == 'p') // or pairs of both.
        while (next + 1 < rest.size()) {
          op.operands.push_back(std::to_string(rest[next++]));
          op.operands.push_back(take());
        }
    }
    builder.add(op);
  }
  return builder.finish(error);
}

/// Words, and strings with their blanks.
static SmallVector<StringRef> splitWords(StringRef text) {
  SmallVector<StringRef> words;
  while (!(text = text.ltrim()).empty() && text[0] != ';') {
    size_t size = text[0] == '"' ? text.find('"', 1) + 1
                                 : text.take_until(isSpace).size();
    size = size == 0 ? text.size() : size;
    words.push_back(text.take_front(size));
    text = text.drop_front(size);
  }
  return words;
}

bool moe::branchcheck::device::readSPIRVText(StringRef text, Kernels &kernels,
                                             std::string &error) {
  Builder builder(kernels);
  unsigned line = 0;
  for (StringRef each : split(text, '\n')) {
    ++line;
    SmallVector<StringRef> words = splitWords(each);
    Operation op;
    op.line = line;
    ArrayRef<StringRef> rest = words;
    if (rest.size() > 2 && rest[1] == "=") {
      op.result = rest[0].str();
      rest = rest.drop_front(2);
    }
    if (rest.empty())
      continue;
    op.name = rest[0].str();
    rest = rest.drop_front();
    const Opcode *opcode = findOpcode(op.name);
    if (!StringRef(op.name).starts_with("Op")) {
      error = "line " + std::to_string(line) +
              ": expected an operation of "
              "SPIR-V, found '" +
              op.name + "'";
      return false;
    }
    if (!rest.empty() && (opcode ? opcode->hasType : !op.result.empty())) {
      op.type = rest[0].str();
      rest = rest.drop_front();
    }
    // What is not known could do anything.
    if (!opcode)
      op.result.clear();
    for (StringRef word : rest)
      op.operands.push_back(word.str());
    builder.add(op);
  }
  return builder.finish(error);
}
