// What exporters write around a layer and instead of one, compared with the
// interpreter: tokens that are flattened and put back, layers in loops and
// branches, weights that cannot be packed, constants, f64, bf16 throughout, and
// ops that move elements by indices.

// RUN: moe-compile %s --emit=shared,lib,manifest --target=x86-64* -o %t

// DEFINE: %{native} = moe-run %t.json --model=%s --random=1 --verify
// DEFINE: %{v3} = env MOE_X86_LEVEL=3 moe-run %t.json --model=%s --random=1 --verify
// DEFINE: %{v4} = env MOE_X86_LEVEL=4 moe-run %t.json --model=%s --random=1 --verify

// RUN: %{native} --entry=batch_seq --size=B=3,S=5 | FileCheck %s
// RUN: %{v3} --entry=batch_seq --size=B=3,S=5 | FileCheck %s
// RUN: %{native} --entry=batch_seq --size=B=1,S=1 | FileCheck %s
// Nothing to compute is nothing to verify.
// RUN: moe-run %t.json --random=1 --entry=batch_seq --size=B=2,S=0 | FileCheck %s --check-prefix=NONE
// NONE: y: f32[2x0x8]
// RUN: %{native} --entry=one_batch --size=S=7 | FileCheck %s
// RUN: %{native} --entry=repeated --size=S=5 | FileCheck %s
// RUN: %{native} --entry=split --size=N=15,B=5,S=3 | FileCheck %s
// RUN: %{native} --entry=join_three --size=A=2,B=5,C=3 | FileCheck %s
// RUN: %{native} --entry=split_slice --size=T=5,One=1 | FileCheck %s
// RUN: %{native} --entry=in_for --size=T=6 | FileCheck %s
// RUN: %{v3} --entry=in_for --size=T=6 | FileCheck %s
// RUN: %{native} --entry=in_while --size=T=6 | FileCheck %s
// RUN: %{native} --entry=in_branch --size=T=3 | FileCheck %s
// RUN: %{native} --entry=in_branch --size=T=4 | FileCheck %s
// RUN: %{native} --entry=stacked --size=T=6 | FileCheck %s
// RUN: %{native} --entry=computed --size=T=6 | FileCheck %s
// RUN: %{native} --entry=constants --size=T=6 | FileCheck %s
// RUN: %{v3} --entry=constants --size=T=6 | FileCheck %s
// RUN: %{native} --entry=mixed --size=T=6 | FileCheck %s
// RUN: %{native} --entry=doubles --size=T=6 | FileCheck %s
// RUN: %{v3} --entry=doubles --size=T=6 | FileCheck %s
// RUN: %{native} --entry=halves --size=T=6 | FileCheck %s
// RUN: %{v3} --entry=halves --size=T=6 | FileCheck %s
// RUN: %{native} --entry=bf16_matmul --size=T=6 | FileCheck %s
// RUN: %{v3} --entry=bf16_matmul --size=T=6 | FileCheck %s
// RUN: %{native} --entry=tail --size=N=21 | FileCheck %s
// RUN: %{v3} --entry=tail --size=N=21 | FileCheck %s
// RUN: %{native} --entry=conversions --size=T=3 | FileCheck %s
// RUN: %{v3} --entry=conversions --size=T=3 | FileCheck %s
// RUN: %{native} --entry=gather --size=T=7 | FileCheck %s
// RUN: %{v3} --entry=gather --size=T=7 | FileCheck %s
// RUN: %{native} --entry=scatter --size=T=5 | FileCheck %s
// RUN: %{native} --entry=pack --size=T=11 | FileCheck %s
// RUN: %{native} --entry=running_sum --size=T=6 | FileCheck %s
// RUN: %{v3} --entry=running_sum --size=T=6 | FileCheck %s
// RUN: %{native} --entry=two_carried --size=T=5 | FileCheck %s
// RUN: %{native} --entry=until --size=T=5 | FileCheck %s
// RUN: %{native} --entry=nested_loops --size=T=5 | FileCheck %s
// RUN: %{native} --entry=blocks --size=T=5 | FileCheck %s
// RUN: %{native} --entry=in_order | FileCheck %s

// RUN: %{v4} --entry=halves --size=T=6 | FileCheck %s
// RUN: %{v4} --entry=conversions --size=T=6 | FileCheck %s
// RUN: %{v4} --entry=tail --size=N=21 | FileCheck %s

// CHECK: PASS
// CHECK-NOT: FAIL

// No target needs more than docs/abi.md says.
// RUN: %python %moe_src/test/Tools/moe-compile/Inputs/check_symbols.py %moe_src/docs/abi.md %t.a
// RUN: moe-compile %s --emit=lib --target=aarch64,aarch64+sve2 -o %t.arm
// RUN: %python %moe_src/test/Tools/moe-compile/Inputs/check_symbols.py %moe_src/docs/abi.md %t.arm.a

// Flattened tokens fuse like others, and so do layers in loops.
// RUN: moe-compile %s --compile-to=fused --target=x86-64-v3 -o - | FileCheck %s --check-prefix=FUSED
// FUSED-LABEL: func.func @batch_seq
// FUSED-NOT: return
// FUSED: moek.route {{.*}} logits(
// FUSED-NOT: moek.gather
// FUSED: moek.grouped_matmul
// FUSED-NOT: moek.gather
// FUSED: moek.grouped_matmul {{.*}} combine(
// FUSED-NOT: moek.combine
// FUSED: tensor.expand_shape
// FUSED-LABEL: func.func @in_for
// FUSED: scf.for
// FUSED-NOT: scf.yield
// FUSED: moek.route {{.*}} logits(
// FUSED: moek.grouped_matmul {{.*}} combine(
// FUSED: scf.yield

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(i, j) -> (i, j)>

func.func private @layer(%x: tensor<?x8xf32>, %wr: tensor<4x8xf32>, %wu: tensor<4x6x8xf32>, %wd: tensor<4x8x6xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x8xf32>, tensor<4x8xf32>) outs(%f0 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%wu, %wd : tensor<4x6x8xf32>, tensor<4x8x6xf32>) {
  ^bb0(%own: tensor<?x8xf32>, %u: tensor<6x8xf32>, %d: tensor<8x6xf32>):
    %f = moe.ffn %own up(%u) down(%d) activation(#moe.silu) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<8x6xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

//===----------------------------------------------------------------------===//
// Tokens in batches of sequences
//===----------------------------------------------------------------------===//

func.func @batch_seq(%x: tensor<?x?x8xf32> {moe.name = "x", moe.dims = ["B", "S"]},
    %wr: tensor<4x8xf32> {moe.name = "router"}, %wu: tensor<4x6x8xf32> {moe.name = "up"},
    %wd: tensor<4x8x6xf32> {moe.name = "down"})
    -> (tensor<?x?x8xf32> {moe.name = "y", moe.dims = ["B", "S"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %B = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %S = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x8xf32> into tensor<?x8xf32>
  %y = func.call @layer(%flat, %wr, %wu, %wd) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
  %e = tensor.empty(%B, %S) : tensor<?x?x8xf32>
  %back = tensor.expand_shape %y [[0, 1], [2]] output_shape [%B, %S, 8] : tensor<?x8xf32> into tensor<?x?x8xf32>
  %sum = linalg.add ins(%back, %x : tensor<?x?x8xf32>, tensor<?x?x8xf32>) outs(%e : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %sum : tensor<?x?x8xf32>
}

func.func @one_batch(%x: tensor<1x?x8xf32> {moe.name = "x", moe.dims = ["S"]},
    %wr: tensor<4x8xf32> {moe.name = "router"}, %wu: tensor<4x6x8xf32> {moe.name = "up"},
    %wd: tensor<4x8x6xf32> {moe.name = "down"})
    -> (tensor<1x?x8xf32> {moe.name = "y", moe.dims = ["S"]}) {
  %c1 = arith.constant 1 : index
  %S = tensor.dim %x, %c1 : tensor<1x?x8xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<1x?x8xf32> into tensor<?x8xf32>
  %y = func.call @layer(%flat, %wr, %wu, %wd) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
  %back = tensor.expand_shape %y [[0, 1], [2]] output_shape [1, %S, 8] : tensor<?x8xf32> into tensor<1x?x8xf32>
  return %back : tensor<1x?x8xf32>
}

// The number of rows is S * 3 / 3.
func.func @repeated(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["S"]})
    -> (tensor<?x3x8xf32> {moe.name = "y", moe.dims = ["S"]},
        tensor<?x8xf32> {moe.name = "first", moe.dims = ["S"]}) {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %S = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%S) : tensor<?x3x8xf32>
  %r = linalg.broadcast ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x3x8xf32>) dimensions = [1]
  %flat = tensor.collapse_shape %r [[0, 1], [2]] : tensor<?x3x8xf32> into tensor<?x8xf32>
  %n = tensor.dim %flat, %c0 : tensor<?x8xf32>
  %g = math.exp %flat : tensor<?x8xf32>
  %T = arith.divui %n, %c3 : index
  %y = tensor.expand_shape %g [[0, 1], [2]] output_shape [%T, 3, 8] : tensor<?x8xf32> into tensor<?x3x8xf32>
  %U = affine.apply affine_map<()[s] -> (s floordiv 3)>()[%n]
  %first = tensor.extract_slice %y[0, 0, 0] [%U, 1, 8] [1, 1, 1] : tensor<?x3x8xf32> to tensor<?x8xf32>
  return %y, %first : tensor<?x3x8xf32>, tensor<?x8xf32>
}

// One dimension becomes two of any size, of a whole buffer and of a part.
func.func @split(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["N"]},
                 %like: tensor<?x?xf32> {moe.name = "like", moe.dims = ["B", "S"]})
    -> (tensor<?x?xf32> {moe.name = "y", moe.dims = ["B", "S"]},
        tensor<?x1x?xf32> {moe.name = "z", moe.dims = ["B", "S"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %B = tensor.dim %like, %c0 : tensor<?x?xf32>
  %S = tensor.dim %like, %c1 : tensor<?x?xf32>
  %y = tensor.expand_shape %x [[0, 1]] output_shape [%B, %S] : tensor<?xf32> into tensor<?x?xf32>
  %g = math.absf %x : tensor<?xf32>
  %z = tensor.expand_shape %g [[0, 1, 2]] output_shape [%B, 1, %S] : tensor<?xf32> into tensor<?x1x?xf32>
  return %y, %z : tensor<?x?xf32>, tensor<?x1x?xf32>
}
func.func @join_three(%x: tensor<?x?x?xf32> {moe.name = "x", moe.dims = ["A", "B", "C"]})
    -> (tensor<?x?x1x?xf32> {moe.name = "y", moe.dims = ["A", "B", "C"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %A = tensor.dim %x, %c0 : tensor<?x?x?xf32>
  %B = tensor.dim %x, %c1 : tensor<?x?x?xf32>
  %C = tensor.dim %x, %c2 : tensor<?x?x?xf32>
  %f = tensor.collapse_shape %x [[0, 1, 2]] : tensor<?x?x?xf32> into tensor<?xf32>
  %g = math.absf %f : tensor<?xf32>
  %y = tensor.expand_shape %g [[0, 1, 2, 3]] output_shape [%A, %B, 1, %C] : tensor<?xf32> into tensor<?x?x1x?xf32>
  return %y : tensor<?x?x1x?xf32>
}
func.func @split_slice(%x: tensor<?x16xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<?x2x4xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<?x?x8xf32> {moe.name = "z", moe.dims = ["T", "One"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %T = tensor.dim %x, %c0 : tensor<?x16xf32>
  %s = tensor.extract_slice %x[0, 4] [%T, 8] [1, 1] : tensor<?x16xf32> to tensor<?x8xf32>
  %y = tensor.expand_shape %s [[0], [1, 2]] output_shape [%T, 2, 4] : tensor<?x8xf32> into tensor<?x2x4xf32>
  %z = tensor.expand_shape %s [[0, 1], [2]] output_shape [%T, %c1, 8] : tensor<?x8xf32> into tensor<?x?x8xf32>
  return %y, %z : tensor<?x2x4xf32>, tensor<?x?x8xf32>
}

//===----------------------------------------------------------------------===//
// Layers in control flow
//===----------------------------------------------------------------------===//

func.func @in_for(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<4x8xf32> {moe.name = "router"}, %wu: tensor<4x6x8xf32> {moe.name = "up"},
    %wd: tensor<4x8x6xf32> {moe.name = "down"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %y = scf.for %i = %c0 to %c3 step %c1 iter_args(%h = %x) -> tensor<?x8xf32> {
    %n = func.call @layer(%h, %wr, %wu, %wd) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
    scf.yield %n : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}
func.func @in_while(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<4x8xf32> {moe.name = "router"}, %wu: tensor<4x6x8xf32> {moe.name = "up"},
    %wd: tensor<4x8x6xf32> {moe.name = "down"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c3 = arith.constant 3 : i32
  %y:2 = scf.while (%i = %c0, %h = %x) : (i32, tensor<?x8xf32>) -> (i32, tensor<?x8xf32>) {
    %more = arith.cmpi slt, %i, %c3 : i32
    scf.condition(%more) %i, %h : i32, tensor<?x8xf32>
  } do {
  ^bb0(%i: i32, %h: tensor<?x8xf32>):
    %j = arith.addi %i, %c1 : i32
    %n = func.call @layer(%h, %wr, %wu, %wd) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
    scf.yield %j, %n : i32, tensor<?x8xf32>
  }
  return %y#1 : tensor<?x8xf32>
}
func.func @in_branch(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<4x8xf32> {moe.name = "router"}, %wu: tensor<4x6x8xf32> {moe.name = "up"},
    %wd: tensor<4x8x6xf32> {moe.name = "down"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %many = arith.cmpi ugt, %T, %c3 : index
  %y = scf.if %many -> tensor<?x8xf32> {
    %n = func.call @layer(%x, %wr, %wu, %wd) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
    scf.yield %n : tensor<?x8xf32>
  } else {
    scf.yield %x : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

// A layer's own part of what all layers have: known when the loop runs.
func.func @stacked(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
    %wrs: tensor<3x4x8xf32> {moe.name = "router"}, %wus: tensor<3x4x6x8xf32> {moe.name = "up"},
    %wds: tensor<3x4x8x6xf32> {moe.name = "down"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %y = scf.for %i = %c0 to %c3 step %c1 iter_args(%h = %x) -> tensor<?x8xf32> {
    %wr = tensor.extract_slice %wrs[%i, 0, 0] [1, 4, 8] [1, 1, 1] : tensor<3x4x8xf32> to tensor<4x8xf32>
    %wu = tensor.extract_slice %wus[%i, 0, 0, 0] [1, 4, 6, 8] [1, 1, 1, 1] : tensor<3x4x6x8xf32> to tensor<4x6x8xf32>
    %wd = tensor.extract_slice %wds[%i, 0, 0, 0] [1, 4, 8, 6] [1, 1, 1, 1] : tensor<3x4x8x6xf32> to tensor<4x8x6xf32>
    %n = func.call @layer(%h, %wr, %wu, %wd) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
    scf.yield %n : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}
func.func @computed(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<4x8xf32> {moe.name = "router"}, %wt: tensor<4x8x6xf32> {moe.name = "up"},
    %wd: tensor<4x8x6xf32> {moe.name = "down"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %wr2 = arith.addf %wr, %wr : tensor<4x8xf32>
  %e = tensor.empty() : tensor<4x6x8xf32>
  %wu = linalg.transpose ins(%wt : tensor<4x8x6xf32>) outs(%e : tensor<4x6x8xf32>) permutation = [0, 2, 1]
  %a = tensor.extract_slice %wd[0, 0, 0] [1, 8, 6] [1, 1, 1] : tensor<4x8x6xf32> to tensor<1x8x6xf32>
  %b = tensor.extract_slice %wd[1, 0, 0] [3, 8, 6] [1, 1, 1] : tensor<4x8x6xf32> to tensor<3x8x6xf32>
  %wd2 = tensor.concat dim(0) %b, %a : (tensor<3x8x6xf32>, tensor<1x8x6xf32>) -> tensor<4x8x6xf32>
  %y = func.call @layer(%x, %wr2, %wu, %wd2) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Constants are packed by the compiler: as text, as one value, as a resource
// that wants an alignment.
func.func @constants(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %wr = arith.constant dense<[[-0.52, 0.09, -0.26, 0.21, 0.25, -0.87, -0.97, 0.67], [-0.48, -0.53, 0.99, -0.06, 0.67, -0.05, 0.28, -0.70], [0.27, 0.74, 0.05, 0.48, 0.34, -0.87, 0.52, 0.18], [-0.40, -0.94, 0.73, -0.05, 0.44, 0.76, 0.43, 0.84]]> : tensor<4x8xf32>
  %wu = arith.constant dense<0.125> : tensor<4x6x8xf32>
  %wd = arith.constant dense_resource<down> : tensor<4x8x6xf32>
  %y = func.call @layer(%x, %wr, %wu, %wd) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
// One matrix of an FFN is a constant, another an argument, one computed.
func.func @mixed(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
    %a: tensor<6x8xf32> {moe.name = "up"}, %b: tensor<8x6xf32> {moe.name = "down"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %g = arith.constant dense<0.25> : tensor<6x8xf32>
  %n = arith.negf %b : tensor<8x6xf32>
  %f = moe.ffn %x gate(%g) up(%a) down(%b) activation(#moe.silu) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<8x6xf32>) -> tensor<?x8xf32>
  %y = moe.ffn %f up(%a) down(%n) activation(#moe.silu) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<8x6xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

//===----------------------------------------------------------------------===//
// Other floats
//===----------------------------------------------------------------------===//

func.func @doubles(%x: tensor<?x8xf64> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<4x8xf64> {moe.name = "router"}, %wu: tensor<4x6x8xf64> {moe.name = "up"},
    %wd: tensor<4x8x6xf64> {moe.name = "down"})
    -> (tensor<?x8xf64> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f64
  %T = tensor.dim %x, %c0 : tensor<?x8xf64>
  %e = tensor.empty(%T) : tensor<?x4xf64>
  %f0 = linalg.fill ins(%zero : f64) outs(%e : tensor<?x4xf64>) -> tensor<?x4xf64>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x8xf64>, tensor<4x8xf64>) outs(%f0 : tensor<?x4xf64>) -> tensor<?x4xf64>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf64> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x8xf64>, !moe.routing<4 x 2> -> tensor<?x8xf64>
  %out = moe.expert %rows by %r : (tensor<?x8xf64>, !moe.routing<4 x 2>) -> tensor<?x8xf64>
  experts 0 to 4 weights(%wu, %wd : tensor<4x6x8xf64>, tensor<4x8x6xf64>) {
  ^bb0(%own: tensor<?x8xf64>, %u: tensor<6x8xf64>, %d: tensor<8x6xf64>):
    %f = moe.ffn %own up(%u) down(%d) activation(#moe.silu) : (tensor<?x8xf64>, tensor<6x8xf64>, tensor<8x6xf64>) -> tensor<?x8xf64>
    moe.yield %f : tensor<?x8xf64>
  }
  %y = moe.combine %out by %r : tensor<?x8xf64>, !moe.routing<4 x 2> -> tensor<?x8xf64>
  return %y : tensor<?x8xf64>
}
func.func @halves(%x: tensor<?x8xbf16> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<4x8xbf16> {moe.name = "router"}, %wu: tensor<4x6x8xbf16> {moe.name = "up"},
    %wd: tensor<4x8x6xbf16> {moe.name = "down"})
    -> (tensor<?x8xbf16> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : bf16
  %T = tensor.dim %x, %c0 : tensor<?x8xbf16>
  %e = tensor.empty(%T) : tensor<?x4xbf16>
  %f0 = linalg.fill ins(%zero : bf16) outs(%e : tensor<?x4xbf16>) -> tensor<?x4xbf16>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x8xbf16>, tensor<4x8xbf16>) outs(%f0 : tensor<?x4xbf16>) -> tensor<?x4xbf16>
  %zf = arith.extf %z : tensor<?x4xbf16> to tensor<?x4xf32>
  %r = moe.router #moe.top_k<2> select(%zf) weigh(%zf) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x8xbf16>, !moe.routing<4 x 2> -> tensor<?x8xbf16>
  %out = moe.expert %rows by %r : (tensor<?x8xbf16>, !moe.routing<4 x 2>) -> tensor<?x8xbf16>
  experts 0 to 4 weights(%wu, %wd : tensor<4x6x8xbf16>, tensor<4x8x6xbf16>) {
  ^bb0(%own: tensor<?x8xbf16>, %u: tensor<6x8xbf16>, %d: tensor<8x6xbf16>):
    %f = moe.ffn %own up(%u) down(%d) activation(#moe.silu) : (tensor<?x8xbf16>, tensor<6x8xbf16>, tensor<8x6xbf16>) -> tensor<?x8xbf16>
    moe.yield %f : tensor<?x8xbf16>
  }
  %y = moe.combine %out by %r : tensor<?x8xbf16>, !moe.routing<4 x 2> -> tensor<?x8xbf16>
  return %y : tensor<?x8xbf16>
}
func.func @bf16_matmul(%x: tensor<?x300xbf16> {moe.name = "x", moe.dims = ["T"]},
                       %w: tensor<300x21xbf16> {moe.name = "w"})
    -> (tensor<?x21xbf16> {moe.name = "y", moe.dims = ["T"]},
        tensor<?x21xbf16> {moe.name = "p", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : bf16
  %T = tensor.dim %x, %c0 : tensor<?x300xbf16>
  %e = tensor.empty(%T) : tensor<?x21xbf16>
  %f = linalg.fill ins(%zero : bf16) outs(%e : tensor<?x21xbf16>) -> tensor<?x21xbf16>
  %y = linalg.matmul ins(%x, %w : tensor<?x300xbf16>, tensor<300x21xbf16>) outs(%f : tensor<?x21xbf16>) -> tensor<?x21xbf16>
  %p = linalg.softmax dimension(1) ins(%y : tensor<?x21xbf16>) outs(%e : tensor<?x21xbf16>) -> tensor<?x21xbf16>
  return %y, %p : tensor<?x21xbf16>, tensor<?x21xbf16>
}
// Nothing is computed here, but the last elements are moved under a mask.
func.func @tail(%x: tensor<?xbf16> {moe.name = "x", moe.dims = ["N"]},
                %h: tensor<?xf16> {moe.name = "h", moe.dims = ["N"]})
    -> (tensor<?xbf16> {moe.name = "y", moe.dims = ["N"]}, tensor<?xf16> {moe.name = "z", moe.dims = ["N"]}) {
  %c0 = arith.constant 0 : index
  %N = tensor.dim %x, %c0 : tensor<?xbf16>
  %e = tensor.empty(%N) : tensor<?xbf16>
  %y = linalg.copy ins(%x : tensor<?xbf16>) outs(%e : tensor<?xbf16>) -> tensor<?xbf16>
  %e2 = tensor.empty(%N) : tensor<?xf16>
  %z = linalg.copy ins(%h : tensor<?xf16>) outs(%e2 : tensor<?xf16>) -> tensor<?xf16>
  return %y, %z : tensor<?xbf16>, tensor<?xf16>
}
func.func @conversions(%x: tensor<?x19xbf16> {moe.name = "x", moe.dims = ["T"]},
                       %h: tensor<?x19xf16> {moe.name = "h", moe.dims = ["T"]},
                       %d: tensor<?x19xf64> {moe.name = "d", moe.dims = ["T"]},
                       %i: tensor<?x19xi32> {moe.name = "i", moe.dims = ["T"]})
    -> (tensor<?x19xbf16> {moe.name = "a", moe.dims = ["T"]}, tensor<?x19xf16> {moe.name = "b", moe.dims = ["T"]},
        tensor<?x19xf64> {moe.name = "c", moe.dims = ["T"]}, tensor<?x19xbf16> {moe.name = "e", moe.dims = ["T"]},
        tensor<?x19xi32> {moe.name = "f", moe.dims = ["T"]}, tensor<?x19xbf16> {moe.name = "g", moe.dims = ["T"]},
        tensor<?x19xf16> {moe.name = "k", moe.dims = ["T"]}) {
  %a = arith.truncf %d : tensor<?x19xf64> to tensor<?x19xbf16>
  %b = arith.truncf %d : tensor<?x19xf64> to tensor<?x19xf16>
  %c0 = arith.extf %x : tensor<?x19xbf16> to tensor<?x19xf64>
  %c1 = arith.extf %h : tensor<?x19xf16> to tensor<?x19xf64>
  %c = arith.addf %c0, %c1 : tensor<?x19xf64>
  %e = arith.sitofp %i : tensor<?x19xi32> to tensor<?x19xbf16>
  %f = arith.fptosi %x : tensor<?x19xbf16> to tensor<?x19xi32>
  %n = arith.negf %x : tensor<?x19xbf16>
  %s = arith.cmpf olt, %x, %n : tensor<?x19xbf16>
  %t = math.tanh %x : tensor<?x19xbf16>
  %g = arith.select %s, %n, %t : tensor<?x19xi1>, tensor<?x19xbf16>
  %k0 = arith.mulf %h, %h : tensor<?x19xf16>
  %k = math.exp %k0 : tensor<?x19xf16>
  return %a, %b, %c, %e, %f, %g, %k : tensor<?x19xbf16>, tensor<?x19xf16>, tensor<?x19xf64>, tensor<?x19xbf16>, tensor<?x19xi32>, tensor<?x19xbf16>, tensor<?x19xf16>
}

//===----------------------------------------------------------------------===//
// Elements moved by indices
//===----------------------------------------------------------------------===//

func.func @gather(%x: tensor<4x?x6xbf16> {moe.name = "x", moe.dims = ["T"]},
                  %w: tensor<2x4x3x5xf32> {moe.name = "w"})
    -> (tensor<2x2x?xbf16> {moe.name = "y", moe.dims = ["T"]},
        tensor<2x3x2x1x3x5xf32> {moe.name = "z"}) {
  %i = arith.constant dense<[[[2, 1], [0, 3]], [[1, 1], [3, 5]]]> : tensor<2x2x2xi32>
  %y = tensor.gather %x[%i] gather_dims([0, 2]) : (tensor<4x?x6xbf16>, tensor<2x2x2xi32>) -> tensor<2x2x?xbf16>
  %j = arith.constant dense<[[[3], [1], [0]], [[2], [2], [3]]]> : tensor<2x3x1xindex>
  %z = tensor.gather %w[%j] gather_dims([1]) : (tensor<2x4x3x5xf32>, tensor<2x3x1xindex>) -> tensor<2x3x2x1x3x5xf32>
  return %y, %z : tensor<2x2x?xbf16>, tensor<2x3x2x1x3x5xf32>
}
func.func @scatter(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
                   %w: tensor<4x5x6xf32> {moe.name = "w"},
                   %u: tensor<3x1x8xf32> {moe.name = "u"}, %v: tensor<2x2x5xf32> {moe.name = "v"})
    -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<4x5x6xf32> {moe.name = "z"}) {
  %i = arith.constant dense<[[2], [0], [4]]> : tensor<3x1xindex>
  %y = tensor.scatter %u into %x[%i] scatter_dims([0]) unique : (tensor<3x1x8xf32>, tensor<?x8xf32>, tensor<3x1xindex>) -> tensor<?x8xf32>
  %j = arith.constant dense<[[[2, 1], [0, 3]], [[1, 1], [3, 5]]]> : tensor<2x2x2xi32>
  %z = tensor.scatter %v into %w[%j] scatter_dims([0, 2]) unique : (tensor<2x2x5xf32>, tensor<4x5x6xf32>, tensor<2x2x2xi32>) -> tensor<4x5x6xf32>
  return %y, %z : tensor<?x8xf32>, tensor<4x5x6xf32>
}
func.func @pack(%x: tensor<?x20xf32> {moe.name = "x", moe.dims = ["T"]},
                %w: tensor<16x24xf32> {moe.name = "w"})
    -> (tensor<?x20xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<3x2x8x8xf32> {moe.name = "p"}, tensor<16x24xf32> {moe.name = "z"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x20xf32>
  %n = affine.apply affine_map<()[s] -> (s ceildiv 8)>()[%T]
  %e = tensor.empty(%n) : tensor<?x3x8x8xf32>
  %q = linalg.pack %x padding_value(%zero : f32) inner_dims_pos = [0, 1] inner_tiles = [8, 8] into %e : tensor<?x20xf32> -> tensor<?x3x8x8xf32>
  %r = math.exp %q : tensor<?x3x8x8xf32>
  %e1 = tensor.empty(%T) : tensor<?x20xf32>
  %y = linalg.unpack %r inner_dims_pos = [0, 1] inner_tiles = [8, 8] into %e1 : tensor<?x3x8x8xf32> -> tensor<?x20xf32>
  %e2 = tensor.empty() : tensor<3x2x8x8xf32>
  %p = linalg.pack %w outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [8, 8] into %e2 : tensor<16x24xf32> -> tensor<3x2x8x8xf32>
  %e3 = tensor.empty() : tensor<16x24xf32>
  %z = linalg.unpack %p outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [8, 8] into %e3 : tensor<3x2x8x8xf32> -> tensor<16x24xf32>
  return %y, %p, %z : tensor<?x20xf32>, tensor<3x2x8x8xf32>, tensor<16x24xf32>
}

//===----------------------------------------------------------------------===//
// Tensors that loops carry
//===----------------------------------------------------------------------===//

func.func @running_sum(%m: tensor<?x4xi32> {moe.name = "mask", moe.dims = ["T"]})
    -> (tensor<?x4xi32> {moe.name = "locations", moe.dims = ["T"]}, tensor<1x4xi32> {moe.name = "last"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0 : i32
  %T = tensor.dim %m, %c0 : tensor<?x4xi32>
  %e = tensor.empty(%T) : tensor<?x4xi32>
  %e1 = tensor.empty() : tensor<1x4xi32>
  %none = linalg.fill ins(%zero : i32) outs(%e1 : tensor<1x4xi32>) -> tensor<1x4xi32>
  %y:2 = scf.for %t = %c0 to %T step %c1 iter_args(%all = %e, %run = %none) -> (tensor<?x4xi32>, tensor<1x4xi32>) {
    %row = tensor.extract_slice %m[%t, 0] [1, 4] [1, 1] : tensor<?x4xi32> to tensor<1x4xi32>
    %n = linalg.add ins(%run, %row : tensor<1x4xi32>, tensor<1x4xi32>) outs(%run : tensor<1x4xi32>) -> tensor<1x4xi32>
    %i = tensor.insert_slice %n into %all[%t, 0] [1, 4] [1, 1] : tensor<1x4xi32> into tensor<?x4xi32>
    scf.yield %i, %n : tensor<?x4xi32>, tensor<1x4xi32>
  }
  return %y#0, %y#1 : tensor<?x4xi32>, tensor<1x4xi32>
}
// One tensor takes the place of another, which takes a new one.
func.func @two_carried(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x8xf32> {moe.name = "z", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %b = math.cos %x : tensor<?x8xf32>
  %y:2 = scf.for %i = %c0 to %c5 step %c1 iter_args(%u = %x, %v = %b) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %s = arith.addf %u, %v : tensor<?x8xf32>
    scf.yield %v, %s : tensor<?x8xf32>, tensor<?x8xf32>
  }
  return %y#0, %y#1 : tensor<?x8xf32>, tensor<?x8xf32>
}
// The first region makes the tensor that goes on.
func.func @until(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c5 = arith.constant 5 : i32
  %y = scf.while (%u = %x, %i = %c0) : (tensor<?x8xf32>, i32) -> tensor<?x8xf32> {
    %v = arith.addf %u, %u : tensor<?x8xf32>
    %more = arith.cmpi slt, %i, %c5 : i32
    scf.condition(%more) %v : tensor<?x8xf32>
  } do {
  ^bb0(%v: tensor<?x8xf32>):
    %w = math.sin %v : tensor<?x8xf32>
    scf.yield %w, %c5 : tensor<?x8xf32>, i32
  }
  return %y : tensor<?x8xf32>
}
func.func @nested_loops(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %y = scf.for %i = %c0 to %c3 step %c1 iter_args(%u = %x) -> tensor<?x8xf32> {
    %w = scf.for %j = %c0 to %c3 step %c1 iter_args(%v = %u) -> tensor<?x8xf32> {
      %s = math.sin %v : tensor<?x8xf32>
      %t = arith.addf %s, %u : tensor<?x8xf32>
      scf.yield %t : tensor<?x8xf32>
    }
    scf.yield %w : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}
// Blocks and branches, here and in what is called.
func.func private @doubled(%x: tensor<?x8xf32>, %wanted: i1) -> tensor<?x8xf32> {
  cf.cond_br %wanted, ^double, ^done(%x : tensor<?x8xf32>)
^double:
  %h = arith.addf %x, %x : tensor<?x8xf32>
  cf.br ^done(%h : tensor<?x8xf32>)
^done(%y: tensor<?x8xf32>):
  return %y : tensor<?x8xf32>
}
func.func @blocks(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c3 = arith.constant 3 : i32
  cf.br ^head(%c0, %x : i32, tensor<?x8xf32>)
^head(%i: i32, %u: tensor<?x8xf32>):
  %more = arith.cmpi slt, %i, %c3 : i32
  cf.cond_br %more, ^body, ^done
^body:
  %s = math.sin %u : tensor<?x8xf32>
  %first = arith.cmpi eq, %i, %c0 : i32
  %n = func.call @doubled(%s, %first) : (tensor<?x8xf32>, i1) -> tensor<?x8xf32>
  %j = arith.addi %i, %c1 : i32
  cf.br ^head(%j, %n : i32, tensor<?x8xf32>)
^done:
  return %u : tensor<?x8xf32>
}
// "reduction" says that the order counts, also where nothing is summed.
func.func @in_order(%x: tensor<7xf32> {moe.name = "x"})
    -> (tensor<7xf32> {moe.name = "y"}, tensor<9xf32> {moe.name = "z"}) {
  %e = tensor.empty() : tensor<7xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["reduction"]}
      ins(%x : tensor<7xf32>) outs(%e : tensor<7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %v = arith.mulf %a, %a : f32
    linalg.yield %v : f32
  } -> tensor<7xf32>
  %zeros = arith.constant dense<0.0> : tensor<9xf32>
  %three = arith.constant dense<0.0> : tensor<3xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i + j)>], iterator_types = ["reduction", "reduction"]}
      ins(%x, %three : tensor<7xf32>, tensor<3xf32>) outs(%zeros : tensor<9xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %v = arith.addf %a, %o : f32
    linalg.yield %v : f32
  } -> tensor<9xf32>
  return %y, %z : tensor<7xf32>, tensor<9xf32>
}
{-#
  dialect_resources: {
    builtin: { down: "0x400000006D1D57BEB7101A3F08D5E2BD39055F3FD0FA413F781A4EBF4A623ABF16E710BF6A536E3F91BD02BE17B0813ECABFCBBE8D566D3CF3BE69BEECAA98BE553B2E3E348C2C3E89F34E3F8659BA3EC29E5B3F237A363FFF627B3F5562AF3E357E2CBF7CA5383F5FE46D3F50344F3F3C880D3ED9F2DA3E6DE713BF84C8293F2198163E1C34DCBE18825FBFF337353FDBC77A3FC2AD52BFA1E7193FCA5F37BEE1CE32BF2C0ED3BE179F093F52DB3E3FEC5F69BF08906A3E98FD68BFDCAEDF3E5B1AADBE0506433FE415763F649D313C913C7F3FDAE5C2BE4C9758BF72504C3E41EF6FBF5FF01ABFFB8B3CBE963C623EB00630BFDA456ABF894D3C3F36A3BEBE69D56A3FF9164B3FA3497ABE8229A2BD1A70243D9057933E46E4433EBABBF23DB104763E1C99613F3441663C71EB0CBE4699E13EA05406BFE3AFCBBEDAA1743F25132D3D075FC63D3F227ABF33A62DBECDC4233EA1BB75BF79276D3E565A873E213D61BFB565823EFD3C8ABD8B95B73E0FF696BEC4EAD33E43BFF33E80A474BF14FC60BFAB3EB43E64366D3FCDD9FEBE0DF2B2BDC1CA3D3E444BB8BE5B4F8BBE43D3BFBE80FC85BE35D5433EE762CCBE5C937BBE6C670B3F623772BF24D70D3E3DD1F03EFC8AC2BE850F0EBFAE8C1B3FBFC905BFD90D20BFDEA304BEECD1CA3E68DB4BBF8D4EB6BE7C3CAABE9CC52A3F0E30FCBDB508363F945329BF6F35A7BE84D6993E6311453F1349C8BD27C90CBFDD1642BFA4B5723DF74E1EBFE8111D3FC74C2D3FFA0022BFBEB8E2BEC84C1D3F0058913ED4CD1C3F2F6E9EBE63993DBFEC0CD5BE1275163F3C51EABE4E559DBE592D2ABE014F24BE784C39BE825A573F0C2130BFF89C7DBF00F4623F828C423FBF4C793F4B7206BE867B663F30D15A3F1F4A0EBF626AFB3EC5632C3F1EE6A63E4CC51B3D6B05D8BEE2BEA2BE88890BBF3E265DBFAA9C353EBE19DABE78D11E3FB1EB68BFE0A54E3FC35AC63E7F03593FDA0A4B3F2EA24C3FBF991D3E204579BF782FFB3E000728BF24EACCBE3DCEA63E96814C3D9BA330BE2CCA603F31B6653E7374A2BE3C77FDBE1E2C393F51CC3ABDEB8C103F" }
  }
#-}
