// RUN: not moe-interpret %s --all 2>&1 | FileCheck %s

// Every failure is reported at its op, and the other functions still run.

// CHECK: errors.mlir:[[#@LINE+3]]:{{.*}}error: 'math.sincos' op is not interpreted; supported are moe.*,
func.func @unsupported() -> f32 {
  %c = arith.constant 1.0 : f32
  %s, %d = math.sincos %c : f32
  return %s : f32
}

// CHECK: errors.mlir:[[#@LINE+4]]:{{.*}}error: 'arith.divsi' op has no result: the divisor is zero
func.func @division() -> i32 {
  %c = arith.constant 7 : i32
  %z = arith.constant 0 : i32
  %q = arith.divsi %c, %z : i32
  return %q : i32
}


// CHECK: errors.mlir:[[#@LINE+2]]:{{.*}}error: calls @nobody, which has no body to interpret
func.func @declaration() -> i32 {
  %r = call @nobody() : () -> i32
  return %r : i32
}
func.func private @nobody() -> i32

// CHECK: error: calls @recursion in a recursion deeper than 128
func.func @recursion() -> i32 {
  %r = call @recursion() : () -> i32
  return %r : i32
}

// CHECK: errors.mlir:[[#@LINE+4]]:{{.*}}error: 'tensor.extract' op accesses element [3] of a tensor of shape [3]
func.func @bounds() -> f32 {
  %t = arith.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %c3 = arith.constant 3 : index
  %f = tensor.extract %t[%c3] : tensor<3xf32>
  return %f : f32
}

// CHECK: errors.mlir:[[#@LINE+4]]:{{.*}}error: 'tensor.extract_slice' op slice [2][2][1] of dimension 0 leaves a tensor of shape [3]
func.func @slice() -> tensor<2xf32> {
  %t = arith.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %c2 = arith.constant 2 : index
  %s = tensor.extract_slice %t[%c2] [2] [1] : tensor<3xf32> to tensor<2xf32>
  return %s : tensor<2xf32>
}

// CHECK: errors.mlir:[[#@LINE+4]]:{{.*}}error: 'tensor.empty' op has a result of shape [-1x4], which is no valid size
func.func @negative() -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %n = arith.constant -1 : index
  %e = tensor.empty(%n) : tensor<?x4xf32>
  return %e : tensor<?x4xf32>
}

// CHECK: errors.mlir:[[#@LINE+4]]:{{.*}}error: the source has shape [3], which is no 'tensor<4xf32>'
func.func @cast() -> tensor<4xf32> {
  %t = arith.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %d = tensor.cast %t : tensor<3xf32> to tensor<?xf32>
  %c = tensor.cast %d : tensor<?xf32> to tensor<4xf32>
  return %c : tensor<4xf32>
}

// CHECK: errors.mlir:[[#@LINE+6]]:{{.*}}error: 'linalg.generic' op operand #1 of shape [2] gives loop d0 size 2 where an earlier one gives it 3
func.func @loops() -> tensor<?xf32> {
  %t = arith.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %c2 = arith.constant 2 : index
  %d = tensor.cast %t : tensor<3xf32> to tensor<?xf32>
  %e = tensor.empty(%c2) : tensor<?xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%d : tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?xf32>
  return %g : tensor<?xf32>
}

// CHECK: errors.mlir:[[#@LINE+4]]:{{.*}}error: 'moe.routing.make' op sends token 1 to expert 4 in slot 0; experts are 0 to 3
func.func @expert_range() -> tensor<2x1xi32> {
  %i = call @two_experts() : () -> tensor<2x1xi32>
  %w = arith.constant dense<1.0> : tensor<2x1xf32>
  %r = moe.routing.make %i, %w
      : tensor<2x1xi32>, tensor<2x1xf32> -> !moe.routing<4 x 1>
  %o = moe.routing.indices %r : !moe.routing<4 x 1> -> tensor<2x1xi32>
  return %o : tensor<2x1xi32>
}
func.func private @two_experts() -> tensor<2x1xi32> {
  %i = arith.constant dense<[[1], [4]]> : tensor<2x1xi32>
  return %i : tensor<2x1xi32>
}

// CHECK: errors.mlir:[[#@LINE+4]]:{{.*}}error: 'moe.routing.make' op sends token 0 to expert 1 twice
func.func @twice() -> tensor<2x2xi32> {
  %i = call @twice_the_same() : () -> tensor<2x2xi32>
  %w = arith.constant dense<1.0> : tensor<2x2xf32>
  %r = moe.routing.make %i, %w : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<4 x 2>
  %o = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<2x2xi32>
  return %o : tensor<2x2xi32>
}
func.func private @twice_the_same() -> tensor<2x2xi32> {
  %i = arith.constant dense<[[1, 1], [0, 1]]> : tensor<2x2xi32>
  return %i : tensor<2x2xi32>
}

// CHECK: errors.mlir:[[#@LINE+7]]:{{.*}}error: 'moe.dispatch' op has 3 rows in x; the routing has 2 tokens
func.func @tokens() -> tensor<?x1xf32> {
  %i = arith.constant dense<[[1], [0]]> : tensor<2x1xi32>
  %w = arith.constant dense<1.0> : tensor<2x1xf32>
  %r = moe.routing.make %i, %w : tensor<2x1xi32>, tensor<2x1xf32> -> !moe.routing<4 x 1>
  %x = arith.constant dense<1.0> : tensor<3x1xf32>
  %d = tensor.cast %x : tensor<3x1xf32> to tensor<?x1xf32>
  %y = moe.dispatch %d by %r : tensor<?x1xf32>, !moe.routing<4 x 1> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// CHECK: error: 'func.func' op returns a '!moe.routing<4 x 1>'; the interpreter returns ranked tensors and numbers
func.func @returns() -> !moe.routing<4 x 1> {
  %i = arith.constant dense<[[1], [0]]> : tensor<2x1xi32>
  %w = arith.constant dense<1.0> : tensor<2x1xf32>
  %r = moe.routing.make %i, %w : tensor<2x1xi32>, tensor<2x1xf32> -> !moe.routing<4 x 1>
  return %r : !moe.routing<4 x 1>
}
