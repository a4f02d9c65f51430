//===- SPIRVOpcodes.cpp - The form of operations in SPIR-V ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "SPIRVOpcodes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace llvm;
using namespace moe::branchcheck::device::spirv;

// clang-format off
static constexpr Opcode kOpcodes[] = {
    {0, false, false, "", "OpNop"},
    {1, true, true, "", "OpUndef"},
    {2, false, false, "l", "OpSourceContinued"},
    {3, false, false, "l", "OpSource"},
    {4, false, false, "\"", "OpSourceExtension"},
    {5, false, false, "%\"", "OpName"},
    {6, false, false, "%#\"", "OpMemberName"},
    {7, false, true, "\"", "OpString"},
    {8, false, false, "%##", "OpLine"},
    {10, false, false, "\"", "OpExtension"},
    {11, false, true, "\"", "OpExtInstImport"},
    {12, true, true, "%#v", "OpExtInst"},
    {14, false, false, "l", "OpMemoryModel"},
    {15, false, false, "#%\"v", "OpEntryPoint"},
    {16, false, false, "%l", "OpExecutionMode"},
    {17, false, false, "l", "OpCapability"},
    {19, false, true, "", "OpTypeVoid"},
    {20, false, true, "", "OpTypeBool"},
    {21, false, true, "l", "OpTypeInt"},
    {22, false, true, "l", "OpTypeFloat"},
    {23, false, true, "%#", "OpTypeVector"},
    {24, false, true, "%#", "OpTypeMatrix"},
    {27, false, true, "v", "OpTypeSampledImage"},
    {28, false, true, "v", "OpTypeArray"},
    {29, false, true, "v", "OpTypeRuntimeArray"},
    {30, false, true, "v", "OpTypeStruct"},
    {32, false, true, "S%", "OpTypePointer"},
    {33, false, true, "v", "OpTypeFunction"},
    {39, false, false, "%S", "OpTypeForwardPointer"},
    {41, true, true, "", "OpConstantTrue"},
    {42, true, true, "", "OpConstantFalse"},
    {43, true, true, "l", "OpConstant"},
    {44, true, true, "v", "OpConstantComposite"},
    {46, true, true, "", "OpConstantNull"},
    {48, true, true, "", "OpSpecConstantTrue"},
    {49, true, true, "", "OpSpecConstantFalse"},
    {50, true, true, "l", "OpSpecConstant"},
    {51, true, true, "v", "OpSpecConstantComposite"},
    {52, true, true, "#v", "OpSpecConstantOp"},
    {54, true, true, "#%", "OpFunction"},
    {55, true, true, "", "OpFunctionParameter"},
    {56, false, false, "", "OpFunctionEnd"},
    {57, true, true, "v", "OpFunctionCall"},
    {59, true, true, "S%", "OpVariable"},
    {61, true, true, "%l", "OpLoad"},
    {62, false, false, "%%l", "OpStore"},
    {65, true, true, "v", "OpAccessChain"},
    {67, true, true, "v", "OpPtrAccessChain"},
    {70, true, true, "v", "OpInBoundsPtrAccessChain"},
    {71, false, false, "%l", "OpDecorate"},
    {72, false, false, "%l", "OpMemberDecorate"},
    {77, true, true, "v", "OpVectorExtractDynamic"},
    {78, true, true, "v", "OpVectorInsertDynamic"},
    {79, true, true, "%%l", "OpVectorShuffle"},
    {80, true, true, "v", "OpCompositeConstruct"},
    {81, true, true, "%l", "OpCompositeExtract"},
    {82, true, true, "%%l", "OpCompositeInsert"},
    {83, true, true, "%", "OpCopyObject"},
    {84, true, true, "v", "OpTranspose"},
    {109, true, true, "%", "OpConvertFToU"},
    {110, true, true, "%", "OpConvertFToS"},
    {111, true, true, "%", "OpConvertSToF"},
    {112, true, true, "%", "OpConvertUToF"},
    {113, true, true, "%", "OpUConvert"},
    {114, true, true, "%", "OpSConvert"},
    {115, true, true, "%", "OpFConvert"},
    {117, true, true, "%", "OpConvertPtrToU"},
    {120, true, true, "%", "OpConvertUToPtr"},
    {121, true, true, "%", "OpPtrCastToGeneric"},
    {122, true, true, "%", "OpGenericCastToPtr"},
    {124, true, true, "%", "OpBitcast"},
    {126, true, true, "v", "OpSNegate"},
    {127, true, true, "v", "OpFNegate"},
    {128, true, true, "v", "OpIAdd"},
    {129, true, true, "v", "OpFAdd"},
    {130, true, true, "v", "OpISub"},
    {131, true, true, "v", "OpFSub"},
    {132, true, true, "v", "OpIMul"},
    {133, true, true, "v", "OpFMul"},
    {134, true, true, "v", "OpUDiv"},
    {135, true, true, "v", "OpSDiv"},
    {136, true, true, "v", "OpFDiv"},
    {137, true, true, "v", "OpUMod"},
    {138, true, true, "v", "OpSRem"},
    {139, true, true, "v", "OpSMod"},
    {140, true, true, "v", "OpFRem"},
    {141, true, true, "v", "OpFMod"},
    {142, true, true, "v", "OpVectorTimesScalar"},
    {143, true, true, "v", "OpMatrixTimesScalar"},
    {145, true, true, "v", "OpMatrixTimesVector"},
    {146, true, true, "v", "OpMatrixTimesMatrix"},
    {148, true, true, "v", "OpDot"},
    {149, true, true, "v", "OpIAddCarry"},
    {150, true, true, "v", "OpISubBorrow"},
    {151, true, true, "v", "OpUMulExtended"},
    {152, true, true, "v", "OpSMulExtended"},
    {156, true, true, "v", "OpIsNan"},
    {157, true, true, "v", "OpIsInf"},
    {158, true, true, "v", "OpIsFinite"},
    {162, true, true, "v", "OpOrdered"},
    {163, true, true, "v", "OpUnordered"},
    {164, true, true, "v", "OpLogicalEqual"},
    {165, true, true, "v", "OpLogicalNotEqual"},
    {166, true, true, "v", "OpLogicalOr"},
    {167, true, true, "v", "OpLogicalAnd"},
    {168, true, true, "v", "OpLogicalNot"},
    {169, true, true, "v", "OpSelect"},
    {170, true, true, "v", "OpIEqual"},
    {171, true, true, "v", "OpINotEqual"},
    {172, true, true, "v", "OpUGreaterThan"},
    {173, true, true, "v", "OpSGreaterThan"},
    {174, true, true, "v", "OpUGreaterThanEqual"},
    {175, true, true, "v", "OpSGreaterThanEqual"},
    {176, true, true, "v", "OpULessThan"},
    {177, true, true, "v", "OpSLessThan"},
    {178, true, true, "v", "OpULessThanEqual"},
    {179, true, true, "v", "OpSLessThanEqual"},
    {180, true, true, "v", "OpFOrdEqual"},
    {181, true, true, "v", "OpFUnordEqual"},
    {182, true, true, "v", "OpFOrdNotEqual"},
    {183, true, true, "v", "OpFUnordNotEqual"},
    {184, true, true, "v", "OpFOrdLessThan"},
    {185, true, true, "v", "OpFUnordLessThan"},
    {186, true, true, "v", "OpFOrdGreaterThan"},
    {187, true, true, "v", "OpFUnordGreaterThan"},
    {188, true, true, "v", "OpFOrdLessThanEqual"},
    {189, true, true, "v", "OpFUnordLessThanEqual"},
    {190, true, true, "v", "OpFOrdGreaterThanEqual"},
    {191, true, true, "v", "OpFUnordGreaterThanEqual"},
    {194, true, true, "v", "OpShiftRightLogical"},
    {195, true, true, "v", "OpShiftRightArithmetic"},
    {196, true, true, "v", "OpShiftLeftLogical"},
    {197, true, true, "v", "OpBitwiseOr"},
    {198, true, true, "v", "OpBitwiseXor"},
    {199, true, true, "v", "OpBitwiseAnd"},
    {200, true, true, "v", "OpNot"},
    {201, true, true, "v", "OpBitFieldInsert"},
    {202, true, true, "v", "OpBitFieldSExtract"},
    {203, true, true, "v", "OpBitFieldUExtract"},
    {204, true, true, "v", "OpBitReverse"},
    {205, true, true, "v", "OpBitCount"},
    {224, false, false, "v", "OpControlBarrier"},
    {225, false, false, "v", "OpMemoryBarrier"},
    {229, true, true, "v", "OpAtomicExchange"},
    {230, true, true, "v", "OpAtomicCompareExchange"},
    {231, true, true, "v", "OpAtomicCompareExchangeWeak"},
    {232, true, true, "v", "OpAtomicIIncrement"},
    {233, true, true, "v", "OpAtomicIDecrement"},
    {234, true, true, "v", "OpAtomicIAdd"},
    {235, true, true, "v", "OpAtomicISub"},
    {236, true, true, "v", "OpAtomicSMin"},
    {237, true, true, "v", "OpAtomicUMin"},
    {238, true, true, "v", "OpAtomicSMax"},
    {239, true, true, "v", "OpAtomicUMax"},
    {240, true, true, "v", "OpAtomicAnd"},
    {241, true, true, "v", "OpAtomicOr"},
    {242, true, true, "v", "OpAtomicXor"},
    {245, true, true, "v", "OpPhi"},
    {246, false, false, "%%l", "OpLoopMerge"},
    {247, false, false, "%l", "OpSelectionMerge"},
    {248, false, true, "", "OpLabel"},
    {249, false, false, "%", "OpBranch"},
    {250, false, false, "%%%l", "OpBranchConditional"},
    {251, false, false, "%%p", "OpSwitch"},
    {252, false, false, "", "OpKill"},
    {253, false, false, "", "OpReturn"},
    {254, false, false, "%", "OpReturnValue"},
    {255, false, false, "", "OpUnreachable"},
    {317, false, false, "", "OpNoLine"},
    {330, false, false, "l", "OpModuleProcessed"},
    {333, true, true, "v", "OpGroupNonUniformElect"},
    {334, true, true, "v", "OpGroupNonUniformAll"},
    {335, true, true, "v", "OpGroupNonUniformAny"},
    {336, true, true, "v", "OpGroupNonUniformAllEqual"},
    {337, true, true, "v", "OpGroupNonUniformBroadcast"},
    {339, true, true, "v", "OpGroupNonUniformBallot"},
    {342, true, true, "%#v", "OpGroupNonUniformBallotBitCount"},
    {343, true, true, "v", "OpGroupNonUniformBallotFindLSB"},
    {344, true, true, "v", "OpGroupNonUniformBallotFindMSB"},
    {345, true, true, "v", "OpGroupNonUniformShuffle"},
    {346, true, true, "v", "OpGroupNonUniformShuffleXor"},
    {347, true, true, "v", "OpGroupNonUniformShuffleUp"},
    {348, true, true, "v", "OpGroupNonUniformShuffleDown"},
    {349, true, true, "%#v", "OpGroupNonUniformIAdd"},
    {350, true, true, "%#v", "OpGroupNonUniformFAdd"},
    {351, true, true, "%#v", "OpGroupNonUniformIMul"},
    {352, true, true, "%#v", "OpGroupNonUniformFMul"},
    {353, true, true, "%#v", "OpGroupNonUniformSMin"},
    {354, true, true, "%#v", "OpGroupNonUniformUMin"},
    {355, true, true, "%#v", "OpGroupNonUniformFMin"},
    {356, true, true, "%#v", "OpGroupNonUniformSMax"},
    {357, true, true, "%#v", "OpGroupNonUniformUMax"},
    {358, true, true, "%#v", "OpGroupNonUniformFMax"},
    {359, true, true, "%#v", "OpGroupNonUniformBitwiseAnd"},
    {360, true, true, "%#v", "OpGroupNonUniformBitwiseOr"},
    {361, true, true, "%#v", "OpGroupNonUniformBitwiseXor"},
    {362, true, true, "%#v", "OpGroupNonUniformLogicalAnd"},
    {363, true, true, "%#v", "OpGroupNonUniformLogicalOr"},
    {4450, true, true, "v", "OpSDot"},
    {4451, true, true, "v", "OpUDot"},
    {4452, true, true, "v", "OpSUDot"},
    {4453, true, true, "v", "OpSDotAccSat"},
    {4454, true, true, "v", "OpUDotAccSat"},
    {4455, true, true, "v", "OpSUDotAccSat"},
    {4456, false, true, "v", "OpTypeCooperativeMatrixKHR"},
    {6035, true, true, "v", "OpAtomicFAddEXT"},
};
// clang-format on

const Opcode *moe::branchcheck::device::spirv::findOpcode(uint16_t number) {
  auto found = partition_point(
      kOpcodes, [&](const Opcode &each) { return each.number < number; });
  return found != std::end(kOpcodes) && found->number == number ? found
                                                                : nullptr;
}

const Opcode *moe::branchcheck::device::spirv::findOpcode(StringRef name) {
  static const StringMap<const Opcode *> byName = [] {
    StringMap<const Opcode *> map;
    for (const Opcode &opcode : kOpcodes)
      map[opcode.name] = &opcode;
    return map;
  }();
  return byName.lookup(name);
}

StringRef moe::branchcheck::device::spirv::getStorageName(uint32_t storage) {
  switch (storage) {
  case 0:
    return "UniformConstant";
  case 1:
    return "Input";
  case 2:
    return "Uniform";
  case 4:
    return "Workgroup";
  case 6:
    return "Private";
  case 7:
    return "Function";
  case 9:
    return "PushConstant";
  case 12:
    return "StorageBuffer";
  case 5349:
    return "PhysicalStorageBuffer";
  default:
    return "another";
  }
}
