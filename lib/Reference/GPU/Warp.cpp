//===- Warp.cpp - Lanes in step and where they are --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Warp.h"

#include "Block.h"
#include "mlir/IR/Diagnostics.h"

using namespace mlir;
using namespace moe::reference::simt;

Warp::Warp(ThreadBlock &block, const Program &program, unsigned number,
           LaneMask exists)
    : block(block), program(program), number(number),
      numLanes(program.numLanes), exists(exists), active(exists),
      registers((size_t(program.numSlots) * numLanes + 1) / 2, 0),
      undefinedLanes(program.numSlots, 0), tickets(program.numSlots, 0) {
  for (const Program::Constant &constant : program.constants)
    for (unsigned lane = 0; lane < numLanes; ++lane)
      if (constant.isWide)
        get<uint64_t>(constant.slot)[lane] = constant.bits;
      else
        get<uint32_t>(constant.slot)[lane] = constant.bits;
  for (Slot slot : program.undefined)
    undefined(slot) = allLanes(numLanes);
  // Times of 0 are of what has not happened.
  knowledge.seen[ofWarp(number)] = 1;
}

Outcome Warp::run(unsigned most) {
  waitsFor.clear();
  for (; most; --most) {
    const Instruction &instruction = program.code[pc];
    if (instruction.isPlain) {
      LaneMask lanes = 0;
      for (Slot slot : instruction.operands)
        lanes |= undefinedLanes[slot];
      if (lanes && reportTicket(instruction))
        return Outcome::Fail;
      instruction.run(*this, instruction);
      for (Slot slot : instruction.results)
        undefinedLanes[slot] = lanes;
      ++pc;
      continue;
    }
    ++turn;
    switch (Outcome outcome = instruction.run(*this, instruction)) {
    case Outcome::Next:
      ++pc;
      break;
    case Outcome::Jump:
      break;
    default:
      return outcome;
    }
  }
  return Outcome::Next;
}

bool Warp::reportTicket(const Instruction &instruction) {
  for (Slot slot : instruction.operands)
    if (tickets[slot]) {
      fail(instruction,
           "reads sums of a product that is in flight: no wait for it is "
           "before");
      return true;
    }
  return false;
}

bool Warp::checkDefined(const Instruction &instruction, Slot slot,
                        const Twine &what) {
  if (tickets[slot])
    return !reportTicket(instruction);
  LaneMask lanes = undefinedLanes[slot] & active;
  if (!lanes)
    return true;
  fail(instruction,
       what + " was made of memory that nobody wrote, or of poison",
       firstLane(lanes), undefinedRead,
       "the last such read is here, of address 0x" +
           Twine::utohexstr(undefinedAddress));
  return false;
}

Outcome Warp::fail(const Instruction &instruction, const Twine &message,
                   int lane, const Instruction *other, const Twine &note) {
  if (!block.beginReport())
    return Outcome::Fail;
  InFlightDiagnostic error = emitError(instruction.op->getLoc());
  error << "kernel '" << program.name << "', block " << block.number << ", ";
  if (lane < 0)
    error << "warp " << number;
  else
    error << "thread " << number * numLanes + lane;
  error << ": '" << instruction.op->getName() << "': " << message.str();
  if (other)
    error.attachNote(other->op->getLoc())
        << "'" << other->op->getName() << "': " << note.str();
  return Outcome::Fail;
}
