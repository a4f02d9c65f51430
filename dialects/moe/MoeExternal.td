//===- MoeExternal.td - C functions that experts call -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_EXTERNAL_TD
#define MOE_EXTERNAL_TD

include "mlir/IR/EnumAttr.td"
include "moe/MoeAttrs.td"

def Moe_OnFailure : I32EnumAttr<"OnFailure", "what follows a call that failed", [
    I32EnumAttrCase<"End", 0, "end">,
    I32EnumAttrCase<"Zeros", 1, "zeros">]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}

def Moe_ExternalAttr : Moe_Attr<"External", "external"> {
  let summary = "a C function that experts call";
  let description = [{
    The attribute `moe.external` of a declaration makes it a C function that
    bodies of `moe.expert` call with `func.call`. It gets rows of one expert and
    writes as many:

    ```c
    int NAME(const moe_rt *rt, int64_t expert, int64_t rows, const float *x, ..., float *y);
    ```

    `expert` is the number of the expert in its layer. What the declaration has
    follows, contiguous and row-major: first rows of the expert, `tensor<?xNxT>`
    with T one of f32, i32 and i64, then weights of its body, tensors of static
    shapes. The result is `tensor<?xMxf32>`. Any number of calls may run at
    once, on any threads; none has no rows.

    | parameter | meaning |
    |---|---|
    | `on_failure` | what follows a result that is not 0: `end` ends the call of the layer with `MOE_ERR_EXPERT`; `zeros` makes the rows of this call zeros, so that an expert whose body yields them counts as none |
    | `batch` | the most rows of a call; 0 for all of an expert |

    ```mlir
    func.func private @search(tensor<?x64xf32>, tensor<100x64xf32>) -> tensor<?x64xf32>
        attributes {moe.external = #moe.external<on_failure = zeros, batch = 128>}

    func.func @layer(%rows: tensor<?x64xf32>, %r: !moe.routing<2 x 1>,
                     %w: tensor<2x100x64xf32>) -> tensor<?x64xf32> {
      %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<2 x 1>) -> tensor<?x64xf32>
      experts 0 to 2 weights(%w : tensor<2x100x64xf32>) {
      ^bb0(%t: tensor<?x64xf32>, %own: tensor<100x64xf32>):
        %y = func.call @search(%t, %own)
            : (tensor<?x64xf32>, tensor<100x64xf32>) -> tensor<?x64xf32>
        moe.yield %y : tensor<?x64xf32>
      }
      return %out : tensor<?x64xf32>
    }
    ```
  }];
  let parameters = (ins
    DefaultValuedParameter<Moe_EnumParameter<Moe_OnFailure>.cppType,
                           "OnFailure::End", "what follows a failure">:$on_failure,
    DefaultValuedParameter<"int64_t", "0", "rows of a call">:$batch);
  let assemblyFormat = "(`<` struct(params)^ `>`)?";
  let genVerifyDecl = 1;
}

#endif // MOE_EXTERNAL_TD
