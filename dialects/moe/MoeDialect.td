//===- MoeDialect.td - The moe dialect ---------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The dialect itself and the base classes of its types, attributes and ops.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_TD
#define MOE_DIALECT_TD

include "mlir/IR/OpBase.td"

def Moe_Dialect : Dialect {
  let name = "moe";
  let cppNamespace = "::moe";
  let summary = "Mixture-of-Experts layers on tensors: what is computed, not how";
  let description = [{
    The `moe` dialect says *what* a Mixture-of-Experts layer computes. Four
    steps, each an op, are connected by one value of type `!moe.routing`:

    | step | op | in words |
    |---|---|---|
    | choose | `moe.router` | scores become a list of (token, expert, weight) |
    | gather | `moe.dispatch` | rows of the input, in the order of the list |
    | compute | `moe.expert` | each expert's body on its own rows |
    | sum | `moe.combine` | rows go back to their tokens, weighted |

    How logits become scores is ordinary `linalg`, `arith` and `math` IR in
    front of the router. Which experts are chosen is an attribute that
    implements `SelectionPolicyAttrInterface`; how chosen values become weights
    is a list of attributes that implement `WeighingAttrInterface`, or a
    region; what an expert does is a region, in most models holding one
    `moe.ffn`. None of them is an enum: a plugin's attribute works everywhere
    the built-in ones do.

    Whole layer of Qwen3-MoE, given its scores:

    ```mlir
    func.func @qwen3(%x: tensor<?x2048xf32>, %s: tensor<?x128xf32>,
        %wg: tensor<128x768x2048xbf16>, %wu: tensor<128x768x2048xbf16>,
        %wd: tensor<128x2048x768xbf16>) -> tensor<?x2048xf32> {
      %r = moe.router #moe.top_k<8> select(%s) weigh(%s)
          weighing [#moe.normalize<sum, eps = 0.0>]
          : tensor<?x128xf32> -> !moe.routing<128 x 8>
      %rows = moe.dispatch %x by %r
          : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x2048xf32>, !moe.routing<128 x 8>) -> tensor<?x2048xf32>
      experts 0 to 128 weights(%wg, %wu, %wd : tensor<128x768x2048xbf16>,
          tensor<128x768x2048xbf16>, tensor<128x2048x768xbf16>) {
      ^bb0(%t: tensor<?x2048xf32>, %g: tensor<768x2048xbf16>,
           %u: tensor<768x2048xbf16>, %d: tensor<2048x768xbf16>):
        %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
            : (tensor<?x2048xf32>, tensor<768x2048xbf16>, tensor<768x2048xbf16>,
               tensor<2048x768xbf16>) -> tensor<?x2048xf32>
        moe.yield %f : tensor<?x2048xf32>
      }
      %y = moe.combine %out by %r
          : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
      return %y : tensor<?x2048xf32>
    }
    ```

    A function may say where its weights are in the files of a model, in
    `moe.checkpoint`: for the `moe.name` of an argument, a tensor of the checkpoint
    and what is to be done to it. `{e}` stands for the number of an expert, of which
    there are as many as the argument has along its first dimension. Tools read
    weights by it; compiled code does not depend on it.

    ```mlir
    func.func private @layer(%x: tensor<?x64xf32>,
        %g: tensor<8x32x64xbf16> {moe.name = "experts.gate_proj"},
        %u: tensor<8x32x64xbf16> {moe.name = "experts.up_proj"}) -> tensor<?x64xf32>
      attributes {moe.checkpoint = {
        experts.gate_proj = "model.layers.0.mlp.experts.{e}.gate_proj.weight",
        experts.up_proj = "model.layers.0.mlp.up | transpose(1, 2)"}}
    ```

    Letters used throughout: T tokens, H hidden size, I intermediate size of an
    expert, E experts, K slots of a token, A assignments (A <= T * K).
  }];

  let dependentDialects = [
    "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect",
    "::mlir::vector::VectorDialect"
  ];

  let hasConstantMaterializer = 1;
  let hasOperationAttrVerify = 1;
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;

  let extraClassDeclaration = [{
  private:
    void registerTypes();
    void registerAttributes();

  public:
    /// Of functions: a dictionary that says of arguments, by their `moe.name`,
    /// how they are made from the tensors of a checkpoint; see
    /// moe-mlir/Checkpoint/TensorExpression.h.
    static constexpr ::llvm::StringLiteral getCheckpointAttrName() {
      return "moe.checkpoint";
    }
    /// Of declarations of functions: an ExternalAttr.
    static constexpr ::llvm::StringLiteral getExternalAttrName() {
      return "moe.external";
    }
  }];
}

#endif // MOE_DIALECT_TD
