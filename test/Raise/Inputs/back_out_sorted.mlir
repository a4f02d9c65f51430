// What only form=sorted writes: recurrences, and rows that others use.

func.func @average(%x: tensor<?x6xf32>, %z: tensor<?x2xf32>, %ids: tensor<?x1xi32>)
    -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x2xf32> -> !moe.routing<2 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x6xf32>, !moe.routing<2 x 2> -> tensor<?x6xf32>
  %own = moe.dispatch %ids by %r : tensor<?x1xi32>, !moe.routing<2 x 2> -> tensor<?x1xi32>
  %out = moe.expert %rows by %r with(%own : tensor<?x1xi32>)
      : (tensor<?x6xf32>, !moe.routing<2 x 2>) -> tensor<?x6xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x6xf32>, %of: tensor<?x1xi32>):
    %m = moe.scan %t by %of init(%t)
        : (tensor<?x6xf32>, tensor<?x1xi32>, tensor<?x6xf32>) -> tensor<?x6xf32> body {
    ^bb1(%row: tensor<?x6xf32>, %state: tensor<?x6xf32>):
      %half = arith.constant 0.5 : f32
      %next = linalg.map { arith.addf } ins(%row, %state : tensor<?x6xf32>, tensor<?x6xf32>)
          outs(%state : tensor<?x6xf32>)
      %mean = linalg.map ins(%next : tensor<?x6xf32>) outs(%state : tensor<?x6xf32>)
          (%v: f32, %o: f32) {
            %q = arith.mulf %v, %half : f32
            linalg.yield %q : f32
          }
      moe.yield %mean : tensor<?x6xf32>
    }
    moe.yield %m : tensor<?x6xf32>
  } experts 1 to 2 {
  ^bb0(%t: tensor<?x6xf32>, %of: tensor<?x1xi32>):
    %m = moe.scan %t by %of
        : (tensor<?x6xf32>, tensor<?x1xi32>) -> tensor<?x6xf32> body {
    ^bb1(%row: tensor<?x6xf32>, %state: tensor<?x6xf32>):
      %next = linalg.map { arith.subf } ins(%row, %state : tensor<?x6xf32>, tensor<?x6xf32>)
          outs(%state : tensor<?x6xf32>)
      moe.yield %next : tensor<?x6xf32>
    }
    moe.yield %m : tensor<?x6xf32>
  }
  %y = moe.combine %out by %r : tensor<?x6xf32>, !moe.routing<2 x 2> -> tensor<?x6xf32>
  return %y, %out : tensor<?x6xf32>, tensor<?x6xf32>
}
