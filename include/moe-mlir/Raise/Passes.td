//===- Passes.td - MoE layers out of other people's IR -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What exporters write becomes upstream's ops, and the layers in it those of
// `moe`. docs/raise.md says for whom, and what is recognised.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_PASSES
#define MOE_MLIR_RAISE_PASSES

include "mlir/Pass/PassBase.td"

defvar raiseDialects = [
  "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
  "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
  "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect",
  "::moe::MoeDialect"];

def ConvertForeign : Pass<"moe-convert-foreign", "::mlir::ModuleOp"> {
  let summary = "Say the ops of exporters in upstream's";
  let description = [{
    Ops of dialects that are not linked become ops of `linalg`, `tensor`, `arith`
    and `math`, by tables of their names: `stablehlo`, `chlo`, `torch`, `tm_tensor` and `onnx`. Every spelling
    of the K largest of a row becomes a `moe.router` with its
    `moe.routing.indices` and `moe.routing.weights`, in the order of
    `#moe.top_k`: where a text leaves ties and NaN open, this is one of the
    orders that it allows. Ops that no table has stay; a remark counts them.

    Before:
    ```mlir
    func.func @double(%a: tensor<4xf32>) -> tensor<4xf32> {
      %0 = "stablehlo.add"(%a, %a) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      return %0 : tensor<4xf32>
    }
    ```
    After:
    ```mlir
    // ...
    %0 = tensor.empty() : tensor<4xf32>
    %1 = linalg.generic ... ins(%a, %a : tensor<4xf32>, tensor<4xf32>) outs(%0 : tensor<4xf32>) {
    ^bb0(%x: f32, %y: f32, %out: f32):
      %2 = arith.addf %x, %y : f32
      linalg.yield %2 : f32
    } -> tensor<4xf32>
    // ...
    ```
  }];
  let dependentDialects = raiseDialects;
}

def NameArguments : Pass<"moe-name-arguments", "::mlir::ModuleOp"> {
  let summary = "Give arguments, results and sizes of entry points names";
  let description = [{
    Arguments of public functions without `moe.name` get that of their location,
    else `arg0`, `arg1`, ...; results `y`, or `y0`, `y1`, ... Dynamic sizes
    without `moe.dims` get `T` if there is one, else `D0`, `D1`, ...: each is a
    size of its own. Those of results are called as the size of an argument that
    they provably are, else `y0_d1` after result and dimension.

    Before:
    ```mlir
    func.func @f(%a: tensor<?x4xf32>) -> tensor<?x4xf32> {
      return %a : tensor<?x4xf32>
    }
    ```
    After:
    ```mlir
    func.func @f(%a: tensor<?x4xf32> {moe.dims = ["T"], moe.name = "arg0"})
        -> (tensor<?x4xf32> {moe.dims = ["T"], moe.name = "y"}) {
      return %a : tensor<?x4xf32>
    }
    ```
  }];
}

def RaiseSoftmax : Pass<"moe-raise-softmax"> {
  let summary = "Find softmax in what it is spelled by";
  let description = [{
    `exp(x - max x) / sum exp(x - max x)`, in whatever number of ops, becomes a
    `linalg.softmax`, whose order the router's passes know.

    Before:
    ```mlir
    func.func @softmax(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %low = arith.constant dense<0xFF800000> : tensor<4xf32>
      %zeros = arith.constant dense<0.0> : tensor<4xf32>
      %m = linalg.reduce {arith.maximumf} ins(%x : tensor<4x8xf32>)
          outs(%low : tensor<4xf32>) dimensions = [1]
      %e = tensor.empty() : tensor<4x8xf32>
      %mb = linalg.broadcast ins(%m : tensor<4xf32>) outs(%e : tensor<4x8xf32>) dimensions = [1]
      %d = arith.subf %x, %mb : tensor<4x8xf32>
      %p = math.exp %d : tensor<4x8xf32>
      %s = linalg.reduce {arith.addf} ins(%p : tensor<4x8xf32>)
          outs(%zeros : tensor<4xf32>) dimensions = [1]
      %sb = linalg.broadcast ins(%s : tensor<4xf32>) outs(%e : tensor<4x8xf32>) dimensions = [1]
      %y = linalg.div ins(%p, %sb : tensor<4x8xf32>, tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
    %y = linalg.softmax dimension(1) ins(%x : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) -> tensor<4x8xf32>
    // ...
    return %y : tensor<4x8xf32>
    // ...
    ```
  }];
  let dependentDialects = raiseDialects;
}

def RaiseCapacity : Pass<"moe-raise-capacity"> {
  let summary = "Find layers whose experts have a number of places";
  let description = [{
    GShard and Switch multiply with tensors [tokens, experts, places]. What computes

    ```
    rows[e, c, h] = sum(t, put[t, e, c] * x[t, h])
    y[t, h] = sum(e, c, taken[t, e, c] * f(rows[e, c], W[e])[h])
    ```

    becomes a `moe.router`, `moe.routing.limit`, dispatch, expert and combine, if
    `put` is 1 where the token has place c with expert e, and `taken` the weight
    there. The place is the number of tokens that chose the expert before: all
    first choices in the order of tokens, then all second ones. These numbers may
    be integers or floats. Choices are one top-k with one expert, or two of which
    the second masks the first by 0 or -infinity; probabilities of others are
    taken to be above 0. Weights that are normalised by what has a place are a
    `moe.routing.reweigh`. Remarks say what stops a layer.

    Before:
    ```mlir
    #mine = affine_map<(t, u) -> (t, 0)>
    #other = affine_map<(t, u) -> (u, 0)>
    #tokens = affine_map<(t, u) -> (t)>
    #chosen = affine_map<(t, e, c) -> (t, 0)>
    #token = affine_map<(t, e, c) -> (t)>
    #all = affine_map<(t, e, c) -> (t, e, c)>
    #put = affine_map<(e, c, h, t) -> (t, e, c)>
    #x = affine_map<(e, c, h, t) -> (t, h)>
    #out = affine_map<(e, c, h, t) -> (e, c, h)>
    #rows = affine_map<(e, c, o, i) -> (e, c, i)>
    #w = affine_map<(e, c, o, i) -> (e, o, i)>
    #taken = affine_map<(t, h, e, c) -> (t, e, c)>
    #f = affine_map<(t, h, e, c) -> (e, c, h)>
    #y = affine_map<(t, h, e, c) -> (t, h)>
    func.func @layer(%x: tensor<6x8xf32>, %p: tensor<6x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<6x8xf32> {
      %one = arith.constant 1.0 : f32
      %none = arith.constant 0.0 : f32
      %yes = arith.constant 1 : i32
      %no = arith.constant 0 : i32
      %r = moe.router #moe.top_k<1> select(%p) weigh(%p) : tensor<6x4xf32> -> !moe.routing<4 x 1>
      %i = moe.routing.indices %r : !moe.routing<4 x 1> -> tensor<6x1xi32>
      %v = moe.routing.weights %r : !moe.routing<4 x 1> -> tensor<6x1xf32>
      %nothing = arith.constant dense<0> : tensor<6xi32>
      %before = linalg.generic {indexing_maps = [#mine, #other, #tokens], iterator_types = ["parallel", "reduction"]}
          ins(%i, %i : tensor<6x1xi32>, tensor<6x1xi32>) outs(%nothing : tensor<6xi32>) {
      ^bb0(%a: i32, %b: i32, %sum: i32):
        %t = linalg.index 0 : index
        %u = linalg.index 1 : index
        %earlier = arith.cmpi slt, %u, %t : index
        %same = arith.cmpi eq, %b, %a : i32
        %count = arith.select %same, %yes, %no : i32
        %counted = arith.select %earlier, %count, %no : i32
        %next = arith.addi %sum, %counted : i32
        linalg.yield %next : i32
      } -> tensor<6xi32>
      %places = tensor.empty() : tensor<6x4x2xf32>
      %put = linalg.generic {indexing_maps = [#chosen, #token, #all], iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%i, %before : tensor<6x1xi32>, tensor<6xi32>) outs(%places : tensor<6x4x2xf32>) {
      ^bb0(%a: i32, %b: i32, %o: f32):
        %e = linalg.index 1 : index
        %c = linalg.index 2 : index
        %expert = arith.index_cast %a : i32 to index
        %place = arith.index_cast %b : i32 to index
        %mine = arith.cmpi eq, %expert, %e : index
        %here = arith.cmpi eq, %place, %c : index
        %has = arith.select %here, %one, %none : f32
        %is = arith.select %mine, %has, %none : f32
        linalg.yield %is : f32
      } -> tensor<6x4x2xf32>
      %taken = linalg.generic {indexing_maps = [#all, #chosen, #all], iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%put, %v : tensor<6x4x2xf32>, tensor<6x1xf32>) outs(%places : tensor<6x4x2xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %q = arith.mulf %a, %b : f32
        linalg.yield %q : f32
      } -> tensor<6x4x2xf32>
      %zeros = arith.constant dense<0.0> : tensor<4x2x8xf32>
      %start = arith.constant dense<0.0> : tensor<6x8xf32>
      %rows = linalg.contract indexing_maps = [#put, #x, #out]
          ins(%put, %x : tensor<6x4x2xf32>, tensor<6x8xf32>) outs(%zeros : tensor<4x2x8xf32>) -> tensor<4x2x8xf32>
      %f = linalg.contract indexing_maps = [#rows, #w, #out]
          ins(%rows, %w : tensor<4x2x8xf32>, tensor<4x8x8xf32>) outs(%zeros : tensor<4x2x8xf32>) -> tensor<4x2x8xf32>
      %y = linalg.contract indexing_maps = [#taken, #f, #y]
          ins(%taken, %f : tensor<6x4x2xf32>, tensor<4x2x8xf32>) outs(%start : tensor<6x8xf32>) -> tensor<6x8xf32>
      return %y : tensor<6x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
    %r = moe.router #moe.top_k<1> select(%p) weigh(%p) : tensor<6x4xf32> -> !moe.routing<4 x 1>
    %kept = moe.routing.limit %r capacity 2 : !moe.routing<4 x 1>
    %rows = moe.dispatch %x by %kept : tensor<6x8xf32>, !moe.routing<4 x 1> -> tensor<?x8xf32>
    // ...
    %y = moe.combine %out by %kept : tensor<?x8xf32>, !moe.routing<4 x 1> -> tensor<6x8xf32>
    // ...
    ```
  }];
  let dependentDialects = raiseDialects;
}

def RaiseTopK : Pass<"moe-raise-top-k"> {
  let summary = "Find top-k in the counts that moe-lower-to-linalg writes";
  let description = [{
    Ranks that are numbers of comparisons, and the list of the places of the first
    K ranks, become a `moe.router`. The bodies are run on numbers of every order:
    what they are spelled by does not matter.

    Before:
    ```mlir
    #own = affine_map<(t, e, o) -> (t, e)>
    #other = affine_map<(t, e, o) -> (t, o)>
    func.func @best(%z: tensor<6x4xf32>) -> tensor<6x2xi32> {
      %c0 = arith.constant 0 : i32
      %e = tensor.empty() : tensor<6x4xi32>
      %zeros = linalg.fill ins(%c0 : i32) outs(%e : tensor<6x4xi32>) -> tensor<6x4xi32>
      %ranks = linalg.generic {indexing_maps = [#own, #other, #own],
          iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%z, %z : tensor<6x4xf32>, tensor<6x4xf32>) outs(%zeros : tensor<6x4xi32>) {
      ^bb0(%a: f32, %b: f32, %n: i32):
        %i = linalg.index 1 : index
        %j = linalg.index 2 : index
        %earlier = arith.cmpi ult, %j, %i : index
        %number = arith.cmpf ord, %a, %a : f32
        %other = arith.cmpf ord, %b, %b : f32
        %more = arith.cmpf ogt, %b, %a : f32
        %larger = arith.select %number, %more, %other : i1
        %nan = arith.cmpf uno, %b, %b : f32
        %same = arith.cmpf oeq, %b, %a : f32
        %equal = arith.select %number, %same, %nan : i1
        %wins = arith.andi %equal, %earlier : i1
        %before = arith.ori %larger, %wins : i1
        %one = arith.extui %before : i1 to i32
        %sum = arith.addi %n, %one : i32
        linalg.yield %sum : i32
      } -> tensor<6x4xi32>
      %f = tensor.empty() : tensor<6x2xi32>
      %none = linalg.fill ins(%c0 : i32) outs(%f : tensor<6x2xi32>) -> tensor<6x2xi32>
      %places = linalg.generic {indexing_maps = [#other, #own],
          iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%ranks : tensor<6x4xi32>) outs(%none : tensor<6x2xi32>) {
      ^bb0(%rank: i32, %n: i32):
        %i = linalg.index 1 : index
        %k = arith.index_cast %i : index to i32
        %j = linalg.index 2 : index
        %e2 = arith.index_cast %j : index to i32
        %here = arith.cmpi eq, %rank, %k : i32
        %place = arith.select %here, %e2, %c0 : i32
        %sum = arith.addi %n, %place : i32
        linalg.yield %sum : i32
      } -> tensor<6x2xi32>
      return %places : tensor<6x2xi32>
    }
    ```
    After:
    ```mlir
    // ...
    %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
    %places = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<6x2xi32>
    // ...
    return %places : tensor<6x2xi32>
    // ...
    ```
  }];
  let dependentDialects = raiseDialects;
}

def RaiseLayers : Pass<"moe-raise-layers"> {
  let summary = "Find MoE layers in tensor programs";
  let description = [{
    What computes `y[t, h] = sum(s, w[t, s] * f(x[t], W[e[t, s]])[h])`, with
    e[t, s] the expert in slot s of token t, becomes a routing, `moe.dispatch`,
    `moe.expert` and `moe.combine`. An f that is a `moe.ffn` becomes one. It is
    compared in index notation: reshapes, broadcasts, gathers, and rows sorted by expert and put back are read through.
    f is any elementwise code, products with the expert's weights, and reductions
    of rows; weights are views of the function's. An index that a program clamps
    or wraps is evaluated for each expert.

    Experts may also be unrolled: terms of a sum, or choices one behind the other,
    that differ by the number of their expert in a mask and by its weights alone.
    Weights that are tensors of their own become one [E, ...] by a
    `tensor.concat`. Choices may have room for the first C tokens of an expert
    only, which is a `moe.routing.limit`; what is added to such a layer, and what
    tokens without room become, stays ordinary IR.

    The routing is a `moe.router` if the experts come from a top-k and the weights
    from scores by steps that there are (rung 2), else a `moe.routing.make` of
    both (rung 1). Remarks say what was found, and what the next rung lacks.
    Nothing else changes.

    Before:
    ```mlir
    #rows = affine_map<(t, h, s, j) -> (t, j)>
    #slots = affine_map<(t, h, s, j) -> (t, s)>
    #out = affine_map<(t, h, s, j) -> (t, h)>
    func.func @layer(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<6x8xf32> {
      %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
      %e = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<6x2xi32>
      %p = moe.routing.weights %r : !moe.routing<4 x 2> -> tensor<6x2xf32>
      %zeros = arith.constant dense<0.0> : tensor<6x8xf32>
      %y = linalg.generic {indexing_maps = [#slots, #slots, #rows, #out],
          iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
          ins(%e, %p, %x : tensor<6x2xi32>, tensor<6x2xf32>, tensor<6x8xf32>)
          outs(%zeros : tensor<6x8xf32>) {
      ^bb0(%expert: i32, %weight: f32, %a: f32, %sum: f32):
        %i = arith.index_cast %expert : i32 to index
        %h = linalg.index 1 : index
        %j = linalg.index 3 : index
        %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
        %product = arith.mulf %m, %a : f32
        %weighted = arith.mulf %product, %weight : f32
        %next = arith.addf %sum, %weighted : f32
        linalg.yield %next : f32
      } -> tensor<6x8xf32>
      return %y : tensor<6x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
    %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
    %rows = moe.dispatch %x by %r : tensor<6x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
    %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
    experts 0 to 4 weights(%w : tensor<4x8x8xf32>) {
    // ...
    }
    %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<6x8xf32>
    // ...
    ```
  }];
  let dependentDialects = raiseDialects;
}

def RaiseShared : Pass<"moe-raise-shared"> {
  let summary = "Find shared experts beside raised layers";
  let description = [{
    An FFN of the tokens of a layer that is added to the result of its
    `moe.combine`, as it is or times a number of each token, becomes a `moe.ffn`
    that the combine starts from (`init`): as in an imported model, so that
    `moe-fold-shared-expert` may make it an expert of the layer. Remarks say what
    was found (rung 3), and why something else that is added stays as it is.

    Before:
    ```mlir
    #rows = affine_map<(t, o, i) -> (t, i)>
    #weights = affine_map<(t, o, i) -> (o, i)>
    #out = affine_map<(t, o, i) -> (t, o)>
    func.func @layer(%x: tensor<6x8xf32>, %r: !moe.routing<4 x 2>,
        %w: tensor<4x8x8xf32>, %up: tensor<5x8xf32>, %down: tensor<8x5xf32>) -> tensor<6x8xf32> {
      %d = moe.dispatch %x by %r : tensor<6x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      %e = moe.expert %d by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
      experts 0 to 4 weights(%w : tensor<4x8x8xf32>) {
      ^bb0(%own: tensor<?x8xf32>, %m: tensor<8x8xf32>):
        moe.yield %own : tensor<?x8xf32>
      }
      %y = moe.combine %e by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<6x8xf32>
      %hidden = arith.constant dense<0.0> : tensor<6x5xf32>
      %zeros = arith.constant dense<0.0> : tensor<6x8xf32>
      %h = linalg.contract indexing_maps = [#rows, #weights, #out]
          ins(%x, %up : tensor<6x8xf32>, tensor<5x8xf32>) outs(%hidden : tensor<6x5xf32>) -> tensor<6x5xf32>
      %a = math.tanh %h : tensor<6x5xf32>
      %f = linalg.contract indexing_maps = [#rows, #weights, #out]
          ins(%a, %down : tensor<6x5xf32>, tensor<8x5xf32>) outs(%zeros : tensor<6x8xf32>) -> tensor<6x8xf32>
      %sum = arith.addf %y, %f : tensor<6x8xf32>
      return %sum : tensor<6x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
    %f = moe.ffn %x up(%up) down(%down) activation(#moe.tanh) : (tensor<6x8xf32>, tensor<5x8xf32>, tensor<8x5xf32>) -> tensor<6x8xf32>
    %sum = moe.combine %e by %r init(%f : tensor<6x8xf32>) : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<6x8xf32>
    // ...
    return %sum : tensor<6x8xf32>
    // ...
    ```
  }];
  let dependentDialects = raiseDialects;
}

def LowerToLinalg : Pass<"moe-lower-to-linalg"> {
  let summary = "Write MoE layers as plain upstream IR";
  let description = [{
    The way back: routers, routings and layers become ops of `linalg`, `tensor`,
    `arith`, `math` and `scf`, for other compilers; no op of `moe` is left. A
    routing becomes the tensors of its indices and of its weights. Bodies of
    experts and regions of routers are written where they are needed.

    | `form` | experts compute | sizes that depend on data |
    |---|---|---|
    | `sorted` | rows sorted by expert, in a loop over experts | yes |
    | `dense` | all experts on all tokens, and their results are picked | none |
    | `gathered` | each assignment with a copy of its expert's weights | none |

    `sorted` writes any body. The others write bodies of `linalg` ops, elementwise
    ops and views: with a static number of tokens all of their sizes are static.
    `dense` does E / K times the work, which is little for few experts or many
    tokens a compiler batches well; `gathered` fits few tokens.

    Ranks are numbers of comparisons, and so quadratic in experts;
    `moe.routing.limit` is quadratic in assignments. Sums of a token are in the
    order of its slots. What is an error at run time (an expert that there is
    not) is not checked, but reads nothing outside of its tensors.

    What has no form is one error: `moe.dequantize`, calls of C functions,
    routings that are arguments, policies of other dialects.

    Before:
    ```mlir
    func.func @router(%z: tensor<4x8xf32>) -> (tensor<4x2xi32>, tensor<4x2xf32>) {
      %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax]
          : tensor<4x8xf32> -> !moe.routing<8 x 2>
      %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<4x2xi32>
      %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<4x2xf32>
      return %i, %w : tensor<4x2xi32>, tensor<4x2xf32>
    }
    ```
    After:
    ```mlir
    // ...
    %ranks = linalg.generic ... ins(%z, %z : tensor<4x8xf32>, tensor<4x8xf32>) outs(%zeros : tensor<4x8xi32>) {
    // ...
    %i = linalg.generic ... ins(%ranks : tensor<4x8xi32>) outs(%0 : tensor<4x2xi32>) {
    // ...
    %values = linalg.generic ... ins(%i : tensor<4x2xi32>) outs(%1 : tensor<4x2xf32>) {
    // ...
      %score = tensor.extract %z[%t, %e] : tensor<4x8xf32>
    // ...
    return %i, %w : tensor<4x2xi32>, tensor<4x2xf32>
    // ...
    ```
  }];
  let options = [
    Option<"form", "form", "::moe::LowerForm", "::moe::LowerForm::Sorted",
           "how experts compute", [{::llvm::cl::values(
             clEnumValN(::moe::LowerForm::Sorted, "sorted",
                        "rows sorted by expert (default)"),
             clEnumValN(::moe::LowerForm::Dense, "dense",
                        "all experts on all tokens; no size depends on data"),
             clEnumValN(::moe::LowerForm::Gathered, "gathered",
                        "each assignment with its expert's weights; no size "
                        "depends on data"))}]>];
  let dependentDialects = raiseDialects;
}

#endif // MOE_MLIR_RAISE_PASSES
