// RUN: moe-opt %s --moe-fuse-elementwise --verify-diagnostics

// Three elements by one operand, two by the other.
// expected-error@+1 {{fusing its elementwise ops comes to no end; do the sizes of one contradict each other?}}
func.func @contradiction(%a: tensor<3xf32>) -> tensor<?xf32> {
  %c2 = arith.constant 2 : index
  %cast = tensor.cast %a : tensor<3xf32> to tensor<?xf32>
  %e = tensor.empty(%c2) : tensor<?xf32>
  %y = linalg.abs ins(%cast : tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}
