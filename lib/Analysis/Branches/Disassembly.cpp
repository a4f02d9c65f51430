//===- Disassembly.cpp - Jumps in the bytes of an object --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Branches/Disassembly.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ELFObjectFile.h"

using namespace llvm;
using namespace moe::branchcheck;

bool moe::branchcheck::disassemble(MemoryBufferRef object,
                                   const TargetMachine &machine,
                                   StringMap<DisassembledFunction> &functions,
                                   std::string &error) {
  auto fail = [&](Error reason) {
    error = toString(std::move(reason));
    return false;
  };
  Expected<std::unique_ptr<object::ObjectFile>> file =
      object::ObjectFile::createObjectFile(object);
  if (!file)
    return fail(file.takeError());
  auto *elf = dyn_cast<object::ELFObjectFileBase>(file->get());
  if (!elf) {
    error = "not an ELF object, whose symbols tell how long functions are";
    return false;
  }
  const Triple &triple = machine.getTargetTriple();
  if (elf->getArch() != triple.getArch()) {
    error = ("an object for " + Triple::getArchTypeName(elf->getArch()) +
             ", but the IR is for " + triple.getArchName())
                .str();
    return false;
  }
  MCContext context(triple, machine.getMCAsmInfo(), machine.getMCRegisterInfo(),
                    machine.getMCSubtargetInfo());
  std::unique_ptr<MCDisassembler> decoder(
      machine.getTarget().createMCDisassembler(*machine.getMCSubtargetInfo(),
                                               context));
  if (!decoder) {
    error = "LLVM has no disassembler for this target";
    return false;
  }
  const MCInstrInfo &info = *machine.getMCInstrInfo();

  for (const object::ELFSymbolRef symbol : elf->symbols()) {
    Expected<object::SymbolRef::Type> type = symbol.getType();
    if (!type)
      return fail(type.takeError());
    if (*type != object::SymbolRef::ST_Function || symbol.getSize() == 0)
      continue;
    Expected<StringRef> name = symbol.getName();
    if (!name)
      return fail(name.takeError());
    Expected<object::section_iterator> section = symbol.getSection();
    if (!section)
      return fail(section.takeError());
    Expected<uint64_t> address = symbol.getAddress();
    if (!address)
      return fail(address.takeError());
    if (*section == elf->section_end())
      continue;
    Expected<StringRef> contents = (*section)->getContents();
    if (!contents)
      return fail(contents.takeError());
    uint64_t offset = *address - (*section)->getAddress();
    if (offset + symbol.getSize() > contents->size()) {
      error = ("symbol " + *name + " leaves its section").str();
      return false;
    }
    DisassembledFunction &function = functions[*name];
    if (function.definitions++ > 0)
      continue;
    function.bytes = contents->substr(offset, symbol.getSize()).str();
    ArrayRef<uint8_t> bytes = arrayRefFromStringRef(function.bytes);
    for (uint64_t at = 0; at < bytes.size();) {
      MCInst instruction;
      uint64_t size = 0;
      MCDisassembler::DecodeStatus status = decoder->getInstruction(
          instruction, size, bytes.slice(at), *address + at, nulls());
      if (size == 0)
        size = 1;
      at += size;
      if (status == MCDisassembler::Fail) {
        function.undecoded += size;
        continue;
      }
      ++function.instructions;
      const MCInstrDesc &what = info.get(instruction.getOpcode());
      if (what.isConditionalBranch())
        ++function.conditional;
      else if (what.isIndirectBranch())
        ++function.indirect;
    }
  }
  return true;
}
