//===- MoekOpBase.td - What the ops of the kernel-level dialect share -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_OPBASE_TD
#define MOEK_OPBASE_TD

include "moek/MoekDialect.td"
include "moek/MoekInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Moek_Op<string mnemonic, list<Trait> traits = []>
    : Op<Moek_Dialect, mnemonic, traits>;

// Destination style: pure on tensors, reads its inputs and writes its inits on
// memrefs.
class Moek_DstOp<string mnemonic, list<Trait> traits = []>
    : Moek_Op<mnemonic, !listconcat(traits, [
        DestinationStyleOpInterface,
        MemoryEffectsOpInterface])> {
  // Ops that declare more of their own repeat `dpsDeclarations`.
  code dpsDeclarations = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return getOutputsMutable();
    }
    void getEffects(::llvm::SmallVectorImpl<::mlir::SideEffects::EffectInstance<
                        ::mlir::MemoryEffects::Effect>> &effects) {
      ::moek::detail::getDestinationEffects(*this, effects);
    }
  }];
  let extraClassDeclaration = dpsDeclarations;
}

def Moek_Shaped : AnyTypeOf<[AnyRankedTensor, AnyStridedMemRef]>;

def Moek_YieldOp : Moek_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "Ends a region of a kernel and gives its results";
  let description = [{
    Ends the regions of `moek.route`, `moek.grouped_matmul` and `moek.row_map`.

    ```mlir
    func.func @double(%offsets: memref<9xi32>, %x: memref<?x64xf32>) {
      moek.row_map groups(%offsets : memref<9xi32>) rows(%x : memref<?x64xf32>)
          outs(%x : memref<?x64xf32>) body {
      ^bb0(%row: vector<64xf32>):
        %v = arith.addf %row, %row : vector<64xf32>
        moek.yield %v : vector<64xf32>
      }
      return
    }
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
}

#endif // MOEK_OPBASE_TD
