;; 8192 metrics that all have the same 64 KiB for a name: 512 MiB for the host, 96 KiB for the guest. The names are zeros, the second page of memory.
(block $filled
  (loop $fill
    (br_if $filled (i32.ge_u (local.get $i) (i32.const 8192)))
    (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 12))) (i32.const 65536))
    (i32.store offset=4 (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 12))) (i32.const 65536))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $fill)))
(i32.store (i32.const 412) (i32.const 131072))
(i32.store (i32.const 416) (i32.const 8192))
(return (i32.const 384))
