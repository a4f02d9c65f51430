//===- GCN.cpp - Kernels in AMD's machine instructions ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The assembly that LLVM writes for gfx9. Lanes that do not take part are
// masked by exec: what is written under a mask that depends on data depends on
// it, and what is written under one that is not known to be full keeps what it
// had. Three facts of a scalar register beside what it holds are followed like
// registers, tainted where they are not known to be so:
//
//   arguments N   it is the address of the kernel's arguments
//   saved N       it is a mask that contains exec's as long as control is in
//   the
//                 region that begins where it was saved
//   full N        it is the mask that the kernel began with
//
//===----------------------------------------------------------------------===//

#include "DeviceCode.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;
using namespace moe::branchcheck::device;

namespace {
/// What a register is called beside its value.
constexpr StringLiteral kFacts[] = {"arguments ", "saved ", "full "};

class Reader {
public:
  Reader(StringRef text, Kernels &kernels) : text(text), kernels(kernels) {}
  bool run(std::string &error);

private:
  void readDirectives();
  void begin(StringRef name);
  void add(StringRef statement, unsigned line);
  void addControl(Instruction &instruction, StringRef opcode,
                  ArrayRef<StringRef> operands);
  bool addScalar(Instruction &instruction, StringRef opcode,
                 ArrayRef<StringRef> operands);
  bool addVector(Instruction &instruction, StringRef opcode,
                 ArrayRef<StringRef> operands);
  bool addMemory(Instruction &instruction, StringRef opcode,
                 ArrayRef<StringRef> operands);
  void addFacts(StringRef opcode, ArrayRef<StringRef> operands,
                bool writesFirst);
  void setFact(StringRef which, StringRef name, std::optional<std::string> from,
               bool isKnown);
  void copyMask(StringRef from, StringRef to, Reg place);
  void addRegisters(SmallVectorImpl<Reg> &list, StringRef operand);
  Reg fact(StringRef which, StringRef name) {
    return kernel->reg((which + name).str());
  }

  StringRef text;
  Kernels &kernels;
  Kernel *kernel = nullptr;
  /// Names of kernels, and the numbers of registers with the address of their
  /// arguments.
  StringMap<SmallVector<unsigned>> arguments;
};
} // namespace

static bool startsWithAny(StringRef text, ArrayRef<StringRef> stems) {
  return any_of(stems, [&](StringRef stem) { return text.starts_with(stem); });
}

/// `s[4:5]`, `v2`, `vcc`, `exec` as single registers; nothing for numbers.
static SmallVector<std::string, 4> namesOf(StringRef operand) {
  operand = operand.trim();
  operand.consume_front("-");
  operand = operand.trim("|");
  // Modifiers follow behind a blank.
  operand = operand.take_until(isSpace);
  SmallVector<std::string, 4> names;
  for (StringRef whole : {"vcc", "exec"}) {
    if (operand == whole)
      return {(whole + "_lo").str(), (whole + "_hi").str()};
    if (operand == (whole + "_lo").str() || operand == (whole + "_hi").str())
      return {operand.str()};
  }
  if (operand == "m0" || operand == "scc")
    return {operand.str()};
  if (operand.empty() || !StringRef("sva").contains(operand.front()))
    return names;
  StringRef kind = operand.take_front(1), range = operand.drop_front(1);
  unsigned first = 0, last = 0;
  if (range.consume_front("[")) {
    auto [low, high] = range.split(':');
    high.consume_back("]");
    if (high.empty())
      high = low.take_while(isDigit), low = high;
    if (low.getAsInteger(10, first) || high.getAsInteger(10, last))
      return names;
  } else if (range.getAsInteger(10, first)) {
    return names;
  } else {
    last = first;
  }
  for (unsigned i = first; i <= last; ++i)
    names.push_back((kind + Twine(i)).str());
  return names;
}

void Reader::addRegisters(SmallVectorImpl<Reg> &list, StringRef operand) {
  for (const std::string &name : namesOf(operand))
    list.push_back(kernel->reg(name));
}

/// Which scalar registers a kernel begins with is said behind its code.
void Reader::readDirectives() {
  static constexpr std::pair<StringLiteral, unsigned> kOrder[] = {
      {"private_segment_buffer", 4},
      {"dispatch_ptr", 2},
      {"queue_ptr", 2},
      {"kernarg_segment_ptr", 2}};
  StringRef name;
  StringMap<unsigned> has;
  for (StringRef line : split(text, '\n')) {
    line = line.trim();
    if (line.consume_front(".amdhsa_kernel ")) {
      name = line.trim();
      has.clear();
    } else if (line.consume_front(".amdhsa_user_sgpr_")) {
      auto [what, value] = line.split(' ');
      value.trim().getAsInteger(10, has[what]);
    } else if (line.starts_with(".end_amdhsa_kernel")) {
      unsigned at = 0;
      for (const auto &[what, count] : kOrder) {
        if (!has.lookup(what))
          continue;
        // The dispatch packet has sizes alone, too.
        if (what == "dispatch_ptr" || what == "kernarg_segment_ptr")
          append_range(arguments[name], seq(at, at + count));
        at += count;
      }
      arguments[name];
    }
  }
}

void Reader::begin(StringRef name) {
  kernels.emplace_back();
  kernel = &kernels.back();
  kernel->name = name.str();
  for (unsigned i = 0; i < 128; ++i) {
    std::string reg = "s" + std::to_string(i);
    for (StringRef which : kFacts)
      if (which != kFacts[0] || !is_contained(arguments[name], i))
        kernel->tainted.push_back(fact(which, reg));
  }
}

/// One fact of a register: that of another one, or known, or lost.
void Reader::setFact(StringRef which, StringRef name,
                     std::optional<std::string> from, bool isKnown) {
  Instruction instruction;
  instruction.isExtra = true;
  instruction.isPlain = true;
  instruction.defs.push_back(fact(which, name));
  if (from)
    instruction.uses.push_back(fact(which, *from));
  else if (!isKnown)
    instruction.data = kMemory;
  kernel->code.push_back(std::move(instruction));
}

/// Copies registers to a place that stands for a mask, or from it.
void Reader::copyMask(StringRef from, StringRef to, Reg place) {
  Instruction instruction;
  instruction.isExtra = true;
  addRegisters(instruction.uses, from);
  addRegisters(instruction.defs, to);
  (from.empty() ? instruction.uses : instruction.defs).push_back(place);
  kernel->code.push_back(std::move(instruction));
}

/// What is known of scalar registers behind an instruction.
void Reader::addFacts(StringRef opcode, ArrayRef<StringRef> operands,
                      bool writesFirst) {
  if (operands.empty())
    return;
  bool isMove = opcode == "s_mov_b64" || opcode == "s_mov_b32";
  bool isSave = opcode.contains("_saveexec_");
  // Masks of regions that end: `s_or_b64 exec, exec, s[2:3]`.
  bool isEnd = opcode == "s_or_b64" && operands[0] == "exec" &&
               operands.size() > 2 && operands[1] == "exec";
  // The address of arguments, and a constant.
  bool isStep = (opcode == "s_add_u32" || opcode == "s_addc_u32") &&
                operands.size() > 2 && namesOf(operands[2]).empty();
  SmallVector<std::string, 4> to = namesOf(operands[0]), from;
  if (isMove || isStep)
    from = namesOf(operands[1]);
  else if (isEnd)
    from = namesOf(operands[2]);
  for (auto [i, name] : enumerate(to)) {
    std::optional<std::string> source;
    if (i < from.size())
      source = from[i];
    if (name == "exec_lo" || (name[0] == 's' && writesFirst)) {
      bool isSaved = isSave || (isMove && source == "exec_lo");
      setFact(kFacts[0], name, isMove || isStep ? source : std::nullopt, false);
      setFact(kFacts[1], name, isMove && !isSaved ? source : std::nullopt,
              isSaved);
      setFact(kFacts[2], name,
              isSave            ? std::optional<std::string>("exec_lo")
              : isMove || isEnd ? source
                                : std::nullopt,
              false);
    }
  }
  if (isSave || opcode.starts_with("v_cmpx"))
    setFact(kFacts[2], "exec_lo", std::nullopt, false);
}

/// False for what is not known.
bool Reader::addScalar(Instruction &instruction, StringRef opcode,
                       ArrayRef<StringRef> operands) {
  StringRef stem = opcode.drop_front(2);
  if (startsWithAny(stem, {"waitcnt", "nop", "barrier", "setprio", "sleep",
                           "dcache", "icache", "sendmsg", "setreg", "ttrace",
                           "trap", "code_end", "set_gpr_idx"}))
    return !startsWithAny(stem, {"set_gpr_idx", "trap"});
  if (operands.empty())
    return false;
  auto uses = [&](size_t begin) {
    for (StringRef operand : operands.drop_front(begin))
      addRegisters(instruction.uses, operand);
  };
  Reg scc = kernel->reg("scc");
  if (startsWithAny(stem, {"cmp_", "cmpk_", "bitcmp"})) {
    uses(0);
    instruction.defs.push_back(scc);
    return true;
  }
  addRegisters(instruction.defs, operands[0]);
  if (startsWithAny(stem, {"load_", "buffer_load_"})) {
    uses(1);
    // Whether the address is that of the arguments is a fact of its register.
    for (const std::string &base : namesOf(operands[1]))
      instruction.uses.push_back(fact(kFacts[0], base));
    return true;
  }
  if (startsWithAny(stem, {"memtime", "memrealtime", "getreg"})) {
    instruction.data = "what differs from call to call";
    return true;
  }
  if (startsWithAny(stem, {"getpc"}))
    return true;
  if (stem.contains("_saveexec_")) {
    // What is saved is exec's mask alone; a register may be both operands.
    instruction.defs.clear();
    uses(1);
    addRegisters(instruction.uses, "exec");
    addRegisters(instruction.defs, "exec");
    instruction.defs.push_back(scc);
    return true;
  }
  if (stem == "or_b64" && operands[0] == "exec" && operands.size() > 2 &&
      operands[1] == "exec") {
    addRegisters(instruction.uses, operands[2]);
    for (const std::string &name : namesOf(operands[2]))
      instruction.uses.push_back(fact(kFacts[1], name));
    instruction.defs.push_back(scc);
    return true;
  }
  if (startsWithAny(stem, {"cselect_", "addc_", "subb_", "cmov_"}))
    instruction.uses.push_back(scc);
  instruction.isPartial = startsWithAny(stem, {"cmov_", "bitset", "cmovk_"});
  // Constants of 16 bits are added to what is there.
  uses(startsWithAny(stem, {"addk_", "mulk_", "bitset"}) ? 0 : 1);
  static const StringRef kKeep[] = {"mov_",   "movk_", "mul_",  "cselect_",
                                    "brev_",  "ff1_",  "ff0_",  "flbit_",
                                    "sext_",  "bfm_",  "pack_", "mulk_",
                                    "bitset", "cmov_", "cmovk_"};
  static const StringRef kWrite[] = {
      "add_",     "addk_",  "addc_",  "sub_",   "subb_",  "and_",
      "or_",      "xor_",   "andn1_", "andn2_", "orn2_",  "nand_",
      "nor_",     "xnor_",  "not_",   "lshl_",  "lshr_",  "ashr_",
      "bfe_",     "min_",   "max_",   "bcnt1_", "bcnt0_", "abs_",
      "absdiff_", "lshl1_", "lshl2_", "lshl3_", "lshl4_", "wqm_"};
  if (startsWithAny(stem, kKeep))
    return true;
  instruction.defs.push_back(scc);
  return startsWithAny(stem, kWrite);
}

bool Reader::addVector(Instruction &instruction, StringRef opcode,
                       ArrayRef<StringRef> operands) {
  StringRef stem = opcode.drop_front(2);
  // A lane that does not take part keeps what it has.
  addRegisters(instruction.uses, "exec");
  instruction.isPartialBy = fact(kFacts[2], "exec_lo");
  if (operands.empty())
    return stem == "nop";
  size_t results = 1;
  addRegisters(instruction.defs, operands[0]);
  // Carries, and masks beside a result.
  if (operands.size() > 1 &&
      (stem.contains("_co_") ||
       startsWithAny(stem, {"div_scale", "mad_u64", "mad_i64"}))) {
    addRegisters(instruction.defs, operands[1]);
    results = 2;
  }
  for (StringRef operand : operands.drop_front(results))
    addRegisters(instruction.uses, operand);
  if (stem.starts_with("cmpx"))
    addRegisters(instruction.defs, "exec");
  // Sums, parts of registers, and what other lanes do not write.
  if (startsWithAny(stem, {"fmac", "mac", "pk_fmac", "dot2c", "dot4c", "swap",
                           "writelane"}) ||
      stem.contains("_sdwa") || stem.contains("_dpp") ||
      stem.contains("_d16")) {
    addRegisters(instruction.uses, operands[0]);
    instruction.isPartial = true;
  }
  if (stem.starts_with("swap"))
    addRegisters(instruction.defs, operands[1]);
  // Of one lane, whatever takes part in a write of a scalar register.
  if (startsWithAny(stem, {"cmp", "readlane", "readfirstlane"}))
    instruction.isPartialBy.reset();
  instruction.isPlain = !namesOf(operands[0]).empty() &&
                        namesOf(operands[0]).front()[0] != 's' &&
                        !stem.starts_with("cmp");
  return true;
}

bool Reader::addMemory(Instruction &instruction, StringRef opcode,
                       ArrayRef<StringRef> operands) {
  addRegisters(instruction.uses, "exec");
  bool isExchange =
      startsWithAny(opcode, {"ds_bpermute", "ds_permute", "ds_swizzle"});
  bool isRead =
      !isExchange && (opcode.contains("_load") || opcode.contains("_read") ||
                      opcode.contains("_atomic") || opcode.contains("_rtn"));
  bool isWrite =
      opcode.contains("_store") || opcode.contains("_write") ||
      startsWithAny(opcode, {"buffer_wb", "buffer_inv", "buffer_gl", "ds_nop"});
  if (!isRead && !isExchange && !isWrite)
    return false;
  for (StringRef operand : operands)
    addRegisters(instruction.uses, operand);
  instruction.isPlain = isWrite && !isRead;
  if ((!isRead && !isExchange) || operands.empty())
    return true;
  addRegisters(instruction.defs, operands[0]);
  if (isRead)
    instruction.data = kMemory;
  instruction.isPartialBy = fact(kFacts[2], "exec_lo");
  return true;
}

void Reader::addControl(Instruction &instruction, StringRef opcode,
                        ArrayRef<StringRef> operands) {
  instruction.falls = false;
  if (startsWithAny(opcode, {"s_setpc", "s_swappc", "s_call", "s_cbranch_g",
                             "s_cbranch_i", "s_cbranch_j"})) {
    kernel->problem("line " + Twine(instruction.line) +
                    ": jumps to what is not followed: " + instruction.text);
    return;
  }
  if (opcode.starts_with("s_endpgm"))
    return;
  instruction.targets.push_back(operands.empty() ? "" : operands[0].str());
  if (opcode == "s_branch")
    return;
  instruction.falls = instruction.isBranch = true;
  if (opcode.contains("_scc"))
    instruction.uses.push_back(kernel->reg("scc"));
  else
    addRegisters(instruction.uses, opcode.contains("_vcc") ? "vcc" : "exec");
  // With no lane, stores do nothing: they may as well be skipped.
  instruction.mayGuard = opcode == "s_cbranch_execz";
}

void Reader::add(StringRef statement, unsigned line) {
  Instruction instruction;
  instruction.line = line;
  instruction.text = statement.str();
  StringRef opcode = statement.take_until(isSpace);
  SmallVector<StringRef> operands =
      splitOperands(statement.drop_front(opcode.size()));
  bool isKnown = true;
  bool isControl = startsWithAny(opcode, {"s_branch", "s_cbranch", "s_endpgm",
                                          "s_setpc", "s_swappc", "s_call"});
  if (isControl)
    addControl(instruction, opcode, operands);
  else if (opcode.starts_with("s_"))
    isKnown = addScalar(instruction, opcode, operands);
  else if (opcode.starts_with("v_"))
    isKnown = addVector(instruction, opcode, operands);
  else
    isKnown = startsWithAny(
                  opcode, {"global_", "flat_", "scratch_", "buffer_", "ds_"}) &&
              addMemory(instruction, opcode, operands);
  // Waiting is no work.
  instruction.isPlain |=
      startsWithAny(opcode, {"s_waitcnt", "s_nop", "s_sleep"});
  if (!isKnown)
    kernel->problem("line " + Twine(line) +
                    ": is not known: " + instruction.text);
  bool writesFirst = !instruction.defs.empty() &&
                     !startsWithAny(opcode, {"s_cmp", "s_bitcmp"});
  bool isSave = opcode.contains("_saveexec_") && !operands.empty();
  Reg saved = kernel->reg("saved mask");
  if (isSave)
    copyMask("exec", {}, saved);
  kernel->code.push_back(std::move(instruction));
  if (isSave)
    copyMask({}, operands[0], saved);
  if (!isControl)
    addFacts(opcode, operands, writesFirst);
}

bool Reader::run(std::string &error) {
  readDirectives();
  unsigned number = 0;
  for (StringRef line : split(text, '\n')) {
    ++number;
    line = line.split(';').first.split("//").first.trim();
    if (line.empty())
      continue;
    if (line.ends_with(":")) {
      StringRef label = line.drop_back();
      if (arguments.contains(label))
        begin(label);
      else if (kernel)
        kernel->label(label);
    } else if (line.starts_with(".section") || line.starts_with(".size")) {
      kernel = nullptr;
    } else if (kernel && !line.starts_with(".")) {
      add(line, number);
    }
  }
  if (!arguments.empty())
    return true;
  error = "the assembly has no .amdhsa_kernel, which says how kernels begin";
  return false;
}

bool moe::branchcheck::device::readGCN(StringRef text, Kernels &kernels,
                                       std::string &error) {
  return Reader(text, kernels).run(error);
}
