//===- SASS.cpp - Kernels in NVIDIA's machine instructions ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The texts of nvdisasm and of cuobjdump -sass, from sm_80 on. There is no
// published description of these instructions; a table below holds those whose
// operands are known, and any other makes a kernel unproved. Registers are
// physical: how many of them an instruction writes decides what is forgotten,
// so that a width that is not sure counts once for what it may taint and once
// for what it surely overwrites.
//
//===----------------------------------------------------------------------===//

#include "DeviceCode.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;
using namespace moe::branchcheck::device;

namespace {
/// Which of the operands are written.
enum class Form {
  Unknown,
  /// None.
  Nothing,
  /// Predicates in front, then a register.
  Result,
  /// The same, and predicates behind the register: carries.
  Carries,
  /// All operands but the last.
  Vote,
  /// The first two predicates.
  Compare,
  /// All predicates.
  Predicates,
  Branch,
};

class Reader {
public:
  explicit Reader(Kernels &kernels) : kernels(kernels) {}
  void readLine(StringRef line, unsigned number);

private:
  void add(StringRef text, unsigned line);
  void addControl(Instruction &instruction, StringRef opcode,
                  ArrayRef<StringRef> operands);
  void addResults(Instruction &instruction, Form form, StringRef opcode,
                  ArrayRef<StringRef> operands);
  void addRegisters(SmallVectorImpl<Reg> &list, StringRef operand,
                    unsigned width);
  void addSlots(Instruction &instruction, StringRef opcode, StringRef address);

  Kernels &kernels;
  Kernel *kernel = nullptr;
};
} // namespace

static Form getForm(StringRef stem) {
  return StringSwitch<Form>(stem)
      .Cases({"STG", "STS", "STL", "ST", "RED", "REDG", "REDAS", "STSM"},
             Form::Nothing)
      .Cases({"BAR", "NOP", "MEMBAR", "ERRBAR", "CCTL", "CCTLL", "DEPBAR",
              "LDGDEPBAR", "LDGSTS"},
             Form::Nothing)
      .Cases({"BSSY", "BSYNC", "BREAK", "WARPSYNC", "YIELD", "NANOSLEEP",
              "ACQBULK", "PREEXIT", "BMOV", "FENCE"},
             Form::Nothing)
      .Cases({"ISETP", "FSETP", "DSETP", "HSETP2", "PSETP", "PLOP3"},
             Form::Compare)
      .Cases({"UISETP", "UFSETP", "UPSETP", "UPLOP3", "FCHK"}, Form::Compare)
      .Case("R2P", Form::Predicates)
      .Cases({"VOTE", "VOTEU"}, Form::Vote)
      .Cases({"IADD3", "UIADD3", "LEA", "ULEA", "IMAD", "UIMAD", "IADD"},
             Form::Carries)
      .Cases({"BRA", "BRX", "JMP", "JMX", "EXIT", "RET", "CALL", "BPT", "KILL"},
             Form::Branch)
      .Cases({"LDG", "LDS", "LDL", "LD", "LDC", "LDCU", "ULDC", "LDSM", "ATOM",
              "ATOMG", "ATOMS"},
             Form::Result)
      .Cases({"MOV", "UMOV", "MOV32I", "SEL", "USEL", "FSEL", "PRMT", "UPRMT",
              "P2R", "S2R", "S2UR"},
             Form::Result)
      .Cases({"CS2R", "R2UR", "SHFL", "MATCH", "REDUX", "UP2UR"}, Form::Result)
      .Cases({"LOP3", "ULOP3", "SHF", "USHF", "SHL", "SHR", "BMSK", "UBMSK",
              "SGXT", "USGXT", "BREV"},
             Form::Result)
      .Cases({"FLO", "UFLO", "POPC", "UPOPC", "IABS", "IMNMX", "UIMNMX",
              "VIMNMX", "VIMNMX3", "VIADD", "VIADDMNMX"},
             Form::Result)
      .Cases({"FADD", "FMUL", "FFMA", "FMNMX", "FMNMX3", "MUFU", "FRND", "I2F",
              "I2FP", "F2I", "F2IP"},
             Form::Result)
      .Cases({"F2F", "F2FP", "I2I", "I2IP", "HADD2", "HMUL2", "HFMA2", "HMNMX2",
              "DADD", "DMUL", "DFMA"},
             Form::Result)
      .Cases({"IDP", "HMMA", "IMMA", "LEPC", "ISCADD"}, Form::Result)
      .Default(Form::Unknown);
}

static bool hasModifier(StringRef opcode, StringRef modifier) {
  return is_contained(split(opcode, '.'), modifier);
}

/// The names of registers in an operand, such as `desc[UR4][R2.64+0x10]`, with
/// whether they stand for two.
static SmallVector<std::pair<StringRef, bool>> namesOf(StringRef operand) {
  SmallVector<std::pair<StringRef, bool>> names;
  auto isWord = [](char c) { return isAlnum(c) || c == '_' || c == '.'; };
  for (size_t i = 0; i < operand.size();) {
    StringRef word = operand.drop_front(i).take_while(isWord);
    i += std::max<size_t>(word.size(), 1);
    StringRef name = word.split('.').first, digits = name;
    if (!digits.consume_front("UR") && !digits.consume_front("UP") &&
        !digits.consume_front("R") && !digits.consume_front("P"))
      continue;
    if (digits.empty() || !all_of(digits, isDigit))
      continue;
    names.emplace_back(name, is_contained(split(word, '.'), "64"));
  }
  return names;
}

static bool isPredicate(StringRef operand) {
  operand.consume_front("!");
  return operand == "PT" || operand == "UPT" ||
         ((operand.starts_with("P") || operand.starts_with("UP")) &&
          isDigit(operand.back()));
}

void Reader::addRegisters(SmallVectorImpl<Reg> &list, StringRef operand,
                          unsigned width) {
  for (auto [name, isPair] : namesOf(operand)) {
    StringRef stem = name.take_while([](char c) { return isAlpha(c); });
    unsigned first = 0;
    name.drop_front(stem.size()).getAsInteger(10, first);
    unsigned count = stem.contains('P') ? 1 : std::max(width, isPair ? 2u : 1u);
    for (unsigned i = 0; i < count; ++i)
      list.push_back(kernel->reg((stem + Twine(first + i)).str()));
  }
}

/// What a register may be followed by, and what it surely is.
static std::pair<unsigned, unsigned> widthsOf(StringRef stem,
                                              StringRef opcode) {
  if (stem == "SHF" || stem == "USHF")
    return {1, 1};
  if (hasModifier(opcode, "128"))
    return {4, 4};
  if (hasModifier(opcode, "64") || hasModifier(opcode, "WIDE") ||
      (stem == "CS2R" && !hasModifier(opcode, "32")))
    return {2, 2};
  if (stem.ends_with("MMA") || stem == "LDSM")
    return {8, 1};
  if (stem.starts_with("D") || opcode.contains("F64") ||
      opcode.contains("S64") || opcode.contains("U64"))
    return {2, 1};
  return {1, 1};
}

void Reader::addResults(Instruction &instruction, Form form, StringRef opcode,
                        ArrayRef<StringRef> operands) {
  StringRef stem = opcode.split('.').first;
  auto [most, least] = widthsOf(stem, opcode);
  size_t results = 0, size = operands.size();
  switch (form) {
  case Form::Compare:
    while (results < std::min<size_t>(size, 2) &&
           isPredicate(operands[results]) &&
           !operands[results].starts_with("!"))
      ++results;
    break;
  case Form::Vote:
    results = size ? size - 1 : 0;
    break;
  case Form::Result:
  case Form::Carries:
    while (results < size && isPredicate(operands[results]))
      ++results;
    ++results;
    while (form == Form::Carries && results < size &&
           isPredicate(operands[results]) &&
           !operands[results].starts_with("!"))
      ++results;
    break;
  case Form::Predicates:
    for (unsigned i = 0; i < 7; ++i)
      instruction.defs.push_back(kernel->reg("P" + std::to_string(i)));
    instruction.isPartial = true;
    break;
  default:
    break;
  }
  results = std::min(results, size);
  // Products of two words are added to two.
  bool isWide = stem.ends_with("IMAD") &&
                (hasModifier(opcode, "WIDE") || hasModifier(opcode, "HI"));
  size_t last = size;
  while (last > 0 && isPredicate(operands[last - 1]))
    --last;
  for (auto [i, operand] : enumerate(operands)) {
    if (i < results) {
      addRegisters(instruction.defs, operand, most);
      continue;
    }
    // Addresses say themselves how wide they are.
    bool isAddress = operand.contains('[');
    unsigned width = isAddress ? 1 : most;
    if (isWide && !isAddress)
      width = i + 1 == last ? 2 : 1;
    if (form == Form::Nothing && !isAddress)
      width = widthsOf(stem, opcode).first;
    addRegisters(instruction.uses, operand, width);
    if (operand == "PR")
      for (unsigned p = 0; p < 7; ++p)
        instruction.uses.push_back(kernel->reg("P" + std::to_string(p)));
  }
  // What is not surely written over keeps what it had.
  instruction.isPartial |= most != least;
}

/// Memory of a thread's own: what has a place that is known is followed.
void Reader::addSlots(Instruction &instruction, StringRef opcode,
                      StringRef address) {
  unsigned width = widthsOf("", opcode).first;
  uint64_t offset = 0;
  StringRef inner = address.trim("[]");
  bool isPlace = inner.consume_front("R1") &&
                 (inner.empty() ||
                  (inner.consume_front("+") && !inner.getAsInteger(0, offset)));
  auto slot = [&](unsigned i) {
    return kernel->reg("local " + std::to_string(offset + 4 * i));
  };
  Reg elsewhere = kernel->reg("local");
  if (opcode.starts_with("LDL")) {
    instruction.uses.push_back(elsewhere);
    if (isPlace)
      for (unsigned i = 0; i < width; ++i)
        instruction.uses.push_back(slot(i));
    else
      instruction.data = kMemory;
    return;
  }
  // An address that is computed may be of any place.
  if (isPlace) {
    for (unsigned i = 0; i < width; ++i)
      instruction.defs.push_back(slot(i));
    instruction.isPartial |=
        any_of(ArrayRef<StringRef>{"U8", "S8", "U16", "S16"},
               [&](StringRef narrow) { return hasModifier(opcode, narrow); });
  } else {
    instruction.defs.push_back(elsewhere);
    instruction.isPartial = true;
  }
}

void Reader::addControl(Instruction &instruction, StringRef opcode,
                        ArrayRef<StringRef> operands) {
  StringRef stem = opcode.split('.').first;
  for (StringRef operand : operands)
    if (!operand.contains('`'))
      addRegisters(instruction.uses, operand, 1);
  bool isConditional = instruction.isPartial || !instruction.uses.empty() ||
                       hasModifier(opcode, "DIV") ||
                       hasModifier(opcode, "CONV");
  instruction.isBranch = instruction.falls = isConditional;
  if (stem == "CALL" || stem == "RET" || stem == "BRX" || stem == "JMX" ||
      stem == "JMP") {
    kernel->problem("line " + Twine(instruction.line) +
                    ": jumps to what is not followed: " + instruction.text);
    return;
  }
  if (stem == "BRA" && !operands.empty()) {
    StringRef target = operands.back();
    // `(.L_x_1), or an address.
    target.consume_front("`(");
    target.consume_back(")");
    instruction.targets.push_back(target.str());
  }
}

void Reader::add(StringRef text, unsigned line) {
  Instruction instruction;
  instruction.line = line;
  instruction.text = text.str();
  StringRef rest = text;
  if (rest.consume_front("@")) {
    StringRef guard = rest.take_until(isSpace);
    rest = rest.drop_front(guard.size()).ltrim();
    // Code that never runs.
    if (guard == "!PT" || guard == "!UPT")
      return;
    addRegisters(instruction.uses, guard, 1);
    instruction.isPartial = !instruction.uses.empty();
  }
  StringRef opcode = rest.take_until(isSpace);
  SmallVector<StringRef> operands =
      splitOperands(rest.drop_front(opcode.size()));
  StringRef stem = opcode.split('.').first;
  Form form = getForm(stem);
  if (form == Form::Unknown) {
    kernel->problem("line " + Twine(line) +
                    ": is not known: " + instruction.text);
  } else if (form == Form::Branch) {
    addControl(instruction, opcode, operands);
  } else {
    addResults(instruction, form, opcode, operands);
    if (stem == "LDL" && operands.size() > 1)
      addSlots(instruction, opcode, operands[1]);
    else if (stem == "STL" && operands.size() > 1)
      addSlots(instruction, opcode, operands[0]);
    else if (is_contained(
                 {"LDG", "LDS", "LD", "LDSM", "ATOM", "ATOMG", "ATOMS"}, stem))
      instruction.data = kMemory;
    bool isSpecial = stem == "S2R" || stem == "S2UR" || stem == "CS2R";
    if (isSpecial &&
        none_of(ArrayRef<StringRef>{"SR_TID", "SR_CTAID", "SR_NTID",
                                    "SR_NCTAID", "SR_LANEID", "SRZ",
                                    "SR_EQMASK", "SR_LTMASK", "SR_LEMASK",
                                    "SR_GTMASK", "SR_GEMASK", "SR_CgaCtaId"},
                [&](StringRef known) {
                  return operands.back().starts_with(known);
                }))
      instruction.data = "what differs from call to call";
  }
  kernel->code.push_back(std::move(instruction));
}

void Reader::readLine(StringRef line, unsigned number) {
  line = line.trim();
  // A kernel begins: `.text.NAME:`, or cuobjdump's line.
  StringRef name = line;
  if ((name.consume_front(".text.") && name.consume_back(":")) ||
      name.consume_front("Function :")) {
    kernels.emplace_back();
    kernel = &kernels.back();
    kernel->name = name.trim().str();
    return;
  }
  if (line.starts_with("//---") || line.starts_with(".section"))
    kernel = nullptr;
  if (!kernel)
    return;
  if (line.ends_with(":") && !line.contains(' ')) {
    kernel->label(line.drop_back());
    return;
  }
  if (!line.consume_front("/*"))
    return;
  size_t end = line.find("*/");
  StringRef address = line.take_front(end);
  // Lines with nothing but the bits of the instruction before.
  if (end == StringRef::npos || address.starts_with(" 0x"))
    return;
  line = line.drop_front(end + 2);
  line = line.take_front(line.find(';'));
  // nvdisasm tells where a jump through a register goes.
  line = line.take_front(line.find("(*")).trim();
  // nvdisasm may mark calls and jumps with braces of pairs.
  line = line.ltrim("{ ").rtrim("} ");
  if (line.empty() || line.starts_with("."))
    return;
  uint64_t value = 0;
  if (!address.getAsInteger(16, value))
    kernel->label("0x" + utohexstr(value, /*LowerCase=*/true));
  add(line, number);
}

bool moe::branchcheck::device::readSASS(StringRef text, Kernels &kernels,
                                        std::string &error) {
  Reader reader(kernels);
  unsigned number = 0;
  for (StringRef line : split(text, '\n'))
    reader.readLine(line, ++number);
  return true;
}
