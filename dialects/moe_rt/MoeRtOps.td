//===- MoeRtOps.td - The dialect of the runtime's hooks -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOERT_OPS_TD
#define MOERT_OPS_TD

include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def MoeRt_Dialect : Dialect {
  let name = "moe_rt";
  let cppNamespace = "::moert";
  let summary = "What compiled code asks of the runtime";
  let description = [{
    The hooks of `moe_rt.h` as ops: threads, the trace and the end of a call with
    a status. They stand beside kernels and among their loops, whatever the
    target; `moek-lower-runtime-ops` turns them into calls of the hooks.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def MoeRt_Status : I32EnumAttr<"Status", "what a failed check makes a call return", [
    I32EnumAttrCase<"BadSize", 2, "bad_size">,
    I32EnumAttrCase<"BadRouting", 6, "bad_routing">,
    I32EnumAttrCase<"BadValue", 8, "bad_value">]> {
  let cppNamespace = "::moert";
  let genSpecializedAttr = 0;
}
def MoeRt_StatusAttr : EnumAttr<MoeRt_Dialect, MoeRt_Status, "status"> {
  let description = [{The numbers are those of `moe_status` in moe_rt.h.}];
  let assemblyFormat = "$value";
}

class MoeRt_Op<string mnemonic, list<Trait> traits = []>
    : Op<MoeRt_Dialect, mnemonic, traits>;

def MoeRt_NumThreadsOp : MoeRt_Op<"num_threads", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Threads of the runtime the entry point was called with";
  let description = [{
    The number that `moe_rt` gives, by which kernels choose how many items a
    parallel loop has. Results do not depend on it.

    ```mlir
    func.func @threads() -> index {
      %n = moe_rt.num_threads
      return %n : index
    }
    ```
  }];
  let results = (outs Index:$threads);
  let assemblyFormat = "attr-dict";
}

def MoeRt_TraceOp : MoeRt_Op<"trace", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Marks the begin or the end of a phase for the runtime's trace hook";
  let description = [{
    `kind` is `begin`, `end` or `routing`; the last takes `offsets`, `indices`
    and `weights`. Costs one test of a pointer when no hook is set.

    ```mlir
    func.func @traced(%offsets: memref<9xi32>, %indices: memref<?x2xi32>,
                      %weights: memref<?x2xf32>) {
      moe_rt.trace "begin" "route"
      moe_rt.trace "routing" "route" (%offsets, %indices, %weights
          : memref<9xi32>, memref<?x2xi32>, memref<?x2xf32>)
      moe_rt.trace "end" "route"
      return
    }
    ```
  }];
  let arguments = (ins StrAttr:$kind, StrAttr:$phase,
                       Variadic<AnyStridedMemRef>:$routing);
  let assemblyFormat = "$kind $phase (`(` $routing^ `:` type($routing) `)`)? attr-dict";
}

def MoeRt_CheckOp : MoeRt_Op<"check", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Makes the call return a status unless a condition holds";
  let description = [{
    If `ok` is false, the entry point tells the runtime's error hook `message`
    and returns `status` (`bad_size`, `bad_routing` or `bad_value`) at once:
    nothing behind the check runs, and no result has been written, since results
    that would be written before the last check of a function are kept in the
    workspace until it has passed.

    Stands in the body of a function, or in sequential `scf` ops there; threads
    cannot end a call. Works on tensors and memrefs alike. `runtime` is set by
    `moek-lower-runtime-ops`.

    ```mlir
    func.func @layer(%ok: i1) {
      moe_rt.check %ok, bad_value, "argument 'token_ids' holds an id out of range"
      return
    }
    ```
  }];
  let arguments = (ins I1:$ok, MoeRt_StatusAttr:$status, StrAttr:$message,
                       Optional<AnyType>:$runtime);
  let assemblyFormat = [{
    $ok `,` $status `,` $message
    (`runtime` `(` $runtime^ `:` type($runtime) `)`)? attr-dict
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Value":$ok, "::moert::Status":$status,
                   "const ::llvm::Twine &":$message), [{
      build($_builder, $_state, ok, status, $_builder.getStringAttr(message),
            ::mlir::Value());
    }]>
  ];
  let extraClassDeclaration = [{
    /// The innermost op around `block` from which a call cannot be ended; null
    /// if a check can stand in `block`.
    static ::mlir::Operation *findObstacle(::mlir::Block *block);
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

#endif // MOERT_OPS_TD
