// What a call of a C function has to be given.
// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @offsets(%o: tensor<?xi32>, %x: tensor<?x4xf32>, %y: tensor<?x4xf32>, %n: tensor<i32>) {
  // expected-error @below {{'groups' must be the static [E + 1] offsets, got 'tensor<?xi32>'}}
  %r:2 = moek.external_call "f" #moe.external groups(%o : tensor<?xi32>) rows(%x : tensor<?x4xf32>)
      outs(%y, %n : tensor<?x4xf32>, tensor<i32>) -> tensor<?x4xf32>, tensor<i32>
  return
}

// -----

func.func @rows(%o: tensor<3xi32>, %x: tensor<?x?xf32>, %y: tensor<?x4xf32>, %n: tensor<i32>) {
  // expected-error @below {{'rows' must be [rows, N] with a static N, got 'tensor<?x?xf32>'}}
  %r:2 = moek.external_call "f" #moe.external groups(%o : tensor<3xi32>) rows(%x : tensor<?x?xf32>)
      outs(%y, %n : tensor<?x4xf32>, tensor<i32>) -> tensor<?x4xf32>, tensor<i32>
  return
}

// -----

func.func @parameters(%o: tensor<3xi32>, %x: tensor<?x4xf32>, %w: tensor<3x8xf32>, %y: tensor<?x4xf32>, %n: tensor<i32>) {
  // expected-error @below {{'parameters' must be [2, ...], one of each expert, got 'tensor<3x8xf32>'}}
  %r:2 = moek.external_call "f" #moe.external groups(%o : tensor<3xi32>) rows(%x : tensor<?x4xf32>)
      parameters(%w : tensor<3x8xf32>) outs(%y, %n : tensor<?x4xf32>, tensor<i32>) -> tensor<?x4xf32>, tensor<i32>
  return
}

// -----

func.func @outputs(%o: tensor<3xi32>, %x: tensor<?x4xf32>, %y: tensor<?x4xf32>) {
  // expected-error @below {{expects a [rows, M] f32 output and an i32 of rank 0}}
  %r = moek.external_call "f" #moe.external groups(%o : tensor<3xi32>) rows(%x : tensor<?x4xf32>)
      outs(%y : tensor<?x4xf32>) -> tensor<?x4xf32>
  return
}
