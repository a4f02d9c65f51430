// Weights as models store them: gate and up in one tensor, matrices transposed,
// an expert each. All are packed ahead of time and verified like any other.
// RUN: rm -rf %t && mkdir -p %t
// RUN: moe-compile %s -o %t/m --remarks-filter='moek-.*|convert.*|moe-hoist.*' 2> %t/remarks
// RUN: moe-compile %s --compile-to=planned --target=x86-64-v3 | FileCheck %s --check-prefix=SHARED
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not='[Missed]' < %t/remarks
// REMARK: two matmuls and their activation are one kernel
// RUN: FileCheck %s --check-prefix=MANIFEST < %t/m.json
// RUN: moe-pack %t/m.json --random=3 -o %t/w.safetensors
// RUN: moe-run %t/m.so --entry=halves --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=interleaved --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=split --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=transposed --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=flat --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=stacked --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=inserted --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=dense --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=shared --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify
// RUN: moe-run %t/m.so --entry=constants --model=%s --tokens=21 --random=3 --weights=%t/w.safetensors --verify

func.func private @layer(%x: tensor<?x64xf32>, %z: tensor<?x4xf32>, %g: tensor<4x24x64xf32>,
    %u: tensor<4x24x64xf32>, %d: tensor<4x64x24xf32>) -> tensor<?x64xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%g, %u, %d : tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %a: tensor<24x64xf32>, %b: tensor<24x64xf32>, %c: tensor<64x24xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>, tensor<64x24xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// The first and the second half of [E, 2I, H].
// MANIFEST: "name": "halves"
// MANIFEST: "name": "gate_up_proj",
// MANIFEST: "view": {
// MANIFEST-NEXT: "offset": 0,
// MANIFEST: "offset": 1536,
func.func @halves(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %gu: tensor<4x48x64xf32> {moe.name = "gate_up_proj"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %g = tensor.extract_slice %gu[0, 0, 0] [4, 24, 64] [1, 1, 1] : tensor<4x48x64xf32> to tensor<4x24x64xf32>
  %u = tensor.extract_slice %gu[0, 24, 0] [4, 24, 64] [1, 1, 1] : tensor<4x48x64xf32> to tensor<4x24x64xf32>
  %y = func.call @layer(%x, %z, %g, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Every other row, taken apart by each expert; biases, too.
func.func @interleaved(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %gu: tensor<4x48x64xbf16> {moe.name = "gate_up_proj.bf16"}, %bias: tensor<4x48xf32> {moe.name = "gate_up_proj_bias"}, %d: tensor<4x64x24xbf16> {moe.name = "down_proj.bf16"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%gu, %bias, %d : tensor<4x48x64xbf16>, tensor<4x48xf32>, tensor<4x64x24xbf16>) {
  ^bb0(%t: tensor<?x64xf32>, %w: tensor<48x64xbf16>, %b: tensor<48xf32>, %c: tensor<64x24xbf16>):
    %g = tensor.extract_slice %w[0, 0] [24, 64] [2, 1] : tensor<48x64xbf16> to tensor<24x64xbf16>
    %u = tensor.extract_slice %w[1, 0] [24, 64] [2, 1] : tensor<48x64xbf16> to tensor<24x64xbf16>
    %gb = tensor.extract_slice %b[0] [24] [2] : tensor<48xf32> to tensor<24xf32>
    %ub = tensor.extract_slice %b[1] [24] [2] : tensor<48xf32> to tensor<24xf32>
    %f = moe.ffn %t gate(%g) up(%u) down(%c) gate_bias(%gb) up_bias(%ub) activation(#moe.silu) : (tensor<?x64xf32>, tensor<24x64xbf16>, tensor<24x64xbf16>, tensor<64x24xbf16>, tensor<24xf32>, tensor<24xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// The same rows by a reshape: [E, 2I, H] as [E, I, 2, H].
func.func @split(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %gu: tensor<4x48x64xf32> {moe.name = "gate_up_proj"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %two = tensor.expand_shape %gu [[0], [1, 2], [3]] output_shape [4, 24, 2, 64] : tensor<4x48x64xf32> into tensor<4x24x2x64xf32>
  %g = tensor.extract_slice %two[0, 0, 0, 0] [4, 24, 1, 64] [1, 1, 1, 1] : tensor<4x24x2x64xf32> to tensor<4x24x64xf32>
  %u = tensor.extract_slice %two[0, 0, 1, 0] [4, 24, 1, 64] [1, 1, 1, 1] : tensor<4x24x2x64xf32> to tensor<4x24x64xf32>
  %y = func.call @layer(%x, %z, %g, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Inputs first: [E, H, 2I] and [E, I, H], transposed by each expert and as a
// whole.
func.func @transposed(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %gu: tensor<4x64x48xbf16> {moe.name = "gate_up_t"}, %down: tensor<4x24x64xbf16> {moe.name = "down_t"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %e = tensor.empty() : tensor<4x64x24xbf16>
  %d = linalg.generic {indexing_maps = [affine_map<(e, h, i) -> (e, i, h)>, affine_map<(e, h, i) -> (e, h, i)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%down : tensor<4x24x64xbf16>) outs(%e : tensor<4x64x24xbf16>) {
  ^bb0(%a: bf16, %o: bf16):
    linalg.yield %a : bf16
  } -> tensor<4x64x24xbf16>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%gu, %d : tensor<4x64x48xbf16>, tensor<4x64x24xbf16>) {
  ^bb0(%t: tensor<?x64xf32>, %w: tensor<64x48xbf16>, %c: tensor<64x24xbf16>):
    %to = tensor.empty() : tensor<48x64xbf16>
    %wt = linalg.transpose ins(%w : tensor<64x48xbf16>) outs(%to : tensor<48x64xbf16>) permutation = [1, 0]
    %g = tensor.extract_slice %wt[0, 0] [24, 64] [1, 1] : tensor<48x64xbf16> to tensor<24x64xbf16>
    %u = tensor.extract_slice %wt[24, 0] [24, 64] [1, 1] : tensor<48x64xbf16> to tensor<24x64xbf16>
    %f = moe.ffn %t gate(%g) up(%u) down(%c) activation(#moe.silu) : (tensor<?x64xf32>, tensor<24x64xbf16>, tensor<24x64xbf16>, tensor<64x24xbf16>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Experts below each other in one matrix, and one of four dimensions.
func.func @flat(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %gu: tensor<4x2x24x64xf32> {moe.name = "gate_and_up"}, %down: tensor<256x24xf32> {moe.name = "down_flat"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %all = tensor.collapse_shape %gu [[0], [1, 2], [3]] : tensor<4x2x24x64xf32> into tensor<4x48x64xf32>
  %g = tensor.extract_slice %all[0, 0, 0] [4, 24, 64] [1, 1, 1] : tensor<4x48x64xf32> to tensor<4x24x64xf32>
  %u = tensor.extract_slice %gu[0, 1, 0, 0] [4, 1, 24, 64] [1, 1, 1, 1] : tensor<4x2x24x64xf32> to tensor<4x24x64xf32>
  %d = tensor.expand_shape %down [[0, 1], [2]] output_shape [4, 64, 24] : tensor<256x24xf32> into tensor<4x64x24xf32>
  %y = func.call @layer(%x, %z, %g, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A matrix for each expert: joined in one dimension, and then split, or along a
// new one; one of them in two halves.
func.func @stacked(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %g0: tensor<24x64xf32> {moe.name = "0.gate"}, %g1: tensor<24x64xf32> {moe.name = "1.gate"}, %g2: tensor<24x64xf32> {moe.name = "2.gate"}, %g3: tensor<24x64xf32> {moe.name = "3.gate"},
    %u: tensor<3x24x64xf32> {moe.name = "0-2.up"}, %u3: tensor<24x64xf32> {moe.name = "3.up"},
    %d0: tensor<4x64x11xf32> {moe.name = "down.left"}, %d1: tensor<4x64x13xf32> {moe.name = "down.right"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %gates = tensor.concat dim(0) %g0, %g1, %g2, %g3 : (tensor<24x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>) -> tensor<96x64xf32>
  %g = tensor.expand_shape %gates [[0, 1], [2]] output_shape [4, 24, 64] : tensor<96x64xf32> into tensor<4x24x64xf32>
  %last = tensor.expand_shape %u3 [[0, 1], [2]] output_shape [1, 24, 64] : tensor<24x64xf32> into tensor<1x24x64xf32>
  %ups = tensor.concat dim(0) %u, %last : (tensor<3x24x64xf32>, tensor<1x24x64xf32>) -> tensor<4x24x64xf32>
  %d = tensor.concat dim(2) %d0, %d1 : (tensor<4x64x11xf32>, tensor<4x64x13xf32>) -> tensor<4x64x24xf32>
  %y = func.call @layer(%x, %z, %g, %ups, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A stack that is written piece by piece, with halves of one weight in it.
func.func @inserted(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %a: tensor<48x64xf32> {moe.name = "a"}, %b: tensor<48x64xf32> {moe.name = "b"}, %u: tensor<4x24x64xf32> {moe.name = "up"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %e = tensor.empty() : tensor<4x24x64xf32>
  %a0 = tensor.extract_slice %a[0, 0] [24, 64] [1, 1] : tensor<48x64xf32> to tensor<24x64xf32>
  %a1 = tensor.extract_slice %a[24, 0] [24, 64] [1, 1] : tensor<48x64xf32> to tensor<24x64xf32>
  %b2 = tensor.expand_shape %b [[0, 1], [2]] output_shape [2, 24, 64] : tensor<48x64xf32> into tensor<2x24x64xf32>
  %s0 = tensor.insert_slice %a0 into %e[3, 0, 0] [1, 24, 64] [1, 1, 1] : tensor<24x64xf32> into tensor<4x24x64xf32>
  %s1 = tensor.insert_slice %a1 into %s0[0, 0, 0] [1, 24, 64] [1, 1, 1] : tensor<24x64xf32> into tensor<4x24x64xf32>
  %s2 = tensor.insert_slice %b2 into %s1[1, 0, 0] [2, 24, 64] [1, 1, 1] : tensor<2x24x64xf32> into tensor<4x24x64xf32>
  %y = func.call @layer(%x, %z, %s2, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A dense FFN whose weights are [K, N].
func.func @dense(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %u: tensor<64x40xf32> {moe.name = "up.kn"}, %d: tensor<40x64xbf16> {moe.name = "down.kn"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %e = tensor.empty() : tensor<40x64xf32>
  %up = linalg.transpose ins(%u : tensor<64x40xf32>) outs(%e : tensor<40x64xf32>) permutation = [1, 0]
  %f = tensor.empty() : tensor<64x40xbf16>
  %down = linalg.transpose ins(%d : tensor<40x64xbf16>) outs(%f : tensor<64x40xbf16>) permutation = [1, 0]
  %y = moe.ffn %x up(%up) down(%down) activation(#moe.relu) : (tensor<?x64xf32>, tensor<40x64xf32>, tensor<64x40xbf16>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A shared expert as large as two, transposed: it is two more experts, each a
// slice of a transposition, beside halves of the routed ones.
// SHARED-LABEL: func @shared(
// SHARED-SAME: experts = 6 : i64
// SHARED-SAME: first_expert = 5 : i64, name = "shared.up.kn", part = 1 : i64, shape = [64, 48], view = {offset = 24 : i64, sizes = [1, 24, 64], strides = [0, 1, 48]}
func.func @shared(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %gu: tensor<4x48x64xf32> {moe.name = "gate_up_proj"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"},
    %sg: tensor<48x64xf32> {moe.name = "shared.gate"}, %su: tensor<64x48xf32> {moe.name = "shared.up.kn"}, %sd: tensor<64x48xf32> {moe.name = "shared.down"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%gu, %d : tensor<4x48x64xf32>, tensor<4x64x24xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %w: tensor<48x64xf32>, %c: tensor<64x24xf32>):
    %g = tensor.extract_slice %w[0, 0] [24, 64] [1, 1] : tensor<48x64xf32> to tensor<24x64xf32>
    %u = tensor.extract_slice %w[24, 0] [24, 64] [1, 1] : tensor<48x64xf32> to tensor<24x64xf32>
    %f = moe.ffn %t gate(%g) up(%u) down(%c) activation(#moe.silu) : (tensor<?x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>, tensor<64x24xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %e = tensor.empty() : tensor<48x64xf32>
  %sut = linalg.transpose ins(%su : tensor<64x48xf32>) outs(%e : tensor<48x64xf32>) permutation = [1, 0]
  %s = moe.ffn %x gate(%sg) up(%sut) down(%sd) activation(#moe.silu) : (tensor<?x64xf32>, tensor<48x64xf32>, tensor<48x64xf32>, tensor<64x48xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Constants are packed by the compiler, whatever is made of them.
// MANIFEST: "name": "constants"
// MANIFEST-NOT: "packed"
func.func @constants(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %w = arith.constant dense<[[1., 2., 3., 4., 5., 6.], [7., 8., 9., 1., 2., 3.], [4., 5., 6., 7., 8., 9.], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
                             [2., 2., 3., 4., 5., 6.], [7., 8., 1., 1., 2., 3.], [4., 5., 0., 7., 8., 9.], [0.5, 1.5, 1.5, 3.5, 4.5, 5.5]]> : tensor<8x6xf32>
  %v = arith.constant dense<0.25> : tensor<8x3xf32>
  %e = tensor.empty() : tensor<6x8xf32>
  %t = linalg.transpose ins(%w : tensor<8x6xf32>) outs(%e : tensor<6x8xf32>) permutation = [1, 0]
  %g = tensor.extract_slice %t[0, 0] [3, 8] [2, 1] : tensor<6x8xf32> to tensor<3x8xf32>
  %u = tensor.extract_slice %t[1, 0] [3, 8] [2, 1] : tensor<6x8xf32> to tensor<3x8xf32>
  %y = moe.ffn %x gate(%g) up(%u) down(%v) activation(#moe.silu) : (tensor<?x8xf32>, tensor<3x8xf32>, tensor<3x8xf32>, tensor<8x3xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
