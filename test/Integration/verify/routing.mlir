// Where scores are nearer than rounding, the kernel's own routing is taken and
// judged: a near tie is compared, a wrong choice is not excused.

// REQUIRES: x86-64-v3
// RUN: rm -rf %t && mkdir -p %t
// RUN: moe-compile %s --emit=shared,manifest --target=native -o %t/layer
// DEFINE: %{run} = moe-run %t/layer.json --random=1 --tokens=300 --verify

// Experts 0 to 3 have weights that differ in their last bits.
// RUN: %python %S/Inputs/near_ties.py %t/near.safetensors
// RUN: %{run} --model=%s --inputs=%t/near.safetensors | FileCheck %s --check-prefix=NEAR
// NEAR: verify y: 300 tokens, {{.*}} allowed, {{[1-9][0-9]*}} tokens routed as the kernel did: PASS
// NEAR: verify indices: 300 tokens, {{.*}}: PASS

// Without near ties nothing is replayed.
// RUN: %{run} --model=%s | FileCheck %s --check-prefix=FAR
// FAR: verify y: 300 tokens, {{[^,]*}} allowed: PASS

// Another router, whose experts all compute the same, so that y tells nothing.
// RUN: sed 's/select(%%z)/select(%%negated)/' %s > %t/other.mlir
// RUN: %python %S/Inputs/near_ties.py %t/same.safetensors same
// RUN: not %{run} --model=%t/other.mlir --inputs=%t/same.safetensors | FileCheck %s --check-prefix=OTHER
// OTHER: verify routing: FAIL: token {{[0-9]+}} went to experts {{\[[0-7], [0-7]\]}} instead of {{\[[0-7], [0-7]\]}}, as if scores were off by {{.*}}, where rounding explains {{.*}}e-0{{[5-7]}}

// Experts that choose near ones of the tokens, and a limit that takes some of
// them away again: the limit's result is what is read, the choice what is
// replayed, as a whole.
// RUN: sed -e 's/#moe.top_k<2>/#moe.expert_choice<capacity = 45>/; s/ x 2>/ x 8>/g; s/?x2xi32>/?x8xi32>/g' \
// RUN:   -e 's/ by %%r/ by %%l/; s/^  %%i = .* %%r/  %%l = moe.routing.limit %%r capacity 40 : !moe.routing<8 x 8>\n  %%i = moe.routing.indices %%l/' \
// RUN:   %s > %t/choice.mlir
// RUN: moe-compile %t/choice.mlir --emit=shared,manifest --target=native -o %t/choice
// RUN: %python %S/Inputs/near_ties.py %t/tokens.safetensors tokens
// RUN: moe-run %t/choice.json --random=1 --tokens=300 --verify --model=%t/choice.mlir --inputs=%t/tokens.safetensors | FileCheck %s --check-prefix=CHOICE
// CHOICE: verify y: 300 tokens, {{.*}} allowed, {{[1-9][0-9]*}} tokens routed as the kernel did: PASS
// CHOICE: verify indices: 300 tokens, {{.*}}: PASS
// RUN: sed 's/select(%%z)/select(%%negated)/' %t/choice.mlir > %t/other-choice.mlir
// RUN: not moe-run %t/choice.json --random=1 --tokens=300 --verify --model=%t/other-choice.mlir | FileCheck %s --check-prefix=OTHER-CHOICE
// OTHER-CHOICE: verify routing: FAIL: token

// Tokens whose scores f32 does not tell apart: the first ones are taken, and the
// scores of those that lose may be exact.
// RUN: sed 's/ = arith.negf %%a : f32/ = math.tanh %%big : f32/; s/^    ^bb0(%%a: f32, %%o: f32):/&\n      %%c = arith.constant 4.0 : f32\n      %%big = arith.mulf %%a, %%c : f32/' %t/other-choice.mlir > %t/saturated.mlir
// RUN: moe-compile %t/saturated.mlir --emit=shared,manifest --target=native -o %t/saturated
// RUN: moe-run %t/saturated.json --random=1 --tokens=300 --verify --model=%t/saturated.mlir | FileCheck %s --check-prefix=CHOICE

#th = affine_map<(t, e, h) -> (t, h)>
#eh = affine_map<(t, e, h) -> (e, h)>
#te = affine_map<(t, e, h) -> (t, e)>
#n = affine_map<(t, e) -> (t, e)>

func.func @layer(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
                 %wr: tensor<8x64xf32> {moe.name = "router.weight"},
                 %g: tensor<8x24x64xf32> {moe.name = "gate_proj"},
                 %u: tensor<8x24x64xf32> {moe.name = "up_proj"},
                 %d: tensor<8x64x24xf32> {moe.name = "down_proj"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<?x2xi32> {moe.name = "indices", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.generic {indexing_maps = [#th, #eh, #te], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %wr : tensor<?x64xf32>, tensor<8x64xf32>) outs(%f : tensor<?x8xf32>) {
    ^bb0(%a: f32, %b: f32, %s: f32):
      %p = arith.mulf %a, %b : f32
      %n = arith.addf %s, %p : f32
      linalg.yield %n : f32
  } -> tensor<?x8xf32>
  %negated = linalg.generic {indexing_maps = [#n, #n], iterator_types = ["parallel", "parallel"]}
      ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
    ^bb0(%a: f32, %o: f32):
      %m = arith.negf %a : f32
      linalg.yield %m : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x24x64xf32>, tensor<8x24x64xf32>, tensor<8x64x24xf32>) {
  ^bb0(%own: tensor<?x64xf32>, %gate: tensor<24x64xf32>, %up: tensor<24x64xf32>, %down: tensor<64x24xf32>):
    %ffn = moe.ffn %own gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>, tensor<64x24xf32>) -> tensor<?x64xf32>
    moe.yield %ffn : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y, %i : tensor<?x64xf32>, tensor<?x2xi32>
}
